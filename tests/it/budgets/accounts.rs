//! Shared limits: a group's pool and that of all callers, beside the caller's own; all of them or none.

use http::StatusCode;
use serde_json::json;

use super::{HELLO, echo, hello, limit, limits_of, never_by, refused_by, start, used};
use crate::support::{
    client::Request,
    nexus::Nexus,
    setup::{ECHO, IDENTIFIED, model_limit},
    upstream::Reply,
};

fn pool(group: &str, requests: u64, more: &str) -> String {
    format!(
        "[llm.providers.echo.rate_limits.per_group]\n{more}\n[llm.providers.echo.rate_limits.per_group.groups.{group}]\nrequest_limit = {requests}\ninterval = \"1h\"\n"
    )
}

fn of(client: &str, group: &str) -> Request {
    Request::chat("echo/m", "Hello").client(client).group(group)
}

#[tokio::test]
async fn a_pool_is_shared_by_its_group_and_nobody_else() {
    let nexus = echo(&pool("basic", 3, "")).await;
    for client in ["alice", "bob", "alice"] {
        of(client, "basic").send(&nexus).await.fine();
    }
    for client in ["alice", "carol"] {
        refused_by(&of(client, "basic").send(&nexus).await, "per_group.request_limit");
        of(client, "premium").send(&nexus).await.fine();
        Request::chat("echo/m", "Hello").client(client).send(&nexus).await.fine();
    }
}

#[tokio::test]
async fn nobody_takes_more_than_its_share_of_a_pool_while_others_ask() {
    let nexus = echo(&pool("basic", 8, "max_share = 0.5")).await;
    of("bob", "basic").send(&nexus).await.fine();
    for _ in 0..4 {
        of("alice", "basic").send(&nexus).await.fine();
    }
    refused_by(&of("alice", "basic").send(&nexus).await, "per_group.request_limit");
    of("bob", "basic").send(&nexus).await.fine();
}

#[tokio::test]
async fn a_total_needs_no_identification_and_holds_for_all() {
    let limits = limit("echo", "total", "request_limit", 2);
    let anonymous = Nexus::start(&format!("{ECHO}{limits}")).await;
    let nexus = echo(&limits).await;
    for (nexus, clients) in [(&anonymous, ["", ""]), (&nexus, ["alice", "bob"])] {
        for client in clients {
            Request::chat("echo/m", "Hello").client(client).send(nexus).await.fine();
        }
        let answer = Request::chat("echo/m", "Hello").client("carol").send(nexus).await;
        refused_by(&answer, "total.request_limit");
    }
    assert_eq!(
        limits_of(&nexus, "alice").await,
        [json!(null); 0],
        "others' limits are not a caller's to see"
    );
}

#[tokio::test]
async fn what_a_later_limit_refuses_is_given_back_by_the_earlier_ones_before_it_is_answered() {
    let limits = limit("openai", "per_user", "request_limit", 2)
        + "[llm.providers.openai.rate_limits.total]\nconcurrent_limit = 1\n";
    let (upstream, nexus) = start("", &limits, |_| Reply::completion("Hi").gated()).await;
    let bob = tokio::spawn(Request::chat("openai/gpt-4o", "Hello").client("bob").send_to(nexus.address()));
    upstream.until("the call of bob", |seen| seen.open == 1).await;
    for _ in 0..10 {
        let answer = hello("openai/gpt-4o").send(&nexus).await;
        assert_eq!(refused_by(&answer, "total.concurrent_limit"), 1);
        assert_eq!(used(&nexus, "alice", "request").await, 0);
    }
    upstream.open_gate();
    bob.await.unwrap().fine();
    hello("openai/gpt-4o").send(&nexus).await.fine();
    assert_eq!(used(&nexus, "alice", "request").await, 1);
}

#[tokio::test]
async fn each_family_finds_its_own_table_and_the_longest_wait_is_told() {
    let limits = format!(
        "{}[llm.providers.echo.rate_limits.total]\ninput_token_limit = {HELLO}\ninterval = \"24h\"\n",
        model_limit("echo", "m", HELLO, "60s")
    );
    let nexus = echo(&limits).await;
    hello("echo/m").send(&nexus).await.fine();
    let answer = hello("echo/m").send(&nexus).await;
    assert!(refused_by(&answer, "total.input_token_limit") > 60);
    never_by(
        &Request::chat("echo/m", "Hello, hello").client("bob").send(&nexus).await,
        "per_user.input_token_limit",
    );
}

#[tokio::test]
async fn a_failure_gives_back_to_every_account() {
    let limits = [
        limit("openai", "per_user", "input_token_limit", HELLO),
        "[llm.providers.openai.rate_limits.per_group.groups.basic]\nrequest_limit = 1\ninterval = \"1h\"\n"
            .to_owned(),
        limit("openai", "total", "total_token_limit", HELLO),
    ];
    let (_upstream, nexus) = start("", &limits.concat(), |_| Reply::status(500).body("no")).await;
    for _ in 0..5 {
        let answer = hello("openai/gpt-4o").group("basic").send(&nexus).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "never at a limit: {answer:?}");
    }
}

#[tokio::test]
async fn counts_listings_and_usage_cost_nothing() {
    let limits = limit("echo", "per_user", "request_limit", 1) + &limit("echo", "total", "request_limit", 1);
    let nexus = Nexus::start(&format!("{IDENTIFIED}{ECHO}{limits}")).await;
    let count = json!({"model": "echo/m", "messages": [{"role": "user", "content": "Hello"}]}).to_string();
    for _ in 0..3 {
        let count = Request::post("/llm/anthropic/v1/messages/count_tokens", count.clone());
        count.client("alice").send(&nexus).await.fine();
        Request::get("/v1/models").client("alice").send(&nexus).await.fine();
        assert_eq!(used(&nexus, "alice", "request").await, 0);
    }
    hello("echo/m").send(&nexus).await.fine();
    refused_by(&hello("echo/m").send(&nexus).await, "total.request_limit");
}
