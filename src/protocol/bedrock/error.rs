//! Errors of Bedrock: a type in a header, with a suffix, and `{"message"}` as the body; in a stream the type is the name of
//! the event.
//!
//! Types: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#API_runtime_Converse_Errors>,
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html>

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    chat::fault::{Fault, FaultKind, short},
    protocol::json,
};

/// The header in which the head of an answer names the type.
pub const TYPE: &str = "x-amzn-errortype";

/// The body of an error.
#[derive(Default, Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    __type: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow, rename = "Message")]
    capital_message: Option<&'a RawValue>,
    #[serde(borrow, rename = "originalMessage")]
    original_message: Option<&'a RawValue>,
    /// What servers in front of it say: FastAPI's word.
    #[serde(borrow)]
    detail: Option<&'a RawValue>,
}

impl Said<'_> {
    fn message(&self) -> Option<String> {
        [self.message, self.capital_message, self.original_message].into_iter().find_map(filled).or_else(
            || {
                let detail = self.detail?;
                filled(self.detail).or_else(|| Some(detail.get().to_owned()))
            },
        )
    }
}

/// A string that is not empty.
fn filled(field: Option<&RawValue>) -> Option<String> {
    Some(json::text(field?.get())?.into_owned()).filter(|text| !text.is_empty())
}

/// What an error says that came where an answer should be, if it is one.
pub(super) fn message(body: &[u8]) -> Option<String> {
    serde_json::from_slice::<Said<'_>>(body).ok()?.message().map(short)
}

/// What an error means. `name` is the header [`TYPE`], or the name of an event; it decides where it is known, else
/// the type that the body names, else the status.
pub fn read(status: u16, name: Option<&str>, body: &[u8]) -> Fault<'static> {
    let said: Said<'_> = serde_json::from_slice(body).unwrap_or_default();
    let kind = name.and_then(meaning).or_else(|| filled(said.__type).as_deref().and_then(meaning));
    let message = said.message().unwrap_or_else(|| String::from_utf8_lossy(body).trim().to_owned());
    Fault { kind: kind.unwrap_or_else(|| FaultKind::of_status(status)), message: short(message).into() }
}

/// Whether an event of a stream is an error, by its name. Those of an answer never end like this.
pub(super) fn is_error(event: &str) -> bool {
    ["Exception", "Error", "Failure"].iter().any(|end| event.ends_with(end))
}

/// The meaning of a type; `None` for one that says nothing beyond the status.
fn meaning(name: &str) -> Option<FaultKind> {
    // `ValidationException:http://internal.amazon.com/coral/com.amazon.bedrock/`, `com.amazon.coral#ValidationException`
    let name = name.split(':').next().unwrap_or_default().trim();
    let name = name.rsplit('#').next().unwrap_or_default();
    let name = name.strip_suffix("Exception").unwrap_or(name).to_ascii_lowercase();
    Some(match name.as_str() {
        "validation" | "conflict" | "malformedhttprequest" | "serialization" => FaultKind::Invalid,
        // The key is wrong, old, or may not do this: nothing that the caller can change.
        "accessdenied"
        | "expiredtoken"
        | "unrecognizedclient"
        | "invalidclienttokenid"
        | "invalidsignature"
        | "incompletesignature"
        | "signaturedoesnotmatch"
        | "missingauthenticationtoken"
        | "missingauthenticationtokenerror"
        | "optinrequired"
        | "notauthorized" => FaultKind::Authentication,
        "resourcenotfound" => FaultKind::NotFound,
        "requestentitytoolarge" => FaultKind::TooLarge,
        "throttling" | "toomanyrequests" | "requestlimitexceeded" | "servicequotaexceeded" => {
            FaultKind::RateLimit
        }
        "serviceunavailable" | "modelnotready" => FaultKind::Overloaded,
        "modeltimeout" | "requesttimeout" => FaultKind::Timeout,
        "internalserver"
        | "internalfailure"
        | "internalservererror"
        | "internalerror"
        | "model"
        | "modelerror"
        | "modelstreamerror" => FaultKind::Internal,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, name: &str) -> FaultKind {
        read(status, Some(name), b"{}").kind
    }

    #[test]
    fn the_type_is_what_stands_before_the_colon() {
        // Wire facts §6.
        let name = "ValidationException:http://internal.amazon.com/coral/com.amazon.bedrock/";
        let fault = read(400, Some(name), br#"{"message":"The provided model identifier is invalid."}"#);
        assert_eq!(fault.kind, FaultKind::Invalid);
        assert_eq!(fault.message, "The provided model identifier is invalid.");
        let coral = ":http://internal.amazon.com/coral/com.amazon.coral.service/";
        assert_eq!(kind(403, &format!("UnrecognizedClientException{coral}")), FaultKind::Authentication);
        assert_eq!(
            read(400, None, br#"{"__type":"com.amazon.x#ThrottlingException"}"#).kind,
            FaultKind::RateLimit
        );
    }

    #[test]
    fn types_decide_before_the_status() {
        for (name, expected) in [
            ("AccessDeniedException", FaultKind::Authentication),
            ("ExpiredTokenException", FaultKind::Authentication),
            ("ResourceNotFoundException", FaultKind::NotFound),
            ("ThrottlingException", FaultKind::RateLimit),
            ("throttlingException", FaultKind::RateLimit),
            ("ModelTimeoutException", FaultKind::Timeout),
            ("ModelErrorException", FaultKind::Internal),
            ("modelStreamErrorException", FaultKind::Internal),
            ("internalServerException", FaultKind::Internal),
            ("serviceUnavailableException", FaultKind::Overloaded),
            ("ModelNotReadyException", FaultKind::Overloaded),
        ] {
            assert_eq!(kind(418, name), expected, "{name}");
        }
        assert_eq!(kind(429, "SomethingNewException"), FaultKind::RateLimit);
        assert_eq!(read(403, None, b"").kind, FaultKind::Permission);
    }

    #[test]
    fn a_message_is_found_in_every_shape() {
        let message = |body: &[u8]| read(500, None, body).message.into_owned();
        assert_eq!(message(br#"{"Message":"m"}"#), "m");
        assert_eq!(message(br#"{"message":"","originalMessage":"o","originalStatusCode":500}"#), "o");
        assert_eq!(message(br#"{"detail":"d"}"#), "d");
        assert_eq!(message(br#"{"detail":[{"msg":"d"}]}"#), r#"[{"msg":"d"}]"#);
        assert_eq!(message(b" plain \n"), "plain");
        assert_eq!(message(b""), "the provider gave no reason");
        assert_eq!(message(b"\xff"), "\u{fffd}");
        assert_eq!(message("é".repeat(3000).as_bytes()).chars().count(), 2_001);
    }

    #[test]
    fn an_error_is_known_by_the_name_of_its_event() {
        assert!(is_error("throttlingException") && is_error("InternalFailure"));
        assert!(["messageStart", "contentBlockDelta", "metadata", ""].iter().all(|name| !is_error(name)));
    }
}
