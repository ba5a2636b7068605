//! What Nexus reads of an embeddings request: the model, and the input to count it. Everything else passes untouched.

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    chat::{Kind, Part, Piece, Prompt, Span},
    protocol::{
        json::{self, Key, Malformed},
        splice::Edit,
    },
};

/// The read parts of a body. The spans are meaningful for that body only.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    model: String,
    model_span: Span,
    input: Span,
}

struct Reader<'b>(&'b str);

impl Request {
    /// Reads a whole body.
    ///
    /// # Errors
    /// What is no UTF-8, no JSON object, nested too deep, has a field twice that is read here, has no string `model`, or
    /// an `input` that is neither a string nor an array. Answered with 400.
    pub fn parse(body: &[u8]) -> Result<Self, Malformed> {
        json::read(body, Reader)
    }

    /// The model's name as the client wrote it.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The edit that puts another model's name into the body.
    pub fn rename(&self, model: &str) -> Edit {
        Edit::string(self.model_span, model)
    }
}

impl Prompt for Request {
    const DIALECT: u8 = 1;

    fn fixed_tokens(&self) -> u64 {
        0
    }

    fn part(&self, index: usize) -> Option<Part> {
        (index == 0).then_some(Part { kind: Kind::Input, span: self.input })
    }

    /// A string, a list of strings, a list of token ids, or a list of such lists.
    fn pieces<'a>(_: Kind, raw: &'a str, each: &mut dyn FnMut(Piece<'a>)) {
        let mut ids = 0;
        if json::each(raw, |element| input(element, &mut ids, each)).is_none() {
            input(raw, &mut ids, each);
        }
        each(Piece::Tokens(ids));
    }
}

/// One element of the input.
fn input<'a>(raw: &'a str, ids: &mut u64, each: &mut dyn FnMut(Piece<'a>)) {
    match raw.as_bytes().first() {
        Some(b'-' | b'0'..=b'9') => *ids += 1,
        Some(b'[') => {
            // The array is valid, so nothing is left unseen.
            let _ = json::each(raw, |element| match element.as_bytes().first() {
                Some(b'-' | b'0'..=b'9') => *ids += 1,
                _ => each(text(element)),
            });
        }
        _ => each(text(raw)),
    }
}

fn text(raw: &str) -> Piece<'_> {
    Piece::Text(json::text(raw).unwrap_or_else(|| json::compact(raw)))
}

impl<'de> DeserializeSeed<'de> for Reader<'de> {
    type Value = Request;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Request, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Reader<'de> {
    type Value = Request;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Request, A::Error> {
        let (mut model, mut input) = (None, None);
        while let Some(Key(key)) = map.next_key()? {
            match key.as_ref() {
                "model" => json::once("model", &mut model, json::model(self.0, map.next_value()?)?)?,
                "input" => json::once("input", &mut input, input_span(self.0, map.next_value()?)?)?,
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        let (model, model_span) = model.ok_or_else(|| A::Error::missing_field("model"))?;
        let input = input.ok_or_else(|| A::Error::missing_field("input"))?;
        Ok(Request { model, model_span, input })
    }
}

fn input_span<E: serde::de::Error>(body: &str, raw: &RawValue) -> Result<Span, E> {
    if !raw.get().starts_with(['"', '[']) {
        return Err(E::custom("`input` must be a string or an array"));
    }
    json::span(body, raw.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(body: &str) -> Vec<String> {
        let request = Request::parse(body.as_bytes()).unwrap();
        let mut all = Vec::new();
        let span = request.part(0).unwrap().span.range();
        Request::pieces(Kind::Input, &body[span], &mut |piece| match piece {
            Piece::Tokens(0) => {}
            Piece::Tokens(ids) => all.push(ids.to_string()),
            Piece::Text(text) => all.push(text.into_owned()),
            other => panic!("{other:?}"),
        });
        all
    }

    #[test]
    fn the_four_forms_of_input_are_read() {
        assert_eq!(pieces(r#"{"model":"m","input":"a\"b"}"#), ["a\"b"]);
        assert_eq!(pieces(r#"{"input":[ "a" , "b"],"model":"m"}"#), ["a", "b"]);
        assert_eq!(pieces(r#"{"model":"m","input":[1, 2,30]}"#), ["3"]);
        assert_eq!(pieces(r#"{"model":"m","input":[[1,2],[],[3]]}"#), ["3"]);
        assert_eq!(pieces(r#"{"model":"m","input":[]}"#), [""; 0]);
    }

    #[test]
    fn what_is_none_of_them_is_not_free() {
        assert_eq!(
            pieces(r#"{"model":"m","input":[{ "a":1 },["x",1],null]}"#),
            [r#"{"a":1}"#, "x", "null", "1"]
        );
    }

    #[test]
    fn a_bad_body_is_refused_naming_the_field() {
        let refused = |body: &str| Request::parse(body.as_bytes()).unwrap_err().to_string();
        assert!(refused(r#"{"input":"a"}"#).contains("`model`"));
        assert!(refused(r#"{"model":"m"}"#).contains("`input`"));
        assert!(refused(r#"{"model":"m","input":null}"#).contains("`input` must be"));
        assert!(refused(r#"{"model":"m","input":"a","input":"b"}"#).contains("duplicate field `input`"));
    }

    #[test]
    fn the_model_is_renamed_in_place() {
        let body = r#"{ "input" : "a", "model" : "openai\/x" , "user":"u"}"#;
        let request = Request::parse(body.as_bytes()).unwrap();
        assert_eq!(request.model(), "openai/x");
        assert_eq!(request.rename("y").apply(body), r#"{ "input" : "a", "model" : "y" , "user":"u"}"#);
    }
}
