//! Clients that speak Google's generateContent to a provider that does not.

pub mod request;
pub mod response;
pub mod stream;

mod spelling;

use std::borrow::Cow;

use crate::chat::loss::{Parameter, Unsupported};

/// What the client calls a parameter in its request, in its own spelling.
pub fn parameter(parameter: Parameter, body: &[u8]) -> Cow<'static, str> {
    let names = names(parameter);
    let body = str::from_utf8(body).unwrap_or_default().trim();
    let written = names.iter().find_map(|name| spelling::written(body, name));
    written.map_or(Cow::Borrowed(names[0]), Cow::Owned)
}

/// What a parameter may be called, as Google spells it.
fn names(parameter: Parameter) -> &'static [&'static str] {
    match parameter {
        Parameter::Temperature => &["generationConfig.temperature"],
        Parameter::TopP => &["generationConfig.topP"],
        Parameter::TopK => &["generationConfig.topK"],
        Parameter::Stop => &["generationConfig.stopSequences"],
        Parameter::Seed => &["generationConfig.seed"],
        Parameter::FrequencyPenalty => &["generationConfig.frequencyPenalty"],
        Parameter::PresencePenalty => &["generationConfig.presencePenalty"],
        Parameter::Choices => &["generationConfig.candidateCount"],
        Parameter::Logprobs => &["generationConfig.responseLogprobs"],
        Parameter::TopLogprobs => &["generationConfig.logprobs"],
        Parameter::Format => &[
            "generationConfig.responseMimeType",
            "generationConfig.responseJsonSchema",
            "generationConfig.responseSchema",
        ],
        Parameter::FormatKeyword => {
            &["generationConfig.responseJsonSchema", "generationConfig.responseSchema"]
        }
        Parameter::Reasoning | Parameter::Effort => &["generationConfig.thinkingConfig"],
        Parameter::Thought => &["contents.parts.thought"],
        Parameter::ToolChoice => &["toolConfig.functionCallingConfig"],
        Parameter::SchemaKeyword => {
            &["tools.functionDeclarations.parametersJsonSchema", "tools.functionDeclarations.parameters"]
        }
        Parameter::ServiceTier => &["serviceTier"],
        Parameter::Store => &["store"],
        Parameter::DocumentName => {
            &["contents.parts.inlineData.displayName", "contents.parts.fileData.displayName"]
        }
        // The rest cannot be said in this dialect, so nobody loses it.
        Parameter::Verbosity => &["verbosity"],
        Parameter::LogitBias => &["logitBias"],
        Parameter::ParallelCalls => &["parallelToolCalls"],
        Parameter::Grammar => &["format"],
        Parameter::Summary => &["summary"],
        Parameter::Strict => &["strict"],
        Parameter::Detail => &["detail"],
        Parameter::CacheControl => &["cacheControl"],
        Parameter::User => &["user"],
        Parameter::Metadata => &["metadata"],
        Parameter::PromptCacheKey => &["promptCacheKey"],
    }
}

/// Where a part stands in the client's request.
pub fn place(unsupported: &Unsupported) -> String {
    match unsupported.message {
        Some(message) => format!("contents[{message}].parts[{}]", unsupported.part),
        None => format!("systemInstruction.parts[{}]", unsupported.part),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_called_as_the_client_calls_it() {
        let body = br#" {"generation_config":{"logprobs":2,"topK":1,"response_json_schema":{},"responseSchema":null},
            "tools":[{"googleSearch":{}},{"function_declarations":[{"name":"a"},{"name":"b","parameters":{}}]}]}"#;
        for (lost, name) in [
            (Parameter::TopLogprobs, "generation_config.logprobs"),
            (Parameter::TopK, "generation_config.topK"),
            (Parameter::Format, "generation_config.response_json_schema"),
            (Parameter::FormatKeyword, "generation_config.response_json_schema"),
            (Parameter::SchemaKeyword, "tools.function_declarations.parameters"),
            (Parameter::Seed, "generationConfig.seed"),
        ] {
            assert_eq!(parameter(lost, body), name);
        }
        assert_eq!(parameter(Parameter::Logprobs, b"["), "generationConfig.responseLogprobs");
    }
}
