//! What a provider's failures become, and how its connections are used.

use std::time::Duration;

use serde_json::json;
use tokio::{task::JoinSet, time::Instant};

use crate::support::{
    client::{Answer, Request},
    nexus::Nexus,
    ports::ClosedPort,
    setup::{API_KEY, openai, provider},
    upstream::{Reply, Step, Upstream},
};

async fn start(keys: &str, reply: impl Fn() -> Reply + Send + Sync + 'static) -> (Upstream, Nexus) {
    let upstream = Upstream::always(reply).await;
    let nexus = Nexus::start(&openai(&upstream, keys)).await;
    (upstream, nexus)
}

fn hello() -> Request {
    Request::chat("openai/gpt-4o", "Hello")
}

async fn answer_to(reply: impl Fn() -> Reply + Send + Sync + 'static) -> Answer {
    let (_upstream, nexus) = start("", reply).await;
    hello().send(&nexus).await
}

#[tokio::test]
async fn plain_errors_are_wrapped_by_their_status() {
    for (upstream, status, kind, message) in [
        (400, 400, "invalid_request_error", "Invalid request: it broke"),
        (401, 401, "authentication_error", "Authentication failed: it broke"),
        (403, 403, "insufficient_quota", "Insufficient quota: it broke"),
        (429, 429, "rate_limit_error", "Rate limit exceeded: it broke"),
        (500, 500, "internal_error", "it broke"),
        (402, 502, "api_error", "Provider API error (402): it broke"),
        (418, 502, "api_error", "Provider API error (418): it broke"),
        (501, 502, "api_error", "Provider API error (501): it broke"),
        (504, 502, "api_error", "Provider API error (504): it broke"),
    ] {
        let answer = answer_to(move || Reply::status(upstream).body("it broke")).await;
        let error = answer.error();
        assert_eq!(
            (answer.status, error.kind.as_str(), error.message.as_str()),
            (status, kind, message),
            "{upstream}"
        );
        assert_eq!(error.code, u64::from(status));
    }
}

#[tokio::test]
async fn a_plain_not_found_is_one_of_the_model() {
    let answer = answer_to(|| Reply::status(404).body("it broke")).await;
    let error = answer.error();
    assert_eq!((answer.status, error.kind.as_str()), (404, "not_found_error"));
    assert!(error.message.contains("it broke"), "{}", error.message);
}

#[tokio::test]
async fn statuses_that_tell_a_client_something_are_kept() {
    for status in [408, 409, 413, 422, 503, 529] {
        let answer = answer_to(move || Reply::status(status).body("it broke")).await;
        assert_eq!(answer.status, status);
        assert!(answer.error().message.contains("it broke"));
    }
}

#[tokio::test]
async fn json_errors_of_the_same_protocol_pass_verbatim() {
    let body = "{\"error\": {\"message\":\"bad \\u0022value\\u0022\",\"type\":\"invalid_request_error\",\"param\":\"x\",\"code\":null,\"more\":1.0}}\n";
    for (upstream, status) in
        [(400, 400), (401, 401), (404, 404), (422, 422), (429, 429), (500, 500), (503, 503), (418, 502)]
    {
        let answer =
            answer_to(move || Reply::status(upstream).header("content-type", "application/json").body(body))
                .await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.text(), body, "{upstream}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
}

#[tokio::test]
async fn json_errors_of_another_shape_are_wrapped() {
    for body in [r#"{"detail":"it broke"}"#, r#"["it broke"]"#, r#""it broke""#] {
        let answer =
            answer_to(move || Reply::status(400).header("content-type", "application/json").body(body)).await;
        assert_eq!(answer.status, 400);
        assert!(answer.error().message.contains("it broke"), "{body}: {answer:?}");
    }
}

#[tokio::test]
async fn the_api_key_is_scrubbed_from_errors() {
    for kind in ["application/json", "text/plain"] {
        let body = json!({"error": {"message": format!("wrong key {API_KEY}!"), "type": "x"}}).to_string();
        let answer =
            answer_to(move || Reply::status(401).header("content-type", kind).body(body.clone())).await;
        assert_eq!(answer.status, 401);
        assert!(!answer.text().contains(API_KEY), "{}", answer.text());
        assert!(answer.text().contains("wrong key"), "{}", answer.text());
    }
}

#[tokio::test]
async fn the_upstreams_retry_after_passes() {
    for status in [429, 503] {
        let answer = answer_to(move || Reply::status(status).header("retry-after", "17").body("later")).await;
        assert_eq!((answer.status, answer.header("retry-after")), (status, Some("17")));
    }
}

#[tokio::test]
async fn an_error_whose_body_breaks_off_keeps_its_status_and_its_retry_after() {
    let broken = |status| {
        Reply::status(status).header("retry-after", "17").body("{\"error\":{\"mess").step(Step::Break)
    };
    for status in [429, 503] {
        for request in [hello(), Request::stream("openai/gpt-4o", "Hello")] {
            let (_upstream, nexus) = start("", move || broken(status)).await;
            let answer = request.send(&nexus).await;
            assert_eq!((answer.status, answer.header("retry-after")), (status, Some("17")), "{answer:?}");
            answer.error();
        }
    }
}

#[tokio::test]
async fn an_error_without_a_body_has_a_text_all_the_same() {
    for (status, body) in [(400, ""), (401, " \n"), (404, ""), (429, ""), (500, ""), (503, "")] {
        let error = answer_to(move || Reply::status(status).body(body)).await.error();
        assert!(error.message.contains("the provider gave no reason"), "{status}: {error:?}");
    }
}

#[tokio::test]
async fn an_error_in_a_list_gives_its_message() {
    let answer =
        answer_to(|| Reply::status(400).body("[{\"error\":{\"message\":\"g\",\"code\":400}}]\n")).await;
    assert_eq!((answer.status, answer.error().message.as_str()), (400, "Invalid request: g"));
}

#[tokio::test]
async fn an_answer_that_names_its_model_twice_is_no_failure() {
    let twice = r#"{"model":"a","choices":[],"model":"gpt-4o-0123"}"#;
    let answer = answer_to(move || Reply::json(twice)).await.fine();
    assert_eq!(answer.json()["model"], "openai/gpt-4o", "the one that counts is renamed");
}

#[tokio::test]
async fn a_location_of_the_upstream_does_not_pass() {
    for status in [200, 201, 307, 400, 503] {
        let answer = answer_to(move || {
            let reply = Reply::status(status).header("location", "http://127.0.0.1:1/internal");
            reply.header("content-type", "application/json").body("{\"choices\":[]}")
        })
        .await;
        assert_eq!(answer.header("location"), None, "{status}: {answer:?}");
        if status < 300 {
            assert_eq!(answer.status, status, "a good status is kept");
        }
    }
}

#[tokio::test]
async fn an_error_to_a_streaming_call_is_plain_json() {
    let (_upstream, nexus) = start("", || Reply::status(429).body("slow down")).await;
    let answer = Request::stream("openai/gpt-4o", "Hello").send(&nexus).await;
    assert_eq!(answer.status, 429);
    answer.error();
}

#[tokio::test]
async fn an_error_whose_body_is_huge_or_not_text_is_an_error_all_the_same() {
    let answer = answer_to(|| Reply::status(400).body(vec![0xff; 8 << 20])).await;
    assert_eq!(answer.status, 400);
    answer.error();
    assert!(answer.body.len() < 1 << 20, "{} bytes", answer.body.len());
    let answer = answer_to(|| Reply::status(400)).await;
    assert_eq!(answer.status, 400);
    answer.error();
}

#[tokio::test]
async fn a_refused_connection_is_a_bad_gateway() {
    let port = ClosedPort::new();
    let url = format!("http://{}/v1", port.address());
    let nexus = Nexus::start(&provider("openai", &url, "")).await;
    let answer = hello().send(&nexus).await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.error().kind, "api_error");
    let answer = Request::stream("openai/gpt-4o", "Hello").send(&nexus).await;
    assert_eq!(answer.status, 502, "a streaming call, too");
}

#[tokio::test]
async fn a_host_that_does_not_exist_is_a_bad_gateway() {
    let nexus = Nexus::start(&provider("openai", "http://no-such-host.invalid/v1", "")).await;
    let answer = hello().send(&nexus).await;
    assert_eq!(answer.status, 502, "{answer:?}");
    answer.error();
}

#[tokio::test]
async fn what_does_not_speak_http_is_a_bad_gateway() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let chatter = tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut socket, b"220 smtp.example.com ESMTP\r\n").await;
        }
    });
    let nexus = Nexus::start(&provider("openai", &url, "")).await;
    assert_eq!(hello().send(&nexus).await.status, 502);
    chatter.abort();
}

#[tokio::test]
async fn an_answer_that_does_not_begin_in_time_is_a_gateway_time_out() {
    let (upstream, nexus) = start("first_byte_timeout = \"300ms\"", Reply::hang).await;
    let asked = Instant::now();
    let answer = hello().send(&nexus).await;
    assert_eq!(answer.status, 504);
    answer.error();
    assert!(asked.elapsed() >= Duration::from_millis(300));
    upstream.until("the call to be cancelled", |seen| seen.hung_up == 1).await;
    assert_eq!(Request::stream("openai/gpt-4o", "Hello").send(&nexus).await.status, 504);
}

#[tokio::test]
async fn a_slow_answer_within_its_time_is_fine() {
    let (_upstream, nexus) =
        start("first_byte_timeout = \"2s\"", || Reply::completion("Hi").after(Duration::from_millis(300)))
            .await;
    assert_eq!(hello().send(&nexus).await.fine().content(), "Hi");
}

#[tokio::test]
async fn an_answer_that_stalls_is_a_gateway_time_out() {
    let stalled = || Reply::json("{\"choices\":").step(Step::Hang);
    let (_upstream, nexus) = start("idle_timeout = \"300ms\"", stalled).await;
    assert_eq!(hello().send(&nexus).await.status, 504);
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let (upstream, nexus) = start("", || Reply::completion("Hi")).await;
    for _ in 0..10 {
        hello().send(&nexus).await.fine();
    }
    assert_eq!(upstream.seen().connections, 1);
    assert_eq!(upstream.seen().calls.len(), 10);
}

#[tokio::test]
async fn every_provider_actor_has_connections_of_its_own() {
    let upstream = Upstream::always(|| Reply::completion("Hi")).await;
    let nexus = Nexus::start(&format!("[actors]\nprovider_workers = 3\n{}", openai(&upstream, ""))).await;
    for _ in 0..30 {
        hello().send(&nexus).await.fine();
    }
    assert!((1..=3).contains(&upstream.seen().connections), "{}", upstream.seen().connections);
}

#[tokio::test]
async fn a_stream_that_ended_well_gives_its_connection_back() {
    let event = r#"data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}"#;
    let (upstream, nexus) =
        start("", move || Reply::events([Step::send(format!("{event}\n\ndata: [DONE]\n\n"))])).await;
    for _ in 0..5 {
        Request::stream("openai/gpt-4o", "Hello").open(&nexus).await.rest().await;
    }
    assert!(upstream.seen().connections <= 2, "{}", upstream.seen().connections);
}

#[tokio::test]
async fn a_used_connection_that_dies_before_an_answer_is_replaced_once() {
    let upstream =
        Upstream::start(|call| if call.turn == 1 { Reply::completion("Hi") } else { Reply::close() }).await;
    let nexus = Nexus::start(&openai(&upstream, "")).await;
    for _ in 0..4 {
        hello().send(&nexus).await.fine();
    }
    let seen = upstream.seen();
    assert_eq!((seen.connections, seen.calls.len()), (4, 7), "three calls were sent twice");
    assert_eq!(seen.calls[1].body, seen.calls[2].body, "the same call");
    assert_eq!(seen.calls[1].header("x-request-id"), seen.calls[2].header("x-request-id"));
}

#[tokio::test]
async fn a_connection_that_the_upstream_closed_while_idle_is_not_noticed_by_clients() {
    let (upstream, nexus) = start("", || Reply::completion("Hi").then_close()).await;
    for pause in [0, 1, 5, 20, 21, 22, 25, 60] {
        hello().send(&nexus).await.fine();
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    assert!(upstream.seen().calls.len() <= 16);
}

#[tokio::test]
async fn a_fresh_connection_that_dies_is_not_tried_again() {
    let (upstream, nexus) = start("", Reply::close).await;
    assert_eq!(hello().send(&nexus).await.status, 502);
    assert_eq!(upstream.seen().calls.len(), 1);
    assert_eq!(upstream.seen().connections, 1);
}

#[tokio::test]
async fn a_replacement_that_dies_too_is_not_replaced() {
    let upstream = Upstream::start(|call| {
        if call.connection == 1 && call.turn == 1 { Reply::completion("Hi") } else { Reply::close() }
    })
    .await;
    let nexus = Nexus::start(&openai(&upstream, "")).await;
    hello().send(&nexus).await.fine();
    assert_eq!(hello().send(&nexus).await.status, 502);
    assert_eq!(upstream.seen().calls.len(), 3);
}

#[tokio::test]
async fn a_used_connection_that_dies_in_the_answer_is_not_replaced() {
    let upstream = Upstream::start(|call| {
        if call.turn == 1 { Reply::completion("Hi") } else { Reply::json("{\"choices\":").step(Step::Break) }
    })
    .await;
    let nexus = Nexus::start(&openai(&upstream, "")).await;
    hello().send(&nexus).await.fine();
    assert_eq!(hello().send(&nexus).await.status, 502);
    assert_eq!(upstream.seen().calls.len(), 2);
}

#[tokio::test]
async fn upstream_errors_are_never_retried() {
    let (upstream, nexus) = start("", || Reply::status(503).body("busy")).await;
    for calls in 1..=3 {
        hello().send(&nexus).await;
        assert_eq!(upstream.seen().calls.len(), calls);
    }
}

#[tokio::test]
async fn a_provider_that_is_full_refuses_at_once_and_never_sees_more() {
    let (upstream, nexus) = start("max_in_flight = 3", || Reply::completion("Hi").gated()).await;
    let mut held = JoinSet::new();
    for _ in 0..3 {
        held.spawn(hello().send_to(nexus.address()));
    }
    upstream.until("three calls", |seen| seen.open == 3).await;
    for _ in 0..10 {
        let answer = hello().send(&nexus).await;
        assert_eq!(answer.status, 503);
        assert_eq!(answer.error().kind, "overloaded_error");
        assert!(answer.number("retry-after") >= 1);
    }
    upstream.open_gate();
    for answer in held.join_all().await {
        answer.fine();
    }
    hello().send(&nexus).await.fine();
    assert_eq!(upstream.seen().most_open, 3);
}

#[tokio::test]
async fn a_place_at_the_provider_is_held_until_a_stream_ends() {
    let word = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n";
    let (upstream, nexus) =
        start("max_in_flight = 1", move || Reply::events([Step::send(word), Step::Hang])).await;
    let mut stream = Request::stream("openai/gpt-4o", "Hello").open(&nexus).await;
    stream.event().await.unwrap();
    assert_eq!(hello().send(&nexus).await.status, 503);
    stream.hang_up();
    upstream.until("the call to be cancelled", |seen| seen.open == 0).await;
    crate::support::wait_until("the place to be free", || async {
        Request::stream("openai/gpt-4o", "Hello").open(&nexus).await.status == 200
    })
    .await;
}

#[tokio::test]
async fn one_hanging_provider_does_not_slow_another() {
    let stuck = Upstream::always(Reply::hang).await;
    let quick = Upstream::always(|| Reply::completion("Hi")).await;
    let stuck_url = format!("http://{}/v1", stuck.address());
    let config = format!("{}{}", openai(&quick, ""), provider("stuck", &stuck_url, "max_in_flight = 50"));
    let nexus = Nexus::start(&config).await;
    let mut flood = JoinSet::new();
    for _ in 0..200 {
        flood.spawn(Request::chat("stuck/gpt-4o", "Hello").send_to(nexus.address()));
    }
    stuck.until("the stuck provider to be full", |seen| seen.open == 50).await;
    let mut slowest = Duration::ZERO;
    for _ in 0..50 {
        let asked = Instant::now();
        hello().send(&nexus).await.fine();
        slowest = slowest.max(asked.elapsed());
    }
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    assert_eq!(stuck.seen().most_open, 50);
    flood.abort_all();
}

#[tokio::test]
async fn interim_answers_of_the_upstream_are_not_the_answer() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut piece = [0; 4096];
        tokio::io::AsyncReadExt::read(&mut socket, &mut piece).await.unwrap();
        let answer = "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 14\r\n\r\n{\"choices\":[]}";
        tokio::io::AsyncWriteExt::write_all(&mut socket, answer.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
    });
    let nexus = Nexus::start(&provider("openai", &url, "")).await;
    assert_eq!(hello().send(&nexus).await.fine().text(), "{\"choices\":[]}");
    server.abort();
}
