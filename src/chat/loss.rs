//! What a translation could not carry, so that the caller can be told: named by what it is here, turned into the client's
//! own dotted name by the protocol it came in by. Losses are of the request only.

use std::borrow::Cow;

/// Something the neutral form has and a target has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Parameter {
    /// `Sampling::temperature`
    Temperature,
    /// `Sampling::top_p`
    TopP,
    /// `Sampling::top_k`
    TopK,
    /// `Sampling::stop`
    Stop,
    /// `Sampling::seed`
    Seed,
    /// `Sampling::frequency_penalty`
    FrequencyPenalty,
    /// `Sampling::presence_penalty`
    PresencePenalty,
    /// `Sampling::logit_bias`
    LogitBias,
    /// `Sampling::choices`
    Choices,
    /// `Sampling::logprobs`
    Logprobs,
    /// `Sampling::top_logprobs`
    TopLogprobs,
    /// `Sampling::verbosity`
    Verbosity,
    /// `Request::parallel_calls`
    ParallelCalls,
    /// `Request::tool_choice`, where the target cannot force it
    ToolChoice,
    /// `Format::JsonObject` and `Format::Schema`
    Format,
    /// A keyword of the answer's JSON Schema that the target refuses
    FormatKeyword,
    /// A keyword of a tool's JSON Schema that the target refuses
    SchemaKeyword,
    /// The grammar of a tool's free text: [`super::request::ToolInput::Text`]
    Grammar,
    /// `Tool::strict`
    Strict,
    /// `Request::reasoning`
    Reasoning,
    /// `Request::reasoning`, where the client asked for it by an effort
    Effort,
    /// [`super::content::Reasoning`] of the history that the target's model did not sign, and so cannot take; a hint
    Thought,
    /// `Thinking::summary`, where the target cannot be told to show what it thinks; a hint
    Summary,
    /// `Image::detail`; a hint
    Detail,
    /// `Document::name`; a hint
    DocumentName,
    /// A prompt-cache marker; a hint
    CacheControl,
    /// `Hints::user`; a hint
    User,
    /// `Hints::metadata`; a hint
    Metadata,
    /// `Hints::service_tier`; a hint
    ServiceTier,
    /// `Hints::prompt_cache_key`; a hint
    PromptCacheKey,
    /// `Hints::store`; a hint
    Store,
}

/// What a translation dropped, each thing once, in the order it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses(Vec<Parameter>);

/// Content that a target cannot carry. Content is never dropped: the call is refused, and the part named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// The message, by [`super::request::Message::at`]; `None` when it is not about one.
    pub message: Option<usize>,
    /// The part within the message, from 0.
    pub part: usize,
    /// What cannot be sent and why: "audio cannot be sent to an Anthropic provider".
    pub why: Cow<'static, str>,
}

impl Parameter {
    /// Whether it changes no answer, so that nobody is refused for its loss.
    pub fn is_hint(self) -> bool {
        matches!(
            self,
            Self::Summary
                | Self::Thought
                | Self::Detail
                | Self::DocumentName
                | Self::CacheControl
                | Self::User
                | Self::Metadata
                | Self::ServiceTier
                | Self::PromptCacheKey
                | Self::Store
        )
    }
}

impl Losses {
    /// Notes a loss.
    pub fn lose(&mut self, parameter: Parameter) {
        if !self.0.contains(&parameter) {
            self.0.push(parameter);
        }
    }

    /// Notes a loss if there is something to lose.
    pub fn lose_if(&mut self, there: bool, parameter: Parameter) {
        if there {
            self.lose(parameter);
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Parameter> {
        self.0.iter().copied()
    }
}
