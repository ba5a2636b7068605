//! Recorded exchanges through both sides of the provider: whole answers, binary streams, errors.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;

use super::{egress, error};
use crate::{
    chat::{
        content::Content,
        fault::FaultKind,
        response::{Delta, Event},
    },
    protocol::{event_stream::Splitter, translate::Decoder as _},
};

const STREAMS: [(&str, &str); 3] = [
    ("call-stream", include_str!("../../../tests/golden/bedrock/call-stream.json")),
    ("reasoning-stream", include_str!("../../../tests/golden/bedrock/reasoning-stream.json")),
    ("redacted-thinking-stream", include_str!("../../../tests/golden/bedrock/redacted-thinking-stream.json")),
];
const ANSWERS: [(&str, &str); 3] = [
    ("citations", include_str!("../../../tests/golden/bedrock/citations.json")),
    ("kimi-call", include_str!("../../../tests/golden/bedrock/kimi-call.json")),
    ("server-tool", include_str!("../../../tests/golden/bedrock/server-tool.json")),
];
const ERROR: &str = include_str!("../../../tests/golden/bedrock/error.json");

/// What ids are made of.
pub(super) const UNIQUE: &str = "0123456789abcdef01234567";

/// Compares with a reviewed file beside the recorded exchanges.
#[track_caller]
pub(super) fn golden(name: &str, text: &str) {
    insta::with_settings!({
        snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/bedrock"),
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, { insta::assert_snapshot!(name, text) });
}

/// An event in a few letters.
pub(super) fn short(event: &Event<'_>) -> String {
    let Event::Delta { choice: 0, delta } = event else {
        return match event {
            Event::Start { id, .. } => format!("start {id}"),
            Event::Finish { stop, stop_sequence, .. } => format!("finish {stop:?} {stop_sequence:?}"),
            Event::Usage(usage) => format!("usage {:?} {:?}", usage.input, usage.output),
            Event::Error(fault) => format!("error {:?} {}", fault.kind, fault.message),
            other => format!("{other:?}"),
        };
    };
    match delta {
        Delta::Text(text) => format!("text {text:?}"),
        Delta::Reasoning(text) => format!("thinks {text:?}"),
        Delta::Signature(signature) => format!("signs {:?} {}", signature.maker, signature.value),
        Delta::Redacted(signature) => format!("redacted {:?} {}", signature.maker, signature.value),
        Delta::Call { index, id, name, .. } => format!("call {index} {id} {name}"),
        Delta::Input { index, text } => format!("input {index} {text}"),
        other => format!("{other:?}"),
    }
}

fn exchange(text: &str) -> (Value, Vec<u8>) {
    let exchange: Value = serde_json::from_str(text).unwrap();
    let body = exchange["response_body"].as_str().unwrap();
    let body = match exchange["response_body_encoding"].as_str() {
        Some("base64") => BASE64_STANDARD.decode(body).unwrap(),
        _ => body.as_bytes().to_vec(),
    };
    (exchange, body)
}

/// A provider's stream, cut into pieces of `cut` bytes.
fn events(stream: &[u8], cut: usize) -> Vec<String> {
    let (mut splitter, mut decoder) = (Splitter::default(), egress::stream::Decoder::new(UNIQUE));
    let mut events = Vec::new();
    for piece in stream.chunks(cut) {
        splitter
            .push(piece, |message| {
                decoder.push(message.frame(), &mut |event| events.push(short(&event))).unwrap();
            })
            .unwrap();
    }
    assert!(decoder.finish(&mut |event| events.push(short(&event))));
    events
}

#[test]
fn a_recorded_stream_is_read_however_it_is_cut() {
    for (name, text) in STREAMS {
        let (_, body) = exchange(text);
        let whole = events(&body, usize::MAX);
        for cut in [1, 5, 1000] {
            assert_eq!(events(&body, cut), whole, "{name}");
        }
        golden(name, &whole.join("\n"));
    }
}

#[test]
fn a_recorded_answer_is_read() {
    for (name, text) in ANSWERS {
        let (_, body) = exchange(text);
        let response = egress::response::read(&body, UNIQUE).unwrap();
        let [choice] = response.choices.as_slice() else { panic!("{name}: one choice") };
        let mut lines: Vec<String> = choice.content.iter().map(|content| format!("{content:?}")).collect();
        lines.push(format!("{:?} {:?}", choice.stop, response.usage));
        golden(name, &lines.join("\n"));
        assert!(choice.content.iter().all(|content| !matches!(content, Content::Result(_))), "{name}");
    }
}

#[test]
fn a_recorded_error_is_read() {
    let (exchange, body) = exchange(ERROR);
    let fault = error::read(403, exchange["x-amzn-errortype"].as_str(), &body);
    assert_eq!(fault.kind, FaultKind::Authentication);
    assert_eq!(fault.message, "The security token included in the request is invalid.");
}
