//! Another configuration while the server runs: what new calls get, what calls under way keep, what stays in the buckets,
//! and what a file that is wrong does: nothing.

use http::StatusCode;
use tokio::task::JoinSet;

use crate::support::{
    client::Request,
    nexus::Nexus,
    ports::free_address,
    setup::{ADMIN, ECHO, IDENTIFIED, openai, provider_limit},
    upstream::{Reply, Step, Upstream},
    wait_until,
};

const WORD: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n";
const END: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
/// The price of [`hello`].
const HELLO: u64 = 8;

fn hello(client: &str) -> Request {
    Request::chat("echo/m", "Hello").client(client)
}

/// The built-in provider under a limit.
fn limited(tokens: u64, more: &str) -> String {
    format!("{more}{IDENTIFIED}{ECHO}{}", provider_limit("echo", tokens, "1h"))
}

/// Waits for the log's line about the reload of this number, and returns it.
async fn reloaded(nexus: &Nexus, number: usize) -> String {
    nexus.logged(number, |line| line.contains("configuration reloaded")).await.pop().unwrap()
}

/// Goes over to `config`, for the `number`th time.
async fn reload(nexus: &Nexus, number: usize, config: &str) -> String {
    nexus.configure(config);
    nexus.signal("HUP");
    reloaded(nexus, number).await
}

#[tokio::test]
async fn a_new_model_is_served_and_one_that_is_gone_is_not_found() {
    let nexus = Nexus::start(ECHO).await;
    let line = reload(&nexus, 1, &ECHO.replace("models.m", "models.n")).await;
    assert!(
        line.contains("llm.providers.echo.models.n") && line.contains("llm.providers.echo.models.m"),
        "{line}"
    );
    Request::chat("echo/n", "Hello").send(&nexus).await.fine();
    assert_eq!(Request::chat("echo/m", "Hello").send(&nexus).await.status, 404);
}

#[tokio::test]
async fn a_changed_limit_holds_for_what_is_in_the_window_already() {
    let nexus = Nexus::start(&limited(100 * HELLO, "")).await;
    for _ in 0..10 {
        hello("alice").send(&nexus).await.fine();
    }
    let line = reload(&nexus, 1, &limited(10 * HELLO, "")).await;
    assert!(line.contains("llm.providers.echo.rate_limits"), "{line}");
    let refused = hello("alice").send(&nexus).await;
    refused.refused(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error");
    assert_eq!(refused.number("x-ratelimit-limit-tokens"), 10 * HELLO);
    reload(&nexus, 2, &limited(11 * HELLO, "")).await;
    hello("alice").send(&nexus).await.fine();
    assert_eq!(hello("alice").send(&nexus).await.status, 429);
}

#[tokio::test]
async fn a_stream_ends_under_the_configuration_it_began_with_though_its_provider_is_gone() {
    let upstream =
        Upstream::always(|| Reply::events([Step::send(WORD), Step::Gate, Step::send(WORD), Step::send(END)]))
            .await;
    let nexus = Nexus::start(&format!("{ADMIN}{}{ECHO}", openai(&upstream, ""))).await;
    let mut stream = Request::stream("openai/gpt-4o", "Hello").open(&nexus).await;
    stream.event().await.unwrap();
    let line = reload(&nexus, 1, &format!("{ADMIN}{ECHO}")).await;
    assert!(line.contains("removed") && line.contains("llm.providers.openai"), "{line}");
    let asked = Request::chat("openai/gpt-4o", "Hello").send(&nexus).await;
    assert_eq!(asked.status, 404);
    upstream.open_gate();
    assert!(stream.rest().await.ends_with(END), "nothing is cut");
    let metrics = Request::get("/metrics").send_to(nexus.admin()).await;
    assert!(!metrics.text().contains("provider-openai-0"), "its actors are told of no more");
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_the_log_says_why() {
    let nexus = Nexus::start(ECHO).await;
    nexus.configure(&format!("{}\n[server]\nmax_in_fligth = 3\n", ECHO.replace("models.m", "models.n")));
    nexus.signal("HUP");
    nexus.logged(1, |line| line.contains("configuration not reloaded")).await;
    let log = nexus.log().join("\n");
    assert!(log.contains("max_in_fligth") && log.contains("did you mean"), "{log}");
    hello("alice").send(&nexus).await.fine();
    assert_eq!(Request::chat("echo/n", "Hello").send(&nexus).await.status, 404);
    reload(&nexus, 1, &ECHO.replace("models.m", "models.n")).await;
    Request::chat("echo/n", "Hello").send(&nexus).await.fine();
}

#[tokio::test]
async fn a_watched_file_is_read_again_when_it_is_replaced_and_when_it_is_written() {
    let nexus = Nexus::start_with(ECHO, &["--watch"]).await;
    nexus.replace_config(&ECHO.replace("models.m", "models.n"));
    reloaded(&nexus, 1).await;
    Request::chat("echo/n", "Hello").send(&nexus).await.fine();
    nexus.configure(&ECHO.replace("models.m", "models.other"));
    reloaded(&nexus, 2).await;
    Request::chat("echo/other", "Hello").send(&nexus).await.fine();
}

#[tokio::test]
async fn a_change_that_needs_a_restart_is_told_and_the_rest_holds() {
    let nexus = Nexus::start(&format!("{ADMIN}{ECHO}")).await;
    let elsewhere = ADMIN.replace("{admin}", &free_address().to_string());
    let line = reload(&nexus, 1, &format!("{elsewhere}{}", ECHO.replace("models.m", "models.n"))).await;
    assert!(line.contains("needs_restart") && line.contains("server.admin.listen"), "{line}");
    Request::chat("echo/n", "Hello").send(&nexus).await.fine();
    assert_eq!(Request::get("/ready").send_to(nexus.admin()).await.status, 200);
}

#[tokio::test]
async fn a_provider_that_is_reached_as_before_keeps_its_connection_and_another_key_is_used_at_once() {
    let upstream = Upstream::always(|| Reply::completion("Hi")).await;
    let config = |keys: &str| format!("{}{}", openai(&upstream, keys), "");
    let nexus = Nexus::start(&config("")).await;
    let ask = || Request::chat("openai/gpt-4o", "Hello");
    ask().send(&nexus).await.fine();
    let edited = config("").replace("gpt-4o-mini", "gpt-4o-nano") + ECHO;
    reload(&nexus, 1, &edited).await;
    ask().send(&nexus).await.fine();
    assert_eq!(upstream.seen().connections, 1);
    reload(&nexus, 2, &edited.replace("sk-upstream-", "sk-another-")).await;
    ask().send(&nexus).await.fine();
    assert!(upstream.last().header("authorization").unwrap().contains("sk-another-"));
    // The old one's connection is closed with its actors.
    assert_eq!(upstream.seen().connections, 2);
}

#[tokio::test]
async fn another_number_of_shards_in_the_middle_of_calls_keeps_usage_exact() {
    let shards = |count: usize, tokens| limited(tokens, &format!("[actors]\nquota_shards = {count}\n"));
    let nexus = Nexus::start(&shards(2, 125 * HELLO)).await;
    for _ in 0..75 {
        hello("alice").send(&nexus).await.fine();
    }
    let mut others = JoinSet::new();
    let address = nexus.address();
    for client in 0..8 {
        others.spawn(async move {
            let mut admitted = 0;
            while hello(&client.to_string()).send_to(address).await.status == 200 {
                admitted += 1;
            }
            admitted
        });
    }
    reload(&nexus, 1, &shards(8, 125 * HELLO)).await;
    reload(&nexus, 2, &shards(1, 125 * HELLO)).await;
    let answer = hello("alice").send(&nexus).await.fine();
    assert_eq!(
        answer.number("x-ratelimit-remaining-tokens"),
        49 * HELLO,
        "600 of 1,000 were spent, and 8 now"
    );
    while let Some(admitted) = others.join_next().await {
        assert_eq!(admitted.unwrap(), 125);
    }
    reload(&nexus, 3, &shards(5, 125 * HELLO)).await;
    assert_eq!(hello("0").send(&nexus).await.status, 429);
}

#[tokio::test]
async fn other_rules_and_keys_of_callers_hold_from_then_on() {
    let nexus = Nexus::start(&limited(3 * HELLO, "")).await;
    hello("alice").send(&nexus).await.fine();
    let renamed = limited(3 * HELLO, "").replace("X-User-Id", "X-Who");
    let line = reload(&nexus, 1, &renamed).await;
    assert!(line.contains("identification"), "{line}");
    assert_eq!(hello("alice").send(&nexus).await.status, 400, "nobody is named there any more");
    let again = Request::chat("echo/m", "Hello").header("x-who", "alice").send(&nexus).await.fine();
    assert_eq!(again.number("x-ratelimit-remaining-tokens"), HELLO, "the same client, the same bucket");
}

#[tokio::test]
async fn places_in_flight_follow_the_file() {
    let upstream = Upstream::always(|| Reply::completion("Hi").gated()).await;
    let config = |places: usize| format!("[server]\nmax_in_flight = {places}\n{}", openai(&upstream, ""));
    let nexus = Nexus::start(&config(1)).await;
    let address = nexus.address();
    let held = tokio::spawn(Request::chat("openai/gpt-4o", "Hello").send_to(address));
    upstream.until("the first call", |seen| seen.open == 1).await;
    assert_eq!(Request::chat("openai/gpt-4o", "Hello").send(&nexus).await.status, 503);
    reload(&nexus, 1, &config(2)).await;
    let second = tokio::spawn(Request::chat("openai/gpt-4o", "Hello").send_to(address));
    wait_until("the second call", || async { upstream.seen().open == 2 }).await;
    upstream.open_gate();
    held.await.unwrap().fine();
    second.await.unwrap().fine();
}
