//! The way down: what is finished, what is cut, and what the exit code says about it.

use std::time::Duration;

use http::StatusCode;
use tokio::{task::JoinSet, time::Instant};

use crate::support::{
    client::{Connection, Request, Stream, data_of},
    nexus::{Nexus, refuses_to_start},
    ports::free_address,
    setup::{ADMIN, ECHO, openai},
    upstream::{Reply, Step, Upstream},
    wait_until,
};

const WORD: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n";
const END: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

/// A server with one stream open, whose end waits at the upstream's gate.
async fn with_a_stream(server: &str) -> (Upstream, Nexus, Stream) {
    let upstream =
        Upstream::always(|| Reply::events([Step::send(WORD), Step::Gate, Step::send(WORD), Step::send(END)]))
            .await;
    let nexus = Nexus::start(&format!("[server]\n{server}\n{ADMIN}{}", openai(&upstream, ""))).await;
    let mut stream = Request::stream("openai/gpt-4o", "Hello").open(&nexus).await;
    stream.event().await.unwrap();
    (upstream, nexus, stream)
}

async fn accepts(nexus: &Nexus) -> bool {
    tokio::net::TcpStream::connect(nexus.address()).await.is_ok()
}

#[tokio::test]
async fn an_idle_server_ends_cleanly_and_at_once() {
    for signal in ["TERM", "INT"] {
        let mut nexus = Nexus::start(ECHO).await;
        let idle = Connection::http1(nexus.address()).await;
        let asked = Instant::now();
        nexus.signal(signal);
        assert_eq!(nexus.exit_code().await, Some(0), "{:?}", nexus.log());
        assert!(asked.elapsed() < Duration::from_secs(5), "an idle connection holds nothing up");
        idle.closed().await;
    }
}

#[tokio::test]
async fn open_streams_are_finished_before_the_end() {
    let (upstream, mut nexus, mut stream) = with_a_stream("").await;
    nexus.signal("TERM");
    wait_until("the listener to close", || async { !accepts(&nexus).await }).await;
    assert!(!nexus.has_ended());
    upstream.open_gate();
    assert!(stream.rest().await.ends_with(END), "nothing is cut");
    assert_eq!(nexus.exit_code().await, Some(0), "{:?}", nexus.log());
}

#[tokio::test]
async fn whole_answers_are_finished_before_the_end() {
    let upstream = Upstream::always(|| Reply::completion("Hi").gated()).await;
    let mut nexus = Nexus::start(&openai(&upstream, "")).await;
    let call = tokio::spawn(Request::chat("openai/gpt-4o", "Hello").send_to(nexus.address()));
    upstream.until("the call", |seen| seen.open == 1).await;
    nexus.signal("TERM");
    wait_until("the listener to close", || async { !accepts(&nexus).await }).await;
    upstream.open_gate();
    assert_eq!(call.await.unwrap().fine().content(), "Hi");
    assert_eq!(nexus.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let (_upstream, mut nexus, mut stream) = with_a_stream("shutdown_timeout = \"60s\"").await;
    nexus.signal("TERM");
    wait_until("the listener to close", || async { !accepts(&nexus).await }).await;
    let asked = Instant::now();
    nexus.signal("TERM");
    assert_eq!(nexus.exit_code().await, Some(3), "a call was cut: {:?}", nexus.log());
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    let (text, _) = stream.drain().await;
    assert!(!String::from_utf8_lossy(&text).contains("[DONE]"), "a cut stream never looks whole");
}

#[tokio::test]
async fn at_the_deadline_what_is_left_is_cut_with_an_error_event() {
    let (_upstream, mut nexus, mut stream) = with_a_stream("shutdown_timeout = \"500ms\"").await;
    nexus.signal("TERM");
    let data = data_of(&stream.rest().await);
    let last: serde_json::Value = serde_json::from_str(data.last().expect("an error event")).unwrap();
    assert!(last["error"]["message"].is_string(), "{last}");
    assert!(!data.contains(&"[DONE]".to_owned()));
    assert_eq!(nexus.exit_code().await, Some(3), "{:?}", nexus.log());
}

#[tokio::test]
async fn a_call_without_an_answer_at_the_deadline_gets_an_error() {
    let upstream = Upstream::always(Reply::hang).await;
    let mut nexus =
        Nexus::start(&format!("[server]\nshutdown_timeout = \"500ms\"\n{}", openai(&upstream, ""))).await;
    let address = nexus.address();
    let call = tokio::spawn(async move {
        let mut connection = Connection::http1(address).await;
        connection.open(Request::chat("openai/gpt-4o", "Hello")).await.map(|stream| stream.status)
    });
    upstream.until("the call", |seen| seen.open == 1).await;
    nexus.signal("TERM");
    match call.await.unwrap() {
        Ok(status) => assert!((502..=504).contains(&status), "{status}"),
        Err(error) => panic!("no answer at all: {error}"),
    }
    assert_eq!(nexus.exit_code().await, Some(3));
    upstream.until("the call to be cancelled", |seen| seen.open == 0).await;
}

#[tokio::test]
async fn every_call_that_waits_for_its_head_at_the_deadline_is_told_to_come_again() {
    let upstream = Upstream::always(Reply::hang).await;
    let mut nexus =
        Nexus::start(&format!("[server]\nshutdown_timeout = \"300ms\"\n{}", openai(&upstream, ""))).await;
    let http2 = Connection::http2(nexus.address()).await;
    let mut calls = JoinSet::new();
    for request in [Request::chat("openai/gpt-4o", "Hello"), Request::stream("openai/gpt-4o", "Hello")] {
        for _ in 0..3 {
            let mut shared = http2.share();
            let (one, other) = (request.clone(), request.clone());
            calls.spawn(async move { shared.send(one).await });
            calls.spawn(other.send_to(nexus.address()));
        }
    }
    upstream.until("every call", |seen| seen.open == 12).await;
    nexus.signal("TERM");
    for answer in calls.join_all().await {
        let error = answer.refused(StatusCode::SERVICE_UNAVAILABLE, "overloaded_error");
        assert!(error.message.contains("shutting down"), "{error:?}");
        assert!(
            answer.number("retry-after") >= 1 && answer.headers.contains_key("x-request-id"),
            "{answer:?}"
        );
    }
    assert_eq!(nexus.exit_code().await, Some(3));
    upstream.until("the calls to be cancelled", |seen| seen.open == 0).await;
}

#[tokio::test]
async fn while_it_drains_it_is_alive_and_not_ready() {
    let (upstream, mut nexus, mut stream) = with_a_stream("").await;
    let ask = async |target: &str| Request::get(target).send_to(nexus.admin()).await.status;
    assert_eq!((ask("/live").await, ask("/ready").await), (200, 200));
    nexus.signal("TERM");
    wait_until("readiness to be withdrawn", || async { ask("/ready").await == 503 }).await;
    assert_eq!(ask("/live").await, 200);
    upstream.open_gate();
    stream.rest().await;
    assert_eq!(nexus.exit_code().await, Some(0));
}

#[tokio::test]
async fn during_the_drain_delay_new_calls_are_served() {
    let mut nexus = Nexus::start(&format!("[server]\ndrain_delay = \"2s\"\n{ADMIN}{ECHO}")).await;
    nexus.signal("TERM");
    wait_until("readiness to be withdrawn", || async {
        Request::get("/ready").send_to(nexus.admin()).await.status == 503
    })
    .await;
    Request::chat("echo/m", "Hello").send(&nexus).await.fine();
    assert!(!nexus.has_ended());
    assert_eq!(nexus.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_kept_connection_is_told_to_close_while_draining() {
    let upstream = Upstream::always(|| Reply::completion("Hi").gated()).await;
    let mut nexus = Nexus::start(&openai(&upstream, "")).await;
    let mut kept = Connection::http1(nexus.address()).await;
    let call = tokio::spawn(async move {
        let answer = kept.send(Request::chat("openai/gpt-4o", "Hello")).await.fine();
        kept.closed().await;
        answer
    });
    upstream.until("the call", |seen| seen.open == 1).await;
    nexus.signal("TERM");
    wait_until("the listener to close", || async { !accepts(&nexus).await }).await;
    upstream.open_gate();
    call.await.unwrap();
    assert_eq!(nexus.exit_code().await, Some(0));
}

#[tokio::test]
async fn http2_streams_are_finished_before_the_end() {
    let upstream = Upstream::always(|| Reply::events([Step::send(WORD), Step::Gate, Step::send(END)])).await;
    let mut nexus = Nexus::start(&openai(&upstream, "")).await;
    let mut connection = Connection::http2(nexus.address()).await;
    let mut stream = connection.open(Request::stream("openai/gpt-4o", "Hello")).await.unwrap();
    stream.event().await.unwrap();
    nexus.signal("TERM");
    wait_until("the listener to close", || async { !accepts(&nexus).await }).await;
    upstream.open_gate();
    assert!(stream.rest().await.ends_with(END));
    assert_eq!(nexus.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_taken_port_is_said_and_ends_with_code_1() {
    let address = free_address();
    let _taken = std::net::TcpListener::bind(address).unwrap();
    let refusal = refuses_to_start(ECHO, address).await;
    assert_eq!(refusal.code, Some(1), "{}", refusal.output);
    assert!(refusal.output.contains(&address.to_string()), "{}", refusal.output);
}

#[tokio::test]
async fn a_broken_configuration_ends_with_code_1() {
    let refusal = refuses_to_start("[server]\nlisten = 3\n", free_address()).await;
    assert_eq!(refusal.code, Some(1), "{}", refusal.output);
}
