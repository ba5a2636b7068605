//! The window in time and under storms: never more than the limit in any span, room back when it was promised.

use std::time::Duration;

use tokio::{task::JoinSet, time::Instant};

use super::{HELLO, admitted, hello, limited, refused_for};
use crate::support::{
    client::{Connection, Request},
    nexus::Nexus,
    setup::{ECHO, IDENTIFIED, group_limit, provider_limit},
    wait_longer_until,
};

/// `clients` connections send the same request `times` times each, all at once; returns how many were admitted.
async fn storm(nexus: &Nexus, request: &Request, clients: usize, times: usize) -> usize {
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let (request, mut connection) = (request.clone(), Connection::http1(nexus.address()).await);
        tasks.spawn(async move {
            let mut admitted = 0;
            for _ in 0..times {
                match connection.send(request.clone()).await.status {
                    200 => admitted += 1,
                    status => assert_eq!(status, 429),
                }
            }
            admitted
        });
    }
    tasks.join_all().await.into_iter().sum()
}

#[tokio::test]
async fn sixty_four_clients_that_storm_one_user_get_exactly_the_limit() {
    let nexus = limited(100 * HELLO + 3, "60s").await;
    assert_eq!(storm(&nexus, &hello("alice"), 64, 10).await, 100);
    refused_for(&hello("alice").send(&nexus).await);
}

#[tokio::test]
async fn every_number_of_shards_gives_the_same_answers() {
    for shards in [1, 2, 8, 64] {
        let shards = format!("[actors]\nquota_shards = {shards}\n");
        let limits =
            provider_limit("echo", 3 * HELLO, "60s") + &group_limit("echo", "premium", 5 * HELLO, "60s");
        let nexus = Nexus::start(&format!("{shards}{IDENTIFIED}{ECHO}{limits}")).await;
        for client in 0..20 {
            let client = format!("client-{client}");
            assert_eq!(admitted(&nexus, &hello(&client), 20).await, 3, "{shards}");
            assert_eq!(admitted(&nexus, &hello(&client).group("premium"), 20).await, 2, "{shards}");
        }
        assert_eq!(storm(&nexus, &hello("stormy"), 8, 4).await, 3, "{shards}");
    }
}

#[tokio::test]
async fn retry_after_is_true() {
    let nexus = limited(2 * HELLO, "2s").await;
    assert_eq!(admitted(&nexus, &hello("alice"), 20).await, 2);
    for _ in 0..2 {
        let seconds = refused_for(&hello("alice").send(&nexus).await);
        assert!(seconds <= 3, "room is back after the interval: {seconds}");
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        assert!(admitted(&nexus, &hello("alice"), 20).await >= 1, "as promised after {seconds} s");
    }
}

#[tokio::test]
async fn retry_after_knows_how_much_the_call_needs() {
    let nexus = limited(4 * HELLO, "4s").await;
    assert_eq!(admitted(&nexus, &hello("alice"), 2).await, 2);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(admitted(&nexus, &hello("alice"), 20).await, 2);
    let small = refused_for(&hello("alice").send(&nexus).await);
    // 29 tokens: the first two calls' room is not enough for it.
    let large = Request::chat("echo/m", &["Hello"; 22].join(" ")).client("alice");
    let later = refused_for(&large.clone().send(&nexus).await);
    assert!(small < later, "{small} and {later}");
    tokio::time::sleep(Duration::from_secs(later)).await;
    large.send(&nexus).await.fine();
}

#[tokio::test]
async fn the_whole_limit_is_back_after_the_interval_and_a_sixtieth() {
    let nexus = limited(3 * HELLO, "2s").await;
    assert_eq!(admitted(&nexus, &hello("alice"), 20).await, 3);
    tokio::time::sleep(Duration::from_millis(2000 + 34 + 16)).await;
    assert_eq!(admitted(&nexus, &hello("alice"), 20).await, 3);
}

#[tokio::test]
async fn no_span_of_the_interval_ever_admits_more_than_the_limit() {
    const LIMIT: u64 = 4 * HELLO;
    let interval = Duration::from_secs(1);
    let nexus = limited(LIMIT, "1s").await;
    let mut connection = Connection::http1(nexus.address()).await;
    let start = Instant::now();
    // When the admitted calls were sent and answered: each was charged somewhere in between.
    let mut spans = Vec::new();
    while start.elapsed() < 5 * interval {
        let sent = start.elapsed();
        if connection.send(hello("alice")).await.status == 200 {
            spans.push((sent, start.elapsed()));
        }
        tokio::time::sleep(Duration::from_millis(7)).await;
    }
    for (first, (sent, _)) in spans.iter().enumerate() {
        // Whatever was answered within an interval of the first one's sending was charged within one of its charge.
        let within = spans[first..].iter().filter(|(_, answered)| *answered < *sent + interval).count();
        assert!(within as u64 * HELLO <= LIMIT, "{within} calls in an interval from {sent:?}");
    }
    let most = 5 * LIMIT / HELLO + LIMIT / HELLO;
    assert!(spans.len() as u64 <= most, "{} calls in five intervals", spans.len());
    assert!(spans.len() as u64 >= 4 * LIMIT / HELLO, "room comes back: {}", spans.len());
}

#[tokio::test]
async fn a_bucket_remembers_for_the_longest_interval_of_its_groups() {
    let limits = provider_limit("echo", 2 * HELLO, "1s") + &group_limit("echo", "premium", 3 * HELLO, "60s");
    let nexus = Nexus::start(&format!("{IDENTIFIED}{ECHO}{limits}")).await;
    assert_eq!(admitted(&nexus, &hello("alice"), 20).await, 2);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(
        admitted(&nexus, &hello("alice").group("premium"), 20).await,
        1,
        "two of three are a second old"
    );
}

#[tokio::test]
async fn an_idle_client_makes_room_for_another_within_half_a_minute() {
    let cap = "[server.rate_limits]\nmax_clients = 1\n[actors]\nquota_shards = 1\n";
    let nexus =
        Nexus::start(&format!("{cap}{IDENTIFIED}{ECHO}{}", provider_limit("echo", 2 * HELLO, "1s"))).await;
    hello("alice").send(&nexus).await.fine();
    assert_eq!(hello("bob").send(&nexus).await.status, 503);
    let nexus = &nexus;
    wait_longer_until(Duration::from_secs(35), "the first client to be swept", || async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        hello("bob").send(nexus).await.status == 200
    })
    .await;
}
