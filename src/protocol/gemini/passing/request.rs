//! What Nexus reads of a request that passes: what is counted. Everything else passes untouched; the model and whether the
//! answer is streamed stand in the URL. A body of `countTokens` may hold a whole request, which repeats the model.
//!
//! The body is checked as a whole and kept by its owner; a [`Request`] holds spans of it. What is not read here is the
//! upstream's to judge. Names come in two spellings, `toolConfig` and `tool_config`.

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use self::content::{message, schema, tools};
use crate::{
    chat::{Kind, Part, Piece, Prompt, Span},
    protocol::{
        json::{self, Key, Malformed, Objects},
        splice::Edit,
    },
};

mod content;

/// The read parts of a body. The spans are meaningful for that body only.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    model: Option<Span>,
    contents: Vec<Span>,
    /// `systemInstruction`, `tools`, `generationConfig`, as far as they are there.
    extras: [Option<Part>; 3],
}

/// The fields as they come.
#[derive(Default)]
struct Fields {
    model: Option<Span>,
    contents: Option<Vec<Span>>,
    extras: [Option<Option<Part>>; 3],
    /// What stands in `generateContentRequest`.
    inner: Option<Request>,
}

struct Reader<'b> {
    body: &'b str,
    /// Whether it may hold a whole request.
    count: bool,
}

impl Request {
    /// Reads a whole body of `generateContent` or `streamGenerateContent`.
    ///
    /// # Errors
    /// What is no UTF-8, no JSON object, nested too deep, has a field twice that is read here, or no `contents` that are an
    /// array of objects. Answered with 400.
    pub fn parse(body: &[u8]) -> Result<Self, Malformed> {
        json::read(body, |body| Reader { body, count: false })
    }

    /// Reads a whole body of `countTokens`.
    ///
    /// # Errors
    /// See [`Request::parse`].
    pub fn parse_count(body: &[u8]) -> Result<Self, Malformed> {
        json::read(body, |body| Reader { body, count: true })
    }

    /// The turns in order, each a JSON object of the body.
    pub fn contents(&self) -> &[Span] {
        &self.contents
    }

    /// The edit that puts another model's name into the body, where it has one.
    pub fn rename(&self, model: &str) -> Option<Edit> {
        self.model.map(|span| Edit::string(span, &format!("models/{model}")))
    }
}

impl Prompt for Request {
    const DIALECT: u8 = 3;

    /// What primes the answer.
    fn fixed_tokens(&self) -> u64 {
        3
    }

    fn part(&self, index: usize) -> Option<Part> {
        match self.contents.get(index) {
            Some(&span) => Some(Part { kind: Kind::Message, span }),
            None => self.extras.iter().flatten().nth(index - self.contents.len()).copied(),
        }
    }

    fn pieces<'a>(kind: Kind, raw: &'a str, each: &mut dyn FnMut(Piece<'a>)) {
        match kind {
            Kind::Schema => schema(raw, each),
            Kind::Tools => tools(raw, each),
            Kind::Input | Kind::Message => message(raw, each),
        }
    }
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
        let mut fields = Fields::default();
        while let Some(Key(key)) = map.next_key()? {
            fields.read(&self, &key, &mut map)?;
        }
        fields.finish()
    }
}

impl Fields {
    fn read<'de, A: MapAccess<'de>>(
        &mut self,
        reader: &Reader<'de>,
        key: &str,
        map: &mut A,
    ) -> Result<(), A::Error> {
        let body = reader.body;
        match key {
            "contents" => {
                let contents = map.next_value_seed(Objects { body, field: "contents" })?;
                json::once("contents", &mut self.contents, contents)
            }
            "model" => {
                let raw: &RawValue = map.next_value()?;
                self.model = raw.get().starts_with('"').then(|| json::span(body, raw.get())).transpose()?;
                Ok(())
            }
            // The system is a message of its own.
            "systemInstruction" | "system_instruction" => {
                self.extra(0, "systemInstruction", Kind::Message, body, map.next_value()?)
            }
            "tools" => self.extra(1, "tools", Kind::Tools, body, map.next_value()?),
            "generationConfig" | "generation_config" => {
                self.extra(2, "generationConfig", Kind::Schema, body, map.next_value()?)
            }
            "generateContentRequest" | "generate_content_request" if reader.count => {
                let inner = map.next_value_seed(Reader { body, count: false })?;
                json::once("generateContentRequest", &mut self.inner, inner)
            }
            _ => map.next_value::<IgnoredAny>().map(drop),
        }
    }

    fn extra<E: serde::de::Error>(
        &mut self,
        index: usize,
        name: &'static str,
        kind: Kind,
        body: &str,
        raw: &RawValue,
    ) -> Result<(), E> {
        let span = json::span(body, raw.get())?;
        json::once(name, &mut self.extras[index], (raw.get() != "null").then_some(Part { kind, span }))
    }

    fn finish<E: serde::de::Error>(self) -> Result<Request, E> {
        match (self.contents, self.inner) {
            (Some(contents), None) => {
                Ok(Request { model: self.model, contents, extras: self.extras.map(Option::flatten) })
            }
            (None, Some(inner)) => Ok(inner),
            (Some(_), Some(_)) => {
                Err(E::custom("`contents` and `generateContentRequest` exclude each other"))
            }
            (None, None) => Err(E::missing_field("contents")),
        }
    }
}

#[cfg(test)]
mod tests;
