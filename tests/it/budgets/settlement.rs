//! What a call is charged in the end, where input goes by the report: corrections both ways, and what is learned of them.

use serde_json::json;

use super::{
    HELLO, done, event, finish, gpt, limit, refused_by, report, reporting, start, streaming, tokens,
    until_used, used, word,
};
use crate::support::{client::Request, nexus::Nexus, upstream::Reply, wait_until};

const REPORTED: &str = "count = \"reported\"";

fn input(tokens: u64) -> String {
    limit("openai", "per_user", "input_token_limit", tokens)
}

#[tokio::test]
async fn input_is_corrected_up_and_down_to_the_report() {
    for reported in [1, 5, 8, 60] {
        let (_upstream, nexus) = start(REPORTED, &input(100), move |_| reporting(&tokens(reported, 1))).await;
        let answer = gpt().send(&nexus).await.fine();
        assert_eq!(answer.number("x-ratelimit-remaining-tokens"), 100 - HELLO, "the estimate is taken first");
        until_used(&nexus, json!([reported])).await;
    }
}

#[tokio::test]
async fn what_is_reported_beyond_the_limit_is_owed_and_refuses_for_longer() {
    let (_upstream, nexus) = start(REPORTED, &input(100), |_| reporting(&tokens(250, 1))).await;
    gpt().send(&nexus).await.fine();
    until_used(&nexus, json!([100])).await;
    assert!(refused_by(&gpt().send(&nexus).await, "per_user.input_token_limit") > 3_600);
    let text = metrics(&nexus).await;
    assert!(text.contains("nexus_limit_debt_tokens 150\n"), "{text}");
}

#[tokio::test]
async fn a_stream_is_settled_by_its_last_report_however_its_caller_asked() {
    let (_upstream, nexus) = start(REPORTED, &input(100), |_| {
        Reply::events([word("Hi"), finish(), report(&tokens(30, 4)), done()])
    })
    .await;
    streaming().open(&nexus).await.rest().await;
    until_used(&nexus, json!([30])).await;
}

#[tokio::test]
async fn a_stream_that_breaks_before_its_report_is_charged_as_counted() {
    let (_upstream, nexus) =
        start(REPORTED, &input(100), |_| Reply::events([word("Hi"), crate::support::upstream::Step::Break]))
            .await;
    streaming().open(&nexus).await.rest().await;
    until_used(&nexus, json!([HELLO])).await;
}

#[tokio::test]
async fn an_error_with_a_report_but_no_output_costs_nothing() {
    let error = json!({"error": {"message": "overloaded"}, "usage": tokens(30, 4)});
    let (_upstream, nexus) =
        start(REPORTED, &input(100), move |_| Reply::events([event(&error), done()])).await;
    streaming().open(&nexus).await.rest().await;
    until_used(&nexus, json!([0])).await;
}

#[tokio::test]
async fn reports_teach_what_to_take_ahead_and_the_ratio_is_told() {
    let (_upstream, nexus) = start(REPORTED, &input(1_000_000), |_| reporting(&tokens(16, 1))).await;
    assert!(metrics(&nexus).await.contains("nexus_estimate_ratio{model=\"gpt-4o\",provider=\"openai\"} 1\n"));
    for _ in 0..60 {
        gpt().send(&nexus).await.fine();
    }
    let line = metrics(&nexus).await;
    let line = line.lines().find(|line| line.starts_with("nexus_estimate_ratio{model=\"gpt-4o\","));
    let ratio: f64 = line.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    assert!((0.5..0.53).contains(&ratio), "{ratio}");
    until_used(&nexus, json!([60 * 16])).await;
    let answer = gpt().send(&nexus).await.fine();
    let taken = 1_000_000 - 60 * 16 - answer.number("x-ratelimit-remaining-tokens");
    assert!((15..=16).contains(&taken), "{taken}");
}

#[tokio::test]
async fn settled_tokens_are_told_by_where_they_are_known_from() {
    let (upstream, nexus) = start(REPORTED, &input(1_000), |call| match call.header("x-request-id") {
        Some("fails") => Reply::status(500).body("no"),
        Some("silent") => Reply::json("{\"choices\":[]}"),
        _ => reporting(&tokens(30, 4)),
    })
    .await;
    gpt().send(&nexus).await.fine();
    gpt().header("x-request-id", "silent").send(&nexus).await.fine();
    assert_eq!(gpt().header("x-request-id", "fails").send(&nexus).await.status, 500);
    assert_eq!(upstream.seen().calls.len(), 3);
    wait_until("all three to be told", async || {
        let text = metrics(&nexus).await;
        let settled = |source: &str, tokens: u64| {
            text.contains(&format!("nexus_limit_settled_tokens_total{{source=\"{source}\"}} {tokens}\n"))
        };
        settled("reported", 34) && settled("counted", HELLO) && settled("refunded", HELLO)
    })
    .await;
    assert!(metrics(&nexus).await.contains("nexus_tracked_clients 1\n"));
    assert_eq!(used(&nexus, "alice", "input").await, 30 + HELLO);
}

async fn metrics(nexus: &Nexus) -> String {
    Request::get("/metrics").send_to(nexus.admin()).await.fine().text().to_owned()
}
