//! Quota: what a client, a group's pool or all callers together may still spend.
//!
//! ```text
//!   Quota ──reserve──▶ shard (one actor, by account) ──▶ clients ──▶ account ──▶ ledger ──▶ window, debt
//!   Reservation ──draw, settle, refund, drop──▶ the same shards              pure arithmetic
//! ```
//!
//! A call names its accounts in order, each with the rules that hold for it; an account's rules are taken all together
//! or not at all, by the one actor that owns it. Input, requests, money for input and calls in flight are taken at the
//! admission; output is charged as it flows. Debt is carried, refunds go to where the charge was. Everything outside
//! sees the values re-exported here; the messages stay inside. A restart of a shard keeps its windows, a stop of the
//! process loses them, unless a file (`durable`) or a server (`store`) keeps them. Units: tokens, calls, money in 10⁻⁹;
//! time is the monotonic clock's.

use std::{collections::HashMap, num::NonZeroUsize, sync::Arc, time::Duration};

use smallvec::SmallVec;

mod account;
mod booked;
mod changes;
pub mod clients;
pub mod counts;
mod debt;
pub mod durable;
pub mod ledger;
mod members;
pub mod moving;
mod reservation;
mod reshard;
pub mod rule;
mod shard;
mod store;
pub mod tick;
mod window;

pub use self::{
    account::AccountId,
    booked::Ask,
    clients::Tracked,
    counts::Counts,
    ledger::{Level, Standing},
    reservation::{Actual, Drawn, Reservation},
    rule::{Key, Kind, Limit, Mode, OnOutputLimit, Price, Rule, Rules, Scope},
    shard::Shard,
    store::{OnError, Redis, RedisTls, Store},
    tick::Clock,
};
use self::{
    changes::Change,
    clients::Refused,
    moving::Moved,
    reservation::Part,
    shard::{Look, Message, Reserve, Usage},
};
use crate::{
    address::{Address, Unreachable},
    principal::ClientId,
    shards::Shards,
    supervisor::Supervisor,
};

/// The way to the quota actors. Clones are the same actors.
#[derive(Clone, Debug)]
pub struct Quota {
    shards: Shards<Message>,
    common: Common,
}

/// What all its actors share.
#[derive(Clone, Debug)]
struct Common {
    clock: Clock,
    tracked: Tracked,
    counts: Counts,
    /// Where windows are kept, if not in the actors.
    store: Option<Store>,
}

/// A call that wants to be admitted.
#[derive(Clone, Copy, Debug)]
pub struct Demand<'a> {
    /// Whose limits it falls under, in the order in which they are asked: the client's, the group's pool's, the total's.
    /// No account twice.
    pub accounts: &'a [(AccountId, &'a Rules)],
    /// Who shares the pools among them.
    pub member: Option<&'a ClientId>,
    /// Input tokens, as far as is known.
    pub input: u64,
    /// Whether it may produce output: then some of it must be left.
    pub output: bool,
    /// What tokens cost.
    pub price: Price,
}

/// Why nothing was taken, of any account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not now.
    Short {
        /// The exact time after which the call is admitted, if nothing else is charged meanwhile. A second, where only
        /// calls in flight are too many.
        retry_after: Duration,
        /// The rule that needs so long.
        rule: Refusing,
        /// How it stands.
        standing: Standing,
    },
    /// More than a limit itself, or a limit is 0: never.
    Oversize {
        /// The rule.
        rule: Refusing,
        /// How it stands.
        standing: Standing,
    },
    /// A new client, while as many as may be are remembered already.
    Crowded,
    /// No decision. If the actor took something all the same, it has given it back.
    Unreachable(Unreachable),
}

/// The rule that refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusing {
    /// Its name.
    pub id: Arc<str>,
    /// What it limits.
    pub kind: Kind,
}

/// How long a caller waits for a quota actor, which answers in microseconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

impl<'a> Demand<'a> {
    /// A call of so many input tokens that produces nothing and costs nothing.
    pub fn of_input(accounts: &'a [(AccountId, &'a Rules)], input: u64) -> Self {
        Self { accounts, member: None, input, output: false, price: Price::default() }
    }

    fn ask(&self) -> Ask {
        Ask { input: self.input, cost: self.price.of(self.input, 0, 0), output: self.output }
    }
}

impl Quota {
    /// Starts `count` quota actors, named `name-0`, `name-1`, …, which remember so many clients together. What they may
    /// tell a store is for [`durable`].
    pub async fn start(
        supervisor: &mut Supervisor,
        name: &str,
        count: NonZeroUsize,
        mailbox_limit: usize,
        tracked: Tracked,
    ) -> Self {
        Self::start_with(supervisor, name, count, mailbox_limit, tracked, None).await
    }

    /// The same, with windows that are kept on a server; with windows of their own while that is out.
    pub async fn start_stored(
        supervisor: &mut Supervisor,
        name: &str,
        count: NonZeroUsize,
        mailbox_limit: usize,
        tracked: Tracked,
        store: Store,
    ) -> Self {
        Self::start_with(supervisor, name, count, mailbox_limit, tracked, Some(store)).await
    }

    async fn start_with(
        supervisor: &mut Supervisor,
        name: &str,
        count: NonZeroUsize,
        mailbox_limit: usize,
        tracked: Tracked,
        store: Option<Store>,
    ) -> Self {
        let common = Common { clock: Clock::start(), tracked, counts: Counts::default(), store };
        let shards = spawn(supervisor, name, count, mailbox_limit, &common).await;
        Self { shards, common }
    }

    /// How many clients are remembered, and the most that may be.
    pub fn tracked(&self) -> &Tracked {
        &self.common.tracked
    }

    /// Takes what a call asks for, of all its accounts or of none. Dropping the future at any time takes nothing.
    ///
    /// # Errors
    /// See [`Refusal`]; what earlier accounts had given is on its way back to them, ahead of whatever the caller asks
    /// next. Of all accounts that refuse, the one that does so for longest.
    pub async fn reserve(&self, demand: &Demand<'_>) -> Result<Reservation, Refusal> {
        let ask = demand.ask();
        let mut parts = SmallVec::<[Part; 1]>::new();
        for (index, (account, rules)) in demand.accounts.iter().enumerate() {
            match self.admit(account, rules, ask, demand.member).await {
                Ok(part) => parts.push(part),
                Err(refusal) => {
                    for part in parts {
                        part.give_back().await;
                    }
                    return Err(self.longest(refusal, demand, index + 1).await);
                }
            }
        }
        Ok(Reservation::new(parts, ask, demand.price))
    }

    /// For each account of a call, why it would refuse it now, if it would. Takes nothing.
    ///
    /// # Errors
    /// Nobody knows at the moment.
    pub async fn look(&self, demand: &Demand<'_>) -> Result<Vec<Option<Refusal>>, Unreachable> {
        let mut refusals = Vec::with_capacity(demand.accounts.len());
        for (account, rules) in demand.accounts {
            let member = demand.member.filter(|_| rules.share()).cloned();
            let home = home(&self.shards, account);
            let look = |reply| {
                let (account, rules, ask) = (account.clone(), (*rules).clone(), demand.ask());
                Message::Look(Look { account, rules, ask, member, home: home.clone(), reply })
            };
            refusals.push(home.call(ANSWER_WITHIN, look).await?);
        }
        Ok(refusals)
    }

    /// How an account stands with each of the rules, in their order. Takes nothing.
    ///
    /// # Errors
    /// Nobody knows at the moment.
    pub async fn usage(&self, account: &AccountId, rules: &Rules) -> Result<Vec<Level>, Unreachable> {
        let home = home(&self.shards, account);
        let usage = |reply| {
            let (account, rules, home) = (account.clone(), rules.clone(), home.clone());
            Message::Usage(Usage { account, rules, home, reply })
        };
        home.call(ANSWER_WITHIN, usage).await
    }

    /// Hands accounts out of a store to the actors that own them, ahead of whatever is asked of these later.
    fn restore(&self, accounts: Vec<Moved>) {
        let mut by_home: HashMap<_, (_, Vec<_>)> = HashMap::new();
        for account in accounts {
            let home = home(&self.shards, &account.id());
            by_home.entry(home.gauges().name()).or_insert_with(|| (home, Vec::new())).1.push(account);
        }
        by_home.into_values().for_each(|(home, accounts)| home.cast(Message::Restore(accounts)));
    }

    /// What has changed since a store was last told: of each actor up to `most` accounts. Says whether there is more.
    ///
    /// # Errors
    /// An actor does not answer; what others have told stands in the list.
    async fn changes(&self, most: usize, changes: &mut Vec<Change>) -> Result<bool, Unreachable> {
        let mut more = false;
        for shard in self.shards.iter() {
            let (told, rest) = shard.call(ANSWER_WITHIN, |reply| Message::Changes(most, reply)).await?;
            changes.extend(told);
            more |= rest;
        }
        Ok(more)
    }

    /// What the limits have decided and settled so far.
    pub fn counts(&self) -> &Counts {
        &self.common.counts
    }

    /// The refusal that holds longest: this one, or that of an account from `next` on. What no account has decided stays.
    async fn longest(&self, refusal: Refusal, demand: &Demand<'_>, next: usize) -> Refusal {
        let later = Demand { accounts: demand.accounts.get(next..).unwrap_or_default(), ..*demand };
        if later.accounts.is_empty() || !matches!(refusal, Refusal::Short { .. }) {
            return refusal;
        }
        let others = self.look(&later).await.unwrap_or_default();
        others
            .into_iter()
            .flatten()
            .fold(refusal, |longest, other| if other.lasts() > longest.lasts() { other } else { longest })
    }

    async fn admit(
        &self,
        account: &AccountId,
        rules: &Rules,
        ask: Ask,
        member: Option<&ClientId>,
    ) -> Result<Part, Refusal> {
        let shard = home(&self.shards, account);
        // Who shares a pool is of no interest to others.
        let member = member.filter(|_| rules.share()).cloned();
        let reserve = |reply| {
            let (account, rules, home) = (account.clone(), rules.clone(), shard.clone());
            Message::Reserve(Reserve { account, rules, ask, member, home, reply })
        };
        shard.call(ANSWER_WITHIN, reserve).await.unwrap_or_else(|gone| Err(Refusal::Unreachable(gone)))
    }
}

/// Starts actors that share these.
async fn spawn(
    supervisor: &mut Supervisor,
    name: &str,
    count: NonZeroUsize,
    mailbox_limit: usize,
    common: &Common,
) -> Shards<Message> {
    let Common { clock, tracked, counts, store } = common.clone();
    let shard = move |own| {
        let shard = Shard::new(clock.clone(), tracked.clone(), &counts, own);
        match &store {
            Some(store) => shard.stored(store, &counts),
            None => shard,
        }
    };
    supervisor.spawn_shards(name, count, mailbox_limit, shard).await
}

/// The one of these actors that owns an account.
fn home<'a>(shards: &'a Shards<Message>, account: &AccountId) -> &'a Address<Message> {
    match account {
        AccountId::Client(client) => shards.of(client.as_str().as_bytes()),
        AccountId::Pool(scope, group) => {
            let mut key = SmallVec::<[u8; 64]>::from_slice(&scope.0.to_be_bytes());
            key.extend_from_slice(group.as_str().as_bytes());
            shards.of(&key)
        }
        AccountId::Total(scope) => shards.of(&scope.0.to_be_bytes()),
    }
}

impl Refusal {
    fn new(refused: Refused, rules: &Rules) -> Self {
        let rule = |which| {
            let rule = rules.position(which);
            Refusing {
                id: rule.map_or_else(|| "".into(), |rule| Arc::clone(&rule.id)),
                kind: rule.map_or(Kind::Input, |rule| rule.kind),
            }
        };
        match refused {
            Refused::Short { which, retry_after, standing } => {
                Self::Short { retry_after, rule: rule(which), standing }
            }
            Refused::Oversize { which, standing } => Self::Oversize { rule: rule(which), standing },
            Refused::Crowded => Self::Crowded,
        }
    }

    /// How long it holds, if nothing else is charged meanwhile.
    fn lasts(&self) -> Duration {
        match self {
            Self::Short { retry_after, .. } => *retry_after,
            Self::Oversize { .. } => Duration::MAX,
            Self::Crowded | Self::Unreachable(_) => Duration::ZERO,
        }
    }

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
