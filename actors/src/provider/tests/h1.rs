//! HTTP/1.1, against servers that write their bytes by hand.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
};

use super::*;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Reads one request; `false` at the end of the connection.
async fn heard(stream: &mut TcpStream) -> bool {
    let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return false,
            Ok(read) => seen.extend_from_slice(&buffer[..read]),
        }
        let Some(end) = seen.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&seen[..end]).to_lowercase();
        let length = head.split("content-length: ").nth(1).map_or(0, |rest| {
            rest.split("\r\n").next().and_then(|digits| digits.parse().ok()).expect("a length")
        });
        if seen.len() >= end + 4 + length {
            return true;
        }
    }
}

async fn say(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.expect("the router listens");
}

/// Answers `good` requests and then reads one more, which it does not answer.
async fn answer(stream: &mut TcpStream, good: usize) {
    for _ in 0..good {
        if !heard(stream).await {
            return;
        }
        say(stream, OK).await;
    }
    heard(stream).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sequential_calls_use_one_connection() {
    let rig = Rig::new(|_, mut stream| async move { answer(&mut stream, usize::MAX).await }).await;
    for _ in 0..2_000 {
        let (status, body) = rig.call("x").await.expect("an answer");
        assert_eq!((status.as_u16(), &body[..]), (200, &b"ok"[..]));
    }
    assert_eq!(rig.accepted(), 1);
    assert_eq!((rig.number("connections"), rig.number("in_flight"), rig.number("failures")), (1, 0, 0));
}

#[tokio::test]
async fn a_stale_connection_is_replaced() {
    let rig = Rig::new(|_, mut stream| async move { answer(&mut stream, 1).await }).await;
    for _ in 0..3 {
        rig.call("x").await.expect("an answer");
    }
    assert_eq!((rig.accepted(), rig.number("failures")), (3, 0));
}

#[tokio::test]
async fn a_stale_connection_is_replaced_only_once() {
    let rig = Rig::new(|n, mut stream| async move { answer(&mut stream, usize::from(n == 0)).await }).await;
    rig.call("x").await.expect("an answer");
    let failed = rig.call("x").await;
    assert!(matches!(failed, Err(SendError::Broken(_))), "{failed:?}");
    assert_eq!((rig.accepted(), rig.number("failures")), (2, 1));
}

#[tokio::test]
async fn a_connection_closed_while_idle_is_not_lent() {
    let rig = Rig::new(|_, mut stream| async move {
        heard(&mut stream).await;
        say(&mut stream, OK).await;
    })
    .await;
    rig.call("x").await.expect("an answer");
    rig.until("the end is noticed", |rig| rig.number("connections") == 0).await;
    rig.call("x").await.expect("an answer");
    assert_eq!(rig.accepted(), 2);
}

#[tokio::test]
async fn a_fresh_connection_is_not_replaced() {
    let rig = Rig::new(|_, mut stream| async move { answer(&mut stream, 0).await }).await;
    let failed = rig.call("x").await;
    assert!(matches!(failed, Err(SendError::Broken(_))), "{failed:?}");
    assert_eq!((rig.accepted(), rig.number("failures")), (1, 1));
}

#[tokio::test]
async fn a_call_whose_answer_has_begun_is_not_repeated() {
    let rig = Rig::new(|_, mut stream| async move {
        answer(&mut stream, 1).await;
        say(&mut stream, "HTTP/1.1 2").await;
    })
    .await;
    rig.call("x").await.expect("an answer");
    let failed = rig.call("x").await;
    assert!(matches!(failed, Err(SendError::Broken(_))), "{failed:?}");
    assert_eq!((rig.accepted(), rig.number("failures")), (1, 1));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_a_failure() {
    let rig = Rig::new(|_, mut stream| async move {
        heard(&mut stream).await;
        say(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await;
    })
    .await;
    assert!(rig.call("x").await.is_err());
    assert_eq!((rig.number("in_flight"), rig.number("failures")), (0, 1));
}

/// The first connection answers before it has taken the whole request, and does not take the rest; the others do well.
async fn impatient() -> Rig {
    let rig = Rig::new(|n, mut stream| async move {
        if n > 0 {
            return answer(&mut stream, usize::MAX).await;
        }
        stream.read_exact(&mut [0; 64]).await.expect("a request");
        say(&mut stream, "HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n").await;
        std::future::pending().await
    })
    .await;
    assert_eq!(rig.call(&"x".repeat(32 << 20)).await.expect("an answer").0.as_u16(), 413);
    tokio::time::pause();
    rig
}

#[tokio::test]
async fn a_connection_whose_request_was_not_taken_whole_is_not_lent_and_closed_soon() {
    let rig = impatient().await;
    rig.pass(Duration::from_millis(20)).await;
    let before = Instant::now();
    assert_eq!(rig.call("x").await.expect("an answer").0.as_u16(), 200);
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!((rig.accepted(), rig.number("connections")), (2, 2));
    rig.pass(Duration::from_secs(11)).await;
    rig.until("the first is closed", |rig| rig.number("connections") == 1).await;
    assert_eq!(rig.call("x").await.expect("an answer").0.as_u16(), 200);
    assert_eq!(rig.accepted(), 2);
}

#[tokio::test]
async fn such_a_connection_costs_a_call_that_follows_at_once_a_moment() {
    let rig = impatient().await;
    let before = Instant::now();
    assert_eq!(rig.call("x").await.expect("an answer").0.as_u16(), 200);
    assert!(before.elapsed() < Duration::from_secs(2), "{:?}", before.elapsed());
    rig.until("the first is closed", |rig| rig.number("connections") == 1).await;
    assert_eq!((rig.accepted(), rig.number("failures")), (2, 0));
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_the_end() {
    let rig = Rig::new(|_, mut stream| async move { answer(&mut stream, usize::MAX).await }).await;
    rig.call("x").await.expect("an answer");
    tokio::time::pause();
    rig.pass(Duration::from_secs(60)).await;
    rig.call("x").await.expect("an answer");
    rig.pass(Duration::from_secs(60)).await;
    rig.call("x").await.expect("an answer");
    assert_eq!((rig.accepted(), rig.number("connections")), (1, 1));
    rig.pass(Duration::from_secs(100)).await;
    rig.until("it is closed", |rig| rig.number("connections") == 0).await;
}

/// A server that says `text` to each request and then reports the end of the connection.
async fn reporting(text: &'static str) -> (Rig, mpsc::UnboundedReceiver<&'static str>) {
    let (told, reports) = mpsc::unbounded_channel();
    let rig = Rig::new(move |_, mut stream| {
        let told = told.clone();
        async move {
            heard(&mut stream).await;
            say(&mut stream, text).await;
            let _ = told.send("asked");
            heard(&mut stream).await;
            let _ = told.send("closed");
        }
    })
    .await;
    (rig, reports)
}

#[tokio::test]
async fn dropping_an_unfinished_answer_closes_its_connection_at_once() {
    let (rig, mut reports) = reporting("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await;
    let answer = rig.begin("x").await.expect("a head");
    assert_eq!((rig.number("connections"), rig.number("in_flight")), (1, 1));
    drop(answer);
    assert_eq!(reports.recv().await, Some("asked"));
    assert_eq!(reports.recv().await, Some("closed"));
    rig.until("all is over", |rig| rig.number("connections") == 0 && rig.number("in_flight") == 0).await;
    assert_eq!(rig.number("failures"), 0);
}

#[tokio::test]
async fn dropping_a_call_that_waits_for_its_head_closes_its_connection_at_once() {
    let (rig, mut reports) = reporting("").await;
    tokio::select! {
        biased;
        _ = rig.call("x") => panic!("there is no answer"),
        asked = reports.recv() => assert_eq!(asked, Some("asked")),
    }
    assert_eq!(reports.recv().await, Some("closed"));
    rig.until("all is over", |rig| rig.number("connections") == 0 && rig.number("in_flight") == 0).await;
    assert_eq!(rig.number("failures"), 0);
}

#[tokio::test]
async fn dropping_a_lease_before_it_sends_closes_its_connection() {
    let (rig, _reports) = reporting("").await;
    let mut lease = rig.provider.acquire().await.expect("a lease");
    lease.connect().await.expect("a connection");
    drop(lease);
    rig.until("all is over", |rig| rig.number("connections") == 0 && rig.number("in_flight") == 0).await;
}
