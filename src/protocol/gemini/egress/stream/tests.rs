//! Tests.

use super::*;
use crate::protocol::translate::Decoder as _;

/// What the events of a stream mean, and whether it is complete.
#[track_caller]
fn decoded(events: &[&str]) -> (Vec<String>, bool) {
    let (mut decoder, mut all) = (Decoder::new("u"), Vec::new());
    for event in events {
        let frame = Frame { name: None, data: event.as_bytes() };
        decoder.push(frame, &mut |event| all.push(short(&event))).unwrap();
    }
    let complete = decoder.finish(&mut |event| all.push(short(&event)));
    (all, complete)
}

fn short(event: &Event<'_>) -> String {
    match event {
        Event::Start { id, .. } => format!("start {id}"),
        Event::Delta { choice: 0, delta } => format!("{delta:?}"),
        Event::Delta { choice, delta } => format!("{choice}: {delta:?}"),
        Event::Finish { choice, stop, .. } => format!("{choice} ends: {stop:?}"),
        Event::Usage(usage) => format!("{:?}/{:?}", usage.input, usage.output),
        Event::Error(fault) => format!("error {:?}: {}", fault.kind, fault.message),
    }
}

#[test]
fn several_parts_in_one_chunk_all_count() {
    // Q57 of the facts; the usage is cumulative, and the call ends with STOP.
    let (events, complete) = decoded(&[
        r#"{"candidates":[{"content":{"parts":[{"text":"a"},{"text":"b"},{"text":"t","thought":true}]},"index":0}],"usageMetadata":{"promptTokenCount":5,"totalTokenCount":5},"responseId":"r"}"#,
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"x": 1}},"thoughtSignature":"s"},{"functionCall":{"name":"g"}},{"text":"","thoughtSignature":"z"}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":7,"totalTokenCount":12}}"#,
    ]);
    assert!(complete);
    insta::assert_snapshot!(events.join("\n"), @r#"
    start r
    Some(5)/Some(0)
    Text("a")
    Text("b")
    Reasoning("t")
    Some(5)/Some(7)
    Call { index: 0, id: "call_u_0", name: "f", custom: false, signature: Some(Signature { maker: Google, value: "s" }) }
    Input { index: 0, text: "{\"x\":1}" }
    Call { index: 1, id: "call_u_1", name: "g", custom: false, signature: None }
    Input { index: 1, text: "{}" }
    Signature(Signature { maker: Google, value: "z" })
    0 ends: Calls
    "#);
}

#[test]
fn a_blocked_prompt_is_an_answer_that_was_filtered() {
    let (events, complete) = decoded(&[r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#, "", " \n"]);
    assert!(complete);
    assert_eq!(events, ["start ", "0 ends: Filter"]);
}

#[test]
fn a_stream_is_complete_when_every_candidate_that_began_has_its_reason() {
    let one = r#"{"candidates":[{"content":{"parts":[{"text":"a"}]},"index":1}]}"#;
    let first = r#"{"candidates":[{"finishReason":"STOP","index":0}]}"#;
    let second = r#"{"candidates":[{"finishReason":"MAX_TOKENS","index":1,"content":{}}]}"#;
    assert!(!decoded(&[]).1);
    assert!(!decoded(&[one, first]).1);
    let (events, complete) = decoded(&[one, first, second, second]);
    assert!(complete);
    assert_eq!(events, ["start ", "1: Text(\"a\")", "0 ends: End", "1 ends: Length"]);
}

#[test]
fn an_error_in_the_stream_is_told_by_meaning_and_nonsense_is_unreadable() {
    let (events, complete) = decoded(&[r#"{"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}"#]);
    assert_eq!((events, complete), (vec!["error Overloaded: busy".to_owned()], false));
    let mut decoder = Decoder::new("u");
    assert!(decoder.push(Frame { name: None, data: b"[DONE]x" }, &mut |_| ()).is_err());
}

#[test]
fn an_image_comes_whole() {
    let (events, _) = decoded(&[
        r#"{"candidates":[{"content":{"parts":[{"inlineData":{"mimeType":"image/png","data":"AA=="}}]},"finishReason":"STOP"}]}"#,
    ]);
    assert_eq!(events[1], r#"Image(Data { mime: "image/png", base64: "AA==" })"#);
}
