//! A whole answer on its way from an Anthropic provider to an Anthropic client, or a count of `count_tokens`.
//!
//! Passes byte for byte but for the top-level `model`; only `usage` is read.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::protocol::{anthropic::usage::Report, json::Key, passing::Whole, span_in};

/// The fields as they come; of one that comes twice the last counts.
#[derive(Default)]
struct Wire<'a> {
    kind: Option<&'a RawValue>,
    model: Option<&'a RawValue>,
    usage: Option<&'a RawValue>,
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
        usage: wire.usage.map(|raw| Report::read(raw).usage()),
        error: wire.kind.is_some_and(|kind| kind.get() == "\"error\""),
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
                "type" => wire.kind = map.next_value()?,
                "model" => wire.model = map.next_value()?,
                "usage" => wire.usage = map.next_value()?,
                other => {
                    wire.answer |= matches!(other, "content" | "input_tokens");
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

    #[test]
    fn what_is_no_json_object_is_unreadable() {
        for body in [&b""[..], b"[]", b"<html>", b"{\"a\":1", b"{\"a\":\"\xff\"}", b"{} x"] {
            assert!(parse(body).is_err(), "{}", String::from_utf8_lossy(body));
        }
    }
}
