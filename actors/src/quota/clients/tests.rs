//! The cap and the sweep, without an actor: ticks of 100 ms are counted, not waited for.

use std::time::Duration;

use super::*;
use crate::quota::{
    ledger::Verdict,
    rule::{Kind, Limit, Rule, Scope},
};

const SECOND: Duration = Duration::from_secs(1);
/// A round of 13.2 s: the actor's, with its ticks late by a tenth.
const SLICES: usize = 132;

fn limit(scope: u32, tokens: u64, interval: Duration) -> Limit {
    Limit { scope: Scope(scope), tokens, interval, horizon: [interval].into() }
}

fn client(number: usize) -> ClientId {
    ClientId::new(&format!("client-{number}"))
}

fn clients(most: usize) -> Clients {
    Clients::new(Tracked::new(most), &Counts::default())
}

fn rules(limit: &Limit) -> Rules {
    Rules::new([Rule::new(Kind::Input, limit.clone(), "per_user.input_token_limit")])
}

/// An admission under one limit of input.
fn take(
    clients: &mut Clients,
    now: Tick,
    client: &ClientId,
    limit: &Limit,
    input: u64,
) -> Result<(Verdict, Standing), Refused> {
    let (id, ask) = (AccountId::Client(client.clone()), Ask { input, ..Ask::default() });
    match clients.admit(now, &id, &rules(limit), &ask, None) {
        Ok(admitted) => Ok((Verdict::Admitted { at: now }, admitted.tightest.unwrap().1)),
        Err(Refused::Oversize { standing, .. }) => Ok((Verdict::Oversize, standing)),
        Err(Refused::Short { retry_after, standing, .. }) => Ok((Verdict::Short { retry_after }, standing)),
        Err(Refused::Crowded) => Err(Refused::Crowded),
    }
}

fn standing(clients: &Clients, now: Tick, client: &ClientId, limit: &Limit) -> Standing {
    clients.tightest(now, &AccountId::Client(client.clone()), &rules(limit)).unwrap().1
}

fn tick(number: u32) -> Tick {
    Tick::default().after(number * SECOND / 10)
}

fn admit(clients: &mut Clients, now: Tick, number: usize, interval: Duration) -> bool {
    let verdict = take(clients, now, &client(number), &limit(0, 1, interval), 1);
    matches!(verdict, Ok((Verdict::Admitted { .. }, _)))
}

/// Panics if a client is still here that was empty 30 s before `now` already.
fn assert_swept(clients: &Clients, now: u32) {
    let Some(then) = now.checked_sub(300).map(tick) else { return };
    let late = clients.all.values().filter(|account| account.is_empty(then));
    assert_eq!(late.count(), 0, "empty for more than 30 s at tick {now}, of {}", clients.len());
}

#[test]
fn at_the_cap_a_new_client_is_refused_and_a_known_one_is_not() {
    let mut clients = clients(2);
    let minute = limit(0, 10, 60 * SECOND);
    for number in 0..2 {
        assert!(take(&mut clients, tick(0), &client(number), &minute, 1).is_ok());
    }
    assert_eq!(take(&mut clients, tick(0), &client(2), &minute, 1), Err(Refused::Crowded));
    let (verdict, standing) = take(&mut clients, tick(0), &client(1), &minute, 9).unwrap();
    assert_eq!((verdict, standing.remaining), (Verdict::Admitted { at: tick(0) }, 0));
    let other = limit(1, 10, 60 * SECOND);
    assert!(take(&mut clients, tick(0), &client(1), &other, 1).is_ok(), "a second bucket is no new client");
}

#[test]
fn a_refused_request_does_not_make_a_client() {
    let mut clients = clients(2);
    let minute = limit(0, 10, 60 * SECOND);
    assert_eq!(take(&mut clients, tick(0), &client(0), &minute, 11).unwrap().0, Verdict::Oversize);
    assert!(take(&mut clients, tick(0), &client(1), &minute, 0).is_ok());
    assert_eq!((clients.len(), clients.tracked.count()), (0, 0));
}

#[test]
fn two_scopes_of_a_client_are_two_buckets() {
    let mut clients = clients(1);
    let (one, other) = (limit(0, 10, 60 * SECOND), limit(1, 5, 60 * SECOND));
    assert!(take(&mut clients, tick(0), &client(0), &one, 10).is_ok());
    assert_eq!(standing(&clients, tick(0), &client(0), &one).remaining, 0);
    assert_eq!(standing(&clients, tick(0), &client(0), &other).remaining, 5);
}

#[test]
fn a_client_is_forgotten_when_its_last_bucket_is_empty_and_not_before() {
    let mut clients = clients(1);
    assert!(take(&mut clients, tick(0), &client(0), &limit(0, 1, SECOND), 1).is_ok());
    assert!(take(&mut clients, tick(0), &client(0), &limit(1, 1, 60 * SECOND), 1).is_ok());
    clients.sweep(tick(599), 1);
    assert_eq!(clients.all[0].buckets().len(), 1, "the first bucket is gone, the second is not");
    clients.sweep(tick(600), 1);
    assert_eq!((clients.len(), clients.tracked.count()), (0, 0));
}

#[test]
fn everybody_is_swept_within_thirty_seconds_of_being_empty_however_they_come_and_go() {
    let mut clients = clients(usize::MAX);
    let mut next = 0;
    let mut arrive = |clients: &mut Clients, now: u32, count: usize, interval: Duration| {
        for _ in 0..count {
            assert!(admit(clients, tick(now), next, interval));
            next += 1;
        }
    };
    // Some stay; then floods of short windows, growing and shrinking the map in the middle of rounds.
    arrive(&mut clients, 0, 300, 3_600 * SECOND);
    for now in 0..3_000 {
        match now {
            0..1_000 if now % 90 == 89 => arrive(&mut clients, now, 3_000, SECOND),
            1_000..2_000 if now % 10 == 3 => arrive(&mut clients, now, now as usize % 97, 2 * SECOND),
            2_040 => arrive(&mut clients, now, 5_000, 7 * SECOND),
            _ => {}
        }
        clients.sweep(tick(now), SLICES);
        assert_swept(&clients, now);
    }
    assert_eq!(
        (clients.len(), clients.tracked.count()),
        (300, 300),
        "those with tokens in their window stay"
    );
    assert!(clients.all.capacity() < 5_000, "memory of the floods is given back");
}

#[test]
fn a_lost_shard_gives_its_clients_back_to_the_cap() {
    let tracked = Tracked::new(1);
    let mut lost = Clients::new(tracked.clone(), &Counts::default());
    assert!(admit(&mut lost, tick(0), 0, SECOND));
    drop(lost);
    assert_eq!(tracked.count(), 0);
}

#[test]
fn a_store_is_told_of_every_change_once_and_of_accounts_that_end() {
    let day = rules(&limit(1, 100, Duration::from_secs(86_400)));
    let ask = Ask { input: 10, ..Ask::default() };
    let mut clients = Clients::new(Tracked::new(10).stored(), &Counts::default());
    let at = |seconds| Tick::default().after(Duration::from_secs(seconds));
    let told = |clients: &mut Clients, at| -> Vec<_> {
        let told = clients.changes(at, 10).0.into_iter();
        told.map(|change| (change.id, change.account.map(|account| account.buckets[0].slots[0].amount)))
            .collect()
    };
    let [alice, bob] = ["alice", "bob"].map(|name| AccountId::Client(ClientId::new(name)));
    for _ in 0..2 {
        clients.admit(at(1), &alice, &day, &ask, None).unwrap();
    }
    clients.admit(at(1), &bob, &day, &ask, None).unwrap();
    let (first, more) = clients.changes(at(2), 1);
    assert_eq!((&first[0].id, first.len(), more), (&alice, 1, true), "some at a time, the oldest first");
    assert_eq!(first[0].account.as_ref().unwrap().buckets[0].slots[0].amount, 20);
    assert_eq!(told(&mut clients, at(2)), [(bob.clone(), Some(10))]);
    assert_eq!(told(&mut clients, at(2)), [], "each once");
    clients.admit(at(3), &alice, &day, &ask, None).unwrap();
    let (lost, more) = clients.changes(at(3), 10);
    assert!(!more);
    clients.untold(lost);
    assert_eq!(told(&mut clients, at(3)), [(alice.clone(), Some(30))], "what did not arrive is told again");
    let over = at(2 * 86_400);
    clients.sweep(over, 1);
    clients.admit(over, &bob, &day, &ask, None).unwrap();
    assert_eq!(told(&mut clients, over), [(alice, None), (bob.clone(), Some(10))]);
    clients.admit(over, &bob, &day, &ask, None).unwrap();
    let moved = clients.export(over, 10);
    assert_eq!(told(&mut clients, over), [], "whoever has moved is told of elsewhere");
    clients.import(over, moved);
    assert_eq!(told(&mut clients, over), [(bob, Some(20))]);
}

#[test]
fn there_is_more_to_tell_behind_accounts_of_which_nothing_is_stored() {
    let minute = rules(&limit(1, 100, Duration::from_secs(60)));
    let day = rules(&limit(2, 100, Duration::from_secs(86_400)));
    let ask = Ask { input: 10, ..Ask::default() };
    let mut clients = Clients::new(Tracked::new(10).stored(), &Counts::default());
    for number in 0..3 {
        clients.admit(tick(1), &AccountId::Client(client(number)), &minute, &ask, None).unwrap();
    }
    clients.admit(tick(1), &AccountId::Client(client(3)), &day, &ask, None).unwrap();
    let told = |(changes, more): (Vec<Change>, bool)| (changes.len(), more);
    assert_eq!(told(clients.changes(tick(2), 2)), (0, true));
    assert_eq!(told(clients.changes(tick(2), 2)), (1, false));
}
