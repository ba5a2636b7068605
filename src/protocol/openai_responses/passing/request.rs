//! What Nexus reads of a request that passes: the model, whether it streams, and what is counted. Everything else passes
//! untouched, also what only a Responses provider can do: `previous_response_id`, `conversation`, `background`, `prompt`.
//!
//! The body is checked as a whole and kept by its owner; a [`Request`] holds spans of it. What is not read here is the
//! upstream's to judge. What an earlier response or a conversation holds is not in the body, and not counted.

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use self::content::{item, schema, tools};
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
    model: String,
    model_span: Span,
    stream: bool,
    input: Vec<Span>,
    /// `input` as text, `instructions`, `tools`, `text`, `prompt`, as far as they are there.
    extras: [Option<Part>; 5],
}

/// The fields as they come.
#[derive(Default)]
struct Fields {
    model: Option<(String, Span)>,
    input: Option<Vec<Span>>,
    stream: Option<bool>,
    extras: [Option<Option<Part>>; 5],
}

struct Reader<'b>(&'b str);

impl Request {
    /// Reads a whole body.
    ///
    /// # Errors
    /// What is no UTF-8, no JSON object, nested too deep, has a field twice that is read here, has no string `model`, an
    /// `input` that is neither text nor an array of objects, or a `stream` that is no boolean. Answered with 400.
    pub fn parse(body: &[u8]) -> Result<Self, Malformed> {
        json::read(body, Reader)
    }

    /// The model's name as the client wrote it.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Whether the answer is to be streamed.
    pub fn stream(&self) -> bool {
        self.stream
    }

    /// The input items in order, each a JSON object of the body.
    pub fn items(&self) -> &[Span] {
        &self.input
    }

    /// The edit that puts another model's name into the body.
    pub fn rename(&self, model: &str) -> Edit {
        Edit::string(self.model_span, model)
    }
}

impl Prompt for Request {
    const DIALECT: u8 = 4;

    /// What primes the answer.
    fn fixed_tokens(&self) -> u64 {
        3
    }

    fn part(&self, index: usize) -> Option<Part> {
        match self.input.get(index) {
            Some(&span) => Some(Part { kind: Kind::Message, span }),
            None => self.extras.iter().flatten().nth(index - self.input.len()).copied(),
        }
    }

    fn pieces<'a>(kind: Kind, raw: &'a str, each: &mut dyn FnMut(Piece<'a>)) {
        match kind {
            Kind::Schema => schema(raw, each),
            Kind::Tools => tools(raw, each),
            Kind::Message => item(raw, "system", each),
            Kind::Input => item(raw, "user", each),
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
            fields.read(self.0, &key, &mut map)?;
        }
        fields.finish()
    }
}

impl Fields {
    fn read<'de, A: MapAccess<'de>>(
        &mut self,
        body: &'de str,
        key: &str,
        map: &mut A,
    ) -> Result<(), A::Error> {
        match key {
            "input" => self.input(body, map.next_value()?),
            "model" => json::once("model", &mut self.model, json::model(body, map.next_value()?)?),
            "stream" => json::once("stream", &mut self.stream, stream(map.next_value()?)?),
            // A message of its own, without the object around it.
            "instructions" => self.extra(1, "instructions", Kind::Message, body, map.next_value()?),
            "tools" => self.extra(2, "tools", Kind::Tools, body, map.next_value()?),
            "text" => self.extra(3, "text", Kind::Schema, body, map.next_value()?),
            // The variables of a stored prompt; its text nobody knows here.
            "prompt" => self.extra(4, "prompt", Kind::Tools, body, map.next_value()?),
            _ => map.next_value::<IgnoredAny>().map(drop),
        }
    }

    /// Text, or a list of items.
    fn input<'de, E: serde::de::Error>(&mut self, body: &'de str, raw: &'de RawValue) -> Result<(), E> {
        let mut items = Vec::new();
        match raw.get().as_bytes().first() {
            Some(b'"') => {
                self.extras[0] = Some(Some(Part { kind: Kind::Input, span: json::span(body, raw.get())? }))
            }
            // Stored prompts and conversations need none.
            Some(b'n') => {}
            _ => {
                let list = Objects { body, field: "input" };
                items = list.deserialize(raw).map_err(|error| E::custom(error))?;
            }
        }
        json::once("input", &mut self.input, items)
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
        let (model, model_span) = self.model.ok_or_else(|| E::missing_field("model"))?;
        Ok(Request {
            model,
            model_span,
            stream: self.stream.unwrap_or(false),
            input: self.input.unwrap_or_default(),
            extras: self.extras.map(Option::flatten),
        })
    }
}

fn stream<E: serde::de::Error>(raw: &RawValue) -> Result<bool, E> {
    match raw.get() {
        "true" => Ok(true),
        "false" | "null" => Ok(false),
        _ => Err(E::custom("`stream` must be true or false")),
    }
}

#[cfg(test)]
mod tests;
