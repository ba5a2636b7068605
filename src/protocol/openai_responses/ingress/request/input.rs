//! The input items, turn by turn. What only OpenAI's servers can read (calls of their own tools, references to what they
//! keep, compactions) is refused by name: without it the conversation would be another one.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use super::{content, tools};
use crate::{
    chat::{
        content::{Call, Content, Image, Input, Media, Reasoning, ToolResult},
        request::{Message, Role, Tool},
        signature::{Maker, Signature},
    },
    protocol::{
        json::Malformed,
        openai_responses::ingress::names::{ADDED, Names},
        signature,
        value::{Notes, Object, Value},
    },
};

/// What is known of the conversation while it is read.
struct History<'a, 'n> {
    names: &'n Names,
    /// The tools that were called so far, by the id of the call.
    called: HashMap<Cow<'a, str>, Cow<'a, str>>,
    /// The tools that items have added so far.
    added: Vec<Tool<'a>>,
}

/// The instructions first, then the items in their order. Items of the model's that follow one another are one turn, and so
/// are results. Tools that items add come to `tools`, each once: a later turn may add them again.
pub(super) fn read<'a>(
    body: &Object<'a, '_>,
    names: &Names,
    tools: &mut Vec<Tool<'a>>,
    notes: &mut Notes<'a>,
) -> Result<Vec<Message<'a>>, Malformed> {
    let mut messages = Vec::new();
    if let Some(instructions) = body.text("instructions")? {
        messages.push(Message { role: Role::System, content: vec![Content::text(instructions)], at: 0 });
    }
    let input = body.need("input")?;
    if input.is_text() {
        messages.push(Message { role: Role::User, content: vec![Content::text(input.text()?)], at: 0 });
        return Ok(messages);
    }
    let mut history = History { names, called: HashMap::new(), added: Vec::new() };
    input.items_unless_text(|at, value| {
        let Some((role, content)) = item(&value, &mut history, notes)? else { return Ok(()) };
        match messages.last_mut() {
            Some(last) if last.role == role && goes_on(last, &content) => {
                content.into_iter().for_each(|content| signature::push(&mut last.content, content));
            }
            _ => messages.push(Message { role, content, at }),
        }
        Ok(())
    })?;
    let mut seen: HashSet<_> = tools.iter().map(|tool| tool.name.clone()).collect();
    tools.extend(history.added.into_iter().filter(|tool| seen.insert(tool.name.clone())));
    Ok(messages)
}

/// Whether more of the same role belongs to the same turn.
fn goes_on(last: &Message<'_>, content: &[Content<'_>]) -> bool {
    let is_result = |content: &[Content<'_>]| matches!(content.first(), Some(Content::Result(_)));
    match last.role {
        Role::Assistant => true,
        Role::User => is_result(&last.content) && is_result(content),
        Role::System => false,
    }
}

fn item<'a>(
    value: &Value<'a, '_>,
    history: &mut History<'a, '_>,
    notes: &mut Notes<'a>,
) -> Result<Option<(Role, Vec<Content<'a>>)>, Malformed> {
    let item = value.object()?;
    let kind = item.text("type")?;
    let content = match kind.as_deref() {
        None | Some("message") => return message(&item, notes).map(Some),
        Some("function_call") => Content::Call(function_call(&item, history, notes)?),
        Some("custom_tool_call") => Content::Call(custom_call(&item, history, notes)?),
        Some("function_call_output" | "custom_tool_call_output") => {
            return Ok(Some((Role::User, vec![Content::Result(result(&item, history, notes)?)])));
        }
        Some("reasoning") => match reasoning(&item, notes)? {
            Some(reasoning) => Content::Reasoning(reasoning),
            None => return Ok(None),
        },
        Some("image_generation_call") => match image(&item, notes)? {
            Some(image) => Content::Image(image),
            None => return Ok(None),
        },
        Some(ADDED) => {
            item.rest(&["type", "id", "role", "tools", "status"], notes);
            history.added.extend(tools::list(&item.need("tools")?, history.names, notes)?);
            return Ok(None);
        }
        Some(other) => {
            return Err(value.refuse(format_args!(
                "an item of type `{other}` can be sent to a provider that speaks Responses only"
            )));
        }
    };
    Ok(Some((Role::Assistant, vec![content])))
}

fn message<'a>(item: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<(Role, Vec<Content<'a>>), Malformed> {
    // An id, a status and a phase say nothing to a model of others.
    item.unsaid("phase", true, notes);
    item.rest(&["type", "role", "content", "id", "status", "phase"], notes);
    let role = item.need("role")?;
    let role = match role.text()?.as_ref() {
        "system" | "developer" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        _ => return Err(role.wrong("`user`, `assistant`, `system` or `developer`")),
    };
    Ok((role, content::read(&item.need("content")?, notes)?))
}

fn function_call<'a>(
    item: &Object<'a, '_>,
    history: &mut History<'a, '_>,
    notes: &mut Notes<'a>,
) -> Result<Call<'a>, Malformed> {
    item.rest(
        &["type", "id", "call_id", "name", "namespace", "arguments", "status", "caller", "async"],
        notes,
    );
    let arguments = item.text("arguments")?.unwrap_or_default();
    let arguments = if arguments.trim().is_empty() { Cow::Borrowed("{}") } else { arguments };
    call(item, Input::Json(arguments), history)
}

fn custom_call<'a>(
    item: &Object<'a, '_>,
    history: &mut History<'a, '_>,
    notes: &mut Notes<'a>,
) -> Result<Call<'a>, Malformed> {
    item.rest(&["type", "id", "call_id", "name", "namespace", "input", "status", "caller", "async"], notes);
    let input = item.text("input")?.unwrap_or_default();
    call(item, Input::Text(input), history)
}

fn call<'a>(
    item: &Object<'a, '_>,
    input: Input<'a>,
    history: &mut History<'a, '_>,
) -> Result<Call<'a>, Malformed> {
    let value = item.need("call_id")?;
    let id = value.text()?;
    if id.is_empty() {
        return Err(value.wrong("not empty"));
    }
    let namespace = item.text("namespace")?;
    let name = history.names.flat(namespace.as_deref(), item.need("name")?.text()?);
    history.called.insert(id.clone(), name.clone());
    Ok(Call { id, name, input, signature: None })
}

fn result<'a>(
    item: &Object<'a, '_>,
    history: &History<'a, '_>,
    notes: &mut Notes<'a>,
) -> Result<ToolResult<'a>, Malformed> {
    item.rest(&["type", "id", "call_id", "name", "namespace", "output", "status", "caller"], notes);
    let id = item.need("call_id")?.text()?;
    let name = history.called.get(&id).cloned();
    let content = content::outputs(&item.need("output")?, notes)?;
    Ok(ToolResult { id, name, content, error: false, cache: None })
}

/// An image of an earlier answer, if it came to one. It says no media type, but its first bytes do.
fn image<'a>(item: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<Option<Image<'a>>, Malformed> {
    let known = ["type", "id", "status", "result", "background", "output_format", "quality", "size"];
    item.rest(&known, notes);
    let Some(base64) = item.text("result")? else { return Ok(None) };
    let mime = match base64.get(..4) {
        Some("/9j/") => "image/jpeg",
        Some("UklG") => "image/webp",
        Some("R0lG") => "image/gif",
        _ => "image/png",
    };
    Ok(Some(Image { media: Media::Data { mime: mime.into(), base64 }, detail: None, cache: None }))
}

/// Reasoning, unless it is only the mark of some: that a provider keeps the rest does not help another one.
fn reasoning<'a>(item: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<Option<Reasoning<'a>>, Malformed> {
    item.rest(&["type", "id", "summary", "content", "encrypted_content", "status"], notes);
    let (summary, parts) = content::thoughts(item.get("summary"))?;
    let (content, _) = content::thoughts(item.get("content"))?;
    let text = if content.is_empty() { summary } else { content };
    let encrypted = item.text("encrypted_content")?.filter(|text| !text.is_empty());
    let signature = encrypted.map(|text| Signature::read(Maker::OpenAi, text));
    // What is redacted has no summary, not even an empty one. OpenAI encrypts all, whatever it shows.
    let redacted = match signature.as_ref().map(|signature| signature.maker) {
        Some(Maker::OpenAi) => true,
        Some(Maker::Anthropic | Maker::Bedrock) => parts == 0,
        Some(Maker::Google | Maker::Details) | None => false,
    };
    let is_something = signature.is_some() || !text.is_empty();
    Ok(is_something.then_some(Reasoning { text, signature, redacted }))
}
