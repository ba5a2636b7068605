//! The items of an answer, and the answer around them, as they are written.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::repeated::Repeated;
use crate::{
    chat::{response::Stop, usage::Usage},
    protocol::openai_responses::usage::Report,
};

/// An answer, whole or as far as it is.
#[derive(Serialize)]
pub(super) struct Answer<'r, O> {
    pub(super) id: &'r str,
    pub(super) object: &'static str,
    pub(super) created_at: u64,
    pub(super) status: &'static str,
    pub(super) error: Option<()>,
    pub(super) incomplete_details: Option<Incomplete>,
    pub(super) model: &'r str,
    pub(super) output: O,
    pub(super) usage: Option<Report>,
    pub(super) service_tier: Option<&'r str>,
    #[serde(flatten)]
    pub(super) repeated: &'r Repeated,
}

#[derive(Serialize)]
pub(super) struct Incomplete {
    reason: &'static str,
}

/// How an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It goes on.
    Open,
    Completed,
    /// Why not.
    Incomplete(&'static str),
}

/// An item of the output.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Item<'r> {
    Reasoning {
        id: String,
        /// One part, or none where nothing is shown.
        summary: Vec<Part<'r>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        encrypted_content: Option<Cow<'r, str>>,
    },
    Message {
        id: String,
        status: &'static str,
        role: &'static str,
        content: Vec<Part<'r>>,
    },
    FunctionCall {
        id: String,
        status: &'static str,
        arguments: Cow<'r, str>,
        #[serde(flatten)]
        called: Called<'r>,
    },
    ImageGenerationCall {
        id: String,
        status: &'static str,
        /// Base64; `null` while it is in progress.
        result: Option<&'r str>,
    },
    CustomToolCall {
        id: String,
        status: &'static str,
        input: Cow<'r, str>,
        #[serde(flatten)]
        called: Called<'r>,
    },
}

/// Which tool is called.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Called<'r> {
    pub(super) call_id: Cow<'r, str>,
    pub(super) name: Cow<'r, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) namespace: Option<Cow<'r, str>>,
}

/// A part of an item.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Part<'r> {
    SummaryText { text: Cow<'r, str> },
    OutputText { annotations: [(); 0], logprobs: Logprobs<'r>, text: Cow<'r, str> },
    Refusal { refusal: Cow<'r, str> },
}

/// Log probabilities, one for each token; `[]` where none were asked for.
#[derive(Default, Serialize)]
#[serde(transparent)]
pub(super) struct Logprobs<'r>(pub(super) Vec<&'r RawValue>);

impl<'r, O> Answer<'r, O> {
    /// An answer without usage.
    pub(super) fn new(id: &'r str, model: &'r str, end: End, output: O, repeated: &'r Repeated) -> Self {
        let (status, incomplete_details) = match end {
            End::Open => ("in_progress", None),
            End::Completed => ("completed", None),
            End::Incomplete(reason) => ("incomplete", Some(Incomplete { reason })),
        };
        Self {
            id,
            object: "response",
            created_at: 0,
            status,
            error: None,
            incomplete_details,
            model,
            output,
            usage: None,
            service_tier: None,
            repeated,
        }
    }

    /// The same with a usage, if there is one.
    pub(super) fn with_usage(self, usage: Option<Usage>) -> Self {
        Self { usage: usage.map(Report::of), ..self }
    }
}

impl End {
    /// By the reason. A refusal is a complete answer; what a filter took away without one is not.
    pub(super) fn of(stop: Stop, refused: bool) -> Self {
        match stop {
            Stop::Length => Self::Incomplete("max_output_tokens"),
            Stop::Filter if !refused => Self::Incomplete("content_filter"),
            _ => Self::Completed,
        }
    }

    /// The status of the last item of such an answer.
    pub(super) fn of_item(self) -> &'static str {
        match self {
            Self::Open => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete(_) => "incomplete",
        }
    }
}

impl<'r> Part<'r> {
    /// Text without log probabilities.
    pub(super) fn text(text: impl Into<Cow<'r, str>>) -> Self {
        Self::OutputText { annotations: [], logprobs: Logprobs::default(), text: text.into() }
    }
}

impl<'r> Logprobs<'r> {
    /// Out of OpenAI's other shape, `{"content":[…]}`.
    pub(super) fn read(json: &'r str) -> Self {
        #[derive(serde::Deserialize)]
        struct Chat<'a> {
            #[serde(borrow)]
            content: Option<Vec<&'a RawValue>>,
        }
        let read = serde_json::from_str::<Chat<'r>>(json).ok();
        Self(read.and_then(|read| read.content).unwrap_or_default())
    }
}

/// The id of the item at `index` of the answer `unique`.
pub(super) fn id(prefix: &str, unique: &str, index: u32) -> String {
    format!("{prefix}_{unique}{index:04x}")
}
