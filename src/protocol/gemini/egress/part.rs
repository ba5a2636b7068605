//! Answers of Google's as they stand, whole or as a chunk of a stream, which have the same shape.
//!
//! What is not known or not of the kind that it must be is left out, and so is what Google's servers did themselves (code
//! that they ran, calls of their tools): it is nothing that the model says, and its outcome is in the text.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{said, text};
use crate::{
    chat::signature::{Maker, Signature},
    protocol::json::compact,
};

/// An answer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer<'a> {
    #[serde(borrow)]
    pub(super) candidates: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    pub(super) prompt_feedback: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) usage_metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) model_version: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) response_id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
}

/// One of its answers.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Candidate<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) finish_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    index: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) logprobs_result: Option<&'a RawValue>,
}

/// A part: what it says, and its signature.
pub(super) struct Part<'a> {
    pub(super) data: Data<'a>,
    pub(super) signature: Option<Signature<'a>>,
}

/// What a part says.
pub(super) enum Data<'a> {
    Text(Cow<'a, str>),
    Thought(Cow<'a, str>),
    Call { id: Option<Cow<'a, str>>, name: Cow<'a, str>, args: Cow<'a, str> },
    Image { mime: Cow<'a, str>, base64: Cow<'a, str> },
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    parts: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    thought: Option<&'a RawValue>,
    #[serde(borrow)]
    thought_signature: Option<&'a RawValue>,
    #[serde(borrow)]
    function_call: Option<&'a RawValue>,
    #[serde(borrow)]
    inline_data: Option<&'a RawValue>,
}

/// The members of the several kinds of data.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
    #[serde(borrow)]
    mime_type: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback<'a> {
    #[serde(borrow)]
    block_reason: Option<&'a RawValue>,
}

impl<'a> Answer<'a> {
    /// Its answers with their numbers: where one has none, it is its place.
    pub(super) fn candidates(&self) -> impl Iterator<Item = (u32, Candidate<'a>)> {
        (0..).zip(self.candidates.iter().flatten()).map(|(at, raw)| {
            let candidate: Candidate<'a> = serde_json::from_str(raw.get()).unwrap_or_default();
            let index = candidate.index.and_then(|index| index.get().parse().ok());
            (index.unwrap_or(at), candidate)
        })
    }

    /// Whether the prompt was refused, so that there is no answer.
    pub(super) fn is_blocked(&self) -> bool {
        let feedback =
            self.prompt_feedback.and_then(|raw| serde_json::from_str::<Feedback<'_>>(raw.get()).ok());
        feedback.is_some_and(|feedback| feedback.block_reason.is_some())
    }
}

impl<'a> Candidate<'a> {
    /// Gives its parts in their order.
    pub(super) fn parts(&self, mut each: impl FnMut(Part<'a>)) {
        let content = self.content.and_then(|raw| serde_json::from_str::<Content<'a>>(raw.get()).ok());
        let parts = content.and_then(|content| content.parts).unwrap_or_default();
        for raw in parts {
            let wire = serde_json::from_str::<Wire<'a>>(raw.get()).ok();
            wire.and_then(Part::read).into_iter().for_each(&mut each);
        }
    }
}

impl<'a> Part<'a> {
    fn read(wire: Wire<'a>) -> Option<Self> {
        let signature = said(wire.thought_signature).map(|value| Signature::read(Maker::Google, value));
        let of = |raw: Option<&'a RawValue>| serde_json::from_str::<Fields<'a>>(raw?.get()).ok();
        let data = if let Some(call) = of(wire.function_call) {
            call.call()
        } else if let Some(blob) = of(wire.inline_data) {
            Data::Image { mime: text(blob.mime_type)?, base64: text(blob.data)? }
        } else {
            let is_thought = wire.thought.is_some_and(|thought| thought.get() == "true");
            match text(wire.text) {
                Some(text) if is_thought => Data::Thought(text),
                Some(text) => Data::Text(text),
                // The signature on what Google's servers did means nothing without that.
                None => return None,
            }
        };
        Some(Self { data, signature })
    }
}

impl<'a> Fields<'a> {
    fn call(self) -> Data<'a> {
        let args = self.args.map_or("{}", RawValue::get);
        Data::Call {
            id: said(self.id),
            name: text(self.name).unwrap_or_default(),
            args: if args == "null" { "{}".into() } else { compact(args) },
        }
    }
}

/// The id of a call that has none: most of Google's.
pub(super) fn made_id(unique: &str, choice: u32, calls: u32) -> String {
    if choice == 0 { format!("call_{unique}_{calls}") } else { format!("call_{unique}_{choice}_{calls}") }
}
