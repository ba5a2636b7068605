//! Reads a whole answer of a provider that speaks Converse.
//!
//! Blocks of tools that the provider ran itself are left out: their outcome is in the text.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{call_id, inner, is_servers, redacted, said, signature, stop, stop_sequence, text};
use crate::{
    chat::{
        content::{Call, Content, Input, Reasoning},
        response::{Choice, Response},
    },
    protocol::{
        bedrock::{error, usage},
        json::compact,
        translate::Unreadable,
    },
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(borrow)]
    output: Option<&'a RawValue>,
    #[serde(borrow)]
    stop_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    additional_model_response_fields: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Output<'a> {
    #[serde(borrow)]
    message: Option<Message<'a>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    content: Option<Vec<&'a RawValue>>,
}

/// A block: one of its fields is there.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Block<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_use: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    citations_content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolUse<'a> {
    #[serde(borrow)]
    tool_use_id: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReasoningContent<'a> {
    #[serde(borrow)]
    reasoning_text: Option<&'a RawValue>,
    #[serde(borrow)]
    redacted_content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ReasoningText<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    signature: Option<&'a RawValue>,
}

/// Reads a whole body. `unique` is what ids are made of where a call has none.
///
/// # Errors
/// What is no answer of Converse's: no JSON, an error under a good status, no message.
pub fn read<'a>(body: &'a [u8], unique: &str) -> Result<Response<'a>, Unreadable> {
    let wire: Wire<'a> =
        serde_json::from_slice(body).map_err(|error| Unreadable::not("Converse answer", &error))?;
    let Some(output) = wire.output else {
        let why = error::message(body);
        return Err(Unreadable(why.unwrap_or_else(|| "the answer has no `output`".to_owned())));
    };
    let message = inner::<Output<'a>>(Some(output)).and_then(|output| output.message);
    let blocks = message.and_then(|message| message.content);
    let blocks = blocks.ok_or_else(|| Unreadable("the answer has no `output.message.content`".to_owned()))?;
    let mut content: Vec<Content<'a>> = Vec::with_capacity(blocks.len());
    for block in blocks.into_iter().filter_map(|raw| inner::<Block<'a>>(Some(raw))) {
        let calls = content.iter().filter(|content| matches!(content, Content::Call(_))).count();
        content.extend(block.content(unique, calls));
    }
    let stop = text(wire.stop_reason).as_deref().map(stop).unwrap_or_default();
    let stop_sequence = stop_sequence(wire.additional_model_response_fields);
    let choice = Choice { content, stop, stop_sequence, logprobs: None };
    Ok(Response {
        choices: vec![Choice { stop: choice.stop(), ..choice }],
        usage: wire.usage.map(usage::read),
        // Converse names neither the answer nor the model.
        ..Response::default()
    })
}

impl<'a> Block<'a> {
    /// What it means, perhaps nothing. `calls` came before it.
    fn content(self, unique: &str, calls: usize) -> Option<Content<'a>> {
        if let Some(tool_use) = inner::<ToolUse<'a>>(self.tool_use) {
            return tool_use.call(unique, calls);
        }
        if let Some(reasoning) = inner::<ReasoningContent<'a>>(self.reasoning_content) {
            return reasoning.content();
        }
        match self.citations_content {
            Some(cited) => self::cited(cited),
            None => Some(Content::text(said(self.text)?)),
        }
    }
}

impl<'a> ToolUse<'a> {
    fn call(self, unique: &str, calls: usize) -> Option<Content<'a>> {
        if is_servers(self.kind) {
            return None;
        }
        // A model of another maker may leave out what it has nothing to say in.
        let input = self.input.map(RawValue::get).filter(|input| *input != r#""""#).unwrap_or("{}");
        Some(Content::Call(Call {
            id: call_id(self.tool_use_id, unique, calls),
            name: text(self.name).unwrap_or_default(),
            input: Input::Json(compact(input)),
            signature: None,
        }))
    }
}

impl<'a> ReasoningContent<'a> {
    fn content(self) -> Option<Content<'a>> {
        if let Some(signature) = redacted(self.redacted_content) {
            let (text, signature) = (Default::default(), Some(signature));
            return Some(Content::Reasoning(Reasoning { text, signature, redacted: true }));
        }
        let shown: ReasoningText<'a> = inner(self.reasoning_text)?;
        let (text, signature) = (text(shown.text).unwrap_or_default(), signature(shown.signature));
        let says = !text.is_empty() || signature.is_some();
        says.then_some(Content::Reasoning(Reasoning { text, signature, redacted: false }))
    }
}

/// The text that citations are about, which is a part of the answer's.
fn cited(content: &RawValue) -> Option<Content<'_>> {
    #[derive(Deserialize)]
    struct Cited<'a> {
        #[serde(borrow)]
        content: Vec<Part<'a>>,
    }
    #[derive(Deserialize)]
    struct Part<'a> {
        #[serde(borrow)]
        text: Option<&'a RawValue>,
    }
    let mut texts = inner::<Cited<'_>>(Some(content))?.content.into_iter().filter_map(|part| said(part.text));
    let first = texts.next()?;
    Some(Content::text(texts.fold(first, |whole, text| whole + text)))
}

#[cfg(test)]
mod tests;
