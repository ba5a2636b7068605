//! The log line of each actor (contract of the operator's log: one line, the same fields for actors of a kind).
//! It must not decide when to report: the owner of a [`Reporter`] keeps the clock.

use super::{Reading, Registry, Snapshot};

/// Writes one `info` line for each actor. Counters in it are since the start of the process; `wait_p50_us`,
/// `wait_p99_us` and `busy_pct` are of the interval since the last report (the first time: since the start).
#[derive(Debug)]
pub struct Reporter {
    registry: Registry,
    since: Vec<Reading>,
}

impl Reporter {
    /// A reporter whose first interval begins where each actor began.
    pub fn new(registry: Registry) -> Self {
        let since = registry.iter().map(|gauges| gauges.origin()).collect();
        Self { registry, since }
    }

    /// Writes the lines and begins the next interval.
    pub fn report(&mut self) {
        for snapshot in self.next() {
            log(&snapshot);
        }
    }

    fn next(&mut self) -> Vec<Snapshot> {
        let mut snapshots = Vec::with_capacity(self.since.len());
        for (gauges, since) in self.registry.iter().zip(&mut self.since) {
            snapshots.push(gauges.snapshot_since(since));
            *since = gauges.reading();
        }
        snapshots
    }
}

/// The fields of a `tracing` event are fixed where it is written, hence one event for each set of own numbers.
macro_rules! line {
    ($snapshot:ident $(, $field:ident)*) => {
        tracing::info!(
            actor = $snapshot.name,
            mailbox = $snapshot.mailbox,
            handled = $snapshot.handled,
            refused = $snapshot.refused,
            wait_p50_us = $snapshot.wait_p50_us,
            wait_p99_us = $snapshot.wait_p99_us,
            busy_pct = $snapshot.busy_pct,
            restarts = $snapshot.restarts,
            $($field,)*
        )
    };
}

fn log(snapshot: &Snapshot) {
    match *snapshot.own {
        [("clients", clients)] => line!(snapshot, clients),
        [("connections", connections), ("in_flight", in_flight), ("failures", failures)] => {
            line!(snapshot, connections, in_flight, failures);
        }
        _ => line!(snapshot),
    }
}
