//! What upstreams stream.

use std::collections::HashMap;

use bytes::Bytes;
use nexus::protocol::{
    openai_chat::passing::stream::Stream,
    passing::{Ending, Seen},
    sse::{self, Splitter},
};
use serde_json::value::RawValue;

use crate::name_json;

/// Long enough to be looked for.
const SECRET: &str = "sk-secret";

/// In whatever pieces a stream comes: the same events are found in it, the same bytes go out, and the same is known of
/// it. The first four bytes say how it is cut.
pub fn stream(bytes: &[u8]) {
    let Some((cuts, text)) = bytes.split_first_chunk::<4>() else { return };
    let hide_usage = cuts[0] % 2 == 0;
    let events = split(&[text]);
    assert_eq!(events, split(&pieces(text, cuts)));
    assert_eq!(events.concat(), text);
    split_as_the_grammar_says(text);
    let whole = pass(&[text], hide_usage);
    assert_eq!(whole, pass(&pieces(text, cuts), hide_usage));
    only_an_answer_may_hold_the_secret(&whole.0);
    let once = events_of(text);
    assert_eq!(once, events_of(&once), "what has passed passes unchanged");
}

/// The text as `cuts` say, again and again.
pub fn pieces<'a>(mut text: &'a [u8], cuts: &[u8; 4]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for cut in cuts.iter().cycle() {
        let (piece, rest) = text.split_at(text.len().min(usize::from(*cut) % 64 + 1));
        pieces.push(piece);
        text = rest;
        if text.is_empty() {
            break;
        }
    }
    pieces
}

/// The events, and what is left.
fn split(pieces: &[&[u8]]) -> Vec<Bytes> {
    let (mut splitter, mut events) = (Splitter::default(), Vec::new());
    for piece in pieces {
        splitter.push(Bytes::copy_from_slice(piece), |event| events.push(event)).expect("small");
    }
    events.push(splitter.rest());
    events
}

/// With all line ends made the same, an event ends at an empty line. The byte behind decides about a last CR.
fn split_as_the_grammar_says(text: &[u8]) {
    let lines = |text: &[u8]| -> Vec<u8> {
        let text = text.iter().map(|byte| char::from(*byte)).collect::<String>();
        text.replace("\r\n", "\n").replace('\r', "\n").chars().map(|char| char as u8).collect()
    };
    let text = [text, b"!"].concat();
    let mut rest = lines(&text);
    for event in split(&[&text]) {
        let end = memchr::memmem::find(&rest, b"\n\n").map_or(rest.len(), |at| at + 2);
        assert_eq!(rest.drain(..end).collect::<Vec<_>>(), lines(&event));
    }
    assert!(rest.is_empty());
}

/// What goes to the client, and what is known in the end.
fn pass(pieces: &[&[u8]], hide_usage: bool) -> (Vec<u8>, Seen, Ending) {
    let mut machine = Stream::new(name_json().into(), hide_usage, Some([SECRET.into()].into()));
    let mut out = Vec::new();
    for piece in pieces {
        out.extend(machine.push(Bytes::copy_from_slice(piece)).expect("small"));
    }
    let (last, ending) = machine.finish();
    out.extend(last);
    (out, machine.seen(), ending)
}

/// What goes to the client of the events that end; the byte behind decides about a last CR.
fn events_of(text: &[u8]) -> Vec<u8> {
    let mut machine = Stream::new(name_json().into(), true, Some([SECRET.into()].into()));
    machine.push([text, b"!"].concat().into()).expect("small").into()
}

/// And only by chance: whatever else comes is an error in one shape or another.
fn only_an_answer_may_hold_the_secret(out: &[u8]) {
    for event in split(&[out]) {
        let Some(data) = sse::data(&event) else { continue };
        let json = serde_json::from_slice::<HashMap<String, &RawValue>>(&data).unwrap_or_default();
        let has = |name| json.get(name).is_some_and(|value| value.get() != "null");
        let holds = memchr::memmem::find(&data, SECRET.as_bytes()).is_some();
        assert!(!holds || has("choices") && !has("error"), "{}", String::from_utf8_lossy(&event));
    }
}
