//! Tests.

use super::*;
use crate::{
    chat::{content::Media, fault::Fault},
    protocol::{
        gemini::tests::{ASKED, grammar},
        translate::Encoder as _,
    },
};

fn encoder(framing: Framing) -> Encoder {
    Encoder::new(Expected::default(), &ASKED, framing)
}

fn call(index: u32) -> Delta<'static> {
    Delta::Call { index, id: format!("c{index}").into(), name: "f".into(), custom: false, signature: None }
}

fn input(index: u32, text: &'static str) -> Delta<'static> {
    Delta::Input { index, text: text.into() }
}

fn push(encoder: &mut Encoder, delta: Delta<'static>) -> String {
    let mut out = Vec::new();
    encoder.push(Event::Delta { choice: 0, delta }, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_call_is_one_part_as_soon_as_it_is_whole_and_order_stays() {
    let mut encoder = encoder(Framing::Sse);
    assert_eq!(push(&mut encoder, call(0)), "");
    assert_eq!(push(&mut encoder, input(0, r#"{"a":"#)), "");
    assert_eq!(push(&mut encoder, call(1)), "");
    assert_eq!(push(&mut encoder, input(1, "{}")), "", "it waits behind the first");
    assert_eq!(push(&mut encoder, Delta::Text("x".into())), "");
    let out = push(&mut encoder, input(0, "1}"));
    let parts: Vec<String> = grammar::chunks(out.as_bytes(), Framing::Sse)
        .iter()
        .map(|chunk| chunk["candidates"][0]["content"]["parts"].to_string())
        .collect();
    assert_eq!(
        parts,
        [
            r#"[{"functionCall":{"id":"c0","name":"f","args":{"a":1}}}]"#,
            r#"[{"functionCall":{"id":"c1","name":"f","args":{}}}]"#,
            r#"[{"text":"x"}]"#,
        ]
    );
    assert_eq!(push(&mut encoder, input(0, " ")), "", "blanks behind the end are nothing");
}

#[test]
fn the_reason_and_the_late_usage_stand_in_the_last_chunk_only() {
    for (framing, expected) in [
        (
            Framing::Sse,
            "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}],\"role\":\"model\"},\"index\":0}],\"modelVersion\":\"google/m\",\"responseId\":\"0123456789abcdef01234567\"}\r\n\r\ndata: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\"}],\"role\":\"model\"},\"finishReason\":\"MAX_TOKENS\",\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":3,\"candidatesTokenCount\":1,\"totalTokenCount\":4},\"modelVersion\":\"google/m\",\"responseId\":\"0123456789abcdef01234567\"}\r\n\r\n",
        ),
        (
            Framing::Array,
            "[{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}],\"role\":\"model\"},\"index\":0}],\"modelVersion\":\"google/m\",\"responseId\":\"0123456789abcdef01234567\"},\r\n{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\"}],\"role\":\"model\"},\"finishReason\":\"MAX_TOKENS\",\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":3,\"candidatesTokenCount\":1,\"totalTokenCount\":4},\"modelVersion\":\"google/m\",\"responseId\":\"0123456789abcdef01234567\"}]",
        ),
    ] {
        let (mut encoder, mut out) = (encoder(framing), Vec::new());
        encoder.push(Event::Delta { choice: 0, delta: Delta::Text("a".into()) }, &mut out);
        encoder.push(Event::Finish { choice: 0, stop: Stop::Length, stop_sequence: None }, &mut out);
        encoder.push(Event::Usage(Usage { input: Some(3), output: Some(1), ..Usage::default() }), &mut out);
        encoder.finish(&mut out);
        encoder.fail(502, "late", &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

#[test]
fn a_call_that_is_ended_by_length_within_its_arguments_is_left_out_and_what_waits_behind_it_is_not() {
    for (stop, calls, reason) in [(Stop::Length, 1, "MAX_TOKENS"), (Stop::Calls, 2, "STOP")] {
        let (mut encoder, mut out) = (encoder(Framing::Sse), Vec::new());
        for delta in [call(0), input(0, r#"{"a":"#), call(1), input(1, "{}"), Delta::Text("x".into())] {
            encoder.push(Event::Delta { choice: 0, delta }, &mut out);
        }
        encoder.push(Event::Finish { choice: 0, stop, stop_sequence: None }, &mut out);
        encoder.finish(&mut out);
        let answer = grammar::answer(&out, Framing::Sse);
        assert_eq!(answer["candidates"][0]["finishReason"], reason);
        let out = String::from_utf8(out).unwrap();
        assert_eq!(out.matches("functionCall").count(), calls, "{out}");
        assert!(out.contains(r#"{"text":"x"}"#), "{out}");
    }
}

#[test]
fn an_error_is_the_last_chunk_in_either_framing() {
    let error = r#"{"error":{"code":529,"message":"busy","status":"UNAVAILABLE"}}"#;
    for (framing, begun, expected) in [
        (Framing::Sse, false, format!("data: {error}\r\n\r\n")),
        (Framing::Array, false, format!("[{error}]")),
        (Framing::Array, true, format!(",\r\n{error}]")),
    ] {
        let (mut encoder, mut out) = (encoder(framing), Vec::new());
        if begun {
            push(&mut encoder, Delta::Text("a".into()));
        }
        let fault = Fault { kind: FaultKind::Overloaded, message: "busy".into() };
        encoder.push(Event::Error(fault), &mut out);
        encoder.push(Event::Delta { choice: 0, delta: Delta::Text("b".into()) }, &mut out);
        encoder.finish(&mut out);
        encoder.fail(504, "late", &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

#[test]
fn what_waits_is_bounded() {
    let (mut encoder, mut out) = (encoder(Framing::Sse), Vec::new());
    push(&mut encoder, call(0));
    let text = "x".repeat(1 << 20);
    for _ in 0..9 {
        encoder.push(
            Event::Delta { choice: 0, delta: Delta::Input { index: 0, text: (&text).into() } },
            &mut out,
        );
    }
    assert!(String::from_utf8(out).unwrap().contains("too long"));
    assert_eq!(push(&mut encoder, Delta::Text("a".into())), "");
}

#[test]
fn several_choices_are_told_apart_and_end_together() {
    let (mut encoder, mut out) = (encoder(Framing::Sse), Vec::new());
    for choice in [1, 0, 1] {
        encoder.push(Event::Delta { choice, delta: Delta::Text("a".into()) }, &mut out);
    }
    encoder.push(Event::Finish { choice: 0, stop: Stop::End, stop_sequence: None }, &mut out);
    encoder.push(Event::Finish { choice: 1, stop: Stop::Filter, stop_sequence: None }, &mut out);
    encoder.finish(&mut out);
    let answer = grammar::answer(&out, Framing::Sse);
    assert_eq!(answer["candidates"][0]["finishReason"], "STOP");
    assert_eq!(answer["candidates"][1]["finishReason"], "SAFETY");
    assert_eq!(answer["candidates"][1]["content"]["parts"][0]["text"], "aa");
}

#[test]
fn an_image_is_a_part() {
    let data = Media::Data { mime: "image/png".into(), base64: "AA==".into() };
    let out = push(&mut encoder(Framing::Sse), Delta::Image(data));
    assert!(out.contains(r#""parts":[{"inlineData":{"mimeType":"image/png","data":"AA=="}}]"#), "{out}");
    let out = push(&mut encoder(Framing::Sse), Delta::Image(Media::Url("https://a/b".into())));
    assert!(out.contains(r#""parts":[{"text":"![image](https://a/b)"}]"#), "{out}");
}
