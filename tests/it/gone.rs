//! Clients that hang up: what the log and the metrics say of their calls.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use crate::support::{
    client::{CHAT, Connection, Raw, Request},
    nexus::Nexus,
    setup::{ADMIN, openai},
    upstream::{Reply, Step, Upstream},
};

/// A router that tells everything in JSON, its provider following `reply`.
async fn start(reply: impl Fn() -> Reply + Send + Sync + 'static) -> (Upstream, Nexus) {
    let upstream = Upstream::always(reply).await;
    let config = format!("{ADMIN}{}", openai(&upstream, ""));
    let nexus = Nexus::start_with(&config, &["--log-style", "json"]).await;
    (upstream, nexus)
}

fn word() -> Step {
    Step::send(format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": {"content": "x"}}]})))
}

/// The line of the only call, its fields by name.
async fn line(nexus: &Nexus) -> BTreeMap<String, Value> {
    let lines = nexus.logged(1, |line| line.contains("request_id") && line.contains("total_ms")).await;
    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    let fields = line.get("fields").unwrap_or(&line);
    fields.as_object().unwrap().clone().into_iter().collect()
}

/// The only call is told of as one whose client went away, and nowhere as a success.
async fn is_told_as_gone(nexus: &Nexus, status: u16) {
    let line = line(nexus).await;
    assert_eq!((&line["status"], &line["error"]), (&json!(status), &json!("client_gone")), "{line:?}");
    // The metrics of a call are there when its line is.
    let text = Request::get("/metrics").send_to(nexus.admin()).await.fine().text().to_owned();
    let counts: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("gen_ai_client_operation_duration_seconds_count"))
        .filter(|line| !line.ends_with(" 0"))
        .collect();
    let [only] = counts[..] else { panic!("one call is counted once: {counts:?}") };
    assert!(only.contains("error_type=\"client_gone\"") && only.ends_with(" 1"), "{only}");
}

#[tokio::test]
async fn a_client_that_hangs_up_before_the_head_is_told_as_gone() {
    let (upstream, nexus) = start(Reply::hang).await;
    let call = tokio::spawn(Request::chat("openai/gpt-4o", "Hello").send_to(nexus.address()));
    upstream.until("the call", |seen| seen.calls.len() == 1).await;
    call.abort();
    is_told_as_gone(&nexus, 499).await;
}

#[tokio::test]
async fn a_client_that_hangs_up_in_the_middle_of_a_stream_is_told_as_gone() {
    let (_upstream, nexus) = start(|| Reply::events([word(), Step::Hang])).await;
    let mut stream = Request::stream("openai/gpt-4o", "Hello").open(&nexus).await;
    stream.event().await.unwrap();
    stream.hang_up();
    is_told_as_gone(&nexus, 200).await;
}

#[tokio::test]
async fn a_client_that_cancels_a_stream_over_http2_is_told_as_gone() {
    let (_upstream, nexus) = start(|| Reply::events([word(), Step::Hang])).await;
    let mut connection = Connection::http2(nexus.address()).await;
    let mut stream = connection.open(Request::stream("openai/gpt-4o", "Hello")).await.unwrap();
    stream.event().await.unwrap();
    drop(stream);
    is_told_as_gone(&nexus, 200).await;
}

#[tokio::test]
async fn a_client_that_hangs_up_in_the_middle_of_a_whole_answer_is_told_as_gone() {
    let text = json!({"choices": [], "x": "y".repeat(16 << 20)}).to_string();
    let (_upstream, nexus) = start(move || Reply::json(text.clone())).await;
    let body = r#"{"model":"openai/gpt-4o","messages":[]}"#;
    let head = format!("POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n");
    let mut raw = Raw::connect_narrow(nexus.address()).await;
    raw.write(format!("{head}content-length: {}\r\n\r\n{body}", body.len())).await;
    assert_eq!(raw.head().await.0, 200);
    raw.0.read_exact(&mut [0; 1000]).await.unwrap();
    drop(raw);
    is_told_as_gone(&nexus, 200).await;
}

#[tokio::test]
async fn a_client_that_has_taken_everything_and_then_hangs_up_is_not() {
    let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    let end = format!("data: {end}\n\ndata: [DONE]\n\n");
    let (_upstream, nexus) = start(move || Reply::events([word(), Step::send(end.clone())])).await;
    let mut stream = Request::stream("openai/gpt-4o", "Hello").open(&nexus).await;
    stream.rest().await;
    stream.hang_up();
    let line = line(&nexus).await;
    assert_eq!((&line["status"], &line["error"]), (&json!(200), &json!("")), "{line:?}");
}

#[tokio::test]
async fn an_answer_without_a_body_is_no_hang_up() {
    let (_upstream, nexus) = start(Reply::hang).await;
    for (target, status) in [("/llm/openai", 200), ("/nowhere", 404)] {
        let request = Request::get(target).method(http::Method::HEAD).header("x-request-id", target);
        assert_eq!(request.send(&nexus).await.status, status);
        let lines = nexus.logged(1, |line| line.contains(&format!("\"{target}\""))).await;
        assert!(!lines[0].contains("client_gone"), "{lines:?}");
    }
}
