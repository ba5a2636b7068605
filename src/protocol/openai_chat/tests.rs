//! Recorded exchanges through both sides of the folder, and that what goes in comes out.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{egress, ingress};
use crate::{
    chat::{
        loss::Losses,
        request::{Expected, Request, Wishes},
        response::Event,
    },
    protocol::{
        sse::{self, Splitter},
        translate::{Asked, Decoder as _, Encoder as _, Frame, Target},
    },
};

/// A recorded exchange, its source named within.
macro_rules! recorded {
    ($name:literal) => {
        serde_json::from_str::<Value>(include_str!(concat!(
            "../../../tests/golden/openai-chat/",
            $name,
            ".json"
        )))
        .unwrap()
    };
}

fn read(body: &str) -> Request<'_> {
    ingress::request::read(body.as_bytes()).unwrap()
}

fn written(request: &Request<'_>) -> Vec<u8> {
    let target = Target {
        model: "up",
        max_tokens: 4096,
        stream_usage: false,
        max_completion_tokens: true,
        reasoning_details: true,
    };
    egress::request::write(request, &target, &mut Losses::default()).unwrap()
}

fn asked(body: &str) -> Asked<'_> {
    Asked { model: "p/m", unique: "0123456789abcdef01234567", now: 17, body: body.as_bytes() }
}

/// A recorded answer as a client gets it that sent the recorded request.
fn answered(exchange: &Value) -> Value {
    let sent = exchange["request_json"].to_string();
    let body = exchange["response_body"].as_str().unwrap();
    let response = egress::response::read(body.as_bytes(), "u").unwrap();
    serde_json::from_slice(&ingress::response::write(&response, read(&sent).expected(), &asked(&sent)))
        .unwrap()
}

/// A recorded stream likewise.
fn streamed(exchange: &Value) -> String {
    let sent = exchange["request_json"].to_string();
    let mut decoder = egress::stream::Decoder::new("u");
    let mut encoder = ingress::stream::Encoder::new(read(&sent).expected(), &asked(&sent));
    let (mut splitter, mut out) = (Splitter::default(), Vec::new());
    let body = exchange["response_body"].as_str().unwrap();
    let pass = |event: Event<'_>, encoder: &mut ingress::stream::Encoder, out: &mut Vec<u8>| {
        encoder.push(event, out)
    };
    splitter
        .push(body.to_owned().into(), |event| {
            let fields = sse::fields(&event);
            let frame = Frame { name: fields.name, data: &fields.data.unwrap_or_default() };
            decoder.push(frame, &mut |event| pass(event, &mut encoder, &mut out)).unwrap();
        })
        .unwrap();
    assert!(decoder.finish(&mut |event| pass(event, &mut encoder, &mut out)));
    encoder.finish(&mut out);
    let head = r#""object":"chat.completion.chunk","created":"#;
    String::from_utf8(out).unwrap().replace("\n\n", "\n").replace(head, "")
}

#[test]
fn deepseeks_answer_keeps_text_reason_and_cache_hits() {
    let exchange = recorded!("deepseek-calls");
    let original: Value = serde_json::from_str(exchange["response_body"].as_str().unwrap()).unwrap();
    let answer = answered(&exchange);
    assert_eq!(answer["choices"][0]["message"]["content"], original["choices"][0]["message"]["content"]);
    assert_eq!(
        answer["usage"],
        json!({"prompt_tokens": 416, "completion_tokens": 48, "total_tokens": 464, "prompt_tokens_details": {"cached_tokens": 256}})
    );
}

#[test]
fn an_answer_with_a_function_call_comes_back_as_one() {
    let exchange = recorded!("legacy-function-call");
    let original: Value = serde_json::from_str(exchange["response_body"].as_str().unwrap()).unwrap();
    let answer = answered(&exchange);
    let call = |answer: &Value| answer["choices"][0]["message"]["function_call"].clone();
    assert_eq!(call(&answer), call(&original));
    assert_eq!(answer["choices"][0]["finish_reason"], "function_call");
}

#[test]
fn snowflakes_empty_fields_are_nothing() {
    let answer = answered(&recorded!("snowflake-answer"));
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert_eq!(answer["id"], "chatcmpl-0123456789abcdef01234567");
    assert_eq!(answer["choices"][0]["message"]["refusal"], Value::Null);
}

#[test]
fn parallel_calls_of_a_stream_stay_apart() {
    insta::assert_snapshot!(streamed(&recorded!("parallel-calls-stream")));
}

#[test]
fn a_moderation_between_the_end_and_the_usage_is_passed_over() {
    insta::assert_snapshot!(streamed(&recorded!("moderation-stream")));
}

#[test]
fn ollamas_reasoning_is_told_in_our_field() {
    insta::assert_snapshot!(streamed(&recorded!("ollama-stream")));
}

/// Values that both sides can say, for each member.
fn members() -> impl Strategy<Value = Vec<&'static str>> {
    let all = vec![
        r#""temperature":0.25"#,
        r#""top_p":1"#,
        r#""seed":12345678901"#,
        r#""n":2"#,
        r#""stop":["a","b"]"#,
        r#""logit_bias":{"50256":-100}"#,
        r#""logprobs":true,"top_logprobs":3"#,
        r#""reasoning_effort":"minimal""#,
        r#""max_completion_tokens":9"#,
        r#""response_format":{"type":"json_object"}"#,
        r#""response_format":{"type":"json_schema","json_schema":{"name":"s","schema":{"a": 1.0},"strict":true}}"#,
        r#""tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{}}}],"tool_choice":"required""#,
        r#""user":"u","store":true,"metadata":{"a":"b"},"service_tier":"flex","prompt_cache_key":"k""#,
        r#""stream":true"#,
    ];
    let count = all.len();
    proptest::sample::subsequence(all, 0..count)
}

fn messages() -> impl Strategy<Value = Vec<&'static str>> {
    let all = vec![
        r#"{"role":"system","content":"s\n\u00e9"}"#,
        r#"{"role":"user","content":"u"}"#,
        r#"{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"https://x/y","detail":"low"}}]}"#,
        r#"{"role":"user","content":[{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,AA=="}},{"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}}]}"#,
        r#"{"role":"assistant","content":"a","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"x\": 1e5}"}},{"id":"d","type":"custom","custom":{"name":"g","input":"i"}}]}"#,
        r#"{"role":"tool","tool_call_id":"c","content":"1"}"#,
        r#"{"role":"tool","tool_call_id":"d","content":""}"#,
        r#"{"role":"assistant","content":null,"refusal":"no"}"#,
    ];
    let count = all.len();
    proptest::sample::subsequence(all, 0..count)
}

/// A chunk that some provider might send: any of a call's members may be missing.
fn chunk() -> impl Strategy<Value = String> {
    let text = proptest::sample::select(vec![
        r#""content":"a""#,
        r#""content":"""#,
        r#""content":null,"refusal":"r""#,
        r#""role":"assistant","reasoning":"t""#,
        r#""content":[{"type":"text","text":"a"}]"#,
        r#""function_call":{"name":"f","arguments":"{"}"#,
    ]);
    let member = |values: Vec<&'static str>| proptest::sample::select(values);
    let call = (
        member(vec!["", r#""index":0,"#, r#""index":1,"#]),
        member(vec!["", r#""id":"a","#, r#""id":"b","#, r#""id":"","#]),
        member(vec!["", r#""name":"f","#]),
        member(vec![r#""arguments":"""#, r#""arguments":"{}""#, r#""arguments":null"#]),
    );
    let call = call.prop_map(|(index, id, name, arguments)| {
        format!(r#""tool_calls":[{{{index}{id}"function":{{{name}{arguments}}}}}]"#)
    });
    let delta = prop_oneof![text.prop_map(str::to_owned), call];
    let reason = member(vec!["null", "null", "null", r#""""#, r#""stop""#]);
    let usage = member(vec!["null", r#"{"prompt_tokens":1}"#]);
    (0..3, delta, reason, usage).prop_map(|(index, delta, reason, usage)| {
        format!(
            r#"{{"id":"x","choices":[{{"index":{index},"delta":{{{delta}}},"finish_reason":{reason}}}],"usage":{usage}}}"#
        )
    })
}

proptest! {
    #[test]
    fn whatever_a_provider_streams_is_told_by_the_grammar(
        chunks in proptest::collection::vec(chunk(), 0..20),
        asked_usage in any::<bool>(),
    ) {
        let mut decoder = egress::stream::Decoder::new("u");
        let wishes = Wishes { usage: asked_usage, functions: false };
        let mut encoder = ingress::stream::Encoder::new(Expected { wishes, ..Expected::default() }, &asked("{}"));
        let mut out = Vec::new();
        for data in chunks.iter().map(String::as_str).chain(["[DONE]"]) {
            let frame = Frame { name: None, data: data.as_bytes() };
            decoder.push(frame, &mut |event| encoder.push(event, &mut out)).unwrap();
        }
        prop_assert!(decoder.finish(&mut |event| encoder.push(event, &mut out)));
        encoder.finish(&mut out);
        ingress::stream::tests::assert_grammar(std::str::from_utf8(&out).unwrap());
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = ingress::request::read(&bytes);
        let _ = egress::response::read(&bytes, "u");
        let _ = super::error::read(400, &bytes);
        let text = String::from_utf8_lossy(&bytes);
        let text = serde_json::to_string(&text).unwrap();
        let _ = egress::response::read(format!(r#"{{"choices":[{{"message":{{"content":{text}}}}}]}}"#).as_bytes(), "u");
    }

    #[test]
    fn what_both_sides_can_say_comes_back(members in members(), messages in messages()) {
        // Two formats cannot be asked for.
        let mut members = members;
        if members.iter().filter(|member| member.contains("response_format")).count() == 2 {
            members.retain(|member| !member.contains("json_object"));
        }
        members.push(r#""model":"m""#);
        let messages = format!(r#""messages":[{}]"#, messages.join(","));
        members.push(&messages);
        let body = format!("{{{}}}", members.join(","));
        let request = read(&body);
        prop_assert!(request.unsaid.is_empty(), "{:?}", request.unsaid);
        let again = written(&request);
        prop_assert_eq!(&ingress::request::read(&again).unwrap(), &request);
    }
}
