//! Quota actors: what a client may still spend.

use std::{sync::Arc, time::Duration};

pub mod ledger;
pub mod tick;
mod window;

/// Which bucket of a client a limit draws from: one per limit table's owner (a provider, or a model of its own).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope(pub u32);

/// A sliding-window limit on one bucket of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The bucket.
    pub scope: Scope,
    /// Tokens admitted in any span of `interval`; 0 = nothing is ever admitted.
    pub tokens: u64,
    /// Length of the window, 1 s to 31 d.
    pub interval: Duration,
    /// The distinct intervals of all rules (groups and default) that share this bucket, ascending; holds `interval`. The bucket remembers for the longest.
    pub horizon: Arc<[Duration]>,
}

impl Limit {
    /// The longest interval of the rules that share the bucket.
    fn longest(&self) -> Duration {
        self.horizon.last().map_or(self.interval, |longest| self.interval.max(*longest))
    }
}
