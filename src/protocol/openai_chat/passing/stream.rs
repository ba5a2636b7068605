//! A chat stream on its way from an OpenAI-compatible upstream to an OpenAI client.
//!
//! Wire format: `data: {chunk}` events, `choices[].delta`, `finish_reason`, a usage chunk with `choices: []` just
//! before `data: [DONE]`.

use std::collections::HashMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::cut::Head;
use crate::{
    chat::{fault::FaultKind, usage::Usage},
    protocol::{
        openai_chat::{error, usage},
        passing::{self, Dialect, Needles, Reading, Seen},
        translate::Frame,
    },
};

/// The machine of one stream.
pub type Stream = passing::Stream<Chunks>;

/// How a stream of chunks is read.
#[derive(Debug, Default)]
pub struct Chunks {
    /// The usage chunk was asked for by us, not by the client.
    hide_usage: bool,
    choices: Choices,
    /// Where the stream may be cut.
    head: Option<Box<Head>>,
}

/// Which choices have begun and which are finished, by index; an answer has at most 128.
#[derive(Debug, Default)]
struct Choices {
    begun: u128,
    finished: u128,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    choices: Option<SmallVec<[Choice<'a>; 1]>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    index: Option<u32>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
}

impl Stream {
    /// A stream whose `model` becomes this JSON string; with `hide_usage`, the extra usage chunk is taken out.
    /// `secrets` are taken out of error events.
    pub fn new(model: Bytes, hide_usage: bool, secrets: Option<Needles>) -> Self {
        Self::of(Chunks { hide_usage, ..Chunks::default() }, model, secrets)
    }
}

impl Dialect for Chunks {
    const TERMINATOR: &'static [u8] = b"data: [DONE]\n\n";

    fn read<'a>(&mut self, frame: Frame<'a>, seen: &mut Seen) -> Reading<'a> {
        if frame.data.trim_ascii() == b"[DONE]" {
            return Reading { answer: true, terminator: true, ..Reading::default() };
        }
        let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(frame.data) else {
            seen.output = true;
            return Reading::default();
        };
        self.watch(&chunk, seen);
        let empty = chunk.choices.as_ref().is_some_and(|choices| choices.is_empty());
        Reading {
            models: chunk.model.into_iter().map(RawValue::get).collect(),
            answer: chunk.error.is_none() && chunk.choices.is_some(),
            hidden: self.hide_usage && chunk.usage.is_some() && empty,
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
        let head = self.head.take().unwrap_or_default();
        head.end(self.choices.open(), model, usage, !self.hide_usage, out);
    }
}

impl Chunks {
    fn watch(&mut self, chunk: &Chunk<'_>, seen: &mut Seen) {
        if let Some(report) = chunk.usage {
            seen.report(usage::read(report));
        }
        seen.error |= chunk.error.is_some();
        for choice in chunk.choices.iter().flatten() {
            self.choices.saw(choice);
            seen.output = seen.output || choice.delta.is_some_and(has_output);
        }
        seen.finished = self.choices.are_finished();
    }
}

impl Choices {
    fn saw(&mut self, choice: &Choice<'_>) {
        let bit = 1u128.checked_shl(choice.index.unwrap_or_default()).unwrap_or(0);
        self.begun |= bit;
        if choice.finish_reason.is_some_and(|reason| reason.get() != "\"\"") {
            self.finished |= bit;
        }
    }

    fn are_finished(&self) -> bool {
        self.begun != 0 && self.begun & !self.finished == 0
    }

    /// Those that have begun and not finished; the first, if none has begun.
    fn open(&self) -> impl Iterator<Item = u32> + use<> {
        passing::open(self.begun, self.finished)
    }
}

/// Whether a delta holds more than a role, padding and empty values.
fn has_output(delta: &RawValue) -> bool {
    let Ok(members) = serde_json::from_str::<HashMap<&str, &RawValue>>(delta.get()) else { return true };
    let empty = |value: &RawValue| matches!(value.get(), "null" | "\"\"" | "[]" | "{}");
    members.iter().any(|(name, value)| !matches!(*name, "role" | "obfuscation" | "p") && !empty(value))
}

#[cfg(test)]
mod tests;
