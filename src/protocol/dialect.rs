//! The wire formats by name, and the way into each one's folder: one arm per format and question.
//!
//! What the answer is, only the folder knows. A format without a client side answers for providers only, one without a
//! provider side for clients only; the routes see to it that nobody asks for the other.

use bytes::Bytes;

use super::{
    anthropic,
    json::Malformed,
    openai_chat,
    translate::{Asked, Decoder, Encoder, Target, Unreadable},
};
use crate::chat::{
    fault::{Fault, FaultKind},
    loss::{Losses, Parameter, Unsupported},
    request::Request,
    response::Response,
};

/// A wire format in which answers are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI's chat completions.
    Chat,
    /// Anthropic's Messages.
    Messages,
}

impl Dialect {
    /// Reads a client's request.
    ///
    /// # Errors
    /// See the folder's `ingress::request::read`.
    pub fn read(self, body: &[u8]) -> Result<Request<'_>, Malformed> {
        match self {
            Self::Chat => openai_chat::ingress::request::read(body),
            Self::Messages => anthropic::ingress::request::read(body),
        }
    }

    /// Writes a request for a provider.
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
        }
    }

    /// Reads a provider's answer.
    ///
    /// # Errors
    /// [`Unreadable`]
    pub fn read_answer<'a>(self, body: &'a [u8], unique: &str) -> Result<Response<'a>, Unreadable> {
        match self {
            Self::Chat => openai_chat::egress::response::read(body, unique),
            Self::Messages => anthropic::egress::response::read(body, unique),
        }
    }

    /// Writes an answer for a client.
    pub fn write_answer(self, answer: &Response<'_>, request: &Request<'_>, asked: &Asked<'_>) -> Vec<u8> {
        match self {
            Self::Chat => openai_chat::ingress::response::write(answer, request, asked),
            Self::Messages => anthropic::ingress::response::write(answer, request, asked),
        }
    }

    /// The machine that reads a provider's stream.
    pub fn decoder(self, unique: &str) -> Box<dyn Decoder + Send> {
        match self {
            Self::Chat => Box::new(openai_chat::egress::stream::Decoder::new(unique)),
            Self::Messages => Box::new(anthropic::egress::stream::Decoder::new(unique)),
        }
    }

    /// The machine that writes a client's stream.
    pub fn encoder(self, request: &Request<'_>, asked: &Asked<'_>) -> Box<dyn Encoder + Send> {
        match self {
            Self::Chat => Box::new(openai_chat::ingress::stream::Encoder::new(request, asked)),
            Self::Messages => Box::new(anthropic::ingress::stream::Encoder::new(request, asked)),
        }
    }

    /// What its clients call a parameter.
    pub fn parameter(self, parameter: Parameter) -> &'static str {
        match self {
            Self::Chat => openai_chat::ingress::parameter(parameter),
            Self::Messages => anthropic::ingress::parameter(parameter),
        }
    }

    /// Where a part stands in its clients' requests.
    pub fn place(self, unsupported: &Unsupported) -> String {
        match self {
            Self::Chat => openai_chat::ingress::place(unsupported),
            Self::Messages => anthropic::ingress::place(unsupported),
        }
    }

    /// What a provider's error means.
    pub fn fault(self, status: u16, body: &[u8]) -> Fault<'static> {
        match self {
            Self::Chat => openai_chat::error::read(status, body),
            Self::Messages => anthropic::error::read(status, body),
        }
    }

    /// Whether a provider's error is in this format, and so passes as it is to clients of it.
    pub fn is_own_error(self, body: &[u8]) -> bool {
        match self {
            Self::Chat => openai_chat::error::is_dialect(body),
            Self::Messages => anthropic::error::is_dialect(body),
        }
    }

    /// An error body for a client. `limit` names the rule that refused.
    pub fn error(self, kind: FaultKind, status: u16, message: &str, limit: Option<&str>) -> Bytes {
        match self {
            Self::Chat => openai_chat::error::body(kind, status, message, limit),
            Self::Messages => anthropic::error::body(kind, status, message, limit),
        }
    }
}
