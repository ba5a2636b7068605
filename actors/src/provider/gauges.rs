//! The numbers a provider actor adds to its log line. Written by whoever changes them, read without mailbox traffic.

use std::sync::Arc;

use crate::observe::{self, Own};

/// Names of the numbers, in the order of the constants below.
pub(super) const NAMES: &[&str] = &["connections", "in_flight", "failures"];

/// Open connections to the upstream.
const CONNECTIONS: usize = 0;
/// Calls that hold a lease of this actor.
const IN_FLIGHT: usize = 1;
/// Calls that got no whole answer: connect failures, time-outs, broken connections.
const FAILURES: usize = 2;

/// One worker's numbers. Clones write to the same.
#[derive(Clone, Debug)]
pub(super) struct Gauges(Own);

/// A connection that is open or a call that is in flight: counted as long as it lives.
#[derive(Debug)]
pub(super) struct Counted {
    gauges: Gauges,
    number: usize,
}

impl Gauges {
    pub(super) fn new(own: Own) -> Self {
        Self(own)
    }

    /// The numbers of nobody: of connections outside of every pool.
    pub(super) fn uncounted() -> Self {
        Self(Own(Arc::new(observe::Gauges::new("", &[]))))
    }

    pub(super) fn connection(&self) -> Counted {
        Counted::new(self, CONNECTIONS)
    }

    pub(super) fn call(&self) -> Counted {
        Counted::new(self, IN_FLIGHT)
    }

    pub(super) fn failed(&self) {
        self.0.add(FAILURES, 1);
    }
}

impl Counted {
    fn new(gauges: &Gauges, number: usize) -> Self {
        gauges.0.add(number, 1);
        Self { gauges: gauges.clone(), number }
    }

    pub(super) fn gauges(&self) -> &Gauges {
        &self.gauges
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.gauges.0.add(self.number, -1);
    }
}
