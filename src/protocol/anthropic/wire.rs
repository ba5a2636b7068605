//! Blocks of content as Anthropic writes them, in requests and in answers alike. Only for writing.

use std::borrow::Cow;

use serde::Serialize;

use crate::chat::json::Json;

/// A block of content.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block<'r> {
    Text {
        text: Cow<'r, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'r Json<'r>>,
    },
    Image {
        source: Source<'r>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'r Json<'r>>,
    },
    Document {
        source: Source<'r>,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<&'r str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'r Json<'r>>,
    },
    Thinking {
        thinking: &'r str,
        signature: Cow<'r, str>,
    },
    RedactedThinking {
        data: Cow<'r, str>,
    },
    ToolUse {
        id: Cow<'r, str>,
        name: &'r str,
        input: Json<'r>,
    },
    ToolResult {
        tool_use_id: Cow<'r, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        content: Option<Blocks<'r>>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'r Json<'r>>,
    },
}

/// A list of blocks; a single plain text is written as a string.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Blocks<'r> {
    Text(Cow<'r, str>),
    List(Vec<Block<'r>>),
}

/// Where an image or a document is.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Source<'r> {
    Base64 { media_type: &'r str, data: &'r str },
    Url { url: &'r str },
    Text { media_type: &'static str, data: Cow<'r, str> },
}

impl<'r> Block<'r> {
    /// Plain text.
    pub(super) fn text(text: impl Into<Cow<'r, str>>) -> Self {
        Self::Text { text: text.into(), cache_control: None }
    }
}

impl<'r> Blocks<'r> {
    /// The shortest way to write them.
    pub(super) fn new(mut blocks: Vec<Block<'r>>) -> Self {
        match blocks.as_mut_slice() {
            [Block::Text { text, cache_control: None }] => Self::Text(std::mem::take(text)),
            _ => Self::List(blocks),
        }
    }
}
