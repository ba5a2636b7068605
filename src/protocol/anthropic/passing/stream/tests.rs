//! What is seen of a stream that passes, and how it ends.

use super::*;
use crate::{chat::usage::Usage, protocol::passing::Ending};

const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"1\", \"model\": \"up\",\"usage\":{\"input_tokens\":11,\"cache_read_input_tokens\":2055,\"output_tokens\":4}}   }\n\n";
const BLOCK: &str = "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";
const PING: &str = "event: ping\ndata: {\"type\": \"ping\"}\n\n";
const WORD: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n";
const END: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"input_tokens\":11,\"output_tokens\":9}}\n\n";
const STOP: &str = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

fn stream() -> Stream {
    Stream::new(Bytes::from_static(b"\"p/m\""), Some(["sk-secret".into()].into()))
}

fn pass(stream: &mut Stream, events: &[&str]) -> String {
    let out = events.iter().map(|event| stream.push(Bytes::copy_from_slice(event.as_bytes())).unwrap());
    String::from_utf8(out.flat_map(|bytes| bytes.to_vec()).collect()).unwrap()
}

#[test]
fn every_byte_passes_but_the_model_name() {
    let events = [START, BLOCK, PING, WORD, END, STOP];
    let mut stream = stream();
    assert_eq!(pass(&mut stream, &events), events.concat().replace("\"up\"", "\"p/m\""));
    assert_eq!(stream.finish(), (Bytes::new(), Ending::Complete));
}

#[test]
fn the_provisional_output_is_not_told_and_the_cache_is_not_forgotten() {
    let mut stream = stream();
    pass(&mut stream, &[START]);
    let begun = Usage { input: Some(2066), cached: Some(2055), ..Usage::default() };
    assert_eq!(stream.seen().usage, Some(begun));
    pass(&mut stream, &[END]);
    assert_eq!(stream.seen().usage, Some(Usage { output: Some(9), ..begun }));
}

#[test]
fn the_start_of_a_text_is_no_output_and_a_word_or_a_call_is() {
    let mut words = stream();
    pass(&mut words, &[START, BLOCK, PING]);
    assert!(!words.seen().output);
    pass(&mut words, &[WORD]);
    assert!(words.seen().output);
    let mut call = stream();
    pass(
        &mut call,
        &[&BLOCK.replace("\"text\",\"text\":\"\"", "\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}")],
    );
    assert!(call.seen().output);
}

#[test]
fn a_reason_without_terminator_is_complete_and_a_cut_is_an_error() {
    let mut ended = stream();
    pass(&mut ended, &[START, WORD, END]);
    assert_eq!(ended.finish(), (Bytes::from_static(Events::TERMINATOR), Ending::Complete));
    let mut cut = stream();
    pass(&mut cut, &[START, WORD]);
    let (last, ending) = cut.finish();
    assert!(last.starts_with(b"event: error\ndata: {\"type\":\"error\""));
    assert_eq!(ending, Ending::Broken);
}

#[test]
fn an_error_event_is_the_end_and_does_not_tell_the_key() {
    let mut stream = stream();
    let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"sk-secret\"}}\n\n";
    assert_eq!(
        pass(&mut stream, &[START, error, STOP]),
        [START, error].concat().replace("\"up\"", "\"p/m\"").replace("sk-secret", "…")
    );
    assert_eq!(stream.finish(), (Bytes::new(), Ending::Broken));
}
