//! An answer, whole or in events, in no wire format.
//!
//! The grammar of a stream: one [`Event::Start`]; then for each choice any number of deltas and one [`Event::Finish`];
//! [`Event::Usage`] at any time, each report replacing the one before; nothing after the end but that. An
//! [`Event::Error`] is the last event. Deltas have no blocks: a block begins with the first delta of another kind, or of
//! another call, than the one before. Calls of one choice may be interleaved, told apart by their index.

use std::borrow::Cow;

use super::{
    content::{Call, Content, Media},
    fault::Fault,
    json::Json,
    signature::Signature,
    usage::Usage,
};

/// A whole answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response<'a> {
    /// The provider's id of it; empty when it has none.
    pub id: Cow<'a, str>,
    /// Seconds since 1970, where the provider says.
    pub created: Option<u64>,
    /// What the provider calls the model that answered.
    pub model: Option<Cow<'a, str>>,
    /// The answers; one, unless more were asked for. Never empty: a blocked prompt is one choice without content.
    pub choices: Vec<Choice<'a>>,
    /// Its cost.
    pub usage: Option<Usage>,
    /// The tier that served it.
    pub service_tier: Option<Cow<'a, str>>,
}

/// One answer of several.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice<'a> {
    /// What the model says, thinks and calls, in its order.
    pub content: Vec<Content<'a>>,
    /// Why it ends.
    pub stop: Stop,
    /// The text at which it ended.
    pub stop_sequence: Option<Cow<'a, str>>,
    /// Log probabilities in OpenAI's shape, as written.
    pub logprobs: Option<Json<'a>>,
}

/// Why an answer ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stop {
    /// It is complete.
    #[default]
    End,
    /// It has as many tokens as it may.
    Length,
    /// A stop text came.
    Sequence,
    /// Tools are to be called.
    Calls,
    /// The model declined, or a filter did.
    Filter,
    /// The provider paused a long turn; it goes on when the answer is sent back (Anthropic's `pause_turn`).
    Pause,
}

/// A step of a streamed answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<'a> {
    /// The answer begins.
    Start {
        /// See [`Response::id`].
        id: Cow<'a, str>,
        /// See [`Response::created`].
        created: Option<u64>,
        /// See [`Response::model`].
        model: Option<Cow<'a, str>>,
    },
    /// A choice goes on.
    Delta {
        /// Which, from 0.
        choice: u32,
        /// By what.
        delta: Delta<'a>,
    },
    /// A choice ends.
    Finish {
        /// Which, from 0.
        choice: u32,
        /// Why, calls already taken into account.
        stop: Stop,
        /// The text at which it ended.
        stop_sequence: Option<Cow<'a, str>>,
    },
    /// The cost so far. The last report stands.
    Usage(Usage),
    /// The answer broke off.
    Error(Fault<'a>),
}

/// What a choice goes on by.
#[derive(Clone, Debug, PartialEq)]
pub enum Delta<'a> {
    /// More text; not empty.
    Text(Cow<'a, str>),
    /// More of a refusal; not empty.
    Refusal(Cow<'a, str>),
    /// More reasoning; not empty.
    Reasoning(Cow<'a, str>),
    /// The signature of the reasoning (or, for Gemini, of the text) before it, whole. Also on its own: reasoning that is
    /// not shown.
    Signature(Signature<'a>),
    /// A piece of reasoning that is encrypted, whole.
    Redacted(Signature<'a>),
    /// A call begins.
    Call {
        /// Which, from 0 within its choice.
        index: u32,
        /// Its id, never empty.
        id: Cow<'a, str>,
        /// The tool.
        name: Cow<'a, str>,
        /// Whether its input is the free text of a custom tool.
        custom: bool,
        /// The model's signature on it (Gemini).
        signature: Option<Signature<'a>>,
    },
    /// More of a call's input; not empty. A call without any has `{}`.
    Input {
        /// Which call.
        index: u32,
        /// A piece of JSON, or of free text.
        text: Cow<'a, str>,
    },
    /// An image, whole.
    Image(Media<'a>),
    /// Log probabilities of the text that comes with it, in OpenAI's shape.
    Logprobs(Json<'a>),
}

impl<'a> Choice<'a> {
    /// The calls in it.
    pub fn calls(&self) -> impl Iterator<Item = &Call<'a>> {
        self.content.iter().filter_map(|content| match content {
            Content::Call(call) => Some(call),
            _ => None,
        })
    }

    /// Why it ends, by what is there: where there are calls it is [`Stop::Calls`], whatever the provider says, unless it
    /// was cut off or filtered.
    pub fn stop(&self) -> Stop {
        self.stop.with_calls(self.calls().next().is_some())
    }
}

impl Stop {
    /// The reason that holds when the answer has calls, or has none: providers say `stop` beside calls, and
    /// `tool_calls` without any.
    pub fn with_calls(self, calls: bool) -> Self {
        match (self, calls) {
            (Self::End | Self::Sequence | Self::Pause, true) => Self::Calls,
            (Self::Calls, false) => Self::End,
            (stop, _) => stop,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_decide_the_reason_unless_the_answer_was_cut_off() {
        assert_eq!(Stop::End.with_calls(true), Stop::Calls);
        assert_eq!(Stop::Calls.with_calls(false), Stop::End);
        assert_eq!(Stop::Length.with_calls(true), Stop::Length);
        assert_eq!(Stop::Filter.with_calls(true), Stop::Filter);
    }
}
