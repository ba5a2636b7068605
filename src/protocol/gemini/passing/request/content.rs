//! What of a request reaches the model: one turn or the system, the tools, the answer's schema, as neutral pieces.
//!
//! The rule is that nothing is free. What is not understood (an unknown part, a field twice, a number as text) is given
//! as the text of its JSON, and whether it is any good is left to the upstream.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    chat::Piece,
    protocol::json::{compact, each as elements, text},
};

#[derive(Deserialize)]
struct Turn<'a> {
    #[serde(borrow)]
    role: Option<&'a RawValue>,
    #[serde(borrow)]
    parts: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow, alias = "inline_data")]
    inline_data: Option<&'a RawValue>,
    #[serde(borrow, alias = "file_data")]
    file_data: Option<&'a RawValue>,
    #[serde(borrow, alias = "function_call")]
    function_call: Option<&'a RawValue>,
    #[serde(borrow, alias = "function_response")]
    function_response: Option<&'a RawValue>,
}

/// Inline data or a file, as far as its cost depends on it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Medium<'a> {
    #[serde(borrow, alias = "mime_type")]
    mime_type: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct FunctionResponse<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(borrow)]
    parts: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config<'a> {
    #[serde(borrow, alias = "response_schema")]
    response_schema: Option<&'a RawValue>,
    #[serde(borrow, alias = "response_json_schema")]
    response_json_schema: Option<&'a RawValue>,
}

/// The pieces of a turn, or of the system's words, which may be a text alone.
pub(super) fn message<'a>(raw: &'a str, each: &mut dyn FnMut(Piece<'a>)) {
    let turn = raw.starts_with('{').then(|| serde_json::from_str::<Turn<'a>>(raw).ok()).flatten();
    let Some(turn) = turn else {
        each(Piece::Role("user".into()));
        return each(plain(raw));
    };
    each(Piece::Role(turn.role.and_then(|role| text(role.get())).unwrap_or_else(|| "user".into())));
    if let Some(parts) = turn.parts {
        self::parts(parts.get(), 0, each);
    }
}

/// A list of tools, element by element; or what stands in its place, such as one tool.
pub(super) fn tools<'a>(raw: &'a str, each: &mut dyn FnMut(Piece<'a>)) {
    if elements(raw, |element| each(Piece::Tool(compact(element)))).is_none() {
        each(Piece::Tool(compact(raw)));
    }
}

/// The schemas within `generationConfig`.
pub(super) fn schema<'a>(raw: &'a str, each: &mut dyn FnMut(Piece<'a>)) {
    match serde_json::from_str::<Config<'a>>(raw) {
        Ok(config) => {
            let schemas = [config.response_schema, config.response_json_schema].into_iter().flatten();
            schemas.for_each(|schema| each(Piece::Tool(compact(schema.get()))));
        }
        Err(_) => each(Piece::Tool(compact(raw))),
    }
}

/// A list of parts, or one, within `nesting` others.
fn parts<'a>(raw: &'a str, nesting: usize, each: &mut dyn FnMut(Piece<'a>)) {
    if !raw.starts_with('[') || elements(raw, |element| part(element, nesting, each)).is_none() {
        part(raw, nesting, each);
    }
}

fn part<'a>(raw: &'a str, nesting: usize, each: &mut dyn FnMut(Piece<'a>)) {
    match serde_json::from_str::<Part<'a>>(raw) {
        Ok(Part { text: Some(text), .. }) => each(plain(text.get())),
        Ok(Part { inline_data: Some(medium), .. } | Part { file_data: Some(medium), .. }) => {
            each(self::medium(medium.get()));
        }
        Ok(Part { function_call: Some(call), .. }) => each(Piece::Tool(compact(call.get()))),
        Ok(Part { function_response: Some(result), .. }) if nesting == 0 => self::result(result.get(), each),
        _ => each(plain(raw)),
    }
}

/// An image, or a flat cost for what is none.
fn medium(raw: &str) -> Piece<'_> {
    let medium = serde_json::from_str::<Medium<'_>>(raw).ok();
    let mime = medium.and_then(|medium| medium.mime_type).and_then(|mime| text(mime.get()));
    if mime.is_some_and(|mime| mime.starts_with("image/")) { Piece::Image } else { Piece::Data }
}

/// What a tool said, and the media with it.
fn result<'a>(raw: &'a str, each: &mut dyn FnMut(Piece<'a>)) {
    let Ok(result) = serde_json::from_str::<FunctionResponse<'a>>(raw) else {
        return each(Piece::Tool(compact(raw)));
    };
    for field in [result.name, result.response].into_iter().flatten() {
        each(Piece::Tool(text(field.get()).unwrap_or_else(|| compact(field.get()))));
    }
    if let Some(media) = result.parts {
        parts(media.get(), 1, each);
    }
}

/// The text of a string, or any other value as its JSON.
fn plain(raw: &str) -> Piece<'_> {
    Piece::Text(text(raw).unwrap_or_else(|| compact(raw)))
}
