//! Reads a client's request, whole, into the neutral form. What the form cannot hold is noted by its dotted name; content
//! it cannot hold is refused by name.

use std::borrow::Cow;

use crate::{
    chat::request::{Amount, Effort, Format, Hints, Request, Sampling, Thinking, Wishes},
    protocol::{
        json::Malformed,
        value::{Notes, Object},
    },
};

mod content;
mod message;
mod tools;

/// The keys that are read; every other one is noted.
const KNOWN: [&str; 36] = [
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "modalities",
    "model",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_k",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];

/// Reads a whole body. The model's name is not part of the neutral form.
///
/// # Errors
/// What is no JSON object in UTF-8, is nested too deep, has a known field twice or of a wrong type, or holds content that
/// no other format knows. Answered with 400.
pub fn read(body: &[u8]) -> Result<Request<'_>, Malformed> {
    let body = Object::body(body)?;
    body.once(&KNOWN)?;
    let mut notes = Notes::default();
    let messages = message::read(&body, &mut notes)?;
    let tools = tools::read(&body, &mut notes)?;
    let tool_choice = tools::choice(&body, &mut notes)?;
    let wishes = wishes(&body)?;
    let parallel_calls = match flag(&body, "parallel_tool_calls")? {
        // An answer has room for one `function_call`.
        None if wishes.functions => Some(false),
        said => said,
    };
    let format = format(&body, &mut notes)?;
    let reasoning = reasoning(&body, &mut notes)?;
    let sampling = sampling(&body)?;
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
        wishes,
        unsaid,
    })
}

/// Usage in a chunk of its own; calls as `function_call`, where the client has defined `functions` only.
fn wishes(body: &Object<'_, '_>) -> Result<Wishes, Malformed> {
    let usage = match body.get("stream_options") {
        Some(options) => options.object()?.get("include_usage").is_some_and(|value| value.raw() == "true"),
        None => false,
    };
    Ok(Wishes { usage, functions: body.get("functions").is_some() && body.get("tools").is_none() })
}

fn flag(body: &Object<'_, '_>, key: &str) -> Result<Option<bool>, Malformed> {
    body.get(key).map(|value| value.flag()).transpose()
}

fn format<'a>(body: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<Option<Format<'a>>, Malformed> {
    let Some(value) = body.get("response_format") else { return Ok(None) };
    let format = value.object()?;
    match format.need("type")?.text()?.as_ref() {
        "text" => return Ok(None),
        "json_object" => return Ok(Some(Format::JsonObject)),
        "json_schema" => {}
        _ => {
            body.unsaid("response_format", false, notes);
            return Ok(None);
        }
    }
    let value = format.need("json_schema")?;
    let wanted = value.object()?;
    wanted.rest(&["name", "description", "schema", "strict"], notes);
    Ok(Some(Format::Schema {
        name: wanted.text("name")?,
        description: wanted.text("description")?,
        schema: wanted.need("schema")?.object_json()?,
        strict: flag(&wanted, "strict")?,
    }))
}

fn reasoning<'a>(body: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<Option<Thinking<'a>>, Malformed> {
    let Some(effort) = body.text("reasoning_effort")? else { return Ok(None) };
    let amount = match Effort::of_name(&effort) {
        Some(effort) => Amount::Effort(effort),
        None if effort == "none" => Amount::Off,
        None => {
            body.unsaid("reasoning_effort", false, notes);
            return Ok(None);
        }
    };
    Ok(Some(Thinking { amount: Some(amount), ..Thinking::default() }))
}

fn sampling<'a>(body: &Object<'a, '_>) -> Result<Sampling<'a>, Malformed> {
    let number = |key: &str| body.get(key).map(|value| value.number()).transpose();
    let count = |key: &str| body.get(key).map(|value| value.count()).transpose();
    let (newer, older) = (count("max_completion_tokens")?, count("max_tokens")?);
    Ok(Sampling {
        max_tokens: newer.or(older),
        temperature: number("temperature")?,
        top_p: number("top_p")?,
        top_k: number("top_k")?,
        stop: stop(body)?,
        seed: number("seed")?,
        frequency_penalty: number("frequency_penalty")?,
        presence_penalty: number("presence_penalty")?,
        logit_bias: body.get("logit_bias").map(|value| value.object_json()).transpose()?,
        choices: count("n")?.filter(|&choices| choices != 1),
        logprobs: flag(body, "logprobs")?,
        top_logprobs: count("top_logprobs")?,
        verbosity: body.text("verbosity")?,
    })
}

/// One text or a list.
fn stop<'a>(body: &Object<'a, '_>) -> Result<Vec<Cow<'a, str>>, Malformed> {
    let mut all = Vec::new();
    match body.get("stop") {
        Some(value) if value.is_text() => all.push(value.text()?),
        Some(value) => value.items_unless_text(|_, text| {
            all.push(text.text()?);
            Ok(())
        })?,
        None => {}
    }
    Ok(all)
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

/// What only OpenAI's own models do, and what nobody here knows.
fn unsaid<'a>(body: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<(), Malformed> {
    if let Some(modalities) = body.get("modalities") {
        modalities.items(|_, kind| {
            if kind.text()? != "text" {
                body.unsaid("modalities", false, notes);
            }
            Ok(())
        })?;
    }
    for (key, hint) in [
        ("audio", false),
        ("web_search_options", false),
        ("prediction", true),
        ("prompt_cache_retention", true),
    ] {
        body.unsaid(key, hint, notes);
    }
    if let Some(options) = body.get("stream_options") {
        let options = options.object()?;
        options.unsaid("include_obfuscation", true, notes);
        options.rest(&["include_usage", "include_obfuscation"], notes);
    }
    body.rest(&KNOWN, notes);
    Ok(())
}

#[cfg(test)]
mod tests;
