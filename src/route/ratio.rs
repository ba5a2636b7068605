//! How far our counts of input are from a model's own, learned from its reports. One number, without a lock.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// The estimate of a model's input over what it reports, as it has been lately: 0.8 where 80 tokens of ours are 100 of
/// its own. Within [`Ratio::LEAST`] and [`Ratio::MOST`], whatever a provider reports.
#[derive(Debug)]
pub struct Ratio(AtomicU32);

/// So much of what was known stays when a report comes in: half of it after eleven.
const KEPT: f32 = 15.0 / 16.0;

impl Ratio {
    /// The least it becomes: whoever sends what is counted far too low, such as pictures, shall not make the calls of
    /// others twice as dear as they are.
    pub const LEAST: f32 = 0.5;
    /// The most.
    pub const MOST: f32 = 4.0;

    /// Takes in a report on a call whose input was counted. One of nothing, or none, says nothing.
    pub fn learn(&self, estimate: u64, reported: Option<u64>) {
        let Some(reported) = reported.filter(|reported| *reported > 0 && estimate > 0) else { return };
        let seen = (estimate as f32 / reported as f32).clamp(Self::LEAST, Self::MOST);
        let mixed = |bits| Some((f32::from_bits(bits) * KEPT + seen * (1.0 - KEPT)).to_bits());
        // Never fails: the function always gives a value.
        let _ = self.0.fetch_update(Relaxed, Relaxed, mixed);
    }

    /// The ratio now; 1 before anything is known.
    pub fn get(&self) -> f32 {
        f32::from_bits(self.0.load(Relaxed))
    }

    /// What the model would report of input that was counted so.
    pub fn expected(&self, estimate: u64) -> u64 {
        // A cast that is out of range gives the nearest number in it.
        (estimate as f64 / f64::from(self.get())).round() as u64
    }
}

impl Default for Ratio {
    fn default() -> Self {
        Self(AtomicU32::new(1.0_f32.to_bits()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_follows_the_reports_and_stays_within_its_bounds() {
        let ratio = Ratio::default();
        assert_eq!((ratio.get(), ratio.expected(80)), (1.0, 80));
        (0..200).for_each(|_| ratio.learn(80, Some(100)));
        assert!((ratio.get() - 0.8).abs() < 0.001, "{ratio:?}");
        assert_eq!(ratio.expected(80), 100);
        (0..200).for_each(|_| ratio.learn(1, Some(u64::MAX)));
        assert!((ratio.get() - Ratio::LEAST).abs() < 0.001, "{ratio:?}");
        (0..200).for_each(|_| ratio.learn(u64::MAX, Some(1)));
        assert!((ratio.get() - Ratio::MOST).abs() < 0.001, "{ratio:?}");
        assert_eq!(ratio.expected(0), 0);
    }

    #[test]
    fn a_report_of_nothing_teaches_nothing_and_one_report_little() {
        let ratio = Ratio::default();
        for (estimate, reported) in [(8, None), (8, Some(0)), (0, Some(8))] {
            ratio.learn(estimate, reported);
        }
        assert_eq!(ratio.get(), 1.0);
        ratio.learn(8, Some(100));
        assert_eq!(ratio.expected(8), 8);
    }
}
