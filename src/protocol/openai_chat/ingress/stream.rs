//! Writes a stream for a client: `data: {chunk}` events and `data: [DONE]`.
//!
//! A choice begins with a delta of role and empty content, goes on by deltas of one kind each, and ends with an empty delta
//! and its reason. Usage comes in a chunk of its own before the terminator, if the client asked. Nothing is held back but
//! the text of reasoning that may yet be signed, [`MOST_REASONING`] bytes of it, and free text that comes in an object.

use std::borrow::Cow;

use serde::Serialize;

use self::wrapped::Wrapped;
use super::response::{finish_reason, id};
use crate::{
    chat::{
        fault::FaultKind,
        json::Json,
        request::Expected,
        response::{Delta, Event, Stop},
        signature::{Maker, Signature},
        usage::Usage,
    },
    protocol::{
        openai_chat::{
            error,
            wire::{
                CustomCall, ExtraContent, FunctionCall, OutImage, ReasoningDetail, ToolCall, UsageReport,
            },
        },
        translate::{self, Asked},
    },
};

mod wrapped;

/// Reasoning beyond this, in bytes, is shown but cannot come back.
const MOST_REASONING: usize = 8 << 20;

/// No provider gives more answers at a time.
const MOST_CHOICES: u32 = u128::BITS;

/// The machine of one stream.
#[derive(Debug)]
pub struct Encoder {
    id: Cow<'static, str>,
    created: u64,
    model: String,
    expected: Expected,
    usage: Option<Usage>,
    /// Choices that have begun, and that the model declined, by index; there are at most 128.
    begun: u128,
    refused: u128,
    /// Calls of custom tools, by choice and index.
    custom: Vec<(u32, u32)>,
    wrapped: Wrapped,
    thought: Thought,
    /// Pieces of signed reasoning so far, by choice.
    details: Counts,
    /// And images.
    images: Counts,
    over: bool,
}

/// How many of something there are, by choice.
#[derive(Debug, Default)]
struct Counts(Vec<u32>);

/// The reasoning that goes on.
#[derive(Debug, Default)]
struct Thought {
    choice: u32,
    text: String,
    /// It is longer than what is kept of it.
    cut: bool,
}

#[derive(Serialize)]
struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: &'a [ChunkChoice<'a>],
    /// `null` on every chunk but the last, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<UsageReport>>,
}

#[derive(Serialize)]
struct ChunkChoice<'a> {
    index: u32,
    delta: Change<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<&'a Json<'a>>,
    finish_reason: Option<&'static str>,
}

#[derive(Default, Serialize)]
struct Change<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_details: Option<[ReasoningDetail<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[ToolCall<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_call: Option<FunctionCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<ExtraContent<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    images: Option<[OutImage<'a>; 1]>,
}

impl Encoder {
    /// A stream, as its request expects it.
    pub fn new(expected: Expected, asked: &Asked<'_>) -> Self {
        Self {
            id: id("", asked),
            created: asked.now,
            model: asked.model.to_owned(),
            expected,
            usage: None,
            begun: 0,
            refused: 0,
            custom: Vec::new(),
            wrapped: Wrapped::default(),
            thought: Thought::default(),
            details: Counts::default(),
            images: Counts::default(),
            over: false,
        }
    }

    fn chunk(&self, choices: &[ChunkChoice<'_>], usage: Option<UsageReport>, out: &mut Vec<u8>) {
        let usage = self.expected.wishes.usage.then_some(usage);
        let (id, created, model) = (self.id.as_ref(), self.created, self.model.as_str());
        let chunk = Chunk { id, object: "chat.completion.chunk", created, model, choices, usage };
        out.extend_from_slice(b"data: ");
        // Strings, numbers and valid JSON always serialise, and a vector takes every byte.
        let _ = serde_json::to_writer(&mut *out, &chunk);
        out.extend_from_slice(b"\n\n");
    }

    fn change(&self, index: u32, delta: Change<'_>, out: &mut Vec<u8>) {
        self.chunk(&[ChunkChoice { index, delta, logprobs: None, finish_reason: None }], None, out);
    }

    /// The first delta of a choice.
    fn begin(&mut self, choice: u32, out: &mut Vec<u8>) {
        let bit = bit(choice);
        if self.begun & bit != bit {
            self.begun |= bit;
            let delta = Change { role: Some("assistant"), content: Some(""), ..Change::default() };
            self.change(choice, delta, out);
        }
    }

    fn delta(&mut self, choice: u32, delta: &Delta<'_>, out: &mut Vec<u8>) {
        self.begin(choice, out);
        self.remember(choice, delta);
        let change = match delta {
            Delta::Text(text) => Change { content: Some(text), ..Change::default() },
            Delta::Refusal(text) => Change { refusal: Some(text), ..Change::default() },
            Delta::Reasoning(text) => Change { reasoning_content: Some(text), ..Change::default() },
            Delta::Signature(signature) => return self.signature(choice, signature, out),
            Delta::Redacted(signature) => {
                let index = self.details.next(choice);
                let detail = ReasoningDetail::Encrypted { index, data: signature.marked(Maker::OpenAi) };
                Change { reasoning_details: Some([detail]), ..Change::default() }
            }
            Delta::Call { index, id, name, custom, signature } => {
                match self.call(choice, *index, (id, name, *custom), signature.as_ref()) {
                    Some(change) => change,
                    None => return,
                }
            }
            Delta::Input { index, text } => return self.input(choice, *index, text, out),
            Delta::Image(media) => {
                let image = OutImage::of(self.images.next(choice), media);
                Change { images: Some([image]), ..Change::default() }
            }
            Delta::Logprobs(logprobs) => {
                let delta = Change::default();
                let logprobs = Some(logprobs);
                return self.chunk(
                    &[ChunkChoice { index: choice, delta, logprobs, finish_reason: None }],
                    None,
                    out,
                );
            }
        };
        self.change(choice, change, out);
    }

    /// Keeps the text of reasoning for its signature, until something else begins.
    fn remember(&mut self, choice: u32, delta: &Delta<'_>) {
        match delta {
            Delta::Reasoning(more) => {
                if self.thought.choice != choice {
                    self.thought = Thought { choice, ..Thought::default() };
                }
                let Thought { text, cut, .. } = &mut self.thought;
                *cut |= text.len() + more.len() > MOST_REASONING;
                text.push_str(if *cut { "" } else { more });
            }
            Delta::Refusal(_) => self.refused |= bit(choice),
            Delta::Text(_) | Delta::Call { .. } | Delta::Redacted(_) | Delta::Image(_) => {
                self.thought = Thought::default()
            }
            Delta::Signature(_) | Delta::Input { .. } | Delta::Logprobs(_) => {}
        }
    }

    /// A signature of reasoning comes with the text again, so that one entry comes back whole; Google's of text stands alone.
    fn signature(&mut self, choice: u32, signature: &Signature<'_>, out: &mut Vec<u8>) {
        let thought = std::mem::take(&mut self.thought);
        let thought = if thought.choice == choice { thought } else { Thought::default() };
        if thought.cut {
            return;
        }
        let text = thought.text;
        let mut change = Change::default();
        if signature.maker == Maker::Google && text.is_empty() {
            change.extra_content = Some(ExtraContent::of(signature));
        } else {
            let signature = signature.marked(Maker::OpenAi);
            let index = self.details.next(choice);
            change.reasoning_details = Some([ReasoningDetail::Text { index, text: &text, signature }]);
        }
        self.change(choice, change, out);
    }

    /// The beginning of a call; `None` where the client has room for one only, and has it.
    fn call<'a>(
        &mut self,
        choice: u32,
        index: u32,
        (id, name, custom): (&'a str, &'a str, bool),
        signature: Option<&'a Signature<'_>>,
    ) -> Option<Change<'a>> {
        if self.expected.wishes.functions {
            let call = FunctionCall { name: Some(name), arguments: "" };
            return (index == 0).then(|| Change { function_call: Some(call), ..Change::default() });
        }
        let wrapped = !custom && self.expected.takes_text(name);
        if wrapped {
            self.wrapped.begin((choice, index));
        }
        let custom = custom || wrapped;
        if custom {
            self.custom.push((choice, index));
        }
        let call = ToolCall {
            index: Some(index),
            id: Some(Cow::Borrowed(id)),
            kind: Some(if custom { "custom" } else { "function" }),
            function: (!custom).then_some(FunctionCall { name: Some(name), arguments: "" }),
            custom: custom.then_some(CustomCall { name: Some(name), input: Cow::Borrowed("") }),
            extra_content: signature.map(ExtraContent::of),
        };
        Some(Change { tool_calls: Some([call]), ..Change::default() })
    }

    fn input(&mut self, choice: u32, index: u32, text: &str, out: &mut Vec<u8>) {
        if let Some(text) = self.wrapped.push((choice, index), text) {
            self.say(choice, index, text, out);
        }
    }

    /// A piece of a call's input.
    fn say(&self, choice: u32, index: u32, text: Cow<'_, str>, out: &mut Vec<u8>) {
        if self.expected.wishes.functions {
            if index == 0 {
                let function = FunctionCall { name: None, arguments: &text };
                self.change(choice, Change { function_call: Some(function), ..Change::default() }, out);
            }
            return;
        }
        let (mut function, mut custom) = (None, None);
        if self.custom.contains(&(choice, index)) {
            custom = Some(CustomCall { name: None, input: text });
        } else {
            function = Some(FunctionCall { name: None, arguments: &text });
        }
        let index = Some(index);
        let call = ToolCall { index, id: None, kind: None, function, custom, extra_content: None };
        self.change(choice, Change { tool_calls: Some([call]), ..Change::default() }, out);
    }

    fn end(&mut self, choice: u32, stop: Stop, out: &mut Vec<u8>) {
        self.begin(choice, out);
        for (index, text) in self.wrapped.finish(choice) {
            self.say(choice, index, text.into(), out);
        }
        let refused = self.refused & bit(choice) != 0;
        let reason = finish_reason(stop, refused, self.expected.wishes.functions);
        let delta = Change::default();
        let last = ChunkChoice { index: choice, delta, logprobs: None, finish_reason: Some(reason) };
        self.chunk(&[last], None, out);
    }
}

impl Counts {
    /// The number of the next, from 0. Clients put the pieces of a stream together by it.
    fn next(&mut self, choice: u32) -> u32 {
        let choice = choice.min(MOST_CHOICES - 1) as usize;
        if self.0.len() <= choice {
            self.0.resize(choice + 1, 0);
        }
        let next = self.0[choice];
        self.0[choice] = next.saturating_add(1);
        next
    }
}

impl translate::Encoder for Encoder {
    fn push(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        match event {
            Event::Start { id, created, .. } => {
                if id.starts_with("chatcmpl-") {
                    self.id = Cow::Owned(id.into_owned());
                }
                self.created = created.unwrap_or(self.created);
            }
            Event::Delta { choice, delta } => self.delta(choice, &delta, out),
            Event::Finish { choice, stop, .. } => self.end(choice, stop, out),
            Event::Usage(usage) => self.usage.get_or_insert_default().update(usage),
            // It is told by `fail`.
            Event::Error(_) => {}
        }
    }

    fn held(&self) -> usize {
        self.thought.text.len()
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        if let Some(usage) = self.usage.filter(|_| self.expected.wishes.usage) {
            self.chunk(&[], Some(UsageReport::of(usage)), out);
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn fail(&mut self, status: u16, message: &str, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.over, true) {
            out.extend_from_slice(&error::event(FaultKind::of_status(status), status, message));
        }
    }
}

fn bit(choice: u32) -> u128 {
    1u128.checked_shl(choice).unwrap_or(0)
}

#[cfg(test)]
pub(in crate::protocol::openai_chat) mod tests;
