//! A whole answer on its way from an Anthropic provider to an Anthropic client, or a count of `count_tokens`.
//!
//! Passes byte for byte but for the top-level `model`; only `usage` is read.

use crate::protocol::{
    anthropic::usage::Report,
    passing::whole::{self, Fields, Whole},
};

const FIELDS: Fields = Fields {
    model: "model",
    usage: ("usage", |raw| Report::read(raw).usage()),
    error: ("type", |kind| kind.get() == "\"error\""),
    answer: &["content", "input_tokens"],
};

/// Reads a whole body.
///
/// # Errors
/// When it is not one JSON object in UTF-8.
pub fn parse(body: &[u8]) -> Result<Whole, String> {
    whole::read(body, &FIELDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::usage::Usage;

    #[test]
    fn the_model_is_found_and_the_input_is_whole() {
        let body = br#"{"model" : "up","type":"message","content":[{"model":"in"}],"usage":{"input_tokens":11,"cache_read_input_tokens":2055,"output_tokens":3}}"#;
        let read = parse(body).expect("valid");
        assert_eq!(&body[read.model.expect("there")], b"\"up\"");
        let usage = Usage { input: Some(2066), output: Some(3), cached: Some(2055), ..Usage::default() };
        assert_eq!((read.usage, read.error), (Some(usage), false));
    }

    #[test]
    fn an_error_under_a_good_status_is_seen_and_a_count_passes() {
        assert!(parse(br#"{"type":"error","error":{}}"#).expect("valid").error);
        let count = parse(br#"{"input_tokens":14}"#).expect("valid");
        assert_eq!(count, Whole { model: None, usage: None, error: false, answer: true });
    }
}
