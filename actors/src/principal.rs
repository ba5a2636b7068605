//! Who is calling: the plain values every actor and the server share. No rule is decided here.

use std::{fmt, sync::Arc};

/// A caller, as the request named it. Kept byte for byte: two ids are one client only if all bytes agree.
/// At most [`ClientId::MAX_BYTES`] long; may be empty (an empty header value is a valid identity).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientId(Arc<str>);

/// A tier of callers (`premium`, `basic`), as listed in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Group(Arc<str>);

/// What an identity actor found out about a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Principal {
    /// Absent when identification is switched off.
    pub client: Option<ClientId>,
    /// Absent when no group is configured, or none was presented and none is required.
    pub group: Option<Group>,
}

impl ClientId {
    /// The longest id that is accepted, in bytes.
    pub const MAX_BYTES: usize = 1024;

    /// Takes the id as given. The caller has checked its length.
    pub fn new(id: &str) -> Self {
        Self(id.into())
    }

    /// The id as the client wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Group {
    /// The longest name that a caller may bring, in bytes.
    pub const MAX_BYTES: usize = 1024;

    /// A group by its configured name.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The configured name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
