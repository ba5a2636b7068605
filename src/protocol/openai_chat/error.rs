//! Errors in OpenAI's shape: `{"error":{"message","type","code"}}`, `code` being the HTTP status as a number.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    chat::fault::{Fault, FaultKind, short},
    protocol::json::text,
};

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

/// An error as providers write it, in all their shapes.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    detail: Option<&'a RawValue>,
    #[serde(borrow)]
    code: Option<&'a RawValue>,
}

/// The inside of `error`.
#[derive(Default, Deserialize)]
struct WireInner<'a> {
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    code: Option<&'a RawValue>,
}

/// An error body. `limit` names the rule that refused.
pub fn body(kind: FaultKind, status: u16, message: &str, limit: Option<&str>) -> Bytes {
    let error = Inner { message, kind: name(kind, status), code: status, limit };
    // A struct of strings and a number always serialises.
    serde_json::to_vec(&Body { error }).unwrap_or_default().into()
}

/// An error in the middle of a stream.
pub fn event(kind: FaultKind, status: u16, message: &str) -> Bytes {
    [b"data: ".as_slice(), &body(kind, status, message, None), b"\n\n"].concat().into()
}

/// The `type` of a meaning.
fn name(kind: FaultKind, status: u16) -> &'static str {
    match kind {
        FaultKind::Authentication => "authentication_error",
        FaultKind::Quota => "insufficient_quota",
        FaultKind::Permission => "permission_error",
        FaultKind::NotFound => "not_found_error",
        FaultKind::Timeout => "timeout_error",
        FaultKind::RateLimit => "rate_limit_error",
        FaultKind::Internal => "internal_error",
        FaultKind::Overloaded => "overloaded_error",
        FaultKind::Other if status >= 500 => "api_error",
        FaultKind::Invalid | FaultKind::TooLarge | FaultKind::Other => "invalid_request_error",
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

/// Reads an upstream's error body for a client of this dialect.
pub fn read_upstream(body: &[u8]) -> Upstream {
    let text = String::from_utf8_lossy(body);
    let json = outside_list(&text);
    let Ok(wire) = serde_json::from_str::<Wire<'_>>(json) else {
        return Upstream::Text(short(text.trim()));
    };
    if wire.is_dialect() && json.len() == text.len() {
        return Upstream::Dialect;
    }
    Upstream::Text(short(wire.message().as_deref().unwrap_or_else(|| text.trim())))
}

/// Whether an upstream's error is in this dialect: an object under `error`.
pub fn is_dialect(body: &[u8]) -> bool {
    read_upstream(body) == Upstream::Dialect
}

/// What an upstream's error means: by its status, unless its words are more exact.
pub fn read(status: u16, body: &[u8]) -> Fault<'static> {
    let text = String::from_utf8_lossy(body);
    let wire = serde_json::from_str::<Wire<'_>>(outside_list(&text)).ok();
    let message = wire.as_ref().and_then(Wire::message);
    let message = short(message.as_deref().unwrap_or_else(|| text.trim()));
    let word = wire.as_ref().and_then(Wire::word);
    let kind = match (FaultKind::of_status(status), word) {
        // Google says of a wrong key that the request is wrong.
        (FaultKind::Invalid, _) if is_about_the_key(&message) => FaultKind::Authentication,
        (FaultKind::RateLimit | FaultKind::Permission, Some(FaultKind::Quota)) => FaultKind::Quota,
        (FaultKind::Invalid | FaultKind::Other, Some(FaultKind::Authentication)) => FaultKind::Authentication,
        (FaultKind::Other, Some(word)) => word,
        (kind, _) => kind,
    };
    Fault { kind, message: message.into() }
}

/// What an error means that came as an event of a stream, with no status but what it says itself.
pub(super) fn in_stream(data: &str) -> Fault<'static> {
    let wire = serde_json::from_str::<Wire<'_>>(outside_list(data)).ok();
    let message = wire.as_ref().and_then(Wire::message);
    let message = short(message.as_deref().unwrap_or_else(|| data.trim()));
    let kind = wire.as_ref().and_then(Wire::word).unwrap_or(FaultKind::Other);
    Fault { kind, message: message.into() }
}

/// Some put the error into a list.
fn outside_list(text: &str) -> &str {
    text.trim().strip_prefix('[').and_then(|list| list.strip_suffix(']')).unwrap_or(text)
}

fn is_about_the_key(message: &str) -> bool {
    message.starts_with("API key not valid") || message.contains("API_KEY_INVALID")
}

impl<'a> Wire<'a> {
    fn is_dialect(&self) -> bool {
        self.error.is_some_and(|error| error.get().starts_with('{'))
    }

    fn inner(&self) -> WireInner<'a> {
        self.error.and_then(|error| serde_json::from_str(error.get()).ok()).unwrap_or_default()
    }

    /// The text for a person.
    fn message(&self) -> Option<Cow<'a, str>> {
        let inner = self.inner().message.filter(|message| message.get().starts_with('"'));
        let said = [inner, self.error, self.message, self.detail].into_iter().flatten().next()?;
        Some(plain(said))
    }

    /// The meaning of the code or the type.
    fn word(&self) -> Option<FaultKind> {
        let WireInner { code, kind, .. } = self.inner();
        let words = [code, self.code, kind].into_iter().flatten();
        words.filter_map(|word| meaning(&plain(word))).next()
    }
}

/// The text of a string, or any other value as its JSON.
fn plain(raw: &RawValue) -> Cow<'_, str> {
    text(raw.get()).unwrap_or_else(|| Cow::Borrowed(raw.get()))
}

/// The meaning of a word of OpenAI's, or of those who speak like it; some write the status in its place.
fn meaning(word: &str) -> Option<FaultKind> {
    if let Ok(status @ 400..=599) = word.parse() {
        return Some(FaultKind::of_status(status));
    }
    Some(match word {
        "invalid_api_key" | "authentication_error" => FaultKind::Authentication,
        "insufficient_quota" | "billing_hard_limit_reached" => FaultKind::Quota,
        "permission_error" | "permission_denied" => FaultKind::Permission,
        "model_not_found" | "not_found_error" | "DeploymentNotFound" => FaultKind::NotFound,
        "rate_limit_exceeded" | "rate_limit_error" => FaultKind::RateLimit,
        "overloaded_error" | "engine_overloaded" | "service_unavailable" => FaultKind::Overloaded,
        "timeout_error" | "timeout" => FaultKind::Timeout,
        "server_error" | "internal_error" | "internal_server_error" => FaultKind::Internal,
        "invalid_request_error" | "context_length_exceeded" | "invalid-argument" => FaultKind::Invalid,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_is_openais() {
        let limit = Some("per_user.input_token_limit");
        insta::assert_snapshot!(
            String::from_utf8_lossy(&body(FaultKind::RateLimit, 429, "a \"b\"", limit)),
            @r#"{"error":{"message":"a \"b\"","type":"rate_limit_error","code":429,"limit":"per_user.input_token_limit"}}"#
        );
    }

    #[test]
    fn the_type_of_every_status_is_the_one_it_always_was() {
        let types = [400, 401, 402, 403, 404, 405, 408, 413, 415, 422, 429, 500, 502, 503, 504, 529]
            .map(|status| format!("{status} {}", name(FaultKind::of_status(status), status)));
        insta::assert_snapshot!(types.join(", "), @"400 invalid_request_error, 401 authentication_error, 402 insufficient_quota, 403 permission_error, 404 not_found_error, 405 invalid_request_error, 408 timeout_error, 413 invalid_request_error, 415 invalid_request_error, 422 invalid_request_error, 429 rate_limit_error, 500 internal_error, 502 api_error, 503 overloaded_error, 504 timeout_error, 529 overloaded_error");
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

    #[test]
    fn an_error_means_what_its_words_say_where_they_are_more_exact_than_its_status() {
        let of = |status, body: &str| {
            let Fault { kind, message } = read(status, body.as_bytes());
            (kind, message.into_owned())
        };
        let said = |kind, message: &str| (kind, message.to_owned());
        let quota = r#"{"error":{"message":"pay","type":"insufficient_quota","code":"insufficient_quota"}}"#;
        assert_eq!(of(429, quota), said(FaultKind::Quota, "pay"));
        let google = r#"[{"error":{"code":400,"message":"API key not valid. Please pass one.","status":"INVALID_ARGUMENT"}}]"#;
        assert_eq!(of(400, google), said(FaultKind::Authentication, "API key not valid. Please pass one."));
        let plain = r#"{"error":{"message":"no","type":"invalid_request_error","code":null}}"#;
        assert_eq!(of(404, plain), said(FaultKind::NotFound, "no"));
        assert_eq!(of(422, r#"{"detail":"d"}"#), said(FaultKind::Invalid, "d"));
        assert_eq!(of(529, "busy"), said(FaultKind::Overloaded, "busy"));
    }

    #[test]
    fn an_error_in_a_stream_says_its_status_itself_if_at_all() {
        let of = |data: &str| in_stream(data).kind;
        assert_eq!(of(r#"{"error":{"code":429,"message":"m"}}"#), FaultKind::RateLimit);
        assert_eq!(of(r#"{"error":{"code":"401","message":"m"}}"#), FaultKind::Authentication);
        assert_eq!(of(r#"{"error":{"type":"server_error","message":"m"}}"#), FaultKind::Internal);
        assert_eq!(of(r#"{"error":"m","code":"invalid-argument"}"#), FaultKind::Invalid);
        assert_eq!(of("overloaded"), FaultKind::Other);
    }
}
