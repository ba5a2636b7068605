//! Providers' answers and streams on their way to clients of every other format, in whatever pieces they come.

use bytes::Bytes;
use nexus::{
    chat::{
        fault::Fault,
        request::{Expected, Wishes},
    },
    protocol::{
        anthropic,
        dialect::{Client, Spoken},
        event_stream::{Kind, Splitter},
        gemini::{
            self,
            egress::{
                Api,
                embeddings::{self, Encoding, Vectors},
            },
            ingress::stream::Framing as Cut,
        },
        machine::Machine,
        openai_chat, openai_responses,
        passing::{Ending, Seen},
        translate::Asked,
        translated::{Framing, Translated},
    },
};

use crate::{frame, name_json, stream::pieces, told};

const UNIQUE: &str = "0123456789abcdef01234567";
pub const ASKED: Asked<'_> = Asked { model: "p/m", unique: UNIQUE, now: 17, body: b"{}" };
pub const SPOKEN: [Spoken; 4] = [Spoken::Chat, Spoken::Messages, Spoken::Gemini, Spoken::Converse];
const CLIENTS: [Client; 5] = [
    Client::Chat,
    Client::Responses,
    Client::Messages,
    Client::Gemini(Some(Cut::Sse)),
    Client::Gemini(Some(Cut::Array)),
];
/// Of passing machines.
const PASSING: usize = 6;

/// The bytes are an answer of chat completions, or its events, one a line.
pub fn answer_chat(body: &[u8]) {
    let _ = openai_chat::passing::response::parse(body);
    let _ = openai_responses::passing::response::parse(body);
    answer(Spoken::Chat, &frame::server_sent(body), body);
}

/// The same of Anthropic's.
pub fn answer_messages(body: &[u8]) {
    let _ = anthropic::passing::response::parse(body);
    let _ = anthropic::egress::response::read_count(body);
    answer(Spoken::Messages, &frame::server_sent(body), body);
}

/// The same of Google's; or an answer with embeddings.
pub fn answer_gemini(body: &[u8]) {
    let _ = gemini::passing::response::parse(body);
    let _ = gemini::egress::response::read_count(body);
    for (api, encoding) in [(Api::Gemini, Encoding::Float), (Api::Vertex, Encoding::Base64)] {
        match embeddings::read(body, Vectors { api, count: 1, encoding }, ASKED.model, 7) {
            Ok((list, _)) => told::json(&list),
            Err(unreadable) => assert!(!unreadable.to_string().is_empty()),
        }
    }
    answer(Spoken::Gemini, &frame::server_sent(body), body);
}

/// The same of Bedrock's.
pub fn answer_converse(body: &[u8]) {
    answer(Spoken::Converse, &frame::event_stream(body), body);
}

/// Server-sent events, cut anywhere: every machine says the same. The first byte chooses it, the next four cut.
pub fn sse(bytes: &[u8]) {
    let Some(([which, cuts @ ..], text)) = bytes.split_first_chunk::<5>() else { return };
    let which = usize::from(*which) % (PASSING + 3 * CLIENTS.len());
    let whole = passed(machine(which), &[text]);
    assert_eq!(passed(machine(which), &pieces(text, cuts)), whole);
    if let Some(translating) = which.checked_sub(PASSING) {
        told::stream(CLIENTS[translating % CLIENTS.len()], &whole.0, whole.2);
    }
}

/// AWS's event stream, cut anywhere. The first byte chooses the client, and how much of the rest are headers where it is
/// one message; the next four cut. The bytes are a stream, a message without its checksums, and events, one a line.
pub fn event_stream(bytes: &[u8]) {
    let Some(([which, cuts @ ..], text)) = bytes.split_first_chunk::<5>() else { return };
    let client = CLIENTS[usize::from(*which) % CLIENTS.len()];
    let (headers, payload) = text.split_at(text.len().min(usize::from(*which)));
    for stream in [text.to_vec(), frame::sealed(headers, payload), frame::event_stream(text)] {
        let pieces = pieces(&stream, cuts);
        assert_eq!(messages(&pieces), messages(&[&stream]));
        let machine = || translating(Spoken::Converse, client, Expected::default());
        let whole = passed(machine(), &[&stream]);
        assert_eq!(passed(machine(), &pieces), whole);
        told::stream(client, &whole.0, whole.2);
    }
}

/// An answer is refused with a reason or told to every client, as a whole and as a stream; and so is an error.
fn answer(spoken: Spoken, stream: &[u8], body: &[u8]) {
    let shown = [None, Some(true), Some(false)][body.len() % 3];
    let wishes = Wishes { functions: body.len() % 2 == 0, usage: true };
    let expected = Expected { shown, wishes, ..Expected::default() };
    match spoken.read(body, UNIQUE) {
        Ok(answer) => {
            CLIENTS.iter().for_each(|client| told::json(&client.write(&answer, expected.clone(), &ASKED)))
        }
        Err(unreadable) => assert!(!unreadable.to_string().is_empty()),
    }
    for client in CLIENTS {
        let mut machine = translating(spoken, client, expected.clone());
        let mut out = machine.push(Bytes::copy_from_slice(stream)).expect("small").to_vec();
        let (last, ending) = if body.len() % 5 == 0 { machine.fail("gone", 502) } else { machine.finish() };
        out.extend(last);
        told::stream(client, &out, ending);
        let _ = client.is_error(body);
    }
    let Fault { message, .. } = spoken.fault(400, None, body);
    assert!(!message.is_empty() && message.chars().count() <= 2_001, "{message}");
    let _ = spoken.retry_after(body);
}

/// One of the machines that take server-sent events.
fn machine(which: usize) -> Machine {
    let model = || Bytes::from(name_json());
    let secrets = || Some(["sk-secret".into()].into());
    match which {
        0 => Machine::Chat(openai_chat::passing::stream::Stream::new(model(), true, secrets())),
        1 => Machine::Chat(openai_chat::passing::stream::Stream::new(model(), false, None)),
        2 => Machine::Responses(openai_responses::passing::stream::Stream::new(model(), secrets())),
        3 => Machine::Messages(anthropic::passing::stream::Stream::new(model(), secrets())),
        4 => Machine::Gemini(gemini::passing::stream::Stream::new(model(), secrets())),
        5 => Machine::GeminiArray(gemini::passing::array::Stream::new(model(), secrets())),
        more => {
            let (spoken, client) = ((more - PASSING) / CLIENTS.len(), (more - PASSING) % CLIENTS.len());
            translating(SPOKEN[spoken], CLIENTS[client], Expected::default())
        }
    }
}

fn translating(spoken: Spoken, client: Client, expected: Expected) -> Machine {
    let framing = if spoken == Spoken::Converse { Framing::EventStream } else { Framing::Sse };
    let sides = (spoken.decoder(UNIQUE), client.encoder(expected, &ASKED));
    Machine::Translated(Box::new(Translated::new(framing, sides, Some(["sk-secret".into()].into()))))
}

/// What goes to the client, and what is known in the end.
fn passed(mut machine: Machine, pieces: &[&[u8]]) -> (Vec<u8>, Seen, Ending) {
    let mut out = Vec::new();
    for piece in pieces {
        out.extend(machine.push(Bytes::copy_from_slice(piece)).expect("small"));
    }
    let (last, ending) = machine.finish();
    out.extend(last);
    (out, machine.seen(), ending)
}

/// The messages of an event stream; and why it is none.
fn messages(pieces: &[&[u8]]) -> (Vec<(Kind, String, Vec<u8>)>, Result<(), String>) {
    let (mut splitter, mut messages) = (Splitter::default(), Vec::new());
    for piece in pieces {
        let each = |message: nexus::protocol::event_stream::Message<'_>| {
            messages.push((message.kind, message.name.into_owned(), message.data.to_vec()));
        };
        if let Err(unreadable) = splitter.push(piece, each) {
            return (messages, Err(unreadable.to_string()));
        }
    }
    (messages, Ok(()))
}
