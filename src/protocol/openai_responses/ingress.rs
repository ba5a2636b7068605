//! Clients that speak Responses to a provider that does not.

pub mod request;
pub mod response;
pub mod stream;

mod item;
mod names;
mod repeated;

use crate::chat::loss::{Parameter, Unsupported};

/// What a client of this dialect calls a parameter.
pub fn parameter(parameter: Parameter) -> &'static str {
    match parameter {
        Parameter::Temperature => "temperature",
        Parameter::TopP => "top_p",
        Parameter::Logprobs => "include",
        Parameter::TopLogprobs => "top_logprobs",
        Parameter::Verbosity => "text.verbosity",
        Parameter::ParallelCalls => "parallel_tool_calls",
        Parameter::ToolChoice => "tool_choice",
        Parameter::Format => "text.format",
        Parameter::FormatKeyword => "text.format.schema",
        Parameter::SchemaKeyword => "tools.parameters",
        Parameter::Grammar => "tools.format",
        Parameter::Strict => "tools.strict",
        Parameter::Reasoning => "reasoning",
        Parameter::Effort => "reasoning.effort",
        Parameter::Thought => "input.reasoning",
        Parameter::Summary => "reasoning.summary",
        Parameter::Detail => "input.content.detail",
        Parameter::DocumentName => "input.content.filename",
        Parameter::User => "user",
        Parameter::Metadata => "metadata",
        Parameter::ServiceTier => "service_tier",
        Parameter::PromptCacheKey => "prompt_cache_key",
        Parameter::Store => "store",
        // The rest cannot be said in this dialect, so nobody loses it.
        Parameter::TopK => "top_k",
        Parameter::Stop => "stop",
        Parameter::Seed => "seed",
        Parameter::FrequencyPenalty => "frequency_penalty",
        Parameter::PresencePenalty => "presence_penalty",
        Parameter::LogitBias => "logit_bias",
        Parameter::Choices => "n",
        Parameter::CacheControl => "cache_control",
    }
}

/// Where a part stands in the client's request. Results of tools, and items of the model's, that follow one another are one
/// message in the neutral form, and its parts are counted from the first of them.
pub fn place(unsupported: &Unsupported) -> String {
    match unsupported.message {
        Some(item) => format!("input[{item}].content[{}]", unsupported.part),
        None => "the request".to_owned(),
    }
}
