//! Writes an answer as the stream that a client of Google's expects.
//!
//! Every chunk is a whole answer, with the usage as far as it is known. A call is one part, so its pieces are gathered, and
//! what comes behind it waits; the reason why an answer ends stands in the last chunk. Chunks are events, or the elements
//! of one array. Sizes are bytes.

use self::waiting::{TooMuch, Waiting};
use super::response::{Answer, Candidate, field, finish_reason, image, is_cut, is_shown, signature};
use crate::{
    chat::{
        fault::FaultKind,
        json::Json,
        request::Expected,
        response::{Delta, Event, Stop},
        usage::Usage,
    },
    protocol::{
        gemini::{
            error, logprobs,
            usage::Shown,
            wire::{Content, Part},
        },
        translate::{self, Asked},
    },
};

mod waiting;

/// How the chunks of a stream are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events: the client asked for `alt=sse`.
    Sse,
    /// The elements of a JSON array.
    Array,
}

/// The machine of one stream.
#[derive(Debug)]
pub struct Encoder {
    id: String,
    model: String,
    /// Whether thinking is shown, or only its signature.
    shown: bool,
    framing: Framing,
    /// Whether any chunk was written.
    begun: bool,
    over: bool,
    choices: Vec<Progress>,
    usage: Option<Usage>,
}

/// How far a choice is.
#[derive(Debug)]
struct Progress {
    choice: u32,
    waiting: Waiting,
    stop: Option<Stop>,
    refused: bool,
    called: bool,
}

/// The most choices of an answer.
const MOST_CHOICES: usize = 128;

impl Encoder {
    /// A stream, as its request expects it.
    pub fn new(expected: Expected, asked: &Asked<'_>, framing: Framing) -> Self {
        Self {
            id: asked.unique.to_owned(),
            model: asked.model.to_owned(),
            shown: is_shown(expected),
            framing,
            begun: false,
            over: false,
            choices: Vec::new(),
            usage: None,
        }
    }

    /// Where a choice stands among those that began; `None` beyond the most there can be.
    fn choice(&mut self, choice: u32) -> Option<usize> {
        if let Some(at) = self.choices.iter().position(|known| known.choice == choice) {
            return Some(at);
        }
        let at = self.choices.len();
        let new = Progress { choice, waiting: Waiting::default(), stop: None, refused: false, called: false };
        (at < MOST_CHOICES).then(|| self.choices.push(new))?;
        Some(at)
    }

    /// A piece of an answer, now or once the calls before it are complete.
    fn delta(&mut self, choice: u32, delta: Delta<'_>, out: &mut Vec<u8>) {
        let Some(at) = self.choice(choice) else { return };
        let progress = &mut self.choices[at];
        progress.refused |= matches!(delta, Delta::Refusal(_));
        progress.called |= matches!(delta, Delta::Call { .. });
        let waits = !progress.waiting.is_empty() || matches!(delta, Delta::Call { .. });
        if !waits {
            return self.write(choice, delta, out);
        }
        match progress.waiting.hold(delta) {
            Ok(()) => self.release(at, false, out),
            Err(TooMuch) => self.fault(FaultKind::Other, 502, "the provider's tool calls are too long", out),
        }
    }

    /// Writes what waits, until a call of it is incomplete; with `all`, to the end.
    fn release(&mut self, at: usize, all: bool, out: &mut Vec<u8>) {
        let choice = self.choices[at].choice;
        while let Some(block) = self.choices[at].waiting.next(all) {
            match block {
                waiting::Block::Call { call, .. }
                    if is_cut(&call, self.choices[at].stop.unwrap_or_default()) => {}
                waiting::Block::Call { call, .. } => {
                    let signed = field(call.signature.as_ref());
                    self.part(choice, Part::call(&call).signed(signed), out);
                }
                waiting::Block::Other(delta) => self.write(choice, delta, out),
            }
        }
    }

    /// A piece that is no part of a call.
    fn write(&mut self, choice: u32, delta: Delta<'_>, out: &mut Vec<u8>) {
        match delta {
            Delta::Text(text) | Delta::Refusal(text) => self.part(choice, Part::text(text), out),
            Delta::Reasoning(text) if self.shown => self.part(choice, Part::thought(text, None), out),
            Delta::Signature(signed) => self.part(choice, signature(&signed, false), out),
            Delta::Redacted(signed) => self.part(choice, signature(&signed, true), out),
            Delta::Image(media) => self.part(choice, image(&media), out),
            Delta::Logprobs(json) => self.logprobs(choice, &json, out),
            Delta::Reasoning(_) | Delta::Call { .. } | Delta::Input { .. } => {}
        }
    }

    fn part(&mut self, index: u32, part: Part<'_>, out: &mut Vec<u8>) {
        let content = Content { parts: vec![part], role: Some("model") };
        self.chunk(vec![Candidate { content, finish_reason: None, index, logprobs_result: None }], out);
    }

    /// Log probabilities, beside an empty text: the one that they are of is written, or comes.
    fn logprobs(&mut self, index: u32, json: &Json<'_>, out: &mut Vec<u8>) {
        let Some(result) = logprobs::write(json) else { return };
        let content = Content { parts: vec![Part::text("")], role: Some("model") };
        let logprobs_result = Some(result);
        self.chunk(vec![Candidate { content, finish_reason: None, index, logprobs_result }], out);
    }

    fn chunk(&mut self, candidates: Vec<Candidate<'_>>, out: &mut Vec<u8>) {
        let answer = Answer {
            candidates,
            usage_metadata: self.usage.map(Shown::new),
            model_version: &self.model,
            response_id: &self.id,
        };
        frame(self.framing, self.begun, out, |out| {
            // Strings, numbers and JSON that was read before always serialise, and a buffer takes every byte.
            let _ = serde_json::to_writer(out, &answer);
        });
        self.begun = true;
    }

    fn fault(&mut self, kind: FaultKind, status: u16, message: &str, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.over, true) {
            let error = error::body(kind, status, message, None, None);
            frame(self.framing, self.begun, out, |out| out.extend_from_slice(&error));
            self.end(out);
        }
    }

    fn end(&self, out: &mut Vec<u8>) {
        if self.framing == Framing::Array {
            out.extend_from_slice(b"]");
        }
    }
}

impl translate::Encoder for Encoder {
    fn push(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        match event {
            Event::Delta { choice, delta } => self.delta(choice, delta, out),
            Event::Finish { choice, stop, .. } => {
                if let Some(at) = self.choice(choice) {
                    self.choices[at].stop = Some(stop);
                    self.release(at, true, out);
                }
            }
            Event::Usage(usage) => self.usage.get_or_insert_default().update(usage),
            Event::Error(fault) => self.fault(fault.kind, fault.kind.status(), &fault.message, out),
            Event::Start { .. } => {}
        }
    }

    /// The last chunk: why each answer ends, and what it all cost.
    fn held(&self) -> usize {
        self.choices.iter().map(|choice| choice.waiting.held()).sum()
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        let _ = self.choices.is_empty().then(|| self.choice(0));
        (0..self.choices.len()).for_each(|at| self.release(at, true, out));
        let last = self.choices.iter().map(|progress| Candidate {
            content: Content { parts: vec![Part::text("")], role: Some("model") },
            finish_reason: Some(finish_reason(progress.reason())),
            index: progress.choice,
            logprobs_result: None,
        });
        let last = last.collect();
        self.chunk(last, out);
        self.over = true;
        self.end(out);
    }

    fn fail(&mut self, status: u16, message: &str, out: &mut Vec<u8>) {
        self.fault(FaultKind::of_status(status), status, message, out);
    }
}

impl Progress {
    fn reason(&self) -> Stop {
        if self.refused { Stop::Filter } else { self.stop.unwrap_or_default().with_calls(self.called) }
    }
}

/// One chunk in its framing; `behind` another.
fn frame(framing: Framing, behind: bool, out: &mut Vec<u8>, json: impl FnOnce(&mut Vec<u8>)) {
    let (before, after): (&[u8], &[u8]) = match framing {
        Framing::Sse => (b"data: ", b"\r\n\r\n"),
        Framing::Array if behind => (b",\r\n", b""),
        Framing::Array => (b"[", b""),
    };
    out.extend_from_slice(before);
    json(out);
    out.extend_from_slice(after);
}

#[cfg(test)]
mod tests;
