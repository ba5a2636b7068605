//! Streams of Anthropic's as events.

use proptest::prelude::*;

use super::*;
use crate::{
    chat::{
        fault::FaultKind,
        signature::{Maker, Signature},
        usage::Usage,
    },
    protocol::{anthropic::tests::golden, translate::Decoder as _},
};

fn push(decoder: &mut Decoder, data: &str) -> Vec<String> {
    let mut events = Vec::new();
    let frame = Frame { name: None, data: data.as_bytes() };
    decoder.push(frame, &mut |event| events.push(short(&event))).unwrap();
    events
}

/// An event in a few letters.
fn short(event: &Event<'_>) -> String {
    match event {
        Event::Start { id, .. } => format!("start {id}"),
        Event::Delta { delta: Delta::Text(text), .. } => format!("text {text}"),
        Event::Delta { delta: Delta::Reasoning(text), .. } => format!("thinks {text}"),
        Event::Delta { delta: Delta::Signature(Signature { maker: Maker::Anthropic, value }), .. } => {
            format!("signs {value}")
        }
        Event::Delta { delta: Delta::Redacted(signature), .. } => format!("redacted {}", signature.value),
        Event::Delta { delta: Delta::Refusal(text), .. } => format!("refuses {text}"),
        Event::Delta { delta: Delta::Call { index, id, name, .. }, .. } => {
            format!("call {index} {id} {name}")
        }
        Event::Delta { delta: Delta::Input { index, text }, .. } => format!("input {index} {text}"),
        Event::Finish { stop, .. } => format!("finish {stop:?}"),
        Event::Usage(Usage { input, output, .. }) => format!("usage {input:?} {output:?}"),
        Event::Error(fault) => format!("error {:?} {}", fault.kind, fault.message),
        other => format!("{other:?}"),
    }
}

fn events(data: &[&str]) -> (Vec<String>, bool) {
    let mut decoder = Decoder::new("u");
    let mut events: Vec<String> = data.iter().flat_map(|data| push(&mut decoder, data)).collect();
    let complete = decoder.finish(&mut |event| events.push(short(&event)));
    (events, complete)
}

const START: &str = r#"{"type":"message_start","message":{"id":"msg_1","model":"claude","usage":{"input_tokens":11,"cache_read_input_tokens":9,"output_tokens":4}}   }"#;
const END: &str = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":40}}"#;
const STOP: &str = r#"{"type":"message_stop"}"#;

#[test]
fn an_answer_is_told_in_order_and_usage_from_both_ends() {
    let (events, complete) = events(&[
        START,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
        r#"{"type":"ping"}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EqQ"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"Evg"}}"#,
        r#"{"type":"content_block_start","index":2,"content_block":{"type":"server_tool_use","id":"s","name":"web_search","input":{}}}"#,
        r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{}"}}"#,
        r#"{"type":"content_block_start","index":3,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":3,"delta":{"type":"text_delta","text":"a"}}"#,
        r#"{"type":"content_block_delta","index":3,"delta":{"type":"citations_delta","citation":{}}}"#,
        r#"{"type":"new_event","message":"x","delta":5}"#,
        END,
        STOP,
    ]);
    assert!(complete);
    golden("events-of-a-stream", &events.join("\n"));
}

#[test]
fn a_call_has_its_input_from_wherever_it_is() {
    let started = |input: &str| {
        format!(
            r#"{{"type":"content_block_start","index":1,"content_block":{{"type":"tool_use","id":"toolu_1","name":"f","input":{input}}}}}"#
        )
    };
    let piece = |text: &str| {
        format!(
            r#"{{"type":"content_block_delta","index":1,"delta":{{"type":"input_json_delta","partial_json":{text}}}}}"#
        )
    };
    let stop = r#"{"type":"content_block_stop","index":1}"#;
    let inputs = |data: &[&str]| {
        let (events, _) = events(&[&[START], data, &[END]].concat());
        events.into_iter().filter(|event| event.starts_with("input")).collect::<Vec<_>>().join("|")
    };
    assert_eq!(inputs(&[&started("{}"), &piece("\"\""), stop]), "input 0 {}");
    assert_eq!(inputs(&[&started("{\"a\": 1}"), stop]), "input 0 {\"a\":1}");
    assert_eq!(
        inputs(&[&started("{}"), &piece("\"\""), &piece("\"{\\\"a\\\"\""), &piece("\":1}\""), stop]),
        "input 0 {\"a\"|input 0 :1}"
    );
    assert_eq!(inputs(&[&started("{}")]), "input 0 {}", "never stopped");
}

#[test]
fn it_is_over_with_its_last_event_and_not_before() {
    let mut decoder = Decoder::new("u");
    for (data, over) in [(STOP, false), (START, false), (END, false), (STOP, true)] {
        push(&mut decoder, data);
        assert_eq!(decoder.is_over(), over, "{data}");
    }
}

#[test]
fn how_it_ends_is_told_once() {
    let finished = |data: &[&str]| {
        let (events, complete) = events(data);
        (events.into_iter().filter(|event| event.starts_with("finish")).collect::<Vec<_>>(), complete)
    };
    let end = || vec!["finish End".to_owned()];
    assert_eq!(finished(&[START, END, END, STOP, "[DONE]"]), (end(), true));
    assert_eq!(finished(&[START, END]), (end(), true));
    assert_eq!(finished(&[START, STOP]), (end(), true));
    assert_eq!(finished(&[START]), (vec![], false));
    let call =
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"f"}}"#;
    assert_eq!(finished(&[START, call, END]), (vec!["finish Calls".to_owned()], true));
    let refusal =
        r#"{"type":"message_delta","delta":{"stop_reason":"refusal","stop_details":{"explanation":"why"}}}"#;
    assert_eq!(events(&[START, refusal]).0[2..], ["refuses why", "finish Filter"]);
}

#[test]
fn an_error_event_is_told_by_its_meaning() {
    let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#;
    assert_eq!(events(&[error]).0, [format!("error {:?} busy", FaultKind::Overloaded)]);
    let mut decoder = Decoder::new("u");
    assert!(decoder.push(Frame { name: None, data: b"<html>" }, &mut |_| ()).is_err());
}

#[test]
fn open_calls_are_bounded() {
    let mut decoder = Decoder::new("u");
    let begin = |index: usize| {
        format!(
            r#"{{"type":"content_block_start","index":{index},"content_block":{{"type":"tool_use","name":"f"}}}}"#
        )
    };
    let results = (0..=MOST_OPEN)
        .map(|index| decoder.push(Frame { name: None, data: begin(index).as_bytes() }, &mut |_| ()).is_ok());
    assert_eq!(results.filter(|ok| !ok).count(), 1);
}

proptest! {
    #[test]
    fn no_event_makes_it_panic(
        kind in prop::sample::select(&["message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "error"][..]),
        value in "[\\[\\]{}\":,a0 \\\\]{0,20}",
    ) {
        let mut decoder = Decoder::new("u");
        for data in [value.clone(), format!(r#"{{"type":"{kind}","index":{value},"message":{value},"content_block":{value},"delta":{value},"usage":{value}}}"#)] {
            let _ = decoder.push(Frame { name: Some(kind), data: data.as_bytes() }, &mut |_| ());
        }
        decoder.finish(&mut |_| ());
    }
}
