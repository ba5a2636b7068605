//! A whole answer on its way from an OpenAI-compatible upstream to an OpenAI client: chat completions and embeddings.
//!
//! Passes byte for byte but for the top-level `model`; only `usage` is read.

use crate::protocol::{
    openai_chat::usage,
    passing::whole::{self, Fields, Whole},
};

const FIELDS: Fields = Fields {
    model: "model",
    usage: ("usage", usage::read),
    error: ("error", |_| true),
    answer: &["choices", "data"],
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
    fn the_top_level_model_is_found_and_no_other() {
        let body = br#"{"choices":[{"model":"in"}], "model" : "up","usage":{"prompt_tokens":8,"completion_tokens":null}}"#;
        let read = parse(body).expect("valid");
        assert_eq!(&body[read.model.expect("there")], b"\"up\"");
        assert_eq!(read.usage, Some(Usage { input: Some(8), ..Usage::default() }));
    }

    #[test]
    fn an_answer_is_known_by_its_choices_or_data() {
        for (body, answer) in [
            (r#"{"choices":[]}"#, true),
            (r#"{"data":[]}"#, true),
            (r#"{"object":"error","message":"m"}"#, false),
            (r#"{"a":{"choices":[]}}"#, false),
        ] {
            assert_eq!(parse(body.as_bytes()).expect("valid").answer, answer, "{body}");
        }
    }

    #[test]
    fn strange_usage_is_no_reason_to_lose_the_answer() {
        for usage in ["null", "3", "{}", "{\"prompt_tokens\":-1}", "{\"prompt_tokens\":\"x\"}", "[]", "1e999"]
        {
            let body = format!("{{\"usage\":{usage}}}");
            assert!(parse(body.as_bytes()).is_ok(), "{usage}");
        }
    }
}
