//! Quota actors whose windows are on a server: what callers see is what they see of windows in memory.

use std::{num::NonZeroUsize, time::Duration};

use super::Server;
use crate::{
    Group,
    principal::ClientId,
    quota::{
        AccountId, Actual, Demand, Drawn, Kind, Limit, OnError, OnOutputLimit, Price, Quota, Redis, Refusal,
        Rule, Rules, Scope, Store, Tracked,
    },
    secret::Secret,
    supervisor::Supervisor,
};

const MINUTE: Duration = Duration::from_secs(60);

fn settings(server: &Server) -> Redis {
    Redis {
        url: Secret::new(format!("redis://127.0.0.1:{}", server.port)),
        key_prefix: "t:".to_owned(),
        on_error: OnError::Local,
        required: true,
        response_timeout: Duration::from_secs(4),
        connection_timeout: Duration::from_secs(5),
        connections: 2,
        tls: None,
    }
}

fn rule(kind: Kind, tokens: u64) -> Rule {
    let limit = Limit { scope: Scope(1), tokens, interval: MINUTE, horizon: [MINUTE].into() };
    Rule { on_output_limit: OnOutputLimit::Cut, ..Rule::new(kind, limit, kind.name()) }
}

async fn quota(supervisor: &mut Supervisor, store: Option<&Store>) -> Quota {
    let count = NonZeroUsize::new(2).unwrap();
    let tracked = Tracked::new(100);
    match store {
        Some(store) => Quota::start_stored(supervisor, "stored", count, 100, tracked, store.clone()).await,
        None => Quota::start(supervisor, "memory", count, 100, tracked).await,
    }
}

/// What a caller of a few calls sees, without times.
async fn seen(quota: &Quota) -> Vec<String> {
    let own: Rules =
        [rule(Kind::Input, 100), rule(Kind::Output, 50), rule(Kind::Concurrent, 2)].into_iter().collect();
    let pool = Rules::new([Rule { per_member: Some(60), ..rule(Kind::Total, 120) }]);
    let (alice, bob) = (ClientId::new("alice"), ClientId::new("bob"));
    let accounts = |client: &ClientId| {
        [
            (AccountId::Client(client.clone()), own.clone()),
            (AccountId::Pool(Scope(1), Group::new("staff")), pool.clone()),
        ]
    };
    let mut seen = Vec::new();
    let levels = async |seen: &mut Vec<String>| {
        for (account, rules) in accounts(&alice) {
            let levels = quota.usage(&account, &rules).await.unwrap();
            let numbers: Vec<_> =
                levels.iter().map(|level| (level.used, level.remaining, level.debt)).collect();
            seen.push(format!("{numbers:?}"));
        }
    };
    let [one, two] = accounts(&alice);
    let of_alice = [(one.0, &one.1), (two.0, &two.1)];
    let demand = Demand {
        accounts: &of_alice,
        member: Some(&alice),
        input: 10,
        output: true,
        price: Price::default(),
    };
    let mut call = quota.reserve(&demand).await.unwrap();
    seen.push(format!("{:?}", call.standing().map(|standing| (standing.limit, standing.remaining))));
    call.sent();
    for _ in 0..5 {
        if call.produce(20) > 0 {
            let drawn = call.draw(20).await;
            seen.push(format!("{:?}", matches!(drawn, Drawn::Granted)));
        }
    }
    levels(&mut seen).await;
    let other = quota.reserve(&demand).await;
    seen.push(format!("{:?}", other.as_ref().err().map(short)));
    drop(other);
    let looked = quota.look(&Demand { input: 91, ..demand }).await.unwrap();
    seen.push(format!("{:?}", looked.iter().map(|one| one.as_ref().map(short)).collect::<Vec<_>>()));
    call.settle_as(&Actual { input: Some(30), output: Some(70), cost: None });
    levels(&mut seen).await;
    let [one, two] = accounts(&bob);
    let of_bob = [(one.0, &one.1), (two.0, &two.1)];
    let of_bob = Demand { accounts: &of_bob, member: Some(&bob), ..demand };
    let call = quota.reserve(&of_bob).await.unwrap();
    seen.push(format!("{:?}", call.refund().await.map(|(_, standing)| (standing.limit, standing.remaining))));
    seen.push(format!(
        "{:?}",
        quota.reserve(&Demand { input: 200, ..of_bob }).await.err().as_ref().map(short)
    ));
    levels(&mut seen).await;
    seen
}

/// What a refusal says, but for its time.
fn short(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Short { rule, standing, .. } => format!("short {} {}", rule.id, standing.remaining),
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn callers_see_the_same_of_a_server_as_of_memory() {
    let server = Server::start();
    let mut supervisor = Supervisor::start("quota").await;
    let store = Store::start(&settings(&server), 2).await.unwrap();
    let memory = quota(&mut supervisor, None).await;
    let expected = seen(&memory).await;
    let stored = quota(&mut supervisor, Some(&store)).await;
    assert_eq!(seen(&stored).await, expected);
    assert!(expected.iter().any(|seen| seen == "false"), "a stream was cut: {expected:?}");
    let decisions = |quota: &Quota| quota.counts().totals().decisions;
    assert_eq!(decisions(&stored), decisions(&memory));
}

#[tokio::test]
async fn the_refusal_of_a_pool_comes_when_the_server_has_back_what_the_client_gave() {
    let server = Server::start();
    let mut supervisor = Supervisor::start("quota").await;
    let store = Store::start(&settings(&server), 2).await.unwrap();
    let quota = quota(&mut supervisor, Some(&store)).await;
    let (own, pool) = (Rules::new([rule(Kind::Input, 100)]), Rules::new([rule(Kind::Input, 10)]));
    let client = AccountId::Client(ClientId::new("alice"));
    let accounts = [(client.clone(), &own), (AccountId::Total(Scope(1)), &pool)];
    for _ in 0..20 {
        let refusal = quota.reserve(&Demand::of_input(&accounts, 11)).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Oversize { .. }), "{refusal:?}");
        assert_eq!(quota.usage(&client, &own).await.unwrap()[0].used, 0);
    }
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_leaves_nothing_on_the_server() {
    let server = Server::start();
    let mut supervisor = Supervisor::start("quota").await;
    let store = Store::start(&settings(&server), 2).await.unwrap();
    let quota = quota(&mut supervisor, Some(&store)).await;
    let rules: Rules = [rule(Kind::Input, 100), rule(Kind::Concurrent, 50)].into_iter().collect();
    let accounts = [(AccountId::Client(ClientId::new("alice")), &rules)];
    for patience in 0..40 {
        let demand = Demand::of_input(&accounts, 1);
        let _ = tokio::time::timeout(Duration::from_micros(patience * 20), quota.reserve(&demand)).await;
    }
    let began = std::time::Instant::now();
    let mut connection = server.connect();
    loop {
        store.flush(Duration::from_secs(5)).await;
        let left: usize = redis::cmd("DBSIZE").query(&mut connection).unwrap();
        if left == 0 {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{left} accounts hold something");
    }
}
