//! Providers that speak Google's generateContent, for clients that do not.

pub mod embeddings;
pub mod request;
pub mod response;
pub mod stream;

mod part;

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::{chat::response::Stop, protocol::json};

/// Which of Google's two is asked, where they differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// The Gemini API: `batchEmbedContents`, and counts of whole requests.
    Gemini,
    /// Vertex AI: `predict`, and counts of the parts of a request.
    Vertex,
}

impl Api {
    /// The model as it stands in a body of the Gemini API.
    fn model(name: &str) -> String {
        let is_whole = name.starts_with("models/") || name.starts_with("tunedModels/");
        if is_whole { name.to_owned() } else { format!("models/{name}") }
    }
}

/// The meaning of a `finishReason`; one that is not known is a plain end. Calls end with `STOP` too, or with
/// `UNEXPECTED_TOOL_CALL`: whether there are any decides.
fn stop(reason: &str) -> Stop {
    match reason {
        "MAX_TOKENS" => Stop::Length,
        "SAFETY" | "RECITATION" | "LANGUAGE" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII"
        | "MODEL_ARMOR" => Stop::Filter,
        "IMAGE_SAFETY" | "IMAGE_PROHIBITED_CONTENT" | "IMAGE_RECITATION" => Stop::Filter,
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
