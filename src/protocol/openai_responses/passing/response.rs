//! A whole answer on its way from a Responses provider to a Responses client.
//!
//! Passes byte for byte but for the top-level `model`; only `usage` is read.

use crate::protocol::{
    openai_responses::usage,
    passing::whole::{self, Fields, Whole},
};

const FIELDS: Fields =
    Fields { model: "model", usage: ("usage", usage::read), error: ("error", |_| true), answer: &["output"] };

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
    fn the_top_level_model_is_found_and_no_other() {
        let body = br#"{"error":null,"output":[{"model":"in"}], "model" : "up","usage":{"input_tokens":8,"output_tokens":null}}"#;
        let read = parse(body).expect("valid");
        assert_eq!(&body[read.model.expect("there")], b"\"up\"");
        assert_eq!((read.usage, read.error), (Some(Usage { input: Some(8), ..Usage::default() }), false));
    }

    #[test]
    fn a_queued_answer_has_no_usage_and_a_failed_one_is_an_error() {
        let queued = parse(br#"{"status":"queued","usage":null}"#).expect("valid");
        assert_eq!(queued, Whole { model: None, usage: None, error: false, answer: false });
        let failed = br#"{"status":"failed","error":{"code":"server_error","message":"m"}}"#;
        assert!(parse(failed).expect("valid").error);
    }
}
