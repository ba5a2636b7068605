//! Writes a whole answer as a client of Google's expects it.

use std::borrow::Cow;

use serde::{Serialize, de::IgnoredAny};

use crate::{
    chat::{
        content::{Call, Content as Said, Input, Media, Reasoning},
        json::Json,
        request::Expected,
        response::{Choice, Response, Stop},
        signature::{Maker, Signature},
    },
    protocol::{
        gemini::{
            logprobs,
            usage::Shown,
            wire::{Content, Part, Payload, mark},
        },
        media,
        translate::Asked,
    },
};

/// An answer; every chunk of a stream is one.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer<'r> {
    pub(super) candidates: Vec<Candidate<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) usage_metadata: Option<Shown>,
    pub(super) model_version: &'r str,
    pub(super) response_id: &'r str,
}

/// One answer of several, or what a chunk adds to it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Candidate<'r> {
    pub(super) content: Content<'r>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) finish_reason: Option<&'static str>,
    pub(super) index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) logprobs_result: Option<Json<'r>>,
}

/// The answer, as the request expects it.
pub fn write(response: &Response<'_>, expected: Expected, asked: &Asked<'_>) -> Vec<u8> {
    let shown = is_shown(expected);
    let candidates = (0..).zip(&response.choices).map(|(index, choice)| candidate(index, choice, shown));
    let answer = Answer {
        candidates: candidates.collect(),
        usage_metadata: response.usage.map(Shown::new),
        model_version: asked.model,
        response_id: asked.unique,
    };
    // Strings, numbers and JSON that was read before always serialise.
    serde_json::to_vec(&answer).unwrap_or_default()
}

/// The answer to `countTokens`.
pub fn count(total_tokens: u64) -> Vec<u8> {
    format!(r#"{{"totalTokens":{total_tokens}}}"#).into_bytes()
}

/// Whether the client asked to read what the model thinks. If not, it gets the signatures without the text.
pub(super) fn is_shown(expected: Expected) -> bool {
    expected.shown == Some(true)
}

/// Why an answer ends. Calls end it like anything else.
pub(super) fn finish_reason(stop: Stop) -> &'static str {
    match stop {
        Stop::End | Stop::Sequence | Stop::Calls | Stop::Pause => "STOP",
        Stop::Length => "MAX_TOKENS",
        Stop::Filter => "SAFETY",
    }
}

/// A signature that came by itself, in a part without text: of thinking, or Google's own of a text.
pub(super) fn signature<'r>(signature: &Signature<'_>, redacted: bool) -> Part<'r> {
    let part = Part::text("").signed(Some(mark(signature, redacted).into()));
    Part { thought: signature.maker != Maker::Google, ..part }
}

fn candidate<'r>(index: u32, choice: &'r Choice<'_>, shown: bool) -> Candidate<'r> {
    let refused = choice.content.iter().any(|content| matches!(content, Said::Refusal(_)));
    let stop = if refused { Stop::Filter } else { choice.stop() };
    Candidate {
        content: Content { parts: parts(&choice.content, stop, shown), role: Some("model") },
        finish_reason: Some(finish_reason(stop)),
        index,
        logprobs_result: choice.logprobs.as_ref().and_then(logprobs::write),
    }
}

fn parts<'r>(contents: &'r [Said<'_>], stop: Stop, shown: bool) -> Vec<Part<'r>> {
    let mut parts = Vec::with_capacity(contents.len());
    for content in contents {
        match content {
            Said::Text(text) => {
                let signature = field(text.signature.as_ref());
                if !text.text.is_empty() || signature.is_some() {
                    parts.push(Part::text(text.text.as_ref()).signed(signature));
                }
            }
            Said::Refusal(text) => parts.push(Part::text(text.as_ref())),
            Said::Reasoning(reasoning) => parts.extend(thought(reasoning, shown)),
            Said::Call(call) if is_cut(call, stop) => {}
            Said::Call(call) => parts.push(Part::call(call).signed(field(call.signature.as_ref()))),
            Said::Image(image) => parts.push(self::image(&image.media)),
            // No model answers with these in a format that is read here.
            Said::Document(_) | Said::Audio(_) | Said::Result(_) => {}
        }
    }
    parts
}

/// Whether a call was ended by length within its arguments. Google has no part of a call, and one with other arguments
/// than the model meant is not to be made.
pub(super) fn is_cut(call: &Call<'_>, stop: Stop) -> bool {
    let Input::Json(json) = &call.input else { return false };
    stop == Stop::Length && serde_json::from_str::<IgnoredAny>(json).is_err()
}

/// An image: its bytes, or words that tell where it is.
pub(super) fn image<'r>(media: &'r Media<'_>) -> Part<'r> {
    match media {
        Media::Data { mime, base64 } => Payload::InlineData { mime_type: mime, data: base64 }.into(),
        Media::Url(_) | Media::Id(_) => Part::text(media::markdown(media)),
    }
}

/// A signature in the field that is there for it.
pub(super) fn field<'r>(signature: Option<&Signature<'_>>) -> Option<Cow<'r, str>> {
    signature.map(|signature| mark(signature, false).into())
}

fn thought<'r>(reasoning: &'r Reasoning<'_>, shown: bool) -> Option<Part<'r>> {
    let text = if shown { reasoning.text.as_ref() } else { "" };
    let field = reasoning.signature.as_ref().map(|signature| mark(signature, reasoning.redacted).into());
    (!text.is_empty() || field.is_some()).then(|| Part::thought(text, field))
}

#[cfg(test)]
mod tests;
