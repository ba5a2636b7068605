//! What clients are told, whatever a provider said: JSON, and streams that begin, go on and end as their format demands.

use std::{collections::HashMap, str};

use bytes::Bytes;
use nexus::protocol::{
    dialect::Client,
    gemini::ingress::stream::Framing,
    passing::Ending,
    sse::{self, Splitter},
};
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// An object by its keys; what is nested deep is no matter.
type Object = HashMap<String, Box<RawValue>>;

/// What is written is JSON.
pub fn json(written: &[u8]) {
    let text = str::from_utf8(written).expect("text");
    assert!(serde_json::from_str::<IgnoredAny>(text).is_ok(), "{text}");
}

/// A whole stream, and how it is said to have ended.
pub fn stream(client: Client, out: &[u8], ending: Ending) {
    match client {
        Client::Chat => chat(out, ending),
        Client::Responses => responses(out, ending),
        Client::Messages => messages(out, ending),
        Client::Gemini(Some(Framing::Array)) => {
            let chunks: Vec<Object> = serde_json::from_slice(out).expect("an array");
            chunks_end(&chunks, ending);
        }
        Client::Gemini(_) => {
            let chunks: Vec<_> = events(out).iter().map(|(_, data)| object(data)).collect();
            chunks_end(&chunks, ending);
        }
    }
}

/// `[DONE]` is the last word of what is complete, and of nothing else.
fn chat(out: &[u8], ending: Ending) {
    let mut events = events(out);
    let (_, last) = events.pop().expect("an event");
    assert_eq!(&last == "[DONE]", ending == Ending::Complete, "{last}");
    if ending == Ending::Broken {
        assert!(object(&last).contains_key("error"), "{last}");
    }
    assert!(events.iter().all(|(_, data)| object(data).contains_key("choices")));
}

/// Events are numbered and have their names.
fn responses(out: &[u8], ending: Ending) {
    let kinds = named(out);
    for (number, (_, data)) in events(out).iter().enumerate() {
        assert_eq!(object(data)["sequence_number"].get(), number.to_string(), "{data}");
    }
    let ends = |kind: &str| ["response.completed", "response.incomplete", "error"].contains(&kind);
    let (last, before) = kinds.split_last().expect("an event");
    assert!(ends(last) && (last == "error") == (ending == Ending::Broken), "{kinds:?}");
    assert!(!before.iter().any(|kind| ends(kind)), "{kinds:?}");
    let count = |kind: &str| kinds.iter().filter(|one| *one == kind).count();
    let (begun, done) = (count("response.output_item.added"), count("response.output_item.done"));
    assert!(begun == done || ending == Ending::Broken && begun == done + 1, "{kinds:?}");
}

/// One block behind another, each begun, continued and ended.
fn messages(out: &[u8], ending: Ending) {
    let kinds = named(out);
    let (mut open, mut next) = (false, 0);
    for ((_, data), kind) in events(out).iter().zip(&kinds) {
        match kind.as_str() {
            "content_block_start" => open = !std::mem::replace(&mut open, true),
            "content_block_stop" => {
                next += 1;
                assert!(std::mem::take(&mut open), "{kinds:?}");
                continue;
            }
            "content_block_delta" => {}
            _ => continue,
        }
        assert!(open, "{kinds:?}");
        assert_eq!(object(data)["index"].get(), next.to_string(), "{kinds:?}");
    }
    let (last, before) = kinds.split_last().expect("an event");
    let ends = |kind: &str| ["message_stop", "error"].contains(&kind);
    assert!(ends(last) && (last == "error") == (ending == Ending::Broken), "{kinds:?}");
    assert!(!before.iter().any(|kind| ends(kind)), "{kinds:?}");
    if ending == Ending::Complete {
        assert!(!open && kinds[0] == "message_start", "{kinds:?}");
        assert_eq!(kinds.iter().filter(|kind| *kind == "message_delta").count(), 1, "{kinds:?}");
    }
}

/// Only what broke off ends with an error.
fn chunks_end(chunks: &[Object], ending: Ending) {
    let (last, before) = chunks.split_last().expect("a chunk");
    assert_eq!(last.contains_key("error"), ending == Ending::Broken);
    assert!(!before.iter().any(|chunk| chunk.contains_key("error")));
}

/// The types of events, which are their names too.
fn named(out: &[u8]) -> Vec<String> {
    let name = |(name, data): (Option<String>, String)| {
        let kind: String = serde_json::from_str(object(&data)["type"].get()).expect("a string");
        assert_eq!(name.as_ref(), Some(&kind));
        kind
    };
    events(out).into_iter().map(name).collect()
}

/// Names and data of a stream in which nothing else is.
fn events(out: &[u8]) -> Vec<(Option<String>, String)> {
    let (mut splitter, mut events) = (Splitter::default(), Vec::new());
    splitter
        .push(Bytes::copy_from_slice(out), |event| {
            let sse::Fields { name, data } = sse::fields(&event);
            let data = data.expect("no comments");
            events.push((name.map(str::to_owned), str::from_utf8(&data).expect("text").to_owned()));
        })
        .expect("small");
    assert!(splitter.rest().is_empty(), "an event without end");
    events
}

fn object(data: &str) -> Object {
    serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}"))
}
