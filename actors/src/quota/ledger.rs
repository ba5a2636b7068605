//! The rule of a limit, as pure arithmetic over (bucket, now, request): no clock, no channel, no task.
//!
//! Guarantee: never is more than `limit.tokens` in any half-open span of `limit.interval`; a full limit may be spent at
//! once; room comes back no later than `min(interval / 60, 15 min)` after the tokens leave the window. What is charged
//! beyond waits as debt and enters at the very instant at which room appears under every rule of the bucket, ahead of
//! any new call. How tokens are remembered is the business of `window`. Units: those of the kind, and [`Tick`]s.

use std::{iter, time::Duration};

use super::{
    debt::Debt,
    rule::{Key, Limit, Rule, Rules},
    tick::Tick,
    window::{Slot, Window, width},
};

/// What an account has spent of one kind under one scope. Rules of several intervals may draw from it; it remembers for
/// the longest interval it has heard of.
#[derive(Clone, Debug)]
pub struct Bucket {
    key: Key,
    window: Window,
    /// Few buckets have any.
    beyond: Option<Box<Beyond>>,
}

/// What a bucket holds beside its window.
#[derive(Clone, Debug, Default)]
struct Beyond {
    debt: Debt,
    /// The rules under which the debt enters when nobody calls: the last heard of.
    rules: Rules,
    /// Blocks that streams have drawn and not used up yet. They count for further blocks only.
    leased: u64,
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

/// How a limit stands at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The limit's tokens.
    pub limit: u64,
    /// What would be admitted now.
    pub remaining: u64,
    /// Until the whole limit is back, if nothing else is admitted.
    pub reset_after: Duration,
}

/// How a limit stands, for whoever asks what is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// What is in the window; calls in flight.
    pub used: u64,
    /// What would be admitted now; 0 while there is debt.
    pub remaining: u64,
    /// Until the whole limit is back, debt included, if nothing else is charged. Zero for calls in flight.
    pub reset_after: Duration,
    /// What waits to enter the window.
    pub debt: u64,
}

/// Which of a bucket's rules refuses, and when it would not; `None` = never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Short {
    pub(super) which: usize,
    pub(super) until: Option<Tick>,
}

/// The limits that share a bucket.
pub(super) trait Limits<'a>: Iterator<Item = &'a Limit> + Clone {}

impl<'a, L: Iterator<Item = &'a Limit> + Clone> Limits<'a> for L {}

/// How many times debt may enter at one look, and in the computation of one promise. Only reached by a debt of hundreds
/// of limits under several intervals: the rest enters at the next look, and the promise is an upper guess.
const STEPS: usize = 2_048;

impl Bucket {
    /// An empty bucket.
    pub fn new(key: Key) -> Self {
        Self { key, window: Window::default(), beyond: None }
    }

    /// Which of an account's buckets this is.
    pub fn key(&self) -> Key {
        self.key
    }

    /// Takes `amount` tokens under `limit` if they fit, and nothing if not. An `amount` of 0 leaves no trace.
    pub fn admit(&mut self, now: Tick, limit: &Limit, amount: u64) -> Verdict {
        let at = self.clamp(now);
        match self.check(at, iter::once(limit), amount) {
            Ok(()) => {
                self.book(at, amount, limit);
                Verdict::Admitted { at }
            }
            Err(Short { until: None, .. }) => Verdict::Oversize,
            Err(Short { until: Some(until), .. }) => Verdict::Short { retry_after: until.since(now) },
        }
    }

    /// Gives `amount` tokens that were admitted `at` back to where they were booked. What has left the bucket since
    /// needs no refund.
    pub fn refund(&mut self, at: Tick, amount: u64) {
        self.window.take(at, amount);
    }

    /// How `limit` stands.
    pub fn standing(&self, now: Tick, limit: &Limit) -> Standing {
        let Level { remaining, reset_after, .. } = self.level(now, iter::once(limit), limit);
        Standing { limit: limit.tokens, remaining, reset_after }
    }

    /// Whether no window can see any token of the bucket, nothing waits and nothing is leased, so that forgetting it
    /// changes no answer.
    pub fn is_empty(&self, now: Tick) -> bool {
        let at = self.clamp(now);
        self.beyond.is_none()
            && self.window.newest().is_none_or(|newest| newest.leaves(self.window.memory()) <= at)
    }

    /// The present, which is never before anything that has happened.
    pub(super) fn clamp(&self, now: Tick) -> Tick {
        self.window.clamp(now)
    }

    /// What waits to enter.
    pub(super) fn debt(&self) -> u128 {
        self.beyond.as_ref().map_or(0, |beyond| beyond.debt.total())
    }

    /// What is in the window of `interval`.
    pub(super) fn used(&self, at: Tick, interval: Duration) -> u128 {
        self.window.used(at, interval)
    }

    /// When `excess`, which is no more than is in it, will have left the window of `interval`.
    pub(super) fn room_at(&self, at: Tick, interval: Duration, excess: u128) -> Tick {
        self.window.room_at(at, interval, excess)
    }

    /// Lets debt enter up to `now`, under the rules of its last charge and from now on under `rules`, where these have
    /// any for the bucket. Everything below wants this to have been done.
    pub(super) fn advance(&mut self, now: Tick, rules: Option<&Rules>) {
        let (key, Some(beyond)) = (self.key, &mut self.beyond) else { return };
        let Beyond { debt, rules: known, leased } = &mut **beyond;
        if debt.total() > 0 {
            fill(&mut self.window, debt, now, limits(known.lane(key)));
            if let Some(rules) = rules.filter(|rules| !rules.is(known) && !rules.lane(key).is_empty()) {
                *known = rules.clone();
                self.window.touch(now);
                fill(&mut self.window, debt, now, limits(known.lane(key)));
            }
        }
        if debt.total() == 0 && *leased == 0 {
            self.beyond = None;
        }
    }

    /// Whether `need` fits under every one of the limits; if not, which of them needs longest.
    pub(super) fn check<'a>(&self, at: Tick, limits: impl Limits<'a>, need: u64) -> Result<(), Short> {
        let mut worst: Option<Short> = None;
        for (which, limit) in limits.clone().enumerate() {
            if limit.tokens == 0 || need > limit.tokens {
                return Err(Short { which, until: None });
            }
            let wanted = self.window.used(at, limit.interval) + u128::from(need);
            let excess = wanted.saturating_sub(u128::from(limit.tokens));
            if excess > 0 {
                let until = Some(self.window.room_at(at, limit.interval, excess));
                worst = worst.max_by_until(Short { which, until });
            }
        }
        let which = worst.map_or(0, |short| short.which);
        match &self.beyond {
            Some(beyond) if need > 0 && beyond.debt.total() > 0 => {
                Err(Short { which, until: Some(self.promise(&beyond.debt, limits, need)) })
            }
            _ => worst.map_or(Ok(()), Err),
        }
    }

    /// The same for a bucket that holds nothing.
    pub(super) fn check_empty<'a>(mut limits: impl Limits<'a>, need: u64) -> Result<(), Short> {
        let which = limits.position(|limit| limit.tokens == 0 || need > limit.tokens);
        which.map_or(Ok(()), |which| Err(Short { which, until: None }))
    }

    /// Whether no further block may be drawn under `limit`, when `spent` of blocks that held `returned` is charged. Blocks
    /// of others count, but not against a call's first one, which holds nothing yet: it was admitted to say something.
    pub(super) fn is_spent(&self, at: Tick, limit: &Limit, spent: u64, returned: u64) -> bool {
        let (debt, leased) =
            self.beyond.as_ref().map_or((0, 0), |beyond| (beyond.debt.total(), beyond.leased));
        let others = if returned > 0 { leased.saturating_sub(returned) } else { 0 };
        let held = u128::from(others) + u128::from(spent);
        self.window.used(at, limit.interval) + debt + held >= u128::from(limit.tokens)
    }

    /// Puts `amount` into the window, whether it fits or not.
    pub(super) fn book(&mut self, at: Tick, amount: u64, limit: &Limit) {
        if amount > 0 {
            self.window.remember(limit.longest());
            self.window.add(at, amount, &limit.horizon);
        }
    }

    /// Charges `amount`: what fits to the window, the rest, which is told, as debt.
    pub(super) fn charge(&mut self, at: Tick, amount: u64, rules: &Rules) -> u64 {
        let lane = rules.lane(self.key);
        let Some(first) = lane.first() else { return 0 };
        let room = if self.debt() > 0 { 0 } else { room(&self.window, at, limits(lane)) };
        self.book(at, room.min(amount), &first.limit);
        let owed = amount.saturating_sub(room);
        if owed > 0 {
            let beyond = self.beyond.get_or_insert_default();
            let shortest = first.limit.horizon.first().map_or(first.limit.interval, |shortest| *shortest);
            if beyond.debt.total() == 0 {
                beyond.rules = rules.clone();
            }
            beyond.debt.push(at, owed, width(shortest));
        }
        owed
    }

    /// Gives back `amount` of what was charged `at`, of which `owed` had to wait: first what waits still, or has entered
    /// meanwhile, then what went to the window at once. What may have left the window since is not given back again.
    pub(super) fn give_back(&mut self, now: Tick, at: Tick, amount: u64, owed: u64, rules: &Rules) {
        let owed = owed.min(amount);
        let mut entered = owed;
        if let Some(beyond) = self.beyond.as_mut().filter(|_| owed > 0) {
            entered -= beyond.debt.take(at, owed);
        }
        let shortest = rules.lane(self.key).first().and_then(|rule| rule.limit.horizon.first());
        let unfound = match shortest {
            Some(shortest) if at.after(*shortest) > now => self.window.take_after(at, entered),
            _ => 0,
        };
        self.window.take(at, amount - owed + unfound);
        // The room is there from now on, not from before.
        self.window.touch(now);
        self.advance(now, None);
    }

    /// Changes what is leased by `difference`.
    pub(super) fn lease(&mut self, difference: i64) {
        let beyond = self.beyond.get_or_insert_default();
        beyond.leased = beyond.leased.saturating_add_signed(difference);
        if beyond.leased == 0 && beyond.debt.total() == 0 {
            self.beyond = None;
        }
    }

    /// How `limit` stands, one of `limits`, which share the bucket.
    pub(super) fn level<'a>(&self, now: Tick, limits: impl Limits<'a>, limit: &Limit) -> Level {
        let at = self.clamp(now);
        let used = saturating(self.window.used(at, limit.interval));
        let debt = self.debt();
        let remaining = if debt > 0 { 0 } else { limit.tokens.saturating_sub(used) };
        let whole = |window: &Window, at| {
            window
                .within(at, limit.interval)
                .last()
                .map_or(Duration::ZERO, |newest| newest.leaves(limit.interval).since(now))
        };
        let reset_after = match &self.beyond {
            Some(beyond) if debt > 0 => {
                let (mut window, mut debt) = (self.window.clone(), beyond.debt.clone());
                fill(&mut window, &mut debt, Tick::END, limits);
                let at = window.now();
                whole(&window, at) + rest(&debt, limit, 0)
            }
            _ => whole(&self.window, at),
        };
        Level { used, remaining, reset_after, debt: saturating(debt) }
    }

    /// The instant at which all debt has entered and `need` fits: the very steps that will be taken.
    fn promise<'a>(&self, debt: &Debt, limits: impl Limits<'a>, need: u64) -> Tick {
        let (mut window, mut debt) = (self.window.clone(), debt.clone());
        fill(&mut window, &mut debt, Tick::END, limits.clone());
        let at = window.now();
        let fits = |limit: &Limit| {
            let wanted = window.used(at, limit.interval) + u128::from(need);
            let excess = wanted.saturating_sub(u128::from(limit.tokens));
            let fits = if excess > 0 { window.room_at(at, limit.interval, excess) } else { at };
            fits.after(rest(&debt, limit, need))
        };
        limits.map(fits).max().unwrap_or(at)
    }
}

/// What a bucket holds, to be moved.
impl Bucket {
    pub(super) fn window(&self) -> &Window {
        &self.window
    }

    pub(super) fn waiting(&self) -> impl Iterator<Item = &Slot> {
        self.beyond.iter().flat_map(|beyond| beyond.debt.iter())
    }

    pub(super) fn waits_under(&self) -> &[Rule] {
        self.beyond.as_ref().map_or(&[], |beyond| beyond.rules.lane(self.key))
    }

    pub(super) fn leased(&self) -> u64 {
        self.beyond.as_ref().map_or(0, |beyond| beyond.leased)
    }

    pub(super) fn restored(key: Key, window: Window, waiting: &[Slot], rules: Rules, leased: u64) -> Self {
        let mut debt = Debt::default();
        waiting.iter().for_each(|slot| debt.restore(*slot));
        let any = debt.total() > 0 || leased > 0;
        Self { key, window, beyond: any.then(|| Box::new(Beyond { debt, rules, leased })) }
    }
}

impl Standing {
    /// How a limit stands of which nothing is used.
    pub const fn untouched(limit: &Limit) -> Self {
        Self { limit: limit.tokens, remaining: limit.tokens, reset_after: Duration::ZERO }
    }

    /// Whether a smaller share is left than of `other`.
    pub fn is_tighter(&self, other: &Self) -> bool {
        let share = |of: &Self, to: &Self| u128::from(of.remaining) * u128::from(to.limit);
        share(self, other) < share(other, self)
    }
}

impl Level {
    /// How a limit stands of which nothing is used.
    pub const fn untouched(limit: &Limit) -> Self {
        Self { used: 0, remaining: limit.tokens, reset_after: Duration::ZERO, debt: 0 }
    }
}

/// Of refusals, the one that lasts longest.
pub(super) trait Worst {
    fn max_by_until(self, other: Short) -> Self;
}

impl Worst for Option<Short> {
    fn max_by_until(self, other: Short) -> Self {
        let lasts = |short: &Short| short.until.unwrap_or(Tick::END);
        self.filter(|known| lasts(known) >= lasts(&other)).or(Some(other))
    }
}

pub(super) fn limits(lane: &[Rule]) -> impl Limits<'_> {
    lane.iter().map(|rule| &rule.limit)
}

/// Lets debt enter the window, in its order, whenever there is room under every limit, up to `until`.
fn fill<'a>(window: &mut Window, debt: &mut Debt, until: Tick, limits: impl Limits<'a>) {
    let Some(Limit { horizon, .. }) = limits.clone().next() else { return };
    for _ in 0..STEPS {
        if debt.total() == 0 {
            return;
        }
        skip_rounds(window, debt, until, limits.clone());
        let from = window.now();
        let mut at = from;
        for limit in limits.clone() {
            let wanted = window.used(from, limit.interval) + 1;
            let excess = wanted.saturating_sub(u128::from(limit.tokens));
            if limit.tokens == 0 {
                return;
            } else if excess > 0 {
                at = at.max(window.room_at(from, limit.interval, excess));
            }
        }
        if at > until {
            return;
        }
        let amount = debt.pop(room(window, at, limits.clone()));
        if amount == 0 {
            return;
        }
        window.enter(at, amount, horizon);
    }
}

/// While a debt of more than a whole limit waits, a full window only repeats itself: whole rounds are taken at once.
fn skip_rounds<'a>(window: &mut Window, debt: &mut Debt, until: Tick, mut limits: impl Limits<'a>) {
    let (Some(limit), None) = (limits.next(), limits.next()) else { return };
    let (from, tokens) = (window.now(), u128::from(limit.tokens));
    if limit.horizon.len() > 1 || tokens == 0 || debt.total() < tokens {
        return;
    }
    let Some(newest) = window.newest().filter(|_| window.used(from, limit.interval) == tokens) else {
        return;
    };
    let time = until.since(newest.last).as_nanos() / limit.interval.as_nanos().max(1);
    let rounds = u32::try_from((debt.total() / tokens).min(time)).unwrap_or(u32::MAX);
    if rounds > 0 {
        window.renew(limit.interval, rounds);
        debt.pay(rounds.into(), limit.tokens);
    }
}

/// What fits under every limit.
fn room<'a>(window: &Window, at: Tick, limits: impl Limits<'a>) -> u64 {
    let one = |limit: &Limit| limit.tokens.saturating_sub(saturating(window.used(at, limit.interval)));
    limits.map(one).min().unwrap_or(0)
}

/// How long it takes at most to pay debt that was too much to be followed step by step, and `need`.
fn rest(debt: &Debt, limit: &Limit, need: u64) -> Duration {
    if debt.total() == 0 {
        return Duration::ZERO;
    }
    let rounds = (debt.total() + u128::from(need)).div_ceil(u128::from(limit.tokens.max(1)));
    (limit.interval + width(limit.interval)).saturating_mul(u32::try_from(rounds).unwrap_or(u32::MAX))
}

/// `Retry-After` on the wire: whole seconds, rounded up, at least 1.
pub fn retry_after_seconds(retry_after: Duration) -> u64 {
    let whole = retry_after.as_secs();
    let up = u64::from(retry_after.subsec_nanos() > 0);
    whole.saturating_add(up).max(1)
}

fn saturating(amount: u128) -> u64 {
    u64::try_from(amount).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
