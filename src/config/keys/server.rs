//! `[server]` and `[actors]`.

use super::{Key, Kind, Section};

/// Longest time-out that makes sense: a day, in seconds.
const DAY: u64 = 86_400;
/// Longest limit interval: 31 days, in seconds.
const MONTH: u64 = 31 * DAY;

/// Algorithms of tokens, as `alg` names them.
const ALGORITHMS: &[&str] = &[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "HS256", "HS384",
    "HS512",
];

/// Keys that people expect in a table which does not have them: its title, their names, and what to do.
const MISTAKEN: &[(&str, &[&str], &str)] = &[
    (
        API_KEY.title,
        &["key", "api_key", "apikey", "token", "value", "secret", "hash", "key_hash"],
        "the SHA-256 of the key belongs here, never the key itself: write the `sha256 = \"…\"` that \
         `nexus key new` prints with a new key",
    ),
    (
        OAUTH_SERVER.title,
        &["secret", "client_secret", "client_id"],
        "remove it: tokens are verified by the public keys of `url`, so that no secret is needed here",
    ),
];

/// What to do about a key that the table does not have, if that is known better than by the likeness of names.
pub(in crate::config) fn mistaken(section: &Section, name: &str) -> Option<&'static str> {
    let found = MISTAKEN.iter().find(|(title, names, _)| *title == section.title && names.contains(&name));
    found.map(|(.., remedy)| *remedy)
}

#[rustfmt::skip]
pub(super) static SERVER: Section = Section { title: "[server]", names: None, keys: &[
    Key::new("listen_address", Kind::Address, "\"127.0.0.1:8000\"", "Where clients connect. Needs a restart."),
    Key::new("max_in_flight", Kind::Integer(1, 1 << 24), "4096", "Calls admitted and not yet answered to the last byte; above it 503."),
    Key::new("max_connections", Kind::Integer(1, 1 << 24), "16384", "Client connections."),
    Key::new("memory_budget", Kind::Size, "\"1GiB\"", "Request and response bodies held at one time; above it 503."),
    Key::new("request_body_limit", Kind::Size, "\"32MiB\"", "Largest request body; above it 413."),
    Key::new("header_timeout", Kind::Duration(0, DAY), "\"10s\"", "For a whole request head."),
    Key::new("body_timeout", Kind::Duration(0, DAY), "\"10s\"", "Between two pieces of a request body."),
    Key::new("write_timeout", Kind::Duration(0, DAY), "\"60s\"", "A client that takes nothing for so long is closed and its upstream call cancelled."),
    Key::new("idle_timeout", Kind::Duration(0, DAY), "\"75s\"", "For a kept-alive connection without a request."),
    Key::new("drain_delay", Kind::Delay, "\"0s\"", "After SIGTERM or SIGINT: `/ready` says no, calls are still accepted."),
    Key::new("shutdown_timeout", Kind::Duration(0, DAY), "\"30s\"", "Then: for calls to finish, before what is left is cut."),
    Key::new("health", Kind::Table(&HEALTH), "", "The health route."),
    Key::new("admin", Kind::Table(&ADMIN), "", "The operator's listener."),
    Key::new("client_identification", Kind::Table(&IDENTIFICATION), "", "Who is calling."),
    Key::new("rate_limits", Kind::Table(&RATE_LIMITS), "", "Limits on requests, and where limits are kept."),
    Key::new("tls", Kind::Table(&TLS), "", "TLS for clients; absent = plain text. Needs a restart; the files themselves are followed."),
    Key::new("cors", Kind::Table(&CORS), "", "What pages of other origins may do; absent = no such headers."),
    Key::new("csrf", Kind::Table(&CSRF), "", "A header every request must carry."),
    Key::new("client_ip", Kind::Table(&CLIENT_IP), "", "Where the address of a caller is read from."),
    Key::new("oauth", Kind::Table(&OAUTH_SERVER), "", "Tokens that every call needs, and the keys that verify them."),
    Key::new("api_keys", Kind::Tables(&API_KEY), "", "Keys handed out to callers: they name the client, as a header or a claim would."),
] };

#[rustfmt::skip]
static HEALTH: Section = Section { title: "[server.health]", names: None, keys: &[
    Key::new("enabled", Kind::Bool, "true", "Whether the route exists."),
    Key::new("path", Kind::Path, "\"/health\"", "Its path."),
    Key::new("listen", Kind::Address, "", "A listener of its own; the main one then answers 404 on the path. Needs a restart."),
] };

#[rustfmt::skip]
static ADMIN: Section = Section { title: "[server.admin]", names: None, keys: &[
    Key::new("listen", Kind::Address, "", "Serves /live, /ready, /metrics, /status and /explain; absent = off. Needs a restart."),
] };

#[rustfmt::skip]
static IDENTIFICATION: Section = Section { title: "[server.client_identification]", names: None, keys: &[
    Key::new("enabled", Kind::Bool, "false", "Whether every call must say who makes it."),
    Key::new("client_id", Kind::Table(&SOURCE), "", "Where the client id is read from; absent = the JWT claim `sub`."),
    Key::new("group_id", Kind::Table(&GROUP_SOURCE), "", "Where the group is read from; absent = no groups."),
    Key::new("trusted_proxies", Kind::Networks, "", "Header identity, tokens nobody verifies, and the headers of [server.client_ip] are believed only from these peers; absent = from all."),
    Key::new("validation", Kind::Table(&VALIDATION), "", "What a valid identity is."),
    Key::new("jwt_verification", Kind::Choice(&["none"]), "", "`\"none\"`: a proxy in front has verified the token; stands without [server.oauth]."),
] };

#[rustfmt::skip]
static SOURCE: Section = Section { title: "[server.client_identification.client_id]", names: None, keys: &[
    Key::new("http_header", Kind::HeaderName, "", "A request header."),
    Key::new("jwt_claim", Kind::Text, "", "A claim of a verified token: a name, or a dotted path."),
    Key::new("tls", Kind::Choice(&["san_uri", "subject_cn"]), "", "The certificate of the TLS client: its one URI among the alternative names, or the common name of its subject; needs `server.tls.client_ca`."),
    Key::new("type", Kind::Choice(&["http_header", "jwt_claim", "tls"]), "", "May be written; says nothing new."),
] };

#[rustfmt::skip]
static GROUP_SOURCE: Section = Section { title: "[server.client_identification.group_id]", names: None, keys: &[
    Key::new("http_header", Kind::HeaderName, "", "A request header."),
    Key::new("jwt_claim", Kind::Text, "", "A claim of a verified token: a name, or a dotted path; of a list, the first group that is listed."),
    Key::new("tls", Kind::Any, "", "Not supported: groups from certificates.").never("a certificate names the client only: write `client_id.tls`, and `group_id.http_header` or `group_id.jwt_claim`"),
    Key::new("type", Kind::Choice(&["http_header", "jwt_claim"]), "", "May be written; says nothing new."),
] };

#[rustfmt::skip]
static VALIDATION: Section = Section { title: "[server.client_identification.validation]", names: None, keys: &[
    Key::new("group_values", Kind::Texts, "[]", "The groups a caller may name; empty = any."),
    Key::new("require_group", Kind::Bool, "", "Whether a call without a group is refused; absent = true when `group_id` and `group_values` are set."),
] };

#[rustfmt::skip]
static RATE_LIMITS: Section = Section { title: "[server.rate_limits]", names: None, keys: &[
    Key::new("enabled", Kind::Bool, "", "Switches `global` and `per_ip` off and on; absent = on where one of them is set."),
    Key::new("max_clients", Kind::Integer(1, 1 << 32), "1000000", "Clients with a live window, over all shards; a new one beyond it gets 503. As many addresses, counted apart, for `per_ip`."),
    Key::new("storage", Kind::Table(&STORAGE), "", "Where windows are kept. Needs a restart."),
    Key::new("global", Kind::Table(&REQUEST_LIMIT), "", "Requests of all callers together."),
    Key::new("per_ip", Kind::Table(&REQUEST_LIMIT), "", "Requests of one address; of IPv6, of one /64 network."),
] };

#[rustfmt::skip]
static STORAGE: Section = Section { title: "[server.rate_limits.storage]", names: None, keys: &[
    Key::new("type", Kind::Choice(&["memory", "redis"]), "\"memory\"", "In this process, or on a Redis or Valkey server that several routers share."),
    Key::new("path", Kind::File, "", "A file that keeps windows of more than a minute over a restart.").only(&["memory"]),
    Key::new("url", Kind::Secret, "", "Address of the server: `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]`, or `rediss://` for TLS.").only(&["redis"]),
    Key::new("key_prefix", Kind::Text, "\"nexus:rate_limit:\"", "Before every key; routers with one prefix share their windows.").only(&["redis"]),
    Key::new("on_error", Kind::Choice(&["local", "deny", "allow"]), "\"local\"", "While the server is out: each router counts on its own from nothing, calls are refused (503), or admitted uncounted. Where it is not written, the server must be there at the start.").only(&["redis"]),
    Key::new("response_timeout", Kind::Duration(0, DAY), "\"1s\"", "For an answer; more than 4 s counts as 4 s.").only(&["redis"]),
    Key::new("connection_timeout", Kind::Duration(0, DAY), "\"5s\"", "For a new connection.").only(&["redis"]),
    Key::new("pool", Kind::Table(&POOL), "", "Connections to the server.").only(&["redis"]),
    Key::new("tls", Kind::Table(&REDIS_TLS), "", "TLS to the server.").only(&["redis"]),
] };

#[rustfmt::skip]
static POOL: Section = Section { title: "[server.rate_limits.storage.pool]", names: None, keys: &[
    Key::new("max_size", Kind::Integer(1, 65_536), "16", "The most connections; each carries any number of calls at a time."),
    Key::new("min_idle", Kind::Integer(0, 65_536), "0", "May be written; connections are kept."),
    Key::new("timeout_create", Kind::Duration(0, DAY), "\"5s\"", "May be written; `connection_timeout` holds."),
    Key::new("timeout_wait", Kind::Duration(0, DAY), "\"5s\"", "May be written; nobody waits for a free connection."),
    Key::new("timeout_recycle", Kind::Duration(0, DAY), "\"300s\"", "May be written; connections are not checked before use."),
] };

#[rustfmt::skip]
static REDIS_TLS: Section = Section { title: "[server.rate_limits.storage.tls]", names: None, keys: &[
    Key::new("enabled", Kind::Bool, "false", "Whether TLS is spoken; a `rediss://` address says so, too."),
    Key::new("insecure", Kind::Bool, "false", "Whether any certificate is believed: then nobody knows who answers."),
    Key::new("ca_cert_path", Kind::File, "", "Roots that the server's certificate must come from, PEM; absent = the public ones."),
    Key::new("client_cert_path", Kind::File, "", "Certificate of Nexus, PEM; with `client_key_path`."),
    Key::new("client_key_path", Kind::File, "", "Its key, PEM."),
] };

#[rustfmt::skip]
static REQUEST_LIMIT: Section = Section { title: "[server.rate_limits.global], per_ip likewise", names: None, keys: &[
    Key::new("limit", Kind::Integer(0, i64::MAX as u64), "", "Requests.").required(),
    Key::new("interval", Kind::Duration(1, MONTH), "", "Length of the window.").required(),
] };

#[rustfmt::skip]
static TLS: Section = Section { title: "[server.tls]", names: None, keys: &[
    Key::new("certificate", Kind::File, "", "Certificate chain, PEM, the server's own first.").required(),
    Key::new("key", Kind::File, "", "Its key, PEM.").required(),
    Key::new("client_ca", Kind::File, "", "Roots that client certificates must come from, PEM; absent = clients show none. A root that is removed lets nobody in any more; who is connected stays until the connection ends, or the certificate."),
] };

#[rustfmt::skip]
static CORS: Section = Section { title: "[server.cors]", names: None, keys: &[
    Key::new("allow_credentials", Kind::Bool, "false", "Whether pages may send credentials; then no list may be `\"*\"`."),
    Key::new("allow_origins", Kind::TextOrTexts, "", "`\"*\"` or origins, `scheme://host[:port]`; a `*` in a host stands for one or more of `a-z`, `0-9`, `-` and `.`, one in place of the port for any port."),
    Key::new("allow_methods", Kind::TextOrTexts, "", "`\"*\"` or methods; OPTIONS is always among them; absent = those that are served: GET, HEAD, POST, OPTIONS."),
    Key::new("allow_headers", Kind::TextOrTexts, "", "`\"*\"` or headers pages may send; absent = whatever a page of an allowed origin asks for."),
    Key::new("expose_headers", Kind::TextOrTexts, "", "`\"*\"` or headers pages may read."),
    Key::new("max_age", Kind::Duration(1, MONTH), "", "How long a browser remembers what is allowed."),
    Key::new("allow_private_network", Kind::Bool, "false", "Whether pages of public networks may call a server in a private one."),
] };

#[rustfmt::skip]
static CSRF: Section = Section { title: "[server.csrf]", names: None, keys: &[
    Key::new("enabled", Kind::Bool, "false", "Whether every request but OPTIONS must carry the header, whatever its value; without it 403."),
    Key::new("header_name", Kind::HeaderName, "\"X-Nexus-CSRF-Protection\"", "The header; none that browsers or proxies send by themselves."),
] };

#[rustfmt::skip]
static CLIENT_IP: Section = Section { title: "[server.client_ip]", names: None, keys: &[
    Key::new("x_real_ip", Kind::Bool, "false", "Whether `X-Real-IP` is believed."),
    Key::new("x_forwarded_for_trusted_hops", Kind::Integer(0, 64), "", "The address is the entry of `X-Forwarded-For` so many places left of the rightmost; absent = the header is not read."),
] };

#[rustfmt::skip]
static OAUTH_SERVER: Section = Section { title: "[server.oauth]", names: None, keys: &[
    Key::new("url", Kind::Link, "", "A JWKS; either this or `keys_file`."),
    Key::new("keys_file", Kind::File, "", "A local JWKS."),
    Key::new("poll_interval", Kind::Duration(1, MONTH), "\"1h\"", "Between two fetches, after which a revoked key is not honoured any more; a token that names an unknown key brings one sooner."),
    Key::new("expected_issuer", Kind::Text, "", "`iss` must be this."),
    Key::new("expected_audience", Kind::Text, "", "`aud` must be or hold this."),
    Key::new("algorithms", Kind::Choices(ALGORITHMS), "", "The algorithms that are accepted; absent = all but HS*, which needs a `keys_file`."),
    Key::new("protected_resource", Kind::Table(&PROTECTED_RESOURCE), "", "What is published of this server at `/.well-known/oauth-protected-resource`, and there with the path of `resource` after it."),
] };

#[rustfmt::skip]
static PROTECTED_RESOURCE: Section = Section { title: "[server.oauth.protected_resource]", names: None, keys: &[
    Key::new("resource", Kind::Link, "", "This server, as clients address it; without a query.").required(),
    Key::new("authorization_servers", Kind::Links, "", "Who issues tokens for it.").required(),
] };

#[rustfmt::skip]
static API_KEY: Section = Section { title: "[[server.api_keys]]", names: None, keys: &[
    Key::new("client", Kind::Text, "", "The client id of its holder.").required(),
    Key::new("group", Kind::Text, "", "The group of its holder; one of `group_values`, where those are given."),
    Key::new("sha256", Kind::Secret, "", "SHA-256 of the key, 64 hexadecimal digits; `nexus key new` prints it.").required(),
] };

#[rustfmt::skip]
pub(super) static ACTORS: Section = Section { title: "[actors]", names: None, keys: &[
    Key::new("identity_workers", Kind::Integer(1, 1024), "", "Identity actors; absent = one per core."),
    Key::new("quota_shards", Kind::Integer(1, 1024), "", "Quota actors, over which clients are spread by a stable hash; absent = four per core."),
    Key::new("provider_workers", Kind::Integer(1, 1024), "1", "Provider actors per provider, each with its own connections."),
    Key::new("mailbox_limit", Kind::Integer(1, 1 << 24), "4096", "Calls a mailbox holds before it refuses with 503. Needs a restart."),
    Key::new("metrics_interval", Kind::DurationOrOff, "\"30s\"", "One log line per actor; `\"off\"` silences it. Needs a restart."),
] };

#[cfg(test)]
mod tests {
    use actors::identity::{Algorithm, Verification};

    use super::ALGORITHMS;

    #[test]
    fn every_algorithm_that_can_be_written_is_one_and_those_of_shared_secrets_are_hs() {
        for name in ALGORITHMS {
            let algorithm: Algorithm = name.parse().expect(name);
            assert_eq!(Verification::is_symmetric(algorithm), name.starts_with("HS"), "{name}");
        }
        assert_eq!(ALGORITHMS.len(), Verification::ASYMMETRIC.len() + 3);
    }
}
