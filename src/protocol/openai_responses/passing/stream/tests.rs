//! What is seen of a stream that passes.

use super::*;
use crate::protocol::passing::Ending;

const CREATED: &str = "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"model\":\"up\",\"usage\":null}}\n\n";
const ADDED: &str = "event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\",\"item\":{\"type\":\"message\",\"content\":[]}}\n\n";
const DELTA: &str =
    "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"a\"}\n\n";

fn end(status: &str) -> String {
    format!(
        "event: response.{status}\ndata: {{\"type\":\"response.{status}\",\"response\":{{\"model\":\"up\",\"usage\":{{\"input_tokens\":9,\"output_tokens\":2}}}}}}\n\n"
    )
}

fn pass(events: &[&str]) -> (Stream, String) {
    let mut stream = Stream::new(Bytes::from_static(b"\"p/m\""), Some(["sk-1".into()].into()));
    let out = stream.push(Bytes::from(events.concat())).unwrap();
    (stream, String::from_utf8(out.to_vec()).unwrap())
}

#[test]
fn the_last_event_ends_the_stream_whether_complete_or_not() {
    for status in ["completed", "incomplete"] {
        let end = end(status);
        let done = "data: [DONE]\n\n";
        let (mut stream, out) = pass(&[CREATED, ADDED, DELTA, &end, DELTA, done]);
        assert_eq!(
            out,
            format!(
                "{}{ADDED}{DELTA}{}{done}",
                CREATED.replace("up", "p/m"),
                end.replace("\"up\"", "\"p/m\"")
            )
        );
        assert_eq!(stream.finish(), (Bytes::new(), Ending::Complete));
        assert_eq!(stream.seen().usage.and_then(|usage| usage.input), Some(9));
    }
}

#[test]
fn output_begins_with_the_first_piece_of_it() {
    assert!(!pass(&[CREATED, ADDED]).0.seen().output);
    assert!(pass(&[CREATED, ADDED, DELTA]).0.seen().output);
    let call = "data: {\"type\":\"response.output_item.added\",\"item\":{\"type\":\"function_call\"}}\n\n";
    assert!(pass(&[CREATED, call]).0.seen().output);
}

#[test]
fn an_answer_that_fails_or_breaks_off_is_no_clean_end() {
    let failed = end("failed");
    let error = "event: error\ndata: {\"type\":\"error\",\"message\":\"key sk-1\"}\n\n";
    for events in [&[CREATED, DELTA, &failed][..], &[CREATED, error], &[CREATED, error, &failed]] {
        let (mut stream, out) = pass(events);
        assert_eq!(stream.finish(), (Bytes::new(), Ending::Broken), "{events:?}");
        assert!(!out.contains("sk-1") && out.split_terminator("\n\n").count() == events.len());
    }
    let (mut cut, _) = pass(&[CREATED, DELTA]);
    let (last, ending) = cut.finish();
    assert!(last.starts_with(b"event: error\n") && ending == Ending::Broken);
    assert!(String::from_utf8_lossy(&last).contains(r#""sequence_number":2,"#), "they are counted");
    let numbered = DELTA.replace("\"delta\":", "\"sequence_number\":41,\"delta\":");
    let (last, _) = pass(&[CREATED, &numbered]).0.finish();
    assert!(String::from_utf8_lossy(&last).contains(r#""sequence_number":42,"#), "they say it");
}
