//! Answers of other providers as a client of Anthropic's sees them.

use super::*;
use crate::{
    chat::{
        content::{Call, Image, Input, Media, Text},
        usage::Usage,
    },
    protocol::anthropic::tests::{ASKED, golden},
};

fn written(choice: Choice<'_>) -> serde_json::Value {
    let usage =
        Usage { input: Some(100), output: Some(9), cached: Some(60), reasoning: Some(4), ..Usage::default() };
    let response = Response {
        id: "chatcmpl-1".into(),
        choices: vec![choice],
        usage: Some(usage),
        service_tier: Some("default".into()),
        ..Response::default()
    };
    serde_json::from_slice(&write(&response, Expected::default(), &ASKED)).unwrap()
}

fn call(input: &'static str, signature: Option<Signature<'static>>) -> Content<'static> {
    let input = Input::Json(input.into());
    Content::Call(Call { id: "call_1".into(), name: "f".into(), input, signature })
}

#[test]
fn an_answer_of_all_kinds_has_its_blocks_in_order() {
    let google = Signature::new(Maker::Google, "c2ln");
    let content = vec![
        Content::Reasoning(Reasoning { text: "hm".into(), ..Reasoning::default() }),
        Content::text("a"),
        Content::text(""),
        Content::text("b"),
        Content::Text(Text { text: "c".into(), cache: None, signature: Some(google.clone()) }),
        call("{\"x\":1}", Some(google)),
        call("[1", None),
    ];
    let message = written(Choice { content, ..Choice::default() });
    golden("answer-of-all-kinds", &serde_json::to_string_pretty(&message).unwrap());
}

#[test]
fn why_an_answer_ends_is_what_is_there() {
    let reason = |content: Vec<Content<'static>>, stop| {
        let written = written(Choice { content, stop, stop_sequence: Some("x".into()), logprobs: None });
        (written["stop_reason"].as_str().unwrap().to_owned(), written["stop_sequence"].is_string())
    };
    for (content, stop, expected) in [
        (vec![], Stop::End, ("end_turn", false)),
        (vec![], Stop::Sequence, ("stop_sequence", true)),
        (vec![call("{}", None)], Stop::End, ("tool_use", false)),
        (vec![], Stop::Calls, ("end_turn", false)),
        (vec![call("{}", None)], Stop::Length, ("max_tokens", false)),
        (vec![Content::Refusal("no".into())], Stop::End, ("refusal", false)),
        (vec![], Stop::Filter, ("refusal", false)),
        (vec![], Stop::Pause, ("pause_turn", false)),
    ] {
        assert_eq!(reason(content, stop), (expected.0.to_owned(), expected.1), "{stop:?}");
    }
}

#[test]
fn thinking_that_is_not_to_be_shown_keeps_its_signature() {
    let signed = |signature| Content::Reasoning(Reasoning { text: "hm".into(), signature, redacted: false });
    let content = [signed(None), signed(Some(Signature::new(Maker::Anthropic, "EqQ")))];
    let blocks = serde_json::to_string(&blocks(&content, false)).unwrap();
    assert_eq!(blocks, r#"[{"type":"thinking","thinking":"","signature":"EqQ"}]"#);
    assert!(!is_shown(Expected { shown: Some(false), ..Expected::default() }));
}

#[test]
fn what_another_maker_encrypted_travels_marked() {
    let reasoning = |text: &'static str, maker| {
        let signature = Some(Signature::new(maker, "gAA"));
        Content::Reasoning(Reasoning { text: text.into(), signature, redacted: true })
    };
    let content =
        [reasoning("", Maker::Anthropic), reasoning("sum", Maker::OpenAi), reasoning("", Maker::OpenAi)];
    insta::assert_snapshot!(
        serde_json::to_string(&blocks(&content, true)).unwrap(),
        @r#"[{"type":"redacted_thinking","data":"gAA"},{"type":"thinking","thinking":"sum","signature":"nexus:openai:gAA"},{"type":"redacted_thinking","data":"nexus:openai:gAA"}]"#
    );
}

#[test]
fn a_count_is_a_number() {
    assert_eq!(count(14), br#"{"input_tokens":14}"#);
}

#[test]
fn an_image_is_told_in_words_that_hold_it() {
    let media = Media::Data { mime: "image/png".into(), base64: "AA==".into() };
    let image = Content::Image(Image { media, detail: None, cache: None });
    let message = written(Choice { content: vec![image], ..Choice::default() });
    assert_eq!(message["content"][0]["text"], "![image](data:image/png;base64,AA==)");
}
