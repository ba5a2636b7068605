//! A stream that gets no more tokens ends as its format has it, passing or translated: what is open is closed, the reason
//! is the length, the usage is what was counted. What the client gets, cut before the first event that says `CUT`.

use bytes::Bytes;
use insta::assert_snapshot;

use super::any_json::{ASKED, UNIQUE};
use crate::{
    chat::{
        request::{Expected, Wishes},
        usage::Usage,
    },
    protocol::{
        anthropic,
        dialect::{Client, Spoken},
        event_stream::tests::written,
        gemini::{self, ingress::stream::Framing as Framed},
        machine::Machine,
        openai_chat, openai_responses,
        translate::Asked,
        translated::{Framing, Translated},
    },
};

const COUNTED: Usage =
    Usage { input: Some(8), output: Some(5), cached: None, cache_write: None, reasoning: None };

/// What a client gets of a stream; the provider's model and all that comes behind the cut are not in it.
fn cut(mut machine: Machine, stream: &[u8]) -> String {
    machine.may_be_cut();
    let (mut piece, mut out) = (Bytes::copy_from_slice(stream), Vec::new());
    while machine.take(&mut piece).unwrap() {
        let mut said = String::new();
        machine.said(&mut |text| said.push_str(text));
        if said.contains("CUT") {
            out.extend(machine.cut(COUNTED));
            break;
        }
        out.extend(machine.pass());
    }
    assert!(machine.seen().done && !machine.seen().error, "it ends, and well");
    let out = String::from_utf8(out).unwrap().replace('\r', "");
    assert!(!out.contains("CUT") && !out.contains("upstream"), "{out}");
    out
}

fn data(events: &[&str]) -> Vec<u8> {
    events.iter().map(|data| format!("data: {data}\n\n")).collect::<String>().into_bytes()
}

/// Events with their names in front, as their data have them.
fn named(events: &[&str]) -> Vec<u8> {
    let name = |data: &str| data.split('"').nth(3).unwrap().to_owned();
    events
        .iter()
        .map(|data| format!("event: {}\ndata: {data}\n\n", name(data)))
        .collect::<String>()
        .into_bytes()
}

fn model() -> Bytes {
    Bytes::from_static(b"\"p/m\"")
}

fn chat(hide_usage: bool) -> Machine {
    Machine::Chat(openai_chat::passing::stream::Stream::new(model(), hide_usage, None))
}

fn translated(spoken: Spoken, client: Client, body: &[u8], framing: Framing) -> Machine {
    let wishes = Wishes { usage: true, functions: false };
    let expected = Expected { wishes, ..Expected::default() };
    let sides = (spoken.decoder(UNIQUE), client.encoder(expected, &Asked { body, ..ASKED }));
    Machine::Translated(Box::new(Translated::new(framing, sides, None)))
}

/// Two answers, one of them done.
const TWO_ANSWERS: [&str; 5] = [
    r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":7,"model":"upstream","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
    r#"{"id":"chatcmpl-1","created":7,"model":"upstream","choices":[{"index":1,"delta":{"content":"No"},"finish_reason":null}]}"#,
    r#"{"id":"chatcmpl-1","created":7,"model":"upstream","choices":[{"index":0,"delta":{"content":"Yes"},"finish_reason":null}]}"#,
    r#"{"id":"chatcmpl-1","created":7,"model":"upstream","choices":[{"index":1,"delta":{},"finish_reason":"stop"}]}"#,
    r#"{"id":"chatcmpl-1","created":7,"model":"upstream","choices":[{"index":0,"delta":{"content":" CUT"},"finish_reason":null}]}"#,
];

/// A word and two calls whose inputs are interleaved.
const TWO_CALLS: [&str; 7] = [
    r#"{"id":"chatcmpl-1","created":7,"model":"upstream","choices":[{"index":0,"delta":{"role":"assistant","content":"Well"}}]}"#,
    r#"{"id":"chatcmpl-1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_a","type":"function","function":{"name":"f","arguments":""}}]}}]}"#,
    r#"{"id":"chatcmpl-1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\":"}}]}}]}"#,
    r#"{"id":"chatcmpl-1","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"call_b","type":"function","function":{"name":"g","arguments":"{"}}]}}]}"#,
    r#"{"id":"chatcmpl-1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1"}}]}}]}"#,
    r#"{"id":"chatcmpl-1","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"function":{"arguments":"CUT"}}]}}]}"#,
    "[DONE]",
];

#[test]
fn chat_passing() {
    assert_snapshot!("chat_passing", cut(chat(false), &data(&TWO_ANSWERS)));
}

#[test]
fn a_client_of_chat_that_did_not_ask_for_usage_gets_none() {
    assert_snapshot!("chat_passing_calls", cut(chat(true), &data(&TWO_CALLS)));
}

#[test]
fn messages_passing() {
    let stream = named(&[
        r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"upstream","content":[],"stop_reason":null,"usage":{"input_tokens":8,"output_tokens":1}}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"f","input":{}}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"x\":"}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"CUT"}}"#,
    ]);
    let machine = Machine::Messages(anthropic::passing::stream::Stream::new(model(), None));
    assert_snapshot!("messages_passing", cut(machine, &stream));
}

const CHUNKS: [&str; 3] = [
    r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"One"}]},"index":0}],"modelVersion":"upstream","responseId":"r1","usageMetadata":{"promptTokenCount":8}}"#,
    r#"{"candidates":[{"content":{"role":"model","parts":[{"text":" two"}]},"index":0}],"modelVersion":"upstream","responseId":"r1"}"#,
    r#"{"candidates":[{"content":{"role":"model","parts":[{"text":" CUT"}]},"index":0}],"modelVersion":"upstream","responseId":"r1"}"#,
];

#[test]
fn gemini_passing() {
    let machine = Machine::Gemini(gemini::passing::stream::Stream::new(model(), None));
    assert_snapshot!("gemini_passing", cut(machine, &data(&CHUNKS)));
}

#[test]
fn gemini_passing_as_an_array() {
    let machine = || Machine::GeminiArray(gemini::passing::array::Stream::new(model(), None));
    let out = cut(machine(), format!("[{}]", CHUNKS.join(",\r\n")).as_bytes());
    let elements: Vec<serde_json::Value> = serde_json::from_str(&out).unwrap();
    assert_eq!(elements.len(), 3);
    assert_snapshot!("gemini_passing_array", out);
    let at_once = cut(machine(), format!("[{}]", CHUNKS[2]).as_bytes());
    assert_eq!(serde_json::from_str::<Vec<serde_json::Value>>(&at_once).unwrap().len(), 1, "{at_once}");
}

/// The answer's beginning, as all streams of Responses have it.
const CREATED: &str = r#"{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response","created_at":7,"status":"in_progress","error":null,"incomplete_details":null,"instructions":"Be brief.","model":"upstream","output":[],"temperature":1.0,"usage":null}}"#;

fn responses() -> Machine {
    Machine::Responses(openai_responses::passing::stream::Stream::new(model(), None))
}

#[test]
fn responses_passing_within_a_text() {
    let stream = named(&[
        CREATED,
        r#"{"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"id":"rs_1","type":"reasoning","summary":[]}}"#,
        r#"{"type":"response.reasoning_summary_part.added","sequence_number":2,"item_id":"rs_1","output_index":0,"summary_index":0,"part":{"type":"summary_text","text":""}}"#,
        r#"{"type":"response.reasoning_summary_text.delta","sequence_number":3,"item_id":"rs_1","output_index":0,"summary_index":0,"delta":"Hm"}"#,
        r#"{"type":"response.reasoning_summary_text.done","sequence_number":4,"item_id":"rs_1","output_index":0,"summary_index":0,"text":"Hm"}"#,
        r#"{"type":"response.reasoning_summary_part.done","sequence_number":5,"item_id":"rs_1","output_index":0,"summary_index":0,"part":{"type":"summary_text","text":"Hm"}}"#,
        r#"{"type":"response.output_item.done","sequence_number":6,"output_index":0,"item":{"id":"rs_1","type":"reasoning","summary":[{"type":"summary_text","text":"Hm"}],"encrypted_content":"x"}}"#,
        r#"{"type":"response.output_item.added","sequence_number":7,"output_index":1,"item":{"id":"msg_1","type":"message","status":"in_progress","content":[],"role":"assistant"}}"#,
        r#"{"type":"response.content_part.added","sequence_number":8,"item_id":"msg_1","output_index":1,"content_index":0,"part":{"type":"output_text","annotations":[],"logprobs":[],"text":""}}"#,
        r#"{"type":"response.output_text.delta","sequence_number":9,"item_id":"msg_1","output_index":1,"content_index":0,"delta":"One"}"#,
        r#"{"type":"response.output_text.delta","sequence_number":10,"item_id":"msg_1","output_index":1,"content_index":0,"delta":" two"}"#,
        r#"{"type":"response.output_text.delta","sequence_number":11,"item_id":"msg_1","output_index":1,"content_index":0,"delta":" CUT"}"#,
    ]);
    assert_snapshot!("responses_passing_text", cut(responses(), &stream));
}

#[test]
fn responses_passing_within_two_calls() {
    let stream = named(&[
        CREATED,
        r#"{"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"id":"fc_1","type":"function_call","status":"in_progress","arguments":"","call_id":"call_a","name":"f"}}"#,
        r#"{"type":"response.function_call_arguments.delta","sequence_number":2,"item_id":"fc_1","output_index":0,"delta":"{\"x\":"}"#,
        r#"{"type":"response.output_item.added","sequence_number":3,"output_index":1,"item":{"id":"ctc_1","type":"custom_tool_call","status":"in_progress","input":"","call_id":"call_b","name":"g"}}"#,
        r#"{"type":"response.custom_tool_call_input.delta","sequence_number":4,"item_id":"ctc_1","output_index":1,"delta":"ls"}"#,
        r#"{"type":"response.function_call_arguments.delta","sequence_number":5,"item_id":"fc_1","output_index":0,"delta":"1"}"#,
        r#"{"type":"response.custom_tool_call_input.delta","sequence_number":6,"item_id":"ctc_1","output_index":1,"delta":" CUT"}"#,
    ]);
    assert_snapshot!("responses_passing_calls", cut(responses(), &stream));
}

#[test]
fn translated_for_every_client_within_two_calls() {
    let body = br#"{"stream":true,"stream_options":{"include_usage":true}}"#;
    for (name, client) in [
        ("chat", Client::Chat),
        ("responses", Client::Responses),
        ("messages", Client::Messages),
        ("gemini", Client::Gemini(Some(Framed::Sse))),
        ("gemini_array", Client::Gemini(Some(Framed::Array))),
    ] {
        let machine = translated(Spoken::Chat, client, body, Framing::Sse);
        assert_snapshot!(format!("translated_for_{name}"), cut(machine, &data(&TWO_CALLS)));
    }
}

#[test]
fn translated_from_an_event_stream() {
    let message = |name: &str, data: &str| {
        written(&[(":event-type", name), (":message-type", "event")], data.as_bytes())
    };
    let stream = [
        message("messageStart", r#"{"role":"assistant"}"#),
        message("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":"One"}}"#),
        message("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":"CUT"}}"#),
    ];
    let machine = translated(Spoken::Converse, Client::Messages, b"{}", Framing::EventStream);
    assert_snapshot!("translated_from_converse", cut(machine, &stream.concat()));
}

#[test]
fn before_anything_is_said_it_is_an_answer_all_the_same() {
    for machine in [
        chat(false),
        Machine::Messages(anthropic::passing::stream::Stream::new(model(), None)),
        Machine::Gemini(gemini::passing::stream::Stream::new(model(), None)),
        Machine::GeminiArray(gemini::passing::array::Stream::new(model(), None)),
        responses(),
        translated(Spoken::Messages, Client::Chat, b"{}", Framing::Sse),
        translated(Spoken::Messages, Client::Messages, b"{}", Framing::Sse),
    ] {
        let mut machine = machine;
        machine.may_be_cut();
        let end = String::from_utf8(machine.cut(COUNTED).to_vec()).unwrap();
        let reasons = ["\"length\"", "\"max_tokens\"", "\"MAX_TOKENS\"", "\"max_output_tokens\""];
        assert!(reasons.iter().any(|reason| end.contains(reason)), "{end}");
        assert_eq!(machine.cut(COUNTED), Bytes::new(), "once");
    }
}
