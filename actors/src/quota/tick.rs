//! Monotonic time as plain numbers, so that the ledger can be computed, not run. Units: nanoseconds.
//! Only a [`Clock`] reads time; nothing else in the ledger does.

use std::time::Duration;

use tokio::time::Instant;

/// An instant of a monotonic clock, in nanoseconds since that clock's origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tick(u64);

/// Where ticks come from: the runtime's monotonic clock, counted from some time before this value was made.
/// Clones share the origin, so ticks of clones are comparable. Stands still under paused test time.
#[derive(Clone, Debug)]
pub struct Clock {
    origin: Instant,
}

/// What a [`Clock`] shows at first: twice the longest window, so that whatever is restored has an instant.
pub const HEAD_START: Duration = Duration::from_secs(62 * 86_400);

impl Tick {
    /// The end of time, which never comes.
    pub const END: Self = Self(u64::MAX);

    /// The tick `nanos` nanoseconds after the clock's origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock's origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The tick `span` later; stops at the end of time (584 years).
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }

    /// How long after `earlier` this is; zero if it is not.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Clock {
    /// A clock that starts now, at [`HEAD_START`].
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// The present.
    pub fn now(&self) -> Tick {
        Tick(nanos(self.origin.elapsed())).after(HEAD_START)
    }
}

/// A span in nanoseconds; spans of 584 years and more are all the same.
fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
