//! Reads a client's request, whole, into the neutral form. What the form cannot hold is noted by its dotted name; content it
//! cannot hold is refused by name.
//!
//! What only a provider of Responses can do, since it keeps something of an earlier call (`previous_response_id`,
//! `conversation`, `background`, `prompt`), is refused too: without it the call would be another one.

use serde_json::value::RawValue;

use super::names::{Names, added};
use crate::{
    chat::request::{Amount, Effort, Format, Hints, Request, Sampling, Thinking, Wishes},
    protocol::{
        json::Malformed,
        value::{Notes, Object},
    },
};

mod content;
mod input;
mod tools;

/// The keys that are read; every other one is noted.
const KNOWN: [&str; 32] = [
    "background",
    "client_metadata",
    "context_management",
    "conversation",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "moderation",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

/// What changes no answer, or only one by tools that are noted themselves.
const HINTS: [&str; 4] =
    ["client_metadata", "max_tool_calls", "prompt_cache_options", "prompt_cache_retention"];

/// Reads a whole body. The model's name is not part of the neutral form.
///
/// # Errors
/// What is no JSON object in UTF-8, is nested too deep, has a known field twice or of a wrong type, or needs a provider that
/// speaks Responses. Answered with 400.
pub fn read(body: &[u8]) -> Result<Request<'_>, Malformed> {
    let body = Object::body(body)?;
    body.once(&KNOWN)?;
    stateless(&body)?;
    let mut notes = Notes::default();
    let (tools, input) = (body.get("tools"), body.get("input"));
    let added = input.map(|input| added(input.raw())).unwrap_or_default().into_iter().map(RawValue::get);
    let names = Names::read(tools.map(|tools| tools.raw()).into_iter().chain(added));
    let mut tools = tools::read(&body, &names, &mut notes)?;
    let messages = input::read(&body, &names, &mut tools, &mut notes)?;
    let tool_choice = tools::choice(&body, &names, &mut notes)?;
    let parallel_calls = flag(&body, "parallel_tool_calls")?;
    let format = format(&body, &mut notes)?;
    let reasoning = reasoning(&body, &mut notes)?;
    let logprobs = include(&body, &mut notes)?;
    let sampling = sampling(&body, logprobs)?;
    let stream = flag(&body, "stream")?.unwrap_or(false);
    let hints = hints(&body, &mut notes)?;
    unsaid(&body, &mut notes)?;
    let unsaid = notes.into_unsaid();
    Ok(Request {
        messages,
        tools,
        tool_choice,
        parallel_calls,
        format,
        reasoning,
        sampling,
        stream,
        hints,
        wishes: Wishes::default(),
        unsaid,
    })
}

fn flag(body: &Object<'_, '_>, key: &str) -> Result<Option<bool>, Malformed> {
    body.get(key).map(|value| value.flag()).transpose()
}

/// Refuses what only a provider that speaks Responses can do.
fn stateless(body: &Object<'_, '_>) -> Result<(), Malformed> {
    let asked = ["previous_response_id", "conversation", "background", "prompt"];
    let needs = asked.into_iter().filter_map(|key| body.get(key)).find(|value| value.raw() != "false");
    match needs {
        Some(value) => {
            Err(value.refuse("this takes a provider that speaks Responses itself, and this model's does not"))
        }
        None => Ok(()),
    }
}

fn format<'a>(body: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<Option<Format<'a>>, Malformed> {
    let Some(text) = body.get("text") else { return Ok(None) };
    let text = text.object()?;
    text.rest(&["format", "verbosity"], notes);
    let Some(value) = text.get("format") else { return Ok(None) };
    let format = value.object()?;
    match format.need("type")?.text()?.as_ref() {
        "text" => return Ok(None),
        "json_object" => return Ok(Some(Format::JsonObject)),
        "json_schema" => {}
        _ => {
            text.unsaid("format", false, notes);
            return Ok(None);
        }
    }
    format.rest(&["type", "name", "description", "schema", "strict"], notes);
    Ok(Some(Format::Schema {
        name: format.text("name")?,
        description: format.text("description")?,
        schema: format.need("schema")?.object_json()?,
        strict: flag(&format, "strict")?,
    }))
}

fn reasoning<'a>(body: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<Option<Thinking<'a>>, Malformed> {
    let Some(reasoning) = body.get("reasoning") else { return Ok(None) };
    let reasoning = reasoning.object()?;
    reasoning.rest(&["effort", "summary", "generate_summary"], notes);
    let effort = reasoning.text("effort")?;
    let amount = match effort.as_deref() {
        Some("none") => Some(Amount::Off),
        Some(name) => Effort::of_name(name).map(Amount::Effort),
        None => None,
    };
    if effort.is_some() && amount.is_none() {
        reasoning.unsaid("effort", false, notes);
    }
    // `generate_summary` is what it was called first.
    let summary = reasoning.text("summary")?.or(reasoning.text("generate_summary")?);
    let thinking = Thinking { amount, shown: summary.is_some().then_some(true), summary };
    Ok((thinking != Thinking::default()).then_some(thinking))
}

/// What more is asked for than the answer alone: whether log probabilities are. Encrypted reasoning comes unasked.
fn include<'a>(body: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<bool, Malformed> {
    let mut logprobs = false;
    if let Some(include) = body.get("include") {
        include.items(|_, name| {
            match name.text()?.as_ref() {
                "message.output_text.logprobs" => logprobs = true,
                "reasoning.encrypted_content" => {}
                _ => body.unsaid("include", true, notes),
            }
            Ok(())
        })?;
    }
    Ok(logprobs)
}

fn sampling<'a>(body: &Object<'a, '_>, logprobs: bool) -> Result<Sampling<'a>, Malformed> {
    let number = |key: &str| body.get(key).map(|value| value.number()).transpose();
    let count = |key: &str| body.get(key).map(|value| value.count()).transpose();
    let verbosity = match body.get("text") {
        Some(text) => text.object()?.text("verbosity")?,
        None => None,
    };
    Ok(Sampling {
        max_tokens: count("max_output_tokens")?,
        temperature: number("temperature")?,
        top_p: number("top_p")?,
        logprobs: logprobs.then_some(true),
        top_logprobs: count("top_logprobs")?,
        verbosity,
        ..Sampling::default()
    })
}

fn hints<'a>(body: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<Hints<'a>, Malformed> {
    let (user, safety) = (body.text("user")?, body.text("safety_identifier")?);
    if user.is_some() && safety.is_some() && user != safety {
        body.unsaid("safety_identifier", true, notes);
    }
    Ok(Hints {
        user: user.or(safety),
        metadata: body.get("metadata").map(|value| value.object_json()).transpose()?,
        service_tier: body.text("service_tier")?,
        prompt_cache_key: body.text("prompt_cache_key")?,
        store: flag(body, "store")?,
    })
}

/// What only OpenAI's own servers do, and what nobody here knows.
fn unsaid<'a>(body: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<(), Malformed> {
    for key in HINTS {
        body.unsaid(key, true, notes);
    }
    for key in ["context_management", "moderation"] {
        body.unsaid(key, false, notes);
    }
    if body.text("truncation")?.is_some_and(|truncation| truncation != "disabled") {
        body.unsaid("truncation", false, notes);
    }
    if let Some(options) = body.get("stream_options") {
        let options = options.object()?;
        for key in ["include_obfuscation", "include_usage"] {
            options.unsaid(key, true, notes);
        }
        options.rest(&["include_obfuscation", "include_usage"], notes);
    }
    body.rest(&KNOWN, notes);
    Ok(())
}

#[cfg(test)]
mod tests;
