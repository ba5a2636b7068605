//! The rule of a token limit, as pure arithmetic over (bucket, now, request): no clock, no channel, no task.
//!
//! Guarantee: never are more than `limit.tokens` admitted in any half-open span of `limit.interval`; a full limit may
//! be spent at once; room comes back no later than `min(interval / 60, 15 min)` after the tokens leave the window. How
//! the tokens are remembered is the business of `window`. Units: tokens and [`Tick`]s.

use std::time::Duration;

use super::{Limit, Scope, tick::Tick, window::Window};

/// What one client has spent under one scope. Rules of several intervals may draw from it; it remembers for the
/// longest interval it has heard of.
#[derive(Clone, Debug)]
pub struct Bucket {
    scope: Scope,
    /// The longest interval, in milliseconds, rounded up (31 d fit): one value is kept for every client.
    memory: u32,
    window: Window,
}

/// The answer to a request for tokens. Nothing is consumed unless it is `Admitted`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The tokens are taken; `at` names the instant they are booked under, for [`Bucket::refund`].
    Admitted {
        /// The present, or the bucket's own latest instant if the clock fell behind it.
        at: Tick,
    },
    /// More than the limit itself: no waiting helps. Also everything under a limit of 0.
    Oversize,
    /// Not now.
    Short {
        /// The exact time until this amount fits, if nothing else happens.
        retry_after: Duration,
    },
}

/// How a limit stands for a client at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The limit's tokens.
    pub limit: u64,
    /// What would be admitted now.
    pub remaining: u64,
    /// Until the whole limit is back, if nothing else is admitted.
    pub reset_after: Duration,
}

impl Bucket {
    /// An empty bucket.
    pub fn new(scope: Scope) -> Self {
        Self { scope, memory: 0, window: Window::default() }
    }

    /// Which of a client's buckets this is.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// Takes `amount` tokens under `limit` if they fit, and nothing if not. An `amount` of 0 leaves no trace.
    pub fn admit(&mut self, now: Tick, limit: &Limit, amount: u64) -> Verdict {
        if limit.tokens == 0 || amount > limit.tokens {
            return Verdict::Oversize;
        }
        let at = self.window.clamp(now);
        let wanted = self.window.used(at, limit.interval) + u128::from(amount);
        let excess = wanted.saturating_sub(u128::from(limit.tokens));
        if excess > 0 {
            let room = self.room_at(at, limit.interval, excess);
            return Verdict::Short { retry_after: room.since(now) };
        }
        if amount > 0 {
            self.memory = self.memory.max(millis(limit.longest()));
            self.window.add(at, amount, &limit.horizon, self.memory());
        }
        Verdict::Admitted { at }
    }

    /// Gives `amount` tokens that were admitted `at` back to where they were booked. What has left the bucket since
    /// needs no refund.
    pub fn refund(&mut self, at: Tick, amount: u64) {
        self.window.take(at, amount);
    }

    /// How `limit` stands.
    pub fn standing(&self, now: Tick, limit: &Limit) -> Standing {
        let at = self.window.clamp(now);
        let used = u64::try_from(self.window.used(at, limit.interval)).unwrap_or(u64::MAX);
        let within = self.window.within(at, limit.interval);
        let reset_after =
            within.last().map_or(Duration::ZERO, |newest| newest.leaves(limit.interval).since(now));
        Standing { limit: limit.tokens, remaining: limit.tokens.saturating_sub(used), reset_after }
    }

    /// Whether no window can see any token of the bucket, so that forgetting it changes no answer.
    pub fn is_empty(&self, now: Tick) -> bool {
        let at = self.window.clamp(now);
        self.window.newest().is_none_or(|newest| newest.leaves(self.memory()) <= at)
    }

    /// The first instant at which `excess` tokens have left the window. `excess` is no more than what is in it.
    fn room_at(&self, at: Tick, interval: Duration, mut excess: u128) -> Tick {
        for slot in self.window.within(at, interval) {
            let amount = u128::from(slot.amount);
            if amount >= excess {
                return slot.leaves(interval);
            }
            excess -= amount;
        }
        at
    }

    fn memory(&self) -> Duration {
        Duration::from_millis(self.memory.into())
    }
}

impl Standing {
    /// How a limit stands of which nothing is used.
    pub const fn untouched(limit: &Limit) -> Self {
        Self { limit: limit.tokens, remaining: limit.tokens, reset_after: Duration::ZERO }
    }
}

/// `Retry-After` on the wire: whole seconds, rounded up, at least 1.
pub fn retry_after_seconds(retry_after: Duration) -> u64 {
    let whole = retry_after.as_secs();
    let up = u64::from(retry_after.subsec_nanos() > 0);
    whole.saturating_add(up).max(1)
}

/// A span in milliseconds, rounded up.
fn millis(span: Duration) -> u32 {
    u32::try_from(span.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
