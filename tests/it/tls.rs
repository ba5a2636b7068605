//! Providers behind TLS: whom the router trusts, and which HTTP it speaks to them.

use std::time::Duration;

use http::Version;
use tokio::{net::TcpListener, task::JoinSet, time::Instant};

use crate::support::{
    client::{Answer, Request},
    nexus::Nexus,
    setup::provider,
    tls::AUTHORITY,
    upstream::{Reply, Step, Upstream},
};

const WORD: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n";

/// A router whose provider is at this host and port, under the tests' own authority.
async fn trusting(host: &str, port: u16, keys: &str) -> Nexus {
    let url = format!("https://{host}:{port}/v1");
    Nexus::start(&provider("openai", &url, &format!("ca_file = \"{AUTHORITY}\"\n{keys}"))).await
}

fn hello() -> Request {
    Request::chat("openai/gpt-4o", "Hello")
}

fn bad_gateway(answer: &Answer) {
    assert_eq!(answer.status, 502, "{answer:?}");
    assert_eq!(answer.error().kind, "api_error");
}

#[tokio::test]
async fn the_http_version_is_what_the_upstream_offers() {
    let http2: &[&str] = &["h2", "http/1.1"];
    let offers = [(http2, Version::HTTP_2), (&["h2"], Version::HTTP_2), (&["http/1.1"], Version::HTTP_11)];
    for (offered, version) in offers.into_iter().chain([(&[] as &[&str], Version::HTTP_11)]) {
        let upstream = Upstream::start_tls(offered, |_| Reply::completion("Hi")).await;
        let nexus = trusting("127.0.0.1", upstream.address().port(), "").await;
        for _ in 0..3 {
            assert_eq!(hello().send(&nexus).await.fine().content(), "Hi", "{offered:?}");
        }
        let seen = upstream.seen();
        assert!(seen.calls.iter().all(|call| call.version == version), "{offered:?}");
        assert_eq!(seen.connections, 1, "{offered:?}");
    }
}

#[tokio::test]
async fn bodies_and_headers_are_the_same_over_http2() {
    let upstream =
        Upstream::start_tls(&["h2"], |_| Reply::completion("Hi").header("x-request-id", "up-1")).await;
    let nexus = trusting("127.0.0.1", upstream.address().port(), "").await;
    let answer =
        hello().header("x-request-id", "mine-1").header("connection", "keep-alive").send(&nexus).await.fine();
    assert_eq!(answer.header("x-upstream-request-id"), Some("up-1"));
    let call = upstream.last();
    assert_eq!((call.uri.path(), call.header("x-request-id")), ("/v1/chat/completions", Some("mine-1")));
    assert_eq!(call.json()["model"], "gpt-4o-0123");
    assert_eq!(call.header("connection"), None);
}

#[tokio::test]
async fn calls_share_one_http2_connection() {
    let upstream = Upstream::start_tls(&["h2"], |_| Reply::completion("Hi").gated()).await;
    let nexus = trusting("127.0.0.1", upstream.address().port(), "").await;
    let mut calls = JoinSet::new();
    calls.spawn(hello().send_to(nexus.address()));
    upstream.until("the first call", |seen| seen.open == 1).await;
    for _ in 0..20 {
        calls.spawn(hello().send_to(nexus.address()));
    }
    upstream.until("all calls at a time", |seen| seen.open == 21).await;
    assert_eq!(upstream.seen().connections, 1);
    upstream.open_gate();
    for answer in calls.join_all().await {
        answer.fine();
    }
}

#[tokio::test]
async fn a_cancelled_stream_leaves_its_http2_connection_in_use() {
    let upstream = Upstream::start_tls(&["h2"], |call| {
        if call.json()["stream"] == true {
            Reply::events([Step::send(WORD), Step::Hang])
        } else {
            Reply::completion("Hi")
        }
    })
    .await;
    let nexus = trusting("127.0.0.1", upstream.address().port(), "").await;
    let mut stream = Request::stream("openai/gpt-4o", "Hello").open(&nexus).await;
    stream.event().await.unwrap();
    stream.hang_up();
    upstream.until("the call to be cancelled", |seen| seen.hung_up == 1 && seen.open == 0).await;
    hello().send(&nexus).await.fine();
    assert_eq!(upstream.seen().connections, 1);
}

#[tokio::test]
async fn an_authority_that_is_not_known_is_not_trusted() {
    let upstream = Upstream::start_tls(&["h2", "http/1.1"], |_| Reply::completion("Hi")).await;
    let url = format!("https://{}/v1", upstream.address());
    let nexus = Nexus::start(&provider("openai", &url, "")).await;
    bad_gateway(&hello().send(&nexus).await);
    assert!(upstream.seen().calls.is_empty(), "the key was not sent");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_trusted() {
    let upstream = Upstream::start_tls(&["http/1.1"], |_| Reply::completion("Hi")).await;
    let nexus = trusting("localhost", upstream.address().port(), "").await;
    bad_gateway(&hello().send(&nexus).await);
    assert!(upstream.seen().calls.is_empty());
}

#[tokio::test]
async fn an_upstream_that_speaks_no_tls_is_a_bad_gateway() {
    let upstream = Upstream::always(|| Reply::completion("Hi")).await;
    let nexus = trusting("127.0.0.1", upstream.address().port(), "").await;
    bad_gateway(&hello().send(&nexus).await);
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_cut_off_by_the_connect_time_limit() {
    // Connections are taken by the kernel, and nobody ever answers on them.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let nexus = trusting("127.0.0.1", port, "connect_timeout = \"300ms\"").await;
    let asked = Instant::now();
    let answer = hello().send(&nexus).await;
    assert!(answer.status == 502 || answer.status == 504, "{answer:?}");
    answer.error();
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
}
