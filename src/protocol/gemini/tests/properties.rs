//! What must hold for any bytes, any events and any request.

use super::*;
use crate::chat::{
    content::{Call, Input, Output, ToolResult},
    json::Json,
    request::{Message, Role, Sampling, Tool, ToolChoice, ToolInput},
    response::{Delta, Stop},
    signature::{Maker, Signature},
    usage::Usage,
};

/// JSON that looks like Google's, right and wrong.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("-1".to_owned()),
        Just(r#""""#.to_owned()),
        Just(r#""STOP""#.to_owned()),
        Just(r#""user""#.to_owned()),
        any::<u32>().prop_map(|number| number.to_string()),
        "[a-z/]{0,4}".prop_map(|text| format!("\"{text}\"")),
    ];
    let key = prop::sample::select(vec![
        "contents",
        "parts",
        "text",
        "role",
        "candidates",
        "content",
        "finishReason",
        "functionCall",
        "args",
        "id",
        "name",
        "index",
        "thought",
        "thought_signature",
        "usageMetadata",
        "tools",
        "error",
        "functionResponse",
        "inlineData",
        "mimeType",
        "data",
        "generationConfig",
        "systemInstruction",
        "promptFeedback",
        "response",
    ]);
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|all| format!("[{}]", all.join(","))),
            prop::collection::vec((key.clone(), inner), 0..6).prop_map(|members| {
                let members = members.iter().map(|(key, value)| format!("\"{key}\":{value}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

fn delta() -> impl Strategy<Value = Delta<'static>> {
    let signature = prop::sample::select(vec![Maker::Google, Maker::Anthropic])
        .prop_map(|maker| Signature::new(maker, "sig"));
    prop_oneof![
        "[a-z]{1,3}".prop_map(|text| Delta::Text(text.into())),
        "[a-z]{1,3}".prop_map(|text| Delta::Reasoning(text.into())),
        "[a-z]{1,3}".prop_map(|text| Delta::Refusal(text.into())),
        signature.clone().prop_map(Delta::Signature),
        signature.prop_map(Delta::Redacted),
        (0u32..3, any::<bool>()).prop_map(|(index, custom)| Delta::Call {
            index,
            id: format!("c{index}").into(),
            name: "f".into(),
            custom,
            signature: None,
        }),
        (0u32..3, r#"[{}"a:1 ]{1,4}"#).prop_map(|(index, text)| Delta::Input { index, text: text.into() }),
    ]
}

fn event() -> impl Strategy<Value = Event<'static>> {
    prop_oneof![
        8 => (0u32..2, delta()).prop_map(|(choice, delta)| Event::Delta { choice, delta }),
        1 => (0u32..2).prop_map(|choice| Event::Finish { choice, stop: Stop::Length, stop_sequence: None }),
        1 => any::<u64>().prop_map(|output| Event::Usage(Usage { output: Some(output), ..Usage::default() })),
    ]
}

/// Text, calls and results, one after another, in one conversation.
fn request() -> impl Strategy<Value = Request<'static>> {
    let tool = ("[a-z]{1,8}", prop::option::of("[a-z ]{1,8}")).prop_map(|(name, description)| Tool {
        name: name.into(),
        description: description.map(Into::into),
        input: ToolInput::Schema(Json::parse(r#"{"type":"object","minimum":1.50}"#.to_owned())),
        strict: None,
        cache: None,
    });
    let turns = prop::collection::vec(("[a-zé\"\n]{1,8}", r#"\{"a":[1-9][0-9]{0,2}\}"#, any::<bool>()), 1..5);
    let choice = prop::option::of(prop_oneof![
        Just(ToolChoice::Auto),
        Just(ToolChoice::None),
        Just(ToolChoice::Required),
        Just(ToolChoice::Named("f".into())),
    ]);
    (turns, prop::collection::vec(tool, 1..3), choice, prop::option::of(1u64..9), any::<bool>()).prop_map(
        |(turns, tools, tool_choice, max_tokens, stream)| Request {
            messages: turns.into_iter().enumerate().flat_map(|(at, turn)| exchange(at, turn)).collect(),
            tools,
            tool_choice,
            sampling: Sampling { max_tokens, temperature: Some(1.into()), ..Sampling::default() },
            stream,
            ..Request::default()
        },
    )
}

/// A question, the call that it leads to, and the result with the next question.
fn exchange(at: usize, (text, json, error): (String, String, bool)) -> [Message<'static>; 2] {
    let signature = Some(Signature::new(Maker::Google, "sig"));
    let id = format!("id-{at}");
    let call =
        Call { id: id.clone().into(), name: "f".into(), input: Input::Json(json.clone().into()), signature };
    let content = if error {
        vec![Output::Text(text.clone().into())]
    } else {
        vec![Output::Json(Json::parse(json).unwrap())]
    };
    let result = ToolResult { id: id.into(), name: Some("f".into()), content, error, cache: None };
    [
        Message {
            role: Role::Assistant,
            content: vec![Content::text(text.clone()), Content::Call(call)],
            at: 2 * at,
        },
        Message {
            role: Role::User,
            content: vec![Content::Result(result), Content::text(text)],
            at: 2 * at + 1,
        },
    ]
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(json in json(), bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        for body in [json.as_bytes(), &bytes] {
            let _ = ingress::request::read(body, true);
            let _ = ingress::request::read_count(body);
            let _ = egress::response::read(body, "u");
            for api in [egress::Api::Gemini, egress::Api::Vertex] {
                let _ = egress::embeddings::write(body, &TARGET, api);
                let encoding = egress::embeddings::Encoding::Base64;
                let vectors = egress::embeddings::Vectors { api, count: 1, encoding };
                let _ = egress::embeddings::read(body, vectors, "m", 1);
            }
            let _ = passing::request::Request::parse_count(body);
            let _ = passing::response::parse(body);
            let _ = error::read(500, body);
            let _ = error::retry_after(body);
            let mut decoder = egress::stream::Decoder::new("u");
            let _ = decoder.push(Frame { name: None, data: body }, &mut |_| ());
            let mut stream = passing::array::Stream::new(Bytes::from_static(b"\"m\""), None);
            let _ = stream.push(Bytes::copy_from_slice(body));
        }
    }

    #[test]
    fn any_events_make_a_stream_that_obeys_the_grammar(events in prop::collection::vec(event(), 0..20)) {
        let answers = [Framing::Sse, Framing::Array].map(|framing| {
            let mut encoder = ingress::stream::Encoder::new(showing().expected(), &ASKED, framing);
            let mut out = Vec::new();
            events.iter().for_each(|event| encoder.push(event.clone(), &mut out));
            encoder.finish(&mut out);
            grammar::answer(&out, framing)
        });
        prop_assert_eq!(&answers[0], &answers[1]);
    }

    #[test]
    fn what_both_can_say_comes_back(request in request()) {
        let mut losses = Losses::default();
        let written = egress::request::write(&request, &TARGET, &mut losses).unwrap();
        prop_assert_eq!(losses, Losses::default());
        prop_assert_eq!(ingress::request::read(&written, request.stream).unwrap(), request);
    }

    #[test]
    fn an_array_may_be_cut_anywhere(json in prop::collection::vec(json(), 0..4), cut in 1usize..9) {
        let body = format!("[{}]", json.join(" ,\r\n"));
        let pass = |cut| {
            let mut stream = passing::array::Stream::new(Bytes::from_static(b"\"m\""), None);
            let mut out = Vec::new();
            body.as_bytes().chunks(cut).for_each(|piece| out.extend_from_slice(&stream.push(Bytes::copy_from_slice(piece)).unwrap()));
            let (end, ending) = stream.finish();
            out.extend_from_slice(&end);
            (String::from_utf8(out).unwrap(), ending)
        };
        let whole = pass(usize::MAX);
        prop_assert_eq!(&pass(cut), &whole);
        prop_assert!(serde_json::from_str::<Vec<Value>>(&whole.0).is_ok(), "{}", whole.0);
    }
}
