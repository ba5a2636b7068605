//! Tests.

use super::*;
use crate::{
    chat::{
        content::{Image, Text},
        usage::Usage,
    },
    protocol::gemini::tests::ASKED,
};

fn written(content: Vec<Said<'_>>, stop: Stop, shown: bool) -> String {
    let expected = Expected { shown: Some(shown), ..Expected::default() };
    let choice = Choice { content, stop, ..Choice::default() };
    let usage =
        Usage { input: Some(9), output: Some(7), reasoning: Some(4), cached: Some(0), cache_write: None };
    let response = Response { choices: vec![choice], usage: Some(usage), ..Response::default() };
    String::from_utf8(write(&response, expected, &ASKED)).unwrap()
}

#[test]
fn an_answer_is_written_as_google_does() {
    let call = Call {
        id: "call_1".into(),
        name: "f".into(),
        input: Input::Json("".into()),
        signature: Some(Signature::new(Maker::Google, "Es8F")),
    };
    insta::assert_snapshot!(
        written(vec![Said::text("a"), Said::Call(call)], Stop::Calls, false),
        @r#"{"candidates":[{"content":{"parts":[{"text":"a"},{"functionCall":{"id":"call_1","name":"f","args":{}},"thoughtSignature":"Es8F"}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":3,"totalTokenCount":16,"thoughtsTokenCount":4},"modelVersion":"google/m","responseId":"0123456789abcdef01234567"}"#
    );
}

#[test]
fn a_call_that_was_ended_by_length_within_its_arguments_is_left_out() {
    let calls = || {
        ["{\"a\":1}", "{\"a\":"].map(|json| {
            let (id, name, input) = ("c".into(), "f".into(), Input::Json(json.into()));
            Said::Call(Call { id, name, input, signature: None })
        })
    };
    let of =
        |stop| -> serde_json::Value { serde_json::from_str(&written(calls().into(), stop, false)).unwrap() };
    let (cut, kept) = (of(Stop::Length), of(Stop::Calls));
    assert_eq!(cut["candidates"][0]["finishReason"], "MAX_TOKENS");
    let parts =
        |answer: &serde_json::Value| answer["candidates"][0]["content"]["parts"].as_array().unwrap().len();
    assert_eq!((parts(&cut), parts(&kept)), (1, 2));
}

#[test]
fn thinking_is_shown_to_those_who_asked_and_its_signature_to_all() {
    let thinking = || {
        let reasoning = |text: &'static str, signature, redacted| {
            Said::Reasoning(Reasoning { text: text.into(), signature, redacted })
        };
        let signature = |maker| Some(Signature::new(maker, "EqQB"));
        vec![
            reasoning("hm", None, false),
            reasoning("so", signature(Maker::Anthropic), false),
            reasoning("", signature(Maker::OpenAi), true),
            Said::Text(Text { text: "".into(), cache: None, signature: signature(Maker::Google) }),
        ]
    };
    let parts = |shown| {
        let answer: serde_json::Value = serde_json::from_str(&written(thinking(), Stop::End, shown)).unwrap();
        answer["candidates"][0]["content"]["parts"].to_string()
    };
    insta::assert_snapshot!(parts(true), @r#"[{"text":"hm","thought":true},{"text":"so","thought":true,"thoughtSignature":"bmV4dXM6YW50aHJvcGljOkVxUUI="},{"text":"","thought":true,"thoughtSignature":"bmV4dXM6b3BlbmFpOnJlZGFjdGVkOkVxUUI="},{"text":"","thoughtSignature":"EqQB"}]"#);
    insta::assert_snapshot!(parts(false), @r#"[{"text":"","thought":true,"thoughtSignature":"bmV4dXM6YW50aHJvcGljOkVxUUI="},{"text":"","thought":true,"thoughtSignature":"bmV4dXM6b3BlbmFpOnJlZGFjdGVkOkVxUUI="},{"text":"","thoughtSignature":"EqQB"}]"#);
}

#[test]
fn a_refusal_is_text_that_ends_for_safety() {
    let refused = written(vec![Said::Refusal("no".into())], Stop::End, false);
    assert!(
        refused.contains(r#""parts":[{"text":"no"}],"role":"model"},"finishReason":"SAFETY""#),
        "{refused}"
    );
    let blocked = written(Vec::new(), Stop::Filter, false);
    assert!(blocked.contains(r#""content":{"role":"model"},"finishReason":"SAFETY""#), "{blocked}");
    assert!(written(Vec::new(), Stop::Length, false).contains("MAX_TOKENS"));
    assert_eq!(count(7), br#"{"totalTokens":7}"#);
}

#[test]
fn an_image_is_a_part() {
    let media = Media::Data { mime: "image/png".into(), base64: "AA==".into() };
    let image = Said::Image(Image { media, detail: None, cache: None });
    let out = written(vec![Said::text("a"), image], Stop::End, false);
    assert!(out.contains(r#"{"text":"a"},{"inlineData":{"mimeType":"image/png","data":"AA=="}}]"#), "{out}");
}
