//! Everything is bounded, and what is beyond a bound is refused at once.

use std::time::Duration;

use http::StatusCode;
use tokio::{task::JoinSet, time::Instant};

use crate::support::{
    client::{Answer, CHAT, Connection, Raw, Request},
    in_time,
    nexus::Nexus,
    setup::{ADMIN, ECHO, openai},
    upstream::{Reply, Step, Upstream},
    wait_until,
};

fn hello() -> Request {
    Request::chat("openai/gpt-4o", "Hello")
}

fn overloaded(answer: &Answer) {
    answer.refused(StatusCode::SERVICE_UNAVAILABLE, "overloaded_error");
    assert!(answer.number("retry-after") >= 1, "whole seconds");
}

/// A server with `places` calls in flight, all of them taken.
async fn full(places: usize) -> (Upstream, Nexus, JoinSet<Answer>) {
    let upstream = Upstream::always(|| Reply::completion("Hi").gated()).await;
    let nexus =
        Nexus::start(&format!("[server]\nmax_in_flight = {places}\n{ADMIN}{}", openai(&upstream, ""))).await;
    let mut held = JoinSet::new();
    for _ in 0..places {
        held.spawn(hello().send_to(nexus.address()));
    }
    upstream.until("every place to be taken", |seen| seen.open == places).await;
    (upstream, nexus, held)
}

#[tokio::test]
async fn a_call_beyond_max_in_flight_is_refused_and_the_others_are_served() {
    let (upstream, nexus, held) = full(4).await;
    for _ in 0..10 {
        overloaded(&hello().send(&nexus).await);
    }
    upstream.open_gate();
    for answer in held.join_all().await {
        answer.fine();
    }
    hello().send(&nexus).await.fine();
    assert_eq!(upstream.seen().most_open, 4);
}

#[tokio::test]
async fn health_and_the_operators_listener_answer_when_every_place_is_taken() {
    let (_upstream, nexus, _held) = full(1).await;
    assert_eq!(Request::get("/health").send(&nexus).await.status, 200);
    for target in ["/live", "/ready", "/metrics", "/status"] {
        assert_eq!(Request::get(target).send_to(nexus.admin()).await.status, 200, "{target}");
    }
}

#[tokio::test]
async fn thousands_of_calls_beyond_it_are_refused_at_once_and_memory_stays_flat() {
    let (_upstream, nexus, _held) = full(2).await;
    let refuse = async |calls: usize| {
        let mut clients = JoinSet::new();
        for _ in 0..20 {
            let mut connection = Connection::http1(nexus.address()).await;
            clients.spawn(async move {
                let mut slowest = Duration::ZERO;
                for _ in 0..calls {
                    let asked = Instant::now();
                    overloaded(&connection.send(hello()).await);
                    slowest = slowest.max(asked.elapsed());
                }
                slowest
            });
        }
        clients.join_all().await.into_iter().max().unwrap()
    };
    refuse(20).await;
    let before = nexus.resident_kib();
    let slowest = refuse(500).await;
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    let after = nexus.resident_kib();
    assert!(after < before + 16 * 1024, "{before} KiB before ten thousand refusals, {after} KiB after");
}

#[tokio::test]
async fn a_place_is_held_until_the_last_byte_of_a_stream() {
    let word = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n";
    let upstream = Upstream::always(move || Reply::events([Step::send(word), Step::Hang])).await;
    let nexus = Nexus::start(&format!("[server]\nmax_in_flight = 1\n{}", openai(&upstream, ""))).await;
    let mut stream = Request::stream("openai/gpt-4o", "Hello").open(&nexus).await;
    stream.event().await.unwrap();
    overloaded(&hello().send(&nexus).await);
    stream.hang_up();
    wait_until("the place to be free", || async {
        Request::stream("openai/gpt-4o", "Hello").open(&nexus).await.status == 200
    })
    .await;
}

/// A connection that was served a call, if there is a place for one.
async fn served(nexus: &Nexus) -> Option<Connection> {
    let attempt = async {
        let mut connection = Connection::http1(nexus.address()).await;
        let mut stream = connection.open(Request::chat("echo/m", "Hello")).await.ok()?;
        (stream.status == 200 && stream.drain().await.1).then_some(connection)
    };
    tokio::time::timeout(Duration::from_millis(500), attempt).await.ok().flatten()
}

#[tokio::test]
async fn connections_beyond_max_connections_are_not_served_until_one_ends() {
    let nexus = Nexus::start(&format!("[server]\nmax_connections = 2\n{ECHO}")).await;
    let mut held = Vec::new();
    // The connections that asked whether the server is up may be closing still.
    in_time("two connections", async {
        while held.len() < 2 {
            held.extend(served(&nexus).await);
        }
    })
    .await;
    assert!(served(&nexus).await.is_none(), "a third was served");
    for connection in &mut held {
        connection.send(Request::chat("echo/m", "Hello")).await.fine();
    }
    held.pop();
    wait_until("a place for another connection", || async { served(&nexus).await.is_some() }).await;
}

#[tokio::test]
async fn bodies_beyond_the_memory_budget_are_refused_until_there_is_room() {
    let limits = "[server]\nmemory_budget = \"256KiB\"\nrequest_body_limit = \"128KiB\"\n";
    let nexus = Nexus::start(&format!("{limits}{ECHO}")).await;
    let length = 100 * 1024;
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    let half_sent = || async {
        let mut raw = Raw::connect(nexus.address()).await;
        raw.write(&head).await.write(vec![b' '; length - 1000]).await;
        raw
    };
    let large = || async {
        let text = "x".repeat(length - 200);
        Request::post(CHAT, format!(r#"{{"model":"echo/m","messages":[],"x":"{text}"}}"#)).send(&nexus).await
    };
    // Two fit, however they are counted; a third of this size does not. While they are still arriving it may be one of
    // them that finds no room.
    let mut holding = Vec::new();
    in_time("the budget to be used up", async {
        while holding.len() < 2 || large().await.status != 503 {
            holding.push(half_sent().await);
            let mut silent = Vec::new();
            for mut raw in holding.drain(..) {
                if raw.is_silent_for(Duration::from_millis(50)).await {
                    silent.push(raw);
                }
            }
            silent.truncate(2);
            holding = silent;
        }
    })
    .await;
    overloaded(&large().await);
    drop(holding);
    wait_until("room for a body", || async { large().await.status == 200 }).await;
}

#[tokio::test]
async fn a_full_mailbox_refuses_rather_than_waits() {
    let tight = "[actors]\nmailbox_limit = 1\nquota_shards = 1\nidentity_workers = 1\nprovider_workers = 1\n";
    let nexus = Nexus::start(&format!("{tight}{ECHO}")).await;
    let mut clients = JoinSet::new();
    for _ in 0..32 {
        let mut connection = Connection::http1(nexus.address()).await;
        clients.spawn(async move {
            let mut served = 0;
            for _ in 0..30 {
                let answer = connection.send(Request::chat("echo/m", "Hello")).await;
                match answer.status {
                    200 => served += 1,
                    _ => overloaded(&answer),
                }
            }
            served
        });
    }
    let served: usize = clients.join_all().await.into_iter().sum();
    assert!(served > 0);
    Request::chat("echo/m", "Hello").send(&nexus).await.fine();
}
