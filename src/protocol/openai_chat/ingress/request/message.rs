//! The messages of a request, turn by turn.

use std::{borrow::Cow, collections::HashMap};

use super::content;
use crate::{
    chat::{
        content::{Call, Content, Input, Reasoning, ToolResult},
        request::{Message, Role},
        signature::{Maker, Signature},
    },
    protocol::{
        json::Malformed,
        value::{Notes, Object, Value},
    },
};

/// The tools that were called so far.
#[derive(Default)]
struct History<'a> {
    /// Their names, by the id of the call.
    names: HashMap<Cow<'a, str>, Cow<'a, str>>,
    /// The id that was made for the last `function_call`, which has none.
    last: Option<Cow<'a, str>>,
}

/// All of them, in their order.
pub(super) fn read<'a>(body: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<Vec<Message<'a>>, Malformed> {
    let mut history = History::default();
    let mut messages: Vec<Message<'a>> = Vec::new();
    body.need("messages")?.items(|at, value| {
        let message = value.object()?;
        let role = message.need("role")?;
        let (role, content) = match role.text()?.as_ref() {
            "system" | "developer" => (Role::System, plain(&message, notes)?),
            "user" => (Role::User, plain(&message, notes)?),
            "assistant" => (Role::Assistant, assistant(&message, at, &mut history, notes)?),
            "tool" => (Role::User, vec![tool(&message, &history, notes)?]),
            "function" => (Role::User, vec![function(&message, &history, notes)?]),
            _ => return Err(role.wrong("`system`, `developer`, `user`, `assistant` or `tool`")),
        };
        match messages.last_mut() {
            Some(last) if is_result(&content) && is_result(&last.content) => last.content.extend(content),
            _ => messages.push(Message { role, content, at }),
        }
        Ok(())
    })?;
    Ok(messages)
}

/// Whether the turn is a tool's.
fn is_result(content: &[Content<'_>]) -> bool {
    matches!(content.first(), Some(Content::Result(_)))
}

fn plain<'a>(message: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<Vec<Content<'a>>, Malformed> {
    message.unsaid("name", true, notes);
    message.rest(&["role", "content", "name"], notes);
    message.get("content").map_or(Ok(Vec::new()), |value| content::read(&value, notes))
}

/// Reasoning, text, refusal, calls: an order that the format has no place to say.
fn assistant<'a>(
    message: &Object<'a, '_>,
    at: usize,
    history: &mut History<'a>,
    notes: &mut Notes<'a>,
) -> Result<Vec<Content<'a>>, Malformed> {
    let known = [
        "annotations",
        "audio",
        "content",
        "extra_content",
        "function_call",
        "images",
        "name",
        "reasoning",
        "reasoning_content",
        "reasoning_details",
        "refusal",
        "role",
        "tool_calls",
    ];
    message.unsaid("name", true, notes);
    message.unsaid("annotations", true, notes);
    message.rest(&known, notes);
    if let Some(audio) = message.get("audio") {
        return Err(audio.refuse("an earlier answer's audio cannot be sent to this provider"));
    }
    let mut all = reasoning(message, notes)?;
    if let Some(value) = message.get("content") {
        all.extend(content::read(&value, notes)?);
    }
    if let Some(signature) = google_signature(message)?
        && let Some(Content::Text(text)) = all.iter_mut().rfind(|part| matches!(part, Content::Text(_)))
    {
        text.signature = Some(signature);
    }
    if let Some(refusal) = message.text("refusal")? {
        all.push(Content::Refusal(refusal));
    }
    if let Some(images) = message.get("images") {
        images.items(|_, value| {
            all.push(Content::Image(content::image(&value.object()?, notes)?));
            Ok(())
        })?;
    }
    calls(message, at, &mut all, history, notes)?;
    Ok(all)
}

/// The signed pieces where there are any, since they hold the same text; else the text alone.
fn reasoning<'a>(message: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<Vec<Content<'a>>, Malformed> {
    let mut all = Vec::new();
    if let Some(details) = message.get("reasoning_details") {
        details.items(|_, value| {
            all.extend(detail(&value, notes)?.map(Content::Reasoning));
            Ok(())
        })?;
    }
    let text = [message.text("reasoning_content")?, message.text("reasoning")?].into_iter().flatten().next();
    if let Some(text) = text.filter(|text| all.is_empty() && !text.is_empty()) {
        all.push(Content::Reasoning(Reasoning { text, signature: None, redacted: false }));
    }
    Ok(all)
}

/// A piece as it was written into an answer: opaque to the client.
fn detail<'a>(value: &Value<'a, '_>, notes: &mut Notes<'a>) -> Result<Option<Reasoning<'a>>, Malformed> {
    let detail = value.object()?;
    let signature = |text| Signature::read(Maker::OpenAi, text);
    Ok(match detail.text("type")?.as_deref() {
        Some("reasoning.text") => Some(Reasoning {
            text: detail.text("text")?.unwrap_or_default(),
            signature: detail.text("signature")?.map(signature),
            redacted: false,
        }),
        Some("reasoning.encrypted") => Some(Reasoning {
            text: Cow::Borrowed(""),
            signature: Some(signature(detail.need("data")?.text()?)),
            redacted: true,
        }),
        Some("reasoning.summary") => Some(Reasoning {
            text: detail.text("summary")?.unwrap_or_default(),
            signature: None,
            redacted: false,
        }),
        _ => {
            notes.lose("messages.reasoning_details", false);
            None
        }
    })
}

/// `extra_content.google.thought_signature`, where Google's own compatible endpoint has it.
fn google_signature<'a>(object: &Object<'a, '_>) -> Result<Option<Signature<'a>>, Malformed> {
    let Some(extra) = object.get("extra_content") else { return Ok(None) };
    let extra = extra.object()?;
    let Some(google) = extra.get("google") else { return Ok(None) };
    let signature = google.object()?.text("thought_signature")?;
    Ok(signature.map(|text| Signature::read(Maker::Google, text)))
}

fn calls<'a>(
    message: &Object<'a, '_>,
    at: usize,
    all: &mut Vec<Content<'a>>,
    history: &mut History<'a>,
    notes: &mut Notes<'a>,
) -> Result<(), Malformed> {
    if let Some(calls) = message.get("tool_calls") {
        calls.items(|_, value| {
            let call = call(&value, notes)?;
            history.names.insert(call.id.clone(), call.name.clone());
            all.push(Content::Call(call));
            Ok(())
        })?;
    }
    if let Some(call) = message.get("function_call") {
        let id = Cow::Owned(format!("call_{at}"));
        let call = function_call(&call.object()?, id, None)?;
        history.names.insert(call.id.clone(), call.name.clone());
        history.last = Some(call.id.clone());
        all.push(Content::Call(call));
    }
    Ok(())
}

fn call<'a>(value: &Value<'a, '_>, notes: &mut Notes<'a>) -> Result<Call<'a>, Malformed> {
    let call = value.object()?;
    call.rest(&["id", "type", "index", "function", "custom", "extra_content"], notes);
    // Without one it gets one together with its result, once all is read.
    let id = call.text("id")?.unwrap_or_default();
    let signature = google_signature(&call)?;
    if let Some(custom) = call.get("custom") {
        let custom = custom.object()?;
        let input = Input::Text(custom.need("input")?.text()?);
        return Ok(Call { id, name: custom.need("name")?.text()?, input, signature });
    }
    function_call(&call.need("function")?.object()?, id, signature)
}

fn function_call<'a>(
    function: &Object<'a, '_>,
    id: Cow<'a, str>,
    signature: Option<Signature<'a>>,
) -> Result<Call<'a>, Malformed> {
    let arguments = match function.get("arguments") {
        Some(value) if value.is_text() => value.text()?,
        // Some clients write the object itself.
        Some(value) => Cow::Borrowed(value.raw()),
        None => Cow::Borrowed("{}"),
    };
    let arguments = if arguments.trim().is_empty() { Cow::Borrowed("{}") } else { arguments };
    Ok(Call { id, name: function.need("name")?.text()?, input: Input::Json(arguments), signature })
}

fn tool<'a>(
    message: &Object<'a, '_>,
    history: &History<'a>,
    notes: &mut Notes<'a>,
) -> Result<Content<'a>, Malformed> {
    message.rest(&["role", "content", "tool_call_id", "name", "cache_control"], notes);
    let id = message.need("tool_call_id")?.text()?;
    let name = history.names.get(&id).cloned().or(message.text("name")?);
    let content = message.get("content").map_or(Ok(Vec::new()), |value| content::outputs(&value, notes))?;
    let cache = message.json("cache_control")?;
    Ok(Content::Result(ToolResult { id, name, content, error: false, cache }))
}

/// The result of a `function_call` answers to the last one.
fn function<'a>(
    message: &Object<'a, '_>,
    history: &History<'a>,
    notes: &mut Notes<'a>,
) -> Result<Content<'a>, Malformed> {
    message.rest(&["role", "content", "name"], notes);
    let name = message.need("name")?.text()?;
    let id = history.last.clone().unwrap_or(Cow::Borrowed("call_0"));
    let content = message.get("content").map_or(Ok(Vec::new()), |value| content::outputs(&value, notes))?;
    Ok(Content::Result(ToolResult { id, name: Some(name), content, error: false, cache: None }))
}
