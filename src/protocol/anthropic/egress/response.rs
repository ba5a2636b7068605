//! Reads a whole answer of a provider that speaks Anthropic's Messages.
//!
//! Blocks of tools that the provider ran itself are left out: their outcome is in the text.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{said, stop, text};
use crate::{
    chat::{
        content::{Call, Content, Input, Reasoning},
        response::{Choice, Response},
        signature::{Maker, Signature},
    },
    protocol::{
        anthropic::{error, usage::Report},
        json::compact,
        translate::Unreadable,
    },
};

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    stop_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    stop_sequence: Option<&'a RawValue>,
    #[serde(borrow)]
    stop_details: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

/// A block of an answer: in a stream, its beginning. What it holds is read when its kind is known.
#[derive(Deserialize)]
pub(super) struct Block<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) text: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) signature: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) data: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) name: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) input: Option<&'a RawValue>,
}

/// Reads a whole body. `unique` is what ids are made of where a call has none.
///
/// # Errors
/// What is no message of Anthropic's: no JSON, an error under a good status, no content.
pub fn read<'a>(body: &'a [u8], unique: &str) -> Result<Response<'a>, Unreadable> {
    let wire: Wire<'a> =
        serde_json::from_slice(body).map_err(|error| Unreadable::not("Messages answer", &error))?;
    if text(wire.kind).as_deref() == Some("error") {
        return Err(Unreadable(error::read(502, body).message.into_owned()));
    }
    let blocks = wire.content.ok_or_else(|| Unreadable("the message has no `content`".to_owned()))?;
    let mut content: Vec<Content<'a>> = Vec::with_capacity(blocks.len());
    let mut calls = 0;
    for raw in blocks {
        let Ok(block) = serde_json::from_str::<Block<'a>>(raw.get()) else { continue };
        let Some(next) = block.content(unique, calls) else { continue };
        calls += usize::from(matches!(next, Content::Call(_)));
        content.push(next);
    }
    content.extend(refusal(wire.stop_details).map(Content::Refusal));
    let stop = text(wire.stop_reason).as_deref().map(stop).unwrap_or_default();
    let choice = Choice { content, stop, stop_sequence: text(wire.stop_sequence), logprobs: None };
    Ok(Response {
        id: text(wire.id).unwrap_or_default(),
        created: None,
        model: text(wire.model),
        choices: vec![Choice { stop: choice.stop(), ..choice }],
        usage: wire.usage.map(|raw| Report::read(raw).usage()),
        service_tier: wire.usage.and_then(service_tier),
    })
}

/// Reads the answer of `count_tokens`: the input in tokens.
///
/// # Errors
/// When it has no count.
pub fn read_count(body: &[u8]) -> Result<u64, Unreadable> {
    #[derive(Deserialize)]
    struct Count {
        input_tokens: u64,
    }
    let count = serde_json::from_slice::<Count>(body);
    count.map(|count| count.input_tokens).map_err(|error| Unreadable::not("count of tokens", &error))
}

impl<'a> Block<'a> {
    /// What it means, perhaps nothing. `calls` came before it.
    fn content(self, unique: &str, calls: usize) -> Option<Content<'a>> {
        Some(match text(self.kind)?.as_ref() {
            "text" => Content::text(said(self.text)?),
            "thinking" => Content::Reasoning(Reasoning {
                text: text(self.thinking).unwrap_or_default(),
                signature: signature(self.signature),
                redacted: false,
            }),
            "redacted_thinking" => Content::Reasoning(Reasoning {
                text: "".into(),
                signature: Some(signature(self.data)?),
                redacted: true,
            }),
            "tool_use" => Content::Call(Call {
                id: call_id(self.id, unique, calls),
                name: text(self.name).unwrap_or_default(),
                input: Input::Json(self.input.map_or_else(|| "{}".into(), |input| compact(input.get()))),
                signature: None,
            }),
            _ => return None,
        })
    }
}

/// The model's words when it declines, if it has any: `stop_details.explanation`.
pub(super) fn refusal(details: Option<&RawValue>) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Details<'a> {
        #[serde(borrow)]
        explanation: Option<&'a RawValue>,
    }
    said(serde_json::from_str::<Details<'_>>(details?.get()).ok()?.explanation)
}

/// A signature that says something.
pub(super) fn signature(value: Option<&RawValue>) -> Option<Signature<'_>> {
    said(value).map(|value| Signature::read(Maker::Anthropic, value))
}

/// The id of a call, made where there is none.
pub(super) fn call_id<'a>(id: Option<&'a RawValue>, unique: &str, calls: usize) -> Cow<'a, str> {
    said(id).unwrap_or_else(|| format!("toolu_{unique}_{calls}").into())
}

/// The tier under the name that others have for it.
fn service_tier(usage: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Tier<'a> {
        #[serde(borrow)]
        service_tier: Option<&'a RawValue>,
    }
    let tier = said(serde_json::from_str::<Tier<'_>>(usage.get()).ok()?.service_tier)?;
    Some(if tier == "standard" { "default".into() } else { tier })
}

#[cfg(test)]
mod tests;
