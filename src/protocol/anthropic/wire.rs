//! Blocks of content as Anthropic writes them, in requests and in answers alike. Only for writing.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::chat::{content::Input, json::Json};

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

/// The input of a call, which is an object here. An object passes as it is; no input is `{}`; another value that is JSON goes
/// under `value`, and what is none under `input`, where custom tools have their text too.
pub(super) fn arguments<'r>(input: &'r Input<'_>) -> Json<'r> {
    let (key, value) = match input {
        Input::Text(text) => ("input", Cow::Owned(serde_json::Value::from(text.as_ref()).to_string())),
        Input::Json(text) => match serde_json::from_str::<&RawValue>(text) {
            Ok(raw) if raw.get().starts_with('{') => return Json::borrowed(raw),
            Ok(raw) => ("value", Cow::Borrowed(raw.get())),
            Err(_) if text.trim().is_empty() => return made("{}".to_owned()),
            Err(_) => ("input", Cow::Owned(serde_json::Value::from(text.as_ref()).to_string())),
        },
    };
    made(format!(r#"{{"{key}":{value}}}"#))
}

/// JSON that was put together here, and so is some.
fn made(text: String) -> Json<'static> {
    Json::parse(text).unwrap_or_else(|| Json::borrowed(RawValue::NULL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_input_of_a_call_is_an_object_whatever_the_model_wrote() {
        for (written, object) in [
            (r#"{"a": 1.0}"#, r#"{"a": 1.0}"#),
            (" {} ", "{}"),
            ("", "{}"),
            ("null", r#"{"value":null}"#),
            (r#"["x"]"#, r#"{"value":["x"]}"#),
            (r#"{"a":"#, r#"{"input":"{\"a\":"}"#),
        ] {
            assert_eq!(arguments(&Input::Json(written.into())).text(), object, "{written}");
        }
        assert_eq!(arguments(&Input::Text("a\n\"b\"".into())).text(), r#"{"input":"a\n\"b\""}"#);
    }
}
