//! What upstreams answer in one piece.

use nexus::{
    chat::fault::FaultKind,
    protocol::{
        openai_chat::{
            error::{self, Upstream},
            passing::response::parse,
        },
        splice::Edit,
        sse,
    },
};
use serde_json::{Value, value::RawValue};

use crate::{NAME, edited, name_json, renamed};

/// An answer is read as others read it, and passes but for the model.
pub fn response(body: &[u8]) {
    let Ok(read) = parse(body) else { return };
    if let Ok(plain) = serde_json::from_slice::<Value>(body) {
        let usage = |name| plain["usage"][name].as_u64();
        assert_eq!(read.usage.and_then(|usage| usage.input), usage("prompt_tokens"));
        assert_eq!(read.usage.and_then(|usage| usage.output), usage("completion_tokens"));
        assert_eq!(read.error, !plain["error"].is_null());
        let model =
            read.model.clone().map(|at| serde_json::from_slice::<String>(&body[at]).expect("a string"));
        assert_eq!(model.as_deref(), plain["model"].as_str());
    }
    let Some(at) = read.model.clone() else { return };
    let with_name = edited(body, [Edit::bytes(at.clone(), name_json().into())]);
    assert_eq!(renamed(body, &with_name), Some(&body[at]));
    let again = parse(&with_name).expect("still an answer");
    assert_eq!((again.usage, again.error), (read.usage, read.error));
    let model = again.model.map(|at| serde_json::from_slice::<String>(&with_name[at]).expect("a string"));
    assert_eq!(model.as_deref(), Some(NAME));
}

/// An error is in the dialect, or gives a text that a person can read, which is told in the dialect.
pub fn error(body: &[u8]) {
    let text = match error::read_upstream(body) {
        Upstream::Dialect => {
            let lossy = String::from_utf8_lossy(body);
            let json: &RawValue = serde_json::from_str(&lossy).expect("what passes is JSON");
            return assert!(json.get().starts_with('{'));
        }
        Upstream::Text(text) => text,
    };
    assert!(!text.is_empty() && text.chars().count() <= 2001);
    let said = |json: &[u8]| {
        let json: Value = serde_json::from_slice(json).expect("JSON");
        json["error"]["message"].as_str().expect("a message").to_owned()
    };
    assert_eq!(said(&error::body(FaultKind::Internal, 500, &text, None)), text);
    let event = error::event(FaultKind::Other, 502, &text);
    assert_eq!(said(&sse::data(&event).expect("one event")), text);
}
