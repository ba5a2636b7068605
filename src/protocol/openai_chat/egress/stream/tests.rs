//! Streams as providers write them, one oddity at a time.

use proptest::prelude::*;

use super::*;
use crate::{chat::fault::FaultKind, protocol::translate::Decoder as _};

/// The events of these data, in short, and whether the answer is complete.
fn decode(data: &[&str]) -> (Vec<String>, bool) {
    let mut decoder = Decoder::new("u");
    let mut all = Vec::new();
    for data in data {
        let frame = Frame { name: None, data: data.as_bytes() };
        decoder.push(frame, &mut |event| all.push(short(&event))).unwrap();
    }
    let complete = decoder.finish(&mut |event| all.push(short(&event)));
    (all, complete)
}

fn short(event: &Event<'_>) -> String {
    match event {
        Event::Start { id, .. } => format!("start {id}"),
        Event::Delta { choice, delta } => format!("{choice} {}", short_delta(delta)),
        Event::Finish { choice, stop, .. } => format!("{choice} finish {stop:?}"),
        Event::Usage(usage) => format!("usage {:?} {:?}", usage.input, usage.output),
        Event::Error(fault) => format!("error {:?} {}", fault.kind, fault.message),
    }
}

fn short_delta(delta: &Delta<'_>) -> String {
    match delta {
        Delta::Text(text) => format!("text {text}"),
        Delta::Refusal(text) => format!("refusal {text}"),
        Delta::Reasoning(text) => format!("reasoning {text}"),
        Delta::Signature(signature) => format!("signature {}", signature.value),
        Delta::Redacted(signature) => format!("redacted {}", signature.value),
        Delta::Call { index, id, name, custom, .. } => format!("call {index} {id} {name} {custom}"),
        Delta::Input { index, text } => format!("input {index} {text}"),
        Delta::Image(media) => format!("image {media:?}"),
        Delta::Logprobs(json) => format!("logprobs {}", json.text()),
    }
}

fn chunk(delta: &str, reason: &str) -> String {
    format!(r#"{{"id":"x","choices":[{{"index":0,"delta":{delta},"finish_reason":{reason}}}]}}"#)
}

fn events(data: &[String]) -> Vec<String> {
    decode(&data.iter().map(String::as_str).collect::<Vec<_>>()).0
}

const DONE: &str = "[DONE]";

#[test]
fn the_first_chunk_may_hold_the_first_call() {
    let first = r#"{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"c","type":"function",
        "function":{"name":"f","arguments":""}}]}"#;
    let more = r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":1}"}}]}"#;
    let all = events(&[chunk(first, "null"), chunk(more, "null"), chunk("{}", "\"stop\""), DONE.to_owned()]);
    assert_eq!(all, ["start x", "0 call 0 c f false", "0 input 0 {\"a\":1}", "0 finish Calls"]);
}

#[test]
fn calls_without_index_or_type_or_id_are_told_apart() {
    // Mistral, Ollama: whole calls in one chunk.
    let whole = r#"{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}},
        {"id":"b","function":{"name":"g","arguments":"{}"}},{"function":{"name":"h","arguments":"{}"}}]}"#;
    assert_eq!(
        events(&[chunk(whole, "\"tool_calls\"")])[1..],
        [
            "0 call 0 a f false",
            "0 input 0 {}",
            "0 call 1 b g false",
            "0 input 1 {}",
            "0 call 2 call_u_0_2 h false",
            "0 input 2 {}",
            "0 finish Calls"
        ]
    );
    // Some give every call the index 0.
    let same = |id: &str| {
        chunk(
            &format!(
                r#"{{"tool_calls":[{{"index":0,"id":"{id}","function":{{"name":"f","arguments":"{{}}"}}}}]}}"#
            ),
            "null",
        )
    };
    assert_eq!(
        events(&[same("a"), same("b")])[1..],
        ["0 call 0 a f false", "0 input 0 {}", "0 call 1 b f false", "0 input 1 {}"]
    );
    // And no id to any of them.
    let same = |function: &str| {
        chunk(&format!(r#"{{"tool_calls":[{{"index":0,"function":{{{function}}}}}]}}"#), "null")
    };
    let (first, rest) = (r#""name":"f","arguments":"{\"a\"""#, r#""name":"f","arguments":":1}""#);
    let repeated = r#""name":"f","arguments":"""#;
    let more = [first, rest, repeated, r#""name":"f","arguments":"{}""#, r#""name":"g""#];
    assert_eq!(
        events(&more.map(same))[1..],
        [
            "0 call 0 call_u_0_0 f false",
            "0 input 0 {\"a\"",
            "0 input 0 :1}",
            "0 call 1 call_u_0_1 f false",
            "0 input 1 {}",
            "0 call 2 call_u_0_2 g false"
        ]
    );
}

#[test]
fn a_call_without_input_has_an_empty_object_and_one_without_a_name_waits_for_it() {
    let piece = |call: &str| chunk(&format!(r#"{{"tool_calls":[{call}]}}"#), "null");
    let all = events(&[
        piece(r#"{"index":0,"id":"a","function":{"arguments":"{\"x\""}}"#),
        piece(r#"{"index":0,"function":{"name":"f","arguments":":1}"}}"#),
        piece(r#"{"index":1,"id":"b","function":{"name":"g","arguments":""}}"#),
        chunk("{}", "\"tool_calls\""),
    ]);
    assert_eq!(
        all[1..],
        [
            "0 call 0 a f false",
            "0 input 0 {\"x\"",
            "0 input 0 :1}",
            "0 call 1 b g false",
            "0 input 1 {}",
            "0 finish Calls"
        ]
    );
}

#[test]
fn a_function_call_from_before_there_were_tools_is_a_call() {
    let all = events(&[
        chunk(r#"{"role":"assistant","content":null,"function_call":{"name":"f","arguments":""}}"#, "null"),
        chunk(r#"{"function_call":{"arguments":"{}"}}"#, "null"),
        chunk("{}", "\"function_call\""),
    ]);
    assert_eq!(all[1..], ["0 call 0 call_u_0_0 f false", "0 input 0 {}", "0 finish Calls"]);
}

#[test]
fn azures_first_chunk_is_no_answer_yet_and_a_moderation_is_none() {
    let azure = r#"{"choices":[],"id":"","model":"","prompt_filter_results":[{}]}"#;
    let moderation = r#"{"id":"x","choices":[],"moderation":{}}"#;
    let (all, complete) = decode(&[azure, &chunk(r#"{"content":"a"}"#, "\"stop\""), moderation, DONE]);
    assert_eq!(all, ["start x", "0 text a", "0 finish End"]);
    assert!(complete);
}

#[test]
fn usage_may_come_with_choices_or_after_them_or_in_groqs_own_field() {
    let with =
        r#"{"id":"x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}"#;
    let after = r#"{"id":"x","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
    let (all, _) = decode(&[with, after, r#"{"x_groq":{"usage":{"completion_tokens":3}}}"#]);
    assert_eq!(
        all[1..],
        ["0 finish End", "usage Some(1) None", "usage Some(1) Some(2)", "usage Some(1) Some(3)"]
    );
}

#[test]
fn a_reason_without_terminator_is_complete_and_an_end_without_either_is_not() {
    let (_, complete) = decode(&[&chunk(r#"{"content":"a"}"#, "\"stop\"")]);
    assert!(complete, "Perplexity sends no [DONE]");
    let (_, complete) = decode(&[&chunk(r#"{"content":"a"}"#, "null")]);
    assert!(!complete);
    let (all, complete) = decode(&[&chunk(r#"{"role":"assistant","content":"a"}"#, "\"\""), DONE]);
    assert_eq!((all.last().unwrap().as_str(), complete), ("0 finish End", true), "Snowflake says \"\"");
    let (all, complete) = decode(&[DONE]);
    assert_eq!((all, complete), (vec!["start ".to_owned(), "0 finish End".to_owned()], true));
}

#[test]
fn an_error_in_any_shape_ends_the_stream() {
    for (name, data, said) in [
        (None, r#"{"error":{"code":429,"message":"m"}}"#, "error RateLimit m"),
        (None, r#"{"code":"invalid-argument","error":"m"}"#, "error Invalid m"),
        (None, r#"{"object":"error","message":"m","code":500}"#, "error Internal m"),
        (Some("error"), r#"{"error":{"message":"m","type":"invalid_request_error"}}"#, "error Invalid m"),
        (Some("error"), "no JSON", "error Other no JSON"),
    ] {
        let (mut decoder, mut all) = (Decoder::new("u"), Vec::new());
        decoder.push(Frame { name, data: data.as_bytes() }, &mut |event| all.push(short(&event))).unwrap();
        let after = Frame { name: None, data: DONE.as_bytes() };
        decoder.push(after, &mut |event| all.push(short(&event))).unwrap();
        assert_eq!((all, decoder.finish(&mut |_| ())), (vec![said.to_owned()], false), "{data}");
    }
    assert_eq!(error::in_stream("[]").kind, FaultKind::Other);
}

#[test]
fn choices_are_told_apart_and_there_is_an_end_to_them() {
    let of =
        |index: u32| format!(r#"{{"id":"x","choices":[{{"index":{index},"delta":{{"content":"a"}}}}]}}"#);
    assert_eq!(events(&[of(1), of(0)])[1..], ["1 text a", "0 text a"]);
    let mut decoder = Decoder::new("u");
    let far = of(u32::MAX);
    assert!(decoder.push(Frame { name: None, data: far.as_bytes() }, &mut |_| ()).is_err());
    let mut decoder = Decoder::new("u");
    let held = chunk(
        &format!(r#"{{"tool_calls":[{{"index":0,"function":{{"arguments":"{}"}}}}]}}"#, "a".repeat(70_000)),
        "null",
    );
    assert!(decoder.push(Frame { name: None, data: held.as_bytes() }, &mut |_| ()).is_err());
}

#[test]
fn what_openrouter_wants_back_comes_behind_the_reasoning_and_images_as_they_come() {
    let all = events(&[
        chunk(
            r#"{"reasoning":"a","reasoning_details":[{"type":"reasoning.text","text":"a","index":0}]}"#,
            "null",
        ),
        chunk(
            r#"{"reasoning":"b","reasoning_details":[{"type":"reasoning.text","text":"b","index":0}]}"#,
            "null",
        ),
        chunk(r#"{"reasoning_details":[{"type":"reasoning.text","signature":"S","index":0}]}"#, "null"),
        chunk(r#"{"content":"c"}"#, "null"),
        chunk(r#"{"images":[{"type":"image_url","image_url":{"url":"https://a/b"}}]}"#, "null"),
        chunk(r#"{"reasoning_details":[{"type":"reasoning.encrypted","data":"D"}]}"#, "\"stop\""),
    ]);
    let signature = all[3].strip_prefix("0 signature ").unwrap();
    let expected =
        serde_json::json!([{"type": "reasoning.text", "text": "ab", "index": 0, "signature": "S"}]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(signature).unwrap(), expected);
    assert_eq!(all[1..3], ["0 reasoning a", "0 reasoning b"]);
    assert_eq!(all[4..6], ["0 text c", "0 image Url(\"https://a/b\")"]);
    let encrypted = serde_json::json!([{"type": "reasoning.encrypted", "data": "D"}]);
    let signature = all[6].strip_prefix("0 signature ").unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(signature).unwrap(), encrypted);
}

#[test]
fn log_probabilities_and_refusals_pass() {
    let with = r#"{"id":"x","choices":[{"index":0,"delta":{"content":"a"},"logprobs":{"content":[]},"finish_reason":null}]}"#;
    let (all, _) = decode(&[with, &chunk(r#"{"refusal":"no"}"#, "\"stop\"")]);
    assert_eq!(all[1..], ["0 text a", r#"0 logprobs {"content":[]}"#, "0 refusal no", "0 finish Filter"]);
}

proptest! {
    #[test]
    fn no_events_make_it_panic(
        values in proptest::collection::vec(
            proptest::sample::select(vec!["null", "[]", "[3]", "{}", "[{}]", "\"a\"", "\"\"", "1e999", "[{\"function\":{\"name\":\"f\"}}]"]),
            5,
        ),
        bytes in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut decoder = Decoder::new("u");
        let delta = format!(r#"{{"content":{},"tool_calls":{},"function_call":{}}}"#, values[0], values[1], values[2]);
        let chunk = format!(r#"{{"choices":[{{"delta":{delta},"finish_reason":{}}}],"usage":{}}}"#, values[3], values[4]);
        for data in [chunk.as_bytes(), &bytes, DONE.as_bytes()] {
            let _ = decoder.push(Frame { name: None, data }, &mut |_| ());
        }
        decoder.finish(&mut |_| ());
    }
}
