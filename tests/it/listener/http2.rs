//! Attacks on HTTP/2, frame by frame: the connection they come on is closed, others are served, memory stays flat.

use tokio::net::TcpStream;

use super::*;
use crate::support::client::Connection;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Types of frames (RFC 9113, section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

// Flags.
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

// Errors (RFC 9113, section 7).
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;

/// What these attacks may add to the memory of the server, KiB.
const FLAT: u64 = 24 * 1024;

/// A frame: its type, its stream, its payload.
struct Frame(u8, u32, Vec<u8>);

/// An attacker's connection.
struct Attacker(TcpStream);

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A request head (RFC 7541): indexed fields of the static table, and literals that are not indexed.
fn head(method: u8, path: &str) -> Vec<u8> {
    let path_length = u8::try_from(path.len()).unwrap();
    [&[method, 0x86, 0x04, path_length], path.as_bytes(), &[0x01, 1, b'x']].concat()
}

fn get() -> Vec<u8> {
    head(0x82, MODELS)
}

fn post() -> Vec<u8> {
    let kind = [&[0x0f, 0x10, 16], &b"application/json"[..]].concat();
    [head(0x83, CHAT), kind].concat()
}

/// The `index`-th stream of a client.
fn stream(index: u32) -> u32 {
    2 * index + 1
}

impl Attacker {
    async fn connect(nexus: &Nexus) -> Self {
        let mut attacker = Self(TcpStream::connect(nexus.address()).await.unwrap());
        attacker.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await;
        attacker
    }

    /// What cannot be sent any more shows when reading.
    async fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes).await;
    }

    /// The next frame; none at the end.
    async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        in_time("a frame", self.0.read_exact(&mut head)).await.ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        in_time("a payload", self.0.read_exact(&mut payload)).await.ok()?;
        Some(Frame(head[3], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload))
    }

    /// The reason that the server gives when it closes.
    async fn goodbye(&mut self) -> Option<u32> {
        let mut reason = None;
        while let Some(Frame(kind, _, payload)) = self.next().await {
            if kind == GOAWAY {
                reason = Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
            }
        }
        reason
    }
}

/// Attacks often, while another client is served, and sees that memory stays flat.
async fn withstands(attack: impl AsyncFn(Attacker)) {
    let nexus = Nexus::start(&format!("{ADMIN}{ECHO}")).await;
    let mut other = Connection::http2(nexus.address()).await;
    let round = async |other: &mut Connection| {
        for _ in 0..50 {
            attack(Attacker::connect(&nexus).await).await;
            other.send(hello()).await.fine();
        }
    };
    round(&mut other).await;
    let before = nexus.resident_kib();
    for _ in 0..3 {
        round(&mut other).await;
    }
    let after = nexus.resident_kib();
    assert!(after < before + FLAT, "{before} KiB before, {after} KiB after");
    drop(other);
    wait_until("all places to be free", || async {
        let status = Request::get("/status").send_to(nexus.admin()).await.fine().json();
        status["in_flight"] == 0 && status["memory_bytes"] == 0 && status["connections"] == 0
    })
    .await;
}

#[tokio::test]
async fn a_client_that_takes_back_all_it_asks_is_closed() {
    withstands(async |mut attacker| {
        let mut burst = Vec::new();
        for index in 0..1000 {
            burst.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream(index), &get()));
            burst.extend(frame(RST_STREAM, 0, stream(index), &CANCEL.to_be_bytes()));
        }
        attacker.send(&burst).await;
        assert_eq!(attacker.goodbye().await, Some(ENHANCE_YOUR_CALM));
    })
    .await;
}

#[tokio::test]
async fn a_head_whose_frames_do_not_end_is_closed() {
    withstands(async |mut attacker| {
        attacker.send(&frame(HEADERS, END_STREAM, 1, &get())).await;
        // Fields of their own, none of which is the last.
        let field = [&[0x00, 1, b'a', 100], &[b'x'; 100][..]].concat();
        for _ in 0..1000 {
            attacker.send(&frame(CONTINUATION, 0, 1, &field.repeat(100))).await;
        }
        assert_eq!(attacker.goodbye().await, Some(ENHANCE_YOUR_CALM));
    })
    .await;
}

#[tokio::test]
async fn a_head_that_unpacks_to_megabytes_is_closed() {
    withstands(async |mut attacker| {
        // One large field, remembered by the table of RFC 7541, then named by a byte each.
        let large = [&[0x40, 1, b'a', 0x7f, 0xa1, 0x1e], &[b'x'; 4000][..]].concat();
        let bomb = [get(), large, vec![0xbe; 12_000]].concat();
        attacker.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb)).await;
        assert_eq!(attacker.goodbye().await, Some(ENHANCE_YOUR_CALM));
    })
    .await;
}

#[tokio::test]
async fn calls_that_are_taken_back_after_they_were_begun_are_cancelled_to_the_provider() {
    let upstream = Upstream::always(Reply::hang).await;
    let nexus = Nexus::start(&format!("{ADMIN}{}", openai(&upstream, ""))).await;
    let mut attacker = Attacker::connect(&nexus).await;
    let body = br#"{"model":"openai/gpt-4o","messages":[]}"#;
    for round in 0..5 {
        let calls = (20 * round..20 * (round + 1)).map(stream);
        let asked = calls.clone().flat_map(|id| {
            [frame(HEADERS, END_HEADERS, id, &post()), frame(DATA, END_STREAM, id, body)].concat()
        });
        attacker.send(&asked.collect::<Vec<u8>>()).await;
        upstream.until("all calls", |seen| seen.open == 20).await;
        let taken_back = calls.flat_map(|id| frame(RST_STREAM, 0, id, &CANCEL.to_be_bytes()));
        attacker.send(&taken_back.collect::<Vec<u8>>()).await;
        upstream.until("all to be cancelled", |seen| seen.open == 0).await;
    }
    assert_eq!(upstream.seen().most_open, 20);
    wait_until("all places to be free", || async {
        let status = Request::get("/status").send_to(nexus.admin()).await.fine().json();
        status["in_flight"] == 0 && status["memory_bytes"] == 0
    })
    .await;
}

#[tokio::test]
async fn streams_beyond_the_limit_are_refused_and_the_others_wait() {
    let nexus = Nexus::start(&format!("{ADMIN}{ECHO}")).await;
    let mut attacker = Attacker::connect(&nexus).await;
    // Bodies that never come.
    let heads: Vec<u8> =
        (0..300).flat_map(|index| frame(HEADERS, END_HEADERS, stream(index), &post())).collect();
    attacker.send(&heads).await;
    for index in 256..300 {
        let refused = loop {
            match attacker.next().await.expect("a frame") {
                Frame(RST_STREAM, id, reason) => break (id, u32::from_be_bytes(reason.try_into().unwrap())),
                Frame(kind, ..) => assert!([SETTINGS, WINDOW_UPDATE].contains(&kind), "{kind}"),
            }
        };
        assert_eq!(refused, (stream(index), REFUSED_STREAM));
    }
    wait_until("the others to be calls in flight", || async {
        Request::get("/status").send_to(nexus.admin()).await.fine().json()["in_flight"] == 256
    })
    .await;
    Request::chat("echo/m", "Hello").send(&nexus).await.fine();
    // Who does not stop is closed, with the calls that wait.
    let more = (300..1400).flat_map(|index| frame(HEADERS, END_HEADERS, stream(index), &post()));
    attacker.send(&more.collect::<Vec<u8>>()).await;
    assert_eq!(attacker.goodbye().await, Some(ENHANCE_YOUR_CALM));
    wait_until("all places to be free", || async {
        Request::get("/status").send_to(nexus.admin()).await.fine().json()["in_flight"] == 0
    })
    .await;
}
