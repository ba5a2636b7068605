//! Recorded exchanges: what clients sent is read, streams pass and are written again, errors are of the dialect.

use bytes::Bytes;
use serde_json::Value;

use super::{error, ingress, passing};
use crate::{
    chat::{
        fault::FaultKind,
        loss::Losses,
        request::Request,
        response::{Delta, Event, Stop},
    },
    protocol::{
        openai_chat,
        passing::Ending,
        sse,
        translate::{Asked, Decoder as _, Encoder as _, Frame, Target},
    },
};

pub(super) mod grammar;

const RECORDED: [(&str, &str); 5] = [
    ("call-stream", include_str!("../../../tests/golden/openai_responses/call-stream.json")),
    ("hosted-tool-stream", include_str!("../../../tests/golden/openai_responses/hosted-tool-stream.json")),
    ("reasoning-history", include_str!("../../../tests/golden/openai_responses/reasoning-history.json")),
    ("several-tools", include_str!("../../../tests/golden/openai_responses/several-tools.json")),
    ("text-stream", include_str!("../../../tests/golden/openai_responses/text-stream.json")),
];
/// A turn of Codex's: hand-written after what it sends.
const CODEX: &str = include_str!("../../../tests/golden/openai_responses/codex-request.json");
/// Two calls side by side, from a provider of chat completions.
const CHAT: &str = include_str!("../../../tests/golden/openai-chat/parallel-calls-stream.json");
const ERROR: &str = include_str!("../../../tests/golden/openai_responses/error.json");

/// What a client asked, as far as an answer shows it.
pub(super) const ASKED: Asked<'_> =
    Asked { model: "p/m", unique: "0123456789abcdef01234567", now: 1_700_000_000, body: b"{}" };

struct Recorded {
    name: &'static str,
    request: String,
    streaming: bool,
    body: String,
}

fn recorded() -> impl Iterator<Item = Recorded> {
    RECORDED.into_iter().map(|(name, text)| {
        let exchange: Value = serde_json::from_str(text).unwrap();
        Recorded {
            name,
            request: exchange["request_json"].to_string(),
            streaming: exchange["streaming"].as_bool().unwrap(),
            body: exchange["response_body"].as_str().unwrap().to_owned(),
        }
    })
}

/// What the events of a recorded stream mean, as far as these streams go.
fn replay(body: &str, encoder: &mut ingress::stream::Encoder, out: &mut Vec<u8>) {
    let mut call = 0;
    for block in body.split_terminator("\n\n") {
        let event: Value = serde_json::from_str(block.split_once("data: ").unwrap().1).unwrap();
        let delta = event["delta"].as_str().unwrap_or_default();
        let mut push = |delta| encoder.push(Event::Delta { choice: 0, delta }, out);
        match event["type"].as_str().unwrap() {
            "response.output_item.added" if event["item"]["type"] == "function_call" => {
                call += 1;
                let text = |key: &str| event["item"][key].as_str().unwrap().to_owned().into();
                push(Delta::Call {
                    index: call,
                    id: text("call_id"),
                    name: text("name"),
                    custom: false,
                    signature: None,
                });
            }
            "response.output_text.delta" => push(Delta::Text(delta.into())),
            "response.function_call_arguments.delta" => {
                push(Delta::Input { index: call, text: delta.into() })
            }
            "response.completed" => {
                encoder.push(Event::Finish { choice: 0, stop: Stop::End, stop_sequence: None }, out);
                let usage = passing::response::parse(event["response"].to_string().as_bytes()).unwrap().usage;
                encoder.push(Event::Usage(usage.unwrap()), out);
            }
            _ => {}
        }
    }
    encoder.finish(out);
}

#[test]
fn recorded_requests_are_read_and_only_hosted_tools_are_noted() {
    for Recorded { name, request, .. } in recorded() {
        let read = ingress::request::read(request.as_bytes()).unwrap();
        let unsaid: Vec<_> = read.unsaid.iter().map(|unsaid| unsaid.name.as_ref()).collect();
        let expected = if name == "hosted-tool-stream" { vec!["tools.web_search_preview"] } else { vec![] };
        assert_eq!(unsaid, expected, "{name}");
        assert!(!read.messages.is_empty() && passing::request::Request::parse(request.as_bytes()).is_ok());
    }
}

#[test]
fn a_recorded_stream_is_written_again_as_it_was() {
    for Recorded { name, request, body, .. } in recorded().filter(|recorded| recorded.streaming) {
        let asked = Asked { body: request.as_bytes(), ..ASKED };
        let mut encoder = ingress::stream::Encoder::new(&asked);
        let mut out = Vec::new();
        replay(&body, &mut encoder, &mut out);
        let mut written = grammar::answer(&out).unwrap();
        let last = body.trim_end().rsplit_once("data: ").unwrap().1;
        let mut said: Value = serde_json::from_str::<Value>(last).unwrap()["response"].take();
        for answer in [&mut written, &mut said] {
            for item in answer["output"].as_array_mut().unwrap() {
                item["id"] = Value::Null;
                if let Some(part) = item.pointer_mut("/content/0") {
                    part["logprobs"] = Value::Null;
                }
            }
            answer["usage"]["input_tokens_details"]["cache_write_tokens"] = Value::Null;
        }
        for key in [
            "object",
            "status",
            "error",
            "incomplete_details",
            "output",
            "parallel_tool_calls",
            "tool_choice",
            "usage",
        ] {
            assert_eq!(written[key], said[key], "{name} {key}");
        }
        let count = |stream: &[u8]| {
            stream.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"event:")).count()
        };
        assert_eq!(count(&out), count(body.as_bytes()), "{name}");
    }
}

#[test]
fn a_recorded_stream_passes_byte_for_byte_but_for_the_model() {
    for Recorded { name, body, .. } in recorded().filter(|recorded| recorded.streaming) {
        let model = body.split_once(r#""model":""#).unwrap().1.split_once('"').unwrap().0;
        let expected = body.replace(&format!(r#""model":"{model}""#), r#""model":"p/m""#);
        for cut in [1, 5, 1000] {
            let mut stream = passing::stream::Stream::new(Bytes::from_static(b"\"p/m\""), None);
            let mut out = Vec::new();
            for piece in body.as_bytes().chunks(cut) {
                out.extend_from_slice(&stream.push(Bytes::copy_from_slice(piece)).unwrap());
            }
            let (end, ending) = stream.finish();
            out.extend_from_slice(&end);
            assert_eq!(ending, Ending::Complete, "{name}");
            assert!(String::from_utf8(out).unwrap() == expected, "{name}");
            let usage = stream.seen().usage.unwrap();
            assert!(
                stream.seen().output && usage.input.is_some_and(|input| input > 5) && usage.output.is_some()
            );
        }
    }
}

#[test]
fn a_recorded_error_is_of_the_dialect() {
    let exchange: Value = serde_json::from_str(ERROR).unwrap();
    let body = exchange["response_body"].as_str().unwrap().as_bytes();
    assert!(error::is_dialect(body));
    assert_eq!(error::read(401, body).kind, FaultKind::Authentication);
}

#[test]
fn a_turn_of_codex_is_a_chat_request_and_comes_back_from_it() {
    let read = ingress::request::read(CODEX.as_bytes()).unwrap();
    let unsaid: Vec<_> = read.unsaid.iter().map(|unsaid| (unsaid.name.as_ref(), unsaid.hint)).collect();
    let expected = [("tools.description", true), ("tools.web_search", false), ("client_metadata", true)];
    assert_eq!(unsaid, expected);
    let target = Target {
        model: "m",
        max_tokens: 1,
        stream_usage: true,
        max_completion_tokens: true,
        reasoning_details: true,
    };
    let mut losses = Losses::default();
    let written = openai_chat::egress::request::write(&read, &target, &mut losses).unwrap();
    let chat = openai_chat::ingress::request::read(&written).unwrap();
    insta::assert_snapshot!(String::from_utf8_lossy(&written));
    let names =
        |request: &Request<'_>| request.tools.iter().map(|tool| tool.name.to_string()).collect::<Vec<_>>();
    let mut lost = Losses::default();
    lost.lose(crate::chat::loss::Parameter::Thought);
    lost.lose(crate::chat::loss::Parameter::Summary);
    assert_eq!((names(&chat), losses), (names(&read), lost));
    assert_eq!(
        (&chat.tool_choice, chat.parallel_calls, chat.stream),
        (&read.tool_choice, read.parallel_calls, true)
    );
    // Reasoning of another model's is no content of the conversation, and does not go to this one.
    let said = |request: &Request<'_>| {
        let contents = request.messages.iter().flat_map(|message| message.content.clone());
        contents
            .filter(|content| content.kind() != "reasoning")
            .map(|content| format!("{content:?}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(said(&chat), said(&read));
}

#[test]
fn calls_side_by_side_of_a_chat_provider_are_items_in_their_order() {
    let exchange: Value = serde_json::from_str(CHAT).unwrap();
    let mut decoder = openai_chat::egress::stream::Decoder::new(ASKED.unique);
    let mut encoder = ingress::stream::Encoder::new(&ASKED);
    let mut out = Vec::new();
    for block in exchange["response_body"].as_str().unwrap().split_inclusive("\n\n") {
        let sse::Fields { name, data } = sse::fields(block.as_bytes());
        let Some(data) = data else { continue };
        decoder.push(Frame { name, data: &data }, &mut |event| encoder.push(event, &mut out)).unwrap();
    }
    assert!(decoder.finish(&mut |event| encoder.push(event, &mut out)));
    encoder.finish(&mut out);
    let mut answer = grammar::answer(&out).unwrap();
    let shown = [answer["output"].take(), answer["usage"].take()];
    insta::assert_snapshot!(serde_json::to_string_pretty(&shown).unwrap());
}
