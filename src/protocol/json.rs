//! Reading JSON by spans: whole bodies are checked, and only what Nexus needs is understood.
//!
//! Must not know any protocol. Lines and columns in messages are 1-based; columns count bytes.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::chat::Span;

pub(super) mod cut;

/// Why a body is no request: the text of a 400. Says where, or names the field.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Malformed(String);

/// Deepest nesting of objects and arrays, the outermost being level 1.
pub const MAX_DEPTH: usize = 128;

/// A key of an object.
#[derive(Deserialize)]
pub(super) struct Key<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// Reads an array of objects and collects the spans of its elements.
pub(super) struct Objects<'b> {
    /// The whole body.
    pub(super) body: &'b str,
    /// Name of the field, for messages.
    pub(super) field: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Malformed {}

impl From<serde_json::Error> for Malformed {
    fn from(error: serde_json::Error) -> Self {
        Self(format!("invalid request body: {error}"))
    }
}

impl<'de> DeserializeSeed<'de> for Objects<'de> {
    type Value = Vec<Span>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Span>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Objects<'de> {
    type Value = Vec<Span>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` as an array of objects", self.field)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<Span>, A::Error> {
        let mut spans = Vec::new();
        while let Some(element) = elements.next_element::<&'de RawValue>()? {
            if !element.get().starts_with('{') {
                return Err(A::Error::custom(format_args!("`{}` must be an array of objects", self.field)));
            }
            spans.push(span(self.body, element.get())?);
        }
        Ok(spans)
    }
}

/// Reads a whole body with `seed`: UTF-8, one JSON value and nothing behind it, nested no deeper than [`MAX_DEPTH`].
pub(super) fn read<'a, S>(body: &'a [u8], seed: impl FnOnce(&'a str) -> S) -> Result<S::Value, Malformed>
where
    S: DeserializeSeed<'a>,
{
    let text = std::str::from_utf8(body).map_err(|error| {
        Malformed(format!("the request body is not UTF-8 at byte {}", error.valid_up_to()))
    })?;
    // Our readers go three levels deep and skip the rest without recursion, so serde_json's own limit never matters.
    let mut json = serde_json::Deserializer::from_str(text);
    let value = seed(text).deserialize(&mut json)?;
    json.end()?;
    if depth(body) > MAX_DEPTH {
        return Err(Malformed(format!("the request body is nested deeper than {MAX_DEPTH} levels")));
    }
    Ok(value)
}

/// The span of a value within the body it was read from.
pub(super) fn span<E: serde::de::Error>(body: &str, value: &str) -> Result<Span, E> {
    Span::of(body, value).ok_or_else(|| E::custom("the request body is too large"))
}

/// How deep a valid JSON text is nested.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut at) = (0_usize, 0, 0);
    while let Some(&byte) = json.get(at) {
        at += 1;
        match byte {
            b'"' => at = string_end(json, at),
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Behind the closing quote of the string whose first byte is at `at`.
fn string_end(json: &[u8], mut at: usize) -> usize {
    while let Some(found) = json.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found + 1;
        if json[at - 1] == b'"' {
            return at;
        }
        at += 1;
    }
    json.len()
}

/// The text of a JSON string; `None` for any other value. A lone surrogate, which JSON can spell and text cannot
/// hold, becomes U+FFFD.
pub(super) fn text(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    unescaped(inner).map(Cow::Owned)
}

/// A string without its escapes; `None` if one of them is none that JSON has. Runs between them are copied as a whole.
fn unescaped(mut rest: &str) -> Option<String> {
    let mut text = String::with_capacity(rest.len());
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        text.push_str(&rest[..at]);
        let escape = *rest.as_bytes().get(at + 1)?;
        rest = &rest[at..];
        let (char, length) = match escape {
            b'"' | b'\\' | b'/' => (escape.into(), 2),
            b'b' => ('\u{8}', 2),
            b'f' => ('\u{c}', 2),
            b'n' => ('\n', 2),
            b'r' => ('\r', 2),
            b't' => ('\t', 2),
            b'u' => coded(rest)?,
            _ => return None,
        };
        text.push(char);
        rest = &rest[length..];
    }
    text.push_str(rest);
    Some(text)
}

/// The character at the beginning, which is written as `\uXXXX`, or two of them; and the length of that.
fn coded(text: &str) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = text.get(at..)?.strip_prefix("\\u")?.get(..4)?;
        // A sign would be read too.
        digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
    };
    let first = unit(0)?;
    let pair = [first, unit(6).unwrap_or_default()];
    let decoded = char::decode_utf16(pair).next()?;
    Some(match decoded {
        Ok(char) => (char, 6 * char.len_utf16()),
        Err(_lone) => (char::REPLACEMENT_CHARACTER, 6),
    })
}

/// Gives each element of an array, which is valid JSON, to `each`; `None` when `raw` is none.
pub(super) fn each<'a>(raw: &'a str, each: impl FnMut(&'a str)) -> Option<()> {
    cut::elements(raw).map(|elements| elements.for_each(each))
}

/// A valid JSON text without the blanks between its tokens. Spelling of strings and numbers stays.
pub(super) fn compact(json: &str) -> Cow<'_, str> {
    let mut kept = String::new();
    let (mut at, mut start) = (0, 0);
    while let Some(&byte) = json.as_bytes().get(at) {
        at += 1;
        match byte {
            b'"' => at = string_end(json.as_bytes(), at),
            b' ' | b'\t' | b'\r' | b'\n' => {
                kept.push_str(&json[start..at - 1]);
                start = at;
            }
            _ => {}
        }
    }
    if start == 0 {
        return Cow::Borrowed(json);
    }
    kept.push_str(&json[start..]);
    Cow::Owned(kept)
}

/// The string `model` and its span.
pub(super) fn model<E: serde::de::Error>(body: &str, raw: &RawValue) -> Result<(String, Span), E> {
    let name = serde_json::from_str(raw.get()).map_err(|_| E::custom("`model` must be a string"))?;
    Ok((name, span(body, raw.get())?))
}

/// Keeps the value of a field that may stand once only: two would be read differently here and upstream.
pub(super) fn once<T, E: serde::de::Error>(
    name: &'static str,
    field: &mut Option<T>,
    value: T,
) -> Result<(), E> {
    match field.replace(value) {
        Some(_) => Err(E::duplicate_field(name)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_are_read_and_what_text_cannot_hold_is_replaced() {
        assert_eq!(
            text(r#""a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00z""#).unwrap(),
            "a\"\\/\u{8}\u{c}\n\r\t\u{e9}\u{1f600}z"
        );
        assert_eq!(text(r#""\ud83d!\ude00\ud83d\u0041""#).unwrap(), "\u{fffd}!\u{fffd}\u{fffd}A");
        for wrong in [r#""\x""#, r#""\u12""#, r#""\u+123""#, r#""\""#, "1", "\"a"] {
            assert_eq!(text(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_text_reads_as_it_was_written(said: String, ascii: bool) {
            let escape = |unit: u16| format!("\\u{unit:04x}");
            let written = if ascii {
                format!("\"{}\"", said.encode_utf16().map(escape).collect::<String>())
            } else {
                serde_json::to_string(&said).unwrap()
            };
            let read = text(&written);
            prop_assert_eq!(read.as_deref(), Some(said.as_str()));
        }
    }
}
