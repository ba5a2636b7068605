//! A request for an answer, in no wire format. What every format says alike stands here once; what only one can say is
//! kept by its own name in [`Request::unsaid`], so that a translation can tell what it dropped.

use std::borrow::Cow;

use serde_json::Number;

use super::{
    content::Content,
    json::Json,
    loss::{Losses, Parameter},
};

/// A request for an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request<'a> {
    /// The conversation in its order, system messages where they stood.
    pub messages: Vec<Message<'a>>,
    /// Tools the model may call.
    pub tools: Vec<Tool<'a>>,
    /// Whether it must.
    pub tool_choice: Option<ToolChoice<'a>>,
    /// Whether it may call several at once.
    pub parallel_calls: Option<bool>,
    /// The form of the answer.
    pub format: Option<Format<'a>>,
    /// How much it may think.
    pub reasoning: Option<Thinking<'a>>,
    /// How it is sampled.
    pub sampling: Sampling<'a>,
    /// Whether the answer is streamed.
    pub stream: bool,
    /// What does not change the answer.
    pub hints: Hints<'a>,
    /// In which form the client wants the answer.
    pub wishes: Wishes,
    /// What the request says that this form cannot, by the client's own dotted names; dropped by every translation.
    pub unsaid: Vec<Unsaid<'a>>,
}

/// What a client wishes of the form of its answer alone: no provider is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Usage at the end of a stream, where that takes asking.
    pub usage: bool,
    /// Calls in OpenAI's form from before there were tools.
    pub functions: bool,
}

/// What of a request its answer depends on: kept while the provider has it, for the request itself is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Whether the client wants to see what the model thinks; see [`Thinking::shown`].
    pub shown: Option<bool>,
    /// See [`Request::wishes`].
    pub wishes: Wishes,
    /// The tools that take free text, by name: a provider without such tools calls them with an object.
    pub custom: Box<[Box<str>]>,
}

impl Request<'_> {
    /// What its answer depends on.
    pub fn expected(&self) -> Expected {
        let shown = self.reasoning.as_ref().and_then(|reasoning| reasoning.shown);
        // Who has no tools gets no calls, in whatever form.
        let functions = self.wishes.functions && !self.tools.is_empty();
        let custom = self.tools.iter().filter(|tool| matches!(tool.input, ToolInput::Text(_)));
        Expected {
            shown,
            wishes: Wishes { functions, ..self.wishes },
            custom: custom.map(|tool| tool.name.as_ref().into()).collect(),
        }
    }
}

impl Expected {
    /// Whether the tool takes free text.
    pub fn takes_text(&self, tool: &str) -> bool {
        self.custom.iter().any(|name| **name == *tool)
    }
}

/// One turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Message<'a> {
    /// Whose.
    pub role: Role,
    /// What it holds. Results of tools stand in a turn of the user, several that follow one another in one turn.
    pub content: Vec<Content<'a>>,
    /// Its number in the client's list, from 0, to name it in errors.
    pub at: usize,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The operator of the application (`system`, `developer`).
    System,
    /// The user, and the tools.
    User,
    /// The model.
    Assistant,
}

/// A tool of the client's.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool<'a> {
    /// Its name as the model sees it.
    pub name: Cow<'a, str>,
    /// What it does.
    pub description: Option<Cow<'a, str>>,
    /// What it takes.
    pub input: ToolInput<'a>,
    /// Whether arguments must follow the schema.
    pub strict: Option<bool>,
    /// See [`super::content::Text::cache`].
    pub cache: Option<Json<'a>>,
}

/// What a tool takes.
#[derive(Clone, Debug, PartialEq)]
pub enum ToolInput<'a> {
    /// An object by this JSON Schema; `None` = the client gave none.
    Schema(Option<Json<'a>>),
    /// Free text (OpenAI's custom tools), its grammar as written. Where a target has no such tools it becomes a function
    /// with one string argument `input`.
    Text(Option<Json<'a>>),
}

/// Whether the model must call a tool.
#[derive(Clone, Debug, PartialEq)]
pub enum ToolChoice<'a> {
    /// As it likes.
    Auto,
    /// None.
    None,
    /// Some.
    Required,
    /// This one.
    Named(Cow<'a, str>),
    /// Out of these.
    Among {
        /// Their names.
        names: Vec<Cow<'a, str>>,
        /// Whether one must be called.
        required: bool,
    },
}

/// The form of the answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Format<'a> {
    /// Any JSON object.
    JsonObject,
    /// JSON by a schema.
    Schema {
        /// Its name; some formats have none.
        name: Option<Cow<'a, str>>,
        /// What it is for.
        description: Option<Cow<'a, str>>,
        /// The JSON Schema as written.
        schema: Json<'a>,
        /// Whether the answer must follow it.
        strict: Option<bool>,
    },
}

/// How much the model may think, as the client said it: by effort, by budget, or not at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Thinking<'a> {
    /// How much.
    pub amount: Option<Amount>,
    /// Whether the client wants to see it (`includeThoughts`, `display`, a `summary`).
    pub shown: Option<bool>,
    /// The client's own word for how it is shown (OpenAI's `summary`, Anthropic's `display`), as written.
    pub summary: Option<Cow<'a, str>>,
}

/// How much the model may think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// Not at all.
    Off,
    /// As the model likes (`adaptive`, budget −1).
    Dynamic,
    /// By a word.
    Effort(Effort),
    /// Tokens.
    Budget(u64),
}

/// Effort in words, ascending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    /// `minimal`
    Minimal,
    /// `low`
    Low,
    /// `medium`
    Medium,
    /// `high`
    High,
    /// `xhigh`, `max`
    Highest,
}

/// How the answer is sampled.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sampling<'a> {
    /// Tokens the answer may have.
    pub max_tokens: Option<u64>,
    /// `temperature`
    pub temperature: Option<Number>,
    /// `top_p`
    pub top_p: Option<Number>,
    /// `top_k`
    pub top_k: Option<Number>,
    /// Texts at which the answer ends.
    pub stop: Vec<Cow<'a, str>>,
    /// `seed`
    pub seed: Option<Number>,
    /// `frequency_penalty`
    pub frequency_penalty: Option<Number>,
    /// `presence_penalty`
    pub presence_penalty: Option<Number>,
    /// `logit_bias` as written.
    pub logit_bias: Option<Json<'a>>,
    /// Answers wanted; `None` and `Some(1)` mean the same.
    pub choices: Option<u64>,
    /// Whether log probabilities are wanted.
    pub logprobs: Option<bool>,
    /// How many of the likeliest tokens with each; more than 0 wants them, whatever `logprobs` says.
    pub top_logprobs: Option<u64>,
    /// How many words it makes, in OpenAI's: `low`, `medium`, `high`.
    pub verbosity: Option<Cow<'a, str>>,
}

/// What does not change the answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hints<'a> {
    /// Who the end user is (`user`, `safety_identifier`, `metadata.user_id`).
    pub user: Option<Cow<'a, str>>,
    /// `metadata` as written, apart from Anthropic's `user_id`.
    pub metadata: Option<Json<'a>>,
    /// `service_tier`
    pub service_tier: Option<Cow<'a, str>>,
    /// `prompt_cache_key`
    pub prompt_cache_key: Option<Cow<'a, str>>,
    /// `store`
    pub store: Option<bool>,
}

/// Something the client said that no other format can say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsaid<'a> {
    /// Its dotted name in the client's request: `logprobs`, `tools.web_search`, `generationConfig.responseModalities`.
    pub name: Cow<'a, str>,
    /// Whether it changes no answer: then a strict caller is not refused for it.
    pub hint: bool,
}

impl Sampling<'_> {
    /// What neither Anthropic's Messages nor Converse has a word for.
    pub const UNSAID_TO_CLAUDE: [Parameter; 8] = [
        Parameter::Seed,
        Parameter::FrequencyPenalty,
        Parameter::PresencePenalty,
        Parameter::LogitBias,
        Parameter::Choices,
        Parameter::Logprobs,
        Parameter::TopLogprobs,
        Parameter::Verbosity,
    ];

    /// Whether a parameter asks for something. What every model does anyway, such as a penalty of 0 or one answer, does not:
    /// it is no loss where it cannot be said.
    pub fn asks(&self, parameter: Parameter) -> bool {
        let other = |number: &Option<Number>, default: f64| {
            number.as_ref().is_some_and(|number| number.as_f64() != Some(default))
        };
        match parameter {
            Parameter::Temperature => other(&self.temperature, 1.0),
            Parameter::TopP => other(&self.top_p, 1.0),
            Parameter::TopK => self.top_k.is_some(),
            Parameter::Stop => !self.stop.is_empty(),
            Parameter::Seed => self.seed.is_some(),
            Parameter::FrequencyPenalty => other(&self.frequency_penalty, 0.0),
            Parameter::PresencePenalty => other(&self.presence_penalty, 0.0),
            Parameter::LogitBias => self.logit_bias.as_ref().is_some_and(|bias| !bias.is_empty()),
            Parameter::Choices => self.choices.is_some_and(|choices| choices > 1),
            Parameter::Logprobs => self.logprobs == Some(true),
            Parameter::TopLogprobs => self.top_logprobs.is_some_and(|top| top > 0),
            Parameter::Verbosity => self.verbosity.is_some(),
            _ => false,
        }
    }

    /// Notes what is asked for by these parameters as lost.
    pub fn lose(&self, parameters: &[Parameter], losses: &mut Losses) {
        for parameter in parameters {
            losses.lose_if(self.asks(*parameter), *parameter);
        }
    }
}

impl Thinking<'_> {
    /// As what it is lost: by what the client said it with.
    pub fn parameter(&self) -> Parameter {
        match self.amount {
            Some(Amount::Effort(_)) => Parameter::Effort,
            _ => Parameter::Reasoning,
        }
    }
}

impl Amount {
    /// The tokens to think with that go with `wanted`, in an answer of at most `max_tokens`, of which they are a part. What
    /// the client counted itself stays where it fits; else at least a quarter is left for what is said.
    pub fn within(self, wanted: u64, max_tokens: u64) -> u64 {
        match self {
            Self::Budget(_) if wanted < max_tokens => wanted,
            _ => wanted.min(max_tokens - max_tokens.div_ceil(4)),
        }
    }
}

impl Effort {
    /// The thinking budget that goes with it, in tokens.
    pub fn budget(self) -> u64 {
        match self {
            Self::Minimal => 1_024,
            Self::Low => 2_048,
            Self::Medium => 8_192,
            Self::High => 24_576,
            Self::Highest => 32_768,
        }
    }

    /// The effort that comes nearest to a budget from below; at least [`Effort::Minimal`].
    pub fn of_budget(tokens: u64) -> Self {
        let all = [Self::Highest, Self::High, Self::Medium, Self::Low];
        all.into_iter().find(|effort| effort.budget() <= tokens).unwrap_or(Self::Minimal)
    }

    /// The word as OpenAI has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Highest => "xhigh",
        }
    }

    /// The effort of a word of any format, whatever its case.
    pub fn of_name(name: &str) -> Option<Self> {
        let all = [Self::Minimal, Self::Low, Self::Medium, Self::High, Self::Highest];
        let known = all.into_iter().find(|effort| effort.name().eq_ignore_ascii_case(name));
        known.or_else(|| name.eq_ignore_ascii_case("max").then_some(Self::Highest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_model_does_anyway_is_not_asked_for() {
        use Parameter::{
            Choices, FrequencyPenalty, LogitBias, Logprobs, PresencePenalty, Seed, Stop, Temperature, TopK,
            TopLogprobs, TopP, Verbosity,
        };
        const ALL: [Parameter; 12] = [
            Temperature,
            TopP,
            TopK,
            Stop,
            Seed,
            FrequencyPenalty,
            PresencePenalty,
            LogitBias,
            Choices,
            Logprobs,
            TopLogprobs,
            Verbosity,
        ];
        let (zero, one) = (Number::from_f64(0.0), Some(Number::from(1)));
        let mut sampling = Sampling {
            temperature: one.clone(),
            top_p: one.clone(),
            frequency_penalty: zero.clone(),
            presence_penalty: Some(Number::from(0)),
            logit_bias: Json::parse("{ }".to_owned()),
            choices: Some(1),
            logprobs: Some(false),
            top_logprobs: Some(0),
            ..Sampling::default()
        };
        let lost = |sampling: &Sampling<'_>| {
            let mut losses = Losses::default();
            sampling.lose(&ALL, &mut losses);
            losses.iter().collect::<Vec<_>>()
        };
        assert_eq!(lost(&sampling), []);
        sampling = Sampling {
            temperature: zero.clone(),
            top_p: zero,
            top_k: one.clone(),
            stop: vec!["x".into()],
            seed: one.clone(),
            frequency_penalty: one.clone(),
            presence_penalty: one,
            logit_bias: Json::parse(r#"{"5":1}"#.to_owned()),
            choices: Some(2),
            logprobs: Some(true),
            top_logprobs: Some(1),
            verbosity: Some("low".into()),
            ..sampling
        };
        assert_eq!(lost(&sampling), ALL);
    }

    #[test]
    fn effort_and_budget_agree() {
        for effort in [Effort::Minimal, Effort::Low, Effort::Medium, Effort::High, Effort::Highest] {
            assert_eq!(Effort::of_budget(effort.budget()), effort);
            assert_eq!(Effort::of_name(effort.name()), Some(effort));
        }
        assert_eq!(Effort::of_budget(0), Effort::Minimal);
        assert_eq!(Effort::of_budget(10_000), Effort::Medium);
        assert_eq!(Effort::of_name("MAX"), Some(Effort::Highest));
        assert_eq!(Effort::of_name("none"), None);
    }
}
