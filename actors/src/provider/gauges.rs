//! The numbers a provider actor adds to its log line. Written by whoever changes them, read without mailbox traffic.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

/// Connections, calls in flight and failures of one provider actor.
#[derive(Debug, Default)]
pub struct Gauges {
    connections: AtomicI64,
    in_flight: AtomicI64,
    failures: AtomicU64,
}

/// One counted thing: a connection that is open or a call that is in flight, as long as it lives.
pub(super) struct Counted {
    gauges: Arc<Gauges>,
    of: fn(&Gauges) -> &AtomicI64,
}

impl Gauges {
    /// Open connections to the upstream.
    pub fn connections(&self) -> i64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Calls that hold a lease of this actor.
    pub fn in_flight(&self) -> i64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Calls that got no answer: connect failures, time-outs, broken connections.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    pub(super) fn connection(self: &Arc<Self>) -> Counted {
        Counted::new(self, |gauges| &gauges.connections)
    }

    pub(super) fn call(self: &Arc<Self>) -> Counted {
        Counted::new(self, |gauges| &gauges.in_flight)
    }

    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }
}

impl Counted {
    fn new(gauges: &Arc<Gauges>, of: fn(&Gauges) -> &AtomicI64) -> Self {
        of(gauges).fetch_add(1, Ordering::Relaxed);
        Self { gauges: Arc::clone(gauges), of }
    }

    pub(super) fn gauges(&self) -> &Arc<Gauges> {
        &self.gauges
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.of)(&self.gauges).fetch_sub(1, Ordering::Relaxed);
    }
}
