//! Reads a client's request, whole, into the neutral form. What the form cannot hold is noted by its dotted name; content it
//! cannot hold is refused by name.
//!
//! `max_tokens` need not be there: the same body serves `count_tokens`, and other providers have defaults.

use self::content::History;
use crate::{
    chat::{
        json::Json,
        request::{Amount, Effort, Format, Hints, Message, Request, Role, Sampling, Thinking, Wishes},
    },
    protocol::{
        anthropic::error::THREAD,
        json::Malformed,
        value::{Notes, Object, Value},
    },
};

mod content;
mod tools;

/// The keys that are read; every other one is noted.
const KNOWN: [&str; 21] = [
    "cache_control",
    "container",
    "context_management",
    "max_tokens",
    "mcp_servers",
    "messages",
    "metadata",
    "model",
    "output_config",
    "output_format",
    "service_tier",
    "stop_sequences",
    "stream",
    "system",
    "temperature",
    "thinking",
    "thread",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
];

/// Reads a whole body. The model's name is not part of the neutral form.
///
/// # Errors
/// What is no JSON object in UTF-8, is nested too deep, has a known field twice or of a wrong type, or holds content that
/// only Anthropic's own servers can read. Answered with 400.
pub fn read(body: &[u8]) -> Result<Request<'_>, Malformed> {
    let body = Object::body(body)?;
    body.once(&KNOWN)?;
    if let Some(thread) = body.get("thread") {
        // The messages alone would be half of a conversation.
        return Err(thread.refuse(THREAD));
    }
    let mut notes = Notes::default();
    let messages = messages(&body, &mut notes)?;
    let tools = tools::read(&body, &mut notes)?;
    let (tool_choice, parallel_calls) = tools::choice(&body, &mut notes)?;
    let (format, effort) = output(&body, &mut notes)?;
    let reasoning = thinking(&body, effort, &mut notes)?;
    let sampling = sampling(&body)?;
    let stream = body.get("stream").map_or(Ok(false), |stream| stream.flag())?;
    let hints = hints(&body, &mut notes)?;
    body.unsaid("cache_control", true, &mut notes);
    for key in ["container", "mcp_servers", "context_management"] {
        body.unsaid(key, false, &mut notes);
    }
    body.rest(&KNOWN, &mut notes);
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

/// The system's words first, then the conversation.
fn messages<'a>(body: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<Vec<Message<'a>>, Malformed> {
    let mut history = History::default();
    let mut messages = Vec::new();
    if let Some(system) = body.get("system") {
        let content = content::read(&system, notes, &mut history)?;
        messages.push(Message { role: Role::System, content, at: 0 });
    }
    body.need("messages")?.items(|at, message| {
        let message = message.object()?;
        message.rest(&["role", "content"], notes);
        let role = message.need("role")?;
        let role = match role.text()?.as_ref() {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "system" => Role::System,
            _ => return Err(role.wrong("`user`, `assistant` or `system`")),
        };
        let content = content::read(&message.need("content")?, notes, &mut history)?;
        messages.push(Message { role, content, at });
        Ok(())
    })?;
    Ok(messages)
}

/// The form of the answer, and the effort, both under `output_config`; the form also under `output_format`, where it was
/// while it was a beta.
fn output<'a>(
    body: &Object<'a, '_>,
    notes: &mut Notes<'a>,
) -> Result<(Option<Format<'a>>, Option<Effort>), Malformed> {
    let mut form = body.get("output_format").map(|old| format(&old, notes)).transpose()?;
    let Some(config) = body.get("output_config") else { return Ok((form, None)) };
    let config = config.object()?;
    if let Some(value) = config.get("format") {
        form = Some(format(&value, notes)?);
    }
    let effort = config.text("effort")?.and_then(|name| Effort::of_name(&name));
    if effort.is_none() {
        config.unsaid("effort", false, notes);
    }
    config.rest(&["format", "effort"], notes);
    Ok((form, effort))
}

fn format<'a>(value: &Value<'a, '_>, notes: &mut Notes<'a>) -> Result<Format<'a>, Malformed> {
    let format = value.object()?;
    let kind = format.need("type")?;
    if kind.text()? != "json_schema" {
        return Err(kind.wrong("`json_schema`"));
    }
    format.rest(&["type", "schema", "name"], notes);
    let schema = format.need("schema")?.object_json()?;
    Ok(Format::Schema { name: format.text("name")?, description: None, schema, strict: None })
}

/// How much the model may think: by `thinking`, by the effort, or by both.
fn thinking<'a>(
    body: &Object<'a, '_>,
    effort: Option<Effort>,
    notes: &mut Notes<'a>,
) -> Result<Option<Thinking<'a>>, Malformed> {
    let effort = effort.map(Amount::Effort);
    let Some(thinking) = body.get("thinking") else {
        return Ok(effort.map(|amount| Thinking { amount: Some(amount), ..Thinking::default() }));
    };
    let thinking = thinking.object()?;
    thinking.rest(&["type", "budget_tokens", "display"], notes);
    let kind = thinking.need("type")?;
    let said = match kind.text()?.as_ref() {
        "disabled" => Amount::Off,
        "adaptive" => Amount::Dynamic,
        "enabled" => match thinking.get("budget_tokens") {
            Some(budget) => Amount::Budget(budget.count()?),
            None => Amount::Dynamic,
        },
        _ => return Err(kind.wrong("`enabled`, `adaptive` or `disabled`")),
    };
    let amount = match (said, effort) {
        (Amount::Dynamic, Some(effort)) => effort,
        (said, None) => said,
        (said, Some(_)) => {
            notes.lose("output_config.effort", false);
            said
        }
    };
    // Who asks Anthropic for thinking gets to see it, unless told otherwise.
    let display = thinking.text("display")?;
    let shown = match display.as_deref() {
        Some("omitted") => Some(false),
        _ => (amount != Amount::Off).then_some(true),
    };
    if display.as_deref().is_some_and(|word| !matches!(word, "omitted" | "summarized")) {
        thinking.unsaid("display", true, notes);
    }
    Ok(Some(Thinking { amount: Some(amount), shown, summary: display }))
}

fn sampling<'a>(body: &Object<'a, '_>) -> Result<Sampling<'a>, Malformed> {
    let number = |key| body.get(key).map(|value| value.number()).transpose();
    let mut stop = Vec::new();
    if let Some(sequences) = body.get("stop_sequences") {
        sequences.items(|_, sequence| {
            stop.push(sequence.text()?);
            Ok(())
        })?;
    }
    Ok(Sampling {
        max_tokens: body.get("max_tokens").map(|value| value.count()).transpose()?,
        temperature: number("temperature")?,
        top_p: number("top_p")?,
        top_k: number("top_k")?,
        stop,
        ..Sampling::default()
    })
}

fn hints<'a>(body: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<Hints<'a>, Malformed> {
    let mut user = None;
    if let Some(metadata) = body.get("metadata") {
        let metadata = metadata.object()?;
        user = metadata.text("user_id")?;
        for key in metadata.keys().filter(|key| *key != "user_id") {
            metadata.unsaid(key, true, notes);
        }
    }
    // Here `standard_only` is what others call the default tier.
    let tier = body.text("service_tier")?;
    let service_tier = tier.map(|tier| if tier == "standard_only" { "default".into() } else { tier });
    Ok(Hints { user, service_tier, ..Hints::default() })
}

/// A prompt-cache marker.
fn cache<'a>(object: &Object<'a, '_>) -> Result<Option<Json<'a>>, Malformed> {
    object.json("cache_control")
}

#[cfg(test)]
mod tests;
