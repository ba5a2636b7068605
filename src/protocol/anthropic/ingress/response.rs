//! Writes a whole answer as a client of Anthropic's expects it.

use std::borrow::Cow;

use serde::Serialize;

use crate::{
    chat::{
        content::{Content, Reasoning},
        request::Expected,
        response::{Choice, Response, Stop},
        signature::{Maker, Signature},
    },
    protocol::{
        anthropic::{usage::Shown, wire::Block},
        call, media,
        translate::Asked,
    },
};

/// An answer; also what `message_start` holds.
#[derive(Serialize)]
pub(super) struct Message<'r> {
    pub(super) model: &'r str,
    pub(super) id: &'r str,
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) role: &'static str,
    pub(super) content: Vec<Block<'r>>,
    pub(super) stop_reason: Option<&'static str>,
    pub(super) stop_sequence: Option<&'r str>,
    pub(super) usage: Usage,
}

/// The usage of an answer.
#[derive(Serialize)]
pub(super) struct Usage {
    #[serde(flatten)]
    pub(super) shown: Shown,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service_tier: Option<&'static str>,
}

/// The answer, as the request expects it. An answer of several choices, which nobody can ask for in this dialect, gives its first.
pub fn write(response: &Response<'_>, expected: Expected, asked: &Asked<'_>) -> Vec<u8> {
    let nothing = Choice::default();
    let choice = response.choices.first().unwrap_or(&nothing);
    let refused = choice.content.iter().any(|content| matches!(content, Content::Refusal(_)));
    let stop = choice.stop();
    let message = Message {
        model: asked.model,
        id: &format!("msg_{}", asked.unique),
        kind: "message",
        role: "assistant",
        content: blocks(&choice.content, is_shown(expected)),
        stop_reason: Some(stop_reason(if refused { Stop::Filter } else { stop })),
        stop_sequence: choice.stop_sequence.as_deref().filter(|_| stop == Stop::Sequence),
        usage: Usage {
            shown: Shown::whole(response.usage),
            service_tier: response.service_tier.as_deref().and_then(service_tier),
        },
    };
    // Strings, numbers and JSON that was read before always serialise.
    serde_json::to_vec(&message).unwrap_or_default()
}

/// The answer to `count_tokens`.
pub fn count(input_tokens: u64) -> Vec<u8> {
    format!(r#"{{"input_tokens":{input_tokens}}}"#).into_bytes()
}

/// Whether the client wants to read what the model thinks. If not, it gets the signatures without the text.
pub(super) fn is_shown(expected: Expected) -> bool {
    expected.shown != Some(false)
}

/// Why an answer ends.
pub(super) fn stop_reason(stop: Stop) -> &'static str {
    match stop {
        Stop::End => "end_turn",
        Stop::Length => "max_tokens",
        Stop::Sequence => "stop_sequence",
        Stop::Calls => "tool_use",
        Stop::Filter => "refusal",
        Stop::Pause => "pause_turn",
    }
}

fn service_tier(tier: &str) -> Option<&'static str> {
    match tier {
        "default" | "standard" => Some("standard"),
        "priority" => Some("priority"),
        "batch" => Some("batch"),
        _ => None,
    }
}

fn blocks<'r>(contents: &'r [Content<'_>], shown: bool) -> Vec<Block<'r>> {
    let mut blocks = Vec::with_capacity(contents.len());
    for content in contents {
        match content {
            Content::Text(text) => {
                say(text.text.as_ref(), &mut blocks);
                blocks.extend(text.signature.as_ref().map(signature));
            }
            Content::Refusal(text) => say(text.as_ref(), &mut blocks),
            Content::Reasoning(reasoning) => blocks.extend(thinking(reasoning, shown)),
            Content::Call(called) => {
                blocks.extend(called.signature.as_ref().map(signature));
                let (id, input) = (Cow::Borrowed(called.id.as_ref()), call::arguments(&called.input));
                blocks.push(Block::ToolUse { id, name: &called.name, input });
            }
            // No answer has a block for one.
            Content::Image(image) => say(media::markdown(&image.media), &mut blocks),
            // No model answers with these in a format that is read here.
            Content::Document(_) | Content::Audio(_) | Content::Result(_) => {}
        }
    }
    blocks
}

/// Text; pieces that follow one another are one block, as in a stream.
fn say<'r>(more: impl Into<Cow<'r, str>>, blocks: &mut Vec<Block<'r>>) {
    let more = more.into();
    match blocks.last_mut() {
        _ if more.is_empty() => {}
        Some(Block::Text { text, .. }) => text.to_mut().push_str(&more),
        _ => blocks.push(Block::text(more)),
    }
}

/// Thinking; an empty signature where the model gave none, since clients expect the field.
fn thinking<'r>(reasoning: &'r Reasoning<'_>, shown: bool) -> Option<Block<'r>> {
    let signature = reasoning.signature.as_ref();
    let thinking = if shown { reasoning.text.as_ref() } else { "" };
    match signature {
        Some(signature) if reasoning.redacted && reasoning.text.is_empty() => {
            Some(Block::RedactedThinking { data: signature.marked(Maker::Anthropic) })
        }
        None if thinking.is_empty() => None,
        _ => {
            let signature = signature.map(|signature| signature.marked(Maker::Anthropic)).unwrap_or_default();
            Some(Block::Thinking { thinking, signature })
        }
    }
}

/// A signature that is not of thinking (Google signs calls and texts), in a block without any.
fn signature<'r>(signature: &'r Signature<'_>) -> Block<'r> {
    Block::Thinking { thinking: "", signature: signature.marked(Maker::Anthropic) }
}

#[cfg(test)]
mod tests;
