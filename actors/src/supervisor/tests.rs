//! Addresses, guarded states and supervision together, as their users see them.
#![allow(clippy::disallowed_methods, reason = "these tests kill actors to see them come back")]

use std::{
    future::ready,
    pin::pin,
    sync::{
        atomic::{AtomicU32, Ordering::Relaxed},
        mpsc,
    },
};

use tokio::{task::JoinSet, time::sleep};

use super::*;
use crate::address::{Reply, Unreachable};

const SECOND: Duration = Duration::from_secs(1);

/// Adds numbers up.
struct Sum {
    total: i64,
    own: Own,
    kept: Vec<Reply<i64>>,
}

enum Ask {
    /// Adds and tells the total; takes it back if the caller is gone.
    Add(i64, Reply<i64>),
    /// Adds one way.
    Note(i64),
    /// Adds, then panics.
    AddAndPanic(i64, Reply<i64>),
    /// Tells that it was picked up, then blocks until it is told to go on.
    Block(oneshot::Sender<()>, mpsc::Receiver<()>),
    /// Answers never.
    Keep(Reply<i64>),
    /// Panics when it is dropped.
    Bomb(Bomb, Reply<i64>),
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("on purpose");
    }
}

impl State for Sum {
    type Message = Ask;
    const TICK: Option<Duration> = None;
    const OWN: &'static [&'static str] = &["total"];

    fn handle(&mut self, ask: Ask) {
        match ask {
            Ask::Add(amount, reply) => {
                self.total += amount;
                if reply.send(self.total).is_err() {
                    self.total -= amount;
                }
            }
            Ask::Note(amount) => self.total += amount,
            Ask::AddAndPanic(amount, _reply) => {
                self.total += amount;
                panic!("on purpose");
            }
            Ask::Block(entered, until) => {
                entered.send(()).unwrap();
                until.recv().unwrap();
            }
            Ask::Keep(reply) => self.kept.push(reply),
            Ask::Bomb(bomb, _reply) => drop(bomb),
        }
        self.own.set(0, self.total);
    }
}

fn sum(own: Own) -> Sum {
    Sum { total: 0, own, kept: Vec::new() }
}

async fn one_sum() -> (Supervisor, Address<Ask>) {
    let mut supervisor = Supervisor::start("test").await;
    let address = supervisor.spawn("sum-0", 64, sum).await;
    (supervisor, address)
}

async fn add(address: &Address<Ask>, amount: i64) -> Result<i64, Unreachable> {
    address.call(SECOND, |reply| Ask::Add(amount, reply)).await
}

/// Lets the actor pick up a message that takes until the returned sender says so.
async fn block(address: &Address<Ask>) -> mpsc::Sender<()> {
    let (entered, is_busy) = oneshot::channel();
    let (go_on, until) = mpsc::channel();
    address.cast(Ask::Block(entered, until));
    is_busy.await.unwrap();
    go_on
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_actor_accepts_its_limit_and_refuses_the_rest_at_once() {
    let (_supervisor, address) = one_sum().await;
    let go_on = block(&address).await;
    assert_eq!(address.gauges().mailbox(), 0, "the place is given back when the message is picked up");

    let mut calls = JoinSet::new();
    for _ in 0..10_000 {
        let address = address.clone();
        calls.spawn(async move { address.call(60 * SECOND, |reply| Ask::Add(1, reply)).await });
    }
    for _ in 0..9_936 {
        assert_eq!(calls.join_next().await.unwrap().unwrap(), Err(Unreachable::Full));
    }
    assert_eq!(address.gauges().mailbox(), 64);
    address.cast(Ask::Note(1000));
    assert_eq!(address.gauges().mailbox(), 65, "one-way messages are never refused");

    go_on.send(()).unwrap();
    let answers = calls.join_all().await;
    assert_eq!(answers.len(), 64);
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(add(&address, 0).await, Ok(1064));
    let numbers = address.gauges().snapshot();
    assert_eq!((numbers.refused, numbers.handled, numbers.mailbox), (9_936, 67, 0));
    assert_eq!(numbers.own, [("total", 1064)]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_fails_its_caller_and_keeps_the_state() {
    let (_supervisor, address) = one_sum().await;
    assert_eq!(add(&address, 5).await, Ok(5));
    let failed = address.call(SECOND, |reply| Ask::AddAndPanic(2, reply)).await;
    assert_eq!(failed, Err(Unreachable::Failed));
    assert_eq!(add(&address, 1).await, Ok(8));
    let numbers = address.gauges().snapshot();
    assert_eq!((numbers.panics, numbers.restarts, numbers.handled), (1, 0, 3));
}

#[tokio::test(start_paused = true)]
async fn a_killed_actor_comes_back_with_its_state_under_the_same_address() {
    let (_supervisor, address) = one_sum().await;
    assert_eq!(add(&address, 5).await, Ok(5));
    let killed = address.actor();
    killed.kill();
    killed.wait(None).await.unwrap();
    sleep(SECOND).await;
    assert_eq!(add(&address, 2).await, Ok(7));
    assert_ne!(address.actor(), killed);
    assert_eq!(address.gauges().snapshot().restarts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_actor_is_killed_under_it_is_told_so() {
    let (_supervisor, address) = one_sum().await;
    let mut call = pin!(add(&address, 1));
    tokio::select! { biased; _ = &mut call => panic!("answered at once"), () = ready(()) => {} }
    address.actor().kill();
    assert_eq!(call.await, Err(Unreachable::Restarting));
    assert_eq!(address.gauges().mailbox(), 0, "a lost message gives its place back");
}

#[tokio::test(start_paused = true)]
async fn an_actor_that_dies_again_and_again_is_started_more_and_more_slowly() {
    let (_supervisor, address) = one_sum().await;
    let began = Instant::now();
    let mut times = Vec::new();
    for round in 1..=13 {
        let killed = address.actor();
        killed.kill();
        killed.wait(None).await.unwrap();
        while address.gauges().snapshot().restarts < round {
            sleep(Duration::from_millis(1)).await;
        }
        times.push(began.elapsed());
    }
    assert!(times[9] < Duration::from_millis(50), "{times:?}");
    assert!(times[10] - times[9] >= Duration::from_millis(50), "{times:?}");
    assert!(times[12] - times[11] >= Duration::from_millis(200), "{times:?}");
    assert_eq!(add(&address, 1).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_factory_that_panics_is_asked_again_and_what_was_sent_one_way_is_held() {
    let mut supervisor = Supervisor::start("test").await;
    let asked = AtomicU32::new(0);
    let factory = move |own| {
        assert!(asked.fetch_add(1, Relaxed) >= 12, "not yet");
        sum(own)
    };
    let address = supervisor.spawn("sum-0", 64, factory).await;
    address.cast(Ask::Note(3));
    assert_eq!(add(&address, 1).await, Err(Unreachable::Restarting));
    assert_eq!(address.gauges().mailbox(), 1);
    sleep(SECOND).await;
    assert_eq!(add(&address, 1).await, Ok(4));
    assert_eq!(address.gauges().mailbox(), 0);
    assert!(supervisor.drain(SECOND).await);
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_deadline_passed_is_skipped() {
    let (_supervisor, address) = one_sum().await;
    let late = address.call(Duration::ZERO, |reply| Ask::Add(1, reply)).await;
    assert_eq!(late, Err(Unreachable::Late));
    assert_eq!(add(&address, 0).await, Ok(0));
    let numbers = address.gauges().snapshot();
    assert_eq!((numbers.expired, numbers.handled), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_skipped_message_that_panics_when_dropped_takes_no_state_down() {
    let (_supervisor, address) = one_sum().await;
    assert_eq!(add(&address, 5).await, Ok(5));
    let late = address.call(Duration::ZERO, |reply| Ask::Bomb(Bomb, reply)).await;
    assert_eq!(late, Err(Unreachable::Late));
    assert_eq!(add(&address, 1).await, Ok(6));
    let numbers = address.gauges().snapshot();
    assert_eq!((numbers.expired, numbers.panics, numbers.restarts), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_answered_ends_at_its_deadline() {
    let (_supervisor, address) = one_sum().await;
    let began = Instant::now();
    let late = address.call(5 * SECOND, Ask::Keep).await;
    assert_eq!(late, Err(Unreachable::Late));
    assert_eq!(began.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_state_whose_caller_hung_up_can_undo() {
    let (_supervisor, address) = one_sum().await;
    {
        let mut call = pin!(add(&address, 7));
        tokio::select! { biased; _ = &mut call => panic!("answered at once"), () = ready(()) => {} }
    }
    assert_eq!(add(&address, 1).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn drain_finishes_the_queue_and_then_nothing_is_accepted() {
    let (supervisor, address) = one_sum().await;
    for _ in 0..500 {
        address.cast(Ask::Note(1));
    }
    let gauges = Arc::clone(address.gauges());
    assert!(supervisor.drain(SECOND).await);
    assert_eq!(gauges.snapshot().own, [("total", 500)]);
    assert_eq!(gauges.snapshot().restarts, 0);
    assert_eq!(add(&address, 1).await, Err(Unreachable::Restarting));
    address.cast(Ask::Note(1));
    assert_eq!(gauges.mailbox(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_that_runs_out_of_time_says_that_it_cut() {
    let (supervisor, address) = one_sum().await;
    // The actor woke its supervisor when it started, and now blocks the thread that was to run it next.
    let go_on = block(&address).await;
    address.cast(Ask::Note(1));
    assert!(!supervisor.drain(Duration::ZERO).await);
    go_on.send(()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn names_do_not_clash_between_supervisors() {
    let three = NonZeroUsize::new(3).unwrap();
    let (mut one, mut other) = (Supervisor::start("one").await, Supervisor::start("other").await);
    let first = one.spawn_shards("sum", three, 64, sum).await;
    let second = other.spawn_shards("sum", three, 64, sum).await;
    assert_eq!(add(first.of(b"key"), 1).await, Ok(1));
    assert_eq!(add(second.of(b"key"), 2).await, Ok(2));
    let names: Vec<_> = one.gauges().iter().map(|gauges| gauges.name()).collect();
    assert_eq!(names, ["sum-0", "sum-1", "sum-2"]);
}

#[tokio::test(start_paused = true)]
async fn interchangeable_workers_are_taken_in_turn() {
    let mut supervisor = Supervisor::start("test").await;
    let workers = supervisor.spawn_shards("sum", NonZeroUsize::new(3).unwrap(), 64, sum).await;
    for _ in 0..6 {
        workers.next().cast(Ask::Note(1));
    }
    let workers_gauges: Vec<_> = workers.iter().map(|worker| Arc::clone(worker.gauges())).collect();
    assert!(supervisor.drain(SECOND).await);
    assert!(workers_gauges.iter().all(|gauges| gauges.snapshot().handled == 2));
}

/// Counts its ticks and panics on every other one.
struct Clock {
    ticks: i64,
    own: Own,
}

impl State for Clock {
    type Message = ();
    const TICK: Option<Duration> = Some(SECOND);
    const OWN: &'static [&'static str] = &["ticks"];

    fn handle(&mut self, (): ()) {}

    fn tick(&mut self) {
        self.ticks += 1;
        self.own.set(0, self.ticks);
        assert!(self.ticks % 2 == 1, "on purpose");
    }
}

#[tokio::test(start_paused = true)]
async fn ticks_go_on_after_a_panic_and_after_a_restart() {
    let mut supervisor = Supervisor::start("test").await;
    let clock = supervisor.spawn("clock-0", 1, |own| Clock { ticks: 0, own }).await;
    sleep(SECOND * 9 / 2).await;
    assert_eq!(clock.gauges().snapshot().own, [("ticks", 4)]);
    assert_eq!(clock.gauges().snapshot().panics, 2);
    clock.actor().kill();
    sleep(SECOND * 3 / 2).await;
    assert_eq!(clock.gauges().snapshot().own, [("ticks", 5)]);
}
