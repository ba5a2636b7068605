//! What Nexus reads of a chat request: the model, whether it streams, and what is counted. Everything else passes untouched.
//!
//! The body is checked as a whole and kept by its owner; a [`Request`] holds spans of it. What is not read here is the
//! upstream's to judge.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
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
    model: String,
    model_span: Span,
    stream: bool,
    usage: Usage,
    messages: Vec<Span>,
    /// `tools`, `functions`, `response_format`, as far as they are there.
    extras: [Option<Part>; 3],
}

/// Whether a stream reports its usage, and else what to write where so that it does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Usage {
    Asked,
    /// Replace the span by the text.
    Unasked(Span, &'static str),
    /// `stream_options` is something the upstream will have to judge.
    Unknown,
}

/// The fields as they come.
#[derive(Default)]
struct Fields {
    model: Option<(String, Span)>,
    messages: Option<Vec<Span>>,
    stream: Option<bool>,
    usage: Option<Usage>,
    extras: [Option<Option<Part>>; 3],
}

struct Reader<'b>(&'b str);

#[derive(Deserialize)]
struct StreamOptions<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    include_usage: Option<&'a RawValue>,
}

impl Request {
    /// Reads a whole body.
    ///
    /// # Errors
    /// What is no UTF-8, no JSON object, nested too deep, has a field twice that is read here, has no string `model`, no
    /// `messages` that are an array of objects, or a `stream` that is no boolean. Answered with 400.
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

    /// Whether the client itself asked for the usage of a stream, and so must get the chunk that reports it.
    pub fn include_usage(&self) -> bool {
        self.usage == Usage::Asked
    }

    /// The messages in order, each a JSON object of the body.
    pub fn messages(&self) -> &[Span] {
        &self.messages
    }

    /// The edit that puts another model's name into the body.
    pub fn rename(&self, model: &str) -> Edit {
        Edit::string(self.model_span, model)
    }

    /// The edit that makes a stream report its usage; `None` when it does anyway, is no stream, or asks in a way that
    /// the upstream has to judge.
    pub fn ask_for_usage(&self) -> Option<Edit> {
        match self.usage {
            Usage::Unasked(span, text) if self.stream => Some(Edit::text(span, text)),
            _ => None,
        }
    }
}

impl Prompt for Request {
    const DIALECT: u8 = 0;

    /// What primes the answer.
    fn fixed_tokens(&self) -> u64 {
        3
    }

    fn part(&self, index: usize) -> Option<Part> {
        match self.messages.get(index) {
            Some(&span) => Some(Part { kind: Kind::Message, span }),
            None => self.extras.iter().flatten().nth(index - self.messages.len()).copied(),
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
            fields.read(self.0, &key, &mut map)?;
        }
        fields.finish(self.0)
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
            "messages" => {
                let messages = map.next_value_seed(Objects { body, field: "messages" })?;
                json::once("messages", &mut self.messages, messages)
            }
            "model" => json::once("model", &mut self.model, json::model(body, map.next_value()?)?),
            "stream" => json::once("stream", &mut self.stream, stream(map.next_value()?)?),
            "stream_options" => {
                json::once("stream_options", &mut self.usage, usage(body, map.next_value()?)?)
            }
            "tools" => self.extra(0, "tools", Kind::Tools, body, map.next_value()?),
            "functions" => self.extra(1, "functions", Kind::Tools, body, map.next_value()?),
            "response_format" => self.extra(2, "response_format", Kind::Schema, body, map.next_value()?),
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

    fn finish<E: serde::de::Error>(self, body: &str) -> Result<Request, E> {
        let (model, model_span) = self.model.ok_or_else(|| E::missing_field("model"))?;
        Ok(Request {
            model,
            model_span,
            stream: self.stream.unwrap_or(false),
            usage: match self.usage {
                Some(usage) => usage,
                // The object is not empty, so the comma is right.
                None => {
                    Usage::Unasked(behind_brace(body, body)?, r#""stream_options":{"include_usage":true},"#)
                }
            },
            messages: self.messages.ok_or_else(|| E::missing_field("messages"))?,
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

fn usage<E: serde::de::Error>(body: &str, raw: &RawValue) -> Result<Usage, E> {
    let raw = raw.get();
    if raw == "null" {
        return Ok(Usage::Unasked(json::span(body, raw)?, r#"{"include_usage":true}"#));
    }
    if !raw.starts_with('{') {
        return Ok(Usage::Unknown);
    }
    let options: StreamOptions<'_> =
        serde_json::from_str(raw).map_err(|error| E::custom(format_args!("`stream_options`: {error}")))?;
    match options.include_usage.map(RawValue::get) {
        Some("true") => Ok(Usage::Asked),
        Some(value) => Ok(Usage::Unasked(json::span(body, value)?, "true")),
        None => {
            let empty = raw[1..].trim_start().starts_with('}');
            let text = if empty { r#""include_usage":true"# } else { r#""include_usage":true,"# };
            Ok(Usage::Unasked(behind_brace(body, raw)?, text))
        }
    }
}

/// The empty span behind the opening brace of `object`.
fn behind_brace<E: serde::de::Error>(body: &str, object: &str) -> Result<Span, E> {
    let (_, fields) = object.split_once('{').unwrap_or_default();
    json::span(body, &fields[..0])
}

/// Tells `null` from absence.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests;
