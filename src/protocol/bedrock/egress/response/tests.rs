//! Whole answers of Converse's.

use proptest::prelude::*;

use super::*;
use crate::chat::{
    response::Stop,
    signature::{Maker, Signature},
};

#[track_caller]
fn answer(content: &str, rest: &str) -> Choice<'static> {
    let body = format!(r#"{{"output":{{"message":{{"role":"assistant","content":[{content}]}}}}{rest}}}"#);
    let mut response = read(Box::leak(body.into_boxed_str()).as_bytes(), "u").unwrap();
    response.choices.remove(0)
}

#[test]
fn every_kind_of_block_is_read_in_its_order() {
    let choice = answer(
        r#"{"reasoningContent":{"reasoningText":{"text":"hm","signature":"EqQ="}}},
        {"reasoningContent":{"reasoningText":{"text":"unsigned"}}},
        {"reasoningContent":{"redactedContent":"RXZn"}},
        {"text":""},{"text":"a"},
        {"citationsContent":{"content":[{"text":"b"},{"text":"c"}],"citations":[]}},{"citationsContent":{}},
        {"toolUse":{"toolUseId":"functions.f:0","name":"f","input":{ "x": 1.0 }}},
        {"toolUse":{"toolUseId":"s","name":"nova_grounding","input":{},"type":"server_tool_use"}},
        {"toolUse":{"name":"g","input":""}},
        {"somethingNew":{}}"#,
        r#","stopReason":"tool_use""#,
    );
    let reasoning = |text: &'static str, value: Option<&'static str>, redacted| {
        let signature = value.map(|value| Signature::new(Maker::Anthropic, value));
        Content::Reasoning(Reasoning { text: text.into(), signature, redacted })
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
        reasoning("hm", Some("EqQ="), false),
        reasoning("unsigned", None, false),
        reasoning("", Some("Evg"), true),
        Content::text("a"),
        Content::text("bc"),
        call("functions.f:0", "f", r#"{"x":1.0}"#),
        call("tooluse_u_1", "g", "{}"),
    ];
    assert_eq!(choice.content, expected);
    assert_eq!(choice.stop, Stop::Calls);
}

#[test]
fn the_reason_of_the_end_goes_by_what_is_there() {
    let call = r#"{"toolUse":{"toolUseId":"t","name":"f","input":{}}}"#;
    let stop = |content, reason: &str| answer(content, &format!(r#","stopReason":"{reason}""#)).stop;
    assert_eq!(stop(call, "end_turn"), Stop::Calls);
    assert_eq!(stop("", "tool_use"), Stop::End);
    assert_eq!(stop("", "guardrail_intervened"), Stop::Filter);
    assert_eq!(stop("", "model_context_window_exceeded"), Stop::Length);
    let ended = answer(
        "",
        r#","stopReason":"stop_sequence","additionalModelResponseFields":{"stop_sequence":"END"}"#,
    );
    assert_eq!((ended.stop, ended.stop_sequence.as_deref()), (Stop::Sequence, Some("END")));
}

#[test]
fn what_is_no_answer_is_said() {
    let why = |body: &str| read(body.as_bytes(), "u").unwrap_err().0;
    assert_eq!(why(r#"{"message":"no such thing"}"#), "no such thing");
    assert_eq!(why(r#"{"output":{"message":{}}}"#), "the answer has no `output.message.content`");
    assert_eq!(why("{}"), "the answer has no `output`");
    assert_eq!(why("\"hello\""), "it is no Converse answer");
    assert!(why("<html>").starts_with("it is no JSON: expected value"));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..60), text in ".{0,60}") {
        let _ = read(&body, "u");
        let _ = read(format!(r#"{{"output":{{"message":{{"content":[{text}]}}}}}}"#).as_bytes(), "u");
    }
}
