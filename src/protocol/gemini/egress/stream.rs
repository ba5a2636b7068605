//! Reads the stream of a provider that speaks Google's generateContent.
//!
//! Every event is a whole answer that goes on where the one before ended; all parts of it count. The usage is cumulative,
//! and the last report stands. Nothing but the reasons for ending tells the end.

use smallvec::SmallVec;

use super::{
    part::{Answer, Candidate, Data, Part, made_id},
    said, stop, text,
};
use crate::{
    chat::{
        content::Media,
        response::{Delta, Event, Stop},
    },
    protocol::{
        gemini::{error, logprobs, usage},
        translate::{self, Frame, Unreadable},
    },
};

/// The machine of one stream.
#[derive(Debug)]
pub struct Decoder {
    unique: String,
    started: bool,
    choices: SmallVec<[Progress; 1]>,
}

/// How far a choice is.
#[derive(Debug)]
struct Progress {
    index: u32,
    /// Calls that began.
    calls: u32,
    finished: bool,
}

/// The most choices of an answer.
const MOST_CHOICES: usize = 128;

impl Decoder {
    /// A stream; `unique` is what ids are made of where a call has none.
    pub fn new(unique: &str) -> Self {
        Self { unique: unique.to_owned(), started: false, choices: SmallVec::new() }
    }

    fn candidate(
        &mut self,
        index: u32,
        candidate: &Candidate<'_>,
        each: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Unreadable> {
        let at = match self.choices.iter().position(|choice| choice.index == index) {
            Some(at) => at,
            None if self.choices.len() == MOST_CHOICES => {
                return Err(Unreadable(format!("the answer has more than {MOST_CHOICES} candidates")));
            }
            None => {
                self.choices.push(Progress { index, calls: 0, finished: false });
                self.choices.len() - 1
            }
        };
        let (choice, unique) = (&mut self.choices[at], &self.unique);
        if choice.finished {
            return Ok(());
        }
        candidate.parts(|part| choice.part(part, unique, each));
        if let Some(json) = candidate.logprobs_result.and_then(logprobs::read) {
            each(Event::Delta { choice: index, delta: Delta::Logprobs(json) });
        }
        if let Some(reason) = said(candidate.finish_reason) {
            choice.finished = true;
            let stop = stop(&reason).with_calls(choice.calls > 0);
            each(Event::Finish { choice: index, stop, stop_sequence: None });
        }
        Ok(())
    }

    /// A prompt that was refused is an answer without anything in it.
    fn blocked(&mut self, each: &mut dyn FnMut(Event<'_>)) {
        if self.choices.is_empty() {
            self.choices.push(Progress { index: 0, calls: 0, finished: true });
            each(Event::Finish { choice: 0, stop: Stop::Filter, stop_sequence: None });
        }
    }
}

impl Progress {
    fn part(&mut self, part: Part<'_>, unique: &str, each: &mut dyn FnMut(Event<'_>)) {
        let choice = self.index;
        let Part { data, mut signature } = part;
        let mut give = |delta| each(Event::Delta { choice, delta });
        match data {
            Data::Text(text) if !text.is_empty() => give(Delta::Text(text)),
            Data::Thought(text) if !text.is_empty() => give(Delta::Reasoning(text)),
            Data::Call { id, name, args } => {
                let index = self.calls;
                self.calls = self.calls.saturating_add(1);
                let id = id.unwrap_or_else(|| made_id(unique, choice, index).into());
                give(Delta::Call { index, id, name, custom: false, signature: signature.take() });
                give(Delta::Input { index, text: args });
            }
            Data::Image { mime, base64 } => give(Delta::Image(Media::Data { mime, base64 })),
            Data::Text(_) | Data::Thought(_) => {}
        }
        if let Some(signature) = signature {
            give(Delta::Signature(signature));
        }
    }
}

impl translate::Decoder for Decoder {
    fn push(&mut self, frame: Frame<'_>, each: &mut dyn FnMut(Event<'_>)) -> Result<(), Unreadable> {
        if frame.data.trim_ascii().is_empty() {
            return Ok(());
        }
        let answer: Answer<'_> = serde_json::from_slice(frame.data)
            .map_err(|error| Unreadable::not("event of Google's", &error))?;
        if answer.error.is_some() {
            each(Event::Error(error::read(502, frame.data)));
            return Ok(());
        }
        if !self.started {
            self.started = true;
            let id = text(answer.response_id).unwrap_or_default();
            each(Event::Start { id, created: None, model: text(answer.model_version) });
        }
        // Before the reason for ending, so that who writes it has the usage with it.
        if let Some(usage) = answer.usage_metadata {
            each(Event::Usage(usage::read(usage)));
        }
        for (index, candidate) in answer.candidates() {
            self.candidate(index, &candidate, each)?;
        }
        if answer.is_blocked() {
            self.blocked(each);
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut dyn FnMut(Event<'_>)) -> bool {
        !self.choices.is_empty() && self.choices.iter().all(|choice| choice.finished)
    }
}

#[cfg(test)]
mod tests;
