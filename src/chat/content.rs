//! What messages are made of, in requests and in answers. One vocabulary for all wire formats; what none of them shares
//! has no place here, and is refused or named by the protocol that reads it.
//!
//! Text is borrowed from the body that was read wherever it stands there unescaped.

use std::borrow::Cow;

use super::{json::Json, signature::Signature};

/// A part of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Content<'a> {
    /// Text.
    Text(Text<'a>),
    /// An image.
    Image(Image<'a>),
    /// A document, such as a PDF.
    Document(Document<'a>),
    /// Recorded speech.
    Audio(Audio<'a>),
    /// The model wants a tool to be called.
    Call(Call<'a>),
    /// What a tool said.
    Result(ToolResult<'a>),
    /// What the model thought.
    Reasoning(Reasoning<'a>),
    /// The model's words when it declines.
    Refusal(Cow<'a, str>),
}

/// Text of a message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Text<'a> {
    /// The text itself.
    pub text: Cow<'a, str>,
    /// The caller's prompt-cache marker (Anthropic's `cache_control`), as written.
    pub cache: Option<Json<'a>>,
    /// The model's signature on it (Gemini signs text parts too).
    pub signature: Option<Signature<'a>>,
}

/// Where the bytes of a part are.
#[derive(Clone, Debug, PartialEq)]
pub enum Media<'a> {
    /// In the request.
    Data {
        /// The media type, such as `image/png`.
        mime: Cow<'a, str>,
        /// Base64, standard alphabet, padded.
        base64: Cow<'a, str>,
    },
    /// At an address.
    Url(Cow<'a, str>),
    /// With the provider, under an id that only it knows.
    Id(Cow<'a, str>),
}

/// An image.
#[derive(Clone, Debug, PartialEq)]
pub struct Image<'a> {
    /// Where it is.
    pub media: Media<'a>,
    /// OpenAI's `detail`.
    pub detail: Option<Cow<'a, str>>,
    /// See [`Text::cache`].
    pub cache: Option<Json<'a>>,
}

/// A document.
#[derive(Clone, Debug, PartialEq)]
pub struct Document<'a> {
    /// Where it is, or its text.
    pub source: DocumentSource<'a>,
    /// Its file name or title.
    pub name: Option<Cow<'a, str>>,
    /// See [`Text::cache`].
    pub cache: Option<Json<'a>>,
}

/// What a document is.
#[derive(Clone, Debug, PartialEq)]
pub enum DocumentSource<'a> {
    /// Bytes of some media type.
    Media(Media<'a>),
    /// Plain text.
    Text(Cow<'a, str>),
}

/// Recorded speech, base64.
#[derive(Clone, Debug, PartialEq)]
pub struct Audio<'a> {
    /// The media type, such as `audio/wav`.
    pub mime: Cow<'a, str>,
    /// Base64, standard alphabet, padded.
    pub base64: Cow<'a, str>,
}

/// A tool call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call<'a> {
    /// Ties the result to it. Never empty: where a wire format has none, its reader makes one.
    pub id: Cow<'a, str>,
    /// The tool, by the name that the provider knows ([`super::request::Tool::name`]).
    pub name: Cow<'a, str>,
    /// What it is called with.
    pub input: Input<'a>,
    /// The model's signature on the call (Gemini).
    pub signature: Option<Signature<'a>>,
}

/// What a tool is called with.
#[derive(Clone, Debug, PartialEq)]
pub enum Input<'a> {
    /// JSON as text, as a model wrote it: meant to be an object, but a model may have written anything. Never empty; no
    /// arguments are `{}`.
    Json(Cow<'a, str>),
    /// The free text of a custom tool.
    Text(Cow<'a, str>),
}

/// The result of a tool call.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolResult<'a> {
    /// The call's id.
    pub id: Cow<'a, str>,
    /// The tool's name, where the wire format says it or the reader found the call in the history.
    pub name: Option<Cow<'a, str>>,
    /// What it said.
    pub content: Vec<Output<'a>>,
    /// Whether the tool failed.
    pub error: bool,
    /// See [`Text::cache`].
    pub cache: Option<Json<'a>>,
}

/// A part of a tool's result.
#[derive(Clone, Debug, PartialEq)]
pub enum Output<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// A JSON value that the wire format has as such.
    Json(Json<'a>),
    /// An image.
    Image(Image<'a>),
    /// A document.
    Document(Document<'a>),
}

/// A piece of reasoning: its text, its signature, or both.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reasoning<'a> {
    /// As far as it is shown; may be empty.
    pub text: Cow<'a, str>,
    /// What the model's maker needs to believe it when it comes back.
    pub signature: Option<Signature<'a>>,
    /// Whether the signature holds the reasoning itself, encrypted (`redacted_thinking`, `redactedContent`,
    /// `encrypted_content`).
    pub redacted: bool,
}

impl Media<'_> {
    /// The same, apart from the body it was read from.
    pub fn into_owned(self) -> Media<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        match self {
            Self::Data { mime, base64 } => Media::Data { mime: owned(mime), base64: owned(base64) },
            Self::Url(url) => Media::Url(owned(url)),
            Self::Id(id) => Media::Id(owned(id)),
        }
    }

    /// About the bytes it takes.
    pub fn size(&self) -> usize {
        match self {
            Self::Data { mime, base64 } => mime.len() + base64.len(),
            Self::Url(text) | Self::Id(text) => text.len(),
        }
    }
}

impl<'a> Text<'a> {
    /// Plain text.
    pub fn new(text: impl Into<Cow<'a, str>>) -> Self {
        Self { text: text.into(), cache: None, signature: None }
    }
}

impl<'a> Content<'a> {
    /// Plain text.
    pub fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text(Text::new(text))
    }

    /// What kind of part it is, for a message that names it: "an image", "a tool call".
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Image(_) => "an image",
            Self::Document(_) => "a document",
            Self::Audio(_) => "audio",
            Self::Call(_) => "a tool call",
            Self::Result(_) => "a tool result",
            Self::Reasoning(_) => "reasoning",
            Self::Refusal(_) => "a refusal",
        }
    }
}
