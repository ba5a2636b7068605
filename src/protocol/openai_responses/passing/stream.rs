//! A stream on its way from a Responses provider to a Responses client.
//!
//! Wire format: `event:` lines equal to `type`, the whole response in `response.created` and the like and, with usage, in the
//! last event, which is `response.completed` or `response.incomplete`. There is no other terminator.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::cut::Answer;
use crate::{
    chat::{fault::FaultKind, usage::Usage},
    protocol::{
        json,
        openai_responses::{error, usage},
        passing::{self, Dialect, Needles, Reading, Seen},
        translate::Frame,
    },
};

/// The machine of one stream.
pub type Stream = passing::Stream<Events>;

/// How a stream of events is read.
#[derive(Debug, Default)]
pub struct Events {
    /// Where the stream may be cut.
    answer: Option<Box<Answer>>,
    /// The number of the next event.
    next: u64,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    sequence_number: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(borrow)]
    item: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Response<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Item<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
}

impl Stream {
    /// A stream whose model becomes this JSON string. `secrets` are taken out of error events.
    pub fn new(model: Bytes, secrets: Option<Needles>) -> Self {
        Self::of(Events::default(), model, secrets)
    }
}

impl Dialect for Events {
    /// The last event repeats the whole answer: nobody else can write it.
    const TERMINATOR: &'static [u8] = b"";

    /// As OpenRouter ends it.
    const EPILOGUE: Option<&'static [u8]> = Some(b"[DONE]");

    fn read<'a>(&mut self, frame: Frame<'a>, seen: &mut Seen) -> Reading<'a> {
        let Ok(data) = serde_json::from_slice::<Data<'a>>(frame.data) else {
            // Some end like chat completions.
            seen.output |= frame.data.trim_ascii() != b"[DONE]";
            return Reading::default();
        };
        // The oldest have no numbers, and are counted.
        let number = data.sequence_number.and_then(|number| number.get().parse().ok());
        self.next = number.unwrap_or(self.next).saturating_add(1);
        let response: Response<'a> = inner(data.response);
        if let Some(report) = response.usage {
            seen.report(usage::read(report));
        }
        let mut reading = Reading {
            models: response.model.map(RawValue::get).into_iter().collect(),
            answer: true,
            ..Reading::default()
        };
        let kind = data.kind.and_then(|kind| json::text(kind.get()));
        match kind.as_deref().or(frame.name).unwrap_or_default() {
            "response.completed" | "response.incomplete" => {
                seen.finished = true;
                reading.terminator = true;
            }
            "error" | "response.failed" => {
                seen.error = true;
                reading.answer = false;
            }
            "" if data.error.is_some() => {
                seen.error = true;
                reading.answer = false;
            }
            kind => seen.output |= is_output(kind, &data),
        }
        reading
    }

    fn error(&self, status: u16, message: &str) -> Bytes {
        error::event(self.next, FaultKind::of_status(status), message)
    }

    fn may_be_cut(&mut self) {
        self.answer = Some(Box::default());
    }

    fn note(&mut self, frame: Frame<'_>) {
        let Some(answer) = &mut self.answer else { return };
        if let Ok(data) = serde_json::from_slice::<Data<'_>>(frame.data) {
            let kind = data.kind.and_then(|kind| json::text(kind.get()));
            answer.note(kind.as_deref().or(frame.name).unwrap_or_default(), frame.data);
        }
    }

    fn cut(&mut self, model: &RawValue, usage: Usage, out: &mut Vec<u8>) {
        self.answer.take().unwrap_or_default().end(model, usage, out);
    }

    fn kept(&self) -> usize {
        self.answer.as_ref().map_or(0, |answer| answer.kept())
    }
}

/// Whether an event holds more than the frame of an answer: messages and reasoning begin empty.
fn is_output(kind: &str, data: &Data<'_>) -> bool {
    match kind {
        "response.created" | "response.queued" | "response.in_progress" | "keepalive" => false,
        "response.content_part.added" | "response.reasoning_summary_part.added" => false,
        "response.output_item.added" => !matches!(
            inner::<Item<'_>>(data.item).kind.map(RawValue::get),
            Some("\"message\"" | "\"reasoning\"")
        ),
        _ => data.delta.is_none_or(|delta| delta.get() != "\"\""),
    }
}

/// An object within an event; what is none says nothing.
fn inner<'a, T: Default + Deserialize<'a>>(field: Option<&'a RawValue>) -> T {
    field.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
