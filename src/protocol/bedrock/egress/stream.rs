//! Reads the stream of a provider that speaks ConverseStream. A frame is a message of the binary stream: the name of its
//! event, and its payload.
//!
//! Blocks are told apart by their index, in whatever order their pieces come. Only calls have a beginning; text and
//! reasoning begin with their first piece. The usage comes behind the reason of the end. Blocks of tools that the provider
//! ran itself are left out, as are events and pieces that are not known.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{call_id, inner, is_servers, redacted, said, signature, stop, stop_sequence, text};
use crate::{
    chat::response::{Delta, Event},
    protocol::{
        bedrock::{error, usage},
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
    finished: bool,
    failed: bool,
    /// The last event came.
    over: bool,
}

/// A call whose block is open; other blocks need no memory.
#[derive(Debug)]
struct Open {
    block: u64,
    call: u32,
    /// Whether any of its input came.
    begun: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    #[serde(borrow)]
    content_block_index: Option<&'a RawValue>,
    #[serde(borrow)]
    start: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    stop_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    additional_model_response_fields: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

/// The beginning of a block, or a piece of one: one of its fields is there.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Piece<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_use: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolUse<'a> {
    #[serde(borrow)]
    tool_use_id: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reasoning<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    signature: Option<&'a RawValue>,
    #[serde(borrow)]
    redacted_content: Option<&'a RawValue>,
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
            finished: false,
            failed: false,
            over: false,
        }
    }

    /// Converse names neither the answer nor the model.
    fn start(&mut self, each: &mut dyn FnMut(Event<'_>)) {
        if !self.started {
            self.started = true;
            each(Event::Start { id: "".into(), created: None, model: None });
        }
    }

    fn call(
        &mut self,
        block: u64,
        tool: ToolUse<'_>,
        each: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Unreadable> {
        if is_servers(tool.kind) {
            return Ok(());
        }
        if self.open.len() == MOST_OPEN {
            return Err(Unreadable(format!("more than {MOST_OPEN} tool calls are open at a time")));
        }
        let call = self.calls;
        self.calls = self.calls.saturating_add(1);
        self.open.push(Open { block, call, begun: false });
        let id = call_id(tool.tool_use_id, &self.unique, call as usize);
        let name = text(tool.name).unwrap_or_default();
        give(Delta::Call { index: call, id, name, custom: false, signature: None }, each);
        Ok(())
    }

    fn piece(&mut self, block: u64, piece: Piece<'_>, each: &mut dyn FnMut(Event<'_>)) {
        say(piece.text, Delta::Text, each);
        if let Some(reasoning) = inner::<Reasoning<'_>>(piece.reasoning_content) {
            say(reasoning.text, Delta::Reasoning, each);
            if let Some(signature) = signature(reasoning.signature) {
                give(Delta::Signature(signature), each);
            }
            if let Some(data) = redacted(reasoning.redacted_content) {
                give(Delta::Redacted(data), each);
            }
        }
        let input = inner::<ToolUse<'_>>(piece.tool_use).and_then(|tool| said(tool.input));
        let open = self.open.iter_mut().find(|open| open.block == block);
        if let (Some(open), Some(text)) = (open, input) {
            open.begun = true;
            give(Delta::Input { index: open.call, text }, each);
        }
    }

    /// A block ends: a call whose pieces were all empty has no arguments.
    fn close(&mut self, block: u64, each: &mut dyn FnMut(Event<'_>)) {
        let Some(at) = self.open.iter().position(|open| open.block == block) else { return };
        let open = self.open.remove(at);
        if !open.begun {
            give(Delta::Input { index: open.call, text: "{}".into() }, each);
        }
    }

    fn close_all(&mut self, each: &mut dyn FnMut(Event<'_>)) {
        while let Some(Open { block, .. }) = self.open.first() {
            self.close(*block, each);
        }
    }

    fn end(&mut self, data: &Data<'_>, each: &mut dyn FnMut(Event<'_>)) {
        if self.finished {
            return;
        }
        self.close_all(each);
        self.finished = true;
        let stop = text(data.stop_reason).as_deref().map(stop).unwrap_or_default();
        let stop_sequence = stop_sequence(data.additional_model_response_fields);
        each(Event::Finish { choice: 0, stop: stop.with_calls(self.calls > 0), stop_sequence });
    }

    fn fail(&mut self, name: &str, body: &[u8], each: &mut dyn FnMut(Event<'_>)) {
        if !self.failed {
            self.failed = true;
            each(Event::Error(error::read(502, Some(name), body)));
        }
    }
}

impl translate::Decoder for Decoder {
    fn push(&mut self, frame: Frame<'_>, each: &mut dyn FnMut(Event<'_>)) -> Result<(), Unreadable> {
        let name = frame.name.unwrap_or_default();
        if error::is_error(name) {
            self.fail(name, frame.data, each);
        }
        // An error is the last that is said, and behind the end there is only the cost.
        let is_content = matches!(name, "messageStart" | "contentBlockStart" | "contentBlockDelta");
        let known = is_content || matches!(name, "contentBlockStop" | "messageStop" | "metadata");
        if self.failed || !known || (is_content && self.finished) {
            return Ok(());
        }
        let data: Data<'_> = serde_json::from_slice(frame.data)
            .map_err(|error| Unreadable::not("event of Converse's", &error))?;
        let block = data.content_block_index.and_then(|index| index.get().parse().ok()).unwrap_or_default();
        self.start(each);
        match name {
            "contentBlockStart" => {
                let tool = inner::<Piece<'_>>(data.start).and_then(|start| inner(start.tool_use));
                tool.map_or(Ok(()), |tool| self.call(block, tool, each))?;
            }
            "contentBlockDelta" => {
                if let Some(piece) = inner(data.delta) {
                    self.piece(block, piece, each);
                }
            }
            "contentBlockStop" => self.close(block, each),
            "messageStop" => self.end(&data, each),
            "metadata" => {
                if let Some(usage) = data.usage {
                    each(Event::Usage(usage::read(usage)));
                }
                // The cost is told last.
                self.over = self.finished;
            }
            _ => {}
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.over
    }

    fn finish(&mut self, each: &mut dyn FnMut(Event<'_>)) -> bool {
        if !self.failed {
            self.close_all(each);
        }
        self.finished && !self.failed
    }
}

fn give(delta: Delta<'_>, each: &mut dyn FnMut(Event<'_>)) {
    each(Event::Delta { choice: 0, delta });
}

/// Text that is not empty, as a piece of some kind.
fn say<'a>(
    text: Option<&'a RawValue>,
    kind: impl FnOnce(Cow<'a, str>) -> Delta<'a>,
    each: &mut dyn FnMut(Event<'_>),
) {
    if let Some(text) = said(text) {
        give(kind(text), each);
    }
}

#[cfg(test)]
mod tests;
