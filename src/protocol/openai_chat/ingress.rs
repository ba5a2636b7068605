//! Clients that speak chat completions to a provider that does not.

pub mod request;
pub mod response;
pub mod stream;

use crate::chat::loss::{Parameter, Unsupported};

/// What a client of this dialect calls a parameter.
pub fn parameter(parameter: Parameter) -> &'static str {
    match parameter {
        Parameter::Temperature => "temperature",
        Parameter::TopP => "top_p",
        Parameter::TopK => "top_k",
        Parameter::Stop => "stop",
        Parameter::Seed => "seed",
        Parameter::FrequencyPenalty => "frequency_penalty",
        Parameter::PresencePenalty => "presence_penalty",
        Parameter::LogitBias => "logit_bias",
        Parameter::Choices => "n",
        Parameter::Logprobs => "logprobs",
        Parameter::TopLogprobs => "top_logprobs",
        Parameter::Verbosity => "verbosity",
        Parameter::ParallelCalls => "parallel_tool_calls",
        Parameter::ToolChoice => "tool_choice",
        Parameter::Format => "response_format",
        Parameter::FormatKeyword => "response_format.json_schema.schema",
        Parameter::SchemaKeyword => "tools.function.parameters",
        Parameter::Grammar => "tools.custom.format",
        Parameter::Strict => "tools.function.strict",
        Parameter::Reasoning | Parameter::Effort => "reasoning_effort",
        Parameter::Thought => "messages.reasoning_details",
        Parameter::Detail => "messages.content.image_url.detail",
        Parameter::DocumentName => "messages.content.file.filename",
        Parameter::CacheControl => "cache_control",
        Parameter::User => "user",
        Parameter::Metadata => "metadata",
        Parameter::ServiceTier => "service_tier",
        Parameter::PromptCacheKey => "prompt_cache_key",
        Parameter::Store => "store",
        // Cannot be said in this dialect, so nobody loses it.
        Parameter::Summary => "summary",
    }
}

/// Where a part stands in the client's request. Results of tools that follow one another are one message in the neutral
/// form, and its parts are counted from the first of them.
pub fn place(unsupported: &Unsupported) -> String {
    match unsupported.message {
        Some(message) => format!("messages[{message}].content[{}]", unsupported.part),
        None => "the request".to_owned(),
    }
}
