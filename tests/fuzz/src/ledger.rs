//! What one client spends, against an oracle that remembers every admission.

use std::{sync::Arc, time::Duration};

use actors::quota::{
    Key, Kind, Limit, Mode, Scope,
    ledger::{Bucket, Verdict},
    tick::Tick,
};

const SECOND: Duration = Duration::from_secs(1);
const INTERVALS: [Duration; 4] =
    [SECOND, Duration::from_secs(60), Duration::from_secs(86_400), Duration::from_secs(31 * 86_400)];
const TOKENS: [u64; 4] = [1, 10, 1_000, (1 << 63) - 1];

/// A bucket, and when what was admitted and not given back.
struct Ledger {
    bucket: Bucket,
    clock: Tick,
    admitted: Vec<(Tick, u64)>,
}

/// Never more than the limit within an interval, room again in time, promises that are true; whatever limits share the
/// bucket, and however time passes. The first two bytes are the limits, then come steps of three bytes.
pub fn ledger(bytes: &[u8]) {
    let Some((rules, steps)) = bytes.split_first_chunk::<2>() else { return };
    let limits = limits(rules);
    let clock = Tick::default().after(SECOND);
    let mut ledger = Ledger { bucket: Bucket::new(Key { scope: Scope(0), kind: Kind::Input, mode: Mode::Enforce }), clock, admitted: Vec::new() };
    for [step, share, part] in steps.as_chunks::<3>().0.iter().take(200) {
        let limit = &limits[usize::from(step / 4) % limits.len()];
        match step % 4 {
            0 => ledger.wait(limit, *share, *part),
            1 if !ledger.admitted.is_empty() => ledger.refund(usize::from(*share)),
            _ => {
                let share = u128::from(share / 16).min(10) * u128::from(part / 16).min(10);
                ledger.admit(limit, (u128::from(limit.tokens) * share).div_ceil(100) as u64);
            }
        }
    }
}

fn limits(rules: &[u8; 2]) -> Vec<Limit> {
    let chosen = |byte: u8| (TOKENS[usize::from(byte % 4)], INTERVALS[usize::from(byte / 4 % 4)]);
    let mut horizon: Vec<_> = rules.iter().map(|byte| chosen(*byte).1).collect();
    horizon.sort();
    horizon.dedup();
    let horizon: Arc<[_]> = horizon.into();
    let limit =
        |(tokens, interval)| Limit { scope: Scope(0), tokens, interval, horizon: Arc::clone(&horizon) };
    rules.iter().map(|byte| limit(chosen(*byte))).collect()
}

impl Ledger {
    /// Tokens that a window of `span` ending at `now` holds.
    fn used(&self, now: Tick, span: Duration) -> u128 {
        let within = self.admitted.iter().filter(|(then, _)| then.after(span) > now);
        within.map(|(_, amount)| u128::from(*amount)).sum()
    }

    /// Up to four intervals, a nanosecond more or less; or a step back of the clock.
    fn wait(&mut self, limit: &Limit, share: u8, part: u8) {
        let span = limit.interval / 64 * u32::from(share);
        let nudged = self.clock.after(span).as_nanos().saturating_add_signed(i64::from(part % 3) - 1);
        let back = self.clock.as_nanos() / 1_000 * u64::from(share);
        self.clock = Tick::from_nanos(if part == 255 { self.clock.as_nanos() - back } else { nudged });
    }

    fn refund(&mut self, which: usize) {
        let (then, amount) = self.admitted.remove(which % self.admitted.len());
        self.bucket.refund(then, amount);
    }

    fn admit(&mut self, limit: &Limit, amount: u64) {
        let before = self.bucket.clone();
        match self.bucket.admit(self.clock, limit, amount) {
            Verdict::Oversize => assert!(amount > limit.tokens),
            Verdict::Admitted { at } => {
                assert!(at >= self.clock);
                self.admitted.push((at, amount));
                assert!(self.used(at, limit.interval) <= u128::from(limit.tokens), "more than the limit");
            }
            Verdict::Short { retry_after } => {
                let late = limit.interval + (limit.interval / 60).min(900 * SECOND);
                let still = self.used(self.clock, late) + u128::from(amount);
                assert!(still > u128::from(limit.tokens), "room comes back too late");
                let promised = self.clock.after(retry_after);
                let early = Tick::from_nanos(promised.as_nanos() - 1);
                let fits = |at| matches!(before.clone().admit(at, limit, amount), Verdict::Admitted { .. });
                assert!(fits(promised) && !fits(early), "{retry_after:?} is not true");
            }
        }
    }
}
