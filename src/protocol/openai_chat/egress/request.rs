//! Writes a request for a provider.
//!
//! Only what chat completions know is written. Reasoning of earlier turns that came with `reasoning_details` goes back in
//! that list, but not to OpenAI, which refuses it; all other has no place, and is left out.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Number;

use self::{message::Message, tools::OutTool};
use crate::{
    chat::{
        json::Json,
        loss::{Losses, Parameter, Unsupported},
        request::{Amount, Effort, Format, Hints, Request, Sampling},
    },
    protocol::translate::Target,
};

mod content;
mod message;
mod tools;

/// The longest name of a user that OpenAI takes, in characters; Claude Code's are longer.
const LONGEST_USER: usize = 64;

/// The most texts at which an answer may end.
const MOST_STOPS: usize = 4;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<OutTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<tools::Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<ResponseFormat<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'static str>,
    #[serde(flatten)]
    sampling: OutSampling<'a>,
    #[serde(flatten)]
    hints: OutHints<'a>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ResponseFormat<'a> {
    JsonObject,
    JsonSchema { json_schema: JsonSchema<'a> },
}

#[derive(Serialize)]
struct JsonSchema<'a> {
    name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    schema: &'a Json<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

#[derive(Serialize)]
struct OutSampling<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<&'a Number>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop: &'a [Cow<'a, str>],
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_logprobs: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logit_bias: Option<&'a Json<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verbosity: Option<&'a str>,
}

#[derive(Serialize)]
struct OutHints<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Json<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_cache_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<bool>,
}

/// The body for the provider.
///
/// # Errors
/// Content that chat completions cannot carry.
pub fn write(
    request: &Request<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Vec<u8>, Unsupported> {
    let tools = tools::tools(&request.tools, losses);
    let any = !tools.is_empty();
    let body = Body {
        model: target.model,
        messages: message::messages(&request.messages, target.reasoning_details, losses)?,
        tools,
        // Without tools there is nothing to choose, and OpenAI refuses a choice.
        tool_choice: request
            .tool_choice
            .as_ref()
            .filter(|_| any)
            .map(|choice| tools::choice(choice, request)),
        parallel_tool_calls: request.parallel_calls.filter(|_| any),
        response_format: request.format.as_ref().map(format),
        reasoning_effort: effort(request, losses),
        sampling: sampling(&request.sampling, target, losses),
        hints: hints(&request.hints, losses),
        stream: request.stream,
        stream_options: (request.stream && target.stream_usage)
            .then_some(StreamOptions { include_usage: true }),
    };
    // Strings, numbers and valid JSON always serialise.
    Ok(serde_json::to_vec(&body).unwrap_or_default())
}

fn format<'a>(format: &'a Format<'_>) -> ResponseFormat<'a> {
    match format {
        Format::JsonObject => ResponseFormat::JsonObject,
        Format::Schema { name, description, schema, strict } => ResponseFormat::JsonSchema {
            json_schema: JsonSchema {
                name: schema_name(name.as_deref()),
                description: description.as_deref(),
                schema,
                strict: *strict,
            },
        },
    }
}

/// OpenAI demands a name of at most 64 letters, digits, `_` and `-`.
fn schema_name(name: Option<&str>) -> Cow<'_, str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    match name {
        None | Some("") => Cow::Borrowed("answer"),
        Some(name) if name.len() <= 64 && name.chars().all(fits) => Cow::Borrowed(name),
        Some(name) => name.chars().take(64).map(|c| if fits(c) { c } else { '_' }).collect(),
    }
}

/// The effort in words. No word of OpenAI's forbids thinking for every model, and one that is not known is refused: then
/// nothing is said. A budget never asks for more than `high`, which every model has.
fn effort(request: &Request<'_>, losses: &mut Losses) -> Option<&'static str> {
    let reasoning = request.reasoning.as_ref()?;
    losses.lose_if(reasoning.shown == Some(true) && reasoning.summary.is_some(), Parameter::Summary);
    match reasoning.amount? {
        Amount::Effort(effort) => Some(effort.name()),
        Amount::Budget(tokens) => Some(Effort::of_budget(tokens).min(Effort::High).name()),
        Amount::Dynamic => None,
        Amount::Off => {
            losses.lose(Parameter::Reasoning);
            None
        }
    }
}

fn sampling<'a>(sampling: &'a Sampling<'_>, target: &Target<'_>, losses: &mut Losses) -> OutSampling<'a> {
    losses.lose_if(sampling.top_k.is_some(), Parameter::TopK);
    losses.lose_if(sampling.stop.len() > MOST_STOPS, Parameter::Stop);
    let likeliest = sampling.top_logprobs.is_some_and(|top| top > 0);
    OutSampling {
        max_completion_tokens: sampling.max_tokens.filter(|_| target.max_completion_tokens),
        max_tokens: sampling.max_tokens.filter(|_| !target.max_completion_tokens),
        temperature: sampling.temperature.as_ref(),
        top_p: sampling.top_p.as_ref(),
        stop: &sampling.stop[..sampling.stop.len().min(MOST_STOPS)],
        seed: sampling.seed.as_ref(),
        frequency_penalty: sampling.frequency_penalty.as_ref(),
        presence_penalty: sampling.presence_penalty.as_ref(),
        n: sampling.choices.filter(|&choices| choices != 1),
        // OpenAI refuses the one without the other; none is what there is anyway.
        logprobs: sampling.logprobs.or_else(|| likeliest.then_some(true)),
        top_logprobs: sampling.top_logprobs.filter(|_| likeliest || sampling.logprobs == Some(true)),
        logit_bias: sampling.logit_bias.as_ref(),
        verbosity: sampling.verbosity.as_deref(),
    }
}

fn hints<'a>(hints: &'a Hints<'_>, losses: &mut Losses) -> OutHints<'a> {
    let tier = hints.service_tier.as_deref();
    let known = tier.filter(|tier| matches!(*tier, "auto" | "default" | "flex" | "scale" | "priority"));
    losses.lose_if(known != tier, Parameter::ServiceTier);
    let user = hints.user.as_deref().filter(|user| user.chars().count() <= LONGEST_USER);
    losses.lose_if(user.is_none() && hints.user.is_some(), Parameter::User);
    // OpenAI refuses metadata of what is not stored.
    let metadata = hints.metadata.as_ref().filter(|_| hints.store == Some(true));
    losses.lose_if(metadata.is_none() && hints.metadata.is_some(), Parameter::Metadata);
    OutHints {
        user,
        metadata,
        service_tier: known,
        prompt_cache_key: hints.prompt_cache_key.as_deref(),
        store: hints.store,
    }
}

#[cfg(test)]
mod tests;
