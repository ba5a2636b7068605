//! What a bucket remembers: amounts in slots of time. Pure arithmetic; time is an argument, in [`Tick`]s.
//!
//! ```text
//!   slots:  [gone …] [first──last] [first─last]      [first────last]     now
//!                     amount        amount            amount (newest)
//! ```
//!
//! Invariants, for the slots that are not gone, oldest to newest:
//! - `first <= last`, the slots are disjoint and ascending, `newest.last <= now`, and no `amount` is 0;
//! - `last - first < width(I)` for the shortest interval `I` that saw the slot when it was last widened. A slot
//!   leaves a window of `I` as a whole at `last + I`: never early, and its oldest token less than `width(I)` late;
//! - `total` is the sum of their amounts.
//!
//! A slot is widened by an admission (as the newest) or by [`Window::make_room`] (once it is outside all shorter
//! intervals); both happen only when something is admitted, so a promised time of return is never put off by a
//! refusal or by asking. Debt that enters does so by [`Window::enter`], whose effects are part of the promise.

use std::time::Duration;

use smallvec::SmallVec;

use super::tick::Tick;

/// Tokens that come and go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) first: Tick,
    pub(super) last: Tick,
    pub(super) amount: u64,
}

/// The slots of one bucket. Two live inside the value, since most clients have no more.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    slots: SmallVec<[Slot; 2]>,
    total: Total,
    /// The latest instant that changed anything: time does not go back behind it.
    now: Tick,
    /// So many of `slots`, from the front, are out of every window and wait for their place to be needed.
    gone: u32,
    /// The longest interval heard of, in milliseconds, rounded up (31 d fit): one value is kept for every client.
    memory: u32,
}

/// A sum of amounts. 128 bits at the alignment of 64: one value is kept for every client.
#[derive(Clone, Copy, Debug, Default)]
#[repr(Rust, packed(8))]
struct Total(u128);

/// The longest a token may stay in a slot beyond its time, for a window of `interval`: a sixtieth, at most 15 min.
pub(super) fn width(interval: Duration) -> Duration {
    const MOST: Duration = Duration::from_secs(15 * 60);
    MOST.min(interval / 60)
}

impl Slot {
    /// When the slot's tokens are outside a window of `interval`. An admission at this very instant no longer meets
    /// them: windows are half open.
    pub(super) fn leaves(&self, interval: Duration) -> Tick {
        self.last.after(interval)
    }
}

impl Window {
    /// The present, which is never before anything that has happened.
    pub(super) fn clamp(&self, now: Tick) -> Tick {
        now.max(self.now)
    }

    /// The slots that are still inside a window of `interval` which ends at `now`.
    pub(super) fn within(&self, now: Tick, interval: Duration) -> &[Slot] {
        self.split(now, interval).1
    }

    /// The tokens of [`Window::within`]: the running total less what has left, or the sum of what is left,
    /// whichever has fewer slots.
    pub(super) fn used(&self, now: Tick, interval: Duration) -> u128 {
        let (left, within) = self.split(now, interval);
        if left.len() <= within.len() { self.total.0 - sum(left) } else { sum(within) }
    }

    /// The newest slot, unless all are gone.
    pub(super) fn newest(&self) -> Option<&Slot> {
        self.live().last()
    }

    /// The latest instant that changed anything.
    pub(super) fn now(&self) -> Tick {
        self.now
    }

    /// Something happened at `now`: time does not go back behind it.
    pub(super) fn touch(&mut self, now: Tick) {
        self.now = self.clamp(now);
    }

    /// How long the window remembers.
    pub(super) fn memory(&self) -> Duration {
        Duration::from_millis(self.memory.into())
    }

    /// From now on it remembers for `interval` at least.
    pub(super) fn remember(&mut self, interval: Duration) {
        let millis = u32::try_from(interval.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX);
        self.memory = self.memory.max(millis);
    }

    /// The first instant at which `excess` has left a window of `interval` that ends at `at` now. `excess` is no more
    /// than what is in it.
    pub(super) fn room_at(&self, at: Tick, interval: Duration, mut excess: u128) -> Tick {
        for slot in self.within(at, interval) {
            let amount = u128::from(slot.amount);
            if amount >= excess {
                return slot.leaves(interval);
            }
            excess -= amount;
        }
        at
    }

    /// Adds `amount` (not 0) at `now`, which is not before [`Window::clamp`]. `horizon` is ascending and not empty; the
    /// caller has made the window remember for all of it.
    pub(super) fn add(&mut self, now: Tick, amount: u64, horizon: &[Duration]) {
        self.now = now;
        self.forget();
        let joins = horizon.first().map_or(Duration::ZERO, |shortest| width(*shortest));
        self.total.0 += u128::from(amount);
        let newest = if self.live().is_empty() { None } else { self.slots.last_mut() };
        if let Some(slot) = newest
            && (now.since(slot.first) < joins || now == slot.last)
            && let Some(sum) = slot.amount.checked_add(amount)
        {
            (slot.last, slot.amount) = (now, sum);
            return;
        }
        self.make_room(horizon);
        self.slots.push(Slot { first: now, last: now, amount });
    }

    /// Adds `amount` (not 0), which waited for room, at the very instant `at` at which room appeared: a slot of its own,
    /// so that its time of leaving is known beforehand. For one slot that comes one has left, so the window does not
    /// grow by it; where longer intervals see more, old slots are joined, as a function of slots and instants only:
    /// a promise is computed by the same steps as will be taken.
    pub(super) fn enter(&mut self, at: Tick, amount: u64, horizon: &[Duration]) {
        self.now = self.clamp(at);
        self.forget();
        if horizon.len() > 1 && self.live().len() >= most(horizon) {
            self.compact();
            merge(&mut self.slots, self.now, horizon);
        } else if self.slots.len() == self.slots.capacity() {
            self.compact();
        }
        self.total.0 += u128::from(amount);
        self.slots.push(Slot { first: self.now, last: self.now, amount });
    }

    /// Everything inside a window of `interval` leaves and enters again, `rounds` times, each time when room appears.
    pub(super) fn renew(&mut self, interval: Duration, rounds: u32) {
        let left = self.split(self.now, interval).0.len();
        self.gone += left as u32;
        self.compact();
        let later = interval.saturating_mul(rounds);
        for slot in &mut self.slots {
            slot.last = slot.last.after(later);
            slot.first = slot.last;
        }
        self.total.0 = sum(&self.slots);
        self.now = self.newest().map_or(self.now, |newest| newest.last);
    }

    /// Takes `amount`, added at `at`, out again. What has been forgotten since is not missed.
    pub(super) fn take(&mut self, at: Tick, amount: u64) {
        let index = self.gone() + self.live().partition_point(|slot| slot.last < at);
        self.take_while(index, amount, |slot| slot.first <= at);
    }

    /// Takes `amount` out of what came after `at`, the oldest first, and tells how much was not there.
    pub(super) fn take_after(&mut self, at: Tick, amount: u64) -> u64 {
        let index = self.gone() + self.live().partition_point(|slot| slot.last <= at);
        self.take_while(index, amount, |_| true)
    }

    /// The slots that are not gone, oldest first.
    pub(super) fn slots(&self) -> &[Slot] {
        self.live()
    }

    /// Puts `slot` behind the others: for a window that is moved. It must not be older than they are.
    pub(super) fn restore(&mut self, slot: Slot) {
        self.total.0 += u128::from(slot.amount);
        self.now = self.clamp(slot.last);
        self.slots.push(slot);
    }

    /// How many slots are kept, gone ones included, and for how many there is room: what the window costs.
    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize) {
        (self.slots.len(), self.slots.capacity())
    }

    fn gone(&self) -> usize {
        self.gone as usize
    }

    fn live(&self) -> &[Slot] {
        &self.slots[self.gone()..]
    }

    /// Takes `amount` out of the slots from `index` on for as long as they are `meant`, and tells how much was not there.
    /// Emptied slots are removed.
    fn take_while(&mut self, index: usize, mut amount: u64, meant: impl Fn(&Slot) -> bool) -> u64 {
        while amount > 0
            && let Some(slot) = self.slots.get_mut(index).filter(|slot| meant(slot))
        {
            let taken = amount.min(slot.amount);
            (slot.amount, amount) = (slot.amount - taken, amount - taken);
            if slot.amount == 0 {
                self.slots.remove(index);
            }
            self.total.0 -= u128::from(taken);
        }
        amount
    }

    /// Drops the slots that are gone.
    fn compact(&mut self) {
        self.slots.drain(..self.gone as usize);
        self.gone = 0;
    }

    /// The slots that have left a window of `interval`, and those that have not.
    fn split(&self, now: Tick, interval: Duration) -> (&[Slot], &[Slot]) {
        let live = self.live();
        live.split_at(live.partition_point(|slot| slot.leaves(interval) <= now))
    }

    /// Lets go of what no window can see any more.
    fn forget(&mut self) {
        let (gone, _) = self.split(self.now, self.memory());
        let (count, tokens) = (gone.len(), sum(gone));
        // As many slots as intervals have widths, a few thousand: see `merge`.
        self.gone += count as u32;
        self.total.0 -= tokens;
        if self.gone > 0 && self.gone() == self.slots.len() {
            self.slots.clear();
            self.slots.shrink_to_fit();
            self.gone = 0;
        }
    }

    /// Sees to it that one more slot fits. Full: first the gone slots are dropped and old ones merged; only if that
    /// frees less than a quarter it grows, by a half. So each slot is moved a constant number of times on average, and
    /// the room is at most twice what the merged slots need.
    fn make_room(&mut self, horizon: &[Duration]) {
        let capacity = self.slots.capacity();
        if self.slots.len() < capacity {
            return;
        }
        self.compact();
        merge(&mut self.slots, self.now, horizon);
        let len = self.slots.len();
        if len >= capacity - capacity / 4 {
            self.slots.reserve_exact(capacity + capacity / 2 + 1 - len);
        } else if len <= capacity / 4 {
            self.slots.shrink_to_fit();
        }
    }
}

/// Joins neighbours as far as the shortest interval that still sees the newer one allows. Shorter intervals see
/// neither, so they notice nothing; longer ones have wider slots. Afterwards any two neighbours outside the shortest
/// interval span at least one width, hence at most `2 * interval / width` slots for each interval of the horizon.
fn merge(slots: &mut SmallVec<[Slot; 2]>, now: Tick, horizon: &[Duration]) {
    slots.dedup_by(|newer, older| {
        let sees = horizon.iter().find(|interval| newer.leaves(**interval) > now).or_else(|| horizon.last());
        let fits = sees.is_some_and(|interval| newer.last.since(older.first) < width(*interval));
        // A sum beyond 64 bits stays in two slots: that many tokens never come in numbers.
        let Some(amount) = older.amount.checked_add(newer.amount).filter(|_| fits) else { return false };
        *older = Slot { first: older.first, last: newer.last, amount };
        true
    });
}

/// More slots than twice those that [`merge`] leaves.
fn most(horizon: &[Duration]) -> usize {
    let widths = |interval: &Duration| interval.as_nanos() / width(*interval).as_nanos().max(1);
    horizon.iter().map(|interval| 4 * widths(interval) as usize + 4).sum()
}

fn sum(slots: &[Slot]) -> u128 {
    slots.iter().map(|slot| u128::from(slot.amount)).sum()
}
