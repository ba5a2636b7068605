//! `[server.cors]`: lists of origins, methods and headers, as browsers write them.

use std::{net::Ipv6Addr, slice};

use http::{HeaderName, Method};

use super::Check;
use crate::config::{
    diagnostic::{Code, Diagnostic},
    edge::{Allowed, Cors},
    file::{Node, Value, View},
    shape::list,
};

const METHODS: [Method; 9] = [
    Method::GET,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::HEAD,
    Method::OPTIONS,
    Method::CONNECT,
    Method::PATCH,
    Method::TRACE,
];

/// What pages of other origins may do; `None` where nothing is said about it.
pub(super) fn cors(view: View<'_>, check: &mut Check<'_>) -> Option<Cors> {
    if !view.exists() {
        return None;
    }
    let cors = Cors {
        allow_credentials: view.value("allow_credentials"),
        origins: allowed(view, "allow_origins", origin, check),
        methods: allowed(view, "allow_methods", method, check).map(with_options),
        headers: allowed(view, "allow_headers", header, check),
        expose: allowed(view, "expose_headers", header, check),
        max_age: view.get("max_age"),
        allow_private_network: view.value("allow_private_network"),
    };
    if cors.allow_credentials {
        credentials(view, check);
    }
    wide(view, cors.allow_credentials, check);
    let none = view.entry("allow_origins").is_none_or(|entry| entry.node.is_empty_list());
    if none {
        let problem = Diagnostic::new(
            Code::NoEffect,
            view.span(),
            "[server.cors] allows no origin, so that it changes nothing",
        )
        .help("write `allow_origins = [\"https://app.example.com\"]`");
        check.report.push(problem);
    }
    Some(cors)
}

/// What is written under a name: `"*"`, one, or a list.
fn allowed<T>(
    view: View<'_>,
    name: &str,
    read: impl Fn(&Node, &str) -> Result<T, Diagnostic>,
    check: &mut Check<'_>,
) -> Option<Allowed<T>> {
    let (mut any, mut these) = (false, Vec::new());
    for node in nodes(view, name)? {
        match node.text() {
            None => {} // reported by its shape
            Some("*") => any = true,
            Some(text) => match read(node, text) {
                Ok(one) => these.push(one),
                Err(problem) => check.report.push(problem),
            },
        }
    }
    Some(if any { Allowed::Any } else { Allowed::These(these) })
}

fn nodes<'a>(view: View<'a>, name: &str) -> Option<&'a [Node]> {
    let entry = view.entry(name)?;
    match &entry.node.value {
        Value::List(nodes) => Some(nodes),
        Value::Text(_) => Some(slice::from_ref(&entry.node)),
        _ => None,
    }
}

/// Browsers take `*` literally where credentials are sent.
fn credentials(view: View<'_>, check: &mut Check<'_>) {
    let Some(credentials) = view.entry("allow_credentials") else { return };
    for name in ["allow_origins", "allow_methods", "allow_headers", "expose_headers"] {
        let any = nodes(view, name).into_iter().flatten().find(|node| node.text() == Some("*"));
        if let Some(node) = any {
            let message = format!("`{name} = \"*\"` stands beside `allow_credentials = true`");
            let problem = Diagnostic::new(Code::Conflict, node.span.clone(), message)
                .label(credentials.key.clone(), "browsers refuse both together")
                .help(format!("list them one by one in `{name}`, or remove `allow_credentials`"));
            check.report.push(problem);
        }
    }
}

/// A `*` for the beginning of a name, or for its end, admits hosts that anyone can have. Where credentials are sent,
/// any host at all is as bad as `"*"`, and browsers do not see it.
fn wide(view: View<'_>, credentials: bool, check: &mut Check<'_>) {
    for node in nodes(view, "allow_origins").into_iter().flatten() {
        let Some(origin) = node.text().and_then(|text| normalised(text).ok()) else { continue };
        let Some((before, after)) = host_in(&origin).rsplit_once('*') else { continue };
        let any = host_in(&origin).chars().all(|c| matches!(c, '*' | '.' | '-'));
        let problem = match (any, credentials) {
            (true, true) => {
                let message = format!("{} is every host, beside `allow_credentials = true`", node.quoted());
                Diagnostic::new(Code::Conflict, node.span.clone(), message)
                    .help("list the hosts in `allow_origins`, or remove `allow_credentials`")
            }
            // As wide as `"*"`, and as plain.
            (true, false) => continue,
            (false, _) if after.starts_with('.') => continue,
            (false, _) => {
                let admitted = match after {
                    _ if !node.quotable => "hosts of strangers".to_owned(),
                    "" => format!("every host that begins with `{before}`"),
                    _ => format!("every host that ends in `{after}`"),
                };
                let message = format!("{} admits {admitted}", node.quoted());
                Diagnostic::new(Code::WideOrigin, node.span.clone(), message)
                    .help("a `*` stands for dots too; the hosts of a domain are \"https://*.example.com\"")
            }
        };
        check.report.push(problem);
    }
}

/// The host of a normalised origin.
fn host_in(origin: &str) -> &str {
    let rest = origin.split_once("://").map_or(origin, |(_, rest)| rest);
    rest.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).map_or(rest, |(host, _)| host)
}

fn with_options(methods: Allowed<Method>) -> Allowed<Method> {
    match methods {
        Allowed::These(mut these) if !these.contains(&Method::OPTIONS) => {
            these.push(Method::OPTIONS);
            Allowed::These(these)
        }
        other => other,
    }
}

fn method(node: &Node, text: &str) -> Result<Method, Diagnostic> {
    METHODS.into_iter().find(|method| method == text).ok_or_else(|| {
        let known = METHODS.each_ref().map(Method::as_str);
        let message = format!("{} is no method", node.quoted());
        Diagnostic::new(Code::InvalidChoice, node.span.clone(), message)
            .help(format!("write {}", list(&known)))
    })
}

fn header(node: &Node, text: &str) -> Result<HeaderName, Diagnostic> {
    text.parse().map_err(|_| {
        let message = format!("{} is no header name", node.quoted());
        Diagnostic::new(Code::InvalidHeaderName, node.span.clone(), message)
            .help("for example `[\"content-type\", \"authorization\"]`")
    })
}

fn origin(node: &Node, text: &str) -> Result<String, Diagnostic> {
    normalised(text).map_err(|fault| {
        let message = format!("{} is no origin: it {fault}", node.quoted());
        Diagnostic::new(Code::InvalidOrigin, node.span.clone(), message)
            .help("write `scheme://host[:port]` as browsers do, for example \"https://app.example.com\" or \"https://*.example.com\"")
    })
}

/// An origin in lower case, without a default port (RFC 6454, 6.2).
///
/// # Errors
/// What is wrong with it.
fn normalised(text: &str) -> Result<String, &'static str> {
    let text = text.to_ascii_lowercase();
    let (scheme, rest) = text.split_once("://").ok_or("has no scheme")?;
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    if !scheme.starts_with(|c: char| c.is_ascii_lowercase()) || !scheme.chars().all(letters) {
        return Err("has no scheme");
    }
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#', '@']) {
        return Err("holds more than scheme, host and port");
    }
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (rest, None),
    };
    let host = host_of(host)?;
    let port = match port {
        None | Some("*") => port.map(str::to_owned),
        Some(digits) => match digits.parse::<u16>() {
            Ok(0) | Err(_) => return Err("has no valid port"),
            Ok(number) => Some(number.to_string()),
        },
    };
    let default = matches!((scheme, port.as_deref()), ("http", Some("80")) | ("https", Some("443")));
    let port = port.filter(|_| !default).map_or_else(String::new, |port| format!(":{port}"));
    Ok(format!("{scheme}://{host}{port}"))
}

fn host_of(host: &str) -> Result<String, &'static str> {
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address
            .parse()
            .map(|address: Ipv6Addr| format!("[{address}]"))
            .map_err(|_| "has no valid host");
    }
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '*');
    if host.is_empty() {
        Err("has no host")
    } else if !host.is_ascii() {
        Err("has a host that browsers send in ASCII (`xn--…`)")
    } else if host.chars().all(letters) {
        Ok(host.to_owned())
    } else {
        Err("has no valid host")
    }
}

#[cfg(test)]
mod tests {
    use super::normalised;

    #[test]
    fn origins_are_kept_as_browsers_send_them() {
        for (written, sent) in [
            ("https://App.Example.com", "https://app.example.com"),
            ("https://app.example.com/", "https://app.example.com"),
            ("HTTPS://a:443", "https://a"),
            ("http://a:080", "http://a"),
            ("http://a:443", "http://a:443"),
            ("http://localhost:*", "http://localhost:*"),
            ("https://*.example.com:8443", "https://*.example.com:8443"),
            ("http://[0:0::1]:3000", "http://[::1]:3000"),
            ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ] {
            assert_eq!(normalised(written).as_deref(), Ok(sent), "{written}");
        }
    }

    #[test]
    fn what_no_browser_sends_is_no_origin() {
        for written in [
            "foo",
            "",
            "null",
            "*.example.com",
            "//a",
            "https://",
            "https://a/b",
            "https://a?b",
            "https://u@a",
            "https://a:0",
            "https://a:65536",
            "https://a:",
            "https://a b",
            "https://münchen.example",
            "https://[::1",
            "://a",
            "1x://a",
        ] {
            assert!(normalised(written).is_err(), "{written}");
        }
    }
}
