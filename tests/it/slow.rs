//! Clients that take their answer slowly, and clients that do not take it at all.

use std::time::Duration;

use http::Method;
use serde_json::json;
use tokio::{io::AsyncReadExt, time::Instant};

use crate::support::{
    client::{Answer, CHAT, Connection, Raw, Request},
    in_time,
    nexus::Nexus,
    setup::{ADMIN, openai},
    upstream::{Reply, Step, Upstream},
    wait_until,
};

/// More than the system's buffers hold between the router and a client that does not read.
const LARGE: usize = 16 << 20;

fn hello() -> Request {
    Request::chat("openai/gpt-4o", "Hello")
}

/// A provider whose whole answers hold [`LARGE`] bytes of text, and whose streams never end.
async fn generous() -> Upstream {
    let text = json!({"choices": [{"index": 0, "message": {"content": "x".repeat(LARGE)}}]}).to_string();
    let word =
        format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": {"content": "x".repeat(60_000)}}]}));
    Upstream::start(move |call| match call.json()["stream"].as_bool() {
        Some(true) => Reply::events([Step::Forever(word.clone().into())]),
        _ if call.json()["messages"][0]["content"] == "Hello" => Reply::json(text.clone()),
        _ => Reply::completion("Hi"),
    })
    .await
}

async fn start(upstream: &Upstream, server: &str) -> Nexus {
    Nexus::start(&format!("[server]\n{server}\n{ADMIN}{}", openai(upstream, ""))).await
}

/// A client that has asked for a large answer and read nothing but its head; and the length of the answer's body.
async fn reluctant(nexus: &Nexus) -> (Raw, usize) {
    let body = r#"{"model":"openai/gpt-4o","messages":[{"role":"user","content":"Hello"}]}"#;
    let length = body.len();
    let head = "host: x\r\ncontent-type: application/json\r\nconnection: close";
    let mut raw = Raw::connect_narrow(nexus.address()).await;
    raw.write(format!("POST {CHAT} HTTP/1.1\r\n{head}\r\ncontent-length: {length}\r\n\r\n{body}")).await;
    let (status, headers) = raw.head().await;
    assert_eq!(status, 200);
    (raw, headers["content-length"].to_str().unwrap().parse().unwrap())
}

/// Reads so many bytes.
async fn take(raw: &mut Raw, bytes: usize) {
    let mut piece = vec![0; bytes];
    in_time("more of a large answer", raw.0.read_exact(&mut piece)).await.unwrap();
}

async fn status_of(nexus: &Nexus) -> serde_json::Value {
    Request::get("/status").send_to(nexus.admin()).await.fine().json()
}

fn overloaded(answer: &Answer) {
    assert_eq!((answer.status, answer.error().kind.as_str()), (503, "overloaded_error"));
}

#[tokio::test]
async fn a_client_that_takes_longer_than_the_idle_time_gets_all_of_a_large_answer() {
    let upstream = generous().await;
    let nexus = start(&upstream, "idle_timeout = \"300ms\"").await;
    let (mut raw, length) = reluctant(&nexus).await;
    assert!(length > LARGE);
    let asked = Instant::now();
    let pieces = 10;
    for _ in 0..pieces {
        tokio::time::sleep(Duration::from_millis(100)).await;
        take(&mut raw, length / pieces).await;
    }
    assert!(asked.elapsed() > Duration::from_millis(900), "slower than the idle time");
    assert_eq!(raw.read_to_end().await.len(), length % pieces, "to the last byte, and closed then");
}

#[tokio::test]
async fn a_call_and_its_memory_are_held_until_the_last_byte_of_a_whole_answer_is_taken() {
    let upstream = generous().await;
    let nexus = start(&upstream, "max_in_flight = 1").await;
    let (mut raw, length) = reluctant(&nexus).await;
    // What the system's buffers have not taken, the router still holds.
    overloaded(&hello().send(&nexus).await);
    let status = status_of(&nexus).await;
    assert_eq!(status["in_flight"], 1);
    assert!(status["memory_bytes"].as_u64() >= Some(LARGE as u64), "{status}");
    take(&mut raw, length / 4).await;
    overloaded(&hello().send(&nexus).await);
    take(&mut raw, length - length / 4).await;
    wait_until("the place and the memory to be free", || async {
        let status = status_of(&nexus).await;
        status["in_flight"] == 0 && status["memory_bytes"] == 0
    })
    .await;
    Request::chat("openai/gpt-4o", "Be brief").send(&nexus).await.fine();
}

#[tokio::test]
async fn answers_that_are_not_taken_use_up_the_memory_budget_and_not_the_memory() {
    let upstream = generous().await;
    let nexus = start(&upstream, "memory_budget = \"24MiB\"\nrequest_body_limit = \"1MiB\"").await;
    let (mut raw, length) = reluctant(&nexus).await;
    overloaded(&hello().send(&nexus).await);
    take(&mut raw, length).await;
    wait_until("room for another answer", || async { hello().send(&nexus).await.status == 200 }).await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_a_whole_answer_loses_it_after_its_time() {
    let upstream = generous().await;
    let nexus = start(&upstream, "write_timeout = \"300ms\"").await;
    let (mut raw, length) = reluctant(&nexus).await;
    wait_until("the place and the memory to be free", || async {
        let status = status_of(&nexus).await;
        status["in_flight"] == 0 && status["memory_bytes"] == 0
    })
    .await;
    assert!(raw.read_to_end().await.len() < length, "what was given up cannot be whole");
}

/// A call whose answer has no body, for which no window is needed.
fn probe() -> Request {
    Request::get("/llm/openai").method(Method::HEAD)
}

/// On one connection: a stream that the client grants `window` bytes and does not read, and another that it reads on.
async fn stalls_alone(window: u32) {
    let upstream = generous().await;
    let nexus = start(&upstream, "write_timeout = \"500ms\"").await;
    let mut connection = Connection::http2_with_window(nexus.address(), window).await;
    let mut stalled = connection.open(Request::stream("openai/gpt-4o", "Hello")).await.unwrap();
    assert_eq!(stalled.status, 200);
    // The connection is busy all the time: it is the stream that stalls.
    let mut calls = connection.share();
    let (done, mut busy) = tokio::sync::oneshot::channel::<()>();
    let others = tokio::spawn(async move {
        let mut served = 0;
        while busy.try_recv() == Err(tokio::sync::oneshot::error::TryRecvError::Empty) {
            calls.send(probe()).await.fine();
            served += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        served
    });
    upstream.until("the call to be cancelled", |seen| seen.hung_up == 1 && seen.open == 0).await;
    let _ = done.send(());
    assert!(others.await.unwrap() > 1);
    wait_until("the place to be free", || async { status_of(&nexus).await["in_flight"] == 0 }).await;
    let (_, clean) = stalled.drain().await;
    assert!(!clean, "the stream was reset");
    connection.send(probe()).await.fine();
}

#[tokio::test]
async fn over_http2_a_stream_that_is_not_read_is_reset_and_the_others_live() {
    stalls_alone(1000).await;
}

#[tokio::test]
async fn over_http2_a_stream_that_was_never_granted_a_byte_is_reset_and_the_others_live() {
    stalls_alone(0).await;
}
