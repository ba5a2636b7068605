//! A stream on its way from an Anthropic provider to an Anthropic client.
//!
//! Wire format: `event:` and `data:` lines, `message_start` with the model and a provisional usage, blocks, `message_delta`
//! with the reason and the usage, `message_stop`.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::cut::Blocks;
use crate::{
    chat::{fault::FaultKind, usage::Usage},
    protocol::{
        anthropic::{error, usage::Report},
        json,
        passing::{self, Dialect, Needles, Reading, Seen},
        translate::Frame,
    },
};

/// The machine of one stream.
pub type Stream = passing::Stream<Events>;

/// How a stream of events is read.
#[derive(Debug, Default)]
pub struct Events {
    report: Report,
    /// Where the stream may be cut.
    blocks: Option<Box<Blocks>>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
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
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

/// The start of a block, a piece of one, or the end of the message.
#[derive(Default, Deserialize)]
struct Part<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    partial_json: Option<&'a RawValue>,
    #[serde(borrow)]
    stop_reason: Option<&'a RawValue>,
}

impl Stream {
    /// A stream whose model becomes this JSON string. `secrets` are taken out of error events.
    pub fn new(model: Bytes, secrets: Option<Needles>) -> Self {
        Self::of(Events::default(), model, secrets)
    }
}

impl Dialect for Events {
    const TERMINATOR: &'static [u8] = b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

    fn read<'a>(&mut self, frame: Frame<'a>, seen: &mut Seen) -> Reading<'a> {
        let Ok(data) = serde_json::from_slice::<Data<'a>>(frame.data) else {
            seen.output = true;
            return Reading::default();
        };
        let kind = data.kind.and_then(|kind| json::text(kind.get()));
        let mut reading = Reading { answer: true, ..Reading::default() };
        match kind.as_deref().or(frame.name).unwrap_or_default() {
            "message_start" => {
                let message: Message<'a> = inner(data.message);
                reading.models.extend(message.model.map(RawValue::get));
                if let Some(usage) = message.usage {
                    self.report(Report::read(usage).input_only(), seen);
                }
            }
            "content_block_start" => seen.output |= starts_with_output(&inner(data.content_block)),
            "content_block_delta" => seen.output |= is_output(&inner(data.delta)),
            "message_delta" => {
                seen.finished |= inner::<Part<'_>>(data.delta).stop_reason.is_some();
                if let Some(usage) = data.usage {
                    self.report(Report::read(usage), seen);
                }
            }
            "message_stop" => reading.terminator = true,
            "error" => {
                seen.error = true;
                reading.answer = false;
            }
            _ => {}
        }
        reading
    }

    fn error(&self, status: u16, message: &str) -> Bytes {
        error::event(FaultKind::of_status(status), status, message)
    }

    fn may_be_cut(&mut self) {
        self.blocks = Some(Box::default());
    }

    fn note(&mut self, frame: Frame<'_>) {
        let Some(blocks) = &mut self.blocks else { return };
        if let Ok(data) = serde_json::from_slice::<Data<'_>>(frame.data) {
            let kind = data.kind.and_then(|kind| json::text(kind.get()));
            blocks.note(kind.as_deref().or(frame.name).unwrap_or_default(), frame.data);
        }
    }

    fn cut(&mut self, model: &RawValue, usage: Usage, out: &mut Vec<u8>) {
        self.blocks.take().unwrap_or_default().end(model, usage, out);
    }
}

impl Events {
    /// A later report adds to an earlier one in this format's own arithmetic: it may repeat the input without the cache.
    fn report(&mut self, report: Report, seen: &mut Seen) {
        self.report.update(report);
        seen.report(self.report.usage());
    }
}

/// Whether the start of a block holds anything: text and thinking begin empty.
fn starts_with_output(block: &Part<'_>) -> bool {
    match block.kind.map(RawValue::get) {
        Some("\"text\"") => !is_empty(block.text),
        Some("\"thinking\"") => !is_empty(block.thinking),
        _ => true,
    }
}

/// Whether a piece holds anything.
fn is_output(piece: &Part<'_>) -> bool {
    let known = [piece.text, piece.thinking, piece.partial_json];
    known.iter().all(Option::is_none) || known.into_iter().any(|field| !is_empty(field))
}

fn is_empty(field: Option<&RawValue>) -> bool {
    field.is_none_or(|raw| raw.get() == "\"\"")
}

/// An object within an event; what is none says nothing.
fn inner<'a, T: Default + Deserialize<'a>>(field: Option<&'a RawValue>) -> T {
    field.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
