//! Where windows are kept when several routers share them: a Redis or Valkey server. What it is told, and what becomes
//! of calls while it is out. Plain values.

use std::{sync::Arc, time::Duration};

use crate::secret::Secret;

/// A server that keeps the windows of several routers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redis {
    /// `redis://` or `rediss://`, perhaps with a password.
    pub url: Secret,
    /// Before every key.
    pub key_prefix: String,
    /// What becomes of calls while it is out.
    pub on_error: OnError,
    /// Whether the server must be there at the start.
    pub required: bool,
    /// For one answer.
    pub response_timeout: Duration,
    /// For a new connection, TLS and login included.
    pub connection_timeout: Duration,
    /// The most connections; each carries any number of calls at a time.
    pub connections: usize,
    /// TLS; `None` = plain text.
    pub tls: Option<RedisTls>,
}

/// TLS to a server. Files are read already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedisTls {
    /// Whether any certificate is believed.
    pub insecure: bool,
    /// Roots instead of the public ones, PEM.
    pub ca_pem: Option<Arc<[u8]>>,
    /// Our own certificate and its key, PEM.
    pub client: Option<(Arc<[u8]>, Secret)>,
}

/// What becomes of calls while the store is out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// Each router counts on its own, from nothing.
    #[default]
    Local,
    /// They are refused.
    Deny,
    /// They are admitted, uncounted.
    Allow,
}

mod script;
#[cfg(test)]
mod tests;
