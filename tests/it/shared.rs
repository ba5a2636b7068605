//! Windows that several routers share, on a Redis server: exact across routers, one command a call, and what becomes of
//! calls while the server is out.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use crate::support::{
    client::Request,
    nexus::{Nexus, refuses_to_start},
    ports::{ClosedPort, free_address},
    redis::{PASSWORD, Redis},
    setup::{ECHO, IDENTIFIED, provider_limit},
    tls, wait_until,
};

/// What a greeting costs.
const HELLO: u64 = 8;

fn hello(client: &str) -> Request {
    Request::chat("echo/m", "Hello").client(client)
}

/// The built-in provider under a limit of so many greetings in ten minutes.
fn config(storage: &str, greetings: u64) -> String {
    let limit = provider_limit("echo", greetings * HELLO, "10m");
    format!("[server.rate_limits]\nstorage = {{ type = \"redis\", {storage} }}\n{IDENTIFIED}{ECHO}{limit}")
}

fn at(redis: &Redis, more: &str) -> String {
    format!("url = \"{}\"{more}", redis.url())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_routers_admit_the_limit_together_with_one_command_a_call_and_no_key_for_ever() {
    let redis = Redis::start().await;
    let text = config(&at(&redis, ""), 12);
    let debug = ["--log", "debug"];
    let routers = Arc::new([Nexus::start_with(&text, &debug).await, Nexus::start_with(&text, &debug).await]);
    let before = redis.scripts();
    let mut storm = JoinSet::new();
    for task in 0..64 {
        let routers = Arc::clone(&routers);
        storm.spawn(async move {
            let client = format!("client-{}", task % 4);
            let mut admitted = 0;
            for turn in 0..3 {
                let answer = hello(&client).send(&routers[(task + turn) % 2]).await;
                assert!([200, 429].contains(&answer.status), "{answer:?}");
                admitted += usize::from(answer.status == 200);
            }
            admitted
        });
    }
    let admitted: usize = storm.join_all().await.into_iter().sum();
    assert_eq!(admitted, 4 * 12, "four clients, twelve greetings each");
    assert_eq!(redis.scripts() - before, 64 * 3, "one command a call");
    let keys = redis.keys();
    assert_eq!(keys.len(), 4, "{keys:?}");
    for key in &keys {
        assert!(key.starts_with("nexus:rate_limit:") && key.contains("{client/client-"), "{key}");
        let ttl: i64 = redis.says(&["PTTL", key]).parse().unwrap();
        assert!((1..=601_000).contains(&ttl), "{key} lives for {ttl} ms");
    }
    for router in routers.iter() {
        let shown = router.log().into_iter().find(|line| line.contains(PASSWORD));
        assert_eq!(shown, None, "a password in the log");
    }
}

#[tokio::test]
async fn limits_on_requests_are_shared_too_and_apart_from_those_of_clients() {
    let redis = Redis::start().await;
    let limits = "global = { limit = 7, interval = \"10m\" }\nper_ip = { limit = 5, interval = \"10m\" }\n";
    let text = config(&at(&redis, ""), 100).replacen("storage", &format!("{limits}storage"), 1);
    let routers = [Nexus::start(&text).await, Nexus::start(&text).await];
    let mut admitted = 0;
    for turn in 0..12 {
        admitted += usize::from(hello("127.0.0.1").send(&routers[turn % 2]).await.status == 200);
    }
    assert_eq!(admitted, 5);
    assert_eq!(redis.keys().len(), 3, "{:?}", redis.keys());
}

/// One client's storm on a router until it is told to end: every answer's status, and the longest wait.
async fn storm(nexus: Arc<Nexus>, stop: Arc<AtomicBool>) -> (Vec<u16>, Duration) {
    let (mut statuses, mut longest) = (Vec::new(), Duration::ZERO);
    while !stop.load(Relaxed) {
        let began = Instant::now();
        statuses.push(hello("alice").send(&nexus).await.status);
        longest = longest.max(began.elapsed());
    }
    (statuses, longest)
}

/// A router whose server is killed and started again in a storm; the statuses of what it answered.
async fn outage(on_error: &str) -> Vec<u16> {
    let mut redis = Redis::start().await;
    let storage = at(&redis, &format!(", on_error = \"{on_error}\""));
    let nexus = Arc::new(Nexus::start(&config(&storage, 10)).await);
    let stop = Arc::new(AtomicBool::new(false));
    let mut storms = JoinSet::new();
    for _ in 0..8 {
        storms.spawn(storm(Arc::clone(&nexus), Arc::clone(&stop)));
    }
    wait_until("the limit to be spent", || async { redis.scripts() > 40 }).await;
    redis.kill();
    nexus
        .logged(1, |line| line.contains("Redis cannot be reached") || line.contains("Redis has failed"))
        .await;
    // Spent here as well, by those in the storm.
    for _ in 0..20 {
        let status = hello("alice").send(&nexus).await.status;
        let expected: &[u16] = match on_error {
            "local" => &[200, 429],
            "deny" => &[503],
            _ => &[200],
        };
        assert!(expected.contains(&status), "{on_error}: {status}");
    }
    redis.restart().await;
    nexus.logged(1, |line| line.contains("Redis is back")).await;
    wait_until("the server to be asked again", || async { redis.scripts() > 40 }).await;
    stop.store(true, Relaxed);
    let (statuses, waits): (Vec<_>, Vec<_>) = storms.join_all().await.into_iter().unzip();
    let longest = waits.into_iter().max().unwrap();
    assert!(longest < Duration::from_secs(5), "{on_error}: a call waited for {longest:?}");
    assert_eq!(hello("alice").send(&nexus).await.status, 429, "the limit holds again");
    statuses.concat()
}

fn count(statuses: &[u16], status: u16) -> usize {
    statuses.iter().filter(|one| **one == status).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_server_is_out_a_router_counts_by_itself_if_it_is_to() {
    let statuses = outage("local").await;
    assert!(count(&statuses, 200) <= 3 * 10 && count(&statuses, 503) == 0, "{}", count(&statuses, 200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_server_is_out_calls_are_refused_if_they_are_to_be() {
    let statuses = outage("deny").await;
    assert!(count(&statuses, 200) <= 2 * 10 && count(&statuses, 503) > 0, "{}", count(&statuses, 200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_server_is_out_calls_are_admitted_if_they_are_to_be() {
    let statuses = outage("allow").await;
    assert!(count(&statuses, 429) > 0 && count(&statuses, 503) == 0);
}

#[tokio::test]
async fn a_server_that_stalls_is_waited_for_once_and_tells_when_to_come_again() {
    let redis = Redis::start().await;
    let storage =
        at(&redis, ", on_error = \"deny\", response_timeout = \"300ms\", connection_timeout = \"300ms\"");
    let nexus = Nexus::start(&config(&storage, 10)).await;
    hello("alice").send(&nexus).await.fine();
    redis.signal("STOP");
    let began = Instant::now();
    for _ in 0..30 {
        let answer = hello("alice").send(&nexus).await;
        assert_eq!(answer.status, 503);
        assert!(answer.number("retry-after") >= 1);
    }
    assert!(began.elapsed() < Duration::from_secs(8), "thirty calls took {:?}", began.elapsed());
    redis.signal("CONT");
    wait_until("the server to be asked again", || async { hello("alice").send(&nexus).await.status == 200 })
        .await;
}

#[tokio::test]
async fn without_the_server_a_router_starts_only_where_it_is_written_what_then() {
    let closed = ClosedPort::new();
    let url = format!("url = \"redis://:{PASSWORD}@{}\"", closed.address());
    for more in ["", ", on_error = \"deny\""] {
        let refusal = refuses_to_start(&config(&[&url, more].concat(), 10), free_address()).await;
        assert_eq!(refusal.code, Some(1), "{}", refusal.output);
        assert!(refusal.output.contains(&closed.address().to_string()), "{}", refusal.output);
        assert!(!refusal.output.contains(PASSWORD), "{}", refusal.output);
    }
    let nexus = Nexus::start(&config(&[&url, ", on_error = \"local\""].concat(), 2)).await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(hello("alice").send(&nexus).await.status);
    }
    assert_eq!(statuses, [200, 200, 429]);
}

#[tokio::test]
async fn tls_shows_a_certificate_and_believes_the_roots_that_are_written_only() {
    let redis = Redis::start_tls().await;
    let path = |name: &str| tls::file(name).display().to_string();
    let storage = |root: &str| {
        let (certificate, key) = (path("alice.pem"), path("alice.key"));
        let files = format!("client_cert_path = \"{certificate}\", client_key_path = \"{key}\"");
        at(&redis, &format!(", tls = {{ enabled = true, ca_cert_path = \"{}\", {files} }}", path(root)))
    };
    let nexus = Nexus::start(&config(&storage("ca.pem"), 1)).await;
    hello("alice").send(&nexus).await.fine();
    assert_eq!((hello("alice").send(&nexus).await.status, redis.keys().len()), (429, 1));
    let refusal = refuses_to_start(&config(&storage("foreign_ca.pem"), 1), free_address()).await;
    assert_eq!(refusal.code, Some(1), "{}", refusal.output);
}

#[tokio::test]
async fn the_example_of_two_routers_counts_over_both() {
    let redis = Redis::start().await;
    let example = include_str!("../../config/examples/two-routers-redis.toml");
    let address = "rediss://:{{ env.REDIS_PASSWORD }}@redis.example.com:6379/0";
    let provider = "type = \"openai\"\napi_key = \"{{ env.OPENAI_API_KEY }}\"";
    assert!(example.contains(address) && example.contains(provider));
    let text = example.replace(address, &redis.url()).replace(provider, "type = \"echo\"");
    let call = Request::chat("openai/gpt-4o-mini", "Hello").client("alice");
    let mut left = Vec::new();
    for _ in 0..2 {
        let nexus = Nexus::start(&text).await;
        left.push(call.clone().send(&nexus).await.fine().number("x-ratelimit-remaining-tokens"));
    }
    assert_eq!(left, [50_000 - HELLO, 50_000 - 2 * HELLO]);
    let keys = redis.keys();
    assert!(keys.len() == 2 && keys.iter().all(|key| key.starts_with("nexus:production:")), "{keys:?}");
}

#[tokio::test]
async fn a_call_that_fails_gives_back_what_it_took_of_the_server() {
    let redis = Redis::start().await;
    let closed = ClosedPort::new();
    let provider = format!(
        "[llm.providers.gone]\ntype = \"openai\"\napi_key = \"sk-of-tests\"\nbase_url = \"http://{}/v1\"\nmodels.m = {{}}\n",
        closed.address()
    );
    let limit = provider_limit("gone", HELLO, "10m");
    let storage = at(&redis, "");
    let text = format!(
        "[server.rate_limits]\nstorage = {{ type = \"redis\", {storage} }}\n{IDENTIFIED}{provider}{limit}"
    );
    let nexus = Nexus::start(&text).await;
    for _ in 0..5 {
        let answer = Request::chat("gone/m", "Hello").client("alice").send(&nexus).await;
        assert_eq!(answer.status, 502, "{answer:?}");
        assert_eq!(answer.number("x-ratelimit-remaining-tokens"), HELLO, "restated after the refund");
    }
    assert_eq!(redis.keys(), [""; 0], "nothing is left of it at {}", redis.address());
}
