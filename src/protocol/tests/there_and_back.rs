//! What a format can say comes back from it: requests written for a provider and read from a client of the same format,
//! answers the other way round, whole and streamed; and a stream says in the end what the whole answer says.

use proptest::prelude::*;

use super::any_json::{ASKED, TARGET, UNIQUE};
use crate::{
    chat::{
        content::{Call, Content, Image, Input, Media, Output, Reasoning, ToolResult},
        json::Json,
        loss::Losses,
        request::{Message, Request, Role, Sampling, Thinking, Tool, ToolChoice, ToolInput, Wishes},
        response::{Choice, Delta, Event, Response, Stop},
        signature::{Maker, Signature},
        usage::Usage,
    },
    protocol::{
        dialect::{Client, Spoken},
        gemini::ingress::stream::Framing,
        sse::{self, Splitter},
        translate::Frame,
    },
};

/// The formats that have both sides.
const BOTH: [(Client, Spoken); 3] = [
    (Client::Chat, Spoken::Chat),
    (Client::Messages, Spoken::Messages),
    (Client::Gemini(Some(Framing::Sse)), Spoken::Gemini),
];

/// Text that JSON has to escape, and that is not ASCII.
const TEXT: &str = "[a-z é\"\\\\\n\u{1f600}\u{2028}]{1,12}[a-z]";

/// Arguments whose spelling a reader must not change.
fn arguments() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("{}".to_owned()),
        Just(r#"{"a":1.50,"b":12345678901234567890123}"#.to_owned()),
        Just(r#"{"é":"\u00e9\n","b":[null,{"c":1e5}]}"#.to_owned()),
        "[a-z]{1,5}".prop_map(|text| format!(r#"{{"a":"{text}"}}"#)),
    ]
}

/// What an answer holds: thoughts, text and calls, in that order.
fn content() -> impl Strategy<Value = Vec<Content<'static>>> {
    let thought = prop::option::of(TEXT);
    let calls = prop::collection::vec(("[a-z_]{1,9}", arguments()), 0..4);
    (thought, prop::option::of(TEXT), calls).prop_map(|(thought, text, calls)| {
        let mut content = Vec::new();
        if let Some(text) = thought {
            content.push(Content::Reasoning(Reasoning { text: text.into(), ..Reasoning::default() }));
        }
        content.extend(text.map(Content::text));
        content.extend(calls.into_iter().enumerate().map(|(index, (name, json))| call(index, name, json)));
        content
    })
}

fn call(index: usize, name: String, json: String) -> Content<'static> {
    let id = format!("toolu_{index}").into();
    Content::Call(Call { id, name: name.into(), input: Input::Json(json.into()), signature: None })
}

/// A whole answer.
fn answer() -> impl Strategy<Value = Response<'static>> {
    let counts = (0..1_000_000u64, 0..1_000_000u64, any::<bool>());
    (content(), counts).prop_map(|(content, (input, output, long))| {
        let usage = Usage { input: Some(input), output: Some(output), ..Usage::default() };
        let stop = if long { Stop::Length } else { Stop::End };
        let mut choice = Choice { content, stop, ..Choice::default() };
        choice.stop = choice.stop();
        Response { id: "i".into(), choices: vec![choice], usage: Some(usage), ..Response::default() }
    })
}

/// The answer as a stream whose pieces have so many characters; calls are interleaved where `side_by_side`.
fn events(answer: &Response<'static>, length: usize, side_by_side: bool) -> Vec<Event<'static>> {
    let pieces = |text: &str| -> Vec<String> {
        text.chars().collect::<Vec<_>>().chunks(length).map(|piece| piece.iter().collect()).collect()
    };
    let (mut deltas, mut later, mut index) = (Vec::new(), Vec::new(), 0);
    for content in &answer.choices[0].content {
        match content {
            Content::Text(text) => {
                deltas.extend(pieces(&text.text).into_iter().map(|t| Delta::Text(t.into())))
            }
            Content::Reasoning(reasoning) => {
                deltas.extend(pieces(&reasoning.text).into_iter().map(|t| Delta::Reasoning(t.into())));
            }
            Content::Call(Call { id, name, input: Input::Json(json), .. }) => {
                let (id, name) = (id.clone(), name.clone());
                deltas.push(Delta::Call { index, id, name, custom: false, signature: None });
                let input = pieces(json).into_iter().map(|text| Delta::Input { index, text: text.into() });
                if side_by_side {
                    later.push(input.collect::<Vec<_>>())
                } else {
                    deltas.extend(input)
                }
                index += 1;
            }
            _ => unreachable!("not made here"),
        }
    }
    let most = later.iter().map(Vec::len).max().unwrap_or(0);
    deltas.extend((0..most).flat_map(|at| later.iter().filter_map(move |all| all.get(at).cloned())));
    let start = Event::Start { id: "i".into(), created: None, model: None };
    let stop = Event::Finish { choice: 0, stop: answer.choices[0].stop, stop_sequence: None };
    let usage = answer.usage.map(Event::Usage);
    let deltas = deltas.into_iter().map(|delta| Event::Delta { choice: 0, delta });
    [start].into_iter().chain(deltas).chain([stop]).chain(usage).collect()
}

/// What is told in the end, whole or streamed: kinds, texts, calls; the reason; the cost.
#[derive(Debug, Default, PartialEq)]
struct Told {
    content: Vec<(&'static str, String)>,
    calls: Vec<(String, String, String)>,
    stop: Option<Stop>,
    usage: Option<(Option<u64>, Option<u64>)>,
}

impl Told {
    fn of(answer: &Response<'_>) -> Self {
        let mut told = Self::default();
        let choice = &answer.choices[0];
        for content in &choice.content {
            match content {
                Content::Text(text) => told.say("text", &text.text),
                Content::Reasoning(reasoning) => told.say("reasoning", &reasoning.text),
                Content::Call(Call { id, name, input: Input::Json(json), .. }) => {
                    told.calls.push((id.to_string(), name.to_string(), json.to_string()));
                }
                other => told.say(other.kind(), ""),
            }
        }
        told.stop = Some(choice.stop());
        told.usage = answer.usage.map(|usage| (usage.input, usage.output));
        told
    }

    fn say(&mut self, kind: &'static str, text: &str) {
        match self.content.last_mut() {
            Some((last, said)) if *last == kind => said.push_str(text),
            _ => self.content.push((kind, text.to_owned())),
        }
    }

    fn hear(&mut self, event: Event<'_>) {
        match event {
            Event::Delta { delta, .. } => match delta {
                Delta::Text(text) => self.say("text", &text),
                Delta::Reasoning(text) => self.say("reasoning", &text),
                Delta::Call { index, id, name, .. } => {
                    assert_eq!(index as usize, self.calls.len());
                    self.calls.push((id.to_string(), name.to_string(), String::new()));
                }
                Delta::Input { index, text } => self.calls[index as usize].2.push_str(&text),
                other => panic!("nobody said {other:?}"),
            },
            Event::Finish { stop, .. } => self.stop = Some(stop),
            Event::Usage(usage) => self.usage = Some((usage.input, usage.output)),
            Event::Start { .. } => {}
            Event::Error(fault) => panic!("{fault:?}"),
        }
    }
}

/// A request that shows what the model thinks, and wants the cost of a stream.
fn showing() -> Request<'static> {
    let thinking = Thinking { shown: Some(true), ..Thinking::default() };
    let wishes = Wishes { usage: true, functions: false };
    Request { reasoning: Some(thinking), stream: true, wishes, ..Request::default() }
}

/// Events told to a client, and heard by it.
fn streamed((client, spoken): (Client, Spoken), events: Vec<Event<'static>>) -> Told {
    let mut encoder = client.encoder(showing().expected(), &ASKED);
    let mut out = Vec::new();
    events.into_iter().for_each(|event| encoder.push(event, &mut out));
    encoder.finish(&mut out);
    let (mut decoder, mut told) = (spoken.decoder(UNIQUE), Told::default());
    let mut splitter = Splitter::default();
    splitter
        .push(out.into(), |event| {
            let fields = sse::fields(&event);
            let Some(data) = fields.data else { return };
            decoder.push(Frame { name: fields.name, data: &data }, &mut |event| told.hear(event)).unwrap();
        })
        .unwrap();
    assert!(decoder.finish(&mut |event| told.hear(event)));
    // A call without arguments may say so by saying nothing.
    told.calls.iter_mut().filter(|call| call.2.is_empty()).for_each(|call| call.2.push_str("{}"));
    told
}

/// A conversation that every format can carry.
fn request() -> impl Strategy<Value = Request<'static>> {
    let turns = prop::collection::vec((TEXT, arguments(), TEXT, any::<bool>()), 1..4);
    let tools = prop::collection::vec(("[a-z_]{1,8}", TEXT), 1..3);
    let choice = prop::option::of(prop_oneof![
        Just(ToolChoice::Auto),
        Just(ToolChoice::None),
        Just(ToolChoice::Required),
        Just(ToolChoice::Named("f".into())),
    ]);
    let sampling = (1u64..9_000, prop::option::of(0u8..=10), prop::collection::vec("[a-z]{1,4}", 0..3));
    (turns, tools, choice, sampling, any::<bool>()).prop_map(
        |(turns, tools, tool_choice, sampling, stream)| {
            let (max_tokens, tenths, stop) = sampling;
            let temperature =
                tenths.and_then(|tenths| serde_json::Number::from_f64(f64::from(tenths) / 10.0));
            let stop = stop.into_iter().map(Into::into).collect();
            Request {
                messages: conversation(turns),
                tools: tools.into_iter().map(tool).collect(),
                tool_choice,
                sampling: Sampling { max_tokens: Some(max_tokens), temperature, stop, ..Sampling::default() },
                stream,
                ..Request::default()
            }
        },
    )
}

fn tool((name, description): (String, String)) -> Tool<'static> {
    let schema = r#"{"type":"object","properties":{"a":{"type":"number","minimum":1.50}}}"#;
    let input = ToolInput::Schema(Json::parse(schema.to_owned()));
    Tool { name: name.into(), description: Some(description.into()), input, strict: None, cache: None }
}

/// System, then for each turn a question with an image, a call and its result.
fn conversation(turns: Vec<(String, String, String, bool)>) -> Vec<Message<'static>> {
    let mut all = vec![(Role::System, vec![Content::text("sys\n\"é")])];
    for (at, (question, json, said, image)) in turns.into_iter().enumerate() {
        let mut asks = vec![Content::text(question)];
        if image {
            let media = Media::Data { mime: "image/png".into(), base64: "iVBORw0KGgo=".into() };
            asks.push(Content::Image(Image { media, detail: None, cache: None }));
        }
        let id = format!("toolu_{at}");
        let result = ToolResult {
            id: id.clone().into(),
            name: Some("f".into()),
            content: vec![Output::Text(said.clone().into())],
            error: false,
            cache: None,
        };
        all.push((Role::User, asks));
        all.push((Role::Assistant, vec![Content::text(said), call(at, "f".to_owned(), json)]));
        all.push((Role::User, vec![Content::Result(result)]));
        all.push((Role::Assistant, vec![Content::text("so")]));
    }
    let numbered = all.into_iter().enumerate();
    numbered.map(|(at, (role, content))| Message { role, content, at }).collect()
}

/// The same, its messages not numbered, and a value of a result as its text: formats differ in these.
fn plain(mut request: Request<'_>) -> Request<'_> {
    for message in &mut request.messages {
        message.at = 0;
        for content in &mut message.content {
            match content {
                Content::Call(call) => call.signature = None,
                Content::Result(result) => result.content.iter_mut().for_each(|output| {
                    if let Output::Json(json) = output {
                        let text = json.text().to_owned();
                        *output = Output::Text(text.into());
                    }
                }),
                _ => {}
            }
        }
    }
    request
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_request_comes_back_from_every_format(request in request()) {
        for (client, spoken) in BOTH {
            let mut losses = Losses::default();
            let written = spoken.write(&request, &TARGET, &mut losses).unwrap();
            prop_assert_eq!(losses, Losses::default());
            // Whether a call of Google's streams stands in its path.
            let client = if request.stream { client } else if spoken == Spoken::Gemini { Client::Gemini(None) } else { client };
            let read = client.read(&written).unwrap();
            // Who writes chat completions asks for usage.
            let read = Request { unsaid: vec![], wishes: Wishes::default(), ..read };
            prop_assert_eq!(plain(read), plain(request.clone()), "{:?}", spoken);
        }
    }

    #[test]
    fn an_answer_comes_back_from_every_format_whole_and_streamed(
        answer in answer(),
        length in 1usize..9,
        side_by_side in any::<bool>(),
    ) {
        let said = Told::of(&answer);
        for both in BOTH {
            let (client, spoken) = both;
            let written = client.write(&answer, showing().expected(), &ASKED);
            let read = spoken.read(&written, UNIQUE).unwrap();
            prop_assert_eq!(&Told::of(&read), &said, "{:?} whole", spoken);
            let told = streamed(both, events(&answer, length, side_by_side));
            prop_assert_eq!(&told, &said, "{:?} streamed", spoken);
        }
    }

    #[test]
    fn a_signed_call_comes_back_from_every_format(value in "[A-Za-z0-9+/]{4,20}", name in "[a-z]{1,9}") {
        let signature = Signature::new(Maker::Google, value);
        let call = Call {
            id: "toolu_0".into(), name: name.into(), input: Input::Json("{}".into()), signature: Some(signature.clone()),
        };
        let choice = Choice { content: vec![Content::Call(call)], stop: Stop::Calls, ..Choice::default() };
        let answer = Response { id: "i".into(), choices: vec![choice], ..Response::default() };
        for (client, _) in BOTH {
            let written = client.write(&answer, showing().expected(), &ASKED);
            let written = String::from_utf8(written).unwrap();
            prop_assert!(written.contains(&*signature.value), "{}", written);
        }
    }
}
