//! Writes a request for a provider that speaks Anthropic's Messages.
//!
//! What the format cannot say is named as lost; content that it cannot carry is refused.

use serde::Serialize;
use serde_json::Number;

use self::messages::Turn;
use crate::{
    chat::{
        json::Json,
        loss::{Losses, Parameter, Unsupported},
        request::{Format, Hints, Request},
    },
    protocol::{
        anthropic::wire::Blocks,
        claude::{
            model::Model,
            schema,
            thinking::{Plan, Thinking},
        },
        translate::Target,
    },
};

mod messages;
mod sampling;
mod tools;

#[derive(Serialize)]
struct Body<'r> {
    model: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<Blocks<'r>>,
    messages: Vec<Turn<'r>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<tools::Tool<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<tools::Choice<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Thinking>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<&'r Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<&'r Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<&'r Number>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop_sequences: Vec<&'r str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'static str>,
}

#[derive(Serialize)]
struct OutputConfig<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<OutputFormat<'r>>,
}

#[derive(Serialize)]
struct OutputFormat<'r> {
    #[serde(rename = "type")]
    kind: &'static str,
    schema: Json<'r>,
}

#[derive(Serialize)]
struct Metadata<'r> {
    user_id: &'r str,
}

/// The most characters of `metadata.user_id`.
const USER_CHARACTERS: usize = 256;

/// The body of a request.
///
/// # Errors
/// [`Unsupported`] names content that the format cannot carry.
pub fn write(
    request: &Request<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Vec<u8>, Unsupported> {
    // Strings, numbers and JSON that was read before always serialise.
    Ok(serde_json::to_vec(&body(request, target, losses)?).unwrap_or_default())
}

/// The body of a request to `count_tokens`, which takes nothing that does not change the count. Nothing is lost by that.
///
/// # Errors
/// See [`write`].
pub fn write_count(request: &Request<'_>, target: &Target<'_>) -> Result<Vec<u8>, Unsupported> {
    let body = Body {
        max_tokens: None,
        temperature: None,
        top_p: None,
        top_k: None,
        stop_sequences: Vec::new(),
        stream: false,
        metadata: None,
        service_tier: None,
        ..body(request, target, &mut Losses::default())?
    };
    Ok(serde_json::to_vec(&body).unwrap_or_default())
}

fn body<'r>(
    request: &'r Request<'_>,
    target: &Target<'r>,
    losses: &mut Losses,
) -> Result<Body<'r>, Unsupported> {
    let model = Model::named(target.model);
    let (system, messages) = messages::write(request, losses)?;
    let thinks_in_turn = messages::last_turn_thinks(&messages);
    let plan = Plan::new(request, model, target.max_tokens, thinks_in_turn, losses);
    let sampled = sampling::write(&request.sampling, model, plan.is_on(), losses);
    let (tools, tool_choice) = tools::write(request, model, plan.is_on(), losses);
    let format = format(request.format.as_ref(), losses);
    let effort = plan.effort;
    lose_hints(&request.hints, losses);
    Ok(Body {
        model: target.model,
        max_tokens: Some(plan.max_tokens),
        system,
        messages,
        tools,
        tool_choice,
        thinking: plan.thinking,
        output_config: (effort.is_some() || format.is_some()).then_some(OutputConfig { effort, format }),
        temperature: sampled.temperature,
        top_p: sampled.top_p,
        top_k: sampled.top_k,
        stop_sequences: sampled.stop,
        stream: request.stream,
        metadata: user(&request.hints, losses),
        service_tier: service_tier(&request.hints, losses),
    })
}

/// The form of the answer. There is none for JSON without a schema.
fn format<'r>(format: Option<&'r Format<'_>>, losses: &mut Losses) -> Option<OutputFormat<'r>> {
    match format? {
        Format::JsonObject => {
            losses.lose(Parameter::Format);
            None
        }
        Format::Schema { schema, .. } => {
            Some(OutputFormat { kind: "json_schema", schema: schema::taken(schema, losses) })
        }
    }
}

fn user<'r>(hints: &'r Hints<'_>, losses: &mut Losses) -> Option<Metadata<'r>> {
    let user_id = hints.user.as_deref()?;
    let fits = user_id.chars().nth(USER_CHARACTERS).is_none();
    losses.lose_if(!fits, Parameter::User);
    fits.then_some(Metadata { user_id })
}

fn service_tier(hints: &Hints<'_>, losses: &mut Losses) -> Option<&'static str> {
    match hints.service_tier.as_deref()? {
        "auto" => Some("auto"),
        "default" | "standard_only" => Some("standard_only"),
        _ => {
            losses.lose(Parameter::ServiceTier);
            None
        }
    }
}

fn lose_hints(hints: &Hints<'_>, losses: &mut Losses) {
    losses.lose_if(hints.metadata.is_some(), Parameter::Metadata);
    losses.lose_if(hints.prompt_cache_key.is_some(), Parameter::PromptCacheKey);
    losses.lose_if(hints.store.is_some(), Parameter::Store);
}

#[cfg(test)]
mod tests;
