//! Writes an answer as the stream that a client of Anthropic's expects.
//!
//! `message_start`, then blocks one after another (`content_block_start`, deltas, `content_block_stop`, a `ping` behind the
//! first start), `message_delta` with the reason and the usage, `message_stop`. Blocks are never interleaved: what belongs
//! behind an open call waits until the call's JSON is complete. `message_start` waits for the first piece of the
//! answer, so that it tells the input where the provider tells it first. Sizes are bytes.

use std::borrow::Cow;

use serde::Serialize;

use super::response::{Message, Usage as MessageUsage, is_shown, stop_reason};
use crate::{
    chat::{
        fault::FaultKind,
        request::Expected,
        response::{Delta, Event, Stop},
        signature::{Maker, Signature},
        usage::Usage,
    },
    protocol::{
        anthropic::{error, usage::Shown},
        media,
        translate::{
            self, Asked,
            order::{Order, TooMuch},
        },
    },
};

/// The machine of one stream.
#[derive(Debug)]
pub struct Encoder {
    id: String,
    model: String,
    /// Whether thinking is shown, or only its signature.
    shown: bool,
    phase: Phase,
    open: Open,
    /// The index of the next block.
    next: u32,
    order: Order,
    stop: Option<Stop>,
    stop_sequence: Option<String>,
    refused: bool,
    called: bool,
    usage: Option<Usage>,
}

/// How far the stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// `message_start` is not written.
    Silent,
    /// It is.
    Started,
    /// The terminator is written, or an error.
    Over,
}

/// The block that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    None,
    Text,
    /// `signed`: its signature is written, and nothing may follow it.
    Thinking {
        signed: bool,
    },
    /// `empty`: nothing of its input came.
    Call {
        empty: bool,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    MessageStart { message: Message<'a> },
    ContentBlockStart { index: u32, content_block: Start<'a> },
    ContentBlockDelta { index: u32, delta: Piece<'a> },
    ContentBlockStop { index: u32 },
    MessageDelta { delta: End<'a>, usage: Shown },
    MessageStop,
    Ping,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Start<'a> {
    Text { text: &'static str },
    Thinking { thinking: &'static str, signature: &'static str },
    RedactedThinking { data: &'a str },
    ToolUse { id: &'a str, name: &'a str, input: Empty },
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum Piece<'a> {
    #[serde(rename = "text_delta")]
    Text { text: &'a str },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: &'a str },
    #[serde(rename = "signature_delta")]
    Signature { signature: &'a str },
    #[serde(rename = "input_json_delta")]
    Input { partial_json: &'a str },
}

#[derive(Serialize)]
struct End<'a> {
    stop_reason: &'static str,
    stop_sequence: Option<&'a str>,
}

/// `{}`
#[derive(Serialize)]
struct Empty {}

impl Encoder {
    /// A stream, as its request expects it.
    pub fn new(expected: Expected, asked: &Asked<'_>) -> Self {
        Self {
            id: format!("msg_{}", asked.unique),
            model: asked.model.to_owned(),
            shown: is_shown(expected),
            phase: Phase::Silent,
            open: Open::None,
            next: 0,
            order: Order::default(),
            stop: None,
            stop_sequence: None,
            refused: false,
            called: false,
            usage: None,
        }
    }

    /// A piece of the answer, now or once the open call is complete.
    fn delta(&mut self, delta: Delta<'_>, out: &mut Vec<u8>) {
        self.start(out);
        // Nothing here tells them, so they must not take the room of what waits.
        if matches!(delta, Delta::Logprobs(_)) {
            return;
        }
        let mut order = std::mem::take(&mut self.order);
        let pushed = order.push(delta, &mut |delta| self.write(delta, out));
        self.order = order;
        if let Err(TooMuch) = pushed {
            self.fault(FaultKind::Other, 502, "the provider's tool calls cannot be put in order", out);
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
            Delta::Text(text) => self.text(&text, out),
            Delta::Refusal(text) => {
                self.refused = true;
                self.text(&text, out);
            }
            Delta::Reasoning(text) if self.shown => self.thinking(&text, out),
            Delta::Signature(signature) => self.signature(&signature, out),
            Delta::Redacted(signature) => self.redacted(&signature, out),
            Delta::Call { id, name, signature, .. } => {
                if let Some(signature) = signature {
                    self.close(out);
                    self.signature(&signature, out);
                }
                self.called = true;
                let content_block = Start::ToolUse { id: &id, name: &name, input: Empty {} };
                self.open(Open::Call { empty: true }, content_block, out);
                self.piece(Piece::Input { partial_json: "" }, out);
            }
            Delta::Input { text, .. } => self.input(&text, out),
            Delta::Image(media) => self.text(&media::markdown(&media), out),
            Delta::Reasoning(_) | Delta::Logprobs(_) => {}
        }
    }

    fn text(&mut self, text: &str, out: &mut Vec<u8>) {
        if self.open != Open::Text {
            self.open(Open::Text, Start::Text { text: "" }, out);
        }
        self.piece(Piece::Text { text }, out);
    }

    fn thinking(&mut self, thinking: &str, out: &mut Vec<u8>) {
        self.open_thinking(out);
        self.piece(Piece::Thinking { thinking }, out);
    }

    fn signature(&mut self, signature: &Signature<'_>, out: &mut Vec<u8>) {
        self.open_thinking(out);
        self.piece(Piece::Signature { signature: &signature.marked(Maker::Anthropic) }, out);
        self.open = Open::Thinking { signed: true };
    }

    /// What OpenAI encrypts belongs to the summary before it; what Anthropic does stands alone.
    fn redacted(&mut self, signature: &Signature<'_>, out: &mut Vec<u8>) {
        if signature.maker == Maker::OpenAi && self.open == (Open::Thinking { signed: false }) {
            return self.signature(signature, out);
        }
        let data = signature.marked(Maker::Anthropic);
        self.open(Open::Thinking { signed: true }, Start::RedactedThinking { data: &data }, out);
    }

    fn open_thinking(&mut self, out: &mut Vec<u8>) {
        if self.open != (Open::Thinking { signed: false }) {
            let content_block = Start::Thinking { thinking: "", signature: "" };
            self.open(Open::Thinking { signed: false }, content_block, out);
        }
    }

    /// More of the open call's input.
    fn input(&mut self, text: &str, out: &mut Vec<u8>) {
        if let Open::Call { empty } = &mut self.open {
            *empty &= text.is_empty();
            self.piece(Piece::Input { partial_json: text }, out);
        }
    }

    /// `message_start`, if it is not written yet.
    fn start(&mut self, out: &mut Vec<u8>) {
        if self.phase != Phase::Silent {
            return;
        }
        self.phase = Phase::Started;
        let message = Message {
            model: &self.model,
            id: &self.id,
            kind: "message",
            role: "assistant",
            content: Vec::new(),
            stop_reason: None,
            stop_sequence: None,
            usage: MessageUsage { shown: Shown::whole(self.usage), service_tier: None },
        };
        line("message_start", &Line::MessageStart { message }, out);
    }

    fn open(&mut self, block: Open, content_block: Start<'_>, out: &mut Vec<u8>) {
        self.close(out);
        self.open = block;
        line("content_block_start", &Line::ContentBlockStart { index: self.next, content_block }, out);
        if self.next == 0 {
            line("ping", &Line::Ping, out);
        }
        self.next += 1;
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if self.open == (Open::Call { empty: true }) {
            self.piece(Piece::Input { partial_json: "{}" }, out);
        }
        if self.open != Open::None {
            self.open = Open::None;
            line("content_block_stop", &Line::ContentBlockStop { index: self.next - 1 }, out);
        }
    }

    fn piece(&self, delta: Piece<'_>, out: &mut Vec<u8>) {
        line("content_block_delta", &Line::ContentBlockDelta { index: self.next - 1, delta }, out);
    }

    fn fault(&mut self, kind: FaultKind, status: u16, message: &str, out: &mut Vec<u8>) {
        if self.phase != Phase::Over {
            self.phase = Phase::Over;
            out.extend_from_slice(&error::event(kind, status, message));
        }
    }
}

impl translate::Encoder for Encoder {
    fn push(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        if self.phase == Phase::Over {
            return;
        }
        match event {
            Event::Delta { choice: 0, delta } => self.delta(delta, out),
            Event::Finish { choice: 0, stop, stop_sequence } => {
                self.start(out);
                self.complete(out);
                self.stop = Some(stop);
                self.stop_sequence = stop_sequence.map(Cow::into_owned);
            }
            Event::Usage(usage) => self.usage.get_or_insert_default().update(usage),
            // An error comes by `fail`.
            Event::Start { .. } | Event::Delta { .. } | Event::Finish { .. } | Event::Error(_) => {}
        }
    }

    fn held(&self) -> usize {
        self.order.held()
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        if self.phase == Phase::Over {
            return;
        }
        self.start(out);
        self.complete(out);
        self.phase = Phase::Over;
        let stop = self.stop.unwrap_or_default().with_calls(self.called);
        let stop_sequence = self.stop_sequence.as_deref().filter(|_| stop == Stop::Sequence);
        let reason = stop_reason(if self.refused { Stop::Filter } else { stop });
        let delta = End { stop_reason: reason, stop_sequence };
        line("message_delta", &Line::MessageDelta { delta, usage: Shown::later(self.usage) }, out);
        line("message_stop", &Line::MessageStop, out);
    }

    fn fail(&mut self, status: u16, message: &str, out: &mut Vec<u8>) {
        self.fault(FaultKind::of_status(status), status, message, out);
    }
}

/// One event.
pub(in crate::protocol::anthropic) fn line(name: &str, line: &impl Serialize, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    // Strings and numbers always serialise, and a buffer takes every byte.
    let _ = serde_json::to_writer(&mut *out, line);
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests;
