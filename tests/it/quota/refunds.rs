//! Which calls cost nothing in the end, and which do although they failed.

use std::time::Duration;

use serde_json::json;

use super::HELLO;
use crate::support::{
    client::Request,
    nexus::Nexus,
    ports::ClosedPort,
    setup::{IDENTIFIED, openai, provider, provider_limit},
    upstream::{Reply, Step, Upstream},
};

const LIMIT: u64 = 10 * HELLO;

fn limits() -> String {
    provider_limit("openai", LIMIT, "60s")
}

fn hello() -> Request {
    Request::chat("openai/gpt-4o", "Hello").client("alice")
}

fn streaming() -> Request {
    Request::stream("openai/gpt-4o", "Hello").client("alice")
}

/// A provider whose reply depends on the caller's `x-request-id`: `ok` is a good answer, anything else `bad`.
async fn start(keys: &str, bad: impl Fn() -> Reply + Send + Sync + 'static) -> (Upstream, Nexus) {
    let upstream =
        Upstream::start(
            move |call| if call.headers["x-request-id"] == "ok" { Reply::completion("Hi") } else { bad() },
        )
        .await;
    let nexus = Nexus::start(&format!("{IDENTIFIED}{}{}", openai(&upstream, keys), limits())).await;
    (upstream, nexus)
}

/// What the caller has left, by a good call that itself costs [`HELLO`].
async fn left(nexus: &Nexus) -> u64 {
    let answer = hello().header("x-request-id", "ok").send(nexus).await.fine();
    answer.number("x-ratelimit-remaining-tokens") + HELLO
}

#[tokio::test]
async fn an_upstream_error_of_any_status_is_refunded_and_the_headers_restated() {
    for status in [300, 400, 401, 402, 403, 404, 408, 409, 413, 418, 422, 429, 500, 502, 503, 529] {
        let (_upstream, nexus) = start("", move || Reply::status(status).body("no")).await;
        let answer = hello().send(&nexus).await;
        assert!(answer.status >= 400, "{answer:?}");
        assert_eq!(answer.number("x-ratelimit-limit-tokens"), LIMIT, "{status}");
        assert_eq!(answer.number("x-ratelimit-remaining-tokens"), LIMIT, "restated: {status}");
        assert_eq!(left(&nexus).await, LIMIT, "{status}");
    }
}

#[tokio::test]
async fn a_refused_connection_is_refunded() {
    let port = ClosedPort::new();
    let url = format!("http://{}/v1", port.address());
    let nexus = Nexus::start(&format!("{IDENTIFIED}{}{}", provider("openai", &url, ""), limits())).await;
    for _ in 0..12 {
        let answer = hello().send(&nexus).await;
        assert_eq!(answer.status, 502, "never at the limit: {answer:?}");
        assert_eq!(answer.number("x-ratelimit-remaining-tokens"), LIMIT);
    }
}

#[tokio::test]
async fn a_connection_that_dies_before_the_answer_is_refunded() {
    let (_upstream, nexus) = start("", Reply::close).await;
    assert_eq!(hello().send(&nexus).await.status, 502);
    assert_eq!(left(&nexus).await, LIMIT);
}

#[tokio::test]
async fn a_time_out_before_the_answer_is_refunded() {
    let (_upstream, nexus) = start("first_byte_timeout = \"200ms\"", Reply::hang).await;
    assert_eq!(hello().send(&nexus).await.status, 504);
    assert_eq!(left(&nexus).await, LIMIT);
}

#[tokio::test]
async fn a_success_that_cannot_be_read_is_refunded() {
    for body in ["<html>fine</html>", "", "{\"model\":", "[1,2]"] {
        let (_upstream, nexus) = start("", move || Reply::json(body)).await;
        let answer = hello().send(&nexus).await;
        assert!(answer.status == 500 || answer.status == 502, "{body}: {answer:?}");
        answer.error();
        assert_eq!(left(&nexus).await, LIMIT, "{body}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_before_it_could_be_delivered_is_refunded() {
    let broken = || Reply::json("{\"choices\":[").step(Step::Break);
    let (_upstream, nexus) = start("", broken).await;
    assert_eq!(hello().send(&nexus).await.status, 502);
    assert_eq!(left(&nexus).await, LIMIT);
}

#[tokio::test]
async fn an_error_as_the_first_event_is_refunded() {
    let error = "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\"}}\n\n";
    let (_upstream, nexus) = start("", move || Reply::events([Step::send(error)])).await;
    let text = streaming().open(&nexus).await.rest().await;
    assert!(text.contains("overloaded"), "{text}");
    settled(&nexus, LIMIT).await;
}

#[tokio::test]
async fn a_stream_that_breaks_after_its_role_only_is_refunded() {
    let role = format!(
        "data: {}\n\n",
        json!({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
    );
    for end in [Step::Break, Step::send("")] {
        let (role, end) = (role.clone(), end);
        let (_upstream, nexus) =
            start("", move || Reply::events([Step::send(role.clone()), end.clone()])).await;
        streaming().open(&nexus).await.rest().await;
        settled(&nexus, LIMIT).await;
    }
}

#[tokio::test]
async fn a_stream_of_a_terminator_alone_is_refunded() {
    let (_upstream, nexus) = start("", || Reply::events([Step::send("data: [DONE]\n\n")])).await;
    assert_eq!(streaming().open(&nexus).await.rest().await, "data: [DONE]\n\n");
    settled(&nexus, LIMIT).await;
}

#[tokio::test]
async fn an_answer_in_a_coding_that_was_not_asked_for_is_refunded() {
    let coded = || Reply::json("{\"choices\":[]}").header("content-encoding", "br");
    let (_upstream, nexus) = start("", coded).await;
    for request in [hello(), streaming()] {
        let answer = request.send(&nexus).await;
        assert_eq!(answer.status, 502, "{answer:?}");
        answer.error();
        assert_eq!(answer.number("x-ratelimit-remaining-tokens"), LIMIT, "restated");
    }
    assert_eq!(left(&nexus).await, LIMIT);
}

#[tokio::test]
async fn a_stream_that_breaks_after_output_is_not_refunded() {
    let word = format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": {"content": "Hi"}}]}));
    let (_upstream, nexus) = start("", move || Reply::events([Step::send(word.clone()), Step::Break])).await;
    streaming().open(&nexus).await.rest().await;
    stays(&nexus, LIMIT - HELLO).await;
}

#[tokio::test]
async fn a_client_that_hangs_up_after_its_call_was_sent_is_not_refunded() {
    let (upstream, nexus) = start("", Reply::hang).await;
    let call = tokio::spawn(hello().send_to(nexus.address()));
    upstream.until("the call", |seen| seen.open == 1).await;
    call.abort();
    upstream.until("the call to be cancelled", |seen| seen.hung_up == 1).await;
    stays(&nexus, LIMIT - HELLO).await;
}

#[tokio::test]
async fn a_call_that_the_provider_has_no_place_for_is_refunded() {
    let (upstream, nexus) = start("max_in_flight = 1", || Reply::completion("Hi").gated()).await;
    let first = tokio::spawn(hello().send_to(nexus.address()));
    upstream.until("the first call", |seen| seen.open == 1).await;
    for _ in 0..12 {
        assert_eq!(hello().send(&nexus).await.status, 503, "never at the limit");
    }
    upstream.open_gate();
    first.await.unwrap().fine();
    assert_eq!(left(&nexus).await, LIMIT - HELLO);
}

#[tokio::test]
async fn a_replaced_connection_is_charged_once() {
    let upstream =
        Upstream::start(|call| if call.turn == 2 { Reply::close() } else { Reply::completion("Hi") }).await;
    let nexus = Nexus::start(&format!("{IDENTIFIED}{}{}", openai(&upstream, ""), limits())).await;
    for number in 1..=4 {
        let answer = hello().send(&nexus).await.fine();
        assert_eq!(answer.number("x-ratelimit-remaining-tokens"), LIMIT - number * HELLO);
    }
}

#[tokio::test]
async fn the_estimate_stands_whatever_the_provider_reports() {
    let usage =
        r#"{"choices":[],"usage":{"prompt_tokens":5000,"completion_tokens":5000,"total_tokens":10000}}"#;
    let (_upstream, nexus) = start("", move || Reply::json(usage)).await;
    hello().send(&nexus).await.fine();
    assert_eq!(left(&nexus).await, LIMIT - HELLO);
}

#[tokio::test]
async fn a_refund_makes_room_for_the_very_next_call() {
    let (_upstream, nexus) = start("", || Reply::status(500).body("no")).await;
    let all = ["hello"; 73].join(" ");
    for _ in 0..5 {
        let answer = Request::chat("openai/gpt-4o", &all).client("alice").send(&nexus).await;
        assert_eq!(answer.status, 500, "80 of 80 tokens every time: {answer:?}");
    }
}

/// A refund after a stream's head is a message that may still be on its way when the stream has ended; every look
/// costs a call.
async fn settled(nexus: &Nexus, expected: u64) {
    for look in 0..8 {
        if left(nexus).await + look * HELLO == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no refund came");
}

async fn stays(nexus: &Nexus, expected: u64) {
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(left(nexus).await, expected);
}
