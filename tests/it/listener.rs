//! TLS for clients: who is served, with which certificate, and when it is not there. `http2` has the attacks, `reload`
//! the files that change.

use std::time::Duration;

use rustls::{
    ProtocolVersion,
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};

use crate::support::{
    client::{CHAT, MODELS, Raw, Request},
    in_time,
    nexus::{Nexus, refuses_to_start},
    ports::free_address,
    setup::{ADMIN, ECHO, openai},
    tls::{Client, certificate, file},
    upstream::{Reply, Step, Upstream},
    wait_until,
};

mod http2;
mod mutual;
mod reload;

const WORD: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n";
const END: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

/// `[server.tls]` with this certificate, its key, and further keys.
fn tls(name: &str, keys: &str) -> String {
    let (certificate, key) = (file(&format!("{name}.pem")), file(&format!("{name}.key")));
    format!(
        "[server.tls]\ncertificate = \"{}\"\nkey = \"{}\"\n{keys}\n",
        certificate.display(),
        key.display()
    )
}

/// A router over TLS whose provider is the echo.
async fn start(server: &str) -> Nexus {
    Nexus::start_tls(&format!("[server]\n{server}\n{}{ADMIN}{ECHO}", tls("edge_ec", "")), &["--log", "debug"])
        .await
}

fn hello() -> Request {
    Request::chat("echo/m", "Hello")
}

/// A request as it is written on a connection of HTTP/1.1.
fn written(model: &str, stream: bool) -> String {
    let body = format!(
        r#"{{"model":"{model}","stream":{stream},"messages":[{{"role":"user","content":"Hello"}}]}}"#
    );
    let head =
        format!("POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\n");
    format!("{head}content-length: {}\r\n\r\n{body}", body.len())
}

async fn connections(nexus: &Nexus) -> serde_json::Value {
    Request::get("/status").send_to(nexus.admin()).await.fine().json()["connections"].clone()
}

#[tokio::test]
async fn calls_are_served_over_both_versions_of_tls_and_of_http() {
    let nexus = start("").await;
    for (version, name) in [(&TLS13, ProtocolVersion::TLSv1_3), (&TLS12, ProtocolVersion::TLSv1_2)] {
        for protocol in ["http/1.1", "h2"] {
            let client = Client::of_version(version, &[protocol]);
            let probe = client.connect(nexus.address()).await.unwrap();
            assert_eq!(probe.get_ref().1.protocol_version(), Some(name));
            assert_eq!(probe.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
            let mut connection = match protocol {
                "h2" => client.http2(nexus.address()).await,
                _ => client.http1(nexus.address()).await,
            };
            assert_eq!(
                connection.send(Request::get("/health")).await.fine().text(),
                r#"{"status":"healthy"}"#
            );
            connection.send(Request::get(MODELS)).await.fine();
            assert_eq!(connection.send(hello()).await.fine().content(), "Hello");
            let mut stream = connection.open(Request::stream("echo/m", "Hello")).await.unwrap();
            assert!(stream.rest().await.ends_with("data: [DONE]\n\n"), "{protocol}");
        }
    }
}

#[tokio::test]
async fn http2_is_preferred_and_http1_is_spoken_to_who_offers_nothing() {
    let nexus = start("").await;
    let both = Client::new(&["http/1.1", "h2"]).connect(nexus.address()).await.unwrap();
    assert_eq!(both.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let none = Client::new(&[]);
    assert_eq!(none.connect(nexus.address()).await.unwrap().get_ref().1.alpn_protocol(), None);
    none.http1(nexus.address()).await.send(hello()).await.fine();
}

#[tokio::test]
async fn keys_are_served_in_all_three_forms() {
    for name in ["edge_rsa", "edge_ec"] {
        let nexus = Nexus::start_tls(&format!("{}{ECHO}", tls(name, "")), &[]).await;
        let stream = Client::new(&["h2"]).connect(nexus.address()).await.unwrap();
        assert_eq!(stream.get_ref().1.peer_certificates().unwrap(), [certificate(&format!("{name}.pem"))]);
    }
}

#[tokio::test]
async fn a_request_in_plain_text_is_closed_without_an_answer() {
    let nexus = start("").await;
    let mut raw = Raw::connect(nexus.address()).await;
    let answer = raw.write(written("echo/m", false)).await.read_to_end().await;
    assert!(!answer.contains("HTTP/"), "{answer:?}");
    nexus.logged(1, |line| line.contains("DEBUG") && line.contains("no TLS")).await;
    Client::new(&["h2"]).http2(nexus.address()).await.send(hello()).await.fine();
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_closed_by_the_header_time_limit() {
    let nexus = start("header_timeout = \"400ms\"\nidle_timeout = \"60s\"").await;
    for begun in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let asked = Instant::now();
        let mut raw = Raw::connect(nexus.address()).await;
        raw.write(begun).await;
        assert!(raw.closes_within(Duration::from_secs(5)).await, "{begun:?}");
        assert!(asked.elapsed() >= Duration::from_millis(300), "{:?}", asked.elapsed());
    }
    wait_until("the places to be free", || async { connections(&nexus).await == 0 }).await;
}

#[tokio::test]
async fn over_tls_too_a_head_that_does_not_end_is_closed_and_an_idle_connection_is_not() {
    let nexus = start("header_timeout = \"2s\"\nidle_timeout = \"60s\"").await;
    let client = Client::new(&["http/1.1"]);
    // Neither has asked for anything yet: that they are connected does not begin a head.
    let mut idle = client.http1(nexus.address()).await;
    let mut idle_http2 = Client::new(&["h2"]).http2(nexus.address()).await;
    for before in ["", "GET /health HTTP/1.1\r\nhost: x\r\n\r\n"] {
        let mut stream = client.connect(nexus.address()).await.unwrap();
        stream.write_all(before.as_bytes()).await.unwrap();
        if !before.is_empty() {
            in_time("an answer", stream.read_u8()).await.unwrap();
        }
        let asked = Instant::now();
        stream.write_all(b"GET / HT").await.unwrap();
        // However it is closed.
        let _ = in_time("the end", stream.read_to_end(&mut Vec::new())).await;
        assert!(asked.elapsed() > Duration::from_millis(1500), "{:?}", asked.elapsed());
    }
    idle.send(hello()).await.fine();
    idle_http2.send(hello()).await.fine();
}

#[tokio::test]
async fn connections_beyond_max_connections_are_closed_and_not_answered_in_plain_text() {
    let nexus = start("max_connections = 1").await;
    let mut only = Client::new(&["h2"]).http2(nexus.address()).await;
    only.send(hello()).await.fine();
    let mut raw = Raw::connect(nexus.address()).await;
    assert_eq!(raw.read_to_end().await, "");
    assert!(Client::new(&["h2"]).connect(nexus.address()).await.is_err());
    only.send(hello()).await.fine();
    drop(only);
    wait_until("a place", || async { Client::new(&["h2"]).connect(nexus.address()).await.is_ok() }).await;
}

#[tokio::test]
async fn a_drain_finishes_streams_and_says_goodbye() {
    let upstream = Upstream::always(|| Reply::events([Step::send(WORD), Step::Gate, Step::send(END)])).await;
    let config = format!("{}{}", tls("edge_ec", ""), openai(&upstream, ""));
    let mut nexus = Nexus::start_tls(&config, &[]).await;
    let mut stream = Client::new(&["http/1.1"]).connect(nexus.address()).await.unwrap();
    stream.write_all(written("openai/gpt-4o", true).as_bytes()).await.unwrap();
    upstream.until("the call", |seen| seen.open == 1).await;
    nexus.signal("TERM");
    nexus.logged(1, |line| line.contains("draining")).await;
    upstream.open_gate();
    // Without the goodbye of TLS the end would be an error.
    let mut answer = String::new();
    in_time("a clean end", stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.contains("[DONE]"), "{answer}");
    assert_eq!(nexus.exit_code().await, Some(0), "{:?}", nexus.log());
}

#[tokio::test]
async fn what_is_left_at_the_cut_gets_its_error_event_over_tls() {
    let upstream = Upstream::always(|| Reply::events([Step::send(WORD), Step::Hang])).await;
    let config =
        format!("[server]\nshutdown_timeout = \"300ms\"\n{}{}", tls("edge_ec", ""), openai(&upstream, ""));
    let mut nexus = Nexus::start_tls(&config, &[]).await;
    let mut connections = [
        Client::new(&["h2"]).http2(nexus.address()).await,
        Client::new(&["http/1.1"]).http1(nexus.address()).await,
    ];
    let mut streams = Vec::new();
    for connection in &mut connections {
        let mut stream = connection.open(Request::stream("openai/gpt-4o", "Hello")).await.unwrap();
        stream.event().await.unwrap();
        streams.push(stream);
    }
    nexus.signal("TERM");
    for (stream, protocol) in streams.iter_mut().zip(["h2", "http/1.1"]) {
        let rest = stream.rest().await;
        assert!(rest.contains("\"error\"") && !rest.contains("[DONE]"), "{protocol}: {rest}");
    }
    assert_eq!(nexus.exit_code().await, Some(3), "{:?}", nexus.log());
}

#[tokio::test]
async fn a_client_that_takes_nothing_over_tls_is_closed_and_its_call_cancelled() {
    let word = WORD.repeat(1000);
    let upstream = Upstream::always(move || Reply::events([Step::Forever(word.clone().into())])).await;
    let config =
        format!("[server]\nwrite_timeout = \"400ms\"\n{}{}", tls("edge_ec", ""), openai(&upstream, ""));
    let nexus = Nexus::start_tls(&config, &[]).await;
    let mut stream = Client::new(&["http/1.1"]).connect(nexus.address()).await.unwrap();
    stream.write_all(written("openai/gpt-4o", true).as_bytes()).await.unwrap();
    upstream.until("the call to be cancelled", |seen| seen.hung_up == 1 && seen.open == 0).await;
}

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_is_still_sending_over_tls() {
    let nexus = start("request_body_limit = \"1KiB\"").await;
    let mut stream = Client::new(&["http/1.1"]).connect(nexus.address()).await.unwrap();
    let length = 4 << 20;
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // All of it: what is not read here would be answered with a reset.
    in_time("the body to be taken", stream.write_all(&vec![b' '; length - 1])).await.unwrap();
    let mut answer = String::new();
    in_time("the answer", stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn the_health_listener_has_the_same_certificate_and_the_operators_is_plain() {
    let health = free_address();
    let keys = format!("[server.health]\nlisten = \"{health}\"\n{ADMIN}");
    let nexus = Nexus::start_tls(&format!("{}{keys}{ECHO}", tls("edge_ec", "")), &[]).await;
    let mut connection = Client::new(&["http/1.1"]).http1(health).await;
    connection.send(Request::get("/health")).await.fine();
    let stream = Client::new(&[]).connect(health).await.unwrap();
    assert_eq!(stream.get_ref().1.peer_certificates().unwrap(), [certificate("edge_ec.pem")]);
    assert_eq!(Request::get("/live").send_to(nexus.admin()).await.fine().text(), "live\n");
}

#[tokio::test]
async fn files_that_cannot_be_used_are_a_start_up_error_that_names_them() {
    let path = |name: &str| file(name).display().to_string();
    let config = |certificate: &str, key: &str, more: &str| {
        let (certificate, key) = (path(certificate), path(key));
        format!("[server.tls]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n{more}{ECHO}")
    };
    let ca = |name: &str| format!("client_ca = \"{}\"\n", path(name));
    let cases = [
        (config("README.md", "edge_ec.key", ""), "README.md: holds no certificate"),
        (config("edge_ec.pem", "edge_ec.pem", ""), "edge_ec.pem: holds no private key"),
        (config("edge_ec.pem", "edge_rsa.key", ""), "edge_rsa.key: is not the key of the first certificate"),
        (config("edge_ec.pem", "edge_ec.key", &ca("alice.key")), "alice.key: holds no certificate"),
    ];
    for (config, problem) in cases {
        let refusal = refuses_to_start(&config, free_address()).await;
        assert_eq!(refusal.code, Some(1), "{}", refusal.output);
        for text in ["Server failed to start: Failed to load TLS certificate and key: ", problem] {
            assert!(refusal.output.contains(text), "{text}: {}", refusal.output);
        }
    }
    // What is not there is a problem of the configuration, told with its place.
    for config in [
        config("none.pem", "edge_ec.key", ""),
        config("edge_ec.pem", "none.pem", ""),
        config("edge_ec.pem", "edge_ec.key", &ca("none.pem")),
    ] {
        let refusal = refuses_to_start(&config, free_address()).await;
        assert_eq!(refusal.code, Some(1), "{}", refusal.output);
        assert!(refusal.output.contains("none.pem"), "{}", refusal.output);
    }
}
