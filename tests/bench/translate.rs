//! What it takes to change the wire format of a call, without any network: requests of 20 KB from each client's format to
//! each provider's, and the events of a stream.
//!
//! `cargo bench --bench translate`. `pass` is what reading for a call that keeps its format costs, to compare with.

// A bench that cannot go on says why.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use divan::{Bencher, black_box};
use nexus::{
    chat::loss::Losses,
    protocol::{
        anthropic,
        dialect::{Client, Spoken},
        openai_chat,
        translate::{Asked, Target},
        translated::{Framing, Translated},
    },
};
use serde_json::json;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

const SENTENCE: &str = "The quick brown fox jumps over the lazy dog, and says \"never\\nmind\" to it.\n";
const ASKED: Asked<'_> = Asked { model: "p/m", unique: "0123456789abcdef01234567", now: 1, body: b"{}" };
const TARGET: Target<'_> = Target {
    model: "m",
    max_tokens: 4096,
    stream_usage: true,
    max_completion_tokens: true,
    reasoning_details: true,
};
/// Events of a stream.
const EVENTS: usize = 100;

/// A conversation of 20 turns, 1 KB each, in a format that OpenAI's and Anthropic's clients both send.
fn conversation() -> Vec<u8> {
    let turn = |n: usize| {
        let role = if n.is_multiple_of(2) { "user" } else { "assistant" };
        json!({ "role": role, "content": SENTENCE.repeat(13) })
    };
    let messages: Vec<_> = (0..19).map(turn).collect();
    json!({ "model": "p/m", "max_tokens": 100, "messages": messages }).to_string().into_bytes()
}

#[divan::bench]
fn pass_chat(bencher: Bencher<'_, '_>) {
    let body = conversation();
    bencher.bench(|| openai_chat::passing::request::Request::parse(black_box(&body)).unwrap());
}

#[divan::bench]
fn pass_messages(bencher: Bencher<'_, '_>) {
    let body = conversation();
    bencher.bench(|| anthropic::passing::request::Request::parse(black_box(&body)).unwrap());
}

#[divan::bench(args = [Client::Chat, Client::Messages])]
fn read(bencher: Bencher<'_, '_>, client: Client) {
    let body = conversation();
    bencher.bench(|| black_box(client.read(black_box(&body)).unwrap()).messages.len());
}

#[divan::bench(args = [Spoken::Chat, Spoken::Messages, Spoken::Gemini])]
fn write(bencher: Bencher<'_, '_>, provider: Spoken) {
    let body = conversation();
    let request = Client::Messages.read(&body).unwrap();
    bencher.bench(|| provider.write(black_box(&request), &TARGET, &mut Losses::default()).unwrap());
}

/// A stream of OpenAI's to each kind of client, an event at a time.
#[divan::bench(args = [Client::Messages, Client::Responses])]
fn stream(bencher: Bencher<'_, '_>, client: Client) {
    let event = |delta, finish| {
        let choices = json!([{ "index": 0, "delta": delta, "finish_reason": finish }]);
        format!("data: {}\n\n", json!({ "id": "1", "model": "m", "created": 1, "choices": choices }))
    };
    let mut events: Vec<bytes::Bytes> =
        (0..EVENTS).map(|_| event(json!({ "content": " word" }), json!(null)).into()).collect();
    events.push((event(json!({}), json!("stop")) + "data: [DONE]\n\n").into());
    bencher.bench(|| {
        let encoder = client.encoder(nexus::chat::request::Expected::default(), &ASKED);
        let machines = (Spoken::Chat.decoder(ASKED.unique), encoder);
        let mut stream = Translated::new(Framing::Sse, machines, None);
        let mut bytes = 0;
        for event in &events {
            bytes += stream.push(event.clone()).unwrap().len();
        }
        bytes + stream.finish().0.len()
    });
}
