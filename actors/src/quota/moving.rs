//! Accounts as plain values, for another shard or for a store. Instants become ages, so that neither the clock's origin
//! nor the wall clock matters. Nothing here stores or sends. Units: nanoseconds; amounts in those of their kind.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    Scope,
    account::{Account, AccountId, Flight},
    ledger::Bucket,
    rule::{Key, Kind, Limit, Mode, Rule, Rules},
    tick::Tick,
    window::{Slot, Window},
};
use crate::principal::{ClientId, Group};

/// One account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Whose.
    pub owner: Owner,
    /// Its buckets.
    pub buckets: Vec<MovedBucket>,
    /// What its members hold, in a pool.
    pub members: Vec<(String, Vec<MovedBucket>)>,
    /// What is under way.
    pub flying: Flying,
}

/// An account's id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Owner {
    /// A client.
    Client(String),
    /// A group's pool under a scope.
    Pool(u32, String),
    /// All callers of a scope.
    Total(u32),
}

/// One bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedBucket {
    /// Its scope.
    pub scope: u32,
    /// The position of its kind in [`Kind::ALL`].
    pub kind: u8,
    /// Whether it is one of shadow rules.
    pub shadow: bool,
    /// How long it remembers.
    pub memory: u64,
    /// What is in its window, oldest first.
    pub slots: Vec<MovedSlot>,
    /// What waits to enter, oldest first.
    pub debt: Vec<MovedSlot>,
    /// The limits it waits for: amount and interval.
    pub limits: Vec<(u64, u64)>,
    /// Blocks that streams have drawn.
    pub leased: u64,
}

/// An amount, and how long ago the first and the last of it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedSlot {
    /// Age of the first.
    pub first: u64,
    /// Age of the last.
    pub last: u64,
    /// How much.
    pub amount: u64,
}

/// What the calls under way hold. A new process has none of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flying {
    /// Calls that will come back to settle.
    pub open: u32,
    /// Calls in flight: scope, shadow, how many.
    pub flights: Vec<(u32, bool, u64)>,
}

impl Moved {
    /// Shorter windows are over before a process is up again.
    pub const WORTH: Duration = Duration::from_secs(60);

    /// The account without what only this process' calls would ever give back.
    pub fn at_rest(mut self) -> Self {
        self.flying = Flying::default();
        self.buckets.iter_mut().for_each(|bucket| bucket.leased = 0);
        self
    }

    /// What of it is worth storing, if anything: windows longer than [`Self::WORTH`], and what waits to enter them.
    pub fn kept(self) -> Option<Self> {
        let worth = |bucket: &MovedBucket| bucket.memory > nanos(Self::WORTH) && !bucket.is_empty();
        let mut kept = self.at_rest();
        kept.buckets.retain(worth);
        kept.members.iter_mut().for_each(|(_, buckets)| buckets.retain(worth));
        kept.members.retain(|(_, buckets)| !buckets.is_empty());
        (!kept.buckets.is_empty() || !kept.members.is_empty()).then_some(kept)
    }

    /// The same, `later` than it was taken: what a store does with the time for which nobody ran.
    pub fn aged(mut self, later: Duration) -> Self {
        let later = u64::try_from(later.as_nanos()).unwrap_or(u64::MAX);
        let members = self.members.iter_mut().flat_map(|(_, buckets)| buckets);
        for bucket in self.buckets.iter_mut().chain(members) {
            for slot in bucket.slots.iter_mut().chain(&mut bucket.debt) {
                slot.first = slot.first.saturating_add(later);
                slot.last = slot.last.saturating_add(later);
            }
        }
        self
    }

    /// Its id.
    pub fn id(&self) -> AccountId {
        match &self.owner {
            Owner::Client(client) => AccountId::Client(ClientId::new(client)),
            Owner::Pool(scope, group) => AccountId::Pool(Scope(*scope), Group::new(group)),
            Owner::Total(scope) => AccountId::Total(Scope(*scope)),
        }
    }
}

impl Owner {
    pub(super) fn of(id: &AccountId) -> Self {
        match id {
            AccountId::Client(client) => Self::Client(client.as_str().to_owned()),
            AccountId::Pool(scope, group) => Self::Pool(scope.0, group.as_str().to_owned()),
            AccountId::Total(scope) => Self::Total(scope.0),
        }
    }
}

impl Account {
    pub(super) fn moved(&self, id: &AccountId, now: Tick) -> Moved {
        let buckets = |all: &[Bucket]| all.iter().map(|bucket| bucket.moved(now)).collect();
        let member = |(member, all): (&ClientId, &[Bucket])| (member.as_str().to_owned(), buckets(all));
        let flight = |flight: &Flight| (flight.key.scope.0, flight.key.mode == Mode::Shadow, flight.calls);
        let flying = Flying { open: self.open(), flights: self.flights().iter().map(flight).collect() };
        Moved {
            owner: Owner::of(id),
            buckets: buckets(self.buckets()),
            members: self.members().map(member).collect(),
            flying,
        }
    }

    pub(super) fn restored(moved: Moved, now: Tick) -> (AccountId, Self) {
        let id = moved.id();
        let restored = |all: Vec<MovedBucket>| all.into_iter().filter_map(move |one| one.restored(now));
        let flights = moved.flying.flights.into_iter().map(|(scope, shadow, calls)| {
            let key = Key { scope: Scope(scope), kind: Kind::Concurrent, mode: mode(shadow) };
            Flight { key, calls }
        });
        let mut account = Self::with(restored(moved.buckets), moved.flying.open, flights);
        for (member, buckets) in moved.members {
            account.restore_member(ClientId::new(&member), restored(buckets));
        }
        (id, account)
    }
}

impl Bucket {
    fn moved(&self, now: Tick) -> MovedBucket {
        let age = |at: Tick| nanos(now.since(at));
        let slot =
            |slot: &Slot| MovedSlot { first: age(slot.first), last: age(slot.last), amount: slot.amount };
        let limit = |rule: &Rule| (rule.limit.tokens, nanos(rule.limit.interval));
        MovedBucket {
            scope: self.key().scope.0,
            kind: self.key().kind as u8,
            shadow: self.key().mode == Mode::Shadow,
            memory: nanos(self.window().memory()),
            slots: self.window().slots().iter().map(slot).collect(),
            debt: self.waiting().map(slot).collect(),
            limits: self.waits_under().iter().map(limit).collect(),
            leased: self.leased(),
        }
    }
}

impl MovedBucket {
    fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.debt.is_empty()
    }

    /// `None` for a kind that this version does not know, and for ages that do not descend.
    fn restored(self, now: Tick) -> Option<Bucket> {
        let kind = *Kind::ALL.get(usize::from(self.kind))?;
        let key = Key { scope: Scope(self.scope), kind, mode: mode(self.shadow) };
        let then = |age: u64| Tick::from_nanos(now.as_nanos().saturating_sub(age));
        let slot =
            |slot: &MovedSlot| Slot { first: then(slot.first), last: then(slot.last), amount: slot.amount };
        let (slots, debt): (Vec<_>, Vec<_>) =
            (self.slots.iter().map(slot).collect(), self.debt.iter().map(slot).collect());
        let mut window = Window::default();
        window.remember(Duration::from_nanos(self.memory));
        ascends(&slots).then(|| slots.iter().for_each(|slot| window.restore(*slot)))?;
        ascends(&debt)
            .then(|| Bucket::restored(key, window, &debt, rules(key, &self.limits, self.memory), self.leased))
    }
}

/// The limits that debt waits for, as rules: over all that the bucket remembers, since others may look at longer windows.
fn rules(key: Key, limits: &[(u64, u64)], memory: u64) -> Rules {
    let rule = |(tokens, interval): &(u64, u64)| {
        let interval = Duration::from_nanos(*interval);
        let horizon = Arc::new([interval, Duration::from_nanos(memory)]);
        let limit = Limit { scope: key.scope, tokens: *tokens, interval, horizon };
        Rule { mode: key.mode, ..Rule::new(key.kind, limit, "") }
    };
    limits.iter().map(rule).collect()
}

fn ascends(slots: &[Slot]) -> bool {
    slots.iter().all(|slot| slot.first <= slot.last && slot.amount > 0)
        && slots.windows(2).all(|pair| pair[0].last <= pair[1].first)
}

fn mode(shadow: bool) -> Mode {
    if shadow { Mode::Shadow } else { Mode::Enforce }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
