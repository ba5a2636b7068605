//! Why a credential was not got, as the log says it.

use std::fmt;

/// The reason, for the operator. It is put together from places (a host, a path, a variable), numbers and known words,
/// never from what a server or a file has said: that may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failed(String);

impl Failed {
    /// A reason; of what it may not hold, see there.
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }

    /// The same, with what was being done.
    pub(super) fn at(self, place: impl fmt::Display) -> Self {
        Self(format!("{place}: {}", self.0))
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failed {}
