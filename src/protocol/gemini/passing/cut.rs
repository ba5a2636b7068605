//! The end of a stream that gets no more tokens: a last chunk with the reason and the usage.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    chat::usage::Usage,
    protocol::gemini::{
        usage::Shown,
        wire::{Content, Part},
    },
};

/// What every chunk repeats.
#[derive(Debug, Default)]
pub(super) struct Head {
    id: Option<Box<RawValue>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Chunk<'a> {
    candidates: Vec<Candidate<'a>>,
    usage_metadata: Shown,
    model_version: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_id: Option<&'a RawValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    content: Content<'a>,
    finish_reason: &'static str,
    index: u32,
}

/// Longer ids, in bytes, are nobody's.
const LONGEST: usize = 512;

impl Head {
    /// Keeps what the first chunk says.
    pub(super) fn note(&mut self, data: &[u8]) {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Read<'a> {
            #[serde(borrow)]
            response_id: Option<&'a RawValue>,
        }
        if self.id.is_none()
            && let Ok(Read { response_id: Some(id) }) = serde_json::from_slice(data)
            && id.get().len() <= LONGEST
        {
            self.id = Some(id.to_owned());
        }
    }

    /// Writes the last chunk, without a frame. `open` candidates have no reason yet.
    pub(super) fn end(
        &self,
        open: impl Iterator<Item = u32>,
        model: &RawValue,
        usage: Usage,
        out: &mut Vec<u8>,
    ) {
        let candidate = |index| Candidate {
            content: Content { parts: vec![Part::text("")], role: Some("model") },
            finish_reason: "MAX_TOKENS",
            index,
        };
        let chunk = Chunk {
            candidates: open.map(candidate).collect(),
            usage_metadata: Shown::new(usage),
            model_version: model,
            response_id: self.id.as_deref(),
        };
        // Strings, numbers and JSON that was read before always serialise, and a vector takes every byte.
        let _ = serde_json::to_writer(out, &chunk);
    }
}
