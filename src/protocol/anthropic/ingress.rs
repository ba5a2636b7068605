//! Clients that speak Anthropic's Messages to a provider that does not.
//!
//! What a model thought comes as `thinking` blocks, whoever made it: `signature` is empty where the maker signs nothing, its
//! own where the maker is Anthropic, and marked with the maker's name (`nexus:google:…`) otherwise. What OpenAI encrypts
//! without a summary is a `redacted_thinking` block, marked likewise. Google signs calls and texts: that signature stands in
//! a block without thinking, right before the call or right behind the text. Clients send the blocks back as they are.

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
        Parameter::Stop => "stop_sequences",
        Parameter::ParallelCalls => "tool_choice.disable_parallel_tool_use",
        Parameter::ToolChoice => "tool_choice",
        Parameter::Format => "output_config.format",
        Parameter::FormatKeyword => "output_config.format.schema",
        Parameter::SchemaKeyword => "tools.input_schema",
        Parameter::Strict => "tools.strict",
        Parameter::Reasoning => "thinking",
        Parameter::Effort => "output_config.effort",
        Parameter::Thought => "messages.content.thinking",
        Parameter::Summary => "thinking.display",
        Parameter::CacheControl => "cache_control",
        Parameter::User => "metadata.user_id",
        Parameter::Metadata => "metadata",
        Parameter::ServiceTier => "service_tier",
        // The rest cannot be said in this dialect, so nobody loses it.
        Parameter::Seed => "seed",
        Parameter::FrequencyPenalty => "frequency_penalty",
        Parameter::PresencePenalty => "presence_penalty",
        Parameter::LogitBias => "logit_bias",
        Parameter::Choices => "n",
        Parameter::Logprobs => "logprobs",
        Parameter::TopLogprobs => "top_logprobs",
        Parameter::Verbosity => "verbosity",
        Parameter::Detail => "detail",
        Parameter::DocumentName => "messages.content.title",
        Parameter::PromptCacheKey => "prompt_cache_key",
        Parameter::Store => "store",
        Parameter::Grammar => "tools.format",
    }
}

/// Where a part stands in the client's request.
pub fn place(unsupported: &Unsupported) -> String {
    match unsupported.message {
        Some(message) => format!("messages[{message}].content[{}]", unsupported.part),
        None => format!("system[{}]", unsupported.part),
    }
}
