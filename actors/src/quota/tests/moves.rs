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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_that_change_their_number_under_a_storm_keep_every_account_exact() {
    const CLIENTS: usize = 300;
    let first = running(2, 1_000).await;
    let limit = limit(200, HOUR);
    let pool: Rules = Rules::new([Rule::new(Kind::Input, super::limit(u64::MAX / 2, HOUR), "pool")]);
    let (way, seen) = watch::channel(first.quota.clone());
    let stop = Arc::new(AtomicBool::new(false));
    let taken: Arc<Vec<AtomicU64>> = Arc::new((0..CLIENTS).map(|_| AtomicU64::new(0)).collect());
    let mut storm = JoinSet::new();
    for task in 0..16 {
        let (seen, stop, taken) = (seen.clone(), Arc::clone(&stop), Arc::clone(&taken));
        let (limit, pool) = (limit.clone(), pool.clone());
        storm.spawn(async move {
            let rules = Rules::new([Rule::new(Kind::Input, limit, "own")]);
            for turn in 0.. {
                if stop.load(SeqCst) {
                    break;
                }
                let which = (task * 37 + turn * 11) % CLIENTS;
                let client = ClientId::new(&which.to_string());
                let accounts = [
                    (AccountId::Client(client), &rules),
                    (AccountId::Pool(Scope(1), Group::new("all")), &pool),
                ];
                let quota = seen.borrow().clone();
                let amount = 1 + turn as u64 % 3;
                match quota.reserve(&Demand::of_input(&accounts, amount)).await {
                    Ok(unsent) if turn % 4 == 0 => drop(unsent),
                    Ok(reservation) => {
                        // Some stay open over the moves.
                        for _ in 0..turn % 50 {
                            yield_now().await;
                        }
                        let input = Some(amount + turn as u64 % 2);
                        taken[which].fetch_add(amount + turn as u64 % 2, SeqCst);
                        reservation.settle_as(&Actual { input, ..Actual::default() });
                    }
                    Err(Refusal::Short { .. } | Refusal::Oversize { .. }) => {}
                    Err(refusal) => panic!("{refusal:?}"),
                }
                if turn % 64 == 0 {
                    yield_now().await;
                }
            }
        });
    }
    let mut supervisors = vec![];
    let mut quota = first.quota.clone();
    for shards in [8, 1, 5, 2, 16, 1, 3] {
        let (next, supervisor) = moved(&quota, shards).await;
        assert_eq!(next.shards(), shards);
        way.send_replace(next.clone());
        supervisors.push(supervisor);
        quota = next;
        sleep(Duration::from_millis(30)).await;
    }
    stop.store(true, SeqCst);
    while let Some(task) = storm.join_next().await {
        task.unwrap();
    }
    let mut all = 0;
    let rules = Rules::new([Rule::new(Kind::Input, limit.clone(), "own")]);
    for (which, taken) in taken.iter().enumerate() {
        let account = AccountId::Client(ClientId::new(&which.to_string()));
        let used = settled(&quota, &account, &rules, taken.load(SeqCst)).await;
        assert!(used <= 200 + 16, "client {which}: {used}, beyond what 16 corrections can add");
        all += used;
    }
    let pool_account = AccountId::Pool(Scope(1), Group::new("all"));
    settled(&quota, &pool_account, &pool, all).await;
    let seen = taken.iter().filter(|taken| taken.load(SeqCst) > 0).count();
    assert!((seen..=CLIENTS).contains(&first.tracked.count()), "{} remembered", first.tracked.count());
}

/// What is used, once it is what it must be: the last settlements are still on their way.
async fn settled(quota: &Quota, account: &AccountId, rules: &Rules, taken: u64) -> u64 {
    let mut used = 0;
    for _ in 0..1_000 {
        let level = quota.usage(account, rules).await.unwrap()[0];
        used = level.used;
        if used == taken {
            return used;
        }
        sleep(Duration::from_millis(1)).await;
    }
    panic!("{account:?}: {used} used, {taken} taken");
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
    assert_eq!(standing.remaining, 100);
    unused.await;
    assert_eq!(next.take(&alice(), &limit, 100).await.unwrap().amount(), 100);
}
