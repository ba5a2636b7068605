//! A string that must never be printed: not in a log, not in an error, not by `{:?}`.

use std::{fmt, sync::Arc};

/// An API key or the like: readable by [`Secret::expose`] only. Clones share it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps the value.
    pub fn new(value: String) -> Self {
        Self(value.into())
    }

    /// The value itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"…\"")
    }
}
