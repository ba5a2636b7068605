//! Errors in Anthropic's shape: `{"type":"error","error":{"type","message"}}`.
//!
//! A provider's own errors also have a `request_id`; none is made up here.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::chat::fault::{Fault, FaultKind, short};

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    error: Inner<'a>,
}

#[derive(Serialize)]
struct Inner<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
}

/// What Anthropic's SDKs look for in a refusal.
#[derive(Serialize)]
struct Details {
    error_code: &'static str,
    unsupported: [&'static str; 1],
}

/// An error as a provider writes it; every field that is missing or of another kind is `None`.
#[derive(Default)]
struct Said {
    is_error: bool,
    kind: Option<String>,
    message: Option<String>,
}

/// Why a conversation that the provider is to keep is refused. Anthropic's SDKs know the refusal by its `error_code`, and
/// send the whole conversation instead.
pub(super) const THREAD: &str =
    "to keep it takes a provider that speaks Anthropic's protocol itself, and this model's does not";

/// An error body. `limit` names the rule that refused.
pub fn body(kind: FaultKind, status: u16, message: &str, limit: Option<&str>) -> Bytes {
    let details = message
        .ends_with(THREAD)
        .then_some(Details { error_code: "thread_unsupported_request", unsupported: ["model"] });
    let error = Inner { kind: name(kind, status), message, limit, details };
    // A struct of strings always serialises.
    serde_json::to_vec(&Body { kind: "error", error }).unwrap_or_default().into()
}

/// An error in the middle of a stream.
pub fn event(kind: FaultKind, status: u16, message: &str) -> Bytes {
    [b"event: error\ndata: ".as_slice(), &body(kind, status, message, None), b"\n\n"].concat().into()
}

/// What a provider's error means. The type it names decides where there is one, else the status.
pub fn read(status: u16, body: &[u8]) -> Fault<'static> {
    let said = Said::read(body);
    let kind = said.kind.as_deref().and_then(meaning).unwrap_or_else(|| FaultKind::of_status(status));
    let message = said.message.unwrap_or_else(|| String::from_utf8_lossy(body).trim().to_owned());
    Fault { kind, message: short(message).into() }
}

/// Whether a provider's error body is in this dialect, and so passes as it is.
pub fn is_dialect(body: &[u8]) -> bool {
    let said = Said::read(body);
    said.is_error && said.kind.is_some() && said.message.is_some()
}

/// The `type` of an error.
fn name(kind: FaultKind, status: u16) -> &'static str {
    match kind {
        FaultKind::Invalid => "invalid_request_error",
        FaultKind::Authentication => "authentication_error",
        FaultKind::Permission => "permission_error",
        // The type that a provider's 403 has had in this router from the start.
        FaultKind::Quota if status == 403 => "insufficient_quota",
        FaultKind::Quota => "billing_error",
        FaultKind::NotFound => "not_found_error",
        FaultKind::TooLarge => "request_too_large",
        FaultKind::RateLimit => "rate_limit_error",
        FaultKind::Overloaded => "overloaded_error",
        FaultKind::Timeout => "timeout_error",
        FaultKind::Internal => "internal_error",
        FaultKind::Other => "api_error",
    }
}

/// The meaning of a `type`; `None` for one that says nothing beyond the status.
fn meaning(name: &str) -> Option<FaultKind> {
    Some(match name {
        "invalid_request_error" => FaultKind::Invalid,
        "authentication_error" => FaultKind::Authentication,
        "permission_error" => FaultKind::Permission,
        "billing_error" => FaultKind::Quota,
        "not_found_error" => FaultKind::NotFound,
        "request_too_large" => FaultKind::TooLarge,
        "rate_limit_error" => FaultKind::RateLimit,
        "overloaded_error" => FaultKind::Overloaded,
        "timeout_error" => FaultKind::Timeout,
        "internal_error" | "api_error" => FaultKind::Internal,
        _ => return None,
    })
}

impl Said {
    fn read(body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Wire {
            r#type: Option<serde_json::Value>,
            error: Option<serde_json::Value>,
            message: Option<serde_json::Value>,
            detail: Option<serde_json::Value>,
        }
        let Ok(wire) = serde_json::from_slice::<Wire>(body) else { return Self::default() };
        let error = wire.error.unwrap_or_default();
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        Self {
            is_error: wire.r#type.as_ref().and_then(serde_json::Value::as_str) == Some("error"),
            kind: text(&error["type"]),
            // Servers that only resemble Anthropic's say it in fewer words.
            message: text(&error["message"])
                .or_else(|| text(&error))
                .or_else(|| wire.message.as_ref().and_then(text))
                .or_else(|| {
                    wire.detail.as_ref().map(|detail| text(detail).unwrap_or_else(|| detail.to_string()))
                }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [FaultKind; 11] = [
        FaultKind::Invalid,
        FaultKind::Authentication,
        FaultKind::Permission,
        FaultKind::Quota,
        FaultKind::NotFound,
        FaultKind::TooLarge,
        FaultKind::RateLimit,
        FaultKind::Overloaded,
        FaultKind::Timeout,
        FaultKind::Internal,
        FaultKind::Other,
    ];

    #[test]
    fn the_shape_is_anthropics() {
        insta::assert_snapshot!(
            String::from_utf8_lossy(&body(FaultKind::RateLimit, 429, "a \"b\"", Some("per_user.input_token_limit"))),
            @r#"{"type":"error","error":{"type":"rate_limit_error","message":"a \"b\"","limit":"per_user.input_token_limit"}}"#
        );
        insta::assert_snapshot!(
            String::from_utf8_lossy(&event(FaultKind::Overloaded, 529, "x")),
            @r#"
        event: error
        data: {"type":"error","error":{"type":"overloaded_error","message":"x"}}
        "#
        );
    }

    #[test]
    fn a_conversation_that_is_not_kept_is_refused_as_the_sdks_know_it() {
        insta::assert_snapshot!(
            String::from_utf8_lossy(&body(FaultKind::Invalid, 400, THREAD, None)),
            @r#"{"type":"error","error":{"type":"invalid_request_error","message":"to keep it takes a provider that speaks Anthropic's protocol itself, and this model's does not","details":{"error_code":"thread_unsupported_request","unsupported":["model"]}}}"#
        );
    }

    #[test]
    fn a_meaning_comes_back_from_its_own_body() {
        for kind in KINDS.into_iter().filter(|kind| *kind != FaultKind::Other) {
            let body = body(kind, kind.status(), "why", None);
            assert!(is_dialect(&body));
            // A status that says something else does not decide.
            assert_eq!(read(400, &body), Fault { kind, message: "why".into() });
        }
    }

    #[test]
    fn a_message_is_found_in_every_shape() {
        let message = |body: &[u8]| read(500, body).message.into_owned();
        assert_eq!(
            message(br#"{"type":"error","error":{"type":"api_error","message":"m"},"request_id":"r"}"#),
            "m"
        );
        assert_eq!(message(br#"{"error":"bad"}"#), "bad");
        assert_eq!(message(br#"{"message":"m"}"#), "m");
        assert_eq!(message(b" <html> \n"), "<html>");
        assert_eq!(message(b""), "the provider gave no reason");
        assert_eq!(message(b"\xff"), "\u{fffd}");
        assert_eq!(message("é".repeat(3000).as_bytes()).chars().count(), 2_001);
        assert_eq!(read(529, b"{}").kind, FaultKind::Overloaded);
        for other in [&b"{}"[..], b"[]", br#"{"error":{"message":"m","type":"t"}}"#, br#"{"type":"error"}"#] {
            assert!(!is_dialect(other), "{}", String::from_utf8_lossy(other));
        }
    }

    #[test]
    fn what_a_server_in_front_says_is_the_message() {
        assert_eq!(read(422, br#"{"detail":"no such field"}"#).message, "no such field");
        assert_eq!(read(422, br#"{"detail":[{"msg":"d"}]}"#).message, r#"[{"msg":"d"}]"#);
    }
}
