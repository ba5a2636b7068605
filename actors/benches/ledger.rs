//! What a token limit costs: in time for an admission and for a slice of the sweep, in memory for a client.
//! Run with `cargo bench -p nexus-actors --bench ledger`; memory is printed first.

use std::{hint::black_box, num::NonZeroUsize, time::Duration};

use actors::{
    Supervisor,
    principal::ClientId,
    quota::{
        AccountId, Ask, Counts, Demand, Key, Kind, Limit, Mode, Price, Quota, Rule, Rules, Scope, Tracked,
        clients::Clients,
        ledger::{Bucket, Verdict},
        tick::Tick,
    },
};
use divan::{Bencher, counter::ItemsCount};
use tokio::runtime;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const MONTH: Duration = Duration::from_secs(31 * 86_400);
const MILLION: usize = 1_000_000;
/// As the quota actor has it: a round of the sweep is so many ticks.
const SLICES: usize = 240;

fn main() {
    memory();
    divan::main();
}

fn limit(tokens: u64, interval: Duration, horizon: &[Duration]) -> Limit {
    Limit { scope: Scope(0), tokens, interval, horizon: horizon.into() }
}

fn minute() -> Limit {
    limit(u64::MAX >> 1, MINUTE, &[MINUTE])
}

fn client(number: usize) -> AccountId {
    AccountId::Client(ClientId::new(&format!("user-{number:07}")))
}

fn bucket() -> Bucket {
    Bucket::new(Key { scope: Scope(0), kind: Kind::Input, mode: Mode::Enforce })
}

/// A minute's limit of one kind.
fn one() -> Rules {
    Rules::new([Rule::new(Kind::Input, minute(), "input")])
}

/// A minute's limit of each of these kinds.
fn several(kinds: &[Kind]) -> Rules {
    kinds.iter().map(|kind| Rule::new(*kind, minute(), kind.name())).collect()
}

fn ask() -> Ask {
    Ask { input: 100, cost: 100, output: true }
}

fn at(time: Duration) -> Tick {
    Tick::default().after(time)
}

/// A million clients over eight shards, each with two slots of a minute.
fn shards_of_a_million(rules: &Rules) -> Vec<Clients> {
    let tracked = Tracked::new(MILLION);
    let counts = Counts::default();
    let mut shards: Vec<_> = (0..8).map(|_| Clients::new(tracked.clone(), &counts)).collect();
    for (now, number) in [0, 30].into_iter().flat_map(|now| (0..MILLION).map(move |number| (now, number))) {
        let _ = shards[number % 8].admit(at(now * SECOND), &client(number), rules, &ask(), None);
    }
    shards
}

/// One shard of so many clients, with one slot each.
fn one_shard_of(count: usize) -> Clients {
    let mut clients = Clients::new(Tracked::new(MILLION), &Counts::default());
    let rules = one();
    for number in 0..count {
        let _ = clients.admit(at(SECOND), &client(number), &rules, &ask(), None);
    }
    clients
}

/// A bucket whose month is full of slots, under a rule of a month that shares it with one of a second.
fn full_month() -> (Bucket, Limit, Tick) {
    let limit = limit(MILLION as u64, MONTH, &[SECOND, MONTH]);
    let mut bucket = bucket();
    let mut now = Tick::default();
    for _ in 0..3_000 {
        now = now.after(900 * SECOND);
        let _ = bucket.admit(now, &limit, 10);
    }
    (bucket, limit, now)
}

#[divan::bench]
fn admit_in_a_hot_bucket(bencher: Bencher) {
    let (mut bucket, limit, mut now) = (bucket(), minute(), Tick::default());
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        now = now.after(Duration::from_micros(100));
        black_box(bucket.admit(now, &limit, 100))
    });
}

#[divan::bench]
fn admit_for_one_of_a_million_known_clients(bencher: Bencher) {
    let (mut clients, rules) = (one_shard_of(MILLION), one());
    let ids: Vec<_> = (0..MILLION).map(client).collect();
    let mut turn = 0;
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        turn = (turn + 7_919) % MILLION;
        black_box(clients.admit(at(2 * SECOND), &ids[turn], &rules, &ask(), None).is_ok())
    });
}

/// One known client under one limit, and under one of each kind.
#[divan::bench(args = [1, 6])]
fn admit_under_so_many_limits(bencher: Bencher, limits: usize) {
    let (rules, id) = (several(&Kind::ALL[..limits]), client(0));
    let mut clients = Clients::new(Tracked::new(1), &Counts::default());
    let mut now = at(SECOND);
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        now = now.after(Duration::from_micros(100));
        black_box(clients.admit(now, &id, &rules, &ask(), None).is_ok())
    });
}

#[divan::bench]
fn admit_for_10_000_fresh_clients(bencher: Bencher) {
    let rules = one();
    let ids: Vec<_> = (0..10_000).map(client).collect();
    let empty = || Clients::new(Tracked::new(MILLION), &Counts::default());
    bencher.counter(ItemsCount::new(ids.len())).with_inputs(empty).bench_local_refs(|clients| {
        for id in &ids {
            black_box(clients.admit(at(SECOND), id, &rules, &ask(), None).is_ok());
        }
    });
}

#[divan::bench]
fn admit_in_a_month_full_of_slots(bencher: Bencher) {
    let (mut bucket, limit, mut now) = full_month();
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        now = now.after(900 * SECOND);
        assert!(matches!(black_box(bucket.admit(now, &limit, 10)), Verdict::Admitted { .. }));
    });
}

#[divan::bench]
fn refuse_in_a_month_full_of_slots(bencher: Bencher) {
    let (mut bucket, limit, now) = full_month();
    // The whole limit at once: the answer waits for the last slot, so all are walked.
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        assert!(matches!(black_box(bucket.admit(now, &limit, MILLION as u64)), Verdict::Short { .. }));
    });
}

/// All that one call costs: reserved and settled, with actor and caller on one thread; under one limit, and under one of
/// each kind.
#[divan::bench(args = [1, 6])]
fn reserve_and_settle_through_the_actor(bencher: Bencher, limits: usize) {
    let Ok(runtime) = runtime::Builder::new_current_thread().enable_time().build() else { return };
    let quota = runtime.block_on(async {
        let mut supervisor = Supervisor::start("quota").await;
        Quota::start(&mut supervisor, "quota", NonZeroUsize::MIN, 4_096, Tracked::new(MILLION)).await
    });
    let rules = several(&Kind::ALL[..limits]);
    let accounts = [(client(0), &rules)];
    let price = Price { input: 2_500_000_000, cached_input: 1_250_000_000, output: 10_000_000_000 };
    let demand = Demand { accounts: &accounts, member: None, input: 100, output: true, price };
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        let reservation = runtime.block_on(quota.reserve(&demand));
        black_box(reservation.map(|reservation| reservation.settle()).is_ok())
    });
}

/// One tick of one shard, when a million clients are spread over so many.
#[divan::bench(args = [8, 1], sample_count = 200, sample_size = 1)]
fn sweep_slice_nobody_empty(bencher: Bencher, shards: usize) {
    let mut clients = one_shard_of(MILLION / shards);
    bencher.bench_local(|| clients.sweep(at(2 * SECOND), SLICES));
}

/// The same when all of them have become empty at once.
#[divan::bench(args = [8, 1], sample_count = 200, sample_size = 1)]
fn sweep_slice_all_empty(bencher: Bencher, shards: usize) {
    let mut clients = one_shard_of(MILLION / shards);
    bencher.bench_local(|| clients.sweep(at(2 * MINUTE), SLICES));
}

/// Prints the resident memory of a million clients, ids included (Linux only).
fn memory() {
    for kinds in [&[Kind::Input][..], &[Kind::Input, Kind::Request]] {
        let (before, rules) = (resident(), several(kinds));
        let shards = shards_of_a_million(&rules);
        if let (Some(before), Some(after)) = (before, resident()) {
            let each = after.saturating_sub(before) as f64 / MILLION as f64;
            let (tracked, windows) = (shards.iter().map(Clients::len).sum::<usize>(), kinds.len());
            println!("resident: {each:.0} bytes for each of {tracked} clients with {windows} windows");
        }
    }
}

/// Resident bytes of this process; pages are 4 KiB.
fn resident() -> Option<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    statm.split(' ').nth(1)?.parse::<usize>().ok().map(|pages| pages * 4_096)
}
