//! Answers of Anthropic's in the neutral form.

use proptest::prelude::*;

use super::*;
use crate::chat::{response::Stop, usage::Usage};

fn choice(fields: &str) -> Choice<'static> {
    let body = format!(r#"{{"type":"message",{fields}}}"#).leak();
    read(body.as_bytes(), "u").unwrap().choices.swap_remove(0)
}

#[test]
fn every_block_that_says_something_is_read_and_the_rest_left_out() {
    let read = choice(
        r#""stop_reason":"tool_use","content":[
        {"type":"thinking","thinking":"","signature":"EqQ"},{"type":"redacted_thinking","data":"Evg"},
        {"type":"text","text":"a","citations":null},{"type":"text","text":""},
        {"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{}},
        {"type":"web_search_tool_result","tool_use_id":"srvtoolu_1","content":[],"text":5},
        {"type":"text","text":"b"},{"type":"tool_use","id":"toolu_1","name":"f","input":{ "x" : 1.0 },"caller":{"type":"direct"}},
        {"type":"tool_use","name":"g"}, 5]"#,
    );
    let signed = |value: &'static str, redacted| {
        let signature = Some(Signature::new(Maker::Anthropic, value));
        Content::Reasoning(Reasoning { text: "".into(), signature, redacted })
    };
    let call = |id: &'static str, name: &'static str, input: &'static str| {
        Content::Call(Call {
            id: id.into(),
            name: name.into(),
            input: Input::Json(input.into()),
            signature: None,
        })
    };
    let expected = [
        signed("EqQ", false),
        signed("Evg", true),
        Content::text("a"),
        Content::text("b"),
        call("toolu_1", "f", r#"{"x":1.0}"#),
        call("toolu_u_1", "g", "{}"),
    ];
    assert_eq!((read.content, read.stop), (expected.to_vec(), Stop::Calls));
}

#[test]
fn reasons_have_their_meaning() {
    for (reason, stop) in [
        ("\"end_turn\"", Stop::End),
        ("\"max_tokens\"", Stop::Length),
        ("\"model_context_window_exceeded\"", Stop::Length),
        ("\"stop_sequence\"", Stop::Sequence),
        ("\"tool_use\"", Stop::End),
        ("\"pause_turn\"", Stop::Pause),
        ("\"refusal\"", Stop::Filter),
        ("\"compaction\"", Stop::End),
        ("null", Stop::End),
    ] {
        assert_eq!(choice(&format!(r#""content":[],"stop_reason":{reason}"#)).stop, stop, "{reason}");
    }
    let refused = choice(
        r#""content":[],"stop_reason":"refusal","stop_details":{"type":"refusal","explanation":"why"}"#,
    );
    assert_eq!(refused.content, [Content::Refusal("why".into())]);
}

#[test]
fn usage_is_told_in_the_arithmetic_of_all() {
    let body = br#"{"id":"msg_1","model":"claude","content":[],"usage":{"input_tokens":11,"cache_read_input_tokens":2055,"cache_creation_input_tokens":4,"output_tokens":3,"service_tier":"standard"}}"#;
    let read = read(body, "u").unwrap();
    let usage = Usage {
        input: Some(2070),
        output: Some(3),
        cached: Some(2055),
        cache_write: Some(4),
        reasoning: None,
    };
    assert_eq!(
        (read.usage, read.service_tier.as_deref(), read.id.as_ref()),
        (Some(usage), Some("default"), "msg_1")
    );
}

#[test]
fn what_is_no_message_is_unreadable() {
    assert_eq!(read(br#"{"type":"error","error":{"message":"busy"}}"#, "u").unwrap_err().0, "busy");
    for body in [&b""[..], b"[]", b"{}", b"<html>", br#"{"content":null}"#] {
        assert!(read(body, "u").is_err(), "{}", String::from_utf8_lossy(body));
    }
    assert_eq!(read(b"[1]", "u").unwrap_err().0, "it is no Messages answer");
    assert_eq!(read_count(br#"{"input_tokens":14,"x":1}"#), Ok(14));
    assert!(read_count(b"{}").is_err());
}

proptest! {
    #[test]
    fn no_json_makes_it_panic(value in "[\\[\\]{}\":,a0 \\\\]{0,40}") {
        let _ = read(value.as_bytes(), "u");
        let _ = read(format!(r#"{{"content":[{{"type":"text","text":{value}}}],"usage":{value}}}"#).as_bytes(), "u");
    }
}
