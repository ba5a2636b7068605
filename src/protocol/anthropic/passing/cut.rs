//! The end of a message that gets no more tokens: what is open is closed, and `message_delta` says why and how much it was.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use crate::{
    chat::usage::Usage,
    protocol::anthropic::{ingress::stream::line, usage::Shown},
};

/// The blocks that are open; one, in all streams that were seen.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    open: SmallVec<[u64; 2]>,
    /// Whether `message_start` came.
    started: bool,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    MessageStart { message: Message<'a> },
    ContentBlockStop { index: u64 },
    MessageDelta { delta: End, usage: Shown },
}

#[derive(Serialize)]
struct Message<'a> {
    model: &'a RawValue,
    id: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    role: &'static str,
    content: [(); 0],
    stop_reason: Option<()>,
    stop_sequence: Option<()>,
    usage: Shown,
}

#[derive(Serialize)]
struct End {
    stop_reason: &'static str,
    stop_sequence: Option<()>,
}

/// As many as are kept.
const MOST: usize = 128;

impl Blocks {
    /// Keeps which blocks are open. `kind` is the event's.
    pub(super) fn note(&mut self, kind: &str, data: &[u8]) {
        #[derive(Default, Deserialize)]
        struct Read {
            index: Option<u64>,
        }
        match kind {
            "message_start" => self.started = true,
            "content_block_start" | "content_block_stop" => {
                let Ok(Read { index: Some(index) }) = serde_json::from_slice(data) else { return };
                self.open.retain(|open| *open != index);
                if kind == "content_block_start" && self.open.len() < MOST {
                    self.open.push(index);
                }
            }
            _ => {}
        }
    }

    /// Writes the last events but the terminator.
    pub(super) fn end(&self, model: &RawValue, usage: Usage, out: &mut Vec<u8>) {
        if !self.started {
            let usage = Shown::whole(Some(Usage { output: Some(0), ..usage }));
            let (id, kind, role, content) = ("msg_", "message", "assistant", []);
            let message =
                Message { model, id, kind, role, content, stop_reason: None, stop_sequence: None, usage };
            line("message_start", &Line::MessageStart { message }, out);
        }
        for index in self.open.iter().copied() {
            line("content_block_stop", &Line::ContentBlockStop { index }, out);
        }
        let delta = End { stop_reason: "max_tokens", stop_sequence: None };
        line("message_delta", &Line::MessageDelta { delta, usage: Shown::later(Some(usage)) }, out);
    }
}
