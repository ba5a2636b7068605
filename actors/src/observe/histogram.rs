//! A histogram of waiting times: lock-free, of fixed size, good to about 6 %.
//! It must not allocate or block: the actor records into it between two messages. Values are nanoseconds.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Buckets to an octave: 2^3, so that a bucket is at most 1/8 of its lower edge wide.
const SUB_BITS: u32 = 3;
/// The highest octave that is told apart: 2^36 ns ≈ 69 s. Longer waits count as that.
const TOP_OCTAVE: u32 = 36;
/// Octaves 3 to [`TOP_OCTAVE`] of eight buckets each, after eight exact ones for 0 to 7 ns.
pub(super) const BUCKETS: usize = ((TOP_OCTAVE - SUB_BITS + 2) << SUB_BITS) as usize;

/// Counts by logarithmic bucket. Readers see each bucket atomically, not all of them at one instant.
#[derive(Debug)]
pub(super) struct Histogram([AtomicU64; BUCKETS]);

/// What a [`Histogram`] held at some time; the difference of two is the interval between them.
#[derive(Clone, Debug)]
pub(super) struct Counts(Box<[u64]>);

impl Default for Histogram {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; BUCKETS])
    }
}

impl Histogram {
    pub(super) fn record(&self, nanos: u64) {
        self.0[bucket(nanos)].fetch_add(1, Relaxed);
    }

    pub(super) fn counts(&self) -> Counts {
        Counts(self.0.iter().map(|count| count.load(Relaxed)).collect())
    }
}

impl Counts {
    pub(super) fn zero() -> Self {
        Self(vec![0; BUCKETS].into())
    }

    /// What was recorded between `earlier` and `self`.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        Self(self.0.iter().zip(&earlier.0).map(|(now, then)| now.saturating_sub(*then)).collect())
    }

    /// The value below which `share` (0 to 1) of the recorded ones lie, in nanoseconds: the middle of its bucket.
    /// Zero when nothing was recorded.
    pub(super) fn quantile(&self, share: f64) -> u64 {
        let total: u64 = self.0.iter().sum();
        let rank = ((total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        self.0
            .iter()
            .position(|count| {
                seen += count;
                seen >= rank
            })
            .map_or(0, middle)
    }
}

/// HdrHistogram's layout: the position of the highest bit, then the next three bits.
fn bucket(nanos: u64) -> usize {
    let nanos = nanos.min((1 << (TOP_OCTAVE + 1)) - 1);
    let octave = nanos.checked_ilog2().unwrap_or(0);
    if octave < SUB_BITS {
        return nanos as usize;
    }
    let shift = octave - SUB_BITS;
    ((shift as usize) << SUB_BITS) + (nanos >> shift) as usize
}

fn middle(bucket: usize) -> u64 {
    let per_octave = 1 << SUB_BITS;
    if bucket < per_octave {
        return bucket as u64;
    }
    let shift = bucket / per_octave - 1;
    let low = ((per_octave + bucket % per_octave) as u64) << shift;
    low + (1 << shift) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_falls_into_a_bucket_whose_middle_is_near_it() {
        for exponent in 0..=TOP_OCTAVE {
            for step in 0..64u64 {
                let value = (1u64 << exponent) + ((1u64 << exponent) * step) / 64;
                let told = middle(bucket(value));
                assert!(told.abs_diff(value) as f64 <= value as f64 / 12.0, "{value} told as {told}");
            }
        }
    }

    #[test]
    fn buckets_are_in_order_and_the_last_one_takes_all_that_is_longer() {
        assert!((1..BUCKETS).all(|at| middle(at) > middle(at - 1)));
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_of_an_interval_leave_out_what_came_before_it() {
        let histogram = Histogram::default();
        (0..1000).for_each(|_| histogram.record(1_000_000));
        let before = histogram.counts();
        (0..98).for_each(|_| histogram.record(1_000));
        (0..2).for_each(|_| histogram.record(50_000));
        let interval = histogram.counts().since(&before);
        assert!(interval.quantile(0.5).abs_diff(1_000) < 80, "{}", interval.quantile(0.5));
        assert!(interval.quantile(0.99).abs_diff(50_000) < 4_000, "{}", interval.quantile(0.99));
        assert_eq!(Counts::zero().quantile(0.99), 0);
    }
}
