//! What must hold whatever bytes come from outside: one function for each fuzz target, which panics where it does not.
//!
//! Beyond "it does not panic" each function checks its subject against something simpler: the same work in another cut,
//! a plain JSON value, the reference tokeniser, a list of everything that happened. Nothing here is part of the router.

mod answer;
mod ask;
mod configuration;
mod frame;
mod headers;
mod ledger;
mod request;
mod stream;
mod tell;
mod token;
mod told;

pub use answer::{error, response};
pub use ask::{request_chat, request_gemini, request_messages, request_responses};
pub use configuration::config;
pub use headers::headers;
pub use ledger::ledger;
pub use request::{chat, embeddings, route, tokens};
pub use stream::stream;
pub use tell::{answer_chat, answer_converse, answer_gemini, answer_messages, event_stream, sse};
pub use token::token;

use bytes::Bytes;
use nexus::protocol::splice::{Edit, splice};

/// What models are renamed to: it must be escaped, and no input holds it by chance.
const NAME: &str = "fuzz/\"\u{1}\u{20ac}";

/// [`NAME`] as JSON.
fn name_json() -> String {
    serde_json::Value::from(NAME).to_string()
}

/// `body` with the edits made, in one piece.
fn edited(body: &[u8], edits: impl IntoIterator<Item = Edit>) -> Vec<u8> {
    splice(&Bytes::copy_from_slice(body), edits).concat()
}

/// What stood where `edited` has [`NAME`]; `None` if any other byte is not as in `body`.
fn renamed<'a>(body: &'a [u8], edited: &[u8]) -> Option<&'a [u8]> {
    let name = name_json();
    memchr::memmem::find_iter(edited, &name).find_map(|at| {
        let (before, after) = (&edited[..at], &edited[at + name.len()..]);
        body.strip_prefix(before)?.strip_suffix(after)
    })
}
