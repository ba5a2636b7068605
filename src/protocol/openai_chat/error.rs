//! Errors in OpenAI's shape: `{"error":{"message","type","code"}}`, `code` being the HTTP status as a number.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

#[derive(Serialize)]
struct Body<'a> {
    error: Inner<'a>,
}

#[derive(Serialize)]
struct Inner<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'a str>,
}

/// What an upstream's error body says.
#[derive(Debug, PartialEq, Eq)]
pub enum Upstream {
    /// It is in this dialect already: `{"error":{…}}`.
    Dialect,
    /// Its message, in no dialect or another one.
    Text(String),
}

/// An error body. `limit` names the rule that refused.
pub fn body(status: u16, message: &str, limit: Option<&str>) -> Bytes {
    let error = Inner { message, kind: kind(status), code: status, limit };
    // A struct of strings and a number always serialises.
    serde_json::to_vec(&Body { error }).unwrap_or_default().into()
}

/// An error in the middle of a stream.
pub fn event(status: u16, message: &str) -> Bytes {
    [b"data: ".as_slice(), &body(status, message, None), b"\n\n"].concat().into()
}

/// The `type` that goes with a status.
fn kind(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "insufficient_quota",
        403 => "permission_error",
        404 => "not_found_error",
        408 | 504 => "timeout_error",
        429 => "rate_limit_error",
        500 => "internal_error",
        502 => "api_error",
        503 | 529 => "overloaded_error",
        _ => "invalid_request_error",
    }
}

/// The message for a caller when an upstream answered `upstream` with a body in no dialect; facts §11.
pub fn upstream_message(upstream: u16, text: &str) -> String {
    match upstream {
        400 => format!("Invalid request: {text}"),
        401 => format!("Authentication failed: {text}"),
        403 => format!("Insufficient quota: {text}"),
        404 => format!("Model '{text}' not found"),
        429 => format!("Rate limit exceeded: {text}"),
        500 => text.to_owned(),
        _ => format!("Provider API error ({upstream}): {text}"),
    }
}

/// Like [`body`], with the type that facts §11 gives to an upstream's 403.
pub fn upstream_body(upstream: u16, status: u16, text: &str) -> Bytes {
    let kind = if upstream == 403 { kind(402) } else { kind(status) };
    let message = upstream_message(upstream, text);
    let error = Inner { message: &message, kind, code: status, limit: None };
    serde_json::to_vec(&Body { error }).unwrap_or_default().into()
}

/// Reads an upstream's error body.
pub fn read_upstream(body: &[u8]) -> Upstream {
    #[derive(serde::Deserialize)]
    struct Wire<'a> {
        #[serde(borrow)]
        error: Option<&'a RawValue>,
        #[serde(borrow)]
        message: Option<&'a RawValue>,
        #[serde(borrow)]
        detail: Option<&'a RawValue>,
    }
    let text = String::from_utf8_lossy(body);
    // Some put the error into a list.
    let json = text.trim().strip_prefix('[').and_then(|list| list.strip_suffix(']')).unwrap_or(&text);
    let Ok(wire) = serde_json::from_str::<Wire<'_>>(json) else {
        return Upstream::Text(short(text.trim()));
    };
    if wire.error.is_some_and(|error| error.get().starts_with('{')) {
        return if json.len() == text.len() { Upstream::Dialect } else { Upstream::Text(message_of(json)) };
    }
    let said = [wire.error, wire.message, wire.detail].into_iter().flatten().next();
    let said =
        said.map(|raw| serde_json::from_str::<String>(raw.get()).unwrap_or_else(|_| raw.get().to_owned()));
    Upstream::Text(short(said.as_deref().unwrap_or_else(|| text.trim())))
}

/// `error.message` of an error in this dialect.
fn message_of(json: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    short(value["error"]["message"].as_str().unwrap_or(json))
}

/// As much of a text as a person reads.
fn short(text: &str) -> String {
    if text.is_empty() {
        return "the provider gave no reason".to_owned();
    }
    const CHARACTERS: usize = 2000;
    match text.char_indices().nth(CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_is_openais() {
        insta::assert_snapshot!(
            String::from_utf8_lossy(&body(429, "a \"b\"", Some("per_user.input_token_limit"))),
            @r#"{"error":{"message":"a \"b\"","type":"rate_limit_error","code":429,"limit":"per_user.input_token_limit"}}"#
        );
    }

    #[test]
    fn an_upstreams_message_is_found_in_every_shape() {
        let text = |s: &str| Upstream::Text(s.to_owned());
        assert_eq!(read_upstream(br#"{"error":{"message":"x"}}"#), Upstream::Dialect);
        assert_eq!(read_upstream(br#"{"code":"invalid-argument","error":"bad"}"#), text("bad"));
        assert_eq!(read_upstream(br#"{"detail":"no key"}"#), text("no key"));
        assert_eq!(read_upstream(br#"{"detail":[1]}"#), text("[1]"));
        assert_eq!(read_upstream(br#"{"message":"m"}"#), text("m"));
        assert_eq!(read_upstream(br#"[{"error":{"message":"g"}}]"#), text("g"));
        assert_eq!(read_upstream(b""), text("the provider gave no reason"));
        assert_eq!(read_upstream(b" <html> \n"), text("<html>"));
        assert_eq!(read_upstream(b"\xff"), text("\u{fffd}"));
    }
}
