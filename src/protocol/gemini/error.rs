//! Errors in Google's shape: `{"error":{"code","message","status","details"?}}`, `code` being the HTTP status.
//! <https://cloud.google.com/apis/design/errors>
//!
//! A stream that is a JSON array has its errors in an array too, as its only element.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::chat::fault::{Fault, FaultKind, short};

#[derive(Serialize)]
struct Body<'a> {
    error: Inner<'a>,
}

#[derive(Serialize)]
struct Inner<'a> {
    code: u16,
    message: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<[RetryInfo; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'a str>,
}

#[derive(Serialize)]
struct RetryInfo {
    #[serde(rename = "@type")]
    kind: &'static str,
    #[serde(rename = "retryDelay")]
    delay: String,
}

/// An error as a provider writes it; every field that is missing or of another kind is `None`.
#[derive(Default)]
struct Said {
    code: Option<u64>,
    status: Option<String>,
    message: Option<String>,
    details: Vec<Value>,
}

/// An error body. `limit` names the rule that refused; after `retry_after` seconds it would not.
pub fn body(
    kind: FaultKind,
    status: u16,
    message: &str,
    limit: Option<&str>,
    retry_after: Option<u64>,
) -> Bytes {
    let details = retry_after.map(|seconds| {
        [RetryInfo { kind: "type.googleapis.com/google.rpc.RetryInfo", delay: format!("{seconds}s") }]
    });
    let error = Inner { code: status, message, status: name(kind, status), details, limit };
    // A struct of strings and numbers always serialises.
    serde_json::to_vec(&Body { error }).unwrap_or_default().into()
}

/// An error in the middle of a stream of events.
pub fn event(kind: FaultKind, status: u16, message: &str) -> Bytes {
    [b"data: ".as_slice(), &body(kind, status, message, None, None), b"\r\n\r\n"].concat().into()
}

/// What a provider's error means. The word it has for it decides where there is one, else the status; a key that is not
/// valid is an `INVALID_ARGUMENT` to Google.
pub fn read(status: u16, body: &[u8]) -> Fault<'static> {
    let said = Said::read(body);
    // Some write the number of the gRPC status instead.
    let is_error = |code: &u16| (400..600).contains(code);
    let status = said.code.and_then(|code| u16::try_from(code).ok()).filter(is_error).unwrap_or(status);
    let kind = match said.status.as_deref().and_then(meaning) {
        Some(FaultKind::Invalid) if said.is_about_the_key() => FaultKind::Authentication,
        Some(FaultKind::Invalid) if status == 413 => FaultKind::TooLarge,
        Some(kind) => kind,
        None => FaultKind::of_status(status),
    };
    let message = said.message.unwrap_or_else(|| String::from_utf8_lossy(body).trim().to_owned());
    Fault { kind, message: short(message).into() }
}

/// Whether a provider's error body is in this dialect, and so passes as it is.
pub fn is_dialect(body: &[u8]) -> bool {
    let said = Said::read(body);
    said.code.is_some() && said.status.is_some() && said.message.is_some()
}

/// After how many seconds a provider wants to be asked again: Google says it in the body, not in a header.
pub fn retry_after(body: &[u8]) -> Option<u64> {
    let delays = Said::read(body).details;
    let delay = delays.iter().find_map(|detail| detail["retryDelay"].as_str())?;
    let seconds: f64 = delay.strip_suffix('s')?.parse().ok()?;
    // A day is more than any provider means; the cast is exact below it.
    (0.0..=86_400.0).contains(&seconds).then(|| seconds.ceil().max(1.0) as u64)
}

/// The `status` of an error. <https://cloud.google.com/apis/design/errors#error_codes>
fn name(kind: FaultKind, status: u16) -> &'static str {
    match kind {
        FaultKind::Invalid | FaultKind::TooLarge => "INVALID_ARGUMENT",
        FaultKind::Authentication => "UNAUTHENTICATED",
        FaultKind::Permission => "PERMISSION_DENIED",
        FaultKind::Quota if status == 403 => "PERMISSION_DENIED",
        FaultKind::Quota | FaultKind::RateLimit => "RESOURCE_EXHAUSTED",
        FaultKind::NotFound => "NOT_FOUND",
        FaultKind::Overloaded => "UNAVAILABLE",
        FaultKind::Timeout => "DEADLINE_EXCEEDED",
        FaultKind::Internal => "INTERNAL",
        FaultKind::Other => "UNKNOWN",
    }
}

/// The meaning of a `status`; `None` for one that says nothing beyond the HTTP status.
fn meaning(name: &str) -> Option<FaultKind> {
    Some(match name {
        "INVALID_ARGUMENT" | "FAILED_PRECONDITION" | "OUT_OF_RANGE" | "ALREADY_EXISTS" => FaultKind::Invalid,
        "UNAUTHENTICATED" => FaultKind::Authentication,
        "PERMISSION_DENIED" => FaultKind::Permission,
        "NOT_FOUND" => FaultKind::NotFound,
        "RESOURCE_EXHAUSTED" => FaultKind::RateLimit,
        "UNAVAILABLE" => FaultKind::Overloaded,
        "DEADLINE_EXCEEDED" => FaultKind::Timeout,
        "INTERNAL" | "DATA_LOSS" => FaultKind::Internal,
        _ => return None,
    })
}

impl Said {
    fn read(body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Wire {
            error: Option<Value>,
            message: Option<Value>,
            detail: Option<Value>,
        }
        let wire = match body.trim_ascii_start().first() {
            Some(b'[') => {
                serde_json::from_slice::<Vec<Wire>>(body).ok().and_then(|all| all.into_iter().next())
            }
            _ => serde_json::from_slice::<Wire>(body).ok(),
        };
        let Some(wire) = wire else { return Self::default() };
        let mut error = wire.error.unwrap_or_default();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Self {
            code: error["code"].as_u64(),
            status: text(&error["status"]),
            // Servers that only resemble Google's say it in fewer words.
            message: text(&error["message"])
                .or_else(|| text(&error))
                .or_else(|| wire.message.as_ref().and_then(text))
                .or_else(|| {
                    wire.detail.as_ref().map(|detail| text(detail).unwrap_or_else(|| detail.to_string()))
                }),
            details: match error.get_mut("details").map(Value::take) {
                Some(Value::Array(details)) => details,
                _ => Vec::new(),
            },
        }
    }

    fn is_about_the_key(&self) -> bool {
        let reason = |detail: &Value| detail["reason"].as_str() == Some("API_KEY_INVALID");
        let worded = |message: &String| message.starts_with("API key not valid");
        self.details.iter().any(reason) || self.message.as_ref().is_some_and(worded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [FaultKind; 8] = [
        FaultKind::Invalid,
        FaultKind::Authentication,
        FaultKind::Permission,
        FaultKind::NotFound,
        FaultKind::RateLimit,
        FaultKind::Overloaded,
        FaultKind::Timeout,
        FaultKind::Internal,
    ];

    #[test]
    fn the_shape_is_googles() {
        let refused =
            body(FaultKind::RateLimit, 429, "a \"b\"", Some("per_user.input_token_limit"), Some(12));
        insta::assert_snapshot!(
            String::from_utf8_lossy(&refused),
            @r#"{"error":{"code":429,"message":"a \"b\"","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"12s"}],"limit":"per_user.input_token_limit"}}"#
        );
        assert_eq!(retry_after(&refused), Some(12));
        assert_eq!(
            event(FaultKind::Overloaded, 503, "x"),
            "data: {\"error\":{\"code\":503,\"message\":\"x\",\"status\":\"UNAVAILABLE\"}}\r\n\r\n"
        );
    }

    #[test]
    fn a_meaning_comes_back_from_its_own_body() {
        for kind in KINDS {
            let body = body(kind, kind.status(), "why", None, None);
            assert!(is_dialect(&body));
            // A status that says something else does not decide.
            assert_eq!(read(502, &body), Fault { kind, message: "why".into() });
        }
        let large = body(FaultKind::TooLarge, 413, "why", None, None);
        assert_eq!(read(413, &large).kind, FaultKind::TooLarge);
    }

    #[test]
    fn a_bad_key_is_nobody_known_though_google_calls_it_an_argument() {
        // Wire facts §5.
        let body = br#"{"error":{"code":400,"message":"API key expired.","status":"INVALID_ARGUMENT",
            "details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}]}}"#;
        assert_eq!(read(400, body).kind, FaultKind::Authentication);
        let worded = br#"{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}"#;
        assert_eq!(read(400, worded).kind, FaultKind::Authentication);
    }

    #[test]
    fn a_delay_is_rounded_up_to_whole_seconds() {
        let of = |delay: &str| {
            retry_after(
                format!(r#"{{"error":{{"details":[{{"reason":"x"}},{{"retryDelay":"{delay}"}}]}}}}"#)
                    .as_bytes(),
            )
        };
        assert_eq!((of("36.2s"), of("0s"), of("3600s")), (Some(37), Some(1), Some(3600)));
        assert_eq!((of("soon"), of("-1s"), of("1e300s"), of("NaNs")), (None, None, None, None));
        assert_eq!(retry_after(b"{}"), None);
    }

    #[test]
    fn a_message_is_found_in_every_shape() {
        let message = |body: &[u8]| read(500, body).message.into_owned();
        assert_eq!(message(br#" [{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}]"#), "m");
        assert_eq!(message(br#"{"error":"bad"}"#), "bad");
        assert_eq!(message(br#"{"message":"m"}"#), "m");
        assert_eq!(message(b" <html> \n"), "<html>");
        assert_eq!(message(b""), "the provider gave no reason");
        assert_eq!(message("é".repeat(3000).as_bytes()).chars().count(), 2_001);
        assert_eq!(read(503, b"{}").kind, FaultKind::Overloaded);
        for other in
            [&b"{}"[..], b"[]", br#"{"error":{"message":"m","type":"t"}}"#, b"[3]", br#"{"error":3}"#]
        {
            assert!(!is_dialect(other), "{}", String::from_utf8_lossy(other));
        }
    }

    #[test]
    fn what_a_server_in_front_says_is_the_message_and_a_number_that_is_no_status_says_nothing() {
        assert_eq!(read(422, br#"{"detail":"no such field"}"#).message, "no such field");
        let odd = br#"{"error":{"code":13,"message":"m","status":"SOMETHING_NEW"}}"#;
        assert_eq!(read(429, odd).kind, FaultKind::RateLimit);
    }
}
