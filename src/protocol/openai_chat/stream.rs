//! A chat stream on its way from an OpenAI-compatible upstream to an OpenAI client.
//!
//! Every event passes byte for byte but for the model name. What is watched: usage, whether any output came, and how
//! the stream ends, so that an upstream that breaks off never looks like a clean end.
//! Wire format: `data: {chunk}` events, `choices[].delta`, `finish_reason`, a usage chunk with `choices: []` just
//! before `data: [DONE]`.

use std::{collections::HashMap, sync::Arc};

use bytes::{BufMut, Bytes, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::error;
use crate::{
    chat::usage::Usage,
    protocol::{
        span_in,
        sse::{self, Splitter},
    },
};

const DONE: &[u8] = b"data: [DONE]\n\n";

/// The machine of one stream.
#[derive(Debug)]
pub struct Stream {
    splitter: Splitter,
    edit: Edit,
}

/// What is known of the stream so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Some text, call or other output has been passed on: the call is no longer free.
    pub output: bool,
    /// A finish reason came for every choice that began.
    pub finished: bool,
    /// `[DONE]` came.
    pub done: bool,
    /// An error event came.
    pub error: bool,
    /// The last usage report.
    pub usage: Option<Usage>,
}

/// How a stream came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With its terminator, or with a finish reason.
    Complete,
    /// In the middle of an answer, or with an error event.
    Broken,
}

#[derive(Debug)]
struct Edit {
    /// The public model name as a JSON string.
    model: Bytes,
    /// The usage chunk was asked for by us, not by the client.
    hide_usage: bool,
    /// What the provider's own errors must not tell: its key and the like, the longest first.
    secrets: Option<Arc<[Box<str>]>>,
    choices: Choices,
    seen: Seen,
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
    /// `secrets`, the longest first, are taken out of error events.
    pub fn new(model: Bytes, hide_usage: bool, secrets: Option<Arc<[Box<str>]>>) -> Self {
        let (choices, seen) = (Choices::default(), Seen::default());
        Self { splitter: Splitter::default(), edit: Edit { model, hide_usage, secrets, choices, seen } }
    }

    /// What is known so far.
    pub fn seen(&self) -> Seen {
        self.edit.seen
    }

    /// Bytes held while the end of an event is awaited.
    pub fn held(&self) -> usize {
        self.splitter.held()
    }

    /// Takes the next piece from the upstream; gives what goes to the client, perhaps nothing yet.
    ///
    /// # Errors
    /// [`sse::TooLarge`] when an event has no end.
    pub fn push(&mut self, piece: Bytes) -> Result<Bytes, sse::TooLarge> {
        let mut out = BytesMut::with_capacity(piece.len() + piece.len() / 8 + 64);
        let edit = &mut self.edit;
        self.splitter.push(piece, |event| edit.event(&event, &mut out))?;
        Ok(out.freeze())
    }

    /// The upstream ended its body properly.
    pub fn finish(&mut self) -> (Bytes, Ending) {
        let mut out = BytesMut::new();
        let rest = self.splitter.rest();
        if is_whole(&rest) {
            self.edit.event(&[&rest, b"\n\n".as_slice()].concat(), &mut out);
        }
        let (end, ending) = self.end("the provider ended the stream before the answer was complete", 502);
        out.put(end);
        (out.freeze(), ending)
    }

    /// The upstream broke off or fell silent: the last words to the client.
    pub fn fail(&mut self, message: &str, status: u16) -> (Bytes, Ending) {
        self.end(message, status)
    }

    fn end(&mut self, message: &str, status: u16) -> (Bytes, Ending) {
        match self.edit.seen {
            Seen { error: true, .. } => (Bytes::new(), Ending::Broken),
            Seen { done: true, .. } => (Bytes::new(), Ending::Complete),
            Seen { finished: true, .. } => (Bytes::from_static(DONE), Ending::Complete),
            _ => (error::event(status, message), Ending::Broken),
        }
    }
}

impl Edit {
    /// One whole event: passed on, edited, or taken out.
    fn event(&mut self, event: &[u8], out: &mut BytesMut) {
        // Behind the terminator comes nothing that a client would read.
        if self.seen.done {
            return;
        }
        let Some(data) = sse::data(event) else {
            // A comment, or a field of the protocol's own.
            let clean = self.scrubbed(event);
            return out.put_slice(clean.as_deref().map_or(event, str::as_bytes));
        };
        if data.trim_ascii() == b"[DONE]" {
            self.seen.done = true;
            // After an error there is no clean end, whatever the upstream says.
            if !self.seen.error {
                out.put_slice(event);
            }
            return;
        }
        let chunk = serde_json::from_slice::<Chunk<'_>>(&data).ok();
        // What is no piece of an answer is an error in one shape or another, and may tell a secret.
        if chunk.as_ref().is_none_or(|chunk| chunk.error.is_some() || chunk.choices.is_none())
            && let Some(clean) = self.scrubbed(event)
        {
            return self.event(clean.as_bytes(), out);
        }
        let Some(chunk) = chunk else {
            self.seen.output = true;
            return out.put_slice(event);
        };
        self.watch(&chunk);
        if self.hide_usage
            && chunk.usage.is_some()
            && chunk.choices.as_ref().is_some_and(|choices| choices.is_empty())
        {
            return;
        }
        match chunk.model.filter(|model| model.get().starts_with('"')) {
            Some(model) => self.rename(event, &data, model, out),
            None => out.put_slice(event),
        }
    }

    fn rename(&self, event: &[u8], data: &[u8], model: &RawValue, out: &mut BytesMut) {
        if let Some(span) = span_in(event, model.get()) {
            out.put_slice(&event[..span.start]);
            out.put_slice(&self.model);
            out.put_slice(&event[span.end..]);
        } else if let Some(span) = span_in(data, model.get()) {
            // The JSON was spread over several data lines: it goes out on one, line ends within it being white space.
            let line =
                |part: &[u8]| part.iter().map(|b| if *b == b'\n' { b' ' } else { *b }).collect::<Vec<_>>();
            out.put_slice(b"data: ");
            out.put_slice(&line(&data[..span.start]));
            out.put_slice(&self.model);
            out.put_slice(&line(&data[span.end..]));
            out.put_slice(b"\n\n");
        }
    }

    fn watch(&mut self, chunk: &Chunk<'_>) {
        self.seen.usage = chunk.usage.map(Usage::read).or(self.seen.usage);
        self.seen.error |= chunk.error.is_some();
        for choice in chunk.choices.iter().flatten() {
            self.choices.saw(choice);
            self.seen.output = self.seen.output || choice.delta.is_some_and(has_output);
        }
        self.seen.finished = self.choices.are_finished();
    }

    /// The event without the secrets, if it holds any.
    fn scrubbed(&self, event: &[u8]) -> Option<String> {
        let secrets = self.secrets.as_deref()?;
        let told = |secret: &str| memchr::memmem::find(event, secret.as_bytes()).is_some();
        secrets.iter().any(|secret| told(secret)).then(|| {
            let text = String::from_utf8_lossy(event).into_owned();
            secrets.iter().fold(text, |text, secret| text.replace(&**secret, "…"))
        })
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
}

/// Whether a delta holds more than a role, padding and empty values.
fn has_output(delta: &RawValue) -> bool {
    let Ok(members) = serde_json::from_str::<HashMap<&str, &RawValue>>(delta.get()) else { return true };
    let empty = |value: &RawValue| matches!(value.get(), "null" | "\"\"" | "[]" | "{}");
    members.iter().any(|(name, value)| !matches!(*name, "role" | "obfuscation" | "p") && !empty(value))
}

/// Whether bytes without a blank line behind them are an event all the same: `[DONE]`, or whole JSON.
fn is_whole(rest: &[u8]) -> bool {
    sse::data(rest).is_some_and(|data| {
        data.trim_ascii() == b"[DONE]" || serde_json::from_slice::<serde::de::IgnoredAny>(&data).is_ok()
    })
}

#[cfg(test)]
mod tests;
