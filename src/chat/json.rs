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
}

impl PartialEq for Json<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}
