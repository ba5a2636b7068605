//! The scripted provider and the clients, tried on each other: what they report is what every other test believes.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{
    client::{CHAT, Connection, Raw, Request, data_of},
    ports::{ClosedPort, free_address},
    upstream::{Reply, Step, Upstream},
};

#[tokio::test]
async fn a_fixed_reply_has_a_length_and_is_no_hang_up() {
    let upstream = Upstream::always(|| Reply::json("{}")).await;
    let mut connection = Connection::http1(upstream.address()).await;
    for _ in 0..3 {
        let answer = connection.send(Request::post(CHAT, "body")).await.fine();
        assert_eq!((answer.text(), answer.header("content-length")), ("{}", Some("2")));
    }
    let empty = Upstream::always(|| Reply::status(204)).await;
    assert_eq!(Request::get("/").send_to(empty.address()).await.status, 204);
    upstream.until("three calls to end", |seen| seen.calls.len() == 3 && seen.open == 0).await;
    let seen = upstream.seen();
    assert_eq!((seen.connections, seen.hung_up, seen.most_open, seen.calls[2].turn), (1, 0, 1, 3));
    assert_eq!((upstream.last().body.as_ref(), empty.seen().hung_up), (&b"body"[..], 0));
}

#[tokio::test]
async fn events_come_in_pieces_and_wait_at_the_gate() {
    let steps = || [Step::send("data: a\n\nda"), Step::Gate, Step::send("ta: b\n\n")];
    let upstream = Upstream::always(move || Reply::events(steps())).await;
    let mut connection = Connection::http1(upstream.address()).await;
    let mut stream = connection.open(Request::get("/")).await.unwrap();
    assert_eq!(stream.event().await.unwrap(), "data: a");
    assert_eq!(upstream.seen().open, 1);
    upstream.open_gate();
    assert_eq!(stream.data().await, ["b"]);
    upstream.until("the end", |seen| seen.open == 0 && seen.hung_up == 0).await;
}

#[tokio::test]
async fn a_break_is_no_clean_end_and_no_hang_up() {
    let upstream = Upstream::always(|| Reply::events([Step::send("data: a\n\n"), Step::Break])).await;
    let mut connection = Connection::http1(upstream.address()).await;
    let (body, clean) = connection.open(Request::get("/")).await.unwrap().drain().await;
    assert_eq!((&body[..], clean), (&b"data: a\n\n"[..], false));
    upstream.until("the end", |seen| seen.open == 0 && seen.hung_up == 0).await;
    let upstream = Upstream::always(|| Reply::json("{").step(Step::Break)).await;
    let mut connection = Connection::http1(upstream.address()).await;
    assert!(!connection.open(Request::get("/")).await.unwrap().drain().await.1);
}

#[tokio::test]
async fn a_client_that_leaves_is_counted() {
    let upstream = Upstream::start(|call| match call.uri.path() {
        "/hang" => Reply::hang(),
        "/stall" => Reply::events([Step::send("data: a\n\n"), Step::Hang]),
        _ => Reply::events([Step::Forever("data: a\n\n".into())]),
    })
    .await;
    for (count, path) in ["/hang", "/stall", "/forever"].into_iter().enumerate() {
        let call = tokio::spawn(Request::get(path).send_to(upstream.address()));
        upstream.until(path, |seen| seen.open == 1).await;
        call.abort();
        upstream.until("the hang-up", |seen| seen.hung_up == count + 1 && seen.open == 0).await;
    }
}

#[tokio::test]
async fn connections_close_before_and_after_answers_as_the_script_says() {
    let upstream = Upstream::always(Reply::close).await;
    let mut connection = Connection::http1(upstream.address()).await;
    assert!(connection.open(Request::get("/")).await.is_err());
    let upstream = Upstream::always(|| Reply::json("{}").then_close()).await;
    let mut connection = Connection::http1(upstream.address()).await;
    let answer = connection.send(Request::get("/")).await.fine();
    assert_eq!(answer.header("connection"), None, "it does not say so");
    connection.closed().await;
}

#[tokio::test]
async fn delays_delay() {
    let upstream = Upstream::always(|| Reply::json("{}").after(Duration::from_millis(50))).await;
    let asked = Instant::now();
    Request::get("/").send_to(upstream.address()).await.fine();
    assert!(asked.elapsed() >= Duration::from_millis(50));
}

#[tokio::test]
async fn a_closed_port_refuses_and_free_addresses_differ() {
    let port = ClosedPort::new();
    let error = tokio::net::TcpStream::connect(port.address()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    let addresses: BTreeSet<_> = (0..20).map(|_| free_address()).collect();
    assert_eq!(addresses.len(), 20);
}

#[tokio::test]
async fn a_bare_socket_sees_the_bytes() {
    let upstream = Upstream::always(|| Reply::json("{}")).await;
    let mut raw = Raw::connect(upstream.address()).await;
    let answer =
        raw.write("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n{}"), "{answer}");
    assert_eq!(data_of("data: a\r\ndata:b\n\n: c\n"), ["a", "b"]);
}
