//! What each kind of limit counts, how its refusal reads and what its headers say.

use serde_json::json;

use super::{
    HELLO, echo, gpt, hello, limit, limits_of, refused_by, reporting, start, tokens, until_used, used,
};
use crate::support::{
    client::{EMBEDDINGS, Request},
    setup::provider_limit,
    upstream::Reply,
};

#[tokio::test]
async fn requests_are_counted_whatever_their_size_and_told_in_headers_of_their_own() {
    let nexus = echo(&limit("echo", "per_user", "request_limit", 2)).await;
    let answer = hello("echo/m").send(&nexus).await.fine();
    assert_eq!(answer.number("x-ratelimit-limit-requests"), 2);
    assert_eq!(answer.number("x-ratelimit-remaining-requests"), 1);
    assert!(answer.header("x-ratelimit-reset-requests").is_some());
    assert_eq!(answer.header("x-ratelimit-limit-tokens"), None);
    Request::chat("echo/m", &"hello ".repeat(999)).client("alice").send(&nexus).await.fine();
    let refused = hello("echo/m").send(&nexus).await;
    assert!(refused_by(&refused, "per_user.request_limit") > 3_500);
    assert_eq!(
        refused.error().message,
        "Rate limit exceeded: Request rate limit exceeded. Please try again later."
    );
    assert_eq!(refused.number("x-ratelimit-remaining-requests"), 0);
}

#[tokio::test]
async fn calls_in_flight_make_room_when_they_end() {
    let (upstream, nexus) =
        start("", &limit("openai", "per_user", "concurrent_limit", 2), |_| Reply::completion("Hi").gated())
            .await;
    let calls: Vec<_> = (0..2).map(|_| tokio::spawn(gpt().send_to(nexus.address()))).collect();
    upstream.until("two calls", |seen| seen.open == 2).await;
    let refused = gpt().send(&nexus).await;
    assert_eq!(refused_by(&refused, "per_user.concurrent_limit"), 1);
    assert_eq!(
        refused.error().message,
        "Rate limit exceeded: Concurrent request limit exceeded. Please try again later."
    );
    assert_eq!(used(&nexus, "alice", "concurrent").await, 2);
    let bob = tokio::spawn(Request::chat("openai/gpt-4o", "Hello").client("bob").send_to(nexus.address()));
    upstream.until("the call of bob", |seen| seen.open == 3).await;
    upstream.open_gate();
    for call in calls.into_iter().chain([bob]) {
        call.await.unwrap().fine();
    }
    until_used(&nexus, json!([0])).await;
    gpt().send(&nexus).await.fine();
}

#[tokio::test]
async fn money_is_taken_for_the_input_and_settled_by_the_report() {
    // Ten millionths: a call of 8 tokens is let in while 8 of them are left.
    let limits = limit("openai", "per_user", "cost_limit", "\"0.00002\"");
    let (_upstream, nexus) = start("", &limits, |_| reporting(&tokens(3, 2))).await;
    let first = gpt().send(&nexus).await.fine();
    assert_eq!(first.header("x-ratelimit-limit-cost"), Some("0.00002"));
    assert_eq!(first.header("x-ratelimit-remaining-cost"), Some("0.000012"), "8 of 20 taken");
    until_used(&nexus, json!(["0.000007"])).await;
    gpt().send(&nexus).await.fine();
    until_used(&nexus, json!(["0.000014"])).await;
    let refused = gpt().send(&nexus).await;
    refused_by(&refused, "per_user.cost_limit");
    assert_eq!(refused.error().message, "Rate limit exceeded: Cost limit exceeded. Please try again later.");
    assert_eq!(refused.header("x-ratelimit-remaining-cost"), Some("0.000006"));
}

#[tokio::test]
async fn output_is_charged_to_the_end_and_what_is_beyond_the_limit_is_owed() {
    let limits = limit("openai", "per_user", "output_token_limit", 10);
    let (_upstream, nexus) = start("", &limits, |_| reporting(&tokens(8, 25))).await;
    gpt().send(&nexus).await.fine();
    until_used(&nexus, json!([10])).await;
    let [limit] = &limits_of(&nexus, "alice").await[..] else { panic!("one limit") };
    assert_eq!(limit["remaining"], 0);
    let reset = limit["reset_seconds"].as_u64().unwrap();
    assert!(reset > 2 * 3_600, "25 tokens are two hours and a half: {reset}");
    let refused = gpt().send(&nexus).await;
    assert!(refused_by(&refused, "per_user.output_token_limit") > 3_600);
    assert_eq!(
        refused.error().message,
        "Rate limit exceeded: Output token rate limit exceeded. Please try again later."
    );
}

#[tokio::test]
async fn embeddings_cost_input_and_no_output() {
    let limits = limit("echo", "per_user", "output_token_limit", 0);
    let nexus = echo(&limits).await;
    let body = json!({"model": "echo/m", "input": "Hello"}).to_string();
    Request::post(EMBEDDINGS, body.clone()).client("alice").send(&nexus).await.fine();
    let nexus = echo(&limit("echo", "per_user", "total_token_limit", 100)).await;
    Request::post(EMBEDDINGS, body).client("alice").send(&nexus).await.fine();
    let spent = used(&nexus, "alice", "total").await.as_u64().unwrap();
    assert!((1..HELLO).contains(&spent), "{spent}");
}

#[tokio::test]
async fn several_windows_of_a_kind_hold_each() {
    let limits = format!(
        "{}[[llm.providers.echo.rate_limits.per_user.windows]]\ninput_token_limit = {}\ninterval = \"24h\"\n",
        provider_limit("echo", HELLO, "1s"),
        2 * HELLO
    );
    let nexus = echo(&limits).await;
    hello("echo/m").send(&nexus).await.fine();
    crate::support::wait_until("the second to pass", async || {
        hello("echo/m").send(&nexus).await.status == 200
    })
    .await;
    let wait = refused_by(&hello("echo/m").send(&nexus).await, "per_user.input_token_limit");
    assert!(wait > 80_000, "the day's, not the second's: {wait}");
}

#[tokio::test]
async fn a_limit_that_only_looks_on_refuses_nobody_and_says_whom_it_would_have() {
    let limits = format!("{}mode = \"shadow\"\n", limit("echo", "per_user", "request_limit", 2));
    let nexus = echo(&limits).await;
    for _ in 0..5 {
        let answer = hello("echo/m").send(&nexus).await.fine();
        assert_eq!(answer.header("x-ratelimit-limit-requests"), None, "nothing to keep to");
    }
    assert_eq!(used(&nexus, "alice", "request").await, 2, "as if it had refused");
    let text = Request::get("/metrics").send_to(nexus.admin()).await.fine().text().to_owned();
    for (decision, count) in [("admitted", 2), ("shadow_refused", 3), ("refused", 0)] {
        let sample = format!(
            "nexus_limit_decisions_total{{scope=\"per_user\",kind=\"request\",decision=\"{decision}\"}} {count}\n"
        );
        assert!(text.contains(&sample), "{sample} in {text}");
    }
}

#[tokio::test]
async fn all_limits_of_a_call_are_taken_together_or_not_at_all() {
    let limits = "[llm.providers.echo.rate_limits.per_user]\ninput_token_limit = 20\nrequest_limit = 9\nconcurrent_limit = 9\ninterval = \"1h\"\n";
    let nexus = echo(limits).await;
    hello("echo/m").send(&nexus).await.fine();
    for _ in 0..4 {
        let big = Request::chat("echo/m", "Hello, hello, hello, hello").client("alice").send(&nexus).await;
        refused_by(&big, "per_user.input_token_limit");
    }
    until_used(&nexus, json!([8, 1, 0])).await;
}
