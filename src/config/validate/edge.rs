//! `[server.tls]`, `[server.csrf]`, `[server.client_ip]` and the limits on requests.

use actors::identity::Networks;
use http::HeaderName;

use super::Check;
use crate::config::{
    diagnostic::Code,
    edge::{ClientIp, RequestLimit, RequestLimits, Tls},
    file::View,
};

/// How headers are believed from one's own proxies alone.
pub(super) const NAME_PROXIES: &str =
    "name the proxies that set it: `trusted_proxies = [\"10.0.0.0/8\"]` in [server.client_identification]";

/// The files of the listener. What is in them is its matter.
pub(super) fn tls(view: View<'_>, check: &mut Check<'_>) -> Option<Tls> {
    let mut file = |name| view.entry(name).and_then(|entry| check.path(entry));
    let (certificate, key, client_ca) = (file("certificate"), file("key"), file("client_ca"));
    Some(Tls { certificate: certificate?, key: key?, client_ca })
}

/// Headers that browsers add by themselves, let every page set without asking first (the Fetch standard, "forbidden
/// request-header" and "CORS-safelisted request-header"), or that proxies add: that one is there says nothing of a page.
const COMMON: &[&str] = &[
    "authorization",
    "cache-control",
    "connection",
    "cookie",
    "cookie2",
    "date",
    "device-memory",
    "dnt",
    "downlink",
    "dpr",
    "ect",
    "expect",
    "forwarded",
    "from",
    "host",
    "keep-alive",
    "last-event-id",
    "origin",
    "pragma",
    "priority",
    "purpose",
    "range",
    "referer",
    "rtt",
    "save-data",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "upgrade-insecure-requests",
    "user-agent",
    "via",
    "viewport-width",
    "width",
    "x-real-ip",
    "x-request-id",
];
/// The same by how they begin.
const COMMON_BEGIN: &[&str] =
    &["accept", "access-control-", "content-", "if-", "proxy-", "sec-", "x-forwarded-", "x-http-method"];

/// The header every request must carry.
pub(super) fn csrf(view: View<'_>, check: &mut Check<'_>) -> Option<HeaderName> {
    let written = view.entry("header_name").zip(view.get::<HeaderName>("header_name"));
    if let Some((entry, name)) = written.filter(|(_, name)| is_common(name.as_str())) {
        let message =
            format!("`{name}` is in requests anyway, so that it does not tell pages of other sites apart");
        let help = "write a name of your own, for example `header_name = \"X-Nexus-CSRF-Protection\"`";
        check.at_value(entry, Code::CommonHeader, message, help);
    }
    view.value::<bool>("enabled").then(|| view.get("header_name")).flatten()
}

/// `name` in lower case.
fn is_common(name: &str) -> bool {
    COMMON.contains(&name) || COMMON_BEGIN.iter().any(|begin| name.starts_with(begin))
}

/// Where the address of a caller is read from.
pub(super) fn client_ip(server: View<'_>, check: &mut Check<'_>) -> ClientIp {
    let (view, callers) = (server.table("client_ip"), server.table("client_identification"));
    if callers.items("trusted_proxies").is_empty() {
        for entry in believed(view).filter_map(|name| view.entry(name)) {
            let message =
                "the address is believed, whoever sends it: who reaches this server directly chooses its own";
            check.at_key(entry, Code::ForgeableHeader, message, NAME_PROXIES);
        }
    }
    ClientIp {
        x_real_ip: view.value("x_real_ip"),
        trusted_hops: view.get("x_forwarded_for_trusted_hops"),
        trusted_proxies: Networks::new(callers.get("trusted_proxies").unwrap_or_default()),
    }
}

/// The keys of `[server.client_ip]` by which a header is believed.
pub(super) fn believed(view: View<'_>) -> impl Iterator<Item = &'static str> {
    let hops = view.get::<usize>("x_forwarded_for_trusted_hops").map(|_| "x_forwarded_for_trusted_hops");
    view.value::<bool>("x_real_ip").then_some("x_real_ip").into_iter().chain(hops)
}

/// `global` and `per_ip`, unless they are switched off.
pub(super) fn request_limits(view: View<'_>) -> RequestLimits {
    if view.get("enabled") == Some(false) {
        return RequestLimits::default();
    }
    let limit = |name| {
        let view = view.table(name);
        Some(RequestLimit { limit: view.get("limit")?, interval: view.get("interval")? })
    };
    RequestLimits { global: limit("global"), per_ip: limit("per_ip") }
}
