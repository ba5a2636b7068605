//! What `[server]` says about the edge: TLS, browsers, addresses, limits on requests. Values only.

use std::{path::PathBuf, time::Duration};

use actors::identity::Networks;
use http::{HeaderName, Method};

/// Where the metadata of a protected resource is found (RFC 9728, section 3).
pub const METADATA: &str = "/.well-known/oauth-protected-resource";

/// `[server.tls]`. The files are read by the listener, at start and whenever they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Certificate chain, PEM; the server's own first.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// Roots that client certificates must come from, PEM; `None` = clients show none.
    pub client_ca: Option<PathBuf>,
}

/// `[server.cors]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// Whether credentials are allowed; then no list is [`Allowed::Any`].
    pub allow_credentials: bool,
    /// Origins as browsers write them, `scheme://host[:port]` without a default port, lower case; a `*` in the host stands
    /// for one or more of `a-z`, `0-9`, `-` and `.`, one for the port for any. Absent = none.
    pub origins: Option<Allowed<String>>,
    /// Methods, `OPTIONS` among them. Absent = those that are served.
    pub methods: Option<Allowed<Method>>,
    /// Request headers. Absent = those that a page asks for.
    pub headers: Option<Allowed<HeaderName>>,
    /// Response headers. Absent = those that every page may read.
    pub expose: Option<Allowed<HeaderName>>,
    /// How long a browser remembers a preflight, whole seconds.
    pub max_age: Option<Duration>,
    /// Whether pages from public networks may call this server in a private one.
    pub allow_private_network: bool,
}

/// A list in [`Cors`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed<T> {
    /// `"*"`
    Any,
    /// These.
    These(Vec<T>),
}

/// `[server.client_ip]`: where the address of a caller is read from. The default believes the connection alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientIp {
    /// Whether `X-Real-IP` is believed.
    pub x_real_ip: bool,
    /// The entry of `X-Forwarded-For` so many places left of the rightmost.
    pub trusted_hops: Option<usize>,
    /// Peers whose headers are believed (those of the identification, be it on or off); empty = all peers.
    pub trusted_proxies: Networks,
}

/// `[server.rate_limits]` `global` and `per_ip`; both absent when they are switched off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestLimits {
    /// Requests of all callers together.
    pub global: Option<RequestLimit>,
    /// Requests of one address.
    pub per_ip: Option<RequestLimit>,
}

/// So many requests in any span of `interval`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimit {
    /// Requests; 0 = none ever.
    pub limit: u64,
    /// 1 s to 31 d.
    pub interval: Duration,
}

/// `[server.oauth.protected_resource]`: what is published of this server (RFC 9728). URLs as written, normalised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtectedResource {
    /// This server; holds no query.
    pub resource: String,
    /// Who issues tokens for it.
    pub authorization_servers: Vec<String>,
}
