//! What of the sampling is sent. A value that is what the model does anyway is no loss where it cannot be said.

use std::ops::RangeInclusive;

use serde_json::Number;

use crate::{
    chat::{
        loss::{Losses, Parameter},
        request::Sampling,
    },
    protocol::claude::model::Model,
};

/// What is sent.
pub(super) struct Sampled<'r> {
    pub(super) temperature: Option<&'r Number>,
    pub(super) top_p: Option<&'r Number>,
    pub(super) top_k: Option<&'r Number>,
    pub(super) stop: Vec<&'r str>,
}

/// No number is in it.
const NOTHING: RangeInclusive<f64> = 1.0..=0.0;

/// With thinking a model refuses another temperature than 1, `top_k`, and a `top_p` below 0.95; see the guide on extended
/// thinking. OpenAI's temperature goes to 2: without it, it is 1 here, which is the nearest.
pub(super) fn write<'r>(
    sampling: &'r Sampling<'_>,
    model: Model,
    thinks: bool,
    losses: &mut Losses,
) -> Sampled<'r> {
    let fixed = thinks || !model.is_sampled();
    let range = if fixed { 1.0..=1.0 } else { 0.0..=1.0 };
    let temperature = keep(&sampling.temperature, range, Parameter::Temperature, losses);
    let range = match temperature {
        Some(_) if !model.takes_temperature_with_top_p() => NOTHING,
        _ if !model.is_sampled() => 1.0..=1.0,
        _ if thinks => 0.95..=1.0,
        _ => 0.0..=1.0,
    };
    let top_p = keep(&sampling.top_p, range, Parameter::TopP, losses);
    let top_k = sampling.top_k.as_ref();
    losses.lose_if(top_k.is_some() && fixed, Parameter::TopK);
    // A sequence of blanks is refused.
    let stop: Vec<&str> =
        sampling.stop.iter().map(AsRef::as_ref).filter(|text| !text.trim().is_empty()).collect();
    losses.lose_if(stop.len() < sampling.stop.len(), Parameter::Stop);
    sampling.lose(&Sampling::UNSAID_TO_CLAUDE, losses);
    Sampled { temperature, top_p, top_k: top_k.filter(|_| !fixed), stop }
}

/// A number within a range. Outside of it only 1, the default of all of them, can go without a word.
fn keep<'r>(
    number: &'r Option<Number>,
    range: RangeInclusive<f64>,
    parameter: Parameter,
    losses: &mut Losses,
) -> Option<&'r Number> {
    let value = number.as_ref()?.as_f64();
    if value.is_some_and(|value| range.contains(&value)) {
        return number.as_ref();
    }
    losses.lose_if(value != Some(1.0), parameter);
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is sent of a temperature and a `top_p`, and what is lost.
    fn sent(model: &str, thinks: bool, temperature: f64, top_p: f64) -> (Option<f64>, Option<f64>, usize) {
        let [temperature, top_p] = [temperature, top_p].map(Number::from_f64);
        let (sampling, mut losses) =
            (Sampling { temperature, top_p, ..Sampling::default() }, Losses::default());
        let sampled = write(&sampling, Model::named(model), thinks, &mut losses);
        let value = |number: Option<&Number>| number.and_then(Number::as_f64);
        (value(sampled.temperature), value(sampled.top_p), losses.iter().count())
    }

    #[test]
    fn what_a_model_takes_is_sent_and_its_default_is_no_loss() {
        assert_eq!(sent("claude-3-5-haiku", false, 0.5, 0.9), (Some(0.5), Some(0.9), 0));
        assert_eq!(sent("claude-sonnet-4-5", false, 0.5, 0.9), (Some(0.5), None, 1));
        assert_eq!(sent("claude-sonnet-4-5", false, 0.5, 1.0), (Some(0.5), None, 0));
        assert_eq!(sent("claude-sonnet-4-5", false, 1.5, 0.9), (None, Some(0.9), 1));
        assert_eq!(sent("claude-3-7-sonnet", true, 0.5, 0.96), (None, Some(0.96), 1));
        assert_eq!(sent("claude-3-7-sonnet", true, 1.0, 0.9), (Some(1.0), None, 1));
        assert_eq!(sent("claude-opus-4-8", false, 0.5, 0.9), (None, None, 2));
    }
}
