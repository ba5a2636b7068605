//! What was spent is spent in the next process as well: with real files and real actors.

use std::num::NonZeroUsize;

use super::{super::*, *};
use crate::principal::Group;

const DAY: Duration = Duration::from_secs(86_400);
const SOON: Duration = Duration::from_secs(10);

/// A process' quota actors and their file.
struct Process {
    supervisor: Supervisor,
    quota: Quota,
    keeping: Keeping,
}

impl Process {
    async fn start(path: &Path, shards: usize) -> Self {
        let mut supervisor = Supervisor::start("test").await;
        let durable = Durable::open(path.to_path_buf()).await.unwrap();
        let shards = NonZeroUsize::new(shards).unwrap();
        let tracked = Tracked::new(1_000_000).stored();
        let quota = Quota::start(&mut supervisor, "quota", shards, 100, tracked).await;
        durable.restore("quota", &quota).await.unwrap();
        let keeping = durable.keep(&mut supervisor).await;
        keeping.follow("quota", &quota);
        Self { supervisor, quota, keeping }
    }

    async fn stop(self) {
        self.keeping.flush(SOON).await.unwrap();
        self.kill().await;
    }

    /// Nothing is written at the end.
    async fn kill(self) {
        let Self { supervisor, quota, keeping } = self;
        drop((quota, keeping));
        supervisor.drain(SOON).await;
    }

    async fn spend(&self, accounts: &[(AccountId, &Rules)], input: u64) {
        self.quota.reserve(&Demand::of_input(accounts, input)).await.unwrap().settle();
    }

    async fn used(&self, account: &AccountId, rules: &Rules) -> u64 {
        self.quota.usage(account, rules).await.unwrap()[0].used
    }
}

fn rules(interval: Duration, kind: Kind) -> Rules {
    let limit = Limit { scope: Scope(7), tokens: 1_000, interval, horizon: [interval].into() };
    Rules::new([Rule::new(kind, limit, "")])
}

fn accounts() -> [AccountId; 3] {
    [
        AccountId::Client(ClientId::new("alice")),
        AccountId::Pool(Scope(7), Group::new("staff")),
        AccountId::Total(Scope(7)),
    ]
}

#[tokio::test]
async fn every_account_is_as_it_was_after_a_clean_stop_whatever_the_number_of_shards() {
    let (folder, day) = (tempfile::tempdir().unwrap(), rules(DAY, Kind::Input));
    let path = folder.path().join("nexus.redb");
    for (shards, before) in [(2, 0), (8, 70), (1, 140)] {
        let process = Process::start(&path, shards).await;
        for account in accounts() {
            assert_eq!(process.used(&account, &day).await, before, "{account:?}");
            process.spend(&[(account, &day)], 70).await;
        }
        process.stop().await;
    }
}

#[tokio::test]
async fn what_moves_to_other_shards_is_written_there() {
    let (folder, day) = (tempfile::tempdir().unwrap(), rules(DAY, Kind::Input));
    let path = folder.path().join("nexus.redb");
    let mut process = Process::start(&path, 2).await;
    process.spend(&[(accounts()[0].clone(), &day)], 70).await;
    let three = NonZeroUsize::new(3).unwrap();
    let next = process.quota.reshard(&mut process.supervisor, "quota", three, 100).await;
    process.keeping.follow("quota", &next);
    process.quota = next;
    process.spend(&[(accounts()[0].clone(), &day), (accounts()[1].clone(), &day)], 70).await;
    process.stop().await;
    let process = Process::start(&path, 4).await;
    for (account, used) in accounts().iter().zip([140, 70, 0]) {
        assert_eq!(process.used(account, &day).await, used, "{account:?}");
    }
    process.stop().await;
}

#[tokio::test]
async fn a_killed_process_has_written_what_it_did_before_its_last_second() {
    let (folder, day) = (tempfile::tempdir().unwrap(), rules(DAY, Kind::Input));
    let (path, [alice, ..]) = (folder.path().join("nexus.redb"), accounts());
    let process = Process::start(&path, 2).await;
    process.spend(&[(alice.clone(), &day)], 70).await;
    let written = || process.supervisor.gauges()[2].snapshot().own[0];
    let began = std::time::Instant::now();
    while written() == ("written", 0) {
        assert!(began.elapsed() < SOON, "nothing is written by itself");
        tokio::task::yield_now().await;
    }
    process.kill().await;
    let process = Process::start(&path, 2).await;
    assert_eq!(process.used(&alice, &day).await, 70);
    process.stop().await;
}

#[tokio::test]
async fn short_windows_and_calls_in_flight_are_no_matter_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let (path, [alice, ..]) = (folder.path().join("nexus.redb"), accounts());
    let of_a_minute = rules(Moved::WORTH, Kind::Input);
    let in_flight = rules(Duration::from_secs(1), Kind::Concurrent);
    let process = Process::start(&path, 2).await;
    let accounts = [(alice.clone(), &in_flight)];
    let flight = process.quota.reserve(&Demand::of_input(&accounts, 0)).await.unwrap();
    process.spend(&[(alice.clone(), &of_a_minute)], 70).await;
    process.keeping.flush(SOON).await.unwrap();
    drop(flight);
    process.kill().await;
    let process = Process::start(&path, 2).await;
    assert_eq!(process.used(&alice, &of_a_minute).await, 0);
    assert_eq!(process.used(&alice, &in_flight).await, 0);
    process.stop().await;
}

#[tokio::test]
async fn debt_outlives_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let (path, [alice, ..]) = (folder.path().join("nexus.redb"), accounts());
    let day = rules(DAY, Kind::Output);
    let process = Process::start(&path, 2).await;
    let accounts = [(alice.clone(), &day)];
    let demand = Demand { output: true, ..Demand::of_input(&accounts, 0) };
    let call = process.quota.reserve(&demand).await.unwrap();
    call.settle_as(&Actual { output: Some(1_500), ..Actual::default() });
    let before = process.quota.usage(&alice, &day).await.unwrap()[0];
    assert_eq!((before.used, before.debt), (1_000, 500));
    process.stop().await;
    let process = Process::start(&path, 2).await;
    let after = process.quota.usage(&alice, &day).await.unwrap()[0];
    assert_eq!((after.used, after.debt), (1_000, 500));
    process.stop().await;
}

#[tokio::test]
async fn a_file_that_another_holds_or_that_is_damaged_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nexus.redb");
    let process = Process::start(&path, 1).await;
    let why = |opened: Result<Durable, Unusable>| opened.err().map(|unusable| unusable.to_string()).unwrap();
    let held = why(Durable::open(path.clone()).await);
    assert!(held.contains("nexus.redb") && held.ends_with("another process holds it"), "{held}");
    process.spend(&[(accounts()[0].clone(), &rules(DAY, Kind::Input))], 70).await;
    process.stop().await;
    let whole = std::fs::read(&path).unwrap();
    for (at, bytes) in [(0, &b"garbage"[..]), (whole.len() / 2, &[0xa5; 64][..])] {
        let mut damaged = whole.clone();
        damaged[at..at + bytes.len()].copy_from_slice(bytes);
        std::fs::write(&path, damaged).unwrap();
        if let Err(unusable) = Durable::open(path.clone()).await {
            assert!(unusable.to_string().contains("nexus.redb"), "{unusable}");
        } else {
            assert_ne!(at, 0, "a file with another's head is no storage");
        }
    }
    let missing = why(Durable::open(folder.path().join("no/such/folder")).await);
    assert!(missing.contains("no/such/folder") && missing.contains("No such file"), "{missing}");
}
