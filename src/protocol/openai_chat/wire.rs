//! The JSON of chat completions as it is written: what requests and answers have in common.

use std::borrow::Cow;

use serde::Serialize;

use crate::{
    chat::{
        content::{Call, Input, Media},
        signature::{Maker, Signature},
        usage::Usage,
    },
    protocol::{call::free_text, media},
};

/// A call of a message. `index` only in streams.
#[derive(Debug, Serialize)]
pub(super) struct ToolCall<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<Cow<'a, str>>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) function: Option<FunctionCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) custom: Option<CustomCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) extra_content: Option<ExtraContent<'a>>,
}

#[derive(Debug, Serialize)]
pub(super) struct FunctionCall<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'a str>,
    pub(super) arguments: &'a str,
}

#[derive(Debug, Serialize)]
pub(super) struct CustomCall<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'a str>,
    pub(super) input: Cow<'a, str>,
}

/// Where Google's own compatible endpoint has its signatures.
#[derive(Debug, Serialize)]
pub(super) struct ExtraContent<'a> {
    google: Google<'a>,
}

#[derive(Debug, Serialize)]
struct Google<'a> {
    thought_signature: Cow<'a, str>,
}

/// A piece of reasoning with its signature: opaque to clients, who send it back as it is. `index` is its place among
/// them: OpenAI's own SDK puts the lists of a stream together by it, and fails without.
#[derive(Debug, Serialize)]
#[serde(tag = "type")]
pub(super) enum ReasoningDetail<'a> {
    #[serde(rename = "reasoning.text")]
    Text { index: u32, text: &'a str, signature: Cow<'a, str> },
    #[serde(rename = "reasoning.encrypted")]
    Encrypted { index: u32, data: Cow<'a, str> },
}

/// An image of an answer, as OpenRouter has it. <https://openrouter.ai/docs/features/multimodal/image-generation>
#[derive(Debug, Serialize)]
pub(super) struct OutImage<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    index: u32,
    image_url: Address<'a>,
}

#[derive(Debug, Serialize)]
struct Address<'a> {
    url: Cow<'a, str>,
}

#[derive(Debug, Serialize)]
pub(super) struct UsageReport {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_tokens_details: Option<PromptDetails>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Debug, Serialize)]
struct PromptDetails {
    cached_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_write_tokens: Option<u64>,
}

#[derive(Debug, Serialize)]
struct CompletionDetails {
    reasoning_tokens: u64,
}

impl<'a> ToolCall<'a> {
    /// A whole call. `free`: its tool takes free text, which may stand in an object.
    pub(super) fn of(call: &'a Call<'_>, id: Cow<'a, str>, free: bool) -> Self {
        let name = Some(call.name.as_ref());
        let (kind, function, custom) = match &call.input {
            Input::Json(arguments) if free => {
                let input = free_text(Cow::Borrowed(arguments));
                ("custom", None, Some(CustomCall { name, input }))
            }
            Input::Json(arguments) => ("function", Some(FunctionCall { name, arguments }), None),
            Input::Text(input) => ("custom", None, Some(CustomCall { name, input: Cow::Borrowed(input) })),
        };
        Self { index: None, id: Some(id), kind: Some(kind), function, custom, extra_content: None }
    }
}

impl<'a> ExtraContent<'a> {
    /// A signature that goes with a call, or with text.
    pub(super) fn of(signature: &'a Signature<'_>) -> Self {
        Self { google: Google { thought_signature: signature.marked(Maker::Google) } }
    }
}

impl<'a> OutImage<'a> {
    /// The image at `index` of an answer.
    pub(super) fn of(index: u32, media: &'a Media<'_>) -> Self {
        Self { kind: "image_url", index, image_url: Address { url: media::url(media) } }
    }
}

impl UsageReport {
    /// The neutral form has OpenAI's arithmetic: nothing is added but the total.
    pub(super) fn of(usage: Usage) -> Self {
        let (prompt, completion) = (usage.input.unwrap_or(0), usage.output.unwrap_or(0));
        let cache = usage.cached.is_some() || usage.cache_write.is_some();
        Self {
            prompt_tokens: prompt,
            completion_tokens: completion,
            total_tokens: prompt.saturating_add(completion),
            prompt_tokens_details: cache.then(|| PromptDetails {
                cached_tokens: usage.cached.unwrap_or(0),
                cache_write_tokens: usage.cache_write,
            }),
            completion_tokens_details: usage
                .reasoning
                .map(|reasoning_tokens| CompletionDetails { reasoning_tokens }),
        }
    }
}
