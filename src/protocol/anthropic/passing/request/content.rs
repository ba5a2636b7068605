//! What of a request reaches the model: one message or the system, the tools, the answer's schema, as neutral pieces.
//!
//! The rule is that nothing is free. What is not understood (an unknown block, a field twice, a number as content) is given
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
    content: Option<&'a RawValue>,
}

/// One block of a `content` list, or the source of a document.
#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    source: Option<&'a RawValue>,
    #[serde(borrow)]
    title: Option<&'a RawValue>,
    #[serde(borrow)]
    context: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Format<'a> {
    #[serde(borrow)]
    schema: Option<&'a RawValue>,
    #[serde(borrow)]
    format: Option<&'a RawValue>,
}

/// Results hold documents, and documents hold blocks; deeper than that nothing is looked for. Each level reads what it
/// holds once more, so a hundred of them would make one byte cost like a hundred.
const DEEPEST: usize = 2;

/// The pieces of a message; what is no object is the system's words.
pub(super) fn message<'a>(raw: &'a str, each: &mut dyn FnMut(Piece<'a>)) {
    if !raw.starts_with('{') {
        each(Piece::Role("system".into()));
        return content(raw, 0, each);
    }
    let Ok(message) = serde_json::from_str::<Message<'a>>(raw) else {
        each(Piece::Role("".into()));
        return each(Piece::Text(compact(raw)));
    };
    each(Piece::Role(message.role.and_then(|role| text(role.get())).unwrap_or_default()));
    if let Some(content) = message.content {
        self::content(content.get(), 0, each);
    }
}

/// A list of definitions, element by element; or what stands in its place.
pub(super) fn tools<'a>(raw: &'a str, each: &mut dyn FnMut(Piece<'a>)) {
    if elements(raw, |element| each(Piece::Tool(compact(element)))).is_none() {
        each(Piece::Tool(compact(raw)));
    }
}

/// The schema within `output_format`, or within the `format` of `output_config`.
pub(super) fn schema<'a>(raw: &'a str, each: &mut dyn FnMut(Piece<'a>)) {
    let read = |raw| serde_json::from_str::<Format<'a>>(raw);
    let outer = read(raw);
    let format = match &outer {
        Ok(Format { format: Some(format), .. }) => read(format.get()),
        _ => outer,
    };
    match format {
        Ok(format) => format.schema.into_iter().for_each(|schema| each(Piece::Tool(compact(schema.get())))),
        Err(_) => each(Piece::Tool(compact(raw))),
    }
}

/// A string, or a list of blocks, within `nesting` others.
fn content<'a>(raw: &'a str, nesting: usize, each: &mut dyn FnMut(Piece<'a>)) {
    if !raw.starts_with('[') || elements(raw, |element| block(element, nesting, each)).is_none() {
        each(plain(raw));
    }
}

fn block<'a>(raw: &'a str, nesting: usize, each: &mut dyn FnMut(Piece<'a>)) {
    let known = serde_json::from_str::<Block<'a>>(raw).ok();
    let kind = known.as_ref().and_then(|block| block.kind).and_then(|kind| text(kind.get()));
    match (kind.as_deref(), known) {
        (Some("text"), Some(Block { text: Some(text), .. })) => each(plain(text.get())),
        (Some("thinking"), Some(Block { thinking: Some(text), .. })) => each(plain(text.get())),
        (Some("image"), _) => each(Piece::Image),
        (Some("redacted_thinking"), _) => each(Piece::Data),
        (Some("tool_use"), _) => each(Piece::Tool(compact(raw))),
        (Some("tool_result"), Some(block)) if nesting < DEEPEST => {
            // As tools count: with them or not at all.
            let mut tool =
                |piece| each(if let Piece::Text(text) = piece { Piece::Tool(text) } else { piece });
            if let Some(said) = block.content {
                content(said.get(), nesting + 1, &mut tool);
            }
        }
        (Some("document"), Some(block)) if nesting < DEEPEST => document(&block, nesting, each),
        (Some("search_result"), Some(block)) if nesting < DEEPEST => {
            [block.title, block.source].into_iter().flatten().for_each(|field| each(plain(field.get())));
            if let Some(said) = block.content {
                content(said.get(), nesting + 1, each);
            }
        }
        (Some("web_fetch_tool_result"), Some(Block { content: Some(fetched), .. })) if nesting == 0 => {
            let page = serde_json::from_str::<Block<'a>>(fetched.get()).ok().and_then(|page| page.content);
            block(page.unwrap_or(fetched).get(), 1, each);
        }
        _ => each(plain(raw)),
    }
}

/// A document: its text, or a flat cost for what is none.
fn document<'a>(block: &Block<'a>, nesting: usize, each: &mut dyn FnMut(Piece<'a>)) {
    [block.title, block.context].into_iter().flatten().for_each(|field| each(plain(field.get())));
    let source = block.source.map(|source| serde_json::from_str::<Block<'a>>(source.get()));
    let Some(Ok(source)) = source else { return each(Piece::Data) };
    let kind = source.kind.and_then(|kind| text(kind.get()));
    match (kind.as_deref(), source.data, source.content) {
        (Some("text"), Some(data), _) => each(plain(data.get())),
        (Some("content"), _, Some(content)) => self::content(content.get(), nesting + 1, each),
        _ => each(Piece::Data),
    }
}

/// The text of a string, or any other value as its JSON.
fn plain(raw: &str) -> Piece<'_> {
    Piece::Text(text(raw).unwrap_or_else(|| compact(raw)))
}
