//! What each [`Kind`] of value accepts, and how that is said: in a message, in the documentation, in the JSON Schema.

use std::{net::SocketAddr, time::Duration};

use http::{HeaderName, Uri, uri::PathAndQuery};
use ipnet::IpNet;
use serde_json::{Value as Json, json};

use super::{
    diagnostic::{Code, Diagnostic},
    file::{Billionths, Node, Read, Size, Value},
    keys::{Key, Kind},
    quantity::write_duration,
    shape::{list, nearest},
};

/// Whether a value may be written under a key.
///
/// # Errors
/// The problem, at the value.
pub(super) fn check(key: &Key, name: &str, node: &Node) -> Result<(), Diagnostic> {
    let Some(text) = node.text() else { return check_bare(key, name, node) };
    let wrong =
        |code, what: &str| Err(at(code, node, format!("{} is {what}", node.quoted())).help(advice(key)));
    match key.kind {
        Kind::Any | Kind::Secret | Kind::Text | Kind::File | Kind::TextOrTexts => Ok(()),
        Kind::Address if SocketAddr::read(node).is_none() => wrong(Code::InvalidAddress, "no `ip:port`"),
        Kind::Choice(known) if !known.contains(&text) => Err(unknown_choice(known, text, node)),
        Kind::DurationOrOff if text == "off" => Ok(()),
        Kind::Delay | Kind::Duration(..) | Kind::DurationOrOff => check_duration(key, node),
        Kind::HeaderName if HeaderName::read(node).is_none() => {
            wrong(Code::InvalidHeaderName, "no header name")
        }
        Kind::Networks if IpNet::read(node).is_none() => {
            wrong(Code::InvalidNetwork, "no address and no network")
        }
        Kind::Number if text.parse::<f64>().is_ok_and(f64::is_finite) => check_number(key, node),
        Kind::Path => match path_fault(text) {
            Some(fault) => wrong(Code::InvalidPath, fault),
            None => Ok(()),
        },
        Kind::Size if Size::read(node).is_none() => wrong(Code::InvalidSize, "no size above zero"),
        Kind::Url | Kind::Link => match url_fault(text, matches!(key.kind, Kind::Url)) {
            Some(fault) => {
                Err(at(Code::InvalidUrl, node, format!("the URL {fault}")).help(url_advice(fault, key)))
            }
            None => Ok(()),
        },
        Kind::Bool
        | Kind::Choices(_)
        | Kind::Integer(..)
        | Kind::Links
        | Kind::Number
        | Kind::Table(_)
        | Kind::Tables(_)
        | Kind::Texts => Err(mistyped(key, name, node)),
        Kind::Address | Kind::Choice(_) | Kind::HeaderName | Kind::Networks | Kind::Size => Ok(()),
    }
}

/// Whether a value may hold a password although its key is not secret.
pub(super) fn holds_password(kind: Kind, node: &Node) -> bool {
    // In front of the host, or in the query: some servers want a key there.
    let holds = |node: &Node| node.text().is_some_and(|text| text.contains(['@', '?']));
    match (kind, &node.value) {
        (Kind::Links, Value::List(nodes)) => nodes.iter().any(holds),
        (Kind::Url | Kind::Link | Kind::Links, _) => holds(node),
        _ => false,
    }
}

/// Something that may be written under a key, for advice.
pub(super) fn example(key: &Key) -> String {
    if !key.default.is_empty() && key.default != "[]" {
        return key.default.to_owned();
    }
    match key.kind {
        Kind::Address => "\"127.0.0.1:9090\"",
        Kind::Any | Kind::Table(_) | Kind::Tables(_) => "…",
        Kind::Bool => "true",
        Kind::Choice(known) => return format!("\"{}\"", known.first().copied().unwrap_or_default()),
        Kind::Choices(known) => return format!("[\"{}\"]", known.first().copied().unwrap_or_default()),
        Kind::Delay | Kind::Duration(..) | Kind::DurationOrOff => "\"60s\"",
        Kind::File => "\"file.pem\"",
        Kind::HeaderName => "\"X-User-Id\"",
        Kind::Integer(low @ 1.., high) => return 4.clamp(low, high).to_string(),
        Kind::Integer(_, 1_000..) => "1000",
        Kind::Integer(..) => "1",
        Kind::Link => "\"https://id.example.com\"",
        Kind::Links => "[\"https://id.example.com\"]",
        Kind::Networks => "[\"10.0.0.0/8\"]",
        Kind::Number => "2.5",
        Kind::Path => "\"/llm\"",
        Kind::Secret => "\"{{ env.NAME }}\"",
        Kind::Size => "\"32MiB\"",
        Kind::Text => "\"text\"",
        Kind::Texts | Kind::TextOrTexts => "[\"premium\"]",
        Kind::Url => "\"https://api.openai.com/v1\"",
    }
    .to_owned()
}

/// What a kind is called.
pub(super) fn noun(kind: Kind) -> String {
    match kind {
        Kind::Address => "an `ip:port`",
        Kind::Any => "anything",
        Kind::Bool => "`true` or `false`",
        Kind::Choice(known) => return list(&known.iter().map(|name| &**name).collect::<Vec<_>>()),
        Kind::Choices(known) => return format!("a list of {}", noun(Kind::Choice(known))),
        Kind::Delay => "a duration, or \"0s\"",
        Kind::Duration(..) => "a duration",
        Kind::DurationOrOff => "a duration, or \"off\"",
        Kind::File => "the path of a file",
        Kind::HeaderName => "a header name",
        Kind::Integer(..) => "a whole number",
        Kind::Links => "a list of URLs",
        Kind::Networks => "a list of addresses and networks",
        Kind::Number => "a number, or a string with one",
        Kind::Path => "a path",
        Kind::Secret => "a string (secret)",
        Kind::Size => "a size in bytes",
        Kind::Table(_) => "a table",
        Kind::Tables(_) => "a list of tables",
        Kind::Text => "a string",
        Kind::Texts => "a list of strings",
        Kind::TextOrTexts => "a string or a list of strings",
        Kind::Link | Kind::Url => "a URL",
    }
    .to_owned()
}

/// The JSON Schema of a kind; tables by reference.
pub(super) fn schema(kind: Kind) -> Json {
    match kind {
        Kind::Any => json!({}),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Choice(known) => json!({ "enum": known }),
        Kind::Integer(low, high) => json!({ "type": "integer", "minimum": low, "maximum": high }),
        Kind::Number => json!({ "type": ["number", "string"], "minimum": 0 }),
        Kind::Choices(known) => json!({ "type": "array", "items": { "enum": known } }),
        Kind::Networks => json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 }),
        Kind::Links | Kind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::TextOrTexts => json!({ "type": ["string", "array"], "items": { "type": "string" } }),
        Kind::Path => json!({ "type": "string", "pattern": "^/.*[^/]$" }),
        Kind::Table(section) => json!({ "$ref": format!("#/$defs/{}", super::schema::name(section)) }),
        Kind::Tables(section) => {
            json!({ "type": "array", "items": { "$ref": format!("#/$defs/{}", super::schema::name(section)) } })
        }
        Kind::Address
        | Kind::Delay
        | Kind::Duration(..)
        | Kind::DurationOrOff
        | Kind::File
        | Kind::HeaderName
        | Kind::Link
        | Kind::Secret
        | Kind::Size
        | Kind::Text
        | Kind::Url => json!({ "type": "string" }),
    }
}

/// Values that are no strings.
fn check_bare(key: &Key, name: &str, node: &Node) -> Result<(), Diagnostic> {
    match (key.kind, &node.value) {
        (Kind::Any, _) | (Kind::Bool, Value::Bool(_)) | (_, Value::Unreadable) => Ok(()),
        (Kind::Integer(low, high), Value::Integer(number)) => {
            let fits = number.and_then(|n| u64::try_from(n).ok()).is_some_and(|n| (low..=high).contains(&n));
            let message = || format!("`{}` must be between {low} and {high}", key.name);
            if fits { Ok(()) } else { Err(at(Code::OutOfRange, node, message()).help(advice(key))) }
        }
        (Kind::Number, Value::Integer(_) | Value::Float(_)) => check_number(key, node),
        (Kind::Delay | Kind::Duration(..) | Kind::DurationOrOff, Value::Integer(Some(seconds @ 1..))) => {
            Err(mistyped(key, name, node).help(format!("write \"{seconds}s\"")))
        }
        _ => Err(mistyped(key, name, node)),
    }
}

fn check_number(key: &Key, node: &Node) -> Result<(), Diagnostic> {
    if Billionths::read(node).is_some() {
        return Ok(());
    }
    let message = format!("`{}` must be between 0 and 9223372036, with at most nine decimals", key.name);
    Err(at(Code::OutOfRange, node, message).help(advice(key)))
}

fn check_duration(key: &Key, node: &Node) -> Result<(), Diagnostic> {
    let Some(duration) = Duration::read(node) else {
        return Err(at(Code::InvalidDuration, node, format!("{} is no duration", node.quoted()))
            .help("write a number with ms, s, m, h or d, such as \"60s\" or \"1m30s\""));
    };
    let (low, high) = match key.kind {
        Kind::Duration(low, high) => (Duration::from_secs(low), Duration::from_secs(high)),
        _ => (Duration::ZERO, Duration::MAX),
    };
    if duration.is_zero() && !matches!(key.kind, Kind::Delay) {
        let message = format!("`{}` must be longer than nothing", key.name);
        return Err(at(Code::OutOfRange, node, message).help(advice(key)));
    }
    if duration < low || duration > high {
        let low = if low.is_zero() { "1ns".to_owned() } else { write_duration(low) };
        let message = format!("`{}` must be between {low} and {}", key.name, write_duration(high));
        return Err(at(Code::OutOfRange, node, message).help(advice(key)));
    }
    Ok(())
}

/// Choices that exist elsewhere, and are another thing than the ones that read alike.
const ELSEWHERE: &[(&str, &str)] = &[
    ("ES512", "ES512 is not supported, ES256 and ES384 are"),
    ("ES256K", "ES256K is not supported, ES256 and ES384 are"),
];

fn unknown_choice(known: &[&str], text: &str, node: &Node) -> Diagnostic {
    let elsewhere = ELSEWHERE.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    let help = match (elsewhere, nearest(text, known.iter().copied())) {
        (Some((_, remedy)), _) => (*remedy).to_owned(),
        (None, Some(near)) if node.quotable => format!("did you mean \"{near}\"?"),
        _ => format!(
            "write one of {}",
            known.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
        ),
    };
    at(Code::InvalidChoice, node, format!("{} is not known here", node.quoted())).help(help)
}

fn mistyped(key: &Key, name: &str, node: &Node) -> Diagnostic {
    let found = match node.value {
        Value::Bool(_) => "a boolean",
        Value::Date => "a date",
        Value::Float(_) => "a number with a point",
        Value::Integer(_) => "a whole number",
        Value::List(_) => "a list",
        Value::Text(_) | Value::Unreadable => "a string",
        Value::Table(_) => "a table",
    };
    let message = format!("`{name}` must be {}, not {found}", noun(key.kind));
    let help = match key.kind {
        Kind::Table(_) => format!("write it as a table: `[…{name}]` or `{name} = {{ … }}`"),
        Kind::Tables(_) => format!("write it as a list of tables: `[[…{name}]]`"),
        _ => advice(key),
    };
    at(Code::WrongType, node, message).help(help)
}

fn advice(key: &Key) -> String {
    format!("for example `{} = {}`", key.name, example(key))
}

fn at(code: Code, node: &Node, message: String) -> Diagnostic {
    Diagnostic::new(code, node.span.clone(), message)
}

fn path_fault(path: &str) -> Option<&'static str> {
    if !path.starts_with('/') {
        Some("no path: it must begin with `/`")
    } else if path == "/" {
        Some("the root, which every protocol is served at anyway")
    } else if path.ends_with('/') {
        Some("no path: it must not end with `/`")
    } else if path.contains("//") || path.contains(['?', '#']) || path.parse::<PathAndQuery>().is_err() {
        Some("no path: it must be plain segments, without query or blanks")
    } else {
        None
    }
}

/// What a URL with credentials in it is told.
const USER_INFO: &str = "must not hold a user name or password";

fn url_advice(fault: &str, key: &Key) -> String {
    match key.kind {
        Kind::Url if fault == USER_INFO => {
            "write it without; what the server asks for goes into `api_key`, or into a header rule: \
             `{ rule = \"insert\", name = \"Authorization\", value = \"Basic {{ env.NAME }}\" }`"
                .to_owned()
        }
        _ if fault == USER_INFO => format!("write it without; {}", advice(key)),
        _ => advice(key),
    }
}

/// `base`: paths will be added to it.
fn url_fault(text: &str, base: bool) -> Option<&'static str> {
    // RFC 3986, section 2: these are no part of any URL, and would end the quotes that one stands in.
    let foreign =
        |c: char| !c.is_ascii_graphic() || matches!(c, '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}');
    if text.contains(foreign) {
        return Some("holds characters that a URL must write as `%…`");
    }
    let Ok(uri) = text.parse::<Uri>() else { return Some("cannot be read") };
    let host = uri.host().unwrap_or_default();
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        Some("must begin with `http://` or `https://`")
    } else if host.is_empty() {
        Some("has no host")
    } else if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        Some(USER_INFO)
    } else if text.contains('#') || base && text.contains('?') {
        Some(if base { "must not hold a query or fragment" } else { "must not hold a fragment" })
    } else if base && text.ends_with('/') {
        Some("must not end with `/`")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{file, keys::FILE};

    #[test]
    fn every_default_is_a_value_of_its_kind() {
        for section in FILE.tree() {
            for key in section.keys.iter().filter(|key| !key.default.is_empty()) {
                let node = file::fragment(key.default).unwrap();
                let elements = matches!(node.value, file::Value::List(_)); // of which there are none
                assert!(
                    elements || super::check(key, key.name, &node).is_ok(),
                    "{} {}",
                    section.title,
                    key.name
                );
            }
        }
    }

    #[test]
    fn every_example_of_one_value_is_a_value_of_its_kind() {
        for section in FILE.tree() {
            for key in section.keys {
                let example = super::example(key);
                let Some(node) = file::fragment(&example) else { continue }; // a table
                if matches!(node.value, file::Value::List(_)) {
                    continue;
                }
                let fault = super::check(key, key.name, &node).err();
                assert!(fault.is_none(), "{} {} = {example}", section.title, key.name);
            }
        }
    }
}
