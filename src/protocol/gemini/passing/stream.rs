//! A stream of events on its way from a Google provider to a Google client.
//!
//! Wire format: `data:` lines, each a whole answer with the model and the usage so far; no terminator, the reasons for
//! ending being in the last of them.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::cut::Head;
use crate::{
    chat::{fault::FaultKind, usage::Usage},
    protocol::{
        gemini::{error, usage},
        passing::{self, Dialect, Needles, Reading, Seen},
        translate::Frame,
    },
};

/// The machine of one stream.
pub type Stream = passing::Stream<Chunks>;

/// How a stream of chunks is read.
#[derive(Debug, Default)]
pub struct Chunks {
    /// Which candidates have begun and which are finished, by index; an answer has at most 128.
    begun: u128,
    finished: u128,
    /// The prompt was refused, so none will begin.
    blocked: bool,
    /// Where the stream may be cut.
    head: Option<Box<Head>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chunk<'a> {
    #[serde(borrow)]
    model_version: Option<&'a RawValue>,
    #[serde(borrow)]
    candidates: Option<SmallVec<[Candidate<'a>; 1]>>,
    #[serde(borrow)]
    prompt_feedback: Option<Feedback<'a>>,
    #[serde(borrow)]
    usage_metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    index: Option<u32>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback<'a> {
    #[serde(borrow)]
    block_reason: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    parts: Option<SmallVec<[&'a RawValue; 1]>>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
}

impl Stream {
    /// A stream whose model becomes this JSON string. `secrets` are taken out of error events.
    pub fn new(model: Bytes, secrets: Option<Needles>) -> Self {
        Self::of(Chunks::default(), model, secrets)
    }
}

impl Dialect for Chunks {
    const TERMINATOR: &'static [u8] = b"";

    fn read<'a>(&mut self, frame: Frame<'a>, seen: &mut Seen) -> Reading<'a> {
        let Ok(chunk) = serde_json::from_slice::<Chunk<'a>>(frame.data) else {
            seen.output = true;
            return Reading::default();
        };
        self.watch(&chunk, seen);
        Reading {
            models: chunk.model_version.into_iter().map(RawValue::get).collect(),
            answer: chunk.error.is_none() && (chunk.candidates.is_some() || chunk.usage_metadata.is_some()),
            hidden: false,
            terminator: false,
        }
    }

    fn error(&self, status: u16, message: &str) -> Bytes {
        error::event(FaultKind::of_status(status), status, message)
    }

    fn may_be_cut(&mut self) {
        self.head = Some(Box::default());
    }

    fn note(&mut self, frame: Frame<'_>) {
        if let Some(head) = &mut self.head {
            head.note(frame.data);
        }
    }

    fn cut(&mut self, model: &RawValue, usage: Usage, out: &mut Vec<u8>) {
        out.extend_from_slice(b"data: ");
        self.last(model, usage, out);
        out.extend_from_slice(b"\r\n\r\n");
    }
}

impl Chunks {
    /// The last chunk of an answer that gets no more tokens, without a frame.
    pub(super) fn last(&mut self, model: &RawValue, usage: Usage, out: &mut Vec<u8>) {
        let head = self.head.take().unwrap_or_default();
        head.end(passing::open(self.begun, self.finished), model, usage, out);
    }

    fn watch(&mut self, chunk: &Chunk<'_>, seen: &mut Seen) {
        if let Some(report) = chunk.usage_metadata {
            seen.report(usage::read(report));
        }
        seen.error |= chunk.error.is_some();
        for (at, candidate) in (0..).zip(chunk.candidates.iter().flatten()) {
            let bit = 1u128.checked_shl(candidate.index.unwrap_or(at)).unwrap_or(0);
            self.begun |= bit;
            if candidate.finish_reason.is_some() {
                self.finished |= bit;
            }
            seen.output = seen.output || candidate.content.is_some_and(has_output);
        }
        self.blocked |=
            chunk.prompt_feedback.as_ref().is_some_and(|feedback| feedback.block_reason.is_some());
        seen.finished = if self.begun == 0 { self.blocked } else { self.begun & !self.finished == 0 };
    }
}

/// Whether content holds more than a role and empty text.
fn has_output(content: &RawValue) -> bool {
    let Ok(content) = serde_json::from_str::<Content<'_>>(content.get()) else { return true };
    let is_empty = |part: &RawValue| {
        let text = serde_json::from_str::<Part<'_>>(part.get()).ok().and_then(|part| part.text);
        text.is_some_and(|text| text.get() == "\"\"")
    };
    content.parts.iter().flatten().any(|part| !is_empty(part))
}

#[cfg(test)]
mod tests;
