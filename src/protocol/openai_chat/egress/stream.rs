//! Reads a provider's stream: chunks of `data:`, ended by `[DONE]` or by nothing.
//!
//! Providers differ in what they leave out: the index and the type of a call, its id, the first chunk with a role, the
//! terminator. What is not there is made up for. Held back is a call without its name, [`MOST_HELD`] bytes of it.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use smallvec::SmallVec;

use self::calls::Calls;
use super::{
    answer::{Piece, Said, filled, stop, string},
    details::Details,
};
use crate::{
    chat::{
        json::Json,
        response::{Delta, Event, Stop},
        usage::Usage,
    },
    protocol::{
        openai_chat::{error, usage},
        translate::{self, Frame, Unreadable},
    },
};

mod calls;

/// Choices an answer may have; OpenAI's own limit.
const MOST_CHOICES: u32 = 128;
/// Bytes of input that wait for the names of a choice's calls.
const MOST_HELD: usize = 64 << 10;

/// The machine of one stream.
#[derive(Debug)]
pub struct Decoder {
    unique: String,
    started: bool,
    /// `[DONE]` came.
    done: bool,
    failed: bool,
    usage: Usage,
    /// By index.
    choices: Vec<ChoiceState>,
}

/// What is known of a choice.
#[derive(Debug, Default)]
struct ChoiceState {
    begun: bool,
    finished: bool,
    refused: bool,
    /// Of the reasoning that goes on.
    details: Details,
    calls: Calls,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    created: Option<&'a RawValue>,
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    choices: Option<SmallVec<[ChunkChoice<'a>; 1]>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    x_groq: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ChunkChoice<'a> {
    index: Option<u32>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    logprobs: Option<&'a RawValue>,
}

impl Decoder {
    /// A stream whose calls, where they have no id, get one made of `unique`.
    pub fn new(unique: &str) -> Self {
        Self {
            unique: unique.to_owned(),
            started: false,
            done: false,
            failed: false,
            usage: Usage::default(),
            choices: Vec::new(),
        }
    }

    fn fail(&mut self, data: &[u8], each: &mut dyn FnMut(Event<'_>)) {
        self.failed = true;
        each(Event::Error(error::in_stream(&String::from_utf8_lossy(data))));
    }

    fn chunk(&mut self, chunk: &Chunk<'_>, each: &mut dyn FnMut(Event<'_>)) -> Result<(), Unreadable> {
        let choices = chunk.choices.iter().flatten();
        // Azure sends a chunk without choices, id and model before the answer.
        if !self.started && (choices.clone().next().is_some() || chunk.usage.is_some()) {
            self.started = true;
            each(Event::Start {
                id: string(chunk.id).unwrap_or_default(),
                created: chunk.created.and_then(|seconds| serde_json::from_str(seconds.get()).ok()),
                model: filled(chunk.model),
            });
        }
        for choice in choices {
            self.choice(choice, each)?;
        }
        if let Some(report) = chunk.usage.or_else(|| groq_usage(chunk.x_groq?)) {
            self.usage.update(usage::read(report));
            each(Event::Usage(self.usage));
        }
        Ok(())
    }

    fn choice(
        &mut self,
        choice: &ChunkChoice<'_>,
        each: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Unreadable> {
        let index = choice.index.unwrap_or_default();
        if index >= MOST_CHOICES {
            return Err(Unreadable(format!("it has a choice number {index}")));
        }
        let at = index as usize;
        if self.choices.len() <= at {
            self.choices.resize_with(at + 1, ChoiceState::default);
        }
        let state = &mut self.choices[at];
        state.begun = true;
        if state.finished {
            return Ok(());
        }
        let mut put = |delta: Delta<'_>| each(Event::Delta { choice: index, delta });
        if let Some(delta) = choice.delta {
            state.delta(index, delta, &self.unique, &mut put)?;
        }
        if let Some(logprobs) = choice.logprobs.filter(|logprobs| logprobs.get().starts_with('{')) {
            put(Delta::Logprobs(Json::borrowed(logprobs)));
        }
        if let Some(stop) = stop(choice.finish_reason) {
            state.finish(index, stop, each);
        }
        Ok(())
    }

    /// `[DONE]` came: whatever is still open is complete.
    fn terminate(&mut self, each: &mut dyn FnMut(Event<'_>)) {
        self.done = true;
        if !self.started {
            self.started = true;
            each(Event::Start { id: Cow::Borrowed(""), created: None, model: None });
        }
        if self.choices.is_empty() {
            self.choices.push(ChoiceState { begun: true, ..ChoiceState::default() });
        }
        for (index, state) in (0..).zip(&mut self.choices) {
            if state.begun && !state.finished {
                state.finish(index, Stop::End, each);
            }
        }
    }
}

impl ChoiceState {
    fn delta(
        &mut self,
        choice: u32,
        delta: &RawValue,
        unique: &str,
        put: &mut dyn FnMut(Delta<'_>),
    ) -> Result<(), Unreadable> {
        let said = Said::read(delta);
        said.reasoning_details.into_iter().for_each(|list| self.details.add(list));
        said.pieces(&mut |piece| {
            if !matches!(piece, Piece::Reasoning(_)) {
                self.thought(put);
            }
            match piece {
                Piece::Text(text) => put(Delta::Text(text)),
                Piece::Reasoning(text) => put(Delta::Reasoning(text)),
                Piece::Refusal(text) => {
                    self.refused = true;
                    put(Delta::Refusal(text));
                }
                Piece::Image(media) => put(Delta::Image(media)),
            }
        });
        if let Some(signature) = said.signature() {
            put(Delta::Signature(signature));
        }
        let mut result = Ok(());
        said.calls(&mut |called| {
            self.thought(put);
            if result.is_ok() {
                result = self.calls.push(called, |number| format!("call_{unique}_{choice}_{number}"), put);
            }
        });
        result
    }

    /// The reasoning before what comes now is over: what the provider wants back of it is its signature.
    fn thought(&mut self, put: &mut dyn FnMut(Delta<'_>)) {
        if let Some(signature) = self.details.take() {
            put(Delta::Signature(signature));
        }
    }

    fn finish(&mut self, choice: u32, stop: Stop, each: &mut dyn FnMut(Event<'_>)) {
        self.finished = true;
        self.thought(&mut |delta| each(Event::Delta { choice, delta }));
        self.calls.finish(&mut |delta| each(Event::Delta { choice, delta }));
        let stop = match stop.with_calls(self.calls.any()) {
            Stop::End if self.refused => Stop::Filter,
            stop => stop,
        };
        each(Event::Finish { choice, stop, stop_sequence: None });
    }
}

impl translate::Decoder for Decoder {
    fn push(&mut self, frame: Frame<'_>, each: &mut dyn FnMut(Event<'_>)) -> Result<(), Unreadable> {
        let data = frame.data.trim_ascii();
        if self.done || self.failed || data.is_empty() {
            return Ok(());
        }
        if data == b"[DONE]" {
            self.terminate(each);
            return Ok(());
        }
        if frame.name == Some("error") {
            self.fail(data, each);
            return Ok(());
        }
        let chunk: Chunk<'_> = serde_json::from_slice(data)
            .map_err(|_| Unreadable("an event of its stream is no chat completion chunk".to_owned()))?;
        if chunk.error.is_some() || string(chunk.object).as_deref() == Some("error") {
            self.fail(data, each);
            return Ok(());
        }
        self.chunk(&chunk, each)
    }

    fn is_over(&self) -> bool {
        self.done
    }

    fn held(&self) -> usize {
        self.choices.iter().map(|choice| choice.calls.held()).sum()
    }

    fn finish(&mut self, _: &mut dyn FnMut(Event<'_>)) -> bool {
        let mut begun = self.choices.iter().filter(|state| state.begun).peekable();
        let finished = begun.peek().is_some() && begun.all(|state| state.finished);
        !self.failed && (self.done || finished)
    }
}

fn groq_usage(raw: &RawValue) -> Option<&RawValue> {
    #[derive(Deserialize)]
    struct Groq<'a> {
        #[serde(borrow)]
        usage: Option<&'a RawValue>,
    }
    serde_json::from_str::<Groq<'_>>(raw.get()).ok()?.usage
}

#[cfg(test)]
mod tests;
