//! What of a request reaches the model: one input item or the instructions, the tools, the answer's schema, as neutral
//! pieces.
//!
//! The rule is that nothing is free. What is not understood (an unknown item, a field twice, a number as content) is given
//! as the text of its JSON, and whether it is any good is left to the upstream.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    chat::Piece,
    protocol::json::{compact, each as elements, text},
};

/// An input item, or a part of its content.
#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    role: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    output: Option<&'a RawValue>,
    #[serde(borrow)]
    summary: Option<&'a RawValue>,
    #[serde(borrow)]
    encrypted_content: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Text<'a> {
    #[serde(borrow)]
    format: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Format<'a> {
    #[serde(borrow)]
    schema: Option<&'a RawValue>,
}

/// About the bytes of encrypted reasoning, in base64 and with what is around it, that make one token: six of text.
const ENCRYPTED_BYTES_PER_TOKEN: u64 = 8;

/// The pieces of an item; what is no object is the text of `role`.
pub(super) fn item<'a>(raw: &'a str, role: &'static str, each: &mut dyn FnMut(Piece<'a>)) {
    if !raw.starts_with('{') {
        each(Piece::Role(role.into()));
        return content(raw, each);
    }
    let Ok(item) = serde_json::from_str::<Item<'a>>(raw) else {
        each(Piece::Role("".into()));
        return each(Piece::Text(compact(raw)));
    };
    let kind = item.kind.and_then(|kind| text(kind.get()));
    match (kind.as_deref(), &item) {
        (None | Some("message"), _) => {
            each(Piece::Role(item.role.and_then(|role| text(role.get())).unwrap_or_default()));
            item.content.into_iter().for_each(|said| content(said.get(), each));
        }
        (
            Some("function_call_output" | "custom_tool_call_output" | "local_shell_call_output"),
            Item { output: Some(output), .. },
        ) => content(output.get(), each),
        (Some("reasoning"), _) => {
            [item.summary, item.content].into_iter().flatten().for_each(|said| content(said.get(), each));
            item.encrypted_content.into_iter().for_each(|said| each(encrypted(said.get())));
        }
        // What is encrypted in these is the conversation so far.
        (Some("compaction" | "compaction_summary"), Item { encrypted_content: Some(said), .. }) => {
            each(encrypted(said.get()));
        }
        (Some("image_generation_call"), _) => each(Piece::Image),
        (Some("computer_call_output"), _) => each(Piece::Image),
        _ => each(Piece::Tool(compact(raw))),
    }
}

/// A list of definitions, element by element; or what stands in its place.
pub(super) fn tools<'a>(raw: &'a str, each: &mut dyn FnMut(Piece<'a>)) {
    if elements(raw, |element| each(Piece::Tool(compact(element)))).is_none() {
        each(Piece::Tool(compact(raw)));
    }
}

/// The schema within the format within `text`; other formats have none.
pub(super) fn schema<'a>(raw: &'a str, each: &mut dyn FnMut(Piece<'a>)) {
    let Ok(Text { format }) = serde_json::from_str::<Text<'a>>(raw) else {
        return each(Piece::Tool(compact(raw)));
    };
    let Some(format) = format else { return };
    match serde_json::from_str::<Format<'a>>(format.get()) {
        Ok(Format { schema: None }) => {}
        _ => each(Piece::Tool(compact(format.get()))),
    }
}

/// A string, or a list of parts.
fn content<'a>(raw: &'a str, each: &mut dyn FnMut(Piece<'a>)) {
    if !raw.starts_with('[') || elements(raw, |element| part(element, each)).is_none() {
        each(plain(raw));
    }
}

fn part<'a>(raw: &'a str, each: &mut dyn FnMut(Piece<'a>)) {
    let known = serde_json::from_str::<Item<'a>>(raw).ok();
    let kind = known.as_ref().and_then(|part| part.kind).and_then(|kind| text(kind.get()));
    match (kind.as_deref(), known) {
        (
            Some("input_text" | "output_text" | "text" | "summary_text" | "reasoning_text"),
            Some(Item { text: Some(text), .. }),
        ) => each(plain(text.get())),
        (Some("refusal"), Some(Item { refusal: Some(text), .. })) => each(plain(text.get())),
        (Some("input_image" | "computer_screenshot"), _) => each(Piece::Image),
        (Some("input_file" | "input_audio"), _) => each(Piece::Data),
        _ if raw.contains(";base64,") => each(Piece::Data),
        _ => each(plain(raw)),
    }
}

/// What only the model can read, by its length.
fn encrypted(raw: &str) -> Piece<'_> {
    Piece::Tokens((raw.len() as u64).div_ceil(ENCRYPTED_BYTES_PER_TOKEN))
}

/// The text of a string, or any other value as its JSON.
fn plain(raw: &str) -> Piece<'_> {
    Piece::Text(text(raw).unwrap_or_else(|| compact(raw)))
}
