//! What the actors tell about themselves: counters they and their callers write, snapshots anyone may read.
//! Nothing here sends a message or waits: a stuck actor is seen by its numbers standing still.
//! Times are nanoseconds inside, microseconds and percent outside.

mod histogram;
mod report;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;

use self::histogram::{Counts, Histogram};
pub use self::report::Reporter;

/// The numbers of one actor. They belong to its address, so they outlive every restart.
#[derive(Debug)]
pub struct Gauges {
    name: Box<str>,
    started: Instant,
    depth: AtomicUsize,
    handled: AtomicU64,
    refused: AtomicU64,
    expired: AtomicU64,
    panics: AtomicU64,
    restarts: AtomicU64,
    busy_nanos: AtomicU64,
    wait: Histogram,
    own_names: &'static [&'static str],
    own: Box<[AtomicI64]>,
}

/// An actor's handle on its own numbers, those named in [`State::OWN`](crate::State::OWN): given to the factory that makes
/// the state. Clones write to the same numbers, so a guard that outlives a message may carry one.
#[derive(Clone, Debug)]
pub struct Own(pub(crate) Arc<Gauges>);

/// One actor's numbers at one time. Counters are since the start of the process.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// `identity-0`, `quota-3`, `provider-openai-0`.
    pub name: String,
    /// Messages sent and not yet picked up.
    pub mailbox: usize,
    /// Messages handled, one-way ones and those whose handling panicked included.
    pub handled: u64,
    /// Calls refused because the mailbox was full.
    pub refused: u64,
    /// Calls skipped because their deadline had passed before they were picked up.
    pub expired: u64,
    /// Messages (and ticks) whose handling panicked.
    pub panics: u64,
    /// How often the supervisor has started the actor anew.
    pub restarts: u64,
    /// Median of the time between send and pick-up, in microseconds.
    pub wait_p50_us: f64,
    /// 99th percentile of the same.
    pub wait_p99_us: f64,
    /// Share of the time spent in handlers, in percent of one core.
    pub busy_pct: f64,
    /// The actor's own numbers, by name.
    pub own: Vec<(&'static str, i64)>,
}

/// All actors of the process, in the order in which they are reported. Built once, then shared.
#[derive(Clone, Debug, Default)]
pub struct Registry(Arc<[Arc<Gauges>]>);

/// Where an interval begins: the cumulative numbers that rates are told against.
#[derive(Clone, Debug)]
struct Reading {
    at: Instant,
    busy_nanos: u64,
    wait: Counts,
}

impl Gauges {
    pub(crate) fn new(name: &str, own_names: &'static [&'static str]) -> Self {
        Self {
            name: name.into(),
            started: Instant::now(),
            depth: AtomicUsize::new(0),
            handled: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            expired: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
            busy_nanos: AtomicU64::new(0),
            wait: Histogram::default(),
            own_names,
            own: own_names.iter().map(|_| AtomicI64::new(0)).collect(),
        }
    }

    /// The actor's name in logs and metrics. Names are for people: nothing is looked up by them.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Messages sent and not yet picked up.
    pub fn mailbox(&self) -> usize {
        self.depth.load(Relaxed)
    }

    /// The numbers now; percentiles and share of time are since the start of the actor.
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot_since(&self.origin())
    }

    /// Takes a place if fewer than `limit` are taken.
    pub(crate) fn enter_below(&self, limit: usize) -> bool {
        let entered = self.depth.fetch_update(Relaxed, Relaxed, |depth| (depth < limit).then_some(depth + 1));
        if entered.is_err() {
            self.refused.fetch_add(1, Relaxed);
        }
        entered.is_ok()
    }

    pub(crate) fn enter(&self) {
        self.depth.fetch_add(1, Relaxed);
    }

    pub(crate) fn leave(&self) {
        self.depth.fetch_sub(1, Relaxed);
    }

    pub(crate) fn waited(&self, wait: Duration) {
        self.wait.record(nanos(wait));
    }

    /// Adds to the number at position `index` of the actor's own. A position outside of these is ignored.
    pub(crate) fn add(&self, index: usize, difference: i64) {
        if let Some(number) = self.own.get(index) {
            number.fetch_add(difference, Relaxed);
        }
    }

    pub(crate) fn handled(&self) {
        self.handled.fetch_add(1, Relaxed);
    }

    pub(crate) fn expired(&self) {
        self.expired.fetch_add(1, Relaxed);
    }

    pub(crate) fn panicked(&self) {
        self.panics.fetch_add(1, Relaxed);
    }

    pub(crate) fn restarted(&self) {
        self.restarts.fetch_add(1, Relaxed);
    }

    pub(crate) fn busy(&self, time: Duration) {
        self.busy_nanos.fetch_add(nanos(time), Relaxed);
    }

    fn origin(&self) -> Reading {
        Reading { at: self.started, busy_nanos: 0, wait: Counts::zero() }
    }

    fn reading(&self) -> Reading {
        Reading { at: Instant::now(), busy_nanos: self.busy_nanos.load(Relaxed), wait: self.wait.counts() }
    }

    /// As [`snapshot`](Self::snapshot), but percentiles and share of time are of the interval since `earlier`.
    fn snapshot_since(&self, earlier: &Reading) -> Snapshot {
        let now = self.reading();
        let wait = now.wait.since(&earlier.wait);
        let elapsed = nanos(now.at - earlier.at).max(1);
        let busy = now.busy_nanos.saturating_sub(earlier.busy_nanos);
        Snapshot {
            name: self.name.to_string(),
            mailbox: self.mailbox(),
            handled: self.handled.load(Relaxed),
            refused: self.refused.load(Relaxed),
            expired: self.expired.load(Relaxed),
            panics: self.panics.load(Relaxed),
            restarts: self.restarts.load(Relaxed),
            wait_p50_us: tenths(wait.quantile(0.50) as f64 / 1e3),
            wait_p99_us: tenths(wait.quantile(0.99) as f64 / 1e3),
            busy_pct: tenths(busy as f64 / elapsed as f64 * 100.0),
            own: self.own_names.iter().zip(&self.own).map(|(name, n)| (*name, n.load(Relaxed))).collect(),
        }
    }
}

impl Own {
    /// Sets the number at position `index` of [`State::OWN`](crate::State::OWN). A position outside of it is ignored.
    pub fn set(&self, index: usize, value: i64) {
        if let Some(number) = self.0.own.get(index) {
            number.store(value, Relaxed);
        }
    }

    /// Adds to the number at position `index`. A position outside of [`State::OWN`](crate::State::OWN) is ignored.
    pub fn add(&self, index: usize, difference: i64) {
        self.0.add(index, difference);
    }

    /// The number at position `index`; zero outside of [`State::OWN`](crate::State::OWN).
    pub fn get(&self, index: usize) -> i64 {
        self.0.own.get(index).map_or(0, |number| number.load(Relaxed))
    }
}

impl Registry {
    /// Whether it is the very same.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The current numbers of every actor, in order; percentiles and share of time since the start.
    pub fn snapshots(&self) -> impl Iterator<Item = Snapshot> {
        self.0.iter().map(|gauges| gauges.snapshot())
    }

    /// The numbers themselves, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Gauges>> {
        self.0.iter()
    }
}

impl FromIterator<Arc<Gauges>> for Registry {
    fn from_iter<I: IntoIterator<Item = Arc<Gauges>>>(all: I) -> Self {
        Self(all.into_iter().collect())
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// One decimal is what the histogram is worth.
fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
