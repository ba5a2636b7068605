//! What of a chat request reaches the model: one message, the tools, the answer's schema, as neutral pieces.
//!
//! The rule is that nothing is free. What is not understood (an unknown part, a field twice, a number as content) is given
//! as the text of its JSON, and whether it is any good is left to the upstream.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    chat::Piece,
    protocol::json::{compact, each as elements, text},
};

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow)]
    function_call: Option<&'a RawValue>,
}

/// One element of a `content` list.
#[derive(Deserialize)]
struct ContentPart<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ResponseFormat<'a> {
    #[serde(borrow)]
    json_schema: Option<&'a RawValue>,
}

/// The pieces of a message.
pub(super) fn message<'a>(raw: &'a str, each: &mut dyn FnMut(Piece<'a>)) {
    let Ok(message) = serde_json::from_str::<Message<'a>>(raw) else {
        each(Piece::Role("".into()));
        return each(Piece::Text(compact(raw)));
    };
    each(Piece::Role(message.role.and_then(|role| text(role.get())).unwrap_or_default()));
    if let Some(content) = message.content {
        self::content(content.get(), 0, each);
    }
    for field in
        [message.name, message.refusal, message.reasoning, message.reasoning_content].into_iter().flatten()
    {
        each(plain(field.get()));
    }
    if let Some(calls) = message.tool_calls {
        tools(calls.get(), each);
    }
    if let Some(call) = message.function_call {
        each(Piece::Tool(compact(call.get())));
    }
}

/// A list of definitions or calls, element by element; or what stands in its place.
pub(super) fn tools<'a>(raw: &'a str, each: &mut dyn FnMut(Piece<'a>)) {
    if elements(raw, |element| each(Piece::Tool(compact(element)))).is_none() {
        each(Piece::Tool(compact(raw)));
    }
}

/// The schema within `response_format`; other formats have none.
pub(super) fn schema<'a>(raw: &'a str, each: &mut dyn FnMut(Piece<'a>)) {
    match serde_json::from_str::<ResponseFormat<'a>>(raw) {
        Ok(format) => {
            format.json_schema.into_iter().for_each(|schema| each(Piece::Tool(compact(schema.get()))))
        }
        Err(_) => each(Piece::Tool(compact(raw))),
    }
}

/// A string, or a list of parts, within `nesting` others.
fn content<'a>(raw: &'a str, nesting: usize, each: &mut dyn FnMut(Piece<'a>)) {
    if !raw.starts_with('[') || elements(raw, |element| part(element, nesting, each)).is_none() {
        each(plain(raw));
    }
}

fn part<'a>(raw: &'a str, nesting: usize, each: &mut dyn FnMut(Piece<'a>)) {
    let known = serde_json::from_str::<ContentPart<'a>>(raw).ok();
    let kind = known.as_ref().and_then(|part| part.kind).and_then(|kind| text(kind.get()));
    match (kind.as_deref(), known) {
        (Some("text"), Some(ContentPart { text: Some(text), .. })) => each(plain(text.get())),
        (Some("refusal"), Some(ContentPart { refusal: Some(text), .. })) => each(plain(text.get())),
        // Each level reads what it holds once more, so a hundred of them would make one byte cost like a hundred.
        (Some("thinking"), Some(ContentPart { thinking: Some(text), .. })) if nesting == 0 => {
            content(text.get(), 1, each);
        }
        (Some("image_url"), _) => each(Piece::Image),
        (Some("input_audio" | "file"), _) => each(Piece::Data),
        _ if raw.contains(";base64,") => each(Piece::Data),
        _ => each(plain(raw)),
    }
}

/// The text of a string, or any other value as its JSON.
fn plain(raw: &str) -> Piece<'_> {
    Piece::Text(text(raw).unwrap_or_else(|| compact(raw)))
}
