//! Quota: what a client may still spend.
//!
//! ```text
//!   Quota ──reserve──▶ shard (one actor, by client id) ──▶ clients ──▶ ledger ──▶ window
//!   Reservation ──settle, refund, drop──▶ the same shard                 pure arithmetic
//! ```
//!
//! Everything outside sees [`Quota`], [`Limit`], [`Reservation`] and [`Refusal`]; the messages stay in here. A restart
//! of a shard keeps its windows, a stop of the process loses them. Units: tokens; time is the monotonic clock's.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

pub mod clients;
pub mod ledger;
mod reservation;
mod shard;
pub mod tick;
mod window;

use self::shard::{Message, Reserve};
pub use self::{clients::Tracked, ledger::Standing, reservation::Reservation, shard::Shard, tick::Clock};
use crate::{address::Unreachable, principal::ClientId, shards::Shards, supervisor::Supervisor};

/// Which bucket of a client a limit draws from: one per limit table's owner (a provider, or a model of its own).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope(pub u32);

/// A sliding-window limit on one bucket of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The bucket.
    pub scope: Scope,
    /// Tokens admitted in any span of `interval`; 0 = nothing is ever admitted.
    pub tokens: u64,
    /// Length of the window, 1 s to 31 d.
    pub interval: Duration,
    /// The distinct intervals of all rules (groups and default) that share this bucket, ascending; holds `interval`.
    /// The bucket remembers for the longest.
    pub horizon: Arc<[Duration]>,
}

/// The way to the quota actors. Clones are the same actors.
#[derive(Clone, Debug)]
pub struct Quota {
    shards: Shards<Message>,
}

/// Why no tokens were taken. Nothing was consumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not now.
    Short {
        /// The exact time after which the same request is admitted, if nothing else is meanwhile.
        retry_after: Duration,
        /// How the limit stands.
        standing: Standing,
    },
    /// More than the limit itself, or the limit is 0: never.
    Oversize {
        /// How the limit stands.
        standing: Standing,
    },
    /// A new client, while as many as may be are remembered already.
    Crowded,
    /// No decision. If the actor took tokens all the same, it has given them back.
    Unreachable(Unreachable),
}

/// How long a caller waits for a quota actor, which answers in microseconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

impl Limit {
    /// The longest interval of the rules that share the bucket.
    fn longest(&self) -> Duration {
        self.horizon.last().map_or(self.interval, |longest| self.interval.max(*longest))
    }
}

impl Quota {
    /// Starts `count` quota actors, named `name-0`, `name-1`, …, which remember at most `max_clients` clients together.
    pub async fn start(
        supervisor: &mut Supervisor,
        name: &str,
        count: NonZeroUsize,
        mailbox_limit: usize,
        max_clients: usize,
    ) -> Self {
        let (clock, tracked) = (Clock::start(), Tracked::new(max_clients));
        let shard = move |own| Shard::new(clock.clone(), tracked.clone(), own);
        Self::new(supervisor.spawn_shards(name, count, mailbox_limit, shard).await)
    }

    /// The way to these actors.
    pub fn new(shards: Shards<Message>) -> Self {
        Self { shards }
    }

    /// Takes `amount` tokens of `client` under `limit`, all or nothing. Dropping the future at any time takes nothing.
    ///
    /// # Errors
    /// See [`Refusal`]; nothing was taken.
    pub async fn reserve(
        &self,
        client: &ClientId,
        limit: &Limit,
        amount: u64,
    ) -> Result<Reservation, Refusal> {
        let shard = self.shards.of(client.as_str().as_bytes());
        let reserve = |reply| {
            let (client, limit, home) = (client.clone(), limit.clone(), shard.clone());
            Message::Reserve(Reserve { client, limit, amount, home, reply })
        };
        shard.call(ANSWER_WITHIN, reserve).await.unwrap_or_else(|gone| Err(Refusal::Unreachable(gone)))
    }
}

impl Refusal {
    /// `Retry-After` on the wire, in whole seconds and at least 1. `None` if waiting does not help, or nobody knows how
    /// long.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::Short { retry_after, .. } => Some(ledger::retry_after_seconds(*retry_after)),
            Self::Oversize { .. } | Self::Crowded | Self::Unreachable(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
