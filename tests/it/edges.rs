//! The edge of the server: heads, timeouts, pipelining, HTTP/2, and clients that do not behave.

use std::time::Duration;

use tokio::{task::JoinSet, time::Instant};

use crate::support::{
    client::{CHAT, Connection, MODELS, Raw, Request},
    nexus::Nexus,
    setup::{ECHO, openai},
    upstream::{Reply, Step, Upstream},
};

const BODY: &str = r#"{"model":"echo/m","messages":[{"role":"user","content":"Hello"}]}"#;

async fn start(server: &str) -> Nexus {
    Nexus::start(&format!("[server]\n{server}\n{ECHO}")).await
}

fn post(more: &str) -> String {
    let length = BODY.len();
    format!(
        "POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{more}content-length: {length}\r\n\r\n"
    )
}

#[tokio::test]
async fn a_client_that_trickles_its_head_is_closed() {
    let nexus = start("header_timeout = \"500ms\"").await;
    let mut raw = Raw::connect(nexus.address()).await;
    let start = Instant::now();
    raw.write("GET /health HTTP/1.1\r\nhost: x\r\n").await;
    for letter in 0..20 {
        if raw.write(format!("x-{letter}: y\r\n")).await.closes_within(Duration::from_millis(100)).await {
            break;
        }
    }
    assert!(raw.closes_within(Duration::from_millis(100)).await, "still open after {:?}", start.elapsed());
    assert!(start.elapsed() >= Duration::from_millis(400), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_client_that_says_nothing_is_closed() {
    let nexus = start("header_timeout = \"300ms\"\nidle_timeout = \"300ms\"").await;
    let mut raw = Raw::connect(nexus.address()).await;
    assert!(raw.closes_within(Duration::from_secs(5)).await);
}

#[tokio::test]
async fn an_idle_connection_is_kept_for_its_time_and_then_closed() {
    let nexus = start("idle_timeout = \"700ms\"\nheader_timeout = \"10s\"").await;
    let mut connection = Connection::http1(nexus.address()).await;
    for _ in 0..3 {
        connection.send(Request::get("/health")).await.fine();
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let idle = Instant::now();
    connection.closed().await;
    assert!(idle.elapsed() < Duration::from_secs(5), "{:?}", idle.elapsed());
}

#[tokio::test]
async fn a_head_has_at_most_128_headers() {
    let nexus = start("").await;
    let get = |headers: usize| {
        let headers: String = (1..headers).map(|number| format!("x-{number}: y\r\n")).collect();
        format!("GET /health HTTP/1.1\r\nhost: x\r\n{headers}\r\n")
    };
    let answer = Raw::connect(nexus.address()).await.write(get(128)).await.read_until("\r\n", 1).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let answer = Raw::connect(nexus.address()).await.write(get(129)).await.read_until("\r\n", 1).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn a_head_has_at_most_64_kib() {
    let nexus = start("").await;
    let get =
        |length: usize| format!("GET /health HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "y".repeat(length));
    let answer = Raw::connect(nexus.address()).await.write(get(60 * 1024)).await.read_until("\r\n", 1).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let answer = Raw::connect(nexus.address()).await.write(get(66 * 1024)).await.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn what_is_no_http_is_refused_and_closed() {
    let nexus = start("").await;
    for bytes in
        ["\x16\x03\x01\x02\x00\x01\x00", "GET\r\n\r\n", "GET / HTTP/3.0\r\n\r\n", "\r\n\r\nnonsense\r\n\r\n"]
    {
        let answer = Raw::connect(nexus.address()).await.write(bytes).await.read_to_end().await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{bytes:?}: {answer}");
    }
    Request::get("/health").send(&nexus).await.fine();
}

#[tokio::test]
async fn two_lengths_of_one_body_are_refused() {
    let nexus = start("").await;
    for more in ["content-length: 5\r\n", "transfer-encoding: chunked, identity\r\n"] {
        let answer = Raw::connect(nexus.address()).await.write(post(more) + BODY).await.read_to_end().await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{more}: {answer}");
    }
}

#[tokio::test]
async fn a_body_that_stalls_is_a_request_time_out() {
    let nexus = start("body_timeout = \"300ms\"").await;
    let mut raw = Raw::connect(nexus.address()).await;
    let answer = raw.write(post("")).await.write(&BODY[..10]).await.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("\"code\":408"), "in openai's shape: {answer}");
}

#[tokio::test]
async fn a_body_that_is_slow_but_does_not_stall_is_read() {
    let nexus = start("body_timeout = \"500ms\"").await;
    let mut raw = Raw::connect(nexus.address()).await;
    raw.write(post("connection: close\r\n")).await;
    for piece in BODY.as_bytes().chunks(10) {
        tokio::time::sleep(Duration::from_millis(120)).await;
        raw.write(piece).await;
    }
    let answer = raw.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_closed_and_its_upstream_call_cancelled() {
    let word = format!(
        "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n",
        "x".repeat(60_000)
    );
    let upstream = Upstream::always(move || Reply::events([Step::Forever(word.clone().into())])).await;
    let nexus =
        Nexus::start(&format!("[server]\nwrite_timeout = \"500ms\"\n{}", openai(&upstream, ""))).await;
    let stream = Request::stream("openai/gpt-4o", "Hello").open(&nexus).await;
    upstream.until("the call to be cancelled", |seen| seen.hung_up == 1).await;
    drop(stream);
}

#[tokio::test]
async fn a_quiet_upstream_is_no_client_that_takes_nothing() {
    let pause = Duration::from_millis(1200);
    let event =
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}\n\n";
    let upstream = Upstream::always(move || {
        Reply::events([
            Step::Wait(pause),
            Step::send(event),
            Step::Wait(pause),
            Step::send("data: [DONE]\n\n"),
        ])
    })
    .await;
    let nexus =
        Nexus::start(&format!("[server]\nwrite_timeout = \"500ms\"\n{}", openai(&upstream, ""))).await;
    let text = Request::stream("openai/gpt-4o", "Hello").open(&nexus).await.rest().await;
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
}

#[tokio::test]
async fn a_connection_serves_one_call_after_another() {
    let nexus = start("").await;
    let mut connection = Connection::http1(nexus.address()).await;
    for _ in 0..20 {
        connection.send(Request::chat("echo/m", "Hello")).await.fine();
        connection.send(Request::chat("echo/none", "Hello")).await;
        connection.send(Request::get(MODELS)).await.fine();
        let mut stream = connection.open(Request::stream("echo/m", "Hello")).await.unwrap();
        assert!(stream.rest().await.ends_with("data: [DONE]\n\n"));
    }
}

#[tokio::test]
async fn pipelined_calls_are_answered_in_their_order() {
    let nexus = start("").await;
    let mut raw = Raw::connect(nexus.address()).await;
    let call = |text: &str| {
        let body = BODY.replace("Hello", text);
        let length = body.len();
        format!(
            "POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )
    };
    raw.write([call("first"), call("second"), call("third")].concat()).await;
    let answers = raw.read_until("\"finish_reason\"", 3).await;
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 3, "{answers}");
    let places = ["first", "second", "third"].map(|text| answers.find(text).unwrap());
    assert!(places.is_sorted(), "{answers}");
}

#[tokio::test]
async fn a_client_that_expects_to_be_told_to_go_on_is_told() {
    let nexus = start("").await;
    let mut raw = Raw::connect(nexus.address()).await;
    let told = raw
        .write(post("expect: 100-continue\r\nconnection: close\r\n"))
        .await
        .read_until("\r\n\r\n", 1)
        .await;
    assert_eq!(told, "HTTP/1.1 100 Continue\r\n\r\n");
    let answer = raw.write(BODY).await.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn http_1_0_is_answered_and_closed() {
    let nexus = start("").await;
    let answer =
        Raw::connect(nexus.address()).await.write("GET /health HTTP/1.0\r\n\r\n").await.read_to_end().await;
    assert!(answer.contains(" 200 OK") && answer.ends_with("{\"status\":\"healthy\"}"), "{answer}");
}

#[tokio::test]
async fn http2_serves_many_calls_at_a_time_over_one_connection() {
    let upstream = Upstream::always(|| Reply::completion("Hi").gated()).await;
    let nexus = Nexus::start(&openai(&upstream, "")).await;
    let mut connection = Connection::http2(nexus.address()).await;
    let mut calls = JoinSet::new();
    for _ in 0..20 {
        let mut sharing = connection.share();
        calls.spawn(async move { sharing.send(Request::chat("openai/gpt-4o", "Hello")).await });
    }
    upstream.until("twenty calls at a time", |seen| seen.open == 20).await;
    upstream.open_gate();
    for answer in calls.join_all().await {
        assert_eq!(answer.fine().content(), "Hi");
    }
    connection.send(Request::get("/health")).await.fine();
}

#[tokio::test]
async fn http2_streams_events_and_notices_a_cancelled_one() {
    let word = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n";
    let upstream = Upstream::always(move || Reply::events([Step::send(word), Step::Hang])).await;
    let nexus = Nexus::start(&openai(&upstream, "")).await;
    let mut connection = Connection::http2(nexus.address()).await;
    let mut stream = connection.open(Request::stream("openai/gpt-4o", "Hello")).await.unwrap();
    assert!(stream.event().await.unwrap().contains("\"x\""));
    drop(stream);
    upstream.until("the call to be cancelled", |seen| seen.hung_up == 1).await;
    connection.send(Request::get("/health")).await.fine();
}

#[tokio::test]
async fn the_answer_to_a_head_has_no_body_on_either_version() {
    let nexus = start("").await;
    for mut connection in [Connection::http1(nexus.address()).await, Connection::http2(nexus.address()).await]
    {
        for target in ["/health", "/llm/openai"] {
            let answer = connection.send(Request::get(target).method(http::Method::HEAD)).await.fine();
            assert_eq!(answer.text(), "", "{target}");
        }
        connection.send(Request::get("/health")).await.fine();
    }
}

#[tokio::test]
async fn http2_answers_errors_in_the_same_shape() {
    let nexus = start("request_body_limit = \"1KiB\"").await;
    let mut connection = Connection::http2(nexus.address()).await;
    let large = Request::post(CHAT, "x".repeat(5000));
    for (request, status) in [
        (Request::get("/nowhere"), 404),
        (Request::get(CHAT), 405),
        (large, 413),
        (Request::post(CHAT, "{"), 400),
    ] {
        let answer = connection.send(request).await;
        assert_eq!(answer.status, status);
        answer.error();
    }
}
