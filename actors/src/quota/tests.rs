//! The actors: what callers see, whatever happens to callers or actors meanwhile.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Waker},
};

use tokio::{
    task::{JoinSet, yield_now},
    time::{advance, sleep},
};

use super::*;

mod debt;
mod machine;
mod model;
mod moves;
mod oracles;
mod pools;

const MINUTE: Duration = Duration::from_secs(60);

/// Running shards, and what they share.
struct Running {
    quota: Quota,
    supervisor: Supervisor,
    tracked: Tracked,
}

/// What one client takes under one limit of input.
trait Single {
    async fn take(&self, client: &ClientId, limit: &Limit, input: u64) -> Result<Reservation, Refusal>;
}

impl Single for Quota {
    async fn take(&self, client: &ClientId, limit: &Limit, input: u64) -> Result<Reservation, Refusal> {
        let rules = Rules::new([Rule::new(Kind::Input, limit.clone(), "per_user.input_token_limit")]);
        let accounts = [(AccountId::Client(client.clone()), &rules)];
        self.reserve(&Demand::of_input(&accounts, input)).await
    }
}

async fn running(shards: usize, max_clients: usize) -> Running {
    let mut supervisor = Supervisor::start("quota").await;
    let count = NonZeroUsize::new(shards).unwrap();
    let quota = Quota::start(&mut supervisor, "quota", count, 4_096, Tracked::new(max_clients)).await;
    let tracked = quota.tracked().clone();
    Running { quota, supervisor, tracked }
}

impl Running {
    /// What is left of a client's limit, without taking any.
    async fn left(&self, client: &ClientId, limit: &Limit) -> u64 {
        self.quota.take(client, limit, 0).await.unwrap().standing().unwrap().remaining
    }

    fn number(&self, name: &str) -> i64 {
        let own = |gauges: &Arc<crate::observe::Gauges>| gauges.snapshot().own;
        let numbers = self.supervisor.gauges().iter().flat_map(own);
        numbers.filter(|(other, _)| *other == name).map(|(_, number)| number).sum()
    }
}

fn limit(tokens: u64, interval: Duration) -> Limit {
    Limit { scope: Scope(0), tokens, interval, horizon: [interval].into() }
}

fn alice() -> ClientId {
    ClientId::new("alice")
}

/// Polls once: a call is then in the mailbox.
fn begin(call: std::pin::Pin<&mut impl Future>) {
    assert!(call.poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_tasks_storming_one_client_get_the_limit_and_not_a_token_more() {
    let running = running(8, 1_000).await;
    let limit = limit(1_000, 3_600 * Duration::from_secs(1));
    let mut storm = JoinSet::new();
    for task in 0..64 {
        let (quota, limit) = (running.quota.clone(), limit.clone());
        storm.spawn(async move {
            let mut taken = 0;
            for turn in 0..60 {
                let amount = 1 + (task + turn) % 3;
                match quota.take(&alice(), &limit, amount).await {
                    // Every fifth gives its tokens back by dropping them.
                    Ok(_unsent) if turn % 5 == 0 => {}
                    Ok(reservation) => {
                        taken += reservation.amount();
                        reservation.settle();
                    }
                    Err(refusal) => assert!(matches!(refusal, Refusal::Short { .. }), "{refusal:?}"),
                }
            }
            taken
        });
    }
    let taken: u64 = storm.join_all().await.into_iter().sum();
    let left = running.left(&alice(), &limit).await;
    assert!(taken > 0 && taken + left == 1_000, "{taken} taken, {left} left of 1,000");
}

/// Answers to a fixed script: 40 clients, four minutes, some refunds.
async fn script(shards: usize) -> Vec<Result<Standing, Refusal>> {
    let running = running(shards, 1_000).await;
    let limit = limit(500, MINUTE);
    let mut answers = Vec::new();
    for turn in 0_u64..2_000 {
        let client = ClientId::new(&format!("client-{}", turn * turn % 41));
        let answer = running.quota.take(&client, &limit, turn * 7 % 113).await;
        answers.push(match answer {
            Ok(reservation) if turn % 6 == 0 => Ok(reservation.refund().await.unwrap().1),
            Ok(reservation) => {
                let standing = reservation.standing().unwrap();
                reservation.settle();
                Ok(standing)
            }
            Err(refusal) => Err(refusal),
        });
        advance(Duration::from_millis(turn * 31 % 241)).await;
    }
    answers
}

#[tokio::test(start_paused = true)]
async fn any_number_of_shards_gives_the_same_answers() {
    let one = script(1).await;
    assert!(one.iter().any(Result::is_ok) && one.iter().any(Result::is_err));
    for shards in [2, 8, 64] {
        assert!(script(shards).await == one, "{shards} shards answer otherwise");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_handler_loses_no_window() {
    let running = running(1, 10).await;
    let limit = limit(10, MINUTE);
    running.quota.take(&alice(), &limit, 7).await.unwrap().settle();
    let shard = running.quota.shards.of(b"alice");
    let failed = shard.call(ANSWER_WITHIN, Message::Panic).await;
    assert_eq!(failed, Err(Unreachable::Failed));
    assert_eq!(running.left(&alice(), &limit).await, 3);
}

#[tokio::test(start_paused = true)]
#[allow(clippy::disallowed_methods, reason = "killed to see it come back")]
async fn a_killed_quota_actor_comes_back_with_its_windows() {
    let running = running(1, 10).await;
    let limit = limit(10, MINUTE);
    running.quota.take(&alice(), &limit, 4).await.unwrap().settle();
    let unsent = running.quota.take(&alice(), &limit, 3).await.unwrap();
    let killed = running.quota.shards.of(b"alice").actor();
    killed.kill();
    killed.wait(None).await.unwrap();
    // A refund to an actor that is gone is held for the next one.
    drop(unsent);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(running.left(&alice(), &limit).await, 6);
    assert_eq!(running.tracked.count(), 1);
    assert_eq!(running.quota.take(&alice(), &limit, 7).await.unwrap_err().retry_after_seconds(), Some(59));
    assert_eq!(running.supervisor.gauges()[0].snapshot().restarts, 1);
}

#[tokio::test(start_paused = true)]
async fn the_cap_on_clients_is_exact_over_all_shards() {
    let running = running(8, 100).await;
    let limit = limit(10, MINUTE);
    let mut calls = JoinSet::new();
    for number in 0..300 {
        let (quota, limit) = (running.quota.clone(), limit.clone());
        let client = ClientId::new(&format!("client-{number}"));
        calls.spawn(async move { quota.take(&client, &limit, 1).await.map(Reservation::settle) });
    }
    let answers = calls.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 100);
    assert_eq!(answers.iter().filter(|answer| **answer == Err(Refusal::Crowded)).count(), 200);
    assert_eq!((running.tracked.count(), running.number("clients")), (100, 100));
    assert_eq!(running.number("crowded"), 200);
}

#[tokio::test(start_paused = true)]
async fn empty_clients_are_gone_within_thirty_seconds_and_make_room_for_others() {
    let running = running(2, 2).await;
    let limit = limit(10, Duration::from_secs(1));
    for name in ["alice", "bob"] {
        running.quota.take(&ClientId::new(name), &limit, 1).await.unwrap().settle();
    }
    let carol = ClientId::new("carol");
    assert_eq!(running.quota.take(&carol, &limit, 1).await.map(drop), Err(Refusal::Crowded));
    // Not `advance`: the actors' own timers are to fire one after the other.
    sleep(Duration::from_secs(31)).await;
    assert_eq!((running.tracked.count(), running.number("clients")), (0, 0));
    assert!(running.quota.take(&carol, &limit, 1).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_before_the_actor_looks_takes_nothing() {
    let running = running(1, 10).await;
    let limit = limit(10, MINUTE);
    {
        let client = alice();
        let mut call = pin!(running.quota.take(&client, &limit, 7));
        begin(call.as_mut());
    }
    assert_eq!(running.left(&alice(), &limit).await, 10);
    assert_eq!(running.number("refunded"), 0, "it was never taken");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_before_it_reads_the_answer_takes_nothing() {
    let running = running(1, 10).await;
    let limit = limit(10, MINUTE);
    {
        let client = alice();
        let mut call = pin!(running.quota.take(&client, &limit, 7));
        begin(call.as_mut());
        while running.number("admitted") == 0 {
            yield_now().await;
        }
    }
    assert_eq!(running.left(&alice(), &limit).await, 10);
    assert_eq!(running.number("refunded"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reservation_that_is_dropped_is_refunded_unless_the_call_was_sent() {
    let running = running(1, 10).await;
    let limit = limit(10, MINUTE);
    drop(running.quota.take(&alice(), &limit, 7).await.unwrap());
    assert_eq!(running.left(&alice(), &limit).await, 10);
    let mut sent = running.quota.take(&alice(), &limit, 7).await.unwrap();
    sent.sent();
    drop(sent);
    assert_eq!(running.left(&alice(), &limit).await, 3);
    assert_eq!(running.number("settled"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refund_restates_the_level_even_after_the_call_was_sent() {
    let running = running(1, 10).await;
    let limit = limit(10, MINUTE);
    running.quota.take(&alice(), &limit, 2).await.unwrap().settle();
    advance(Duration::from_secs(10)).await;
    let mut sent = running.quota.take(&alice(), &limit, 7).await.unwrap();
    sent.sent();
    let standing = Standing { limit: 10, remaining: 1, reset_after: MINUTE };
    assert_eq!(sent.standing(), Some(standing));
    let restated = Standing { limit: 10, remaining: 8, reset_after: MINUTE - Duration::from_secs(10) };
    assert_eq!(sent.refund().await, Some((Kind::Input, restated)));
    assert_eq!(running.left(&alice(), &limit).await, 8);
}

#[tokio::test(start_paused = true)]
async fn a_refund_that_is_not_waited_for_is_done_all_the_same() {
    let running = running(1, 10).await;
    let limit = limit(10, MINUTE);
    let reservation = running.quota.take(&alice(), &limit, 7).await.unwrap();
    {
        let mut refund = pin!(reservation.refund());
        begin(refund.as_mut());
    }
    assert_eq!(running.left(&alice(), &limit).await, 10);
}

#[tokio::test(start_paused = true)]
async fn refusals_say_when_how_much_and_whether_ever() {
    let running = running(1, 10).await;
    let limit = limit(10, MINUTE);
    running.quota.take(&alice(), &limit, 7).await.unwrap().settle();
    let standing = Standing { limit: 10, remaining: 3, reset_after: MINUTE };
    let short = running.quota.take(&alice(), &limit, 4).await.unwrap_err();
    let rule = || Refusing { id: "per_user.input_token_limit".into(), kind: Kind::Input };
    assert_eq!(short, Refusal::Short { retry_after: MINUTE, rule: rule(), standing });
    assert_eq!(short.retry_after_seconds(), Some(60));
    let oversize = running.quota.take(&alice(), &limit, 11).await.unwrap_err();
    assert_eq!(oversize, Refusal::Oversize { rule: rule(), standing });
    assert_eq!(oversize.retry_after_seconds(), None);
    advance(MINUTE).await;
    assert!(running.quota.take(&alice(), &limit, 4).await.is_ok(), "Retry-After was true");
}

#[tokio::test(start_paused = true)]
async fn after_the_drain_a_refund_is_computed_and_a_call_refused() {
    let mut supervisor = Supervisor::start("quota").await;
    let quota = Quota::start(&mut supervisor, "quota", NonZeroUsize::MIN, 100, Tracked::new(10)).await;
    let limit = limit(10, MINUTE);
    let reservation = quota.take(&alice(), &limit, 7).await.unwrap();
    assert!(supervisor.drain(MINUTE).await);
    let standing = Standing { limit: 10, remaining: 10, reset_after: MINUTE };
    assert_eq!(reservation.refund().await, Some((Kind::Input, standing)));
    let refusal = quota.take(&alice(), &limit, 7).await.unwrap_err();
    assert_eq!(refusal, Refusal::Unreachable(Unreachable::Restarting));
}
