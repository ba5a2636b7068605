//! Recorded exchanges through all three sides, and both directions of each.

use bytes::Bytes;
use serde_json::Value;

use super::{egress, error, ingress, passing};
use crate::{
    chat::{
        content::Content,
        fault::FaultKind,
        loss::Losses,
        request::{Expected, Request},
        response::{Choice, Event, Response},
    },
    protocol::{
        passing::Ending,
        sse::{self, Splitter},
        translate::{Asked, Decoder as _, Encoder as _, Frame, Target},
    },
};

pub(super) mod grammar;

const RECORDED: [(&str, &str); 5] = [
    ("call-stream", include_str!("../../../tests/golden/anthropic/call-stream.json")),
    (
        "call-without-arguments-stream",
        include_str!("../../../tests/golden/anthropic/call-without-arguments-stream.json"),
    ),
    ("parallel-results-stream", include_str!("../../../tests/golden/anthropic/parallel-results-stream.json")),
    ("thinking-stream", include_str!("../../../tests/golden/anthropic/thinking-stream.json")),
    ("redacted-thinking", include_str!("../../../tests/golden/anthropic/redacted-thinking.json")),
];
const ERROR: &str = include_str!("../../../tests/golden/anthropic/error.json");

/// What a client asked, as far as an answer shows it.
pub(super) const ASKED: Asked<'_> =
    Asked { model: "anthropic/m", unique: "0123456789abcdef01234567", now: 0, body: b"" };

/// Compares with a reviewed file beside the recorded exchanges.
#[track_caller]
pub(super) fn golden(name: &str, text: &str) {
    insta::with_settings!({
        snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/anthropic"),
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, { insta::assert_snapshot!(name, text) });
}

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

/// A provider's stream, decoded and encoded again, cut into pieces of `cut` bytes.
pub(super) fn translated(stream: &str, cut: usize) -> Vec<u8> {
    let mut decoder = egress::stream::Decoder::new(ASKED.unique);
    let mut encoder = ingress::stream::Encoder::new(Expected::default(), &ASKED);
    let (mut splitter, mut out) = (Splitter::default(), Vec::new());
    for piece in stream.as_bytes().chunks(cut) {
        splitter
            .push(Bytes::copy_from_slice(piece), |event| {
                let fields = sse::fields(&event);
                let Some(data) = fields.data else { return };
                let frame = Frame { name: fields.name, data: &data };
                decoder.push(frame, &mut |event: Event<'_>| encoder.push(event, &mut out)).unwrap();
            })
            .unwrap();
    }
    assert!(decoder.finish(&mut |event| encoder.push(event, &mut out)));
    encoder.finish(&mut out);
    out
}

/// Text of blanks alone is not sent.
fn without_blanks(mut request: Request<'_>) -> Request<'_> {
    for message in &mut request.messages {
        message.content.retain(|part| !matches!(part, Content::Text(text) if text.text.trim().is_empty()));
    }
    request
}

#[test]
fn a_recorded_request_comes_back_from_the_neutral_form() {
    for Recorded { name, request, .. } in recorded() {
        let read = ingress::request::read(request.as_bytes()).unwrap();
        assert_eq!(read.unsaid, [], "{name}");
        let said: Value = serde_json::from_str(&request).unwrap();
        let target = Target {
            model: said["model"].as_str().unwrap(),
            max_tokens: 1,
            stream_usage: true,
            max_completion_tokens: true,
            reasoning_details: true,
        };
        let mut losses = Losses::default();
        let written = egress::request::write(&read, &target, &mut losses).unwrap();
        assert_eq!(losses, Losses::default(), "{name}");
        let again = ingress::request::read(&written).unwrap();
        assert_eq!(again, without_blanks(read), "{name}");
    }
}

#[test]
fn a_recorded_answer_comes_back_from_the_neutral_form() {
    let exchange = recorded().find(|recorded| !recorded.streaming).unwrap();
    let read = egress::response::read(exchange.body.as_bytes(), ASKED.unique).unwrap();
    let written: Value =
        serde_json::from_slice(&ingress::response::write(&read, Expected::default(), &ASKED)).unwrap();
    let said: Value = serde_json::from_str(&exchange.body).unwrap();
    for key in ["type", "role", "content", "stop_reason", "stop_sequence"] {
        assert_eq!(written[key], said[key], "{key}");
    }
    for key in ["input_tokens", "cache_read_input_tokens", "output_tokens", "service_tier"] {
        assert_eq!(written["usage"][key], said["usage"][key], "{key}");
    }
    assert_eq!(
        (&written["model"], &written["id"]),
        (&"anthropic/m".into(), &"msg_0123456789abcdef01234567".into())
    );
}

#[test]
fn a_recorded_stream_comes_back_from_the_neutral_form_however_it_is_cut() {
    for Recorded { name, body, .. } in recorded().filter(|recorded| recorded.streaming) {
        let whole = translated(&body, usize::MAX);
        for cut in [1, 5, 1000] {
            assert_eq!(translated(&body, cut), whole, "{name}");
        }
        let message = grammar::message(&whole);
        golden(name, &serde_json::to_string_pretty(&message).unwrap());
    }
}

#[test]
fn a_stream_and_the_whole_answer_say_the_same() {
    for Recorded { name, body, .. } in recorded().filter(|recorded| recorded.streaming) {
        let streamed = grammar::message(&translated(&body, usize::MAX));
        let body = streamed.to_string();
        let read = egress::response::read(body.as_bytes(), ASKED.unique).unwrap();
        let written = ingress::response::write(&read, Expected::default(), &ASKED);
        let mut written: Value = serde_json::from_slice(&written).unwrap();
        written["usage"] = streamed["usage"].clone();
        assert_eq!(written, streamed, "{name}");
    }
}

#[test]
fn a_recorded_stream_passes_byte_for_byte_but_for_the_model() {
    for Recorded { name, body, request, .. } in recorded().filter(|recorded| recorded.streaming) {
        let model = serde_json::from_str::<Value>(&request).unwrap()["model"].to_string();
        for cut in [1, 5, 1000] {
            let mut stream = passing::stream::Stream::new(Bytes::from_static(b"\"p/m\""), None);
            let mut out = Vec::new();
            for piece in body.as_bytes().chunks(cut) {
                out.extend_from_slice(&stream.push(Bytes::copy_from_slice(piece)).unwrap());
            }
            let (end, ending) = stream.finish();
            out.extend_from_slice(&end);
            assert_eq!(ending, Ending::Complete, "{name}");
            assert_eq!(String::from_utf8(out).unwrap(), body.replacen(&model, "\"p/m\"", 1), "{name}");
            let usage = stream.seen().usage.unwrap();
            assert!(
                usage.input.is_some_and(|input| input > 10) && usage.output.is_some_and(|output| output > 1)
            );
        }
    }
}

#[test]
fn a_recorded_error_is_of_the_dialect() {
    let exchange: Value = serde_json::from_str(ERROR).unwrap();
    let body = exchange["response_body"].as_str().unwrap().as_bytes();
    assert!(error::is_dialect(body));
    let fault = error::read(400, body);
    assert_eq!(fault.kind, FaultKind::Invalid);
    assert_eq!(fault.message, "messages.0: Input does not match the expected shape.");
}

#[test]
fn an_answer_without_a_choice_is_an_empty_message() {
    let written = ingress::response::write(&Response::default(), Expected::default(), &ASKED);
    let one = Response { choices: vec![Choice::default()], ..Response::default() };
    assert_eq!(written, ingress::response::write(&one, Expected::default(), &ASKED));
    insta::assert_snapshot!(
        String::from_utf8(written).unwrap(),
        @r#"{"model":"anthropic/m","id":"msg_0123456789abcdef01234567","type":"message","role":"assistant","content":[],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}"#
    );
}
