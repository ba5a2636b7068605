//! A whole answer on its way from an OpenAI-compatible upstream to an OpenAI client: chat completions and embeddings.
//!
//! Passes byte for byte but for the top-level `model`; only `usage` is read.

use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{chat::usage::Usage, protocol::span_in};

/// What is read of an answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    /// Where the model's JSON string is, if there is one.
    pub model: Option<Range<usize>>,
    /// As the upstream reported it.
    pub usage: Option<Usage>,
    /// Whether it is an error that came with a good status.
    pub error: bool,
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    usage: Option<Usage>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl Response {
    /// Reads a whole body.
    ///
    /// # Errors
    /// When it is not one JSON object in UTF-8; the text says where it stops being one.
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
        let wire: Wire<'_> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let model = wire.model.filter(|model| model.get().starts_with('"'));
        let model = model.and_then(|model| span_in(body, model.get()));
        Ok(Self { model, usage: wire.usage, error: wire.error.is_some() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_level_model_is_found_and_no_other() {
        let body = br#"{"choices":[{"model":"in"}], "model" : "up","usage":{"prompt_tokens":8,"completion_tokens":null}}"#;
        let read = Response::parse(body).expect("valid");
        assert_eq!(&body[read.model.expect("there")], b"\"up\"");
        assert_eq!(read.usage, Some(Usage { input: Some(8), output: None }));
    }

    #[test]
    fn strange_usage_is_no_reason_to_lose_the_answer() {
        for usage in ["null", "3", "{}", "{\"prompt_tokens\":-1}", "{\"prompt_tokens\":\"x\"}", "[]"] {
            let body = format!("{{\"usage\":{usage}}}");
            assert!(Response::parse(body.as_bytes()).is_ok(), "{usage}");
        }
    }

    #[test]
    fn what_is_no_json_object_is_unreadable() {
        for body in [&b""[..], b"[]", b"<html>", b"{\"a\":1", b"{\"a\":\"\xff\"}", b"{} x"] {
            assert!(Response::parse(body).is_err(), "{}", String::from_utf8_lossy(body));
        }
    }
}
