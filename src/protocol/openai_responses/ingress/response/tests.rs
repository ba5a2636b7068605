//! Whole answers, as clients see them.

use serde_json::{Value, json};

use super::*;
use crate::{
    chat::{
        content::{Image, Text},
        json::Json,
        response::Stop,
        usage::Usage,
    },
    protocol::openai_responses::{ingress::request, tests::ASKED},
};

const TOOLS: &str = r#"{"input":"x","temperature":0.50,"tools":[{"type":"custom","name":"patch"},
    {"type":"namespace","name":"mcp__git","description":"","tools":[{"type":"function","name":"log"}]}]}"#;

fn answer(content: Vec<Content<'static>>, stop: Stop) -> Value {
    let choice = Choice { content, stop, ..Choice::default() };
    let response = Response { choices: vec![choice], ..Response::default() };
    let asked = Asked { body: TOOLS.as_bytes(), ..ASKED };
    serde_json::from_slice(&write(&response, &asked)).unwrap()
}

fn call(name: &'static str, input: Input<'static>) -> Content<'static> {
    Content::Call(Call { id: "c1".into(), name: name.into(), input, signature: None })
}

fn reasoning(text: &'static str, maker: Maker, redacted: bool) -> Content<'static> {
    let signature = Some(Signature::new(maker, "EqQ"));
    Content::Reasoning(Reasoning { text: text.into(), signature, redacted })
}

#[test]
fn an_answer_is_whole() {
    let choice = Choice {
        content: vec![
            reasoning("hm", Maker::OpenAi, true),
            Content::text("Hel"),
            Content::text("lo"),
            call("mcp__git__log", Input::Json("{}".into())),
        ],
        logprobs: Json::parse(
            r#"{"content":[{"token":"Hello","logprob":-0.10,"bytes":null,"top_logprobs":[]}]}"#.to_owned(),
        ),
        ..Choice::default()
    };
    let usage =
        Usage { input: Some(9), output: Some(5), cached: Some(4), cache_write: None, reasoning: Some(2) };
    let response = Response {
        created: Some(1_700_000_001),
        choices: vec![choice],
        usage: Some(usage),
        service_tier: Some("default".into()),
        ..Response::default()
    };
    let asked = Asked { body: TOOLS.as_bytes(), ..ASKED };
    insta::assert_snapshot!(String::from_utf8(write(&response, &asked)).unwrap());
}

#[test]
fn free_text_comes_out_of_the_function_that_stood_for_its_tool() {
    for (input, said) in [
        (Input::Json(r#"{"input":"*** Begin\n"}"#.into()), "*** Begin\n"),
        (Input::Json("*** Begin".into()), "*** Begin"),
        (Input::Text("free".into()), "free"),
    ] {
        let output = &answer(vec![call("patch", input)], Stop::End)["output"][0];
        assert_eq!((&output["type"], &output["input"]), (&json!("custom_tool_call"), &json!(said)));
    }
}

#[test]
fn reasoning_is_read_back_as_it_was_written() {
    let contents = vec![
        reasoning("hm", Maker::Anthropic, false),
        reasoning("", Maker::Anthropic, false),
        reasoning("", Maker::Anthropic, true),
        reasoning("sum", Maker::OpenAi, true),
        Content::Reasoning(Reasoning { text: "open".into(), ..Reasoning::default() }),
        Content::Text(Text { signature: Some(Signature::new(Maker::Google, "c2ln")), ..Text::new("a") }),
        Content::text("b"),
        Content::Call(Call {
            id: "c1".into(),
            name: "f".into(),
            input: Input::Json("{}".into()),
            signature: Some(Signature::new(Maker::Google, "c2ln")),
        }),
    ];
    let body = json!({ "input": answer(contents.clone(), Stop::Calls)["output"] }).to_string();
    let read = request::read(body.as_bytes()).unwrap();
    assert_eq!(read.messages.len(), 1);
    assert_eq!(read.messages[0].content, contents);
}

#[test]
fn what_is_cut_off_or_filtered_is_incomplete_and_a_refusal_is_not() {
    let long = answer(vec![Content::text("a")], Stop::Length);
    assert_eq!(long["incomplete_details"], json!({ "reason": "max_output_tokens" }));
    assert_eq!((&long["status"], &long["output"][0]["status"]), (&json!("incomplete"), &json!("incomplete")));
    let blocked = answer(Vec::new(), Stop::Filter);
    assert_eq!(blocked["incomplete_details"], json!({ "reason": "content_filter" }));
    let refused = answer(vec![Content::Refusal("no".into())], Stop::Filter);
    assert_eq!((&refused["status"], &refused["incomplete_details"]), (&json!("completed"), &Value::Null));
    assert_eq!(refused["output"][0]["content"], json!([{ "type": "refusal", "refusal": "no" }]));
    assert_eq!((&refused["usage"], &refused["temperature"]), (&Value::Null, &json!(0.5)));
}

#[test]
fn an_image_is_an_item_of_its_own_and_an_address_of_one_is_told() {
    let image = |media| Content::Image(Image { media, detail: None, cache: None });
    let data = Media::Data { mime: "image/png".into(), base64: "AA==".into() };
    let answer = answer(vec![image(data), image(Media::Url("https://a/b".into()))], Stop::End);
    let id = format!("ig_{}0000", ASKED.unique);
    let item = json!({"type": "image_generation_call", "id": id, "status": "completed", "result": "AA=="});
    assert_eq!(answer["output"][0], item);
    assert_eq!(answer["output"][1]["content"][0]["text"], "![image](https://a/b)");
}
