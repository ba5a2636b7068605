//! What one owner of limits has spent: a client, a group's pool, or all callers of a provider or model. One call takes
//! from all buckets of an account or from none. Pure; time is an argument.
//!
//! Invariants: checks come first and mutate nothing but the entering of debt that was due; a bucket is here while it is
//! not empty; `open` counts the calls that will come back to change something.

use std::time::Duration;

use smallvec::SmallVec;

use super::{
    Scope,
    booked::{Ask, Booked, Charge, Step, Target},
    ledger::{Bucket, Level, Short, Standing, Worst as _, limits},
    members::Members,
    rule::{Key, Kind, Mode, Rule, Rules},
    tick::Tick,
};
use crate::principal::{ClientId, Group};

/// Whose limits. Ids of different kinds are different, however they are spelled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AccountId {
    /// One client's.
    Client(ClientId),
    /// The pool that a group shares.
    Pool(Scope, Group),
    /// All callers of a provider or model together.
    Total(Scope),
}

/// One owner's buckets.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// Most clients use one.
    buckets: SmallVec<[Bucket; 1]>,
    /// Calls under way that outlast their admission.
    open: u32,
    /// What a store has of it.
    pub(super) kept: Kept,
    /// What few accounts have.
    rare: Option<Box<Rare>>,
}

/// What a store knows of an account.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kept {
    /// It has an older version, or will have.
    pub(super) stored: bool,
    /// It waits to be told the present one.
    pub(super) changed: bool,
}

#[derive(Debug, Default)]
struct Rare {
    flights: SmallVec<[Flight; 1]>,
    members: Members,
}

/// Calls in flight under one scope.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    pub(super) key: Key,
    pub(super) calls: u64,
}

/// Which rules refuse.
#[derive(Clone, Copy, Debug, Default)]
struct Refusing {
    /// The one that needs longest, by its position; and when it does not refuse any more.
    worst: Option<Short>,
    /// The kinds of all, as bits.
    kinds: u8,
}

/// What an admission did.
#[derive(Debug)]
pub(super) struct Admission {
    pub(super) booked: Result<Booked, Short>,
    /// The kinds of the rules that refused, or, if none did, of the shadow rules that would have, as bits.
    pub(super) refusing: u8,
}

/// How long a call waits that finds too many in flight: nobody knows when one ends.
const BUSY: Duration = Duration::from_secs(1);

impl AccountId {
    /// Whether it is a client's: only these are counted against the cap.
    pub fn is_client(&self) -> bool {
        matches!(self, Self::Client(_))
    }
}

impl Account {
    /// Takes what a call asks for from every bucket that its rules name, or from none.
    pub(super) fn admit(
        &mut self,
        now: Tick,
        rules: &Rules,
        ask: &Ask,
        member: Option<&ClientId>,
    ) -> Admission {
        let at = self.present(now, rules, true);
        let enforced = self.refusing(at, rules, Mode::Enforce, ask, member);
        if let Some(member) = member.filter(|_| rules.share()) {
            self.rare().members.ask(member, at);
        }
        if let Some(short) = enforced.worst {
            return Admission { booked: Err(short), refusing: enforced.kinds };
        }
        let shadow = match rules.shadow() {
            true => self.refusing(at, rules, Mode::Shadow, ask, member),
            false => Refusing::default(),
        };
        let booked = self.take(at, rules, ask, member, shadow.worst.is_none());
        Admission { booked: Ok(booked), refusing: shadow.kinds }
    }

    /// Which rule would refuse the call now, of those that would the one that needs longest. Takes nothing.
    pub(super) fn look(
        &mut self,
        now: Tick,
        rules: &Rules,
        ask: &Ask,
        member: Option<&ClientId>,
    ) -> Option<Short> {
        let at = self.present(now, rules, true);
        self.refusing(at, rules, Mode::Enforce, ask, member).worst
    }

    /// A stream goes on: charges what it has produced, and leases the next block unless a rule that cuts is used up.
    ///
    /// # Errors
    /// The position of that rule. Nothing is changed then.
    pub(super) fn draw(
        &mut self,
        now: Tick,
        rules: &Rules,
        step: &Step,
        member: Option<&ClientId>,
        shadow: bool,
    ) -> Result<Booked, usize> {
        let at = self.present(now, rules, false);
        for (which, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.cuts()) {
            let spent = step.spent.of(rule.kind).saturating_sub(step.piece.of(rule.kind));
            let returned = step.returned.of(rule.kind);
            let is_spent = self.bucket(rule.key()).map_or(spent >= rule.limit.tokens, |bucket| {
                bucket.is_spent(at, &rule.limit, spent, returned)
            });
            if is_spent {
                return Err(which);
            }
        }
        let mut booked = Booked { returned: step.returned, taken: step.taken, shadow, ..Booked::default() };
        for lane in rules.lanes().filter(|lane| lane[0].kind.flows() && (shadow || is_enforced(lane))) {
            self.charge(at, step.spent.of(lane[0].kind), rules, lane, member, &mut booked);
            self.lease(lane[0].key(), step.taken.of(lane[0].kind), step.returned.of(lane[0].kind));
        }
        Ok(booked)
    }

    /// Ends a call, or a step of one: whatever was charged becomes `target`, what was leased and held is given back.
    pub(super) fn settle(
        &mut self,
        now: Tick,
        rules: &Rules,
        mut booked: Booked,
        target: &Target,
        member: Option<&ClientId>,
    ) {
        let (at, shadow) = (self.present(now, rules, false), booked.shadow);
        for lane in rules.lanes().filter(|lane| shadow || is_enforced(lane)) {
            let (key, kind) = (lane[0].key(), lane[0].kind);
            if kind == Kind::Concurrent {
                self.land(key, booked.held);
                continue;
            }
            let (is, wanted) = (booked.amount(key), target.of(kind));
            if wanted > is {
                self.charge(at, wanted - is, rules, lane, member, &mut booked);
            } else if wanted < is {
                self.refund(at, rules, &mut booked, key, is - wanted, member);
            }
            self.lease(key, booked.returned.of(kind), booked.taken.of(kind));
        }
        if booked.held && rules.outlast_admission() {
            self.open = self.open.saturating_sub(1);
        }
    }

    /// How each of the rules stands.
    pub(super) fn levels(&mut self, now: Tick, rules: &Rules) -> Vec<Level> {
        let at = self.present(now, rules, true);
        let level = |rule: &Rule| match self.bucket(rule.key()) {
            _ if rule.kind == Kind::Concurrent => {
                let used = self.in_flight(rule.key());
                Level {
                    used,
                    remaining: rule.limit.tokens.saturating_sub(used),
                    ..Level::untouched(&rule.limit)
                }
            }
            Some(bucket) => bucket.level(at, limits(rules.lane(rule.key())), &rule.limit),
            None => Level::untouched(&rule.limit),
        };
        rules.iter().map(level).collect()
    }

    /// How the enforced rule stands that has the smallest share left.
    pub(super) fn tightest(&self, now: Tick, rules: &Rules) -> Option<(usize, Standing)> {
        let enforced = rules.iter().enumerate().filter(|(_, rule)| rule.mode == Mode::Enforce);
        let windows = enforced.filter(|(_, rule)| rule.kind != Kind::Concurrent);
        let standings = windows.map(|(which, rule)| (which, self.standing(now, rules, rule)));
        standings.reduce(|least, other| if other.1.is_tighter(&least.1) { other } else { least })
    }

    /// How a rule stands.
    pub(super) fn standing(&self, now: Tick, rules: &Rules, rule: &Rule) -> Standing {
        let Some(bucket) = self.bucket(rule.key()) else { return Standing::untouched(&rule.limit) };
        let Level { remaining, reset_after, .. } =
            bucket.level(now, limits(rules.lane(rule.key())), &rule.limit);
        Standing { limit: rule.limit.tokens, remaining, reset_after }
    }

    /// Tokens that wait, over all buckets of tokens that are enforced.
    pub(super) fn debt(&self) -> i64 {
        let counts = |bucket: &&Bucket| bucket.key().kind.is_tokens() && bucket.key().mode == Mode::Enforce;
        let debts = self.buckets.iter().filter(counts).map(Bucket::debt);
        debts.fold(0, |sum: i64, debt| sum.saturating_add(i64::try_from(debt).unwrap_or(i64::MAX)))
    }

    /// Lets debt enter and forgets what is empty. Whether nothing is left.
    pub(super) fn sweep(&mut self, now: Tick) -> bool {
        for bucket in &mut self.buckets {
            bucket.advance(now, None);
        }
        if self.buckets.iter().any(|bucket| bucket.is_empty(now)) {
            self.buckets.retain(|bucket| !bucket.is_empty(now));
        }
        if let Some(rare) = &mut self.rare {
            const LONGEST: Duration = Duration::from_secs(31 * 86_400);
            rare.flights.retain(|flight| flight.calls > 0);
            rare.members.sweep(now);
            if rare.flights.is_empty() && rare.members.is_quiet(now, LONGEST) {
                self.rare = None;
            }
        }
        self.is_empty(now)
    }

    /// Whether forgetting the account changes no answer.
    pub(super) fn is_empty(&self, now: Tick) -> bool {
        self.open == 0 && self.rare.is_none() && self.buckets.iter().all(|bucket| bucket.is_empty(now))
    }

    /// The present for all buckets of the call at once; debt that was due has entered. From now on it enters under these
    /// rules if they are `current`, and not only those under which a call was admitted some time ago.
    fn present(&mut self, now: Tick, rules: &Rules, current: bool) -> Tick {
        let mut at = now;
        for bucket in &mut self.buckets {
            bucket.advance(now, Some(rules).filter(|_| current));
            if !rules.lane(bucket.key()).is_empty() {
                at = at.max(bucket.clamp(now));
            }
        }
        at
    }

    /// The rules of one mode that refuse.
    fn refusing(
        &self,
        at: Tick,
        rules: &Rules,
        mode: Mode,
        ask: &Ask,
        member: Option<&ClientId>,
    ) -> Refusing {
        let (mut refusing, mut before) = (Refusing::default(), 0);
        for lane in rules.lanes() {
            if lane[0].mode == mode
                && let Err(short) = self.check(at, lane, ask, member)
            {
                let short = Short { which: before + short.which, ..short };
                refusing.worst = refusing.worst.max_by_until(short);
                refusing.kinds |= 1 << lane[0].kind as u8;
            }
            before += lane.len();
        }
        refusing
    }

    /// Whether the call fits under the rules of one bucket.
    fn check(&self, at: Tick, lane: &[Rule], ask: &Ask, member: Option<&ClientId>) -> Result<(), Short> {
        let (key, need) = (lane[0].key(), ask.needs(lane[0].kind));
        if key.kind == Kind::Concurrent {
            return self.check_flights(at, lane, key);
        }
        if need == 0 && key.kind.flows() {
            return Ok(());
        }
        let fits = match self.bucket(key) {
            Some(bucket) => bucket.check(at, limits(lane), need),
            None => Bucket::check_empty(limits(lane), need),
        };
        let (Some(rare), Some(member)) = (&self.rare, member) else { return fits };
        lane.iter().enumerate().fold(fits, |fits, (which, rule)| {
            let Some(until) = rare.members.short(at, rule, need, member) else { return fits };
            fits.err().max_by_until(Short { which, until: Some(until) }).map_or(Ok(()), Err)
        })
    }

    fn check_flights(&self, at: Tick, lane: &[Rule], key: Key) -> Result<(), Short> {
        let calls = self.in_flight(key);
        match lane.iter().position(|rule| calls >= rule.limit.tokens) {
            Some(which) if lane[which].limit.tokens == 0 => Err(Short { which, until: None }),
            Some(which) => Err(Short { which, until: Some(at.after(BUSY)) }),
            None => Ok(()),
        }
    }

    /// Books what was found to fit.
    fn take(
        &mut self,
        at: Tick,
        rules: &Rules,
        ask: &Ask,
        member: Option<&ClientId>,
        shadow: bool,
    ) -> Booked {
        let mut booked = Booked { held: true, shadow, ..Booked::default() };
        for lane in rules.lanes().filter(|lane| shadow || is_enforced(lane)) {
            let (rule, amount) = (&lane[0], ask.takes(lane[0].kind));
            if rule.kind == Kind::Concurrent {
                self.start(rule.key());
            } else if amount > 0 {
                self.bucket_mut(rule.key()).book(at, amount, &rule.limit);
                booked.add(Charge { key: rule.key(), at, amount, owed: 0 });
                self.book_member(at, lane, amount, member);
            }
        }
        if rules.outlast_admission() {
            self.open = self.open.saturating_add(1);
        }
        booked
    }

    /// Charges what has been used already, whether it fits or not.
    fn charge(
        &mut self,
        at: Tick,
        amount: u64,
        rules: &Rules,
        lane: &[Rule],
        member: Option<&ClientId>,
        booked: &mut Booked,
    ) {
        if amount == 0 {
            return;
        }
        let key = lane[0].key();
        let owed = self.bucket_mut(key).charge(at, amount, rules);
        booked.add(Charge { key, at, amount, owed });
        self.book_member(at, lane, amount, member);
    }

    /// Gives back `amount` of a bucket's charges, the newest first.
    fn refund(
        &mut self,
        at: Tick,
        rules: &Rules,
        booked: &mut Booked,
        key: Key,
        mut amount: u64,
        member: Option<&ClientId>,
    ) {
        for charge in booked.charges.iter_mut().rev().filter(|charge| charge.key == key) {
            let back = amount.min(charge.amount);
            if back == 0 {
                return;
            }
            if let Some(bucket) = self.buckets.iter_mut().find(|bucket| bucket.key() == key) {
                bucket.give_back(at, charge.at, back, charge.owed, rules);
            }
            if let (Some(rare), Some(member)) = (&mut self.rare, member) {
                rare.members.refund(member, key, charge.at, back);
            }
            charge.amount -= back;
            amount -= back;
        }
    }

    fn book_member(&mut self, at: Tick, lane: &[Rule], amount: u64, member: Option<&ClientId>) {
        let shared = lane.iter().any(|rule| rule.per_member.is_some());
        if let Some(member) = member.filter(|_| shared) {
            self.rare().members.book(member, lane[0].key(), at, amount, &lane[0].limit);
        }
    }

    fn lease(&mut self, key: Key, taken: u64, returned: u64) {
        if taken != returned {
            let difference = i128::from(taken) - i128::from(returned);
            let most = i128::from(i64::MAX);
            self.bucket_mut(key).lease(i64::try_from(difference.clamp(-most, most)).unwrap_or_default());
        }
    }

    /// One more call is in flight.
    fn start(&mut self, key: Key) {
        let flights = &mut self.rare().flights;
        match flights.iter_mut().find(|flight| flight.key == key) {
            Some(flight) => flight.calls += 1,
            None => flights.push(Flight { key, calls: 1 }),
        }
    }

    /// A call that was in flight, if it `was`, is not any more.
    fn land(&mut self, key: Key, was: bool) {
        let flights = self.rare.as_mut().filter(|_| was).map(|rare| &mut rare.flights);
        if let Some(flight) = flights.and_then(|all| all.iter_mut().find(|flight| flight.key == key)) {
            flight.calls = flight.calls.saturating_sub(1);
        }
    }

    fn in_flight(&self, key: Key) -> u64 {
        let mut flights = self.rare.iter().flat_map(|rare| &rare.flights);
        flights.find(|flight| flight.key == key).map_or(0, |flight| flight.calls)
    }

    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    fn bucket(&self, key: Key) -> Option<&Bucket> {
        self.buckets.iter().find(|bucket| bucket.key() == key)
    }

    fn bucket_mut(&mut self, key: Key) -> &mut Bucket {
        let known = self.buckets.iter().position(|bucket| bucket.key() == key);
        let index = known.unwrap_or_else(|| {
            self.buckets.push(Bucket::new(key));
            self.buckets.len() - 1
        });
        &mut self.buckets[index]
    }
}

/// What is moved elsewhere.
impl Account {
    pub(super) fn with(
        buckets: impl IntoIterator<Item = Bucket>,
        open: u32,
        flights: impl IntoIterator<Item = Flight>,
    ) -> Self {
        let mut account =
            Self { buckets: buckets.into_iter().collect(), open, rare: None, kept: Kept::default() };
        let flights: SmallVec<_> = flights.into_iter().collect();
        if !flights.is_empty() {
            account.rare().flights = flights;
        }
        account
    }

    pub(super) fn restore_member(&mut self, member: ClientId, buckets: impl IntoIterator<Item = Bucket>) {
        self.rare().members.restore(member, buckets);
    }

    pub(super) fn buckets(&self) -> &[Bucket] {
        &self.buckets
    }

    pub(super) fn open(&self) -> u32 {
        self.open
    }

    pub(super) fn flights(&self) -> &[Flight] {
        self.rare.as_ref().map_or(&[], |rare| &rare.flights)
    }

    pub(super) fn members(&self) -> impl Iterator<Item = (&ClientId, &[Bucket])> {
        self.rare.iter().flat_map(|rare| rare.members.iter())
    }
}

fn is_enforced(lane: &[Rule]) -> bool {
    lane[0].mode == Mode::Enforce
}
