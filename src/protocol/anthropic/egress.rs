//! Providers that speak Anthropic's Messages, for clients that do not.

pub mod request;
pub mod response;
pub mod stream;

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::{chat::response::Stop, protocol::json};

/// The meaning of a `stop_reason`; one that is not known is a plain end.
fn stop(reason: &str) -> Stop {
    match reason {
        "max_tokens" | "model_context_window_exceeded" => Stop::Length,
        "stop_sequence" => Stop::Sequence,
        "tool_use" => Stop::Calls,
        "refusal" => Stop::Filter,
        "pause_turn" => Stop::Pause,
        _ => Stop::End,
    }
}

/// The text of a field; of one that holds something else, none.
fn text(field: Option<&RawValue>) -> Option<Cow<'_, str>> {
    json::text(field?.get())
}

/// A text that says something.
fn said(field: Option<&RawValue>) -> Option<Cow<'_, str>> {
    text(field).filter(|text| !text.is_empty())
}
