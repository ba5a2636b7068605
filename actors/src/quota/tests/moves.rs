//! Another number of shards in the middle of everything: no token is lost, none is there twice.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use tokio::sync::watch;

use super::*;
use crate::principal::Group;

const HOUR: Duration = Duration::from_secs(3_600);

async fn moved(quota: &Quota, shards: usize) -> (Quota, Supervisor) {
    let mut supervisor = Supervisor::start("next").await;
    let count = NonZeroUsize::new(shards).unwrap();
    (quota.reshard(&mut supervisor, "quota", count, 4_096).await, supervisor)
}

const CLIENTS: usize = 300;
const TASKS: usize = 16;

/// What the callers of a storm share, and what they have taken: input and output of each client.
struct Storm {
    way: watch::Receiver<Quota>,
    over: AtomicBool,
    taken: Vec<[AtomicU64; 2]>,
}

/// A limit that is met, output that flows, and calls in flight.
fn own() -> Rules {
    let rule = |kind, tokens| Rule::new(kind, limit(tokens, HOUR), "own");
    Rules::new([rule(Kind::Input, 200), rule(Kind::Output, 1_000_000), rule(Kind::Concurrent, 1_000_000)])
}

fn pool() -> (AccountId, Rules) {
    let rule = Rule::new(Kind::Input, limit(u64::MAX / 2, HOUR), "pool");
    (AccountId::Pool(Scope(1), Group::new("all")), Rules::new([rule]))
}

fn client(which: usize) -> AccountId {
    AccountId::Client(ClientId::new(&which.to_string()))
}

impl Storm {
    async fn call(&self, which: usize, turn: usize, own: &Rules, (pool, pooled): &(AccountId, Rules)) {
        let (quota, input) = (self.way.borrow().clone(), 1 + turn as u64 % 3);
        let accounts = [(client(which), own), (pool.clone(), pooled)];
        let demand = Demand { output: true, ..Demand::of_input(&accounts, input) };
        let mut reservation = match quota.reserve(&demand).await {
            Ok(unsent) if turn.is_multiple_of(4) => return drop(unsent),
            Ok(reservation) => reservation,
            Err(Refusal::Short { .. } | Refusal::Oversize { .. }) => return,
            Err(refusal) => panic!("{refusal:?}"),
        };
        // Some stay open over the moves.
        for _ in 0..turn % 50 {
            yield_now().await;
        }
        if reservation.produce(7) > 0 {
            assert_eq!(reservation.draw(16).await, Drawn::Granted);
        }
        let input = input + turn as u64 % 2;
        let [taken, flowed] = &self.taken[which];
        taken.fetch_add(input, SeqCst);
        flowed.fetch_add(reservation.produced(), SeqCst);
        reservation.settle_as(&Actual { input: Some(input), ..Actual::default() });
    }

    async fn rage(self: Arc<Self>, task: usize) {
        let (own, pool) = (own(), pool());
        for turn in 0.. {
            if self.over.load(SeqCst) {
                break;
            }
            self.call((task * 37 + turn * 11) % CLIENTS, turn, &own, &pool).await;
            yield_now().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_that_change_their_number_under_a_storm_keep_every_account_exact() {
    let first = running(2, 1_000).await;
    let (send, way) = watch::channel(first.quota.clone());
    let taken = (0..CLIENTS).map(|_| Default::default()).collect();
    let storm = Arc::new(Storm { way, over: AtomicBool::new(false), taken });
    let mut tasks: JoinSet<()> = (0..TASKS).map(|task| Arc::clone(&storm).rage(task)).collect();
    let mut supervisors = vec![];
    for shards in [8, 1, 5, 2, 16, 1, 3] {
        let quota = send.borrow().clone();
        let (next, supervisor) = moved(&quota, shards).await;
        assert_eq!(next.shards(), shards);
        send.send_replace(next);
        supervisors.push(supervisor);
        sleep(Duration::from_millis(30)).await;
    }
    storm.over.store(true, SeqCst);
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    let (quota, mut all) = (send.borrow().clone(), 0);
    for (which, [input, output]) in storm.taken.iter().enumerate() {
        let taken = [input.load(SeqCst), output.load(SeqCst), 0];
        until_used(&quota, &client(which), &own(), &taken).await;
        assert!(taken[0] <= 200 + TASKS as u64, "client {which}: beyond what corrections can add");
        all += taken[0];
    }
    let (account, rules) = pool();
    until_used(&quota, &account, &rules, &[all]).await;
    let seen = storm.taken.iter().filter(|[input, _]| input.load(SeqCst) > 0).count();
    assert!((seen..=CLIENTS).contains(&first.tracked.count()), "{} remembered", first.tracked.count());
}

/// Waits until so much of each rule is used: the last settlements are still on their way.
async fn until_used(quota: &Quota, account: &AccountId, rules: &Rules, taken: &[u64]) {
    let mut used = Vec::new();
    for _ in 0..1_000 {
        used = quota.usage(account, rules).await.unwrap().iter().map(|level| level.used).collect();
        if used == taken {
            return;
        }
        sleep(Duration::from_millis(1)).await;
    }
    panic!("{account:?}: {used:?} used, {taken:?} taken");
}

#[tokio::test]
async fn a_reservation_of_an_old_shard_settles_where_its_account_is_and_then_nobody_needs_that_shard() {
    let first = running(2, 10).await;
    let limit = limit(100, HOUR);
    let held = first.quota.take(&alice(), &limit, 60).await.unwrap();
    let (next, _supervisor) = moved(&first.quota, 7).await;
    let old = first.quota;
    assert!(matches!(next.take(&alice(), &limit, 41).await, Err(Refusal::Short { .. })));
    assert!(
        matches!(old.take(&alice(), &limit, 41).await, Err(Refusal::Short { .. })),
        "the old way leads there"
    );
    let mut unused = pin!(old.unused());
    begin(unused.as_mut());
    let standing = held.refund().await.unwrap();
    assert_eq!(standing.1.remaining, 100);
    unused.await;
    assert_eq!(next.take(&alice(), &limit, 100).await.unwrap().amount(), 100);
}
