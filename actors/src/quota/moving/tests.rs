//! What is moved is the same elsewhere.

use super::*;
use crate::quota::{
    Counts, Tracked,
    booked::{Ask, Target},
    clients::Clients,
};

const MINUTE: Duration = Duration::from_secs(60);

fn rules() -> Rules {
    let rule = |(kind, tokens): (Kind, u64)| {
        let limit = Limit { scope: Scope(7), tokens, interval: MINUTE, horizon: [MINUTE].into() };
        Rule { per_member: Some(tokens), ..Rule::new(kind, limit, kind.name()) }
    };
    [(Kind::Input, 100), (Kind::Output, 10), (Kind::Concurrent, 5)].into_iter().map(rule).collect()
}

fn at(seconds: u64) -> Tick {
    Tick::default().after(Duration::from_secs(seconds))
}

/// A shard in which a client and a pool have used 30 and owe 20.
fn used(now: u64, counts: &Counts) -> (Clients, Tracked) {
    let tracked = Tracked::new(10);
    let mut clients = Clients::new(tracked.clone(), counts);
    let alice = ClientId::new("alice");
    for id in [AccountId::Client(alice.clone()), AccountId::Pool(Scope(7), Group::new("staff"))] {
        let ask = Ask { input: 30, cost: 0, output: true };
        let admitted = clients.admit(at(now), &id, &rules(), &ask, Some(&alice)).unwrap();
        let target = Target { input: 30, output: 30, cost: 0, requests: 1 };
        clients.settle(at(now), &id, &rules(), (admitted.booked, &target), Some(&alice));
        let _open = clients.admit(at(now), &id, &rules(), &Ask::default(), None).unwrap();
    }
    (clients, tracked)
}

#[test]
fn what_was_used_and_what_is_owed_stand_the_same_in_another_shard_with_another_clock() {
    let counts = Counts::default();
    let (mut old, tracked) = used(1_000, &counts);
    let ids = [AccountId::Client(ClientId::new("alice")), AccountId::Pool(Scope(7), Group::new("staff"))];
    let before: Vec<_> = ids.iter().map(|id| old.levels(at(1_010), id, &rules())).collect();
    assert_eq!((before[0][0].used, before[0][1].debt, before[0][2].used), (30, 20, 1));
    let snapshot: Vec<_> = old.snapshot(at(1_010)).collect();
    let mut moved = old.export(at(1_010), 1);
    moved.extend(old.export(at(1_010), usize::MAX));
    assert_eq!((old.len(), tracked.count(), moved.len(), counts.totals().debt_tokens), (0, 0, 2, 0));
    let mut new = Clients::new(tracked.clone(), &counts);
    new.import(at(90_010), moved.clone());
    let after: Vec<_> = ids.iter().map(|id| new.levels(at(90_010), id, &rules())).collect();
    assert_eq!(before, after);
    assert_eq!((new.len(), tracked.count(), counts.totals().debt_tokens), (1, 1, 40));
    moved.sort_by_key(|one| format!("{:?}", one.owner));
    let again = |mut all: Vec<Moved>| {
        all.sort_by_key(|one| format!("{:?}", one.owner));
        all
    };
    assert_eq!(again(snapshot), moved, "a copy is the same as what is taken out");
    assert_eq!(again(new.snapshot(at(90_010)).collect()), moved);
}

#[test]
fn oracle_12_a_new_process_has_no_calls_under_way_and_the_time_between_counts() {
    let (mut old, tracked) = used(1_000, &Counts::default());
    let moved = old.export(at(1_010), usize::MAX);
    let mut new = Clients::new(tracked, &Counts::default());
    new.import(at(500), moved.into_iter().map(|one| one.at_rest().aged(Duration::from_secs(30))));
    let id = AccountId::Client(ClientId::new("alice"));
    let levels = new.levels(at(500), &id, &rules());
    assert_eq!((levels[0].used, levels[1].debt, levels[2].used), (30, 20, 0));
    assert_eq!(levels[0].reset_after, Duration::from_secs(20), "40 of 60 s have passed");
    assert_eq!(levels[1].reset_after, Duration::from_secs(20 + 120), "10 leave, 10 enter, 10 enter");
    for seconds in (500..700).step_by(12) {
        new.sweep(at(seconds), 1);
    }
    assert_eq!(new.len(), 0, "debt is paid though nobody comes, and nothing is held for calls that are gone");
}

#[test]
fn a_kind_of_a_later_version_and_slots_that_make_no_sense_are_left_out() {
    let (mut old, _) = used(1_000, &Counts::default());
    let mut moved = old.export(at(1_010), 1).remove(0);
    moved.buckets[0].kind = 99;
    moved.buckets[1].slots.push(MovedSlot { first: 0, last: u64::MAX, amount: 1 });
    let (_, account) = Account::restored(moved, at(1_010));
    assert!(account.buckets().is_empty());
}
