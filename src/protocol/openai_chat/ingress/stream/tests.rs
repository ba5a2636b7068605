//! Streams as clients get them: by example, and by the grammar for any events.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::{
    chat::{content::Media, request::Wishes},
    protocol::{
        sse::{self, Splitter},
        translate::Encoder as _,
    },
};

const ASKED: Asked<'static> =
    Asked { model: "p/m", unique: "0123456789abcdef01234567", now: 17, body: b"{}" };

/// What a client expects that asks for `usage`, or not.
fn expected(usage: bool) -> Expected {
    Expected { wishes: Wishes { usage, functions: false }, ..Expected::default() }
}

fn delta(delta: Delta<'_>) -> Event<'_> {
    Event::Delta { choice: 0, delta }
}

fn finish(stop: Stop) -> Event<'static> {
    Event::Finish { choice: 0, stop, stop_sequence: None }
}

fn start() -> Event<'static> {
    Event::Start { id: "msg_1".into(), created: None, model: Some("up".into()) }
}

fn written(expected: Expected, events: Vec<Event<'_>>) -> String {
    let mut encoder = Encoder::new(expected, &ASKED);
    let mut out = Vec::new();
    events.into_iter().for_each(|event| encoder.push(event, &mut out));
    encoder.finish(&mut out);
    String::from_utf8(out).unwrap()
}

/// The stream without what stands in every chunk.
fn choices(stream: &str) -> String {
    let head = r#"{"id":"chatcmpl-0123456789abcdef01234567","object":"chat.completion.chunk","created":17,"model":"p/m","#;
    stream.replace(head, "").replace("\n\n", "\n")
}

#[test]
fn a_text_with_usage_is_written_as_openai_does() {
    let usage = Usage { input: Some(3), output: Some(1), ..Usage::default() };
    let events = vec![start(), delta(Delta::Text("a".into())), Event::Usage(usage), finish(Stop::End)];
    insta::assert_snapshot!(choices(&written(expected(true), events)), @r#"
    data: "choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}
    data: "choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}],"usage":null}
    data: "choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}
    data: "choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}
    data: [DONE]
    "#);
}

#[test]
fn calls_may_be_interleaved() {
    let call = |index, name: &'static str, custom| {
        let id = format!("c{index}").into();
        delta(Delta::Call { index, id, name: name.into(), custom, signature: None })
    };
    let input = |index, text: &'static str| delta(Delta::Input { index, text: text.into() });
    let events = vec![
        start(),
        call(0, "f", false),
        call(1, "g", true),
        input(0, "{}"),
        input(1, "x"),
        finish(Stop::Calls),
    ];
    insta::assert_snapshot!(choices(&written(expected(false), events)), @r#"
    data: "choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}
    data: "choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c0","type":"function","function":{"name":"f","arguments":""}}]},"finish_reason":null}]}
    data: "choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"c1","type":"custom","custom":{"name":"g","input":""}}]},"finish_reason":null}]}
    data: "choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]},"finish_reason":null}]}
    data: "choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"custom":{"input":"x"}}]},"finish_reason":null}]}
    data: "choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}
    data: [DONE]
    "#);
}

#[test]
fn signed_reasoning_comes_whole_with_its_signature() {
    let signature = |maker| Delta::Signature(Signature::new(maker, "S="));
    let events = vec![
        start(),
        delta(Delta::Reasoning("a".into())),
        delta(Delta::Reasoning("b".into())),
        delta(signature(Maker::Anthropic)),
        delta(Delta::Redacted(Signature::new(Maker::Anthropic, "R="))),
        delta(Delta::Text("c".into())),
        delta(signature(Maker::Google)),
        finish(Stop::End),
    ];
    insta::assert_snapshot!(choices(&written(expected(false), events)), @r#"
    data: "choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}
    data: "choices":[{"index":0,"delta":{"reasoning_content":"a"},"finish_reason":null}]}
    data: "choices":[{"index":0,"delta":{"reasoning_content":"b"},"finish_reason":null}]}
    data: "choices":[{"index":0,"delta":{"reasoning_details":[{"type":"reasoning.text","index":0,"text":"ab","signature":"nexus:anthropic:S="}]},"finish_reason":null}]}
    data: "choices":[{"index":0,"delta":{"reasoning_details":[{"type":"reasoning.encrypted","index":1,"data":"nexus:anthropic:R="}]},"finish_reason":null}]}
    data: "choices":[{"index":0,"delta":{"content":"c"},"finish_reason":null}]}
    data: "choices":[{"index":0,"delta":{"extra_content":{"google":{"thought_signature":"S="}}},"finish_reason":null}]}
    data: "choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}
    data: [DONE]
    "#);
}

#[test]
fn after_an_error_nothing_follows() {
    let mut encoder = Encoder::new(Expected::default(), &ASKED);
    let mut out = Vec::new();
    encoder.fail(502, "cut", &mut out);
    encoder.fail(502, "cut", &mut out);
    encoder.push(delta(Delta::Text("a".into())), &mut out);
    encoder.finish(&mut out);
    assert_eq!(out, b"data: {\"error\":{\"message\":\"cut\",\"type\":\"api_error\",\"code\":502}}\n\n");
}

#[test]
fn free_text_in_an_object_and_images_are_told_as_the_client_knows_them() {
    let custom = Box::new([Box::from("patch")]);
    let call = Delta::Call { index: 0, id: "c".into(), name: "patch".into(), custom: false, signature: None };
    let image = || Delta::Image(Media::Data { mime: "image/png".into(), base64: "AA==".into() });
    let mut events = vec![delta(image()), delta(image()), delta(call)];
    for text in [r#"{"input": "*** a"#, r#"\n"}"#, " "] {
        events.push(delta(Delta::Input { index: 0, text: text.into() }));
    }
    events.push(finish(Stop::Calls));
    let stream = written(Expected { custom, ..Expected::default() }, events);
    for part in [
        r#"{"images":[{"type":"image_url","index":0,"image_url":{"url":"data:image/png;base64,AA=="}}]}"#,
        r#"{"images":[{"type":"image_url","index":1,"#,
        r#"{"tool_calls":[{"index":0,"id":"c","type":"custom","custom":{"name":"patch","input":""}}]}"#,
        r#"{"tool_calls":[{"index":0,"custom":{"input":"*** a\n"}}]}"#,
    ] {
        assert!(stream.contains(part), "{part}: {stream}");
    }
    assert_eq!(stream.matches("tool_calls\":[").count(), 2, "{stream}");
}

#[test]
fn a_client_that_has_functions_is_told_one_call() {
    let wishes = Wishes { usage: false, functions: true };
    let mut encoder = Encoder::new(Expected { wishes, ..Expected::default() }, &ASKED);
    let mut out = Vec::new();
    for index in 0..2 {
        let call = Delta::Call { index, id: "c".into(), name: "f".into(), custom: false, signature: None };
        encoder.push(delta(call), &mut out);
        encoder.push(delta(Delta::Input { index, text: "{}".into() }), &mut out);
    }
    encoder.push(finish(Stop::Calls), &mut out);
    insta::assert_snapshot!(choices(&String::from_utf8(out).unwrap()), @r#"
    data: "choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}
    data: "choices":[{"index":0,"delta":{"function_call":{"name":"f","arguments":""}},"finish_reason":null}]}
    data: "choices":[{"index":0,"delta":{"function_call":{"arguments":"{}"}},"finish_reason":null}]}
    data: "choices":[{"index":0,"delta":{},"finish_reason":"function_call"}]}
    "#);
}

/// The grammar of a chat stream: one id, a role once and first in each choice, a call's head before its input, nothing in a
/// choice behind its end, usage and terminator last.
pub(in crate::protocol::openai_chat) fn assert_grammar(stream: &str) {
    let mut splitter = Splitter::default();
    let mut events = Vec::new();
    splitter.push(stream.to_owned().into(), |event| events.push(event)).unwrap();
    assert!(splitter.rest().is_empty());
    let last = events.pop().unwrap();
    assert_eq!(&last[..], b"data: [DONE]\n\n");
    let mut ended: BTreeMap<u64, (bool, Vec<u64>)> = BTreeMap::new();
    let mut usage = false;
    for event in &events {
        assert!(!usage, "usage is last");
        let chunk: Value = serde_json::from_slice(&sse::data(event).unwrap()).unwrap();
        assert_eq!(chunk["id"], "chatcmpl-0123456789abcdef01234567");
        let Some(choice) = chunk["choices"].get(0) else {
            usage = chunk["usage"].is_object();
            assert!(usage);
            continue;
        };
        assert!(chunk["usage"].is_null());
        let index = choice["index"].as_u64().unwrap();
        let first = !ended.contains_key(&index);
        assert_eq!(choice["delta"]["role"] == "assistant", first);
        let (end, calls) = ended.entry(index).or_default();
        assert!(!*end);
        *end = choice["finish_reason"].is_string();
        assert!(!*end || choice["delta"] == serde_json::json!({}));
        if let Some(call) = choice["delta"]["tool_calls"].get(0) {
            let number = call["index"].as_u64().unwrap();
            assert_eq!(call["id"].is_string(), !calls.contains(&number));
            calls.push(number);
        }
    }
    assert!(ended.values().all(|(end, _)| *end));
}

/// What a decoder may give for a choice, without its end.
fn deltas() -> impl Strategy<Value = Vec<Delta<'static>>> {
    let piece = prop_oneof![
        Just(Delta::Text("t".into())),
        Just(Delta::Refusal("r".into())),
        Just(Delta::Reasoning("x".into())),
        Just(Delta::Signature(Signature::new(Maker::Anthropic, "S="))),
        Just(Delta::Redacted(Signature::new(Maker::Google, "S="))),
        (0..3u32).prop_map(|index| Delta::Input { index, text: "{}".into() }),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| {
        let mut begun = Vec::new();
        let mut all = Vec::new();
        for piece in pieces {
            if let Delta::Input { index, .. } = piece
                && !begun.contains(&index)
            {
                begun.push(index);
                let (id, name) = (format!("c{index}").into(), "f".into());
                all.push(Delta::Call { index, id, name, custom: index == 2, signature: None });
            }
            all.push(piece);
        }
        all
    })
}

proptest! {
    #[test]
    fn any_events_are_written_by_the_grammar(
        choices in proptest::collection::vec(deltas(), 1..4),
        order in proptest::collection::vec(0..4usize, 0..40),
        asked in any::<bool>(),
        reported in any::<bool>(),
    ) {
        let mut encoder = Encoder::new(expected(asked), &ASKED);
        let mut out = Vec::new();
        encoder.push(start(), &mut out);
        let count = choices.len();
        let mut waiting: Vec<_> = choices.into_iter().map(Vec::into_iter).collect();
        for at in order.into_iter().map(|at| at % count).chain(0..count) {
            let choice = u32::try_from(at).unwrap();
            if let Some(delta) = waiting[at].next() {
                encoder.push(Event::Delta { choice, delta }, &mut out);
            }
        }
        for choice in 0..u32::try_from(count).unwrap() {
            encoder.push(Event::Finish { choice, stop: Stop::End, stop_sequence: None }, &mut out);
        }
        if reported {
            encoder.push(Event::Usage(Usage::default()), &mut out);
        }
        encoder.finish(&mut out);
        assert_grammar(std::str::from_utf8(&out).unwrap());
    }
}
