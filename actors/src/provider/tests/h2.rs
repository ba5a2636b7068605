//! HTTP/2 by prior knowledge, against servers that decide about each stream.

use ::h2::{
    Reason, RecvStream,
    server::{Builder, Connection, SendResponse},
};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::{net::TcpStream, sync::watch, task::JoinSet};

use super::*;

type Serving = Connection<TcpStream, Bytes>;

async fn accept(stream: TcpStream) -> Serving {
    allowing(stream, 1000).await
}

async fn allowing(stream: TcpStream, streams: u32) -> Serving {
    Builder::new().max_concurrent_streams(streams).handshake(stream).await.expect("a handshake")
}

fn answer((_, mut respond): (Request<RecvStream>, SendResponse<Bytes>), body: Bytes) {
    let mut stream = respond.send_response(Response::new(()), false).expect("an open stream");
    stream.send_data(body, true).expect("an open stream");
}

fn ok(asked: (Request<RecvStream>, SendResponse<Bytes>)) {
    answer(asked, Bytes::from_static(b"ok"));
}

/// Answers every stream until the connection ends.
async fn obliging(mut serving: Serving) {
    while let Some(Ok(asked)) = serving.accept().await {
        ok(asked);
    }
}

/// Keeps what comes until `open` says so.
async fn dammed(mut serving: Serving, mut open: watch::Receiver<bool>) {
    let mut waiting = Vec::new();
    while !*open.borrow() {
        tokio::select! {
            asked = serving.accept() => match asked {
                Some(Ok(asked)) => waiting.push(asked),
                _ => return,
            },
            _ = open.changed() => {}
        }
    }
    waiting.into_iter().for_each(ok);
    obliging(serving).await;
}

#[tokio::test]
async fn calls_at_the_same_time_share_a_connection() {
    let rig = Rig::new(|_, stream| async move { obliging(accept(stream).await).await }).await.h2().await;
    let first = rig.begin("x").await.expect("an answer");
    let second = rig.begin("x").await.expect("an answer");
    assert_eq!((rig.accepted(), rig.number("connections"), rig.number("in_flight")), (1, 1, 2));
    for answer in [first, second] {
        assert_eq!(answer.into_body().collect().await.expect("a body").to_bytes(), "ok");
    }
    assert_eq!((rig.number("in_flight"), rig.number("failures")), (0, 0));
}

#[tokio::test]
async fn a_connection_that_said_goodbye_is_replaced() {
    let rig = Rig::new(|n, stream| async move {
        let mut serving = accept(stream).await;
        if n == 0 {
            ok(serving.accept().await.expect("a stream").expect("a request"));
            serving.graceful_shutdown();
        }
        obliging(serving).await;
    })
    .await
    .h2()
    .await;
    for _ in 0..3 {
        rig.call("x").await.expect("an answer");
    }
    assert_eq!((rig.accepted(), rig.number("failures")), (2, 0));
    rig.until("the first is closed", |rig| rig.number("connections") == 1).await;
}

/// The first connection answers one call and does `then` at the next; the others answer all.
async fn failing_second(then: fn(&mut Serving, SendResponse<Bytes>)) -> Rig {
    Rig::new(move |n, stream| async move {
        let mut serving = accept(stream).await;
        if n == 0 {
            ok(serving.accept().await.expect("a stream").expect("a request"));
            let (_, respond) = serving.accept().await.expect("a stream").expect("a request");
            then(&mut serving, respond);
        }
        obliging(serving).await;
    })
    .await
    .h2()
    .await
}

#[tokio::test]
async fn a_refused_stream_is_sent_on_another_connection() {
    let rig = failing_second(|_, mut respond| respond.send_reset(Reason::REFUSED_STREAM)).await;
    rig.call("x").await.expect("an answer");
    rig.call("x").await.expect("an answer");
    assert_eq!((rig.accepted(), rig.number("failures")), (2, 0));
}

#[tokio::test]
async fn a_connection_that_dies_under_a_call_is_replaced() {
    let rig = failing_second(|serving, _| serving.abrupt_shutdown(Reason::INTERNAL_ERROR)).await;
    rig.call("x").await.expect("an answer");
    rig.call("x").await.expect("an answer");
    assert_eq!((rig.accepted(), rig.number("failures")), (2, 0));
}

#[tokio::test]
async fn a_stream_that_the_server_broke_is_not_repeated() {
    let rig = failing_second(|_, mut respond| respond.send_reset(Reason::INTERNAL_ERROR)).await;
    rig.call("x").await.expect("an answer");
    let failed = rig.call("x").await;
    assert!(matches!(failed, Err(SendError::Broken(_))), "{failed:?}");
    assert_eq!((rig.accepted(), rig.number("failures")), (1, 1));
    rig.call("x").await.expect("the connection lives on");
    assert_eq!(rig.accepted(), 1);
}

#[tokio::test]
async fn a_refused_stream_of_a_fresh_connection_is_not_repeated() {
    let rig = Rig::new(|_, stream| async move {
        let mut serving = accept(stream).await;
        while let Some(Ok((_, mut respond))) = serving.accept().await {
            respond.send_reset(Reason::REFUSED_STREAM);
        }
    })
    .await
    .h2()
    .await;
    assert!(rig.call("x").await.is_err());
    assert_eq!((rig.accepted(), rig.number("failures")), (1, 1));
}

#[tokio::test]
async fn a_connection_that_does_not_answer_pings_is_replaced() {
    let rig = Rig::new(|n, stream| async move {
        let mut serving = accept(stream).await;
        if n == 0 {
            ok(serving.accept().await.expect("a stream").expect("a request"));
            // What it has to say goes out with the next look; then it never looks again.
            let _next = serving.accept().await;
            std::future::pending::<()>().await;
        }
        obliging(serving).await;
    })
    .await
    .h2()
    .await;
    rig.call("x").await.expect("an answer");
    tokio::time::pause();
    let before = Instant::now();
    rig.call("x").await.expect("an answer");
    assert!((30..=31).contains(&before.elapsed().as_secs()), "{:?}", before.elapsed());
    assert_eq!((rig.accepted(), rig.number("failures")), (2, 0));
    rig.until("the first is closed", |rig| rig.number("connections") == 1).await;
}

#[tokio::test]
async fn answers_that_nobody_reads_do_not_hold_up_others() {
    let large = Bytes::from(vec![b'x'; 8 << 20]);
    let rig = Rig::new(move |_, stream| {
        let large = large.clone();
        async move {
            let mut serving = accept(stream).await;
            while let Some(Ok(asked)) = serving.accept().await {
                answer(asked, large.clone());
            }
        }
    })
    .await
    .h2()
    .await;
    let mut stalled = Vec::new();
    for _ in 0..20 {
        stalled.push(rig.begin("x").await.expect("a head"));
    }
    assert_eq!(rig.call("x").await.expect("an answer").1.len(), 8 << 20);
    assert_eq!(rig.accepted(), 1);
    drop(stalled);
    assert_eq!(rig.number("in_flight"), 0);
}

#[tokio::test]
async fn an_unused_connection_is_closed_in_the_end_and_a_used_one_is_not() {
    let (open, dam) = watch::channel(true);
    let rig = Rig::new(move |_, stream| {
        let dam = dam.clone();
        async move { dammed(accept(stream).await, dam).await }
    })
    .await
    .h2()
    .await;
    let long = rig.begin("x").await.expect("a head");
    tokio::time::pause();
    for _ in 0..40 {
        rig.pass(Duration::from_secs(5)).await;
        rig.call("x").await.expect("an answer");
    }
    drop(long);
    assert_eq!((rig.accepted(), rig.number("connections")), (1, 1));
    for _ in 0..20 {
        rig.pass(Duration::from_secs(5)).await;
        tokio::task::yield_now().await;
    }
    rig.until("it is closed", |rig| rig.number("connections") == 0).await;
    drop(open);
}

#[tokio::test]
async fn of_the_connections_of_a_cold_burst_one_stays() {
    let (open, dam) = watch::channel(false);
    let rig = Rig::new(move |_, stream| {
        let dam = dam.clone();
        async move { dammed(accept(stream).await, dam).await }
    })
    .await
    .h2()
    .await;
    let rig = Arc::new(rig);
    let mut leases = Vec::new();
    for _ in 0..8 {
        leases.push(rig.provider.acquire().await.expect("a lease"));
    }
    let mut calls = JoinSet::new();
    for mut lease in leases {
        calls.spawn(async move {
            lease.connect().await.expect("a connection");
            let answer = lease.send(outgoing("x"), FIRST_BYTE).await.expect("a head");
            answer.into_body().collect().await.expect("a body").to_bytes()
        });
    }
    rig.until("each has its own", |rig| rig.accepted() == 8).await;
    open.send(true).expect("the servers wait");
    assert!(calls.join_all().await.iter().all(|body| body == "ok"));
    rig.until("one is left", |rig| rig.number("connections") == 1).await;
    rig.call("x").await.expect("an answer");
    assert_eq!((rig.accepted(), rig.number("in_flight"), rig.number("failures")), (8, 0, 0));
}

#[tokio::test]
async fn no_more_calls_share_a_connection_than_the_server_allows() {
    let rig = Rig::new(|_, stream| async move { obliging(allowing(stream, 2).await).await }).await.h2().await;
    for _ in 0..2 {
        rig.call("x").await.expect("an answer");
    }
    let mut heads = Vec::new();
    for _ in 0..3 {
        heads.push(rig.begin("x").await.expect("a head"));
    }
    assert_eq!(rig.accepted(), 2);
}
