//! What was charged beyond a limit and waits to enter the window: a queue, oldest first. Pure arithmetic.
//!
//! Invariants: `total` is the sum of the queue, no amount in it is 0, instants ascend; at most [`MOST`] entries, however
//! long it lasts.

use std::{collections::VecDeque, time::Duration};

use super::{tick::Tick, window::Slot};

/// Charges that wait. Those that came within the width of a slot wait as one.
#[derive(Clone, Debug, Default)]
pub(super) struct Debt {
    queue: VecDeque<Slot>,
    total: u128,
}

/// Beyond so many entries, a charge joins the newest whenever it came.
const MOST: usize = 256;

impl Debt {
    /// What waits.
    pub(super) fn total(&self) -> u128 {
        self.total
    }

    /// The queue, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.queue.iter()
    }

    /// Adds a charge of `at`, which is not before any other. `width` is the width of the window's slots.
    pub(super) fn push(&mut self, at: Tick, amount: u64, width: Duration) {
        let full = self.queue.len() >= MOST;
        self.total += u128::from(amount);
        if let Some(newest) = self.queue.back_mut()
            && (full || at.since(newest.first) < width || at == newest.last)
            && let Some(sum) = newest.amount.checked_add(amount)
        {
            (newest.last, newest.amount) = (at, sum);
            return;
        }
        self.queue.push_back(Slot { first: at, last: at, amount });
    }

    /// Takes up to `room` from the oldest, and tells how much.
    pub(super) fn pop(&mut self, room: u64) -> u64 {
        let mut left = room;
        while let Some(oldest) = self.queue.front_mut() {
            let amount = oldest.amount.min(left);
            (oldest.amount, left) = (oldest.amount - amount, left - amount);
            if oldest.amount > 0 {
                break;
            }
            self.queue.pop_front();
        }
        self.total -= u128::from(room - left);
        room - left
    }

    /// Forgives up to `amount` of what was charged `at`, because it was never used, and tells how much still waited.
    pub(super) fn take(&mut self, at: Tick, amount: u64) -> u64 {
        let index = self.queue.partition_point(|slot| slot.last < at);
        let Some(slot) = self.queue.get_mut(index).filter(|slot| slot.first <= at) else { return 0 };
        let taken = slot.amount.min(amount);
        slot.amount -= taken;
        if slot.amount == 0 {
            self.queue.remove(index);
        }
        self.total -= u128::from(taken);
        taken
    }

    /// Puts charges that waited elsewhere behind the others: for a bucket that is moved.
    pub(super) fn restore(&mut self, slot: Slot) {
        if slot.amount > 0 {
            self.total += u128::from(slot.amount);
            self.queue.push_back(slot);
        }
    }

    /// `rounds` whole windows of `tokens` have been paid.
    pub(super) fn pay(&mut self, rounds: u64, tokens: u64) {
        let mut left = u128::from(rounds) * u128::from(tokens);
        while left > 0 && self.total > 0 {
            let paid = self.pop(u64::try_from(left).unwrap_or(u64::MAX));
            left -= u128::from(paid);
        }
    }
}
