//! The item that is open: what has come of it, and the events that belong to its kind.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    super::{
        item::{self, Called, Item, Logprobs, Part},
        names::Name,
    },
    Lines,
};
use crate::protocol::call::free_text;

/// An item that is not done.
#[derive(Debug)]
pub(super) struct Open {
    /// Its place in the output.
    pub(super) index: u32,
    pub(super) body: Body,
    id: String,
}

/// What an item is, and what it holds so far.
#[derive(Debug)]
pub(super) enum Body {
    Reasoning {
        text: String,
        /// There is a summary, though it may be empty.
        shown: bool,
        encrypted: Option<String>,
    },
    Text {
        text: String,
        /// The JSON of each token.
        logprobs: Vec<Box<RawValue>>,
    },
    Refusal(String),
    /// An image, base64, which comes whole.
    Image(String),
    Call {
        called: Called<'static>,
        input: String,
        /// Free text, as the client wants it.
        custom: bool,
        /// The free text stands in the arguments of a function, and comes to the client only when all of it is there.
        wrapped: bool,
    },
}

/// What an event about a part of an item holds.
#[derive(Default, Serialize)]
struct Piece<'a> {
    item_id: &'a str,
    output_index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary_index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<Logprobs<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<Part<'a>>,
}

impl Body {
    /// Text, empty.
    pub(super) fn text() -> Self {
        Self::Text { text: String::new(), logprobs: Vec::new() }
    }

    /// Reasoning of which nothing is known.
    pub(super) fn reasoning() -> Self {
        Self::Reasoning { text: String::new(), shown: false, encrypted: None }
    }

    /// A call of the tool that the client calls `known`. `free`: its input comes as free text.
    pub(super) fn call(call_id: &str, name: &str, free: bool, known: Option<&Name>) -> Self {
        let custom = free || known.is_some_and(|known| known.custom);
        let called = Called {
            call_id: call_id.to_owned().into(),
            name: known.map_or(name, |known| &known.name).to_owned().into(),
            namespace: known.and_then(|known| known.namespace.clone()).map(Cow::Owned),
        };
        Self::Call { called, input: String::new(), custom, wrapped: custom && !free }
    }

    fn prefix(&self) -> &'static str {
        match self {
            Self::Reasoning { .. } => "rs",
            Self::Text { .. } | Self::Refusal(_) => "msg",
            Self::Image(_) => "ig",
            Self::Call { custom: true, .. } => "ctc",
            Self::Call { .. } => "fc",
        }
    }
}

impl Open {
    /// The item at `index` of the answer `unique`.
    pub(super) fn new(body: Body, unique: &str, index: u32) -> Self {
        Self { index, id: item::id(body.prefix(), unique, index), body }
    }

    /// As it is written. While it is in progress it is empty: what it holds comes piece by piece.
    pub(super) fn item(&self, status: &'static str) -> Item<'_> {
        let (id, is_done) = (self.id.clone(), status != "in_progress");
        let part = || if is_done { self.part().into_iter().collect() } else { Vec::new() };
        match &self.body {
            Body::Reasoning { encrypted, .. } => Item::Reasoning {
                id,
                summary: part(),
                encrypted_content: encrypted.as_deref().map(Cow::Borrowed),
            },
            Body::Text { .. } | Body::Refusal(_) => {
                Item::Message { id, status, role: "assistant", content: part() }
            }
            Body::Image(base64) => {
                Item::ImageGenerationCall { id, status, result: is_done.then_some(base64.as_str()) }
            }
            Body::Call { called, input, custom: false, .. } => {
                Item::FunctionCall { id, status, arguments: input.into(), called: called.clone() }
            }
            Body::Call { called, input, .. } => {
                Item::CustomToolCall { id, status, input: input.into(), called: called.clone() }
            }
        }
    }

    /// The part of it as far as it came; a call has none.
    fn part(&self) -> Option<Part<'_>> {
        match &self.body {
            Body::Reasoning { shown: false, .. } | Body::Call { .. } | Body::Image(_) => None,
            Body::Reasoning { text, .. } => Some(Part::SummaryText { text: text.into() }),
            Body::Text { text, logprobs } => {
                let logprobs = Logprobs(logprobs.iter().map(AsRef::as_ref).collect());
                Some(Part::OutputText { annotations: [], logprobs, text: text.into() })
            }
            Body::Refusal(refusal) => Some(Part::Refusal { refusal: refusal.into() }),
        }
    }

    /// What events about it have in common.
    fn at(&self) -> Piece<'_> {
        let (content_index, summary_index) = match &self.body {
            Body::Reasoning { .. } => (None, Some(0)),
            Body::Text { .. } | Body::Refusal(_) => (Some(0), None),
            Body::Call { .. } | Body::Image(_) => (None, None),
        };
        Piece {
            item_id: &self.id,
            output_index: self.index,
            content_index,
            summary_index,
            ..Piece::default()
        }
    }

    /// Behind the start of the item: the start of its part.
    pub(super) fn begin(&self, lines: &mut Lines, out: &mut Vec<u8>) {
        if let Body::Text { .. } | Body::Refusal(_) = self.body {
            lines.line("response.content_part.added", Piece { part: self.part(), ..self.at() }, out);
        }
    }

    /// Reasoning is shown, though there may be no text of it: the start of the summary.
    pub(super) fn show(&mut self, lines: &mut Lines, out: &mut Vec<u8>) {
        if let Body::Reasoning { shown: shown @ false, .. } = &mut self.body {
            *shown = true;
            lines.line(
                "response.reasoning_summary_part.added",
                Piece { part: self.part(), ..self.at() },
                out,
            );
        }
    }

    /// More of it.
    pub(super) fn add(&mut self, more: &str, lines: &mut Lines, out: &mut Vec<u8>) {
        self.show(lines, out);
        let piece = Piece { delta: Some(more), ..self.at() };
        match &self.body {
            Body::Reasoning { .. } => lines.line("response.reasoning_summary_text.delta", piece, out),
            Body::Text { .. } => {
                let piece = Piece { logprobs: Some(Logprobs::default()), ..piece };
                lines.line("response.output_text.delta", piece, out);
            }
            Body::Refusal(_) => lines.line("response.refusal.delta", piece, out),
            Body::Call { wrapped: true, .. } | Body::Image(_) => {}
            Body::Call { custom: true, .. } => {
                lines.line("response.custom_tool_call_input.delta", piece, out)
            }
            Body::Call { .. } => lines.line("response.function_call_arguments.delta", piece, out),
        }
        self.body_text().push_str(more);
    }

    fn body_text(&mut self) -> &mut String {
        match &mut self.body {
            Body::Reasoning { text, .. } | Body::Text { text, .. } | Body::Refusal(text) => text,
            Body::Call { input, .. } | Body::Image(input) => input,
        }
    }

    /// Log probabilities of the text before: a piece without text.
    pub(super) fn logprobs(&mut self, json: &str, lines: &mut Lines, out: &mut Vec<u8>) {
        let read = Logprobs::read(json);
        if let Body::Text { logprobs, .. } = &mut self.body
            && !read.0.is_empty()
        {
            logprobs.extend(read.0.iter().map(|token| (*token).to_owned()));
            let piece = Piece { delta: Some(""), logprobs: Some(read), ..self.at() };
            lines.line("response.output_text.delta", piece, out);
        }
    }

    /// The signature of reasoning.
    pub(super) fn sign(&mut self, signature: String) {
        if let Body::Reasoning { encrypted, .. } = &mut self.body {
            *encrypted = Some(signature);
        }
    }

    /// Before the end of the item: the end of its part, or of its input.
    pub(super) fn end(&mut self, lines: &mut Lines, out: &mut Vec<u8>) {
        self.settle(lines, out);
        let at = self.at();
        match &self.body {
            Body::Reasoning { shown: false, .. } | Body::Image(_) => {}
            Body::Reasoning { text, .. } => {
                lines.line("response.reasoning_summary_text.done", Piece { text: Some(text), ..at }, out);
                let piece = Piece { part: self.part(), ..self.at() };
                lines.line("response.reasoning_summary_part.done", piece, out);
            }
            Body::Text { text, logprobs } => {
                let logprobs = Some(Logprobs(logprobs.iter().map(AsRef::as_ref).collect()));
                lines.line("response.output_text.done", Piece { text: Some(text), logprobs, ..at }, out);
                lines.line("response.content_part.done", Piece { part: self.part(), ..self.at() }, out);
            }
            Body::Refusal(refusal) => {
                lines.line("response.refusal.done", Piece { refusal: Some(refusal), ..at }, out);
                lines.line("response.content_part.done", Piece { part: self.part(), ..self.at() }, out);
            }
            Body::Call { input, custom: true, .. } => {
                let piece = Piece { input: Some(input), ..at };
                lines.line("response.custom_tool_call_input.done", piece, out);
            }
            Body::Call { input, .. } => {
                let piece = Piece { arguments: Some(input), ..at };
                lines.line("response.function_call_arguments.done", piece, out);
            }
        }
    }

    /// What a call's input is once all of it is there: no arguments are `{}`, and free text comes out of its wrapping.
    fn settle(&mut self, lines: &mut Lines, out: &mut Vec<u8>) {
        let Body::Call { input, custom, wrapped, .. } = &mut self.body else { return };
        let whole = match (&wrapped, input.is_empty()) {
            (true, _) => free_text(Cow::Owned(std::mem::take(input))).into_owned(),
            (false, true) if !*custom => "{}".to_owned(),
            (false, _) => return,
        };
        *wrapped = false;
        if !whole.is_empty() {
            self.add(&whole, lines, out);
        }
    }
}
