//! Streams, as clients see them: the grammar holds whatever comes.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    chat::{
        content::{Call, Content, Input, Reasoning, Text},
        json::Json,
        response::{Choice, Response},
    },
    protocol::{
        openai_responses::{
            ingress::response,
            tests::{ASKED, grammar},
        },
        translate::Encoder as _,
    },
};

const BODY: &str = r#"{"input":"x","tools":[{"type":"custom","name":"patch"},
    {"type":"namespace","name":"mcp__git","tools":[{"type":"function","name":"log"}]}]}"#;

fn encoder() -> Encoder {
    Encoder::new(&Asked { body: BODY.as_bytes(), ..ASKED })
}

fn stream(deltas: impl IntoIterator<Item = Delta<'static>>, stop: Stop) -> Vec<u8> {
    let (mut encoder, mut out) = (encoder(), Vec::new());
    encoder.push(Event::Start { id: "up".into(), created: Some(5), model: Some("up".into()) }, &mut out);
    for delta in deltas {
        encoder.push(Event::Delta { choice: 0, delta }, &mut out);
    }
    encoder.push(Event::Finish { choice: 0, stop, stop_sequence: None }, &mut out);
    encoder.push(Event::Usage(Usage { input: Some(3), output: Some(2), ..Usage::default() }), &mut out);
    encoder.finish(&mut out);
    out
}

#[track_caller]
fn answer(deltas: impl IntoIterator<Item = Delta<'static>>, stop: Stop) -> Value {
    grammar::answer(&stream(deltas, stop)).unwrap()
}

fn call(index: u32, name: &'static str, custom: bool) -> Delta<'static> {
    Delta::Call { index, id: format!("c{index}").into(), name: name.into(), custom, signature: None }
}

fn input(index: u32, text: &'static str) -> Delta<'static> {
    Delta::Input { index, text: text.into() }
}

#[test]
fn a_stream_has_every_event() {
    let deltas = [
        Delta::Reasoning("hm".into()),
        Delta::Signature(Signature::new(Maker::Anthropic, "EqQ")),
        Delta::Text("Hel".into()),
        Delta::Text("lo".into()),
        call(0, "mcp__git__log", false),
        input(0, "{\"n\":"),
        input(0, "1}"),
    ];
    let out = String::from_utf8(stream(deltas, Stop::End)).unwrap();
    let short = out.lines().filter(|line| line.starts_with("data:") && !line.contains("\"response\":"));
    insta::assert_snapshot!(short.collect::<Vec<_>>().join("\n"));
}

fn image() -> Delta<'static> {
    Delta::Image(Media::Data { mime: "image/png".into(), base64: "AA==".into() })
}

#[test]
fn an_image_is_an_item_of_its_own() {
    let answer = answer([Delta::Text("a".into()), image(), Delta::Text("b".into())], Stop::End);
    let id = format!("ig_{}0001", ASKED.unique);
    let item = json!({"type": "image_generation_call", "id": id, "status": "completed", "result": "AA=="});
    assert_eq!((&answer["output"][1], answer["output"].as_array().unwrap().len()), (&item, 3));
    let begun = String::from_utf8(stream([image()], Stop::End)).unwrap();
    assert!(begun.contains(r#""status":"in_progress","result":null"#), "{begun}");
}

#[test]
fn calls_that_come_side_by_side_are_items_one_behind_the_other() {
    let answer = answer(
        [
            call(0, "f", false),
            call(1, "mcp__git__log", false),
            input(1, "{\"b\":2}"),
            input(0, "{\"a\":1}"),
            Delta::Text("z".into()),
            call(2, "g", false),
        ],
        Stop::Calls,
    );
    let items: Vec<_> = answer["output"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            (
                item["call_id"].as_str(),
                item["name"].as_str(),
                item["namespace"].as_str(),
                item["arguments"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        items,
        [
            (Some("c0"), Some("f"), None, Some("{\"a\":1}")),
            (Some("c1"), Some("log"), Some("mcp__git"), Some("{\"b\":2}")),
            (None, None, None, None),
            (Some("c2"), Some("g"), None, Some("{}")),
        ]
    );
    assert_eq!(answer["usage"]["total_tokens"], json!(5));
}

#[test]
fn free_text_comes_as_it_is_or_out_of_its_wrapping() {
    let wrapped =
        answer([call(0, "patch", false), input(0, "{\"input\":\"*** "), input(0, "Begin\"}")], Stop::Calls);
    assert_eq!(
        (&wrapped["output"][0]["type"], &wrapped["output"][0]["input"]),
        (&json!("custom_tool_call"), &json!("*** Begin"))
    );
    let free = answer([call(0, "patch", true), input(0, "{\"a"), input(0, "b")], Stop::Calls);
    assert_eq!(free["output"][0]["input"], json!("{\"ab"));
    assert_eq!(answer([call(0, "patch", true)], Stop::Calls)["output"][0]["input"], json!(""));
}

#[test]
fn signatures_stand_where_they_are_read_back() {
    let signature = |maker| Signature::new(maker, "s");
    let summary = |deltas: Vec<Delta<'static>>| {
        let answer = answer(deltas, Stop::End);
        let items = answer["output"].as_array().unwrap().clone();
        items
            .iter()
            .map(|item| match item["type"].as_str().unwrap() {
                "reasoning" => format!(
                    "{} {}",
                    item["summary"].as_array().unwrap().len(),
                    item["encrypted_content"].as_str().unwrap_or("-")
                ),
                other => other.to_owned(),
            })
            .collect::<Vec<_>>()
            .join(", ")
    };
    let hm = || Delta::Reasoning("hm".into());
    assert_eq!(
        summary(vec![hm(), Delta::Signature(signature(Maker::Anthropic)), hm()]),
        "1 nexus:anthropic:s, 1 -"
    );
    assert_eq!(summary(vec![Delta::Signature(signature(Maker::Anthropic))]), "1 nexus:anthropic:s");
    assert_eq!(summary(vec![hm(), Delta::Redacted(signature(Maker::Anthropic))]), "1 -, 0 nexus:anthropic:s");
    assert_eq!(summary(vec![hm(), Delta::Redacted(signature(Maker::OpenAi))]), "1 s");
    assert_eq!(summary(vec![Delta::Redacted(signature(Maker::OpenAi))]), "0 s");
    assert_eq!(
        summary(vec![Delta::Text("a".into()), Delta::Signature(signature(Maker::Google))]),
        "message, 0 nexus:google:s"
    );
    let signed = Delta::Call {
        index: 0,
        id: "c".into(),
        name: "f".into(),
        custom: false,
        signature: Some(signature(Maker::Google)),
    };
    assert_eq!(summary(vec![hm(), signed]), "1 -, 0 nexus:google:s, function_call");
}

#[test]
fn log_probabilities_come_with_the_text_they_are_of() {
    let logprobs = Json::parse("{\"content\":[{\"token\":\"a\",\n\"logprob\":-0.10}]}".to_owned()).unwrap();
    let out = stream([Delta::Text("a".into()), Delta::Logprobs(logprobs)], Stop::End);
    let answer = grammar::answer(&out).unwrap();
    assert_eq!(answer["output"][0]["content"][0]["logprobs"], json!([{ "token": "a", "logprob": -0.1 }]));
    assert!(String::from_utf8(out).unwrap().contains("-0.10"));
}

#[test]
fn what_is_cut_off_is_incomplete() {
    let long = answer([Delta::Text("a".into())], Stop::Length);
    assert_eq!((&long["status"], &long["output"][0]["status"]), (&json!("incomplete"), &json!("incomplete")));
    let refused = answer([Delta::Refusal("no".into())], Stop::Filter);
    assert_eq!(
        (&refused["status"], &refused["output"][0]["content"][0]["refusal"]),
        (&json!("completed"), &json!("no"))
    );
    assert_eq!(answer([], Stop::Filter)["incomplete_details"]["reason"], json!("content_filter"));
}

#[test]
fn an_answer_that_breaks_off_ends_with_an_error_and_nothing_else() {
    let (mut encoder, mut out) = (encoder(), Vec::new());
    encoder.push(Event::Delta { choice: 0, delta: Delta::Text("a".into()) }, &mut out);
    encoder.fail(529, "busy", &mut out);
    encoder.fail(502, "again", &mut out);
    encoder.finish(&mut out);
    assert_eq!(grammar::answer(&out), None);
    let last = grammar::events(&out).pop().unwrap();
    assert_eq!(
        (&last["code"], &last["message"], &last["param"]),
        (&json!("server_is_overloaded"), &json!("busy"), &Value::Null)
    );
}

#[test]
fn an_answer_without_an_end_is_broken_off() {
    let (mut encoder, mut out) = (encoder(), Vec::new());
    let long = "x".repeat(1 << 20);
    for _ in 0..40 {
        out.clear();
        encoder.push(Event::Delta { choice: 0, delta: Delta::Text(long.as_str().into()) }, &mut out);
    }
    assert_eq!(encoder.phase, Phase::Over);
}

/// A content as a decoder tells it.
fn deltas(index: u32, content: &Content<'static>) -> Vec<Delta<'static>> {
    match content.clone() {
        Content::Text(text) => {
            let signature = text.signature.map(Delta::Signature);
            [Delta::Text(text.text)].into_iter().chain(signature).collect()
        }
        Content::Refusal(text) => vec![Delta::Refusal(text)],
        Content::Reasoning(Reasoning { text, signature, redacted }) => {
            let text = (!text.is_empty()).then_some(Delta::Reasoning(text));
            let signature =
                signature.map(|s| if redacted { Delta::Redacted(s) } else { Delta::Signature(s) });
            text.into_iter().chain(signature).collect()
        }
        Content::Call(Call { id, name, input, signature }) => {
            let (custom, text) = match input {
                Input::Json(text) => (false, text),
                Input::Text(text) => (true, text),
            };
            vec![Delta::Call { index, id, name, custom, signature }, Delta::Input { index, text }]
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_stream_and_the_whole_answer_say_the_same() {
    let signed = |maker| Some(Signature::new(maker, "s"));
    let reasoning = |text: &'static str, maker, redacted| {
        Content::Reasoning(Reasoning { text: text.into(), signature: signed(maker), redacted })
    };
    let call = |name: &'static str, input, signature| {
        Content::Call(Call { id: "c1".into(), name: name.into(), input, signature })
    };
    let content = vec![
        reasoning("hm", Maker::Anthropic, false),
        reasoning("", Maker::Anthropic, true),
        reasoning("", Maker::Anthropic, false),
        reasoning("sum", Maker::OpenAi, true),
        Content::Text(Text { signature: signed(Maker::Google), ..Text::new("a") }),
        Content::text("b"),
        Content::Refusal("no".into()),
        call("patch", Input::Json(r#"{"input":"x"}"#.into()), None),
        call("mcp__git__log", Input::Json("{}".into()), signed(Maker::Google)),
        call("patch", Input::Text("free".into()), None),
    ];
    let streamed =
        answer((0..).zip(&content).flat_map(|(index, content)| deltas(index, content)), Stop::Calls);
    let response = Response { choices: vec![Choice { content, ..Choice::default() }], ..Response::default() };
    let asked = Asked { body: BODY.as_bytes(), ..ASKED };
    let whole: Value = serde_json::from_slice(&response::write(&response, &asked)).unwrap();
    assert_eq!(streamed["output"], whole["output"]);
}

fn any_delta() -> impl Strategy<Value = Delta<'static>> {
    let text = || "[a-z{}\"]{1,4}";
    let maker = || prop::sample::select(vec![Maker::Anthropic, Maker::Google, Maker::OpenAi, Maker::Bedrock]);
    let signed = || maker().prop_map(|maker| Signature::new(maker, "s"));
    let name = prop::sample::select(vec!["f", "patch", "mcp__git__log"]);
    prop_oneof![
        text().prop_map(|text| Delta::Text(text.into())),
        text().prop_map(|text| Delta::Refusal(text.into())),
        text().prop_map(|text| Delta::Reasoning(text.into())),
        signed().prop_map(Delta::Signature),
        signed().prop_map(Delta::Redacted),
        (0_u32..3, name, any::<bool>(), prop::option::of(signed())).prop_map(
            |(index, name, custom, signature)| Delta::Call {
                index,
                id: "c".into(),
                name: name.into(),
                custom,
                signature,
            }
        ),
        (0_u32..3, text()).prop_map(|(index, text)| Delta::Input { index, text: text.into() }),
    ]
}

proptest! {
    #[test]
    fn the_grammar_holds_whatever_comes(deltas in prop::collection::vec(any_delta(), 0..30), ends in any::<bool>()) {
        let (mut encoder, mut out) = (encoder(), Vec::new());
        for delta in deltas {
            encoder.push(Event::Delta { choice: 0, delta }, &mut out);
        }
        if ends {
            encoder.finish(&mut out);
        } else {
            encoder.fail(502, "cut", &mut out);
        }
        prop_assert_eq!(grammar::answer(&out).is_some(), ends);
    }
}
