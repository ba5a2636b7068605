//! Providers that speak Converse, for clients that do not.

pub mod request;
pub mod response;
pub mod stream;

use std::borrow::Cow;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    chat::{
        response::Stop,
        signature::{Maker, Signature},
    },
    protocol::json,
};

/// The meaning of a `stopReason`; one that is not known is a plain end.
fn stop(reason: &str) -> Stop {
    match reason {
        "max_tokens" | "model_context_window_exceeded" => Stop::Length,
        "stop_sequence" => Stop::Sequence,
        "tool_use" => Stop::Calls,
        "guardrail_intervened" | "content_filtered" => Stop::Filter,
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

/// An object within an object; what is none says nothing.
fn inner<'a, T: Deserialize<'a>>(field: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(field?.get()).ok()
}

/// The id of a call, made where there is none.
fn call_id<'a>(id: Option<&'a RawValue>, unique: &str, calls: usize) -> Cow<'a, str> {
    said(id).unwrap_or_else(|| format!("tooluse_{unique}_{calls}").into())
}

/// Whether a call is to a tool that the provider runs itself.
fn is_servers(kind: Option<&RawValue>) -> bool {
    text(kind).as_deref() == Some("server_tool_use")
}

/// The signature of reasoning that is shown. Claude alone signs it.
fn signature(field: Option<&RawValue>) -> Option<Signature<'_>> {
    said(field).map(|value| Signature::new(Maker::Anthropic, value))
}

/// Reasoning that is encrypted: bytes in base64. Claude's bytes are the very text that Anthropic has as `data`, so that it
/// can go on there; those of other models stay as they are.
fn redacted(field: Option<&RawValue>) -> Option<Signature<'_>> {
    let field = said(field)?;
    let bytes = BASE64_STANDARD.decode(field.as_ref()).ok();
    let is_text = |bytes: &Vec<u8>| !bytes.is_empty() && bytes.iter().all(u8::is_ascii_graphic);
    Some(match bytes.filter(is_text).and_then(|bytes| String::from_utf8(bytes).ok()) {
        Some(data) => Signature::new(Maker::Anthropic, data),
        None => Signature::new(Maker::Bedrock, field),
    })
}

/// The text at which the answer ended, as [`request`] asks for it: in the model's own answer, or in its own stream.
fn stop_sequence(fields: Option<&RawValue>) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Fields<'a> {
        #[serde(borrow)]
        stop_sequence: Option<&'a RawValue>,
        #[serde(borrow)]
        delta: Option<&'a RawValue>,
    }
    let fields: Fields<'_> = inner(fields)?;
    said(fields.stop_sequence).or_else(|| said(inner::<Fields<'_>>(fields.delta)?.stop_sequence))
}
