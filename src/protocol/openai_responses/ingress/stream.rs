//! Writes an answer as the stream that a client of Responses expects.
//!
//! `response.created`, `response.in_progress`, then items one behind another (`response.output_item.added`, what belongs to
//! its kind, `response.output_item.done`), then `response.completed` or `response.incomplete` with the whole answer and its
//! usage. Every event has a line `event:` equal to its type, and a number. Items are never interleaved: what belongs behind
//! an open call waits until the call's JSON is complete. Since the last event repeats the answer, all of it is kept:
//! bounded. Sizes are bytes.

use serde::Serialize;
use serde_json::value::RawValue;

use self::open::{Body, Open};
use super::{
    item::{Answer, End, Item},
    names::Names,
    repeated::Repeated,
};
use crate::{
    chat::{
        content::Media,
        fault::FaultKind,
        response::{Delta, Event, Stop},
        signature::{Maker, Signature},
        usage::Usage,
    },
    protocol::{
        json::compact,
        media,
        openai_responses::error,
        translate::{
            self, Asked,
            order::{Order, TooMuch},
        },
    },
};

mod open;

/// The machine of one stream.
#[derive(Debug)]
pub struct Encoder {
    unique: String,
    id: String,
    model: String,
    created: u64,
    repeated: Repeated,
    names: Names,
    phase: Phase,
    order: Order,
    lines: Lines,
    /// The item that is open.
    open: Option<Open>,
    /// The index of the next item.
    next: u32,
    /// The items that are done, as JSON, with commas between them.
    done: String,
    /// What is kept of the answer, about.
    kept: usize,
    stop: Option<Stop>,
    refused: bool,
    called: bool,
    usage: Option<Usage>,
}

/// How far the stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// `response.created` is not written.
    Silent,
    /// It is.
    Started,
    /// The last event is written, or an error.
    Over,
}

/// The events that were written.
#[derive(Debug, Default)]
struct Lines {
    /// The number of the next.
    next: u64,
}

#[derive(Serialize)]
struct Line<'a, F> {
    #[serde(rename = "type")]
    kind: &'a str,
    sequence_number: u64,
    #[serde(flatten)]
    fields: F,
}

/// What an event about the answer holds.
#[derive(Serialize)]
struct About<R> {
    response: R,
}

/// What an event about an item holds.
#[derive(Serialize)]
struct AboutItem<I> {
    output_index: u32,
    item: I,
}

/// The most that is kept of an answer, its text and its items together: ten times the longest text that any model gives, or
/// two of the largest images.
const MOST: usize = 32 << 20;

impl Encoder {
    /// A stream that answers this request.
    pub fn new(asked: &Asked<'_>) -> Self {
        let repeated = Repeated::of(asked.body);
        Self {
            unique: asked.unique.to_owned(),
            id: format!("resp_{}", asked.unique),
            model: asked.model.to_owned(),
            created: asked.now,
            names: repeated.names(),
            repeated,
            phase: Phase::Silent,
            order: Order::default(),
            lines: Lines::default(),
            open: None,
            next: 0,
            done: String::new(),
            kept: 0,
            stop: None,
            refused: false,
            called: false,
            usage: None,
        }
    }

    /// A piece of the answer, now or once the open call is complete.
    fn delta(&mut self, delta: Delta<'_>, out: &mut Vec<u8>) {
        self.start(out);
        let mut order = std::mem::take(&mut self.order);
        let pushed = order.push(delta, &mut |delta| self.write(delta, out));
        self.order = order;
        if let Err(TooMuch) = pushed {
            self.fault(FaultKind::Other, "the provider's tool calls cannot be put in order", out);
        }
        if self.kept > MOST {
            self.fault(FaultKind::Other, "the provider's answer has no end", out);
        }
    }

    /// Writes what waits, and closes what is open.
    fn complete(&mut self, out: &mut Vec<u8>) {
        let mut order = std::mem::take(&mut self.order);
        order.finish(&mut |delta| self.write(delta, out));
        self.close(out);
    }

    fn write(&mut self, delta: Delta<'_>, out: &mut Vec<u8>) {
        match delta {
            Delta::Text(text) => {
                self.be(|body| matches!(body, Body::Text { .. }), Body::text, out);
                self.add(&text, out);
            }
            Delta::Refusal(text) => {
                self.refused = true;
                self.be(|body| matches!(body, Body::Refusal(_)), || Body::Refusal(String::new()), out);
                self.add(&text, out);
            }
            Delta::Reasoning(text) => {
                self.think(out);
                self.add(&text, out);
            }
            Delta::Signature(signature) => self.sign(&signature, false, out),
            Delta::Redacted(signature) => self.sign(&signature, true, out),
            Delta::Call { id, name, custom, signature, .. } => {
                if let Some(signature) = signature {
                    self.close(out);
                    self.sign(&signature, true, out);
                }
                self.called = true;
                let body = Body::call(&id, &name, custom, self.names.of(&name));
                self.open(body, out);
            }
            Delta::Input { text, .. } => self.add(&text, out),
            // Kept once it is done: by its item.
            Delta::Image(Media::Data { base64, .. }) => {
                self.open(Body::Image(base64.into_owned()), out);
                self.close(out);
            }
            Delta::Image(media) => self.write(Delta::Text(media::markdown(&media).into()), out),
            Delta::Logprobs(json) => {
                self.kept += json.text().len();
                if let Some(open) = &mut self.open {
                    // An event has one line.
                    open.logprobs(&compact(json.text()), &mut self.lines, out);
                }
            }
        }
    }

    /// Opens an item unless one of its kind is open.
    fn be(&mut self, is: impl Fn(&Body) -> bool, body: impl Fn() -> Body, out: &mut Vec<u8>) {
        if !self.open.as_ref().is_some_and(|open| is(&open.body)) {
            self.open(body(), out);
        }
    }

    fn think(&mut self, out: &mut Vec<u8>) {
        self.be(|body| matches!(body, Body::Reasoning { .. }), Body::reasoning, out);
    }

    /// More of the open item.
    fn add(&mut self, text: &str, out: &mut Vec<u8>) {
        self.kept += text.len();
        if let Some(open) = &mut self.open {
            open.add(text, &mut self.lines, out);
        }
    }

    /// A signature, behind which nothing of its reasoning comes. `alone`: it belongs to no reasoning that is shown, unless
    /// it is OpenAI's, which encrypts what it shows a summary of.
    fn sign(&mut self, signature: &Signature<'_>, alone: bool, out: &mut Vec<u8>) {
        let of_shown = matches!(self.open, Some(Open { body: Body::Reasoning { .. }, .. }));
        let apart = match signature.maker {
            Maker::OpenAi => false,
            // Google signs calls and texts, too.
            Maker::Google => alone || !of_shown,
            Maker::Anthropic | Maker::Bedrock | Maker::Details => alone,
        };
        if apart {
            self.close(out);
        }
        self.think(out);
        self.kept += signature.value.len();
        let redacted = apart || signature.maker == Maker::OpenAi;
        if let Some(open) = &mut self.open {
            if !redacted {
                open.show(&mut self.lines, out);
            }
            open.sign(signature.marked(Maker::OpenAi).into_owned());
        }
        self.close(out);
    }

    /// The first events, if they are not written yet.
    fn start(&mut self, out: &mut Vec<u8>) {
        if self.phase != Phase::Silent {
            return;
        }
        self.phase = Phase::Started;
        let mut lines = std::mem::take(&mut self.lines);
        for kind in ["response.created", "response.in_progress"] {
            lines.line(kind, About { response: self.answer(End::Open, [(); 0]) }, out);
        }
        self.lines = lines;
    }

    fn answer<O>(&self, end: End, output: O) -> Answer<'_, O> {
        let answer = Answer::new(&self.id, &self.model, end, output, &self.repeated);
        Answer { created_at: self.created, ..answer }
    }

    fn open(&mut self, body: Body, out: &mut Vec<u8>) {
        self.close(out);
        let open = Open::new(body, &self.unique, self.next);
        self.next += 1;
        let (output_index, item) = (open.index, open.item("in_progress"));
        self.lines.line("response.output_item.added", AboutItem { output_index, item }, out);
        open.begin(&mut self.lines, out);
        self.open = Some(open);
    }

    /// Closes the open item. It is the last one if the answer has ended, and cut off if that was.
    fn close(&mut self, out: &mut Vec<u8>) {
        let Some(mut open) = self.open.take() else { return };
        let status = self.stop.map_or(End::Completed, |stop| End::of(stop, self.refused)).of_item();
        open.end(&mut self.lines, out);
        self.keep(&open.item(status));
        let output_index = open.index;
        self.lines.line(
            "response.output_item.done",
            AboutItem { output_index, item: open.item(status) },
            out,
        );
    }

    /// Keeps an item for the last event.
    fn keep(&mut self, item: &Item<'_>) {
        // Strings always serialise.
        let json = serde_json::to_string(item).unwrap_or_default();
        if !self.done.is_empty() {
            self.done.push(',');
        }
        self.done.push_str(&json);
        self.kept += json.len();
    }

    fn fault(&mut self, kind: FaultKind, message: &str, out: &mut Vec<u8>) {
        if self.phase != Phase::Over {
            self.phase = Phase::Over;
            out.extend_from_slice(&error::event(self.lines.next, kind, message));
        }
    }
}

impl translate::Encoder for Encoder {
    fn push(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        if self.phase == Phase::Over {
            return;
        }
        match event {
            Event::Start { created, .. } => {
                if self.phase == Phase::Silent {
                    self.created = created.unwrap_or(self.created);
                }
                self.start(out);
            }
            Event::Delta { choice: 0, delta } => self.delta(delta, out),
            Event::Finish { choice: 0, stop, .. } => {
                self.start(out);
                self.stop = Some(stop);
                self.complete(out);
            }
            Event::Usage(usage) => self.usage.get_or_insert_default().update(usage),
            // An error is told by `fail`.
            Event::Error(_) | Event::Delta { .. } | Event::Finish { .. } => {}
        }
    }

    fn held(&self) -> usize {
        self.order.held() + self.kept
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        if self.phase == Phase::Over {
            return;
        }
        self.start(out);
        self.complete(out);
        self.phase = Phase::Over;
        let stop = self.stop.unwrap_or_default().with_calls(self.called);
        let end = End::of(stop, self.refused);
        // Items that were JSON each are JSON together.
        let output = RawValue::from_string(format!("[{}]", std::mem::take(&mut self.done))).ok();
        let kind = if end == End::Completed { "response.completed" } else { "response.incomplete" };
        let mut lines = std::mem::take(&mut self.lines);
        lines.line(kind, About { response: self.answer(end, output).with_usage(self.usage) }, out);
    }

    fn fail(&mut self, status: u16, message: &str, out: &mut Vec<u8>) {
        self.fault(FaultKind::of_status(status), message, out);
    }
}

impl Lines {
    /// Writes one event.
    fn line(&mut self, kind: &str, fields: impl Serialize, out: &mut Vec<u8>) {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        let line = Line { kind, sequence_number: self.next, fields };
        self.next += 1;
        // Strings, numbers and JSON that was read before always serialise, and a buffer takes every byte.
        let _ = serde_json::to_writer(&mut *out, &line);
        out.extend_from_slice(b"\n\n");
    }
}

#[cfg(test)]
mod tests;
