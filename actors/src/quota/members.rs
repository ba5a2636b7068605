//! Who shares a pool: what each member holds of it, and who has asked lately. Pure; time is an argument.
//!
//! Invariants: a member is here only while one of its buckets was not seen empty; at most [`MOST`] members, of which one
//! more is not told apart: the pool's own limit still holds for it.

use std::{hash::RandomState, time::Duration};

use indexmap::IndexMap;
use smallvec::SmallVec;

use super::{
    ledger::Bucket,
    rule::{Key, Limit, Rule},
    tick::Tick,
};
use crate::principal::ClientId;

/// The members of one pool.
#[derive(Debug, Default)]
pub(super) struct Members {
    all: IndexMap<ClientId, Buckets, RandomState>,
    /// The last two that asked, and when: the newest first, never the same one twice.
    asked: [Option<(ClientId, Tick)>; 2],
    /// The sweep's next position, counted from the end.
    ahead: usize,
}

type Buckets = SmallVec<[Bucket; 1]>;

/// The most members of a pool that are told apart.
const MOST: usize = 65_536;

/// How many members a sweep looks at.
const SWEPT: usize = 8_192;

impl Members {
    /// `member` asks, whatever the answer will be.
    pub(super) fn ask(&mut self, member: &ClientId, at: Tick) {
        let again = self.asked[0].take_if(|(known, _)| known == member);
        if again.is_none() {
            self.asked.swap(0, 1);
        }
        self.asked[0] = Some((again.map_or_else(|| member.clone(), |(known, _)| known), at));
    }

    /// Until when a share holds that `member` would exceed by `need` more; `None`: it does not, or nobody else has asked.
    pub(super) fn short(&self, at: Tick, rule: &Rule, need: u64, member: &ClientId) -> Option<Tick> {
        let (most, limit) = (rule.per_member?, &rule.limit);
        let alone = self.asked_by_others(member)?.after(limit.interval);
        if alone <= at || need == 0 {
            return None;
        }
        let bucket =
            self.all.get(member).and_then(|all| all.iter().find(|bucket| bucket.key() == rule.key()));
        let used = bucket.map_or(0, |bucket| bucket.used(at, limit.interval));
        let excess = (used + u128::from(need)).saturating_sub(u128::from(most));
        let room = match bucket {
            _ if excess == 0 => return None,
            Some(bucket) if need <= most => bucket.room_at(at, limit.interval, excess),
            _ => Tick::END,
        };
        Some(alone.min(room))
    }

    /// `member` has taken `amount` of the bucket.
    pub(super) fn book(&mut self, member: &ClientId, key: Key, at: Tick, amount: u64, limit: &Limit) {
        if !self.all.contains_key(member) && (self.all.len() >= MOST || amount == 0) {
            return;
        }
        let buckets = self.all.entry(member.clone()).or_default();
        let known = buckets.iter_mut().position(|bucket| bucket.key() == key);
        let index = known.unwrap_or_else(|| {
            buckets.push(Bucket::new(key));
            buckets.len() - 1
        });
        let at = buckets[index].clamp(at);
        buckets[index].book(at, amount, limit);
    }

    /// `member` gives back `amount` of what it took `at`.
    pub(super) fn refund(&mut self, member: &ClientId, key: Key, at: Tick, amount: u64) {
        let buckets = self.all.get_mut(member);
        if let Some(bucket) = buckets.and_then(|all| all.iter_mut().find(|bucket| bucket.key() == key)) {
            bucket.refund(at, amount);
        }
    }

    /// Looks at some of the members and forgets those that hold nothing. A removed one's place is taken by the then
    /// last one, which this round has passed already.
    pub(super) fn sweep(&mut self, now: Tick) {
        if self.ahead == 0 {
            self.ahead = self.all.len();
        }
        let stop = self.ahead.saturating_sub(SWEPT);
        for position in (stop..self.ahead).rev() {
            let Some((_, buckets)) = self.all.get_index_mut(position) else { continue };
            buckets.retain(|bucket| !bucket.is_empty(now));
            if buckets.is_empty() {
                self.all.swap_remove_index(position);
            }
        }
        self.ahead = stop;
        let len = self.all.len();
        if self.all.capacity() > (len * 16).max(64) {
            self.all.shrink_to(len * 2);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&ClientId, &[Bucket])> {
        self.all.iter().map(|(member, buckets)| (member, &buckets[..]))
    }

    pub(super) fn restore(&mut self, member: ClientId, buckets: impl IntoIterator<Item = Bucket>) {
        self.all.insert(member, buckets.into_iter().collect());
    }

    /// Whether nobody holds anything, or has asked for so long that no share can hold any more.
    pub(super) fn is_quiet(&self, now: Tick, longest: Duration) -> bool {
        self.all.is_empty() && self.asked.iter().flatten().all(|(_, at)| at.after(longest) <= now)
    }

    fn asked_by_others(&self, member: &ClientId) -> Option<Tick> {
        let other = self.asked.iter().flatten().find(|(known, _)| known != member);
        other.map(|(_, at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::rule::{Kind, Mode, Scope};

    #[test]
    fn members_are_bounded_and_forgotten_when_they_hold_nothing() {
        const MINUTE: Duration = Duration::from_secs(60);
        let key = Key { scope: Scope(0), kind: Kind::Input, mode: Mode::Enforce };
        let limit = Limit { scope: Scope(0), tokens: 1, interval: MINUTE, horizon: [MINUTE].into() };
        let mut members = Members::default();
        let start = Tick::default().after(MINUTE);
        for number in 0..MOST + 10 {
            members.book(&ClientId::new(&number.to_string()), key, start, 1, &limit);
        }
        assert_eq!(members.all.len(), MOST);
        members.refund(&ClientId::new("7"), key, start, 1);
        for _ in 0..MOST / SWEPT {
            members.sweep(start);
        }
        assert_eq!(members.all.len(), MOST - 1, "one gave all back");
        for _ in 0..MOST / SWEPT {
            members.sweep(start.after(MINUTE));
        }
        assert!(members.is_quiet(start.after(MINUTE), MINUTE));
        members.sweep(start.after(MINUTE));
        assert!(members.all.capacity() < 100, "{}", members.all.capacity());
    }
}
