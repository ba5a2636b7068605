//! When the keys are fetched: at the start, every `poll_interval`, when a token names a key that is not known, and again
//! soon after a failure. Pure: time is an argument, and whoever asks does the fetching, one fetch at a time.

use std::time::Duration;

use tokio::time::Instant;

use crate::fetch;

/// Between the starts of two fetches that unknown keys cause: whoever makes up names of keys causes no more.
pub(super) const UNKNOWN_EVERY: Duration = Duration::from_secs(10);
/// Without any keys no token is answered: the first new try comes after this long, the next ones after twice as long
/// each…
const RETRY_FLOOR: Duration = Duration::from_secs(1);
/// … up to this.
const RETRY_CEILING: Duration = Duration::from_secs(8);
/// With keys that still serve, a poll that failed is made again after this long.
const RETRY_HOLDING: Duration = Duration::from_secs(10);

/// A fetch that has not reported by then never will, or too late: each has its own time limit, of half of this.
const LOST: Duration = fetch::WITHIN.saturating_mul(2);

/// Where the refreshing of one key set stands.
#[derive(Clone, Debug)]
pub(super) struct Refresh {
    poll_interval: Option<Duration>,
    /// When the fetch was begun that has not reported yet.
    running: Option<Instant>,
    /// When to fetch next, whoever asks or not.
    due: Option<Instant>,
    /// When an unknown key may cause a fetch again.
    unknown_after: Option<Instant>,
    /// Fetches in a row that failed while there were no keys.
    failures: u32,
    /// Whether there are keys.
    holds: bool,
}

/// What to do for a token whose key is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnUnknown {
    /// Fetch, and let it wait for the outcome.
    Fetch,
    /// A fetch is running: let it wait for the outcome.
    Wait,
    /// Nothing newer can be had now.
    Refuse,
}

impl Refresh {
    /// Begins `now`, without keys: to fetch them is due at once.
    pub(super) fn new(poll_interval: Option<Duration>, now: Instant) -> Self {
        Self { poll_interval, running: None, due: Some(now), unknown_after: None, failures: 0, holds: false }
    }

    /// Whether to fetch because it is time. A `true` counts as the start of the fetch.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let due = self.running.is_none() && self.due.is_some_and(|due| due <= now);
        if due {
            self.running = Some(now);
        }
        due
    }

    /// Whether the fetch that runs counts as failed: its report was lost with the actor, or it hangs.
    pub(super) fn is_lost(&self, now: Instant) -> bool {
        self.running.is_some_and(|since| now.duration_since(since) >= LOST)
    }

    /// A token names a key that is not in the newest set, or there is no set yet.
    pub(super) fn on_unknown(&mut self, now: Instant) -> OnUnknown {
        if self.running.is_some() {
            return OnUnknown::Wait;
        }
        // Without keys the retries decide, or every caller would fetch.
        if !self.holds {
            return if self.is_due(now) { OnUnknown::Fetch } else { OnUnknown::Refuse };
        }
        if self.unknown_after.is_some_and(|after| now < after) {
            return OnUnknown::Refuse;
        }
        self.unknown_after = Some(now + UNKNOWN_EVERY);
        self.running = Some(now);
        OnUnknown::Fetch
    }

    /// The fetch brought keys.
    pub(super) fn on_loaded(&mut self, now: Instant) {
        (self.running, self.failures, self.holds) = (None, 0, true);
        self.due = after(now, self.poll_interval);
    }

    /// The fetch brought none. Says when the next one starts by itself, if it does.
    pub(super) fn on_failed(&mut self, now: Instant) -> Option<Duration> {
        self.running = None;
        let wait = if self.holds {
            self.poll_interval.map(|poll| poll.min(RETRY_HOLDING))
        } else {
            let wait = RETRY_FLOOR.saturating_mul(1 << self.failures.min(16)).min(RETRY_CEILING);
            self.failures = self.failures.saturating_add(1);
            Some(wait)
        };
        self.due = after(now, wait);
        wait
    }
}

/// `None` also when it is beyond all time.
fn after(now: Instant, wait: Option<Duration>) -> Option<Instant> {
    wait.and_then(|wait| now.checked_add(wait))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Option<Duration> = Some(Duration::from_secs(3600));

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// One that has fetched at its start.
    fn loaded(poll_interval: Option<Duration>, now: Instant) -> Refresh {
        let mut refresh = Refresh::new(poll_interval, now);
        assert!(refresh.is_due(now), "fetched at the start");
        refresh.on_loaded(now);
        refresh
    }

    #[test]
    fn keys_are_fetched_at_the_start_and_then_every_interval() {
        let now = Instant::now();
        let mut refresh = loaded(HOUR, now);
        assert!(!refresh.is_due(now + seconds(3599)));
        assert!(refresh.is_due(now + seconds(3600)));
        assert!(!refresh.is_due(now + seconds(9999)), "one at a time");
        refresh.on_loaded(now + seconds(3601));
        assert!(!refresh.is_due(now + seconds(7200)) && refresh.is_due(now + seconds(7201)));
    }

    #[test]
    fn without_an_interval_only_an_unknown_key_fetches_again() {
        let now = Instant::now();
        let mut refresh = loaded(None, now);
        assert!(!refresh.is_due(now + seconds(1_000_000)));
        assert_eq!(refresh.on_unknown(now + seconds(1)), OnUnknown::Fetch);
        assert_eq!(refresh.on_failed(now + seconds(2)), None);
        assert!(!refresh.is_due(now + seconds(1_000_000)));
        assert!(!loaded(Some(Duration::MAX), now).is_due(now + seconds(1_000_000)), "beyond all time");
    }

    #[test]
    fn keys_that_the_start_has_found_are_as_good_as_fetched_ones() {
        let now = Instant::now();
        let mut refresh = Refresh::new(HOUR, now);
        refresh.on_loaded(now);
        assert!(!refresh.is_due(now + seconds(3599)) && refresh.is_due(now + seconds(3600)));
    }

    #[test]
    fn a_fetch_that_never_reports_is_lost_after_twice_its_time_and_stops_nothing() {
        let now = Instant::now();
        let mut refresh = loaded(HOUR, now);
        assert!(!refresh.is_lost(now + seconds(3600)), "none runs");
        let begun = now + seconds(3600);
        assert!(refresh.is_due(begun));
        assert!(!refresh.is_lost(begun + seconds(9)) && refresh.is_lost(begun + seconds(10)));
        let lost = begun + seconds(10);
        assert_eq!(refresh.on_failed(lost), Some(seconds(10)));
        assert_eq!(refresh.on_unknown(lost), OnUnknown::Fetch, "nothing runs any more");
        assert!(!refresh.is_lost(lost + seconds(9)) && refresh.is_lost(lost + seconds(10)));
    }

    #[test]
    fn without_keys_whoever_asks_first_begins_the_fetch_that_is_due() {
        let now = Instant::now();
        let mut refresh = Refresh::new(HOUR, now);
        assert_eq!(refresh.on_unknown(now), OnUnknown::Fetch);
        assert_eq!(refresh.on_unknown(now), OnUnknown::Wait);
        assert!(!refresh.is_due(now));
    }

    #[test]
    fn a_stream_of_unknown_keys_fetches_once_in_ten_seconds() {
        let start = Instant::now();
        let mut refresh = loaded(HOUR, start);
        let mut fetches = Vec::new();
        for millis in (0..60_000u64).step_by(10) {
            let now = start + Duration::from_millis(millis);
            if refresh.on_unknown(now) == OnUnknown::Fetch {
                fetches.push(millis);
                refresh.on_loaded(now);
            }
        }
        assert_eq!(fetches, [0, 10_000, 20_000, 30_000, 40_000, 50_000]);
    }

    #[test]
    fn an_unknown_key_waits_for_a_fetch_that_runs_and_may_then_cause_its_own() {
        let now = Instant::now();
        let mut refresh = loaded(HOUR, now);
        assert!(refresh.is_due(now + seconds(3600)));
        assert_eq!(refresh.on_unknown(now + seconds(3600)), OnUnknown::Wait);
        refresh.on_loaded(now + seconds(3601));
        assert_eq!(refresh.on_unknown(now + seconds(3601)), OnUnknown::Fetch);
        assert_eq!(refresh.on_unknown(now + seconds(3601)), OnUnknown::Wait);
        refresh.on_failed(now + seconds(3602));
        assert_eq!(refresh.on_unknown(now + seconds(3602)), OnUnknown::Refuse);
    }

    #[test]
    fn without_keys_it_is_tried_again_within_ten_seconds_for_ever_and_tokens_cause_nothing() {
        let mut now = Instant::now();
        let mut refresh = Refresh::new(HOUR, now);
        let mut waits = Vec::new();
        for _ in 0..40 {
            assert!(refresh.is_due(now));
            assert_eq!(refresh.on_unknown(now), OnUnknown::Wait, "for the fetch that runs");
            let wait = refresh.on_failed(now).expect("another try");
            assert_eq!(refresh.on_unknown(now), OnUnknown::Refuse);
            assert!(!refresh.is_due(now));
            now += wait;
            waits.push(wait.as_secs());
        }
        assert_eq!(waits[..6], [1, 2, 4, 8, 8, 8]);
        assert_eq!(waits[39], 8);
    }

    #[test]
    fn a_failed_poll_is_made_again_soon_but_never_more_often_than_polls() {
        let now = Instant::now();
        for (poll, wait) in [(3600, 10), (10, 10), (3, 3)] {
            let mut refresh = loaded(Some(seconds(poll)), now);
            assert!(refresh.is_due(now + seconds(poll)));
            assert_eq!(refresh.on_failed(now + seconds(poll)), Some(seconds(wait)));
            assert!(refresh.is_due(now + seconds(poll + wait)));
        }
    }
}
