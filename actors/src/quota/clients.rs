//! The accounts of one shard: found by id, clients counted against the cap, swept when empty. Pure but for the counts,
//! which all shards share; time is an argument.
//!
//! Invariants: an account is here only while it was not seen empty; `tracked` counts exactly the clients of all shards,
//! so that the cap is exact; nothing but the sweep forgets an account.

use std::{
    hash::RandomState,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use indexmap::IndexMap;

use super::{
    account::{Account, AccountId, Admission, Kept},
    booked::{Ask, Booked, Step, Target},
    changes::{Change, Changes},
    counts::{Counts, Decision, Own, Per, Settled},
    ledger::{Level, Short, Standing},
    moving::Moved,
    rule::{Mode, Rules},
    tick::Tick,
};
use crate::principal::ClientId;

/// How many clients all shards together remember, the most they may, and whether a store is told of them. Clones are one
/// count.
#[derive(Clone, Debug)]
pub struct Tracked {
    count: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    stored: bool,
}

/// One shard's accounts. The hash is keyed at random, since ids are chosen by clients.
#[derive(Debug)]
pub struct Clients {
    all: IndexMap<AccountId, Account, RandomState>,
    /// How many of them are clients.
    clients: usize,
    tracked: Tracked,
    counts: Own,
    sweep: Sweep,
    /// What a store has not been told; `None` where nothing is stored.
    changes: Option<Changes>,
}

/// What an admission took.
#[derive(Debug)]
pub struct Admitted {
    /// What of what; to be given back or settled.
    pub(super) booked: Booked,
    /// The enforced rule with the smallest share left, by its position, and how it stands now.
    pub(super) tightest: Option<(usize, Standing)>,
}

/// Why nothing was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Not now.
    Short {
        /// Which rule, by its position: the one that needs longest.
        which: usize,
        /// The exact time after which the same request is admitted, if nothing else is charged meanwhile.
        retry_after: Duration,
        /// How the rule stands.
        standing: Standing,
    },
    /// More than a limit itself, or the limit is 0: never.
    Oversize {
        /// Which rule.
        which: usize,
        /// How it stands.
        standing: Standing,
    },
    /// The client is new, and as many as may be are remembered already.
    Crowded,
}

/// Where the sweep is. A round goes down from the last position to the first; a removed account's place is taken by the
/// then last one, which the round has passed, or which came after it began. So positions still ahead never change, and
/// whoever is empty when a round begins is gone when it ends.
#[derive(Debug, Default)]
struct Sweep {
    /// Positions below this one are still to be looked at in this round.
    ahead: usize,
    /// How many of them at a time.
    slice: usize,
}

impl Tracked {
    /// No clients yet, of at most `most`.
    pub fn new(most: usize) -> Self {
        Self { count: Arc::default(), most: Arc::new(AtomicUsize::new(most)), stored: false }
    }

    /// The same, of whom a store is told.
    pub fn stored(self) -> Self {
        Self { stored: true, ..self }
    }

    /// Clients remembered now.
    pub fn count(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// From now on at most `most` are let in; whoever is in stays.
    pub fn set_most(&self, most: usize) {
        self.most.store(most, Relaxed);
    }

    fn enter(&self) -> bool {
        let most = self.most.load(Relaxed);
        let one_more = |count| (count < most).then_some(count + 1);
        self.count.fetch_update(Relaxed, Relaxed, one_more).is_ok()
    }

    /// Enters a client whose call was admitted before: what it still owes is not lost for want of a place.
    fn return_to(&self) {
        self.count.fetch_add(1, Relaxed);
    }

    fn leave(&self, clients: usize) {
        self.count.fetch_sub(clients, Relaxed);
    }
}

impl Clients {
    /// No accounts yet.
    pub fn new(tracked: Tracked, counts: &Counts) -> Self {
        let changes = tracked.stored.then(Changes::default);
        let (counts, sweep) = (counts.own(), Sweep::default());
        Self { all: IndexMap::default(), clients: 0, tracked, counts, sweep, changes }
    }

    /// Of up to `most` accounts that have changed since they were last asked for what is worth storing; and whether there are
    /// more.
    pub(super) fn changes(&mut self, now: Tick, most: usize) -> (Vec<Change>, bool) {
        let Some(changes) = &mut self.changes else { return (Vec::new(), false) };
        changes.take(&mut self.all, now, most)
    }

    /// Of these changes nobody was told after all.
    pub(super) fn untold(&mut self, untold: Vec<Change>) {
        if let Some(changes) = &mut self.changes {
            changes.untold(&mut self.all, untold);
        }
    }

    /// Clients remembered by this shard; pools are not counted.
    #[allow(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> usize {
        self.clients
    }

    /// Takes what a call asks for under all of the account's rules, or nothing. `member` is who asks, for pools.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn admit(
        &mut self,
        now: Tick,
        id: &AccountId,
        rules: &Rules,
        ask: &Ask,
        member: Option<&ClientId>,
    ) -> Result<Admitted, Refused> {
        if let Some(account) = self.all.get_mut(id) {
            let before = account.debt();
            let admission = account.admit(now, rules, ask, member);
            self.counts.owed(account.debt() - before);
            if admission.booked.is_ok() {
                note(&mut self.changes, id, account);
            }
            return answer(&self.counts, Per::from(id), now, rules, account, admission);
        }
        let mut account = Account::default();
        let admission = account.admit(now, rules, ask, member);
        let stays = !account.is_empty(now);
        if stays && id.is_client() && !self.tracked.enter() {
            return Err(Refused::Crowded);
        }
        let answer = answer(&self.counts, Per::from(id), now, rules, &account, admission);
        if stays {
            note(&mut self.changes, id, &mut account);
            self.insert(id.clone(), account);
        }
        answer
    }

    /// Why [`admit`](Self::admit) would refuse now. Takes nothing, and nobody is remembered for it.
    pub fn look(
        &mut self,
        now: Tick,
        id: &AccountId,
        rules: &Rules,
        ask: &Ask,
        member: Option<&ClientId>,
    ) -> Option<Refused> {
        let look = |account: &mut Account| {
            let short = account.look(now, rules, ask, member)?;
            Some(refused(now, rules, account, short))
        };
        match self.all.contains_key(id) {
            true => self.change(now, id, look),
            false => look(&mut Account::default()),
        }
    }

    /// See [`Account::draw`].
    pub(super) fn draw(
        &mut self,
        now: Tick,
        id: &AccountId,
        rules: &Rules,
        (step, shadow): (&Step, bool),
        member: Option<&ClientId>,
    ) -> Result<Booked, usize> {
        let drawn = self.change(now, id, |account| account.draw(now, rules, step, member, shadow));
        self.note(id);
        drawn
    }

    /// See [`Account::settle`].
    pub(super) fn settle(
        &mut self,
        now: Tick,
        id: &AccountId,
        rules: &Rules,
        (booked, target): (Booked, &Target),
        member: Option<&ClientId>,
    ) {
        if !booked.stands(rules, target) {
            self.change(now, id, |account| account.settle(now, rules, booked, target, member));
            self.note(id);
        }
    }

    /// Tokens of a settled call, to be counted once a call.
    pub(super) fn count_settled(&self, tokens: &Settled) {
        self.counts.settled(tokens);
    }

    /// How each of the rules stands for the account.
    pub fn levels(&mut self, now: Tick, id: &AccountId, rules: &Rules) -> Vec<Level> {
        match self.all.contains_key(id) {
            true => self.change(now, id, |account| account.levels(now, rules)),
            false => Account::default().levels(now, rules),
        }
    }

    /// The enforced rule with the smallest share left, and how it stands.
    pub(super) fn tightest(&self, now: Tick, id: &AccountId, rules: &Rules) -> Option<(usize, Standing)> {
        match self.all.get(id) {
            Some(account) => account.tightest(now, rules),
            None => Account::default().tightest(now, rules),
        }
    }

    /// Looks at the next of `slices` equal parts of the accounts and forgets those that have nothing left. A round takes
    /// so many calls; who becomes empty during one is gone at the end of the next.
    pub fn sweep(&mut self, now: Tick, slices: usize) {
        if self.sweep.ahead == 0 {
            self.shrink();
            let len = self.all.len();
            self.sweep = Sweep { ahead: len, slice: len.div_ceil(slices) };
        }
        let stop = self.sweep.ahead.saturating_sub(self.sweep.slice);
        for position in (stop..self.sweep.ahead).rev() {
            self.visit(now, position);
        }
        self.sweep.ahead = stop;
    }

    /// Takes up to `most` accounts out, to be moved to other shards. What has settled since they were asked for belongs
    /// to the new place as well: whoever moves them passes later messages on.
    pub fn export(&mut self, now: Tick, most: usize) -> Vec<Moved> {
        self.hand_over(most).into_iter().map(|(id, account)| account.moved(&id, now)).collect()
    }

    /// As [`export`](Self::export), for shards of the same clock: the accounts themselves.
    pub(super) fn hand_over(&mut self, most: usize) -> Vec<(AccountId, Account)> {
        self.sweep = Sweep::default();
        let from = self.all.len().saturating_sub(most);
        let taken = self.all.split_off(from);
        let clients = taken.keys().filter(|id| id.is_client()).count();
        self.clients -= clients;
        self.tracked.leave(clients);
        taken.values().for_each(|account| self.counts.owed(-account.debt()));
        taken.into_iter().collect()
    }

    /// Whether there is nothing to hand over any more.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether the account is here.
    pub(super) fn has(&self, id: &AccountId) -> bool {
        self.all.contains_key(id)
    }

    /// Copies of all accounts, to be stored.
    pub fn snapshot(&self, now: Tick) -> impl Iterator<Item = Moved> {
        self.all.iter().map(move |(id, account)| account.moved(id, now))
    }

    /// Takes in accounts of elsewhere; one that is here already is replaced. They are never refused for the cap.
    pub fn import(&mut self, now: Tick, moved: impl IntoIterator<Item = Moved>) {
        self.take_over(moved.into_iter().map(|one| Account::restored(one, now)));
    }

    /// As [`import`](Self::import), from shards of the same clock.
    pub(super) fn take_over(&mut self, accounts: impl IntoIterator<Item = (AccountId, Account)>) {
        for (id, account) in accounts {
            self.take_in(id.clone(), account);
            self.note(&id);
        }
    }

    /// As [`import`](Self::import), out of the very store that is told of changes.
    pub(super) fn restore(&mut self, now: Tick, stored: impl IntoIterator<Item = Moved>) {
        for (id, account) in stored.into_iter().map(|one| Account::restored(one, now)) {
            self.take_in(id, account);
        }
    }

    fn take_in(&mut self, id: AccountId, mut account: Account) {
        account.kept = Kept { stored: self.changes.is_some(), changed: false };
        self.counts.owed(account.debt());
        if let Some(replaced) = self.all.get(&id) {
            self.counts.owed(-replaced.debt());
        } else if id.is_client() {
            self.tracked.return_to();
        }
        self.insert(id, account);
    }

    /// Changes an account that is here, or was when the call was admitted.
    fn change<R>(&mut self, now: Tick, id: &AccountId, change: impl FnOnce(&mut Account) -> R) -> R {
        if let Some(account) = self.all.get_mut(id) {
            let before = account.debt();
            let answer = change(account);
            self.counts.owed(account.debt() - before);
            return answer;
        }
        let mut account = Account::default();
        let answer = change(&mut account);
        if !account.is_empty(now) {
            self.counts.owed(account.debt());
            if id.is_client() {
                self.tracked.return_to();
            }
            self.insert(id.clone(), account);
        }
        answer
    }

    /// An account that was looked up before has changed.
    fn note(&mut self, id: &AccountId) {
        if self.changes.is_some()
            && let Some(account) = self.all.get_mut(id)
        {
            note(&mut self.changes, id, account);
        }
    }

    fn insert(&mut self, id: AccountId, account: Account) {
        let is_client = id.is_client();
        if self.all.insert(id, account).is_none() {
            self.clients += usize::from(is_client);
        }
    }

    fn visit(&mut self, now: Tick, position: usize) {
        let Some((id, account)) = self.all.get_index_mut(position) else { return };
        let (is_client, before) = (id.is_client(), account.debt());
        let is_empty = account.sweep(now);
        self.counts.owed(account.debt() - before);
        if is_empty {
            if let (Some(changes), true) = (&mut self.changes, account.kept.stored) {
                changes.forget(id.clone());
            }
            self.all.swap_remove_index(position);
            self.clients -= usize::from(is_client);
            self.tracked.leave(is_client.into());
        }
    }

    /// Gives memory back after a flood. Few are left then, so moving them is cheap.
    fn shrink(&mut self) {
        const KEPT: usize = 1_024;
        let len = self.all.len();
        if self.all.capacity() > KEPT.max(len * 16) {
            self.all.shrink_to(len * 2);
        }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.tracked.leave(self.clients);
    }
}

/// One look-up less than [`Clients::note`].
fn note(changes: &mut Option<Changes>, id: &AccountId, account: &mut Account) {
    if let Some(changes) = changes {
        changes.note(id, &mut account.kept);
    }
}

/// Says, and counts, what an admission came to.
fn answer(
    counts: &Own,
    per: Per,
    now: Tick,
    rules: &Rules,
    account: &Account,
    Admission { booked, refusing }: Admission,
) -> Result<Admitted, Refused> {
    count_decisions(counts, per, rules, booked.is_ok(), refusing);
    match booked {
        Ok(booked) => Ok(Admitted { booked, tightest: account.tightest(now, rules) }),
        Err(short) => Err(refused(now, rules, account, short)),
    }
}

/// Counts what each limit decided; `refusing` has the kinds that refuse, as bits.
pub(super) fn count_decisions(counts: &Own, per: Per, rules: &Rules, admitted: bool, refusing: u8) {
    let refuses = |kind| refusing & (1 << kind as u8) > 0;
    for rule in rules.lanes().map(|lane| &lane[0]) {
        let decision = match (admitted, rule.mode, refuses(rule.kind)) {
            (false, Mode::Enforce, true) => Decision::Refused,
            (false, ..) => continue,
            (true, Mode::Shadow, true) => Decision::ShadowRefused,
            (true, ..) => Decision::Admitted,
        };
        counts.decided(per, rule.kind, decision);
    }
}

fn refused(now: Tick, rules: &Rules, account: &Account, Short { which, until }: Short) -> Refused {
    let standing = rules.position(which).map(|rule| account.standing(now, rules, rule));
    let standing = standing.unwrap_or(Standing { limit: 0, remaining: 0, reset_after: Duration::ZERO });
    match until {
        Some(until) => Refused::Short { which, retry_after: until.since(now), standing },
        None => Refused::Oversize { which, standing },
    }
}

#[cfg(test)]
mod tests;
