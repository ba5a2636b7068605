//! A whole answer on its way from a Google provider to a Google client, or a count of `countTokens`.
//!
//! Passes byte for byte but for the top-level `modelVersion`; only `usageMetadata` is read.

use crate::protocol::{
    gemini::usage,
    passing::whole::{self, Fields, Whole},
};

const FIELDS: Fields = Fields {
    model: "modelVersion",
    usage: ("usageMetadata", usage::read),
    error: ("error", |_| true),
    answer: &["candidates", "promptFeedback", "totalTokens", "embeddings"],
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
    fn the_model_and_the_usage_are_found_at_the_top_and_nowhere_else() {
        let body = br#"{"candidates":[{"modelVersion":"in"}], "modelVersion" : "up","usageMetadata":{"promptTokenCount":8}}"#;
        let read = parse(body).expect("valid");
        assert_eq!(&body[read.model.expect("there")], b"\"up\"");
        assert_eq!(read.usage, Some(Usage { input: Some(8), ..Usage::default() }));
        assert!(!read.error && parse(br#"{"error":{"code":400}}"#).expect("valid").error);
    }

    #[test]
    fn strange_usage_is_no_reason_to_lose_the_answer() {
        for usage in ["null", "3", "{}", "{\"promptTokenCount\":-1}", "[]", "1e999"] {
            let body = format!("{{\"usageMetadata\":{usage}}}");
            assert!(parse(body.as_bytes()).is_ok(), "{usage}");
        }
    }
}
