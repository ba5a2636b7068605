//! Errors of Responses: bodies are those of chat completions, only the event of a stream is another one,
//! `event: error` with `{"type":"error","sequence_number","code","message","param"}`.

use bytes::Bytes;
use serde::Serialize;

use crate::chat::fault::FaultKind;
pub use crate::protocol::openai_chat::error::{body, is_dialect, read};

#[derive(Serialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    sequence_number: u64,
    code: &'static str,
    message: &'a str,
    param: Option<&'a str>,
}

/// An error in the middle of a stream, by its number among the events. A status has no place in it.
pub(super) fn event(sequence_number: u64, kind: FaultKind, message: &str) -> Bytes {
    let event = Event { kind: "error", sequence_number, code: code(kind), message, param: None };
    // A struct of strings and a number always serialises.
    let data = serde_json::to_vec(&event).unwrap_or_default();
    [b"event: error\ndata: ".as_slice(), &data, b"\n\n"].concat().into()
}

/// The `code` of a meaning, as far as OpenAI has one.
fn code(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Invalid => "invalid_prompt",
        FaultKind::Authentication => "invalid_api_key",
        FaultKind::Permission => "permission_denied",
        FaultKind::Quota => "insufficient_quota",
        FaultKind::NotFound => "model_not_found",
        FaultKind::TooLarge => "context_length_exceeded",
        FaultKind::RateLimit => "rate_limit_exceeded",
        FaultKind::Overloaded => "server_is_overloaded",
        FaultKind::Timeout | FaultKind::Internal | FaultKind::Other => "server_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_in_a_stream_is_an_event_of_its_own() {
        insta::assert_snapshot!(
            String::from_utf8_lossy(&event(7, FaultKind::RateLimit, "a \"b\"")),
            @r#"
        event: error
        data: {"type":"error","sequence_number":7,"code":"rate_limit_exceeded","message":"a \"b\"","param":null}
        "#
        );
    }
}
