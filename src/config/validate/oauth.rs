//! `[server.oauth]`: which tokens are believed, and what is published of this server. The keys are read elsewhere.

use actors::identity::{Algorithm, KeySource, Verification};
use http::Uri;

use super::{Check, is_of_this_machine};
use crate::config::{
    diagnostic::{Code, Diagnostic},
    edge::ProtectedResource,
    file::View,
};

/// How tokens are verified; `None` where the table is absent or says too little.
pub(super) fn verification(view: View<'_>, check: &mut Check<'_>) -> Option<Verification> {
    if !view.exists() {
        return None;
    }
    for name in ["expected_issuer", "expected_audience"] {
        let empty = view.entry(name).filter(|entry| entry.node.text() == Some(""));
        if let Some(entry) = empty {
            let message = format!("`{name}` is empty: no token has such a claim");
            check.at_value(entry, Code::EmptyValue, message, format!("remove `{name}` to accept any"));
        }
    }
    claims(view, check);
    let algorithms = algorithms(view, check);
    Some(Verification {
        keys: keys(view, check)?,
        poll_interval: Some(view.value("poll_interval")),
        issuer: view.get("expected_issuer"),
        audience: view.get("expected_audience"),
        algorithms,
    })
}

/// That tokens for others are accepted is said at every start.
fn claims(view: View<'_>, check: &mut Check<'_>) {
    let unset = |name| view.entry(name).is_none();
    let (message, help) = match (unset("expected_audience"), unset("expected_issuer")) {
        (false, false) => return,
        (true, false) => (
            "tokens are accepted whichever application they were issued for",
            "write `expected_audience = \"nexus\"`, as the issuer names this server in `aud`",
        ),
        (false, true) => (
            "tokens are accepted whoever issued them, as long as one of the keys verifies them",
            "write `expected_issuer = \"https://id.example.com\"`, as the issuer names itself in `iss`",
        ),
        (true, true) => (
            "tokens are accepted whoever issued them, and whichever application they were issued for",
            "write `expected_audience = \"nexus\"` and `expected_issuer = \"https://id.example.com\"`, as `aud` \
             and `iss` of the tokens say it",
        ),
    };
    check.report.push(Diagnostic::new(Code::UncheckedClaims, view.span(), message).help(help));
}

/// What is published of this server.
pub(super) fn protected_resource(view: View<'_>, check: &mut Check<'_>) -> Option<ProtectedResource> {
    let servers = view.entry("authorization_servers");
    if let Some(entry) = servers.filter(|entry| entry.node.is_empty_list()) {
        let help = "write `authorization_servers = [\"https://id.example.com\"]`, or remove the table";
        check.at_value(entry, Code::EmptyValue, "no authorization server is named", help);
    }
    let resource: Option<Uri> = view.get("resource");
    if let Some(entry) =
        view.entry("resource").filter(|_| resource.as_ref().is_some_and(|url| url.query().is_some()))
    {
        let help = "write it as clients know this server: `resource = \"https://nexus.example.com\"`";
        check.at_value(entry, Code::InvalidUrl, "the URL of a resource must not hold a query", help);
    }
    let authorization_servers: Vec<Uri> = view.get("authorization_servers")?;
    Some(ProtectedResource {
        resource: normalised(&resource?),
        authorization_servers: authorization_servers.iter().map(normalised).collect(),
    })
}

fn keys(view: View<'_>, check: &mut Check<'_>) -> Option<KeySource> {
    let file = view.entry("keys_file").map(|entry| check.path(entry));
    match (view.entry("url"), view.entry("keys_file")) {
        (Some(url), Some(file)) => {
            let problem =
                Diagnostic::new(Code::Conflict, file.key.clone(), "[server.oauth] has two sources of keys")
                    .label(url.key.clone(), "the other one")
                    .help("keep one of `url` (fetched) and `keys_file` (local)");
            check.report.push(problem);
        }
        (None, None) => {
            let problem = Diagnostic::new(Code::MissingKey, view.span(), "[server.oauth] names no keys").help(
                "write `url = \"https://id.example.com/.well-known/jwks.json\"` or `keys_file = \"jwks.json\"`",
            );
            check.report.push(problem);
        }
        _ => {}
    }
    if let Some(entry) = view.entry("url").filter(|_| view.get("url").as_ref().is_some_and(is_insecure)) {
        let message = "the keys come over plain HTTP: whoever is on their way can put others in their place";
        let help = "write `https://…`, or keep the keys in a local JWKS: `keys_file = \"jwks.json\"`";
        check.at_value(entry, Code::InsecureKeys, message, help);
    }
    view.get("url").map(KeySource::Url).or_else(|| file.flatten().map(KeySource::File))
}

/// Whether others can read and change what comes from there: over plain HTTP, and not from this machine.
fn is_insecure(url: &Uri) -> bool {
    url.scheme_str() == Some("http") && !is_of_this_machine(url)
}

fn algorithms(view: View<'_>, check: &mut Check<'_>) -> Vec<Algorithm> {
    let Some(entry) = view.entry("algorithms") else { return Verification::ASYMMETRIC.to_vec() };
    if entry.node.is_empty_list() {
        let help = "write `algorithms = [\"RS256\"]`, or remove it to accept all asymmetric ones";
        check.at_value(entry, Code::EmptyValue, "no algorithm is accepted, so that no token is", help);
    }
    let mut known: Vec<Algorithm> = Vec::new();
    for node in view.items("algorithms") {
        let Some(algorithm) = node.text().and_then(|text| text.parse().ok()) else { continue };
        let symmetric = Verification::is_symmetric(algorithm);
        if let Some(url) = view.entry("url").filter(|_| symmetric) {
            let message = format!("{} needs a shared secret, and a fetched JWKS is none", node.quoted());
            let problem = Diagnostic::new(Code::Conflict, node.span.clone(), message)
                .label(url.key.clone(), "fetched from here")
                .help("remove it, or keep the secret in a local JWKS: `keys_file = \"jwks.json\"`");
            check.report.push(problem);
        }
        if !known.contains(&algorithm) {
            known.push(algorithm);
        }
    }
    known
}

/// A URL as browsers write it: scheme and host in lower case, no default port, a path.
fn normalised(url: &Uri) -> String {
    let scheme = url.scheme_str().unwrap_or_default().to_ascii_lowercase();
    let host = url.host().unwrap_or_default().to_ascii_lowercase();
    let default = if scheme == "https" { 443 } else { 80 };
    let port = url.port_u16().filter(|port| *port != default);
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    format!("{scheme}://{host}{port}{}", url.path_and_query().map_or("/", |path| path.as_str()))
}

#[cfg(test)]
mod tests {
    use http::Uri;

    use super::{is_insecure, normalised};

    #[test]
    fn plain_http_is_safe_within_this_machine_only() {
        for url in
            ["http://localhost/k", "http://LOCALHOST:1/k", "http://a.localhost/k", "http://127.1.2.3/k"]
        {
            assert!(!is_insecure(&Uri::from_static(url)), "{url}");
        }
        for url in ["http://[::1]:8080/k", "https://id.example.com/k", "https://10.0.0.1/k"] {
            assert!(!is_insecure(&Uri::from_static(url)), "{url}");
        }
        for url in
            ["http://id.example.com/k", "http://10.0.0.1/k", "http://[fe80::1]/k", "http://localhost.test/"]
        {
            assert!(is_insecure(&Uri::from_static(url)), "{url}");
        }
    }

    #[test]
    fn urls_are_published_as_browsers_write_them() {
        for (written, published) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/"),
            ("https://Nexus.Example.COM:443", "https://nexus.example.com/"),
            ("http://h:80/Path?Q=1", "http://h/Path?Q=1"),
            ("https://[::1]:8443/x/", "https://[::1]:8443/x/"),
            ("https://h:80/", "https://h:80/"),
        ] {
            assert_eq!(normalised(&Uri::from_static(written)), published);
        }
    }
}
