//! The stream machine, event by event and in every cut.

use proptest::prelude::*;

use super::*;
use crate::{chat::usage::Usage, protocol::passing::Ending};

const ROLE: &str = "data: {\"id\":\"1\",\"model\":\"up\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n";
const WORD: &str = "data: {\"id\":\"1\",\"x\":1.50e0,\"model\":\"up\",\"choices\":[{\"delta\":{\"content\":\"h\u{e9}\"}}],\"usage\":null}\n\n";
const STOP: &str = "data: {\"model\":\"up\",\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str = "data: {\"model\":\"up\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":5,\"total_tokens\":8}}\n\n";
const END: &str = "data: [DONE]\n\n";

fn stream(hide: bool) -> Stream {
    Stream::new(
        Bytes::from_static(b"\"p/m\""),
        hide,
        Some(["sk-secret".into(), "second-secret".into()].into()),
    )
}

fn pass(stream: &mut Stream, events: &[&str]) -> String {
    let out = events.iter().map(|e| stream.push(Bytes::copy_from_slice(e.as_bytes())).expect("small"));
    String::from_utf8(out.flat_map(|b| b.to_vec()).collect()).expect("utf-8")
}

#[test]
fn every_byte_passes_but_the_model_name() {
    let comment = ": PROCESSING\n\n";
    let out = pass(&mut stream(false), &[comment, ROLE, WORD, STOP, USAGE, END]);
    assert_eq!(out, [comment, ROLE, WORD, STOP, USAGE, END].concat().replace("\"up\"", "\"p/m\""));
}

#[test]
fn a_usage_chunk_nobody_asked_for_is_hidden_but_counted() {
    let mut stream = stream(true);
    let out = pass(&mut stream, &[WORD, STOP, USAGE, END]);
    assert_eq!(out, [WORD, STOP, END].concat().replace("\"up\"", "\"p/m\""));
    assert_eq!(stream.seen().usage, Some(Usage { input: Some(3), output: Some(5), ..Usage::default() }));
}

#[test]
fn a_role_is_no_output_and_a_word_is() {
    let mut stream = stream(false);
    pass(&mut stream, &[ROLE]);
    assert!(!stream.seen().output);
    pass(&mut stream, &[WORD]);
    assert!(stream.seen().output);
}

#[test]
fn a_stream_cut_in_the_middle_ends_with_an_error_event() {
    let mut stream = stream(false);
    pass(&mut stream, &[WORD, "data: {\"model\":\"up\",\"cho"]);
    let (last, ending) = stream.finish();
    let last = String::from_utf8(last.to_vec()).expect("utf-8");
    assert!(last.starts_with("data: {\"error\":{") && !last.contains("DONE"), "{last}");
    assert_eq!(ending, Ending::Broken);
}

#[test]
fn a_finish_reason_without_terminator_is_complete_and_the_terminator_is_added() {
    let mut stream = stream(false);
    pass(&mut stream, &[WORD, STOP]);
    assert_eq!(stream.finish(), (Bytes::from_static(Chunks::TERMINATOR), Ending::Complete));
}

#[test]
fn a_stream_of_two_choices_is_complete_when_both_are() {
    let chunk = |index, reason| {
        format!(
            "data: {{\"choices\":[{{\"index\":{index},\"delta\":{{\"content\":\"x\"}},\"finish_reason\":{reason}}}]}}\n\n"
        )
    };
    let (mut one, mut both) = (stream(false), stream(false));
    let begun = [chunk(0, "null"), chunk(1, "null"), chunk(0, "\"stop\"")];
    pass(&mut one, &begun.each_ref().map(String::as_str));
    assert_eq!(one.finish().1, Ending::Broken);
    pass(&mut both, &begun.each_ref().map(String::as_str));
    pass(&mut both, &[&chunk(1, "\"length\"")]);
    assert_eq!(both.finish().1, Ending::Complete);
}

#[test]
fn an_error_event_does_not_tell_the_key() {
    let out = pass(
        &mut stream(false),
        &["data: {\"error\":{\"message\":\"bad key sk-secret, second-secret\"}}\n\n"],
    );
    assert_eq!(out, "data: {\"error\":{\"message\":\"bad key …, …\"}}\n\n");
}

#[test]
fn what_is_no_chunk_does_not_tell_the_key_either() {
    let shapes = [
        "bad key sk-secret",
        r#"[{"error":"sk-secret"}]"#,
        r#"{"error":"sk-secret","choices":3}"#,
        r#"{"object":"error","message":"sk-secret"}"#,
    ];
    for data in shapes {
        let out = pass(&mut stream(false), &[&format!("event: error\ndata: {data}\n\n")]);
        assert_eq!(out, format!("event: error\ndata: {}\n\n", data.replace("sk-secret", "…")));
    }
}

#[test]
fn a_comment_does_not_tell_the_key_either() {
    let out = pass(&mut stream(false), &[": bad key sk-secret\n\n", ": second-secret\nid: sk-secret\n\n"]);
    assert_eq!(out, ": bad key …\n\n: …\nid: …\n\n");
}

#[test]
fn an_error_that_told_the_key_has_the_clients_model_all_the_same() {
    let out =
        pass(&mut stream(false), &["data: {\"model\":\"up\",\"error\":{\"message\":\"sk-secret\"}}\n\n"]);
    assert_eq!(out, "data: {\"model\":\"p/m\",\"error\":{\"message\":\"…\"}}\n\n");
}

#[test]
fn a_terminator_without_its_blank_line_is_still_one() {
    let mut stream = stream(false);
    pass(&mut stream, &[WORD, "data: [DONE]"]);
    assert_eq!(stream.finish(), (Bytes::from_static(Chunks::TERMINATOR), Ending::Complete));
}

#[test]
fn after_an_error_event_there_is_no_done() {
    let mut stream = stream(false);
    let error = "data: {\"error\":{\"message\":\"no\"}}\n\n";
    assert_eq!(pass(&mut stream, &[error, END]), error);
    assert!(stream.seen().error && !stream.seen().output);
    assert_eq!(stream.finish(), (Bytes::new(), Ending::Broken));
}

#[test]
fn json_spread_over_lines_goes_out_on_one() {
    let out = pass(&mut stream(false), &["data: {\"model\":\ndata: \"up\",\ndata: \"choices\":[]}\n\n"]);
    assert_eq!(out, "data: {\"model\": \"p/m\", \"choices\":[]}\n\n");
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_bytes(cuts in proptest::collection::vec(0usize..700, 0..9)) {
        let all = [ROLE, WORD, STOP, USAGE, END].concat();
        let whole = pass(&mut stream(true), &[&all]);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(all.len())).collect();
        cuts.sort_unstable();
        let mut stream = stream(true);
        let mut out = Vec::new();
        let mut from = 0;
        for cut in cuts.into_iter().chain([all.len()]) {
            out.extend_from_slice(&stream.push(Bytes::copy_from_slice(&all.as_bytes()[from..cut])).expect("small"));
            from = cut;
        }
        prop_assert_eq!(String::from_utf8(out).expect("utf-8"), whole);
    }

    #[test]
    fn no_bytes_make_it_panic(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..9)) {
        let mut stream = stream(true);
        for piece in pieces {
            let _ = stream.push(piece.into());
        }
        let _ = stream.finish();
    }
}
