//! Recorded exchanges through all three sides, and both directions of each; and what must hold for anything.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

use super::{egress, error, ingress, ingress::stream::Framing, passing};
use crate::{
    chat::{
        content::Content,
        fault::FaultKind,
        loss::Losses,
        request::{Request, Thinking},
        response::Event,
    },
    protocol::{
        passing::Ending,
        sse::{self, Splitter},
        translate::{Asked, Decoder as _, Encoder as _, Frame, Target},
    },
};

pub(super) mod grammar;
mod properties;

macro_rules! recorded {
    ($($name:literal),*) => {
        [$(($name, include_str!(concat!("../../../tests/golden/gemini/", $name, ".json")))),*]
    };
}

const RECORDED: [(&str, &str); 6] = recorded![
    "call-array-stream",
    "parallel-calls-stream",
    "parallel-results",
    "schema",
    "text-stream",
    "thinking-stream"
];
const ERROR: &str = include_str!("../../../tests/golden/gemini/error.json");

/// What a client asked, as far as an answer shows it.
pub(super) const ASKED: Asked<'_> =
    Asked { model: "google/m", unique: "0123456789abcdef01234567", now: 0, body: b"" };

/// A model that takes everything.
pub(super) const TARGET: Target<'_> = Target {
    model: "gemini-3-flash",
    max_tokens: 1,
    stream_usage: true,
    max_completion_tokens: true,
    reasoning_details: true,
};

struct Recorded {
    name: &'static str,
    request: String,
    streaming: bool,
    framing: Framing,
    body: String,
}

fn recorded() -> impl Iterator<Item = Recorded> {
    RECORDED.into_iter().map(|(name, text)| {
        let exchange: Value = serde_json::from_str(text).unwrap();
        let is_sse = exchange["query"].as_str().unwrap().contains("alt=sse");
        Recorded {
            name,
            request: exchange["request_json"].to_string(),
            streaming: exchange["streaming"].as_bool().unwrap(),
            framing: if is_sse { Framing::Sse } else { Framing::Array },
            body: exchange["response_body"].as_str().unwrap().to_owned(),
        }
    })
}

/// The chunks of a recorded answer, of which a whole one is the only one.
fn said(recorded: &Recorded) -> Vec<Value> {
    if recorded.streaming {
        grammar::chunks(recorded.body.as_bytes(), recorded.framing)
    } else {
        vec![serde_json::from_str(&recorded.body).unwrap()]
    }
}

/// A request that wants to see what the model thinks.
fn showing() -> Request<'static> {
    Request { reasoning: Some(Thinking { shown: Some(true), ..Thinking::default() }), ..Request::default() }
}

/// A provider's events, decoded and encoded again, cut into pieces of `cut` bytes.
pub(super) fn translated(stream: &str, cut: usize, framing: Framing) -> Vec<u8> {
    let mut decoder = egress::stream::Decoder::new(ASKED.unique);
    let mut encoder = ingress::stream::Encoder::new(showing().expected(), &ASKED, framing);
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

/// Chunks as the events that a provider sends.
fn events(chunks: &[Value]) -> String {
    chunks.iter().map(|chunk| format!("data: {chunk}\r\n\r\n")).collect()
}

/// Without what was put in place of a signature.
fn unsigned(mut request: Request<'_>) -> Request<'_> {
    for content in request.messages.iter_mut().flat_map(|message| &mut message.content) {
        if let Content::Call(call) = content {
            call.signature.take_if(|signature| signature.value.starts_with("c2tpcF90aG91Z2h0"));
        }
    }
    request.unsaid.clear();
    request
}

#[test]
fn a_recorded_request_comes_back_from_the_neutral_form() {
    for Recorded { name, request, .. } in recorded() {
        let read = ingress::request::read(request.as_bytes(), false).unwrap();
        assert!(read.unsaid.iter().all(|unsaid| unsaid.name == "safetySettings"), "{name}");
        let mut losses = Losses::default();
        let written = egress::request::write(&read, &TARGET, &mut losses).unwrap();
        assert_eq!(losses, Losses::default(), "{name}");
        let again = ingress::request::read(&written, false).unwrap();
        assert_eq!(unsigned(again), unsigned(read), "{name}");
    }
}

#[test]
fn a_recorded_answer_comes_back_from_the_neutral_form() {
    for recorded in recorded().filter(|recorded| !recorded.streaming) {
        let read = egress::response::read(recorded.body.as_bytes(), ASKED.unique).unwrap();
        let written = ingress::response::write(&read, showing().expected(), &ASKED);
        assert_same(
            recorded.name,
            &serde_json::from_slice(&written).unwrap(),
            &grammar::joined(&said(&recorded)),
        );
    }
}

#[test]
fn a_recorded_stream_comes_back_from_the_neutral_form_however_it_is_cut_and_framed() {
    for recorded in recorded().filter(|recorded| recorded.streaming) {
        let said = said(&recorded);
        let stream = events(&said);
        let whole = grammar::answer(&translated(&stream, usize::MAX, Framing::Sse), Framing::Sse);
        for cut in [1, 5, 1000] {
            for framing in [Framing::Sse, Framing::Array] {
                let answer = grammar::answer(&translated(&stream, cut, framing), framing);
                assert_eq!(answer, whole, "{} {cut}", recorded.name);
            }
        }
        assert_same(recorded.name, &whole, &grammar::joined(&said));
    }
}

#[test]
fn a_stream_and_the_whole_answer_say_the_same() {
    for recorded in recorded().filter(|recorded| recorded.streaming) {
        let said = said(&recorded);
        let body = grammar::joined(&said).to_string();
        let read = egress::response::read(body.as_bytes(), ASKED.unique).unwrap();
        let written = ingress::response::write(&read, showing().expected(), &ASKED);
        let streamed = translated(&events(&said), usize::MAX, Framing::Sse);
        let streamed = grammar::answer(&streamed, Framing::Sse);
        assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), streamed, "{}", recorded.name);
    }
}

/// Compares what we wrote with what Google did: we always give calls an id, and counts in our order.
#[track_caller]
fn assert_same(name: &str, ours: &Value, googles: &Value) {
    assert_eq!((&ours["modelVersion"], &ours["responseId"]), (&"google/m".into(), &ASKED.unique.into()));
    for key in ["promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "totalTokenCount"] {
        assert_eq!(ours["usageMetadata"][key], googles["usageMetadata"][key], "{name} {key}");
    }
    let (ours, googles) = (&ours["candidates"][0], &googles["candidates"][0]);
    assert_eq!(ours["finishReason"], googles["finishReason"], "{name}");
    let mut parts = ours["content"]["parts"].clone();
    let theirs = googles["content"]["parts"].as_array().unwrap();
    for (ours, googles) in parts.as_array_mut().unwrap().iter_mut().zip(theirs) {
        if let Some(call) = ours.get_mut("functionCall").and_then(Value::as_object_mut)
            && googles["functionCall"].get("id").is_none()
        {
            let id = call.remove("id").unwrap();
            assert!(id.as_str().unwrap().starts_with("call_0123456789abcdef01234567_"), "{id}");
        }
    }
    assert_eq!(&parts, &googles["content"]["parts"], "{name}");
}

#[test]
fn a_recorded_stream_passes_byte_for_byte_but_for_the_model() {
    for recorded in recorded().filter(|recorded| recorded.streaming) {
        let model = said(&recorded)[0]["modelVersion"].to_string();
        let expected = recorded.body.replace(&model, "\"p/m\"");
        for cut in [1, 5, 1000] {
            let (out, ending, usage) = passed(&recorded, cut);
            assert_eq!(ending, Ending::Complete, "{}", recorded.name);
            assert_eq!(out, expected, "{} {cut}", recorded.name);
            let usage = usage.unwrap();
            assert!(
                usage.input.is_some_and(|input| input > 10) && usage.output.is_some_and(|output| output > 1)
            );
        }
    }
}

fn passed(recorded: &Recorded, cut: usize) -> (String, Ending, Option<crate::chat::usage::Usage>) {
    let model = Bytes::from_static(b"\"p/m\"");
    let (mut out, pieces) = (Vec::new(), recorded.body.as_bytes().chunks(cut));
    let ((end, ending), usage) = if recorded.framing == Framing::Sse {
        let mut stream = passing::stream::Stream::new(model, None);
        pieces.for_each(|piece| out.extend_from_slice(&stream.push(Bytes::copy_from_slice(piece)).unwrap()));
        (stream.finish(), stream.seen().usage)
    } else {
        let mut stream = passing::array::Stream::new(model, None);
        pieces.for_each(|piece| out.extend_from_slice(&stream.push(Bytes::copy_from_slice(piece)).unwrap()));
        (stream.finish(), stream.seen().usage)
    };
    out.extend_from_slice(&end);
    (String::from_utf8(out).unwrap(), ending, usage)
}

#[test]
fn a_recorded_error_is_of_the_dialect() {
    let exchange: Value = serde_json::from_str(ERROR).unwrap();
    let body = exchange["response_body"].as_str().unwrap().as_bytes();
    assert!(error::is_dialect(body));
    let fault = error::read(404, body);
    assert_eq!(fault.kind, FaultKind::NotFound);
    assert!(fault.message.starts_with("Publisher Model `projects/fake-project/"), "{}", fault.message);
}
