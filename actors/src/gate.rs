//! A counted gate: at most so many places taken at a time. Never waits and never queues; one atomic, no lock.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Places (calls, connections, bytes) that can be taken while there are any left.
#[derive(Debug)]
pub struct Gate {
    limit: AtomicUsize,
    taken: AtomicUsize,
}

/// Places taken from a [`Gate`]; dropping it gives them back.
#[derive(Debug)]
pub struct Place {
    gate: Arc<Gate>,
    size: usize,
}

impl Gate {
    /// A gate with `limit` places.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit: AtomicUsize::new(limit), taken: AtomicUsize::new(0) })
    }

    /// Takes `size` places, or none at all.
    pub fn enter(self: &Arc<Self>, size: usize) -> Option<Place> {
        self.take(size).then(|| Place { gate: Arc::clone(self), size })
    }

    /// Has `limit` places from now on. Where more are taken already, nobody enters until they are given back.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Places taken at this moment.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    fn take(&self, size: usize) -> bool {
        let limit = self.limit.load(Ordering::Relaxed);
        let fits = |taken: usize| taken.checked_add(size).filter(|sum| *sum <= limit);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }
}

impl Place {
    /// Takes `more` places for the same holder. `false` leaves the holding as it was.
    pub fn grow(&mut self, more: usize) -> bool {
        let grown = self.gate.take(more);
        if grown {
            self.size += more;
        }
        grown
    }

    /// Holds `size` places from now on. `false` leaves the holding as it was; giving places back always succeeds.
    pub fn resize(&mut self, size: usize) -> bool {
        if size >= self.size {
            return size == self.size || self.grow(size - self.size);
        }
        self.gate.taken.fetch_sub(self.size - size, Ordering::Relaxed);
        self.size = size;
        true
    }

    /// How many places are held.
    pub fn size(&self) -> usize {
        self.size
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.taken.fetch_sub(self.size, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::Gate;

    #[test]
    fn a_full_gate_refuses_and_a_dropped_place_opens_it_again() {
        let gate = Gate::new(2);
        let first = gate.enter(1).expect("empty gate");
        let _second = gate.enter(1).expect("one left");
        assert!(gate.enter(1).is_none());
        drop(first);
        assert!(gate.enter(1).is_some());
    }

    #[test]
    fn a_holding_grows_only_while_there_is_room_and_shrinks_at_once() {
        let gate = Gate::new(10);
        let mut held = gate.enter(4).expect("empty gate");
        assert!(held.grow(6));
        assert!(!held.grow(1));
        assert_eq!((held.size(), gate.taken()), (10, 10));
        assert!(!held.resize(11) && held.resize(3));
        assert_eq!((held.size(), gate.taken()), (3, 3));
    }

    #[test]
    fn a_gate_with_a_smaller_limit_keeps_who_is_inside_and_lets_in_nobody_until_they_left() {
        let gate = Gate::new(3);
        let held: Vec<_> = (0..3).map_while(|_| gate.enter(1)).collect();
        gate.set_limit(2);
        assert!(gate.enter(1).is_none());
        drop(held);
        assert!(gate.enter(3).is_none() && gate.enter(2).is_some());
    }

    #[test]
    fn a_size_beyond_every_number_is_refused() {
        let gate = Gate::new(usize::MAX);
        let _one = gate.enter(1).expect("empty gate");
        assert!(gate.enter(usize::MAX).is_none());
    }
}
