//! A string that must never be printed.

use std::{borrow::Cow, fmt, sync::Arc};

/// An API key or the like: readable by [`Secret::expose`] only. Clones share it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

/// A shorter key is a dummy for a local server (`none`, `test`), and a common word besides: taking it out of texts would
/// only garble them.
pub(super) const SHORTEST: usize = 8;

impl Secret {
    /// Wraps the value.
    pub fn new(value: String) -> Self {
        Self(value.into())
    }

    /// The value itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is looked for in texts from outside; `None` for a key that is too short to be one, or that no header can carry.
    pub fn needle(&self) -> Option<&Arc<str>> {
        Some(&self.0).filter(|value| value.len() >= SHORTEST && value.is_ascii())
    }

    /// Whether the bytes hold the secret.
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        self.needle().is_some_and(|needle| memchr::memmem::find(bytes, needle.as_bytes()).is_some())
    }

    /// The text without the secret.
    pub fn scrub<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.is_in(text.as_bytes()) { text.replace(&*self.0, "…").into() } else { text.into() }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"…\"")
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn a_key_is_taken_out_of_texts_and_a_dummy_is_not() {
        assert_eq!(Secret::new("sk-12345678".into()).scrub("bad key sk-12345678!"), "bad key …!");
        assert_eq!(Secret::new("message".into()).scrub("{\"message\":1}"), "{\"message\":1}");
        assert_eq!(format!("{:?}", Secret::new("sk-12345678".into())), "\"…\"");
    }
}
