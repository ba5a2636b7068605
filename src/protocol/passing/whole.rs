//! A whole answer that keeps its wire format on the way from provider to client.
//!
//! It passes byte for byte but for the top-level name of the model; only the usage is read. How the fields are called is
//! the format's to say, by its [`Fields`].

use std::{fmt, ops::Range};

use serde::{
    Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    chat::usage::Usage,
    protocol::{json::Key, span_in},
};

/// What is read of a whole answer that passes.
#[derive(Debug, PartialEq, Eq)]
pub struct Whole {
    /// Where the model's JSON string is, if there is one.
    pub model: Option<Range<usize>>,
    /// As the upstream reported it.
    pub usage: Option<Usage>,
    /// Whether it is an error that came with a good status.
    pub error: bool,
    /// Whether it has what an answer is made of.
    pub answer: bool,
}

/// The top-level fields of a format. `null` is as if a field were not there.
pub(in crate::protocol) struct Fields {
    /// Names the model.
    pub(in crate::protocol) model: &'static str,
    /// Reports the usage, and how that is read.
    pub(in crate::protocol) usage: (&'static str, fn(&RawValue) -> Usage),
    /// Tells an error, and by which of its values.
    pub(in crate::protocol) error: (&'static str, fn(&RawValue) -> bool),
    /// Any of them makes an answer.
    pub(in crate::protocol) answer: &'static [&'static str],
}

/// The fields as they come; of one that comes twice the last counts.
#[derive(Default)]
struct Wire<'a> {
    model: Option<&'a RawValue>,
    usage: Option<&'a RawValue>,
    error: Option<&'a RawValue>,
    answer: bool,
}

struct Reader<'f>(&'f Fields);

/// Reads a whole body.
///
/// # Errors
/// When it is not one JSON object in UTF-8.
pub(in crate::protocol) fn read(body: &[u8], fields: &Fields) -> Result<Whole, String> {
    let text = std::str::from_utf8(body).map_err(|_| "it is not text".to_owned())?;
    let mut json = serde_json::Deserializer::from_str(text);
    let wire = Reader(fields).deserialize(&mut json);
    let wire = wire.and_then(|wire| json.end().map(|()| wire));
    let wire = wire.map_err(|_| "it is no JSON object".to_owned())?;
    let model = wire.model.filter(|model| model.get().starts_with('"'));
    Ok(Whole {
        model: model.and_then(|model| span_in(body, model.get())),
        usage: wire.usage.map(fields.usage.1),
        error: wire.error.is_some_and(fields.error.1),
        answer: wire.answer,
    })
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Wire<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Wire<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Wire<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Wire<'de>, A::Error> {
        let (fields, mut wire) = (self.0, Wire::default());
        while let Some(Key(key)) = map.next_key()? {
            match key.as_ref() {
                key if key == fields.model => wire.model = map.next_value()?,
                key if key == fields.usage.0 => wire.usage = map.next_value()?,
                key if key == fields.error.0 => wire.error = map.next_value()?,
                other => {
                    wire.answer |= fields.answer.contains(&other);
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

    const FIELDS: Fields = Fields {
        model: "m",
        usage: ("u", |_| Usage::default()),
        error: ("e", |_| true),
        answer: &["a", "b"],
    };

    #[test]
    fn of_a_field_that_comes_twice_the_last_counts_and_null_is_none() {
        let body = br#"{"m":"a","u":1,"e":1,"\u006d":"b","u":null,"e":null}"#;
        let read = read(body, &FIELDS).expect("valid");
        assert_eq!(&body[read.model.clone().expect("there")], b"\"b\"");
        assert_eq!((read.usage, read.error, read.answer), (None, false, false));
    }

    #[test]
    fn only_fields_at_the_top_count() {
        let nested = read(br#"{"x":{"m":"a","u":1,"e":1,"a":1},"b":0}"#, &FIELDS).expect("valid");
        assert_eq!(nested, Whole { model: None, usage: None, error: false, answer: true });
    }

    #[test]
    fn what_is_no_json_object_is_unreadable() {
        for body in [&b""[..], b"[]", b"<html>", b"{\"a\":1", b"{\"a\":\"\xff\"}", b"{} x"] {
            assert!(read(body, &FIELDS).is_err(), "{}", String::from_utf8_lossy(body));
        }
    }
}
