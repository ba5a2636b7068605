//! A JSON value that passes as it is written: a schema, the arguments of a call. Not looked into, never re-spelled.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

/// A whole JSON value as text, borrowed from a body where that is possible.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Json<'a>(pub Cow<'a, RawValue>);

impl<'a> Json<'a> {
    /// A value of a body.
    pub fn borrowed(raw: &'a RawValue) -> Self {
        Self(Cow::Borrowed(raw))
    }

    /// A value out of text; `None` when the text is no JSON.
    pub fn parse(text: String) -> Option<Self> {
        RawValue::from_string(text).ok().map(|raw| Self(Cow::Owned(raw)))
    }

    /// As it is written.
    pub fn text(&self) -> &str {
        self.0.get()
    }

    /// Whether it is an object or a list that holds nothing.
    pub fn is_empty(&self) -> bool {
        let inside = |ends| self.text().strip_prefix(ends).and_then(|text| text.strip_suffix(ends));
        inside(['{', '}']).or_else(|| inside(['[', ']'])).is_some_and(|inside| inside.trim().is_empty())
    }
}

impl PartialEq for Json<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}
