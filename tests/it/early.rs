//! Answers that are ready before their request has been read: the client can read them, and the connection goes on
//! where that is cheaper than a new one.

use std::time::Duration;

use crate::support::{
    client::{Answer, CHAT, Connection, Raw, Request},
    nexus::Nexus,
    setup::{ECHO, openai},
    upstream::{Reply, Upstream},
};

const BODY: &str = r#"{"model":"echo/m","messages":[{"role":"user","content":"Hello"}]}"#;
const JSON: &str = "content-type: application/json\r\n";

/// Identity by header, for calls that do not say who is calling.
const CLIENT_ONLY: &str = r#"
[server.client_identification]
enabled = true
client_id.http_header = "X-User-Id"
"#;

fn head(line: &str, more: &str, length: usize) -> String {
    format!("{line} HTTP/1.1\r\nhost: x\r\n{more}content-length: {length}\r\n\r\n")
}

/// Sends a head, and its body when the router has had time to answer; then another request on the same connection,
/// which must be served. Returns the first answer.
async fn kept(nexus: &Nexus, head: &str, body: &[u8]) -> Answer {
    let mut raw = Raw::connect(nexus.address()).await;
    raw.write(head).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    let answer = raw.write(body).await.answer().await;
    assert_eq!(answer.header("connection"), None, "{head}: {answer:?}");
    let next = raw.write("GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.answer().await;
    assert_eq!(next.fine().text(), r#"{"status":"healthy"}"#);
    answer
}

#[tokio::test]
async fn an_answer_before_the_body_keeps_the_connection() {
    let nexus = Nexus::start(&format!("{CLIENT_ONLY}{ECHO}")).await;
    for (line, more, status) in [
        ("POST /nowhere", JSON, 404),
        ("POST /v1/models", JSON, 405),
        (&format!("PUT {CHAT}"), JSON, 405),
        (&format!("POST {CHAT}"), "x-user-id: alice\r\n", 415),
        (&format!("POST {CHAT}"), JSON, 400),
    ] {
        let answer = kept(&nexus, &head(line, more, BODY.len()), BODY.as_bytes()).await;
        assert_eq!(answer.status, status, "{line}: {answer:?}");
    }
}

#[tokio::test]
async fn an_answer_before_a_body_of_a_megabyte_keeps_the_connection() {
    let nexus = Nexus::start(ECHO).await;
    let body = vec![b'x'; 1 << 20];
    let answer = kept(&nexus, &head("POST /nowhere", JSON, body.len()), &body).await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn an_answer_before_a_chunked_body_keeps_the_connection() {
    let nexus = Nexus::start(ECHO).await;
    let head = "POST /nowhere HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    assert_eq!(kept(&nexus, head, b"3\r\nabc\r\n0\r\n\r\n").await.status, 404);
}

#[tokio::test]
async fn a_refusal_for_want_of_a_place_keeps_the_connection() {
    let upstream = Upstream::always(|| Reply::completion("Hi").gated()).await;
    let nexus = Nexus::start(&format!("[server]\nmax_in_flight = 1\n{}", openai(&upstream, ""))).await;
    let holding = tokio::spawn(Request::chat("openai/gpt-4o", "Hello").send_to(nexus.address()));
    upstream.until("the only place to be taken", |seen| seen.open == 1).await;
    let answer = kept(&nexus, &head(&format!("POST {CHAT}"), JSON, BODY.len()), BODY.as_bytes()).await;
    assert_eq!(answer.status, 503);
    upstream.open_gate();
    holding.await.unwrap().fine();
}

/// A request whose body nobody will read to its end: it is sent all the same, and then the answer is looked for.
async fn unread(nexus: &Nexus, head: &str, body: Vec<u8>) -> Answer {
    let mut raw = Raw::connect(nexus.address()).await;
    let answer = raw.write(head).await.write(body).await.answer().await;
    assert_eq!(answer.header("connection"), Some("close"), "{answer:?}");
    assert_eq!(raw.read_to_end().await, "", "nothing behind the answer");
    answer
}

#[tokio::test]
async fn who_sends_30_mb_where_less_is_allowed_can_read_why_it_is_refused() {
    let nexus = Nexus::start(&format!("[server]\nrequest_body_limit = \"1MiB\"\n{ECHO}")).await;
    let length = 30_000_000;
    let declared = head(&format!("POST {CHAT}"), JSON, length);
    let answer = unread(&nexus, &declared, vec![b' '; length]).await;
    assert_eq!((answer.status, answer.error().code), (413, 413));
    let chunked = format!("POST {CHAT} HTTP/1.1\r\nhost: x\r\n{JSON}transfer-encoding: chunked\r\n\r\n");
    let body = [format!("{length:x}\r\n").as_bytes(), &vec![b' '; length], b"\r\n0\r\n\r\n"].concat();
    let answer = unread(&nexus, &chunked, body).await;
    assert_eq!((answer.status, answer.error().code), (413, 413));
}

#[tokio::test]
async fn a_body_that_is_too_large_to_be_thrown_away_closes_the_connection_behind_its_answer() {
    let nexus = Nexus::start(&format!("{CLIENT_ONLY}{ECHO}")).await;
    let length = 16 << 20;
    for (line, status) in [("POST /nowhere", 404), (&format!("POST {CHAT}"), 400)] {
        let answer = unread(&nexus, &head(line, JSON, length), vec![b' '; length]).await;
        assert_eq!(answer.status, status, "{line}");
    }
}

#[tokio::test]
async fn who_waits_to_be_told_to_go_on_is_told_no_and_the_connection_closes() {
    let nexus = Nexus::start(ECHO).await;
    let mut raw = Raw::connect(nexus.address()).await;
    raw.write(head("POST /nowhere", "expect: 100-continue\r\n", 1000)).await;
    let answer = raw.answer().await;
    assert_eq!((answer.status, answer.header("connection")), (404, Some("close")));
}

/// A request head with `headers` headers in all, `more` among them.
fn many(headers: usize, more: &str) -> String {
    let filling: String = (2..headers).map(|number| format!("x-{number}: y\r\n")).collect();
    format!("GET /v1/models HTTP/1.1\r\nhost: x\r\n{more}\r\n{filling}\r\n")
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_in_words() {
    let nexus = Nexus::start(ECHO).await;
    let long = format!("x-long: {}", "y".repeat(65 * 1024));
    for request in [many(129, "x-one: y"), many(200, "x-one: y"), many(3, &long)] {
        let mut raw = Raw::connect(nexus.address()).await;
        let answer = raw.write(&request).await.answer().await;
        let error = answer.error();
        assert_eq!((answer.status, error.kind.as_str()), (431, "invalid_request_error"), "{error:?}");
        assert!(error.message.contains("128 headers") && error.message.contains("64 KiB"), "{error:?}");
        assert!(answer.header("x-request-id").is_some_and(|id| !id.is_empty()), "{answer:?}");
        assert_eq!(answer.header("connection"), Some("close"));
        assert_eq!(raw.read_to_end().await, "");
    }
    let answer =
        Raw::connect(nexus.address()).await.write(many(129, "x-request-id: mine-3")).await.answer().await;
    assert_eq!((answer.status, answer.header("x-request-id")), (431, Some("mine-3")));
}

#[tokio::test]
async fn a_head_beyond_all_bounds_is_refused_while_it_comes_and_its_client_is_not_cut_off() {
    let nexus = Nexus::start(ECHO).await;
    let mut raw = Raw::connect(nexus.address()).await;
    let begun = format!("GET /v1/models HTTP/1.1\r\nhost: x\r\nx-long: {}", "y".repeat(512 * 1024));
    let answer = raw.write(begun).await.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    for piece in 0..8 {
        // Time for a reset to come, which the end of the answer does not tell of.
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(raw.can_write([b'y'; 64 * 1024]).await, "reset at piece {piece}");
    }
}

#[tokio::test]
async fn over_http2_a_head_that_is_too_large_is_refused_in_the_same_words_and_the_connection_lives() {
    let nexus = Nexus::start(ECHO).await;
    let mut connection = Connection::http2(nexus.address()).await;
    let headers =
        (0..129).fold(Request::get("/v1/models"), |request, n| request.header(&format!("x-{n}"), "y"));
    for request in [headers, Request::get("/v1/models").header("x-long", "y".repeat(65 * 1024))] {
        let answer = connection.send(request).await;
        assert_eq!((answer.status, answer.error().code), (431, 431));
        assert!(answer.header("x-request-id").is_some(), "{answer:?}");
    }
    connection.send(Request::get("/health")).await.fine();
}
