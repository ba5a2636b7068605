//! A whole answer on its way from a Responses provider to a Responses client.
//!
//! Passes byte for byte but for the top-level `model`; only `usage` is read.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::protocol::{json::Key, openai_responses::usage, passing::Whole, span_in};

/// The fields as they come; of one that comes twice the last counts.
#[derive(Default)]
struct Wire<'a> {
    model: Option<&'a RawValue>,
    usage: Option<&'a RawValue>,
    error: Option<&'a RawValue>,
    answer: bool,
}

struct WireVisitor;

/// Reads a whole body.
///
/// # Errors
/// When it is not one JSON object in UTF-8.
pub fn parse(body: &[u8]) -> Result<Whole, String> {
    let text = std::str::from_utf8(body).map_err(|_| "it is not text".to_owned())?;
    let wire: Wire<'_> = serde_json::from_str(text).map_err(|_| "it is no JSON object".to_owned())?;
    let model = wire.model.filter(|model| model.get().starts_with('"'));
    Ok(Whole {
        model: model.and_then(|model| span_in(body, model.get())),
        usage: wire.usage.map(usage::read),
        error: wire.error.is_some(),
        answer: wire.answer,
    })
}

impl<'de> Deserialize<'de> for Wire<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(WireVisitor)
    }
}

impl<'de> Visitor<'de> for WireVisitor {
    type Value = Wire<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Wire<'de>, A::Error> {
        let mut wire = Wire::default();
        while let Some(Key(key)) = map.next_key()? {
            match key.as_ref() {
                "model" => wire.model = map.next_value()?,
                "usage" => wire.usage = map.next_value()?,
                "error" => wire.error = map.next_value()?,
                other => {
                    wire.answer |= matches!(other, "output");
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(wire)
    }
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

    #[test]
    fn what_is_no_json_object_is_unreadable() {
        for body in [&b""[..], b"[]", b"<html>", b"{\"a\":1", b"{\"a\":\"\xff\"}", b"{} x"] {
            assert!(parse(body).is_err(), "{}", String::from_utf8_lossy(body));
        }
    }
}
