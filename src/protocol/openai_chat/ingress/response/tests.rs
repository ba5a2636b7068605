//! Answers as clients get them.

use super::*;
use crate::chat::{
    content::{Image, Media, Text},
    request::Wishes,
    signature::Signature,
    usage::Usage,
};

const ASKED: Asked<'static> =
    Asked { model: "p/m", unique: "0123456789abcdef01234567", now: 17, body: b"{}" };

fn written(choice: Choice<'_>, expected: Expected, asked: &Asked<'_>) -> String {
    let usage =
        Usage { input: Some(9), output: Some(4), cached: Some(3), cache_write: None, reasoning: Some(2) };
    let response =
        Response { id: "msg_1".into(), choices: vec![choice], usage: Some(usage), ..Response::default() };
    String::from_utf8(write(&response, expected, asked)).unwrap()
}

fn call(name: &'static str) -> Content<'static> {
    let input = Input::Json("{}".into());
    Content::Call(Call { id: format!("id_{name}").into(), name: name.into(), input, signature: None })
}

#[test]
fn text_in_several_blocks_is_one_text() {
    let choice = Choice { content: vec![Content::text("a"), Content::text("b")], ..Choice::default() };
    insta::assert_snapshot!(written(choice, Expected::default(), &ASKED), @r#"{"id":"chatcmpl-0123456789abcdef01234567","object":"chat.completion","created":17,"model":"p/m","choices":[{"index":0,"message":{"role":"assistant","content":"ab","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13,"prompt_tokens_details":{"cached_tokens":3},"completion_tokens_details":{"reasoning_tokens":2}}}"#);
}

#[test]
fn calls_reasoning_and_signatures_stand_in_their_fields() {
    let signed = |maker, value: &'static str| Some(Signature::new(maker, value));
    let input = Input::Text("x".into());
    let content = vec![
        Content::Reasoning(Reasoning {
            text: "t".into(),
            signature: signed(Maker::Anthropic, "E="),
            redacted: false,
        }),
        Content::Reasoning(Reasoning {
            text: "".into(),
            signature: signed(Maker::Anthropic, "R="),
            redacted: true,
        }),
        call("f"),
        Content::Call(Call {
            id: "c2".into(),
            name: "g".into(),
            input,
            signature: signed(Maker::Google, "S="),
        }),
    ];
    let text = written(Choice { content, ..Choice::default() }, Expected::default(), &ASKED);
    let (_, choice) = text.split_once("\"choices\":").unwrap();
    let (choice, _) = choice.split_once(",\"usage\"").unwrap();
    insta::assert_snapshot!(choice, @r#"[{"index":0,"message":{"role":"assistant","content":null,"refusal":null,"reasoning_content":"t","reasoning_details":[{"type":"reasoning.text","index":0,"text":"t","signature":"nexus:anthropic:E="},{"type":"reasoning.encrypted","index":1,"data":"nexus:anthropic:R="}],"tool_calls":[{"id":"id_f","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"c2","type":"custom","custom":{"name":"g","input":"x"},"extra_content":{"google":{"thought_signature":"S="}}}]},"logprobs":null,"finish_reason":"tool_calls"}]"#);
}

#[test]
fn a_client_that_has_functions_gets_a_function_call() {
    let wishes = Wishes { usage: false, functions: true };
    let expected = Expected { wishes, ..Expected::default() };
    let text = written(Choice { content: vec![call("f"), call("g")], ..Choice::default() }, expected, &ASKED);
    assert!(
        text.contains(r#""content":null,"refusal":null,"function_call":{"name":"f","arguments":"{}"}}"#),
        "{text}"
    );
    assert!(text.contains(r#""finish_reason":"function_call""#) && !text.contains("tool_calls"), "{text}");
}

#[test]
fn a_refusal_ends_as_any_answer_and_a_filter_does_not() {
    let refusal =
        Choice { content: vec![Content::Refusal("no".into())], stop: Stop::Filter, ..Choice::default() };
    let text = written(refusal, Expected::default(), &ASKED);
    assert!(
        text.contains(r#""content":null,"refusal":"no""#) && text.contains(r#""finish_reason":"stop""#),
        "{text}"
    );
    let filtered = Choice { stop: Stop::Filter, ..Choice::default() };
    let text = written(filtered, Expected::default(), &ASKED);
    assert!(text.contains(r#""content":"","refusal":null"#), "{text}");
    assert!(text.contains(r#""finish_reason":"content_filter""#), "{text}");
    let signed = Text { signature: Some(Signature::new(Maker::Google, "S=")), ..Text::new("a") };
    let text = written(
        Choice { content: vec![Content::Text(signed)], ..Choice::default() },
        Expected::default(),
        &ASKED,
    );
    assert!(text.contains(r#""extra_content":{"google":{"thought_signature":"S="}}"#), "{text}");
}

#[test]
fn free_text_in_an_object_and_images_are_told_as_the_client_knows_them() {
    let media = Media::Data { mime: "image/png".into(), base64: "AA==".into() };
    let image = Content::Image(Image { media, detail: None, cache: None });
    let input = Input::Json(r#"{"input": "*** a\n"}"#.into());
    let patch = Content::Call(Call { id: "c".into(), name: "patch".into(), input, signature: None });
    let choice = Choice { content: vec![image, patch, call("f")], ..Choice::default() };
    let expected = Expected { custom: Box::new([Box::from("patch")]), ..Expected::default() };
    let text = written(choice, expected, &ASKED);
    for part in [
        r#"{"id":"c","type":"custom","custom":{"name":"patch","input":"*** a\n"}}"#,
        r#"{"id":"id_f","type":"function","function":{"name":"f","arguments":"{}"}}"#,
        r#""images":[{"type":"image_url","index":0,"image_url":{"url":"data:image/png;base64,AA=="}}]"#,
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
