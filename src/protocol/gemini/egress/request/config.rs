//! `generationConfig`: how the answer is sampled, its form, and how much the model may think. Tokens.

use serde::Serialize;
use serde_json::Number;

use super::model::Model;
use crate::chat::{
    json::Json,
    loss::{Losses, Parameter},
    request::{Amount, Effort, Format, Request},
};

/// What is sent.
#[derive(Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Config<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<&'r Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<&'r Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<&'r Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    candidate_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop_sequences: Vec<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<&'r Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<&'r Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<&'r Number>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    response_logprobs: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_mime_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_json_schema: Option<Json<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_config: Option<Thinking>,
}

/// `thinkingConfig`
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Thinking {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    include_thoughts: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_budget: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_level: Option<&'static str>,
}

/// The most stop sequences that are taken.
const STOPS: usize = 5;

/// What of the request it can say; `None` when that is nothing.
pub(super) fn write<'r>(request: &'r Request<'_>, model: Model, losses: &mut Losses) -> Option<Config<'r>> {
    let sampling = &request.sampling;
    // An empty sequence is refused.
    let stop = sampling.stop.iter().map(AsRef::as_ref).filter(|text: &&str| !text.is_empty());
    let stop_sequences: Vec<&str> = stop.take(STOPS).collect();
    losses.lose_if(stop_sequences.len() < sampling.stop.len(), Parameter::Stop);
    sampling.lose(&[Parameter::LogitBias, Parameter::Verbosity], losses);
    let (response_mime_type, response_json_schema) = format(request.format.as_ref());
    let logprobs = sampling.top_logprobs.filter(|top| *top > 0);
    let asks = |parameter| sampling.asks(parameter);
    let config = Config {
        temperature: sampling.temperature.as_ref(),
        top_p: sampling.top_p.as_ref(),
        top_k: sampling.top_k.as_ref(),
        candidate_count: sampling.choices.filter(|choices| *choices > 1),
        max_output_tokens: sampling.max_tokens,
        stop_sequences,
        seed: sampling.seed.as_ref(),
        // Models that have no penalties refuse one of 0 too.
        presence_penalty: sampling.presence_penalty.as_ref().filter(|_| asks(Parameter::PresencePenalty)),
        frequency_penalty: sampling.frequency_penalty.as_ref().filter(|_| asks(Parameter::FrequencyPenalty)),
        response_logprobs: asks(Parameter::Logprobs),
        logprobs,
        response_mime_type,
        response_json_schema,
        thinking_config: thinking(request, model, losses),
    };
    (config != Config::default()).then_some(config)
}

/// The form of the answer: a schema passes whole, and is always followed.
fn format<'r>(format: Option<&'r Format<'_>>) -> (Option<&'static str>, Option<Json<'r>>) {
    let schema = match format {
        None => return (None, None),
        Some(Format::JsonObject) => None,
        Some(Format::Schema { schema, .. }) => Some(super::tools::undeclared(schema)),
    };
    (Some("application/json"), schema)
}

/// How much the model may think: by level where it has them and the client gave an effort, else by budget.
fn thinking(request: &Request<'_>, model: Model, losses: &mut Losses) -> Option<Thinking> {
    let asked = request.reasoning.as_ref()?;
    let off = asked.amount == Some(Amount::Off);
    if !model.thinks() {
        let on = asked.amount.is_some() && !off || asked.shown == Some(true);
        losses.lose_if(on, asked.parameter());
        return None;
    }
    // What cannot be silent thinks as little as it can.
    losses.lose_if(off && !model.can_be_silent(), Parameter::Reasoning);
    let max_tokens = request.sampling.max_tokens;
    let (thinking_level, thinking_budget) = match asked.amount {
        Some(Amount::Dynamic) if !model.takes_level() => (None, Some(-1)),
        None | Some(Amount::Dynamic) => (None, None),
        Some(Amount::Off) if model.can_be_silent() => (None, Some(0)),
        Some(Amount::Off) if model.takes_level() => (Some(level(Effort::Minimal, model)), None),
        Some(Amount::Off) => (None, budget(Amount::Off, 0, model, max_tokens)),
        Some(Amount::Effort(effort)) if model.takes_level() => (Some(level(effort, model)), None),
        Some(amount @ Amount::Effort(effort)) => (None, budget(amount, effort.budget(), model, max_tokens)),
        Some(amount @ Amount::Budget(tokens)) => (None, budget(amount, tokens, model, max_tokens)),
    };
    let include_thoughts = asked.shown == Some(true) && !off;
    let thinking = Thinking { include_thoughts, thinking_budget, thinking_level };
    (thinking != Thinking::default()).then_some(thinking)
}

/// A budget that the model takes. It counts towards the length of the answer, and leaves room in it.
fn budget(amount: Amount, tokens: u64, model: Model, max_tokens: Option<u64>) -> Option<i64> {
    let (least, most) = model.budgets();
    let tokens = max_tokens.map_or(tokens, |max| amount.within(tokens, max));
    i64::try_from(tokens.clamp(least, most)).ok()
}

/// The level that comes nearest to an effort.
fn level(effort: Effort, model: Model) -> &'static str {
    match effort {
        Effort::Minimal if model.takes_every_level() => "minimal",
        Effort::Medium if model.takes_every_level() => "medium",
        Effort::Minimal | Effort::Low => "low",
        Effort::Medium | Effort::High | Effort::Highest => "high",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::request::{Sampling, Thinking as Asked};

    fn written(model: &str, amount: Amount, max_tokens: Option<u64>) -> (String, bool) {
        let reasoning = Some(Asked { amount: Some(amount), shown: Some(true), summary: None });
        let sampling = Sampling { max_tokens, ..Sampling::default() };
        let (request, mut losses) =
            (Request { reasoning, sampling, ..Request::default() }, Losses::default());
        let config = thinking(&request, Model::named(model), &mut losses);
        (serde_json::to_string(&config).expect("JSON"), losses.iter().count() > 0)
    }

    #[test]
    fn an_effort_is_a_level_or_a_budget_that_the_model_takes() {
        for (model, amount, max_tokens, config) in [
            (
                "gemini-2.5-flash",
                Amount::Effort(Effort::High),
                None,
                r#"{"includeThoughts":true,"thinkingBudget":24576}"#,
            ),
            (
                "gemini-2.5-flash",
                Amount::Effort(Effort::Highest),
                None,
                r#"{"includeThoughts":true,"thinkingBudget":24576}"#,
            ),
            (
                "gemini-2.5-pro",
                Amount::Effort(Effort::Highest),
                None,
                r#"{"includeThoughts":true,"thinkingBudget":32768}"#,
            ),
            (
                "gemini-2.5-pro",
                Amount::Budget(5000),
                Some(2000),
                r#"{"includeThoughts":true,"thinkingBudget":1500}"#,
            ),
            (
                "gemini-2.5-flash-lite",
                Amount::Budget(5),
                Some(0),
                r#"{"includeThoughts":true,"thinkingBudget":512}"#,
            ),
            ("gemini-2.5-flash", Amount::Dynamic, None, r#"{"includeThoughts":true,"thinkingBudget":-1}"#),
            ("gemini-2.5-flash", Amount::Off, None, r#"{"thinkingBudget":0}"#),
            (
                "models/gemini-3-flash-preview",
                Amount::Effort(Effort::Minimal),
                None,
                r#"{"includeThoughts":true,"thinkingLevel":"minimal"}"#,
            ),
            (
                "gemini-3-pro-preview",
                Amount::Effort(Effort::Medium),
                None,
                r#"{"includeThoughts":true,"thinkingLevel":"high"}"#,
            ),
            ("gemini-3-pro-preview", Amount::Dynamic, None, r#"{"includeThoughts":true}"#),
            (
                "gemini-3-flash",
                Amount::Budget(9000),
                None,
                r#"{"includeThoughts":true,"thinkingBudget":9000}"#,
            ),
        ] {
            assert_eq!(written(model, amount, max_tokens), (config.to_owned(), false), "{model} {amount:?}");
        }
    }

    #[test]
    fn what_a_model_cannot_is_said() {
        assert_eq!(written("gemini-2.0-flash", Amount::Dynamic, None), ("null".to_owned(), true));
        assert_eq!(
            written("gemini-2.5-pro", Amount::Off, None),
            (r#"{"thinkingBudget":128}"#.to_owned(), true)
        );
        assert_eq!(
            written("gemini-3-pro", Amount::Off, None),
            (r#"{"thinkingLevel":"low"}"#.to_owned(), true)
        );
    }
}
