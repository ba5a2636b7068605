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
            actor = %$snapshot.name,
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
        [("clients", clients), ..] => line!(snapshot, clients),
        [("connections", connections), ("in_flight", in_flight), ("failures", failures)] => {
            line!(snapshot, connections, in_flight, failures);
        }
        [("remembered", remembered), ("known", known), ("new", new), ("denied", denied)] => {
            line!(snapshot, remembered, known, new, denied);
        }
        [("keys", keys), ("fetches", fetches), ("failures", failures)] => {
            line!(snapshot, keys, fetches, failures);
        }
        _ => line!(snapshot),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, mpsc},
        time::Duration,
    };

    use super::*;
    use crate::observe::{Gauges, Own};

    struct Lines(mpsc::Sender<String>);

    impl Write for Lines {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.send(String::from_utf8_lossy(line).into_owned()).map_err(io::Error::other)?;
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn quota(name: &str) -> Arc<Gauges> {
        let gauges = Arc::new(Gauges::new(name, &["clients"]));
        Own(Arc::clone(&gauges)).set(0, 12);
        gauges.handled();
        gauges
    }

    fn lines(json: bool, registry: Registry) -> Vec<String> {
        let (sender, lines) = mpsc::channel();
        let format = tracing_subscriber::fmt().with_writer(move || Lines(sender.clone())).without_time();
        let report = || Reporter::new(registry).report();
        if json {
            tracing::subscriber::with_default(format.json().finish(), report);
        } else {
            tracing::subscriber::with_default(format.with_ansi(false).finish(), report);
        }
        lines.iter().collect()
    }

    #[test]
    fn one_line_an_actor_with_its_own_numbers_as_fields() {
        let names: &[&str] = &["connections", "in_flight", "failures"];
        let provider = Arc::new(Gauges::new("provider-openai-0", names));
        let identity = Arc::new(Gauges::new("identity-0", &["remembered", "known", "new", "denied"]));
        let keys = Arc::new(Gauges::new("identity-keys", &["keys", "fetches", "failures"]));
        let other = Arc::new(Gauges::new("other-0", &[]));
        let text = lines(false, [quota("quota-3"), provider, identity, keys, other].into_iter().collect());
        let common = "wait_p50_us=0.0 wait_p99_us=0.0 busy_pct=0.0 restarts=0";
        assert!(
            text[0].contains(&format!("actor=quota-3 mailbox=0 handled=1 refused=0 {common} clients=12\n"))
        );
        assert!(text[1].contains(&format!("{common} connections=0 in_flight=0 failures=0\n")), "{}", text[1]);
        assert!(text[2].contains(&format!("{common} remembered=0 known=0 new=0 denied=0\n")), "{}", text[2]);
        assert!(text[3].contains(&format!("{common} keys=0 fetches=0 failures=0\n")), "{}", text[3]);
        assert!(text[4].contains(&format!("actor=other-0 mailbox=0 handled=0 refused=0 {common}\n")));
        assert_eq!(text.len(), 5);
    }

    #[test]
    fn json_lines_hold_numbers_as_numbers() {
        let json = lines(true, [quota("quota-3")].into_iter().collect());
        assert!(json[0].contains(r#""actor":"quota-3","mailbox":0,"handled":1,"#), "{}", json[0]);
        assert!(json[0].contains(r#""busy_pct":0.0,"restarts":0,"clients":12}"#), "{}", json[0]);
    }

    #[tokio::test(start_paused = true)]
    async fn percentiles_and_share_are_of_the_interval_and_counters_of_the_whole_time() {
        let gauges = quota("quota-0");
        let mut reporter = Reporter::new([Arc::clone(&gauges)].into_iter().collect());
        gauges.waited(Duration::from_millis(10));
        gauges.busy(Duration::from_secs(5));
        tokio::time::advance(Duration::from_secs(10)).await;
        let first = reporter.next().remove(0);
        assert_eq!((first.handled, first.busy_pct), (1, 50.0));
        assert!((first.wait_p99_us - 10_000.0).abs() < 650.0, "{}", first.wait_p99_us);
        tokio::time::advance(Duration::from_secs(10)).await;
        let second = reporter.next().remove(0);
        assert_eq!((second.handled, second.busy_pct, second.wait_p99_us), (1, 0.0, 0.0));
        assert_eq!(gauges.snapshot().busy_pct, 25.0);
    }
}
