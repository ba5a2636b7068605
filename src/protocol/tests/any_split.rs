//! In whatever pieces a stream comes, the same goes out: for every machine, whatever the bytes are.

use bytes::Bytes;
use proptest::prelude::*;

use super::any_json::{ASKED, CLIENTS, SPOKEN, UNIQUE};
use crate::{
    chat::{request::Expected, usage::Usage},
    protocol::{
        anthropic,
        dialect::Spoken,
        event_stream::tests::written,
        gemini,
        machine::Machine,
        openai_chat, openai_responses,
        passing::{Ending, Seen},
        translated::{Framing, Translated},
    },
};

/// Events of all wire formats: each machine must bear those of the others.
const EVENTS: [(&str, &str); 22] = [
    (
        "",
        r#"{"id":"x","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"é"},"finish_reason":null}]}"#,
    ),
    (
        "",
        r#"{"id":"x","model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{\"a\""}}]}}]}"#,
    ),
    (
        "",
        r#"{"id":"x","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]}}]}"#,
    ),
    ("", r#"{"id":"x","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#),
    ("", r#"{"id":"x","model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#),
    ("", "[DONE]"),
    (
        "message_start",
        r#"{"type":"message_start","message":{"id":"i","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"usage":{"input_tokens":1,"output_tokens":1}}}"#,
    ),
    (
        "content_block_start",
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
    ),
    (
        "content_block_delta",
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}"#,
    ),
    ("content_block_stop", r#"{"type":"content_block_stop","index":0}"#),
    (
        "message_delta",
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":9}}"#,
    ),
    ("message_stop", r#"{"type":"message_stop"}"#),
    ("error", r#"{"type":"error","error":{"type":"overloaded_error","message":"sk-secret is wrong"}}"#),
    (
        "",
        r#"{"responseId":"i","modelVersion":"m","candidates":[{"content":{"role":"model","parts":[{"text":"a"}]}}]}"#,
    ),
    (
        "",
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{}}}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":1}}"#,
    ),
    (
        "response.created",
        r#"{"type":"response.created","sequence_number":0,"response":{"id":"r","model":"m","status":"in_progress","output":[]}}"#,
    ),
    (
        "response.completed",
        r#"{"type":"response.completed","sequence_number":1,"response":{"id":"r","model":"m","status":"completed","output":[],"usage":{"input_tokens":1,"output_tokens":1}}}"#,
    ),
    ("messageStart", r#"{"role":"assistant"}"#),
    ("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":"a"}}"#),
    ("contentBlockStop", r#"{"contentBlockIndex":0}"#),
    ("messageStop", r#"{"stopReason":"end_turn"}"#),
    ("metadata", r#"{"usage":{"inputTokens":1,"outputTokens":2,"totalTokens":3},"metrics":{"latencyMs":1}}"#),
];

/// The events of each format, as they follow one another when all is well.
const WELL: [std::ops::Range<usize>; 5] = [0..6, 6..12, 13..15, 15..17, 17..22];

/// What the client gets in the end, and what is known of it; `None` where an event has no end.
type Passed = Option<(Bytes, Seen, Ending)>;

/// Event numbers: those of one format in their order, or any.
fn events() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        prop::sample::select(WELL.to_vec()).prop_map(|well| well.collect()),
        prop::collection::vec(0..EVENTS.len(), 0..8),
    ]
}

/// One event as some sender writes it.
fn sent(event: usize, line: &str, style: u8) -> String {
    let (name, data) = EVENTS[event];
    let name = if name.is_empty() { String::new() } else { format!("event:{name}{line}") };
    // JSON may be spread over several data lines.
    let data = if style & 1 == 0 { data.to_owned() } else { data.replace(":{", &format!(":{line}data:{{")) };
    let comment = if style & 2 == 0 { "" } else { ": ping" };
    let comment = if comment.is_empty() { String::new() } else { format!("{comment}{line}") };
    let space = if style & 4 == 0 { " " } else { "" };
    format!("{comment}{name}data:{space}{data}{line}{line}")
}

/// A stream of server-sent events: any line ends, a byte order mark, comments, and perhaps no end.
fn server_sent() -> impl Strategy<Value = Vec<u8>> {
    let line = prop::sample::select(vec!["\n", "\r\n", "\r"]);
    let styled = (events(), line, prop::collection::vec(any::<u8>(), 22));
    (
        styled,
        any::<bool>(),
        prop::option::weighted(0.2, (any::<prop::sample::Index>(), any::<u8>())),
        0usize..4,
    )
        .prop_map(|((events, line, styles), mark, flip, short)| {
            let events = events.iter().zip(&styles).map(|(event, style)| sent(*event, line, *style));
            let mut bytes = if mark { "\u{feff}".to_owned() } else { String::new() };
            bytes.extend(events);
            let mut bytes = bytes.into_bytes();
            bytes.truncate(bytes.len().saturating_sub(short));
            if let (Some((at, byte)), false) = (flip, bytes.is_empty()) {
                *at.get_mut(&mut bytes) = byte;
            }
            bytes
        })
}

/// The machines that take server-sent events.
fn machines() -> Vec<Machine> {
    let model = || Bytes::from_static(b"\"p/m\"");
    let secrets = || Some(["sk-secret".into()].into());
    let mut machines = vec![
        Machine::Chat(openai_chat::passing::stream::Stream::new(model(), true, secrets())),
        Machine::Chat(openai_chat::passing::stream::Stream::new(model(), false, None)),
        Machine::Responses(openai_responses::passing::stream::Stream::new(model(), secrets())),
        Machine::Messages(anthropic::passing::stream::Stream::new(model(), secrets())),
        Machine::Gemini(gemini::passing::stream::Stream::new(model(), secrets())),
        Machine::GeminiArray(gemini::passing::array::Stream::new(model(), secrets())),
    ];
    machines.extend(SPOKEN[..3].iter().flat_map(|spoken| translating(*spoken, Framing::Sse)));
    machines
}

/// A machine for each client of this provider.
fn translating(spoken: Spoken, framing: Framing) -> impl Iterator<Item = Machine> {
    CLIENTS.into_iter().map(move |client| {
        let sides = (spoken.decoder(UNIQUE), client.encoder(Expected::default(), &ASKED));
        Machine::Translated(Box::new(Translated::new(framing, sides, Some(["sk-secret".into()].into()))))
    })
}

fn passed(mut machine: Machine, bytes: &[u8], cuts: &[usize]) -> Passed {
    let mut out = Vec::new();
    let (mut rest, mut cuts) = (bytes, cuts.iter().cycle());
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at((*cuts.next()?).min(rest.len()));
        out.extend(machine.push(Bytes::copy_from_slice(piece)).ok()?);
        rest = behind;
    }
    let (end, ending) = machine.finish();
    out.extend(end);
    Some((out.into(), machine.seen(), ending))
}

/// The same, event by event; cut before this one, if there is it.
fn one_by_one(mut machine: Machine, bytes: &[u8], last: usize) -> Passed {
    machine.may_be_cut();
    let (mut piece, mut out, mut taken) = (Bytes::copy_from_slice(bytes), Vec::new(), 0);
    while machine.take(&mut piece).ok()? {
        machine.said(&mut |_| ());
        if taken == last {
            out.extend(machine.cut(Usage::default()));
            assert!(machine.seen().done || machine.seen().error);
        }
        out.extend(machine.pass());
        taken += 1;
    }
    let (end, ending) = machine.finish();
    out.extend(end);
    Some((out.into(), machine.seen(), ending))
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![Just(vec![1]), prop::collection::vec(1usize..90, 1..6)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn server_sent_events_may_be_cut_anywhere(bytes in server_sent(), cuts in cuts()) {
        for (whole, cut) in machines().into_iter().zip(machines()) {
            let whole = passed(whole, &bytes, &[usize::MAX]);
            prop_assert!(whole.is_some());
            prop_assert_eq!(passed(cut, &bytes, &cuts), whole);
        }
    }

    #[test]
    fn server_sent_events_may_be_taken_one_by_one_and_cut_behind_any(bytes in server_sent(), last in 0usize..8) {
        for ((whole, taken), cut) in machines().into_iter().zip(machines()).zip(machines()) {
            prop_assert_eq!(one_by_one(taken, &bytes, usize::MAX), passed(whole, &bytes, &[usize::MAX]));
            prop_assert!(one_by_one(cut, &bytes, last).is_some());
        }
    }

    #[test]
    fn an_event_stream_may_be_cut_anywhere(
        events in events(),
        cuts in cuts(),
        flip in prop::option::weighted(0.2, (any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let message = |event: &usize| {
            let (name, data) = EVENTS[*event];
            let kind = if name == "error" { ":exception-type" } else { ":event-type" };
            let message = if name == "error" { "exception" } else { "event" };
            written(&[(kind, name), (":message-type", message)], data.as_bytes())
        };
        let mut bytes: Vec<u8> = events.iter().flat_map(message).collect();
        if let (Some((at, byte)), false) = (flip, bytes.is_empty()) {
            *at.get_mut(&mut bytes) = byte;
        }
        let machines = || translating(Spoken::Converse, Framing::EventStream);
        for ((whole, cut), taken) in machines().zip(machines()).zip(machines()) {
            let whole = passed(whole, &bytes, &[usize::MAX]);
            prop_assert_eq!(&passed(cut, &bytes, &cuts), &whole);
            prop_assert_eq!(one_by_one(taken, &bytes, usize::MAX), whole);
        }
    }

    #[test]
    fn what_names_no_model_passes_byte_for_byte(
        deltas in prop::collection::vec("[a-zé\u{2028}]{1,9}", 0..5),
        line in prop::sample::select(vec!["\n", "\r\n", "\r"]),
        cuts in cuts(),
    ) {
        let delta = |text: &String| format!(r#"data: {{"id":"x","choices":[{{"index":0,"delta":{{"content":"{text}"}}}}]}}{line}{line}"#);
        let stop = format!(r#": c{line}data:{{"choices":[{{"index":0,"delta":{{}},"finish_reason":"stop"}}]}}{line}{line}data: [DONE]{line}{line}"#);
        let stream = deltas.iter().map(delta).chain([stop]).collect::<String>();
        let machine = openai_chat::passing::stream::Stream::new(Bytes::from_static(b"\"p/m\""), false, None);
        let (out, _, ending) = passed(Machine::Chat(machine), stream.as_bytes(), &cuts).unwrap();
        // A last CR may be the first half of a line end, and is then ended by us.
        prop_assert!(out.starts_with(stream.as_bytes()), "{:?}", out);
        prop_assert_eq!(ending, Ending::Complete);
    }
}
