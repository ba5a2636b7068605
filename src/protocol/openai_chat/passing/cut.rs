//! The end of a chat stream that gets no more tokens: for each choice that is open a chunk with the reason, and the usage if
//! the client asked for it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{chat::usage::Usage, protocol::openai_chat::wire::UsageReport};

/// What every chunk of a stream repeats.
#[derive(Debug, Default)]
pub(super) struct Head {
    id: Option<Box<RawValue>>,
    created: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Read<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    created: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Chunk<'a, C> {
    id: &'a RawValue,
    object: &'static str,
    created: &'a RawValue,
    model: &'a RawValue,
    choices: C,
    /// `null` on every chunk but the last, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<UsageReport>>,
}

#[derive(Serialize)]
struct Choice {
    index: u32,
    delta: Empty,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct Empty {}

/// Longer ids, in bytes, are nobody's.
const LONGEST: usize = 512;

impl Head {
    /// Keeps what the first chunk says.
    pub(super) fn note(&mut self, data: &[u8]) {
        if self.id.is_none()
            && let Ok(read) = serde_json::from_slice::<Read<'_>>(data)
        {
            let kept = |raw: &RawValue| (raw.get().len() <= LONGEST).then(|| raw.to_owned());
            (self.id, self.created) = (read.id.and_then(kept), read.created.and_then(kept));
        }
    }

    /// Writes the last chunks. `open` choices have no reason yet; `shown`: the client asked for usage.
    pub(super) fn end(
        &self,
        open: impl Iterator<Item = u32>,
        model: &RawValue,
        usage: Usage,
        shown: bool,
        out: &mut Vec<u8>,
    ) {
        for index in open {
            let choice = Choice { index, delta: Empty {}, finish_reason: "length" };
            self.chunk([choice], model, shown.then_some(None), out);
        }
        if shown {
            self.chunk([(); 0], model, Some(Some(UsageReport::of(usage))), out);
        }
    }

    fn chunk<C: Serialize>(
        &self,
        choices: C,
        model: &RawValue,
        usage: Option<Option<UsageReport>>,
        out: &mut Vec<u8>,
    ) {
        let id = self.id.as_deref().unwrap_or(RawValue::NULL);
        let created = self.created.as_deref().unwrap_or(RawValue::NULL);
        let chunk = Chunk { id, object: "chat.completion.chunk", created, model, choices, usage };
        out.extend_from_slice(b"data: ");
        // Numbers and JSON that was read before always serialise, and a vector takes every byte.
        let _ = serde_json::to_writer(&mut *out, &chunk);
        out.extend_from_slice(b"\n\n");
    }
}
