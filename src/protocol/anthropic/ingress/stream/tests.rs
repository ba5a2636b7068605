//! Streams from events: the grammar for any events, and what is said in the end.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    chat::content::Media,
    protocol::{
        anthropic::tests::{ASKED, golden, grammar},
        translate::Encoder as _,
    },
};

fn encoder() -> Encoder {
    Encoder::new(Expected::default(), &ASKED)
}

fn delta(delta: Delta<'_>) -> Event<'_> {
    Event::Delta { choice: 0, delta }
}

fn call(index: u32) -> Event<'static> {
    let (id, name) = (format!("call_{index}").into(), format!("f{index}").into());
    delta(Delta::Call { index, id, name, custom: false, signature: None })
}

fn input(index: u32, text: &str) -> Event<'_> {
    delta(Delta::Input { index, text: text.into() })
}

fn end(stop: Stop) -> Event<'static> {
    Event::Finish { choice: 0, stop, stop_sequence: None }
}

fn start() -> Event<'static> {
    Event::Start { id: "x".into(), created: None, model: None }
}

fn pushed(encoder: &mut Encoder, events: Vec<Event<'_>>) -> Vec<u8> {
    let mut out = Vec::new();
    events.into_iter().for_each(|event| encoder.push(event, &mut out));
    out
}

fn stream(events: Vec<Event<'_>>) -> Vec<u8> {
    let mut encoder = encoder();
    let mut out = pushed(&mut encoder, events);
    encoder.finish(&mut out);
    out
}

#[test]
fn a_stream_of_all_kinds_is_written_as_anthropic_does() {
    let google = Some(Signature::new(Maker::Google, "c2ln"));
    let signed =
        Delta::Call { index: 0, id: "call_0".into(), name: "f".into(), custom: false, signature: google };
    let usage = Usage { input: Some(50), output: Some(7), cached: Some(20), ..Usage::default() };
    let events = vec![
        start(),
        delta(Delta::Reasoning("h".into())),
        delta(Delta::Reasoning("m".into())),
        delta(Delta::Text("a".into())),
        delta(signed),
        input(0, "{\"x\":"),
        input(0, "1}"),
        end(Stop::End),
        Event::Usage(usage),
    ];
    golden("stream-of-all-kinds", &String::from_utf8(stream(events)).unwrap());
}

#[test]
fn usage_is_told_when_it_is_known() {
    let early = Usage { input: Some(9), ..Usage::default() };
    let message =
        grammar::events(&stream(vec![start(), Event::Usage(early), delta(Delta::Text("a".into()))]));
    assert_eq!(message[0]["message"]["usage"]["input_tokens"], 9);
    let never = grammar::events(&stream(vec![start(), delta(Delta::Text("a".into())), end(Stop::Length)]));
    assert_eq!(never[0]["message"]["usage"]["input_tokens"], 0);
    let last = &never[never.len() - 2];
    assert_eq!(
        (&last["usage"], &last["delta"]["stop_reason"]),
        (&json!({"output_tokens": 0}), &json!("max_tokens"))
    );
}

#[test]
fn interleaved_calls_come_one_after_another() {
    let events = vec![
        call(0),
        call(1),
        input(1, "{\"b\":"),
        input(0, "{\"a\":\"}"),
        delta(Delta::Text("t".into())),
        input(1, "2}"),
        call(2),
        input(0, "\"}"),
        input(2, "{}"),
        end(Stop::Calls),
    ];
    let message = grammar::message(&stream(events));
    let said: Vec<_> =
        message["content"].as_array().unwrap().iter().map(|b| b["input"].to_string()).collect();
    assert_eq!(said, [r#"{"a":"}"}"#, r#"{"b":2}"#, "null", "{}"]);
    assert_eq!(message["stop_reason"], "tool_use");
}

#[test]
fn the_first_call_is_not_held_back() {
    let mut encoder = encoder();
    pushed(&mut encoder, vec![call(0), call(1)]);
    let now = String::from_utf8(pushed(&mut encoder, vec![input(0, "{\"a\":")])).unwrap();
    assert!(now.contains(r#""partial_json":"{\"a\":""#), "{now}");
}

#[test]
fn what_waits_is_bounded() {
    let mut encoder = encoder();
    let big = "x".repeat(1 << 20);
    pushed(&mut encoder, vec![call(0), call(1)]);
    let out: Vec<u8> = (0..9).flat_map(|_| pushed(&mut encoder, vec![input(1, &big)])).collect();
    assert_eq!(grammar::events(&out).last().unwrap()["type"], "error");
    let mut more = Vec::new();
    encoder.finish(&mut more);
    assert_eq!(more, b"");
    let calls = stream((0..2000).map(call).collect());
    assert_eq!(grammar::events(&calls).last().unwrap()["type"], "error");
}

#[test]
fn log_probabilities_take_no_room_behind_an_open_call() {
    let logprobs = || delta(Delta::Logprobs(crate::chat::json::Json::parse("{}".to_owned()).unwrap()));
    let events = std::iter::once(call(0)).chain((0..2000).map(|_| logprobs())).chain([end(Stop::Calls)]);
    assert_eq!(grammar::message(&stream(events.collect()))["content"][0]["input"], json!({}));
}

#[test]
fn an_error_is_the_last_event() {
    let (mut encoder, mut out) = (encoder(), Vec::new());
    encoder.push(start(), &mut out);
    encoder.push(delta(Delta::Text("a".into())), &mut out);
    encoder.fail(529, "busy", &mut out);
    let written = out.len();
    encoder.fail(504, "slow", &mut out);
    encoder.push(delta(Delta::Text("b".into())), &mut out);
    encoder.finish(&mut out);
    assert_eq!(out.len(), written);
    let events = grammar::events(&out);
    assert_eq!(events.last().unwrap()["error"], json!({"type": "overloaded_error", "message": "busy"}));
}

#[test]
fn an_empty_answer_and_a_refusal_are_whole_messages() {
    let empty = grammar::message(&stream(vec![]));
    assert_eq!((&empty["content"], &empty["stop_reason"]), (&json!([]), &json!("end_turn")));
    let refused =
        grammar::message(&stream(vec![start(), delta(Delta::Refusal("no".into())), end(Stop::End)]));
    assert_eq!((&refused["content"][0]["text"], &refused["stop_reason"]), (&json!("no"), &json!("refusal")));
}

#[test]
fn hidden_thinking_leaves_its_signature() {
    let mut encoder = Encoder::new(Expected { shown: Some(false), ..Expected::default() }, &ASKED);
    let signature = Delta::Signature(Signature::new(Maker::Anthropic, "EqQ"));
    let mut out = pushed(&mut encoder, vec![delta(Delta::Reasoning("hm".into())), delta(signature)]);
    encoder.finish(&mut out);
    let block = json!({"type": "thinking", "thinking": "", "signature": "EqQ"});
    assert_eq!(grammar::message(&out)["content"], json!([block]));
}

/// Any event, in any order.
fn event() -> impl Strategy<Value = Event<'static>> {
    let text = || "[a-z{}\"\\\\]{1,4}";
    let signature =
        (prop::sample::select(&[Maker::Anthropic, Maker::Google, Maker::OpenAi][..]), "[a-z]{1,4}")
            .prop_map(|(maker, value)| Signature::new(maker, value));
    prop_oneof![
        Just(start()),
        text().prop_map(|text| delta(Delta::Text(text.into()))),
        text().prop_map(|text| delta(Delta::Refusal(text.into()))),
        text().prop_map(|text| delta(Delta::Reasoning(text.into()))),
        signature.clone().prop_map(|signature| delta(Delta::Signature(signature))),
        signature.prop_map(|signature| delta(Delta::Redacted(signature))),
        (0..4u32).prop_map(call),
        (0..4u32, text()).prop_map(|(index, text)| delta(Delta::Input { index, text: text.into() })),
        Just(Event::Usage(Usage { input: Some(3), ..Usage::default() })),
        Just(end(Stop::Calls)),
    ]
}

proptest! {
    #[test]
    fn any_events_obey_the_grammar(events in prop::collection::vec(event(), 0..40)) {
        grammar::message(&stream(events));
    }

    /// Calls whose pieces are mixed in any order, each in its own order, with text between.
    #[test]
    fn no_call_loses_a_piece(
        texts in prop::collection::vec("[a-z\"{}\\\\ü]{0,6}", 1..5),
        cuts in prop::collection::vec((0..5usize, 1..4usize), 0..60),
    ) {
        let inputs: Vec<Vec<char>> = texts.iter().map(|text| json!({"v": text}).to_string().chars().collect()).collect();
        let mut at = vec![0_usize; inputs.len()];
        let (mut events, mut begun) = (Vec::new(), vec![false; inputs.len()]);
        let rest = (0..inputs.len()).map(|track| (track, usize::MAX));
        for (track, length) in cuts.into_iter().chain(rest) {
            let Some(input) = inputs.get(track) else {
                events.push(delta(Delta::Text("t".into())));
                continue;
            };
            let index = u32::try_from(track).unwrap();
            if !std::mem::replace(&mut begun[track], true) {
                events.push(call(index));
            }
            let next = at[track].saturating_add(length).min(input.len());
            let text: String = input[at[track]..next].iter().collect();
            at[track] = next;
            if !text.is_empty() {
                events.push(delta(Delta::Input { index, text: text.into() }));
            }
        }
        let texts_sent = events.iter().filter(|event| matches!(event, Event::Delta { delta: Delta::Text(_), .. })).count();
        events.push(end(Stop::Calls));
        let message = grammar::message(&stream(events));
        let blocks = message["content"].as_array().unwrap();
        for (track, text) in texts.iter().enumerate() {
            let found = blocks.iter().find(|block| block["name"] == format!("f{track}")).unwrap();
            prop_assert_eq!(&found["input"], &json!({"v": text}));
        }
        let text: String = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
        prop_assert_eq!(text, "t".repeat(texts_sent));
    }
}

#[test]
fn an_image_is_told_in_words_that_hold_it() {
    let image = Delta::Image(Media::Data { mime: "image/png".into(), base64: "AA==".into() });
    let out = String::from_utf8(stream(vec![start(), delta(image), end(Stop::End)])).unwrap();
    assert!(out.contains(r#""type":"text_delta","text":"![image](data:image/png;base64,AA==)""#), "{out}");
}
