//! The limits on requests with their actors: what is admitted, in which order, and what a refusal costs.

use std::{num::NonZeroUsize, time::Duration};

use actors::{quota::Tracked, supervisor::Supervisor};
use tokio::time::advance;

use super::*;

struct Running {
    limits: RequestLimits,
    _supervisor: Supervisor,
}

/// Limits of so many requests in ten seconds.
async fn running(global: Option<u64>, per_ip: Option<u64>, addresses: usize) -> Running {
    running_in((global, 10), (per_ip, 10), addresses).await
}

/// Limits of so many requests in so many seconds.
async fn running_in(global: (Option<u64>, u64), per_ip: (Option<u64>, u64), addresses: usize) -> Running {
    let mut supervisor = Supervisor::start("quota").await;
    let two = NonZeroUsize::new(2).unwrap();
    let limit = |limit, seconds| RequestLimit { limit, interval: Duration::from_secs(seconds) };
    let mut limits = RequestLimits::default();
    if let (Some(global), seconds) = global {
        let quota = Quota::start(&mut supervisor, "global", NonZeroUsize::MIN, 100, Tracked::new(1)).await;
        limits.global = Some(Limited::global(limit(global, seconds), quota));
    }
    if let (Some(per_ip), seconds) = per_ip {
        let quota = Quota::start(&mut supervisor, "addresses", two, 100, Tracked::new(addresses)).await;
        limits.per_ip = Some(Limited::per_ip(limit(per_ip, seconds), quota));
    }
    Running { limits, _supervisor: supervisor }
}

impl Running {
    async fn admit(&self, last: u8) -> Result<Admitted, Error> {
        self.limits.admit(&HeaderMap::new(), [10, 0, 0, last].into()).await
    }

    /// Whether a request is admitted; if so, it is spent.
    async fn asks(&self, last: u8) -> bool {
        self.admit(last).await.map(Admitted::settle).is_ok()
    }
}

#[tokio::test(start_paused = true)]
async fn without_limits_everything_is_admitted_and_nobody_is_asked() {
    let running = running(None, None, 0).await;
    for _ in 0..100 {
        assert!(running.asks(1).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_limit_may_be_spent_at_once_and_comes_back() {
    let running = running(Some(3), None, 0).await;
    for round in 0..3 {
        for (address, expected) in [(1, true), (2, true), (3, true), (4, false), (1, false)] {
            assert_eq!(running.asks(address).await, expected, "{round}, {address}");
        }
        advance(Duration::from_millis(10_200)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn each_address_has_its_own() {
    let running = running(None, Some(2), 100).await;
    for address in [1, 2, 3] {
        for expected in [true, true, false] {
            assert_eq!(running.asks(address).await, expected, "{address}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_addresses_of_one_network_of_ipv6_are_one() {
    let running = running(None, Some(2), 100).await;
    for (address, expected) in [
        ("2001:db8:0:1::1", true),
        ("2001:db8:0:1:ffff:ffff:ffff:ffff", true),
        ("2001:db8:0:1::2", false),
        ("2001:db8:0:2::1", true),
    ] {
        let admitted = running.limits.admit(&HeaderMap::new(), address.parse().unwrap()).await;
        assert_eq!(admitted.map(Admitted::settle).is_ok(), expected, "{address}");
    }
}

#[test]
fn an_address_is_counted_by_its_network() {
    for (address, name) in [
        ("192.0.2.255", "192.0.2.255"),
        ("::1", "::"),
        ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db8:ffff:ffff::"),
        ("fedc:ba98:7654:3210:fedc:ba98:7654:3210", "fedc:ba98:7654:3210::"),
    ] {
        assert_eq!(counted(address.parse().unwrap()).as_str(), name);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_one_address_costs_the_others_nothing() {
    let running = running(Some(10), Some(5), 100).await;
    let mut admitted = 0;
    for _ in 0..8 {
        admitted += usize::from(running.asks(1).await);
    }
    assert_eq!(admitted, 5);
    for request in 0..5 {
        assert!(running.asks(2).await, "{request}");
    }
    assert!(!running.asks(3).await, "ten are spent");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_finds_no_place_afterwards_costs_nothing() {
    let running = running(Some(1), Some(1), 100).await;
    drop(running.admit(1).await.unwrap());
    assert!(running.asks(1).await);
    assert!(!running.asks(1).await);
}

#[tokio::test(start_paused = true)]
async fn the_refusal_says_which_limit_and_when_it_will_be_over() {
    let running = running(Some(3), Some(2), 100).await;
    for _ in 0..2 {
        assert!(running.asks(1).await);
    }
    let Err(Error::Requests { rule, retry_after }) = running.admit(1).await else { panic!("admitted") };
    assert_eq!(rule, "server.rate_limits.per_ip");
    assert!(matches!(retry_after, Some(10 | 11)), "{retry_after:?}");
    assert!(running.asks(2).await);
    let Err(Error::Requests { rule, .. }) = running.admit(3).await else { panic!("admitted") };
    assert_eq!(rule, "server.rate_limits.global");
}

/// The rule that refuses, and how long it does, in seconds.
async fn refusal(running: &Running, last: u8) -> (&'static str, Option<u64>) {
    match running.admit(last).await {
        Err(Error::Requests { rule, retry_after }) => (rule, retry_after),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_limits_that_refuse_the_one_that_does_for_longer_is_told() {
    for (global, per_ip, told) in [(10, 60, "per_ip"), (60, 10, "global"), (60, 60, "global")] {
        let running = running_in((Some(2), global), (Some(1), per_ip), 100).await;
        assert!(running.asks(1).await && running.asks(2).await);
        let (rule, retry_after) = refusal(&running, 1).await;
        assert_eq!(rule, format!("server.rate_limits.{told}"), "{global}, {per_ip}");
        let longest = global.max(per_ip);
        assert!((longest..=longest + 2).contains(&retry_after.unwrap()), "{retry_after:?}");
        // And true: then it is admitted.
        advance(Duration::from_secs(retry_after.unwrap())).await;
        assert!(running.asks(1).await, "{global}, {per_ip}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_all_callers_costs_an_address_nothing() {
    let running = running_in((Some(1), 10), (Some(2), 60), 100).await;
    assert!(running.asks(1).await);
    for _ in 0..5 {
        assert_eq!(refusal(&running, 1).await.0, "server.rate_limits.global");
    }
    advance(Duration::from_secs(12)).await;
    assert!(running.asks(1).await, "its second of two");
    assert_eq!(refusal(&running, 1).await.0, "server.rate_limits.per_ip");
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_never_admitted_is_told_so() {
    let running = running_in((Some(0), 10), (Some(1), 60), 100).await;
    assert_eq!(refusal(&running, 1).await, ("server.rate_limits.global", None));
    let running = running_in((Some(1), 10), (Some(0), 60), 100).await;
    assert_eq!(refusal(&running, 1).await, ("server.rate_limits.per_ip", None));
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_nothing_never_ends() {
    let running = running(Some(0), None, 0).await;
    assert!(matches!(running.admit(1).await, Err(Error::Requests { retry_after: None, .. })));
}

#[tokio::test(start_paused = true)]
async fn one_address_too_many_is_refused_and_costs_nothing() {
    let running = running(Some(3), Some(5), 1).await;
    assert!(running.asks(1).await);
    for _ in 0..5 {
        let refused = running.admit(2).await;
        assert!(matches!(refused, Err(Error::Quota(error::Quota::Crowded))), "{refused:?}");
    }
    assert!(running.asks(1).await);
    assert!(running.asks(1).await);
    assert!(!running.asks(1).await);
}
