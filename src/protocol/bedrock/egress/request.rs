//! Writes a request for a provider that speaks Converse. The model and whether the answer is streamed are said by its
//! address, not here.
//!
//! What the format cannot say is named as lost; content that it cannot carry is refused.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Serialize;
use serde_json::Number;

use self::{family::Family, messages::Turn, tools::ToolConfig, wire::Block};
use crate::{
    chat::{
        json::Json,
        loss::{Losses, Parameter, Unsupported},
        request::{Amount, Format, Hints, Request, Sampling},
    },
    protocol::{
        claude::{
            schema,
            thinking::{Plan, Thinking},
        },
        translate::Target,
    },
};

mod document;
mod family;
mod messages;
mod tools;
mod wire;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'r> {
    messages: Vec<Turn<'r>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block<'r>>,
    #[serde(skip_serializing_if = "is_default")]
    inference_config: InferenceConfig<'r>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<ToolConfig<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig<'r>>,
    #[serde(skip_serializing_if = "is_default")]
    additional_model_request_fields: Additional<'r>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    additional_model_response_field_paths: &'static [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    request_metadata: Option<&'r Json<'r>>,
}

#[derive(Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct InferenceConfig<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<&'r Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<&'r Number>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop_sequences: Vec<&'r str>,
}

/// What goes on to the model in the words of its maker.
#[derive(Default, PartialEq, Serialize)]
struct Additional<'r> {
    /// Claude's, as Anthropic has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Thinking>,
    /// Claude's, as Anthropic has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<Effort>,
    /// Claude's and Mistral's.
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<&'r Number>,
    /// Nova's.
    #[serde(skip_serializing_if = "Option::is_none", rename = "inferenceConfig")]
    inference_config: Option<TopK<'r>>,
}

#[derive(PartialEq, Serialize)]
struct Effort {
    effort: &'static str,
}

#[derive(PartialEq, Serialize)]
struct TopK<'r> {
    #[serde(rename = "topK")]
    top_k: &'r Number,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OutputConfig<'r> {
    text_format: TextFormat<'r>,
}

#[derive(Serialize)]
struct TextFormat<'r> {
    #[serde(rename = "type")]
    kind: &'static str,
    structure: Structure<'r>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Structure<'r> {
    json_schema: JsonSchema<'r>,
}

#[derive(Serialize)]
struct JsonSchema<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'r str>,
    /// JSON as text.
    schema: String,
}

/// Where Claude's own answer, whole or streamed, says at which text it ended. Paths that lead nowhere are ignored.
const STOP_SEQUENCE: &[&str] = &["/stop_sequence", "/delta/stop_sequence"];

/// The body of a request.
///
/// # Errors
/// [`Unsupported`] names content that the format cannot carry.
pub fn write(
    request: &Request<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Vec<u8>, Unsupported> {
    let family = Family::of(target.model);
    let (system, turns) = messages::write(request, family, losses)?;
    let plan = plan(request, family, target.max_tokens, messages::last_turn_thinks(&turns), losses);
    let thinks = plan.as_ref().is_some_and(Plan::is_on);
    let tool_config = tools::write(request, family, thinks, &turns, losses)?;
    let inference_config = inference(&request.sampling, family, plan.as_ref(), losses);
    let stops = matches!(family, Family::Claude(_)) && !inference_config.stop_sequences.is_empty();
    lose(request, losses);
    let body = Body {
        messages: turns,
        system,
        inference_config,
        tool_config,
        output_config: format(request.format.as_ref(), family, losses),
        additional_model_request_fields: additional(&request.sampling, family, plan, losses),
        additional_model_response_field_paths: if stops { STOP_SEQUENCE } else { &[] },
        request_metadata: metadata(&request.hints, losses),
    };
    // Strings, numbers and JSON that was read before always serialise.
    Ok(serde_json::to_vec(&body).unwrap_or_default())
}

/// How a Claude is to think; of the other models none is told.
fn plan(
    request: &Request<'_>,
    family: Family,
    default_max: u64,
    thinks_in_turn: bool,
    losses: &mut Losses,
) -> Option<Plan> {
    if let Family::Claude(model) = family {
        return Some(Plan::new(request, model, default_max, thinks_in_turn, losses));
    }
    if let Some(reasoning) = &request.reasoning {
        let asks = reasoning.amount.is_some_and(|amount| amount != Amount::Off);
        losses.lose_if(asks, reasoning.parameter());
    }
    None
}

/// What Converse has for every model. It takes no temperature above 1. A Claude that thinks takes no other temperature
/// than 1 (the default), and no `top_p` below 0.95; the newest take none at all.
fn inference<'r>(
    sampling: &'r Sampling<'_>,
    family: Family,
    plan: Option<&Plan>,
    losses: &mut Losses,
) -> InferenceConfig<'r> {
    let is = |number: &Number, test: &dyn Fn(f64) -> bool| number.as_f64().is_some_and(test);
    let thinks = plan.is_some_and(Plan::is_on);
    let fixed = is_fixed(family, thinks);
    // OpenAI's temperature goes to 2; without one it is 1, which is the nearest.
    let temperature = keep(sampling, &sampling.temperature, Parameter::Temperature, losses, |temperature| {
        if fixed { is(temperature, &|t| t == 1.0) } else { is(temperature, &|t| (0.0..=1.0).contains(&t)) }
    });
    let top_p = keep(sampling, &sampling.top_p, Parameter::TopP, losses, |top_p| {
        let least = if !fixed {
            0.0
        } else if thinks {
            0.95
        } else {
            1.0
        };
        let alone = temperature.is_none() || family.takes_temperature_with_top_p();
        alone && is(top_p, &|p| (least..=1.0).contains(&p))
    });
    // A sequence of blanks is refused.
    let stop_sequences: Vec<&str> =
        sampling.stop.iter().map(AsRef::as_ref).filter(|text| !text.trim().is_empty()).collect();
    losses.lose_if(stop_sequences.len() < sampling.stop.len(), Parameter::Stop);
    // Without a length the answer has as many tokens as the model can write; a budget has to be below what is said.
    let budgeted = plan.filter(|plan| matches!(plan.thinking, Some(Thinking::Enabled { .. })));
    let max_tokens = sampling.max_tokens.or_else(|| budgeted.map(|plan| plan.max_tokens));
    InferenceConfig { max_tokens, temperature, top_p, stop_sequences }
}

/// Whether the model's sampling cannot be changed.
fn is_fixed(family: Family, thinks: bool) -> bool {
    thinks || matches!(family, Family::Claude(model) if !model.is_sampled())
}

fn additional<'r>(
    sampling: &'r Sampling<'_>,
    family: Family,
    plan: Option<Plan>,
    losses: &mut Losses,
) -> Additional<'r> {
    let fixed = is_fixed(family, plan.as_ref().is_some_and(Plan::is_on));
    let (thinking, effort) = plan.map_or((None, None), |plan| (plan.thinking, plan.effort));
    let takes = matches!(family, Family::Claude(_) | Family::Nova | Family::Mistral);
    let top_k = keep(sampling, &sampling.top_k, Parameter::TopK, losses, |_| takes && !fixed);
    let (top_k, inference_config) = match family {
        Family::Nova => (None, top_k.map(|top_k| TopK { top_k })),
        _ => (top_k, None),
    };
    Additional { thinking, output_config: effort.map(|effort| Effort { effort }), top_k, inference_config }
}

/// A number if the model takes it. What every model does anyway is no loss.
fn keep<'r>(
    sampling: &Sampling<'_>,
    number: &'r Option<Number>,
    parameter: Parameter,
    losses: &mut Losses,
    taken: impl FnOnce(&Number) -> bool,
) -> Option<&'r Number> {
    let number = number.as_ref()?;
    let taken = taken(number);
    losses.lose_if(!taken && sampling.asks(parameter), parameter);
    taken.then_some(number)
}

/// The form of the answer. There is none for JSON without a schema.
fn format<'r>(
    format: Option<&'r Format<'_>>,
    family: Family,
    losses: &mut Losses,
) -> Option<OutputConfig<'r>> {
    let format = format?;
    match format {
        Format::Schema { name, description, schema, .. } if family.is_structured() => {
            let schema = schema::taken(schema, losses).text().to_owned();
            let description = description.as_deref().filter(|text| !text.is_empty());
            let json_schema = JsonSchema { name: name.as_deref(), description, schema };
            let text_format = TextFormat { kind: "json_schema", structure: Structure { json_schema } };
            Some(OutputConfig { text_format })
        }
        _ => {
            losses.lose(Parameter::Format);
            None
        }
    }
}

/// What Converse has no words for.
fn lose(request: &Request<'_>, losses: &mut Losses) {
    request.sampling.lose(&Sampling::UNSAID_TO_CLAUDE, losses);
    let Hints { user, service_tier, prompt_cache_key, store, .. } = &request.hints;
    losses.lose_if(user.is_some(), Parameter::User);
    losses.lose_if(service_tier.is_some(), Parameter::ServiceTier);
    losses.lose_if(prompt_cache_key.is_some(), Parameter::PromptCacheKey);
    losses.lose_if(store.is_some(), Parameter::Store);
}

/// What goes to the account's log of invocations: at most 16 short texts of few characters, or the call would be refused.
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>
fn metadata<'r>(hints: &'r Hints<'_>, losses: &mut Losses) -> Option<&'r Json<'r>> {
    let written = hints.metadata.as_ref()?;
    let fits = |text: &str, least: usize| {
        let taken =
            |c: char| c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || ":_@$#=/+,-.".contains(c);
        (least..=256).contains(&text.len()) && text.chars().all(taken)
    };
    let entries: Option<BTreeMap<Cow<'_, str>, Cow<'_, str>>> = serde_json::from_str(written.text()).ok();
    let taken = entries.is_some_and(|entries| {
        (1..=16).contains(&entries.len()) && entries.iter().all(|(key, value)| fits(key, 1) && fits(value, 0))
    });
    losses.lose_if(!taken, Parameter::Metadata);
    taken.then_some(written)
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests;
