//! The provider actor against small servers on the loopback: which connection a call gets, and what becomes of it.

mod h1;
mod h2;
mod rig;

use std::mem::size_of_val;

use self::rig::{Rig, outgoing};
use super::*;

const FIRST_BYTE: Duration = Duration::from_secs(60);

/// Silent servers: what is in flight stays in flight.
async fn silent() -> Rig {
    Rig::new(|_, stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await
}

#[tokio::test]
async fn max_in_flight_is_exact_across_two_workers() {
    let rig = silent().await.limited(2, 5).await;
    let mut leases = Vec::new();
    for _ in 0..5 {
        leases.push(rig.provider.acquire().await.expect("below the limit"));
    }
    for _ in 0..4 {
        assert_eq!(rig.provider.acquire().await.err(), Some(Refused::Busy));
    }
    assert_eq!(rig.number("in_flight"), 5);
    leases.pop();
    leases.push(rig.provider.acquire().await.expect("one is free again"));
    assert_eq!(rig.provider.acquire().await.err(), Some(Refused::Busy));
    drop(leases);
    assert_eq!(rig.number("in_flight"), 0);
}

#[tokio::test(start_paused = true)]
async fn connecting_ends_at_the_connect_timeout() {
    // The TLS handshake of a server that says nothing never ends.
    let rig = silent().await.over_tls(Duration::from_secs(3)).await;
    let before = Instant::now();
    let mut lease = rig.provider.acquire().await.expect("a lease");
    let refused = lease.connect().await.expect_err("no server speaks");
    assert!(matches!(refused, SendError::Connect(ConnectError::TimedOut)), "{refused}");
    assert_eq!(before.elapsed().as_secs(), 3);
    assert_eq!(rig.number("failures"), 1);
    drop(lease);
    rig.until("the socket is closed", |rig| rig.number("connections") == 0 && rig.number("in_flight") == 0)
        .await;
}

#[tokio::test]
async fn waiting_for_the_head_ends_at_the_first_byte_timeout() {
    let rig = silent().await;
    let mut lease = rig.provider.acquire().await.expect("a lease");
    lease.connect().await.expect("a connection");
    assert_eq!((rig.number("connections"), rig.number("in_flight")), (1, 1));
    tokio::time::pause();
    let before = Instant::now();
    let failed = lease.send(outgoing("x"), Duration::from_secs(7)).await.err();
    assert!(matches!(failed, Some(SendError::FirstByteTimeout)), "{failed:?}");
    assert_eq!(before.elapsed().as_secs(), 7);
    assert_eq!(rig.number("failures"), 1);
    rig.until("all is over", |rig| rig.number("connections") == 0 && rig.number("in_flight") == 0).await;
}

#[tokio::test]
async fn a_refused_connection_is_a_connect_failure_that_names_the_server() {
    let rig = silent().await.gone().await;
    let mut lease = rig.provider.acquire().await.expect("a lease");
    let refused = lease.connect().await.expect_err("nobody listens").to_string();
    assert!(refused.starts_with("connecting failed: 127.0.0.1:"), "{refused}");
    assert_eq!((rig.number("connections"), rig.number("failures")), (0, 1));
}

/// They live in the task of the caller's connection, which may be idle for hours.
#[tokio::test]
async fn the_futures_of_a_call_are_small() {
    let rig = silent().await;
    let mut lease = rig.provider.acquire().await.expect("a lease");
    let acquire = size_of_val(&rig.provider.acquire());
    let connect = size_of_val(&lease.connect());
    let send = size_of_val(&lease.send(outgoing("x"), FIRST_BYTE));
    eprintln!("acquire {acquire}, connect {connect}, send {send}");
    assert!(acquire <= 512 && connect <= 256 && send <= 16, "{acquire}, {connect}, {send}");
    assert!(size_of::<Payload>() <= 16 && size_of::<hyper::Request<Payload>>() <= 256);
}

#[test]
fn what_is_wrong_with_an_endpoint_is_said_in_words() {
    let new = |url: &str, roots| {
        Endpoint::new(&url.parse().expect("a URL"), roots, FIRST_BYTE).err().map(|error| error.to_string())
    };
    assert_eq!(new("http://127.0.0.1:1", None), None);
    assert_eq!(new("ftp://a", None).as_deref(), Some("the base URL is not an http or https URL with a host"));
    assert_eq!(
        new("https://a", Some(b"no PEM")).as_deref(),
        Some("the extra root certificates cannot be used: no certificate in it")
    );
}
