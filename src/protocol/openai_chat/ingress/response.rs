//! Writes a whole answer for a client.

use std::borrow::Cow;

use serde::Serialize;

use crate::{
    chat::{
        content::{Call, Content, Input, Reasoning},
        json::Json,
        request::Expected,
        response::{Choice, Response, Stop},
        signature::Maker,
    },
    protocol::{
        openai_chat::wire::{ExtraContent, FunctionCall, OutImage, ReasoningDetail, ToolCall, UsageReport},
        translate::Asked,
    },
};

#[derive(Serialize)]
struct Body<'a> {
    id: Cow<'a, str>,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<BodyChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<UsageReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
}

#[derive(Serialize)]
struct BodyChoice<'a> {
    index: usize,
    message: Message<'a>,
    logprobs: Option<&'a Json<'a>>,
    finish_reason: &'static str,
}

/// `content` and `refusal` are `null` where there is none, as OpenAI has it; the rest is left out.
#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Option<String>,
    refusal: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    reasoning_content: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasoning_details: Vec<ReasoningDetail<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_call: Option<FunctionCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<ExtraContent<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<OutImage<'a>>,
}

/// The answer, as the request expects it.
pub fn write(response: &Response<'_>, expected: Expected, asked: &Asked<'_>) -> Vec<u8> {
    let choices = response.choices.iter().enumerate();
    let body = Body {
        id: id(&response.id, asked),
        object: "chat.completion",
        created: response.created.unwrap_or(asked.now),
        model: asked.model,
        choices: choices.map(|(index, choice)| body_choice(index, choice, &expected)).collect(),
        usage: response.usage.map(UsageReport::of),
        service_tier: response.service_tier.as_deref(),
    };
    // Strings, numbers and valid JSON always serialise.
    serde_json::to_vec(&body).unwrap_or_default()
}

/// The provider's id where it looks like one of OpenAI's, else one of ours.
pub(super) fn id<'a>(provider: &str, asked: &Asked<'_>) -> Cow<'a, str> {
    if provider.starts_with("chatcmpl-") {
        Cow::Owned(provider.to_owned())
    } else {
        Cow::Owned(format!("chatcmpl-{}", asked.unique))
    }
}

/// The word for an end. A refusal in the model's own words ends as any answer does.
pub(super) fn finish_reason(stop: Stop, refused: bool, functions: bool) -> &'static str {
    match stop {
        Stop::End | Stop::Sequence | Stop::Pause => "stop",
        Stop::Length => "length",
        Stop::Calls if functions => "function_call",
        Stop::Calls => "tool_calls",
        Stop::Filter if refused => "stop",
        Stop::Filter => "content_filter",
    }
}

fn body_choice<'a>(index: usize, choice: &'a Choice<'_>, expected: &Expected) -> BodyChoice<'a> {
    let message = message(choice, expected);
    let functions = expected.wishes.functions;
    let finish_reason = finish_reason(choice.stop(), message.refusal.is_some(), functions);
    BodyChoice { index, message, logprobs: choice.logprobs.as_ref(), finish_reason }
}

fn message<'a>(choice: &'a Choice<'_>, expected: &Expected) -> Message<'a> {
    let mut message = Message {
        role: "assistant",
        content: None,
        refusal: None,
        reasoning_content: String::new(),
        reasoning_details: Vec::new(),
        tool_calls: Vec::new(),
        function_call: None,
        extra_content: None,
        images: Vec::new(),
    };
    for part in &choice.content {
        match part {
            Content::Text(text) => {
                message.content.get_or_insert_default().push_str(&text.text);
                message.extra_content =
                    text.signature.as_ref().map(ExtraContent::of).or(message.extra_content);
            }
            Content::Refusal(text) => message.refusal.get_or_insert_default().push_str(text),
            Content::Reasoning(reasoning) => {
                message.reasoning_content.push_str(&reasoning.text);
                let index = u32::try_from(message.reasoning_details.len()).unwrap_or(u32::MAX);
                message.reasoning_details.extend(detail(index, reasoning));
            }
            Content::Call(call) if expected.wishes.functions => {
                message.function_call = message.function_call.or_else(|| Some(function_call(call)));
            }
            Content::Call(call) => message.tool_calls.push(tool_call(call, expected)),
            Content::Image(image) => {
                let index = u32::try_from(message.images.len()).unwrap_or(u32::MAX);
                message.images.push(OutImage::of(index, &image.media));
            }
            // Models answer with none of these here.
            Content::Document(_) | Content::Audio(_) | Content::Result(_) => {}
        }
    }
    if message.refusal.is_none() && message.tool_calls.is_empty() && message.function_call.is_none() {
        message.content.get_or_insert_default();
    }
    message
}

/// Signed reasoning, to come back whole.
fn detail<'a>(index: u32, reasoning: &'a Reasoning<'_>) -> Option<ReasoningDetail<'a>> {
    let signature = reasoning.signature.as_ref()?.marked(Maker::OpenAi);
    Some(if reasoning.redacted {
        ReasoningDetail::Encrypted { index, data: signature }
    } else {
        ReasoningDetail::Text { index, text: &reasoning.text, signature }
    })
}

fn tool_call<'a>(call: &'a Call<'_>, expected: &Expected) -> ToolCall<'a> {
    let extra_content = call.signature.as_ref().map(ExtraContent::of);
    let free = expected.takes_text(&call.name);
    ToolCall { extra_content, ..ToolCall::of(call, Cow::Borrowed(&call.id), free) }
}

fn function_call<'a>(call: &'a Call<'_>) -> FunctionCall<'a> {
    let (Input::Json(arguments) | Input::Text(arguments)) = &call.input;
    FunctionCall { name: Some(&call.name), arguments }
}

#[cfg(test)]
mod tests;
