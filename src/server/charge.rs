//! What a call is charged: what is taken of its input before it is sent, and what stands when its answer is known. Pure.
//! Units: tokens; money in 10⁻⁹.

use actors::{Principal, quota::Actual};

use crate::{
    chat::usage::Usage,
    config::Count,
    route::{Target, ratio::Ratio},
};

/// What was counted here of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    pub(super) input: u64,
    pub(super) output: u64,
}

/// What a weight of 1 is.
const WHOLE: u64 = 1_000_000_000;

/// More tokens than this in one answer nobody has spent: no report.
const BELIEVED: u64 = 1 << 40;

/// Above which number of its tokens a call is refused whatever else is so: counting further is in vain.
pub(super) fn ceiling(target: &Target, caller: &Principal) -> Option<u64> {
    let ceiling = target.budget(caller).ceiling?;
    Some(match target.charging.count {
        Count::Estimate => ceiling,
        // As many of our tokens may be as few of the provider's.
        Count::Reported => ceiling.saturating_mul(Ratio::MOST as u64),
    })
}

/// What is taken of the input before anything is reported. What fits by the count is not refused for ever by a guess.
pub(super) fn expected(target: &Target, caller: &Principal, estimate: u64) -> u64 {
    if target.charging.count == Count::Estimate {
        return estimate;
    }
    let most = target.budget(caller).ceiling.map_or(u64::MAX, |ceiling| ceiling.max(estimate));
    target.ratio.expected(estimate).min(most)
}

/// What is charged in the end. A report that is absent, of nothing or of more than anyone
/// believes is none: what was counted stands. Money goes by
/// the report in any case.
pub(super) fn actual(target: &Target, usage: &Usage, counted: Counted) -> Actual {
    let [input, output] =
        [usage.input, usage.output].map(|tokens| tokens.filter(|tokens| (1..=BELIEVED).contains(tokens)));
    let (tokens, cached) = (input.unwrap_or(counted.input), usage.cached.unwrap_or(0));
    let weighted = |input| weighted(input, cached, target.charging.cached_input_weight);
    Actual {
        input: input.filter(|_| target.charging.count == Count::Reported).map(weighted),
        output,
        cost: Some(target.price.of(tokens, cached, output.unwrap_or(counted.output))),
    }
}

/// Input of which a part was cached and weighs more or less than the rest; rounded up.
fn weighted(input: u64, cached: u64, weight: u64) -> u64 {
    let cached = cached.min(input);
    let weighed = (u128::from(cached) * u128::from(weight)).div_ceil(u128::from(WHOLE));
    (input - cached).saturating_add(u64::try_from(weighed).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
