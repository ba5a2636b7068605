//! Clients that speak Google's generateContent to a provider that does not.

pub mod request;
pub mod response;
pub mod stream;

mod spelling;

use crate::chat::loss::{Parameter, Unsupported};

/// What a client of this dialect calls a parameter.
pub fn parameter(parameter: Parameter) -> &'static str {
    match parameter {
        Parameter::Temperature => "generationConfig.temperature",
        Parameter::TopP => "generationConfig.topP",
        Parameter::TopK => "generationConfig.topK",
        Parameter::Stop => "generationConfig.stopSequences",
        Parameter::Seed => "generationConfig.seed",
        Parameter::FrequencyPenalty => "generationConfig.frequencyPenalty",
        Parameter::PresencePenalty => "generationConfig.presencePenalty",
        Parameter::Choices => "generationConfig.candidateCount",
        Parameter::Logprobs => "generationConfig.responseLogprobs",
        Parameter::TopLogprobs => "generationConfig.logprobs",
        Parameter::Format => "generationConfig.responseMimeType",
        Parameter::Reasoning => "generationConfig.thinkingConfig",
        Parameter::ToolChoice => "toolConfig.functionCallingConfig",
        Parameter::FormatKeyword => "generationConfig.responseSchema",
        Parameter::SchemaKeyword => "tools.functionDeclarations.parameters",
        Parameter::ServiceTier => "serviceTier",
        Parameter::Store => "store",
        // The rest cannot be said in this dialect, so nobody loses it.
        Parameter::Verbosity => "verbosity",
        Parameter::LogitBias => "logitBias",
        Parameter::ParallelCalls => "parallelToolCalls",
        Parameter::Grammar => "format",
        Parameter::Summary => "summary",
        Parameter::Strict => "strict",
        Parameter::Detail => "detail",
        Parameter::DocumentName => "contents.parts.inlineData.displayName",
        Parameter::CacheControl => "cacheControl",
        Parameter::User => "user",
        Parameter::Metadata => "metadata",
        Parameter::PromptCacheKey => "promptCacheKey",
    }
}

/// Where a part stands in the client's request.
pub fn place(unsupported: &Unsupported) -> String {
    match unsupported.message {
        Some(message) => format!("contents[{message}].parts[{}]", unsupported.part),
        None => format!("systemInstruction.parts[{}]", unsupported.part),
    }
}
