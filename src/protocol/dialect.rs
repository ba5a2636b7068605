//! The wire formats by name, and the way into each one's folder: one arm per format and question.
//!
//! What the answer is, only the folder knows. Clients and providers are two lists, since a format may have one side only.

use std::borrow::Cow;

use bytes::Bytes;

use super::{
    anthropic, bedrock, call,
    gemini::{self, egress::Api, ingress::stream::Framing},
    json::Malformed,
    openai_chat, openai_responses,
    translate::{Asked, Decoder, Encoder, Target, Unreadable},
};
use crate::chat::{
    fault::{Fault, FaultKind},
    loss::{Losses, Parameter, Unsupported},
    request::{Expected, Request},
    response::Response,
};

/// A format in which clients ask for answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// OpenAI's chat completions.
    Chat,
    /// OpenAI's Responses.
    Responses,
    /// Anthropic's Messages.
    Messages,
    /// Google's generateContent: how the stream is framed, if it is one, since that stands in the path and not in the body.
    Gemini(Option<Framing>),
}

/// A format in which providers are asked for clients of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Spoken {
    /// OpenAI's chat completions.
    Chat,
    /// Anthropic's Messages.
    Messages,
    /// Google's generateContent.
    Gemini,
    /// AWS Bedrock's Converse.
    Converse,
}

/// A format in which providers are asked how many tokens a request has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// Anthropic's `count_tokens`.
    Messages,
    /// Google's `countTokens`, in one of its two.
    Gemini(Api),
}

impl Client {
    /// Reads a request.
    ///
    /// # Errors
    /// See the folder's `ingress::request::read`.
    pub fn read(self, body: &[u8]) -> Result<Request<'_>, Malformed> {
        let mut request = match self {
            Self::Chat => openai_chat::ingress::request::read(body),
            Self::Responses => openai_responses::ingress::request::read(body),
            Self::Messages => anthropic::ingress::request::read(body),
            Self::Gemini(framing) => gemini::ingress::request::read(body, framing.is_some()),
        }?;
        call::identify(&mut request);
        Ok(request)
    }

    /// Reads a request whose tokens are to be counted.
    ///
    /// # Errors
    /// See [`Client::read`].
    pub fn read_count(self, body: &[u8]) -> Result<Request<'_>, Malformed> {
        if let Self::Gemini(_) = self { gemini::ingress::request::read_count(body) } else { self.read(body) }
    }

    /// Writes how many there are. OpenAI's clients have no such call.
    pub fn count(self, tokens: u64) -> Vec<u8> {
        match self {
            Self::Chat | Self::Responses | Self::Messages => anthropic::ingress::response::count(tokens),
            Self::Gemini(_) => gemini::ingress::response::count(tokens),
        }
    }

    /// Writes an answer.
    pub fn write(self, answer: &Response<'_>, expected: Expected, asked: &Asked<'_>) -> Vec<u8> {
        match self {
            Self::Chat => openai_chat::ingress::response::write(answer, expected, asked),
            Self::Responses => openai_responses::ingress::response::write(answer, asked),
            Self::Messages => anthropic::ingress::response::write(answer, expected, asked),
            Self::Gemini(_) => gemini::ingress::response::write(answer, expected, asked),
        }
    }

    /// The machine that writes a stream.
    pub fn encoder(self, expected: Expected, asked: &Asked<'_>) -> Box<dyn Encoder + Send> {
        match self {
            Self::Chat => Box::new(openai_chat::ingress::stream::Encoder::new(expected, asked)),
            Self::Responses => Box::new(openai_responses::ingress::stream::Encoder::new(asked)),
            Self::Messages => Box::new(anthropic::ingress::stream::Encoder::new(expected, asked)),
            Self::Gemini(framing) => {
                let framing = framing.unwrap_or(Framing::Sse);
                Box::new(gemini::ingress::stream::Encoder::new(expected, asked, framing))
            }
        }
    }

    /// What a client calls a parameter of its request.
    pub fn parameter(self, parameter: Parameter, body: &[u8]) -> Cow<'static, str> {
        match self {
            Self::Chat => openai_chat::ingress::parameter(parameter).into(),
            Self::Responses => openai_responses::ingress::parameter(parameter).into(),
            Self::Messages => anthropic::ingress::parameter(parameter).into(),
            Self::Gemini(_) => gemini::ingress::parameter(parameter, body),
        }
    }

    /// Where a part stands in a request.
    pub fn place(self, unsupported: &Unsupported) -> String {
        match self {
            Self::Chat => openai_chat::ingress::place(unsupported),
            Self::Responses => openai_responses::ingress::place(unsupported),
            Self::Messages => anthropic::ingress::place(unsupported),
            Self::Gemini(_) => gemini::ingress::place(unsupported),
        }
    }

    /// An error body. `limit` names the rule that refused, `retry_after` the seconds after which it would not.
    pub fn error(
        self,
        kind: FaultKind,
        status: u16,
        message: &str,
        (limit, retry_after): (Option<&str>, Option<u64>),
    ) -> Bytes {
        match self {
            Self::Chat | Self::Responses => openai_chat::error::body(kind, status, message, limit),
            Self::Messages => anthropic::error::body(kind, status, message, limit),
            Self::Gemini(_) => gemini::error::body(kind, status, message, limit, retry_after),
        }
    }

    /// Whether a body of a provider is an error in this format, and so passes as it is.
    pub fn is_error(self, body: &[u8]) -> bool {
        match self {
            Self::Chat | Self::Responses => openai_chat::error::is_dialect(body),
            Self::Messages => anthropic::error::is_dialect(body),
            Self::Gemini(_) => gemini::error::is_dialect(body),
        }
    }
}

impl Spoken {
    /// Writes a request.
    ///
    /// # Errors
    /// [`Unsupported`]: content that the format cannot carry.
    pub fn write(
        self,
        request: &Request<'_>,
        target: &Target<'_>,
        losses: &mut Losses,
    ) -> Result<Vec<u8>, Unsupported> {
        match self {
            Self::Chat => openai_chat::egress::request::write(request, target, losses),
            Self::Messages => anthropic::egress::request::write(request, target, losses),
            Self::Gemini => gemini::egress::request::write(request, target, losses),
            Self::Converse => bedrock::egress::request::write(request, target, losses),
        }
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// [`Unreadable`]
    pub fn read<'a>(self, body: &'a [u8], unique: &str) -> Result<Response<'a>, Unreadable> {
        // The answer borrows of the body alone.
        match self {
            Self::Chat => openai_chat::egress::response::read(body, unique),
            Self::Messages => anthropic::egress::response::read(body, unique),
            Self::Gemini => gemini::egress::response::read(body, unique),
            Self::Converse => bedrock::egress::response::read(body, unique),
        }
    }

    /// The machine that reads a stream.
    pub fn decoder(self, unique: &str) -> Box<dyn Decoder + Send> {
        match self {
            Self::Chat => Box::new(openai_chat::egress::stream::Decoder::new(unique)),
            Self::Messages => Box::new(anthropic::egress::stream::Decoder::new(unique)),
            Self::Gemini => Box::new(gemini::egress::stream::Decoder::new(unique)),
            Self::Converse => Box::new(bedrock::egress::stream::Decoder::new(unique)),
        }
    }

    /// What an error means. `kind` is what its head calls it, where the format has that ([`bedrock::error::TYPE`]).
    pub fn fault(self, status: u16, kind: Option<&str>, body: &[u8]) -> Fault<'static> {
        match self {
            Self::Chat => openai_chat::error::read(status, body),
            Self::Messages => anthropic::error::read(status, body),
            Self::Gemini => gemini::error::read(status, body),
            Self::Converse => bedrock::error::read(status, kind, body),
        }
    }

    /// After how many seconds an error's body wants the call again. The others say it in `Retry-After`.
    pub fn retry_after(self, body: &[u8]) -> Option<u64> {
        match self {
            Self::Chat | Self::Messages | Self::Converse => None,
            Self::Gemini => gemini::error::retry_after(body),
        }
    }
}

impl Counting {
    /// Writes a request whose tokens are to be counted.
    ///
    /// # Errors
    /// [`Unsupported`]: content that the format cannot carry.
    pub fn write(self, request: &Request<'_>, target: &Target<'_>) -> Result<Vec<u8>, Unsupported> {
        match self {
            Self::Messages => anthropic::egress::request::write_count(request, target),
            Self::Gemini(api) => gemini::egress::request::write_count(request, target, api),
        }
    }

    /// Reads how many there are.
    ///
    /// # Errors
    /// [`Unreadable`]
    pub fn read(self, body: &[u8]) -> Result<u64, Unreadable> {
        match self {
            Self::Messages => anthropic::egress::response::read_count(body),
            Self::Gemini(_) => gemini::egress::response::read_count(body),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::content::Content;

    #[test]
    fn calls_without_ids_keep_their_results_in_whatever_the_client_speaks() {
        let chat = r#"{"model":"m","messages":[
            {"role":"assistant","tool_calls":[
                {"id":"","type":"function","function":{"name":"f","arguments":"{}"}},
                {"type":"function","function":{"name":"g","arguments":"{}"}}]},
            {"role":"tool","tool_call_id":"","content":"1"},{"role":"tool","tool_call_id":"","content":"2"}]}"#;
        let messages = r#"{"model":"m","max_tokens":9,"messages":[
            {"role":"assistant","content":[
                {"type":"tool_use","id":"","name":"f","input":{}},{"type":"tool_use","id":"","name":"g","input":{}}]},
            {"role":"user","content":[
                {"type":"tool_result","tool_use_id":""},{"type":"tool_result","tool_use_id":""}]}]}"#;
        // Responses refuses them in plain words.
        for (client, body) in [(Client::Chat, chat), (Client::Messages, messages)] {
            let request = client.read(body.as_bytes()).unwrap();
            let (mut calls, mut results) = (Vec::new(), Vec::new());
            for content in request.messages.iter().flat_map(|message| &message.content) {
                match content {
                    Content::Call(call) => calls.push((call.id.as_ref(), Some(call.name.as_ref()))),
                    Content::Result(result) => results.push((result.id.as_ref(), result.name.as_deref())),
                    _ => {}
                }
            }
            assert_eq!(calls, results, "{client:?}");
            assert!(calls.len() == 2 && calls[0].0 != calls[1].0 && !calls[0].0.is_empty(), "{client:?}");
        }
    }
}
