//! Streams of Converse's as events.

use proptest::prelude::*;

use super::*;
use crate::protocol::{bedrock::tests::short, event_stream, translate::Decoder as _};

fn push(decoder: &mut Decoder, name: &str, data: &str) -> Vec<String> {
    let mut events = Vec::new();
    let frame = Frame { name: Some(name), data: data.as_bytes() };
    decoder.push(frame, &mut |event| events.push(short(&event))).unwrap();
    events
}

fn events(messages: &[(&str, &str)]) -> (Vec<String>, bool) {
    let mut decoder = Decoder::new("u");
    let mut events: Vec<String> =
        messages.iter().flat_map(|(name, data)| push(&mut decoder, name, data)).collect();
    let complete = decoder.finish(&mut |event| events.push(short(&event)));
    (events, complete)
}

const START: (&str, &str) = ("messageStart", r#"{"p":"abc","role":"assistant"}"#);
const STOP: (&str, &str) = ("messageStop", r#"{"p":"a","stopReason":"end_turn"}"#);
const USAGE: (&str, &str) =
    ("metadata", r#"{"metrics":{"latencyMs":1},"usage":{"inputTokens":3,"outputTokens":4,"totalTokens":7}}"#);

fn delta(data: &'static str) -> (&'static str, &'static str) {
    ("contentBlockDelta", data)
}

#[test]
fn it_is_over_with_the_cost_behind_the_end_and_not_before() {
    let mut decoder = Decoder::new("u");
    for ((name, data), over) in [(START, false), (USAGE, false), (STOP, false), (USAGE, true)] {
        push(&mut decoder, name, data);
        assert_eq!(decoder.is_over(), over, "{name}");
    }
}

#[test]
fn text_and_reasoning_begin_with_their_first_piece() {
    let (events, complete) = events(&[
        START,
        delta(r#"{"contentBlockIndex":0,"delta":{"text":""}}"#),
        delta(r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"hm"}}}"#),
        delta(r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"EqQ="}}}"#),
        ("contentBlockStop", r#"{"contentBlockIndex":0}"#),
        // Base64 of `Evg`, which is Anthropic's; and of bytes that are no text.
        delta(r#"{"contentBlockIndex":1,"delta":{"reasoningContent":{"redactedContent":"RXZn"}}}"#),
        delta(r#"{"contentBlockIndex":2,"delta":{"reasoningContent":{"redactedContent":"AAH/"}}}"#),
        delta(r#"{"contentBlockIndex":3,"delta":{"text":"a"},"p":"abcdefg"}"#),
        delta(r#"{"contentBlockIndex":3,"delta":{"citation":{"title":"t"}}}"#),
        delta(r#"{"contentBlockIndex":3,"delta":5}"#),
        ("somethingNew", "[]"),
        ("contentBlockStop", r#"{"contentBlockIndex":3}"#),
        STOP,
        USAGE,
    ]);
    let expected = [
        "start ",
        "thinks \"hm\"",
        "signs Anthropic EqQ=",
        "redacted Anthropic Evg",
        "redacted Bedrock AAH/",
        "text \"a\"",
        "finish End None",
        "usage Some(3) Some(4)",
    ];
    assert_eq!(events, expected);
    assert!(complete);
}

#[test]
fn calls_are_told_apart_by_their_blocks() {
    let start = |index: &str, id: &str| {
        format!(
            r#"{{"contentBlockIndex":{index},"start":{{"toolUse":{{"name":"f","toolUseId":"{id}","type":"tool_use"}}}}}}"#
        )
    };
    let (one, two, none) = (start("1", "tooluse_1"), start("2", "functions.f:1"), start("3", ""));
    let (events, _) = events(&[
        START,
        ("contentBlockStart", &one),
        ("contentBlockStart", &two),
        delta(r#"{"contentBlockIndex":2,"delta":{"toolUse":{"input":"{\"b\":"}}}"#),
        delta(r#"{"contentBlockIndex":1,"delta":{"toolUse":{"input":""}}}"#),
        delta(r#"{"contentBlockIndex":2,"delta":{"toolUse":{"input":"2}"}}}"#),
        ("contentBlockStop", r#"{"contentBlockIndex":2}"#),
        ("contentBlockStop", r#"{"contentBlockIndex":1}"#),
        ("contentBlockStart", &none),
        delta(r#"{"contentBlockIndex":9,"delta":{"toolUse":{"input":"nobody's"}}}"#),
        STOP,
    ]);
    let expected = [
        "start ",
        "call 0 tooluse_1 f",
        "call 1 functions.f:1 f",
        "input 1 {\"b\":",
        "input 1 2}",
        "input 0 {}",
        "call 2 tooluse_u_2 f",
        "input 2 {}",
        "finish Calls None",
    ];
    assert_eq!(events, expected);
}

#[test]
fn tools_of_the_provider_are_left_out() {
    let (events, _) = events(&[
        START,
        (
            "contentBlockStart",
            r#"{"contentBlockIndex":0,"start":{"toolUse":{"name":"nova_grounding","toolUseId":"t","type":"server_tool_use"}}}"#,
        ),
        delta(r#"{"contentBlockIndex":0,"delta":{"toolUse":{"input":"{}"}}}"#),
        ("contentBlockStart", r#"{"contentBlockIndex":1,"start":{"toolResult":{"toolUseId":"t"}}}"#),
        delta(r#"{"contentBlockIndex":1,"delta":{"toolResult":[{"text":"[HIDDEN]"}]}}"#),
        delta(r#"{"contentBlockIndex":2,"delta":{"text":"4.0.6"}}"#),
        ("messageStop", r#"{"stopReason":"tool_use"}"#),
    ]);
    assert_eq!(events, ["start ", "text \"4.0.6\"", "finish End None"]);
}

#[test]
fn how_it_ends_is_told_once() {
    let finish = |reason: &str| {
        let stop = format!(
            r#"{{"stopReason":"{reason}","additionalModelResponseFields":{{"delta":{{"stop_sequence":"END"}}}}}}"#
        );
        events(&[START, ("messageStop", &stop), STOP, delta(r#"{"delta":{"text":"late"}}"#)]).0[1..].join("|")
    };
    assert_eq!(finish("stop_sequence"), r#"finish Sequence Some("END")"#);
    assert!(finish("max_tokens").starts_with("finish Length"));
    assert!(finish("guardrail_intervened").starts_with("finish Filter"));
    assert_eq!(events(&[START]), (vec!["start ".to_owned()], false));
}

#[test]
fn an_exception_is_the_last_word() {
    for (name, meaning) in [
        ("throttlingException", "RateLimit"),
        ("modelStreamErrorException", "Internal"),
        ("validationException", "Invalid"),
        ("internalServerException", "Internal"),
        ("serviceUnavailableException", "Overloaded"),
        ("somethingNewException", "Other"),
    ] {
        let body = r#"{"message":"why"}"#;
        let (events, complete) = events(&[START, (name, body), (name, body), STOP, USAGE]);
        assert_eq!(events, ["start ", &format!("error {meaning} why")]);
        assert!(!complete);
    }
}

#[test]
fn an_exception_comes_through_the_framing() {
    let headers = [(":exception-type", "throttlingException"), (":message-type", "exception")];
    let bytes = event_stream::tests::written(&headers, br#"{"message":"slow down"}"#);
    let (mut decoder, mut told) = (Decoder::new("u"), Vec::new());
    let mut splitter = event_stream::Splitter::default();
    let pushed = splitter.push(&bytes, |message| {
        decoder.push(message.frame(), &mut |event| told.push(short(&event))).unwrap();
    });
    assert_eq!((pushed, told), (Ok(()), vec!["error RateLimit slow down".to_owned()]));
}

#[test]
fn open_calls_have_a_bound() {
    let mut decoder = Decoder::new("u");
    let start = br#"{"contentBlockIndex":0,"start":{"toolUse":{"name":"f","toolUseId":"t"}}}"#;
    let frame = Frame { name: Some("contentBlockStart"), data: start };
    for _ in 0..MOST_OPEN {
        decoder.push(frame, &mut |_| ()).unwrap();
    }
    assert!(decoder.push(frame, &mut |_| ()).is_err());
}

fn names() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "messageStart",
        "contentBlockStart",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
        "xException",
        "",
    ])
}

fn payloads() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        r#"{"contentBlockIndex":0,"delta":{"text":"a"}}"#,
        r#"{"contentBlockIndex":1,"start":{"toolUse":{"name":"f","toolUseId":"t"}}}"#,
        r#"{"contentBlockIndex":1,"delta":{"toolUse":{"input":"{}"}}}"#,
        r#"{"contentBlockIndex":1}"#,
        r#"{"stopReason":null,"delta":[],"start":"x"}"#,
        r#"{"stopReason":"tool_use","usage":3}"#,
    ]);
    prop_oneof![4 => piece.prop_map(str::to_owned), 1 => ".{0,20}"]
}

proptest! {
    /// The grammar of `chat::response`, for whatever comes in whatever order.
    #[test]
    fn events_are_in_order_whatever_comes(messages in prop::collection::vec((names(), payloads()), 0..30)) {
        let (mut decoder, mut told) = (Decoder::new("u"), Vec::new());
        let mut broken = false;
        for (name, data) in &messages {
            let frame = Frame { name: Some(name), data: data.as_bytes() };
            broken = decoder.push(frame, &mut |event| told.push(short(&event))).is_err();
            if broken {
                break;
            }
        }
        if !broken {
            decoder.finish(&mut |event| told.push(short(&event)));
        }
        let is = |event: &String, word: &str| event.starts_with(word);
        let first_finish = told.iter().position(|event| is(event, "finish"));
        prop_assert!(told.iter().filter(|event| is(event, "start") || is(event, "finish")).count() <= 2);
        prop_assert!(told.iter().skip(1).all(|event| !is(event, "start")));
        if let Some(at) = first_finish {
            prop_assert!(told[at + 1..].iter().all(|event| is(event, "usage") || is(event, "error")));
        }
        if let Some(at) = told.iter().position(|event| is(event, "error")) {
            prop_assert_eq!(at, told.len() - 1);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(name in names(), data in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = Decoder::new("u").push(Frame { name: Some(name), data: &data }, &mut |_| ());
    }
}
