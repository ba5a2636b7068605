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

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// One whose first try has brought a credential that lives so long.
    fn got(life: Duration, chance: f64, now: Instant) -> Schedule {
        let mut schedule = Schedule::new(now);
        assert!(schedule.is_due(now), "at the start");
        schedule.on_got(now, Some(now + life), chance);
        schedule
    }

    #[test]
    fn a_credential_is_renewed_five_to_six_minutes_before_it_expires() {
        let now = Instant::now();
        for (chance, at) in [(0.0, 3300), (0.5, 3270), (1.0, 3240), (7.0, 3240)] {
            let mut schedule = got(seconds(3600), chance, now);
            assert!(
                !schedule.is_due(now + seconds(at - 1)) && schedule.is_due(now + seconds(at)),
                "{chance}"
            );
            assert!(!schedule.is_due(now + seconds(9999)), "one at a time");
        }
    }

    #[test]
    fn a_short_life_is_renewed_at_half_and_the_shortest_once_a_second() {
        let now = Instant::now();
        for (life, at) in [(seconds(600), seconds(300)), (seconds(60), seconds(30)), (seconds(1), seconds(1))]
        {
            let mut schedule = got(life, 0.0, now);
            assert!(!schedule.is_due(now + at - Duration::from_millis(1)) && schedule.is_due(now + at));
        }
    }

    #[test]
    fn a_life_counts_from_when_the_credential_was_asked_for() {
        let now = Instant::now();
        let mut schedule = Schedule::new(now);
        assert!(schedule.is_due(now));
        schedule.on_got(now + seconds(10), Some(now + seconds(100)), 0.0);
        assert!(!schedule.is_due(now + seconds(49)) && schedule.is_due(now + seconds(50)));
    }

    #[test]
    fn what_never_expires_is_never_renewed() {
        let now = Instant::now();
        let mut schedule = Schedule::new(now);
        assert!(schedule.is_due(now));
        schedule.on_got(now, None, 0.5);
        assert!(!schedule.is_due(now + seconds(1_000_000_000)));
    }

    #[test]
    fn failures_are_tried_again_ever_later_up_to_half_a_minute_and_a_success_forgives() {
        let (start, mut now) = (Instant::now(), Instant::now());
        let mut schedule = Schedule::new(now);
        let mut waits = Vec::new();
        for _ in 0..40 {
            assert!(schedule.is_due(now));
            // As late as a try may report.
            now += LOST;
            let wait = schedule.on_failed(now, 1.0);
            assert!(!schedule.is_due(now + wait - Duration::from_millis(1)));
            waits.push(wait.as_secs());
            now += wait;
        }
        assert_eq!(waits[..7], [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(waits[39], 30);
        assert!(schedule.is_due(now));
        schedule.on_got(now, Some(now + seconds(60)), 0.0);
        now += seconds(30);
        assert!(schedule.is_due(now) && now > start);
        assert_eq!(schedule.on_failed(now, 0.0), Duration::from_millis(500), "half of a second, by chance");
    }

    #[test]
    fn a_try_that_never_reports_is_lost_after_twice_its_time() {
        let now = Instant::now();
        let mut schedule = Schedule::new(now);
        assert!(!schedule.is_lost(now + LOST), "none runs");
        assert!(schedule.is_due(now));
        assert!(!schedule.is_lost(now + LOST - seconds(1)) && schedule.is_lost(now + LOST));
        schedule.on_failed(now + LOST, 0.0);
        assert!(!schedule.is_lost(now + LOST + LOST));
    }
}
