//! Reads the stream of a provider that speaks Anthropic's Messages.
//!
//! Blocks are told apart by their index, in whatever order their pieces come. The output of `message_start` is provisional
//! and not told; of the usage of `message_start` and `message_delta` the last count stands. Blocks of tools that the
//! provider ran itself are left out, as are events and pieces that are not known.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    response::{Block, call_id, refusal, signature},
    said, stop, text,
};
use crate::{
    chat::response::{Delta, Event, Stop},
    protocol::{
        anthropic::{error, usage::Report},
        json::compact,
        translate::{self, Frame, Unreadable},
    },
};

/// The machine of one stream.
#[derive(Debug)]
pub struct Decoder {
    unique: String,
    started: bool,
    open: Vec<Open>,
    /// Calls that began.
    calls: u32,
    report: Report,
    finished: bool,
    /// The last event came.
    over: bool,
}

/// A call whose block is open; other blocks need no memory.
#[derive(Debug)]
struct Open {
    block: u64,
    call: u32,
    /// Its input as the block's start has it, which holds if no piece follows.
    whole: String,
    begun: bool,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    index: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    content_block: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

/// A piece of a block, or the end of the message.
#[derive(Deserialize)]
struct Piece<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    signature: Option<&'a RawValue>,
    #[serde(borrow)]
    partial_json: Option<&'a RawValue>,
    #[serde(borrow)]
    stop_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    stop_sequence: Option<&'a RawValue>,
    #[serde(borrow)]
    stop_details: Option<&'a RawValue>,
}

/// The most calls that are open at a time; a provider has one.
const MOST_OPEN: usize = 64;

impl Decoder {
    /// A stream; `unique` is what ids are made of where a call has none.
    pub fn new(unique: &str) -> Self {
        Self {
            unique: unique.to_owned(),
            started: false,
            open: Vec::new(),
            calls: 0,
            report: Report::default(),
            finished: false,
            over: false,
        }
    }

    fn start(&mut self, message: Option<&RawValue>, each: &mut dyn FnMut(Event<'_>)) {
        let message: Message<'_> = inner(message).unwrap_or_default();
        if !self.started {
            self.started = true;
            let id = text(message.id).unwrap_or_default();
            each(Event::Start { id, created: None, model: text(message.model) });
        }
        if let Some(usage) = message.usage {
            self.report.update(Report::read(usage).input_only());
            each(Event::Usage(self.report.usage()));
        }
    }

    /// The last event; it ends also an answer that had no reason to end.
    fn stop(&mut self, each: &mut dyn FnMut(Event<'_>)) {
        if self.started && !self.finished {
            self.close_all(each);
            self.end_with(Stop::End, None, each);
        }
        self.over = self.finished;
    }

    fn event(
        &mut self,
        kind: &str,
        data: &Data<'_>,
        each: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Unreadable> {
        let index = data.index.and_then(|index| index.get().parse().ok()).unwrap_or_default();
        match kind {
            "message_start" => self.start(data.message, each),
            "content_block_start" => {
                self.start(None, each);
                if let Some(block) = inner(data.content_block) {
                    self.block(index, block, each)?;
                }
            }
            "content_block_delta" => {
                if let Some(piece) = inner(data.delta) {
                    self.piece(index, piece, each);
                }
            }
            "content_block_stop" => self.close(index, each),
            "message_delta" => self.message_delta(data, each),
            "message_stop" => self.stop(each),
            _ => {}
        }
        Ok(())
    }

    fn message_delta(&mut self, data: &Data<'_>, each: &mut dyn FnMut(Event<'_>)) {
        self.start(None, each);
        if let Some(usage) = data.usage {
            self.report.update(Report::read(usage));
            each(Event::Usage(self.report.usage()));
        }
        if let Some(piece) = inner(data.delta) {
            self.end(piece, each);
        }
    }

    fn block(
        &mut self,
        index: u64,
        block: Block<'_>,
        each: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Unreadable> {
        match text(block.kind).as_deref().unwrap_or_default() {
            "text" => say(block.text, Delta::Text, each),
            "thinking" => {
                say(block.thinking, Delta::Reasoning, each);
                if let Some(signature) = signature(block.signature) {
                    give(Delta::Signature(signature), each);
                }
            }
            "redacted_thinking" => {
                if let Some(data) = signature(block.data) {
                    give(Delta::Redacted(data), each);
                }
            }
            "tool_use" => return self.call(index, block, each),
            _ => {}
        }
        Ok(())
    }

    fn call(
        &mut self,
        index: u64,
        block: Block<'_>,
        each: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Unreadable> {
        if self.open.len() == MOST_OPEN {
            return Err(Unreadable(format!("more than {MOST_OPEN} tool calls are open at a time")));
        }
        let (call, whole) =
            (self.calls, block.input.map_or_else(|| "{}".into(), |input| compact(input.get())));
        self.calls = self.calls.saturating_add(1);
        self.open.push(Open { block: index, call, whole: whole.into_owned(), begun: false });
        let id = call_id(block.id, &self.unique, call as usize);
        let name = text(block.name).unwrap_or_default();
        give(Delta::Call { index: call, id, name, custom: false, signature: None }, each);
        Ok(())
    }

    fn piece(&mut self, index: u64, piece: Piece<'_>, each: &mut dyn FnMut(Event<'_>)) {
        match text(piece.kind).as_deref() {
            Some("text_delta") => say(piece.text, Delta::Text, each),
            Some("thinking_delta") => say(piece.thinking, Delta::Reasoning, each),
            Some("signature_delta") => {
                if let Some(signature) = signature(piece.signature) {
                    give(Delta::Signature(signature), each);
                }
            }
            Some("input_json_delta") => {
                let open = self.open.iter_mut().find(|open| open.block == index);
                if let (Some(open), Some(text)) = (open, said(piece.partial_json)) {
                    open.begun = true;
                    give(Delta::Input { index: open.call, text }, each);
                }
            }
            _ => {}
        }
    }

    /// A block ends: a call without a piece has the input that its start had.
    fn close(&mut self, index: u64, each: &mut dyn FnMut(Event<'_>)) {
        let Some(at) = self.open.iter().position(|open| open.block == index) else { return };
        let open = self.open.remove(at);
        if !open.begun {
            give(Delta::Input { index: open.call, text: open.whole.into() }, each);
        }
    }

    fn close_all(&mut self, each: &mut dyn FnMut(Event<'_>)) {
        while let Some(Open { block, .. }) = self.open.first() {
            self.close(*block, each);
        }
    }

    fn end(&mut self, piece: Piece<'_>, each: &mut dyn FnMut(Event<'_>)) {
        let Some(reason) = said(piece.stop_reason) else { return };
        if self.finished {
            return;
        }
        self.close_all(each);
        if let Some(text) = refusal(piece.stop_details) {
            give(Delta::Refusal(text), each);
        }
        self.end_with(stop(&reason), text(piece.stop_sequence), each);
    }

    fn end_with(&mut self, stop: Stop, stop_sequence: Option<Cow<'_, str>>, each: &mut dyn FnMut(Event<'_>)) {
        self.finished = true;
        each(Event::Finish { choice: 0, stop: stop.with_calls(self.calls > 0), stop_sequence });
    }
}

impl translate::Decoder for Decoder {
    fn push(&mut self, frame: Frame<'_>, each: &mut dyn FnMut(Event<'_>)) -> Result<(), Unreadable> {
        // Servers that speak several formats end every stream like this.
        if frame.data.trim_ascii() == b"[DONE]" {
            return Ok(());
        }
        let data: Data<'_> = serde_json::from_slice(frame.data)
            .map_err(|error| Unreadable::not("event of Messages", &error))?;
        let kind = text(data.kind);
        match kind.as_deref().or(frame.name).unwrap_or_default() {
            "error" => each(Event::Error(error::read(502, frame.data))),
            kind => self.event(kind, &data, each)?,
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.over
    }

    fn held(&self) -> usize {
        self.open.iter().map(|open| open.whole.len()).sum()
    }

    fn finish(&mut self, each: &mut dyn FnMut(Event<'_>)) -> bool {
        self.close_all(each);
        self.finished
    }
}

/// An object within an event; what is none says nothing.
fn inner<'a, T: Deserialize<'a>>(field: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(field?.get()).ok()
}

fn give(delta: Delta<'_>, each: &mut dyn FnMut(Event<'_>)) {
    each(Event::Delta { choice: 0, delta });
}

/// Text that is not empty, as a piece of some kind.
fn say<'a>(
    field: Option<&'a RawValue>,
    kind: impl FnOnce(Cow<'a, str>) -> Delta<'a>,
    each: &mut dyn FnMut(Event<'_>),
) {
    if let Some(text) = said(field) {
        give(kind(text), each);
    }
}

#[cfg(test)]
mod tests;
