//! Reads a client's request, whole, into the neutral form. What the form cannot hold is noted by its dotted name; content it
//! cannot hold is refused by name.

use self::content::History;
use super::spelling;
use crate::{
    chat::request::{Hints, Message, Request, Role, Wishes},
    protocol::{
        json::Malformed,
        value::{Notes, Object},
    },
};

mod config;
mod content;
mod schema;
mod tools;

/// The keys that are read; every other one is noted. `model` stands in the URL, but clients of `countTokens` repeat it.
const KNOWN: [&str; 10] = [
    "cachedContent",
    "contents",
    "generationConfig",
    "labels",
    "model",
    "serviceTier",
    "store",
    "systemInstruction",
    "toolConfig",
    "tools",
];

/// Reads a whole body. Whether the answer is to be streamed stands in the URL.
///
/// # Errors
/// What is no JSON object in UTF-8, is nested too deep, has a known field twice or of a wrong type, or holds content that
/// only Google's own servers can read. Answered with 400.
pub fn read<'a>(body: &'a [u8], stream: bool) -> Result<Request<'a>, Malformed> {
    request(&spelling::body(body)?, stream)
}

/// Reads a whole body of `countTokens`: a request, or one within `generateContentRequest`.
///
/// # Errors
/// See [`read`].
pub fn read_count<'a>(body: &'a [u8]) -> Result<Request<'a>, Malformed> {
    let body = spelling::body(body)?;
    match body.get("generateContentRequest") {
        Some(inner) => request(&spelling::object(&inner)?, false),
        None => request(&body, false),
    }
}

fn request<'a>(body: &Object<'a, '_>, stream: bool) -> Result<Request<'a>, Malformed> {
    body.once(&KNOWN)?;
    if let Some(kept) = body.get("cachedContent") {
        return Err(kept.refuse("what Google keeps can be sent to a Google provider only"));
    }
    let mut notes = Notes::default();
    let messages = messages(body, &mut notes)?;
    let tools = tools::read(body, &mut notes)?;
    let tool_choice = tools::choice(body, &mut notes)?;
    let config = config::read(body, &mut notes)?;
    let hints = hints(body)?;
    // A bill's labels change no answer.
    body.unsaid("labels", true, &mut notes);
    body.rest(&KNOWN, &mut notes);
    Ok(Request {
        messages,
        tools,
        tool_choice,
        parallel_calls: None,
        format: config.format,
        reasoning: config.reasoning,
        sampling: config.sampling,
        stream,
        hints,
        wishes: Wishes::default(),
        unsaid: notes.into_unsaid(),
    })
}

/// The system's words first, then the conversation.
fn messages<'a>(body: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<Vec<Message<'a>>, Malformed> {
    let mut history = History::default();
    let mut messages = Vec::new();
    if let Some(system) = body.get("systemInstruction") {
        let content = content::system(&system, notes)?;
        messages.push(Message { role: Role::System, content, at: 0 });
    }
    body.need("contents")?.items(|at, value| {
        let turn = spelling::object(&value)?;
        turn.rest(&["role", "parts"], notes);
        let role = match turn.get("role") {
            Some(role) => match role.text()?.as_ref() {
                // The role of results, before they came with the user's.
                "user" | "function" | "" => Role::User,
                "model" => Role::Assistant,
                _ => return Err(role.wrong("`user` or `model`")),
            },
            None => Role::User,
        };
        let content = content::read(&turn, role, at, notes, &mut history)?;
        match messages.last_mut() {
            Some(last) if role == Role::Assistant && last.role == role => {
                content::join(&mut last.content, content)
            }
            _ => messages.push(Message { role, content, at }),
        }
        Ok(())
    })?;
    Ok(messages)
}

fn hints<'a>(body: &Object<'a, '_>) -> Result<Hints<'a>, Malformed> {
    let tier = body.text("serviceTier")?;
    // Here `standard` is what others call the default tier.
    let tier = tier.map(|tier| if tier.eq_ignore_ascii_case("standard") { "default".into() } else { tier });
    let store = body.get("store").map(|store| store.flag()).transpose()?;
    Ok(Hints { service_tier: tier, store, ..Hints::default() })
}

#[cfg(test)]
mod tests;
