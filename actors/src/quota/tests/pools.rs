//! Several accounts of one call, shares of a pool, shadow rules, and what the counters say.

use super::*;
use crate::quota::counts::{Decision, Per, Settled};

fn rule(kind: Kind, tokens: u64) -> Rule {
    Rule::new(kind, limit(tokens, MINUTE), kind.name())
}

fn staff() -> AccountId {
    AccountId::Pool(Scope(0), crate::Group::new("staff"))
}

fn client(name: &str) -> ClientId {
    ClientId::new(name)
}

async fn ask(
    quota: &Quota,
    accounts: &[(AccountId, &Rules)],
    member: &str,
    input: u64,
) -> Result<Reservation, Refusal> {
    let member = client(member);
    quota.reserve(&Demand { member: Some(&member), ..Demand::of_input(accounts, input) }).await
}

#[tokio::test(start_paused = true)]
async fn the_refusal_of_a_later_account_gives_back_what_earlier_ones_gave() {
    let running = running(4, 10).await;
    let own: Rules =
        [rule(Kind::Input, 100), rule(Kind::Request, 5), rule(Kind::Concurrent, 2)].into_iter().collect();
    let pool = Rules::new([rule(Kind::Input, 10)]);
    let accounts =
        [(AccountId::Client(alice()), &own), (staff(), &pool), (AccountId::Total(Scope(0)), &pool)];
    for _ in 0..20 {
        let refusal = running.quota.reserve(&Demand::of_input(&accounts, 11)).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Oversize { .. }), "{refusal:?}");
    }
    let untouched: Vec<_> = own.iter().map(|rule| Level::untouched(&rule.limit)).collect();
    assert_eq!(running.quota.usage(&accounts[0].0, &own).await.unwrap(), untouched);
    let taken = running.quota.reserve(&Demand::of_input(&accounts, 10)).await.unwrap();
    for (account, rules) in &accounts {
        assert_eq!(running.quota.usage(account, rules).await.unwrap()[0].used, 10);
    }
    drop(taken);
    for (account, rules) in &accounts {
        assert_eq!(running.quota.usage(account, rules).await.unwrap()[0].used, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn ids_of_different_kinds_are_different_accounts_and_only_clients_are_counted() {
    let running = running(1, 1).await;
    let rules = Rules::new([rule(Kind::Input, 10)]);
    let ids = [AccountId::Client(client("staff")), staff(), AccountId::Total(Scope(0))];
    for id in &ids {
        let accounts = [(id.clone(), &rules)];
        running.quota.reserve(&Demand::of_input(&accounts, 10)).await.unwrap().settle();
    }
    assert_eq!((running.tracked.count(), running.number("clients")), (1, 1));
    sleep(MINUTE + Duration::from_secs(31)).await;
    assert_eq!((running.tracked.count(), running.number("clients")), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_member_may_have_the_whole_pool_until_another_asks() {
    let running = running(1, 10).await;
    let pool = Rules::new([Rule { per_member: Some(50), ..rule(Kind::Input, 100) }]);
    let accounts = [(staff(), &pool)];
    let quota = &running.quota;
    ask(quota, &accounts, "alice", 60).await.unwrap().settle();
    advance(Duration::from_secs(10)).await;
    ask(quota, &accounts, "bob", 10).await.unwrap().settle();
    let refusal = ask(quota, &accounts, "alice", 10).await.unwrap_err();
    let Refusal::Short { retry_after, .. } = refusal else { panic!("{refusal:?}") };
    assert_eq!(retry_after, Duration::from_secs(50), "her 60 leave then; bob's asking would hold for 60");
    ask(quota, &accounts, "bob", 30).await.unwrap().settle();
    advance(retry_after).await;
    ask(quota, &accounts, "alice", 10).await.unwrap().settle();
    // Bob has asked last 50 s ago: ten more, and she is alone. More than a share is not refused for ever.
    let refusal = ask(quota, &accounts, "alice", 55).await.unwrap_err();
    assert_eq!(refusal.retry_after_seconds(), Some(10));
    advance(Duration::from_secs(10)).await;
    ask(quota, &accounts, "alice", 55).await.unwrap().settle();
}

#[tokio::test(start_paused = true)]
async fn a_member_that_was_refused_has_asked_and_what_is_given_back_is_not_held() {
    let running = running(1, 10).await;
    let pool = Rules::new([Rule { per_member: Some(50), ..rule(Kind::Input, 100) }]);
    let (accounts, quota) = ([(staff(), &pool)], &running.quota);
    let taken = ask(quota, &accounts, "alice", 100).await.unwrap();
    assert!(ask(quota, &accounts, "bob", 1).await.is_err());
    drop(taken);
    assert!(ask(quota, &accounts, "alice", 51).await.is_err(), "bob wants some");
    ask(quota, &accounts, "alice", 50).await.unwrap().settle();
}

#[tokio::test(start_paused = true)]
async fn shadow_rules_never_refuse_and_are_charged_for_what_they_would_have_admitted() {
    let running = running(1, 10).await;
    let shadow = |kind, tokens| Rule { mode: Mode::Shadow, ..rule(kind, tokens) };
    let rules: Rules =
        [rule(Kind::Input, 100), shadow(Kind::Input, 10), shadow(Kind::Output, 5)].into_iter().collect();
    let accounts = [(AccountId::Client(alice()), &rules)];
    let demand = |input| Demand { output: true, ..Demand::of_input(&accounts, input) };
    let produced = |output| Actual { output: Some(output), ..Actual::default() };
    running.quota.reserve(&demand(8)).await.unwrap().settle_as(&produced(3));
    running.quota.reserve(&demand(8)).await.unwrap().settle_as(&produced(50));
    running.quota.reserve(&demand(2)).await.unwrap().settle_as(&produced(9));
    let levels = running.quota.usage(&accounts[0].0, &rules).await.unwrap();
    let used: Vec<_> = levels.iter().map(|level| (level.used, level.debt)).collect();
    assert_eq!(used, [(18, 0), (10, 0), (5, 7)], "the second call is charged to no shadow rule");
    let totals = running.quota.counts().totals();
    let of = |kind, decision| totals.of(Per::User, kind, decision);
    assert_eq!([of(Kind::Input, Decision::ShadowRefused), of(Kind::Input, Decision::Refused)], [1, 0]);
    assert_eq!(totals.debt_tokens, 0, "what only shadow rules count is nobody's debt");
}

#[tokio::test(start_paused = true)]
async fn the_counters_tell_every_decision_and_every_token() {
    let running = running(2, 10).await;
    let rules: Rules = [rule(Kind::Input, 100), rule(Kind::Output, 5)].into_iter().collect();
    let pool = Rules::new([rule(Kind::Input, 10)]);
    let accounts = [(AccountId::Client(alice()), &rules), (staff(), &pool)];
    let demand = Demand { output: true, ..Demand::of_input(&accounts, 8) };
    let reported = Actual { output: Some(9), ..Actual::default() };
    running.quota.reserve(&demand).await.unwrap().settle_as(&reported);
    let refusal = running.quota.reserve(&demand).await.unwrap_err();
    assert!(matches!(&refusal, Refusal::Short { rule, .. } if rule.kind == Kind::Output), "{refusal:?}");
    let _ = running.quota.usage(&accounts[0].0, &rules).await;
    let totals = running.quota.counts().totals();
    let of = |per, kind, decision| totals.of(per, kind, decision);
    assert_eq!(of(Per::User, Kind::Output, Decision::Refused), 1);
    assert_eq!(of(Per::User, Kind::Input, Decision::Admitted), 1);
    assert_eq!(of(Per::Group, Kind::Input, Decision::Admitted), 1);
    assert_eq!(totals.settled, Settled { reported: 9, counted: 8, refunded: 0 });
    assert_eq!(totals.debt_tokens, 4);
    sleep(2 * MINUTE).await;
    running.quota.reserve(&demand).await.unwrap().release();
    let _ = running.quota.usage(&accounts[0].0, &rules).await;
    let totals = running.quota.counts().totals();
    assert_eq!((totals.settled.refunded, totals.debt_tokens), (8, 0));
}

#[tokio::test(start_paused = true)]
async fn of_several_accounts_that_refuse_the_longest_wait_is_told_and_a_look_takes_nothing() {
    let running = running(4, 10).await;
    let (own, pool) = (Rules::new([rule(Kind::Input, 10)]), Rules::new([rule(Kind::Request, 1)]));
    let accounts = [(AccountId::Client(alice()), &own), (staff(), &pool)];
    let demand = |input| Demand::of_input(&accounts, input);
    running.quota.reserve(&Demand::of_input(&accounts[..1], 10)).await.unwrap().settle();
    advance(Duration::from_secs(10)).await;
    running.quota.reserve(&Demand::of_input(&accounts[1..], 0)).await.unwrap().settle();
    let refusal = running.quota.reserve(&demand(1)).await.unwrap_err();
    assert!(matches!(&refusal, Refusal::Short { rule, .. } if rule.kind == Kind::Request), "{refusal:?}");
    assert_eq!(refusal.retry_after_seconds(), Some(60));
    let looked = running.quota.look(&demand(1)).await.unwrap();
    let waits: Vec<_> =
        looked.iter().map(|refusal| refusal.as_ref().unwrap().retry_after_seconds()).collect();
    assert_eq!(waits, [Some(50), Some(60)]);
    advance(MINUTE).await;
    assert_eq!(running.quota.look(&demand(1)).await.unwrap(), [None, None]);
    assert_eq!(
        running.quota.look(&Demand::of_input(&[(AccountId::Client(client("bob")), &own)], 1)).await.unwrap(),
        [None]
    );
    assert!(running.quota.reserve(&demand(10)).await.is_ok(), "the wait was true, and looking took nothing");
}
