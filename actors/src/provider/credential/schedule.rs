//! When a credential is got: at the start, ahead of its expiry, and again soon after a failure. Pure: time and chance are
//! arguments, and whoever asks does the getting, one at a time.

use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::{Backoff, Restarts};

/// How long before its expiry a credential is renewed. Metadata servers hand out the next one from about here on.
const AHEAD: Duration = Duration::from_secs(300);
/// The part of the time ahead by which it may be earlier still, so that many processes do not ask at once.
const JITTER: f64 = 0.2;
/// Between the starts of two tries that both bring something, however short its life is.
const FLOOR: Duration = Duration::from_secs(1);
/// The longest that one try takes, whatever it does.
pub(super) const TRY: Duration = Duration::from_secs(20);
/// A try that has not reported by then never will.
const LOST: Duration = TRY.saturating_mul(2);
/// After failures: about 1 s, 2 s, 4 s … 30 s. The window is longer than what lies between two failures in a row.
const AGAIN: Backoff = Backoff {
    immediate: 0,
    window: Duration::from_secs(300),
    floor: Duration::from_secs(1),
    ceiling: Duration::from_secs(30),
};

/// Where the renewing of one credential stands.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    /// When the try was begun that has not reported yet.
    running: Option<Instant>,
    /// When to try next.
    due: Option<Instant>,
    failures: Restarts,
}

impl Schedule {
    /// Begins `now`, with nothing: a try is due at once.
    pub(super) fn new(now: Instant) -> Self {
        Self { running: None, due: Some(now), failures: Restarts::default() }
    }

    /// Whether to try now. A `true` counts as the start of the try.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let due = self.running.is_none() && self.due.is_some_and(|due| due <= now);
        if due {
            self.running = Some(now);
        }
        due
    }

    /// When the try was begun that runs.
    pub(super) fn running(&self) -> Option<Instant> {
        self.running
    }

    /// Whether the try that runs counts as failed: its report was lost with the actor, or it hangs.
    pub(super) fn is_lost(&self, now: Instant) -> bool {
        self.running.is_some_and(|since| now.duration_since(since) >= LOST)
    }

    /// The try brought a credential that expires at `until`, if ever. `chance` is any number from 0 to 1.
    pub(super) fn on_got(&mut self, now: Instant, until: Option<Instant>, chance: f64) {
        let since = self.running.take().unwrap_or(now);
        self.failures = Restarts::default();
        self.due = until.map(|until| {
            let life = until.saturating_duration_since(since);
            let ahead = AHEAD.min(life / 2).mul_f64(1.0 + JITTER * chance.clamp(0.0, 1.0));
            since + life.saturating_sub(ahead).max(FLOOR)
        });
    }

    /// The try brought none. Says how long until the next one.
    pub(super) fn on_failed(&mut self, now: Instant, chance: f64) -> Duration {
        self.running = None;
        let wait = self.failures.delay(AGAIN, now, chance);
        self.due = Some(now + wait);
        wait
    }
}
