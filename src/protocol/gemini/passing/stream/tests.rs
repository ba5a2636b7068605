//! Tests.

use super::*;
use crate::protocol::passing::Ending;

fn stream() -> Stream {
    Stream::new(Bytes::from_static(b"\"p/m\""), Some(["key1".into()].into()))
}

fn pass(stream: &mut Stream, chunk: &str) -> String {
    let event = format!("data: {chunk}\r\n\r\n");
    String::from_utf8(stream.push(Bytes::from(event)).unwrap().to_vec()).unwrap()
}

#[test]
fn the_model_is_renamed_in_every_chunk_and_the_last_usage_stands() {
    let mut stream = stream();
    let first = r#"{"candidates": [{"content": {"parts": [{"text": ""}]}}],"usageMetadata": {"promptTokenCount": 5,"totalTokenCount": 5},"modelVersion": "up"}"#;
    assert_eq!(pass(&mut stream, first), format!("data: {}\r\n\r\n", first.replace("\"up\"", "\"p/m\"")));
    assert!(!stream.seen().output, "an empty text is none");
    let last = r#"{"modelVersion":"up","candidates":[{"content":{"parts":[{"functionCall":{}}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":2,"thoughtsTokenCount":1}}"#;
    assert_eq!(pass(&mut stream, last), format!("data: {}\r\n\r\n", last.replace("\"up\"", "\"p/m\"")));
    let seen = stream.seen();
    assert!(seen.output && seen.finished);
    assert_eq!(seen.usage.and_then(|usage| usage.output), Some(3));
    assert_eq!(stream.finish(), (Bytes::new(), Ending::Complete));
}

#[test]
fn an_end_before_every_candidate_has_its_reason_is_an_error() {
    for chunks in [
        &[][..],
        &[r#"{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}"#],
        &[r#"{"candidates":[{"index":0,"finishReason":"STOP"},{"index":1}]}"#],
        &[r#"{"usageMetadata":{}}"#],
    ] {
        let mut stream = stream();
        chunks.iter().for_each(|chunk| _ = pass(&mut stream, chunk));
        let (end, ending) = stream.finish();
        assert_eq!(ending, Ending::Broken);
        assert!(
            end.starts_with(b"data: {\"error\":{\"code\":502,") && end.ends_with(b"}}\r\n\r\n"),
            "{end:?}"
        );
    }
}

#[test]
fn a_blocked_prompt_is_a_whole_answer() {
    let mut stream = stream();
    pass(&mut stream, r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#);
    assert_eq!(stream.finish(), (Bytes::new(), Ending::Complete));
}

#[test]
fn an_error_passes_without_the_key_and_nothing_is_added() {
    let mut stream = stream();
    let error = r#"{"error":{"code":400,"message":"key1 is bad","status":"INVALID_ARGUMENT"}}"#;
    assert_eq!(pass(&mut stream, error), format!("data: {}\r\n\r\n", error.replace("key1", "…")));
    assert_eq!(stream.finish(), (Bytes::new(), Ending::Broken));
}
