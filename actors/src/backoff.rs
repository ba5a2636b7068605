//! How long to wait before an actor is started again. Pure: time and chance are arguments.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// The policy: this many restarts within `window` are immediate; further ones wait, twice as long each time, until a
/// whole window has passed without any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Restarts in a window that are immediate.
    pub immediate: usize,
    /// The window, and the calm after which all is forgiven.
    pub window: Duration,
    /// The first delay.
    pub floor: Duration,
    /// The longest delay.
    pub ceiling: Duration,
}

/// The restarts of one actor so far, as far as the policy looks back.
#[derive(Clone, Debug, Default)]
pub struct Restarts {
    recent: VecDeque<Instant>,
    delayed: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            immediate: 10,
            window: Duration::from_secs(60),
            floor: Duration::from_millis(100),
            ceiling: Duration::from_secs(30),
        }
    }
}

impl Restarts {
    /// Notes a restart that became necessary `now` and tells how long to wait for it. `chance` is any number from 0 to 1:
    /// a delay is between half (0) and the whole (1) of `floor · 2^n`, so that actors which died together do not
    /// return together.
    pub fn delay(&mut self, policy: Backoff, now: Instant, chance: f64) -> Duration {
        self.recent.retain(|&past| now.saturating_duration_since(past) < policy.window);
        if self.recent.is_empty() {
            self.delayed = 0;
        }
        let crowded = self.recent.len() >= policy.immediate;
        if crowded {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        if !crowded && self.delayed == 0 {
            return Duration::ZERO;
        }
        let whole = policy.floor.saturating_mul(1 << self.delayed.min(20)).min(policy.ceiling);
        self.delayed = self.delayed.saturating_add(1);
        whole.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(every: Duration, count: usize, chance: f64) -> Vec<Duration> {
        let (mut restarts, mut now) = (Restarts::default(), Instant::now());
        (0..count)
            .map(|_| {
                let delay = restarts.delay(Backoff::default(), now, chance);
                now += delay + every;
                delay
            })
            .collect()
    }

    #[test]
    fn ten_restarts_in_a_minute_are_immediate_and_the_next_ones_double_up_to_the_ceiling() {
        let delays = delays(Duration::ZERO, 30, 1.0);
        assert!(delays[..10].iter().all(Duration::is_zero));
        assert_eq!(delays[10..13], [100, 200, 400].map(Duration::from_millis));
        assert!(delays[20..].iter().all(|&delay| delay == Duration::from_secs(30)), "{delays:?}");
    }

    #[test]
    fn restarts_that_are_rare_never_wait() {
        assert!(delays(Duration::from_secs(7), 100, 1.0).iter().all(Duration::is_zero));
    }

    #[test]
    fn a_calm_window_forgives_everything() {
        let (mut restarts, now) = (Restarts::default(), Instant::now());
        let last = (0..15).map(|_| restarts.delay(Backoff::default(), now, 0.0)).last();
        assert!(last > Some(Duration::ZERO));
        let later = now + Duration::from_secs(60);
        assert_eq!(restarts.delay(Backoff::default(), later, 0.0), Duration::ZERO);
    }

    #[test]
    fn chance_takes_away_up_to_half_of_a_delay() {
        assert_eq!(delays(Duration::ZERO, 11, 0.0)[10], Duration::from_millis(50));
        assert_eq!(delays(Duration::ZERO, 11, 0.5)[10], Duration::from_millis(75));
    }
}
