//! Blocks of content as Converse has them in requests. Only for writing.

use std::borrow::Cow;

use serde::Serialize;

use crate::chat::json::Json;

/// A block of content: an object with one member, whose name says what it is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum Block<'r> {
    Text(Cow<'r, str>),
    Image(Image<'r>),
    Document(Document<'r>),
    ToolUse {
        tool_use_id: Cow<'r, str>,
        name: &'r str,
        input: Json<'r>,
    },
    ToolResult {
        tool_use_id: Cow<'r, str>,
        content: Vec<Output<'r>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<&'static str>,
    },
    ReasoningContent(Reasoning<'r>),
    CachePoint(CachePoint),
}

/// A part of a tool's result.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Output<'r> {
    Text(Cow<'r, str>),
    Json(&'r Json<'r>),
    Image(Image<'r>),
    Document(Document<'r>),
}

#[derive(Serialize)]
pub(super) struct Image<'r> {
    pub(super) format: &'static str,
    pub(super) source: Source<'r>,
}

#[derive(Serialize)]
pub(super) struct Document<'r> {
    pub(super) format: &'static str,
    pub(super) name: String,
    pub(super) source: Source<'r>,
}

/// Base64.
#[derive(Serialize)]
pub(super) struct Source<'r> {
    pub(super) bytes: Cow<'r, str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum Reasoning<'r> {
    ReasoningText {
        text: &'r str,
        signature: &'r str,
    },
    /// Base64.
    RedactedContent(Cow<'r, str>),
}

/// Up to here the prompt is to be kept in a cache.
#[derive(Serialize)]
pub(super) struct CachePoint {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<&'static str>,
}

impl CachePoint {
    /// A point, kept for an hour or for the default of five minutes.
    pub(super) fn new(for_an_hour: bool) -> Self {
        Self { kind: "default", ttl: for_an_hour.then_some("1h") }
    }
}
