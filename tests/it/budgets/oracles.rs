//! What goes wrong elsewhere, a test for each line of a list that was drawn from the faults of other routers, as far as it
//! shows from outside. Lines that only a clock or a million clients show are tested with the quota actors.

use serde_json::json;

use super::{
    HELLO, WIDE, all_used, done, echo, finish, gpt, hello, limit, never_by, refused_by, report, reporting,
    start, streaming, tokens, until_used, used, word,
};
use crate::support::{
    client::{CHAT, Request},
    nexus::Nexus,
    setup::{ECHO, IDENTIFIED, group_limit, provider_limit},
    upstream::{Reply, Step},
};

#[tokio::test]
async fn oracle_1_concurrent_calls_are_never_admitted_beyond_the_limit() {
    for (key, amount) in
        [("input_token_limit", 5 * HELLO), ("total_token_limit", 5 * HELLO), ("request_limit", 5)]
    {
        let (upstream, nexus) =
            start("", &limit("openai", "per_user", key, amount), |_| Reply::completion("Hi").gated()).await;
        let calls: Vec<_> = (0..20).map(|_| tokio::spawn(gpt().send_to(nexus.address()))).collect();
        upstream.until("five calls", |seen| seen.open == 5).await;
        upstream.open_gate();
        let mut admitted = 0;
        for call in calls {
            admitted += usize::from(call.await.unwrap().status == 200);
        }
        assert_eq!((admitted, upstream.seen().calls.len()), (5, 5), "{key}");
    }
}

#[tokio::test]
async fn oracle_2_windows_of_an_hour_and_a_day_are_exact_with_less_than_a_token_a_second() {
    for (interval, seconds) in [("1h", 3_600), ("24h", 86_400)] {
        let nexus = echo(&provider_limit("echo", 2 * HELLO + 4, interval)).await;
        hello("echo/m").send(&nexus).await.fine();
        hello("echo/m").send(&nexus).await.fine();
        let wait = refused_by(&hello("echo/m").send(&nexus).await, "per_user.input_token_limit");
        assert!((seconds - 5..=seconds).contains(&wait), "{wait} of {seconds}");
    }
}

#[tokio::test]
async fn oracle_3_reasoning_and_tool_calls_are_output_and_what_was_cached_weighs_less() {
    let usage = json!({
        "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 40}, "completion_tokens_details": {"reasoning_tokens": 30},
    });
    let charging = "count = \"reported\"\ncached_input_weight = 0.25";
    let (_upstream, nexus) = start(charging, WIDE, move |_| reporting(&usage)).await;
    gpt().send(&nexus).await.fine();
    // 60 + 40 × 0.25; money: 60 × 1 + 40 × 0.5 + 50 × 2 millionths, whatever weighs what.
    until_used(&nexus, json!([70, 50, 120, 1, "0.00018", 0])).await;
}

#[tokio::test]
async fn oracle_5_usage_that_is_no_usage_leaves_the_estimate() {
    let zero = json!({"prompt_tokens": 0, "completion_tokens": 0});
    let odd = json!({"prompt_tokens": "many", "completion_tokens": [7]});
    for usage in [json!(null), zero, tokens_of(-5.0), tokens_of(0.5), odd, json!([]), json!("none")] {
        let said = usage.clone();
        let (_upstream, nexus) = start("count = \"reported\"", WIDE, move |_| reporting(&usage)).await;
        gpt().send(&nexus).await.fine();
        assert_eq!(used(&nexus, "alice", "input").await, HELLO, "{said}");
        assert_eq!(used(&nexus, "alice", "request").await, 1, "{said}");
    }
}

fn tokens_of(number: f64) -> serde_json::Value {
    json!({"prompt_tokens": number, "completion_tokens": number})
}

#[tokio::test]
async fn oracle_5_usage_that_comes_twice_counts_once_and_the_last_word_counts() {
    for (reports, output) in [([40, 40], 40), ([40, 30], 30)] {
        let (_upstream, nexus) = start("count = \"reported\"", WIDE, move |_| {
            let reports = reports.map(|output| report(&tokens(20, output)));
            Reply::events([word("Hi"), finish()].into_iter().chain(reports).chain([done()]))
        })
        .await;
        streaming().open(&nexus).await.rest().await;
        until_used(&nexus, json!([20, output, 20 + output, 1, money(20 + 2 * output), 0])).await;
    }
}

/// So many millionths.
fn money(millionths: u64) -> String {
    format!("0.{millionths:06}").trim_end_matches('0').to_owned()
}

#[tokio::test]
async fn oracle_6_who_leaves_before_the_first_byte_pays_for_the_input_and_is_in_flight_no_longer() {
    let (upstream, nexus) = start("", WIDE, |_| Reply::hang()).await;
    for request in [gpt(), streaming()] {
        let before = upstream.seen().hung_up;
        let call = tokio::spawn(request.send_to(nexus.address()));
        upstream.until("the call", |seen| seen.open == 1).await;
        assert_eq!(used(&nexus, "alice", "concurrent").await, 1);
        call.abort();
        upstream.until("the call to be cancelled", |seen| seen.hung_up == before + 1).await;
    }
    until_used(&nexus, json!([16, 0, 16, 2, "0.000016", 0])).await;
}

#[tokio::test]
async fn oracle_6_who_leaves_in_mid_stream_pays_for_the_input_and_is_in_flight_no_longer() {
    let (upstream, nexus) = start("", WIDE, |_| Reply::events([word("Hi"), Step::Hang])).await;
    let mut stream = streaming().open(&nexus).await;
    stream.event().await.unwrap();
    stream.hang_up();
    upstream.until("the call to be cancelled", |seen| seen.hung_up == 1).await;
    crate::support::wait_until("alice to be gone", async || used(&nexus, "alice", "concurrent").await == 0)
        .await;
    assert_eq!(used(&nexus, "alice", "input").await, HELLO);
    assert_eq!(used(&nexus, "alice", "request").await, 1);
}

#[tokio::test]
async fn oracle_6_who_leaves_after_the_last_frame_pays_what_was_reported() {
    let usage = tokens(20, 40);
    let (upstream, nexus) = start("count = \"reported\"", WIDE, move |_| {
        Reply::events([word("Hi"), finish(), report(&usage), done(), Step::Hang])
    })
    .await;
    let mut stream = Request::post(
        CHAT,
        json!({
            "model": "openai/gpt-4o", "stream": true, "stream_options": {"include_usage": true},
            "messages": [{"role": "user", "content": "Hello"}],
        })
        .to_string(),
    )
    .client("alice")
    .open(&nexus)
    .await;
    while stream.event().await.unwrap() != "data: [DONE]" {}
    stream.hang_up();
    until_used(&nexus, json!([20, 40, 60, 1, "0.0001", 0])).await;
    upstream.until("the call to be cancelled", |seen| seen.open == 0).await;
}

#[tokio::test]
async fn oracle_7_a_failure_of_the_provider_costs_nothing_and_one_of_the_caller_a_request() {
    for status in [429, 500, 502, 503, 529, 400, 401, 404, 422] {
        let (_upstream, nexus) = start("", WIDE, move |_| Reply::status(status).body("no")).await;
        assert!(gpt().send(&nexus).await.status >= 400);
        let requests = u64::from(status < 500 && status != 429);
        until_used(&nexus, json!([0, 0, 0, requests, "0", 0])).await;
    }
    let (_upstream, nexus) = start("", WIDE, |_| Reply::close()).await;
    assert_eq!(gpt().send(&nexus).await.status, 502);
    until_used(&nexus, json!([0, 0, 0, 0, "0", 0])).await;
    let broken = || Reply::events([Step::send("data: {\"error\":{\"message\":\"overloaded\"}}\n\n")]);
    let (_upstream, nexus) = start("", WIDE, move |_| broken()).await;
    streaming().open(&nexus).await.rest().await;
    until_used(&nexus, json!([0, 0, 0, 0, "0", 0])).await;
}

#[tokio::test]
async fn oracle_7_a_call_on_a_connection_that_was_replaced_is_charged_once() {
    let (_upstream, nexus) = start("", WIDE, |call| match call.turn {
        2 => Reply::close(),
        _ => reporting(&tokens(8, 2)),
    })
    .await;
    for calls in 1..=3 {
        gpt().send(&nexus).await.fine();
        until_used(&nexus, json!([8 * calls, 2 * calls, 10 * calls, calls, money(12 * calls), 0])).await;
    }
}

#[tokio::test]
async fn oracle_8_the_model_that_answers_is_charged_and_no_other() {
    let of = |model: &str| {
        format!(
            "[llm.providers.openai.models.\"{model}\".rate_limits.per_user]\ninput_token_limit = {HELLO}\ninterval = \"1h\"\n"
        )
    };
    let limits = of("gpt-4o") + &of("gpt-4o-mini");
    let (_upstream, nexus) = start("", &limits, |_| Reply::completion("Hi")).await;
    gpt().send(&nexus).await.fine();
    refused_by(&gpt().send(&nexus).await, "per_user.input_token_limit");
    hello("openai/gpt-4o-mini").send(&nexus).await.fine();
}

#[tokio::test]
async fn oracle_9_nothing_is_reserved_for_output_whatever_the_caller_allows() {
    let (_upstream, nexus) =
        start("", &limit("openai", "per_user", "output_token_limit", 10), |_| reporting(&tokens(8, 2))).await;
    for members in [
        json!({}),
        json!({"max_tokens": 1, "max_completion_tokens": 1_000_000}),
        json!({"max_tokens": 1_000_000_000}),
        json!({"max_tokens": -1}),
        json!({"max_tokens": 1e300}),
    ] {
        let mut body = members;
        body["model"] = json!("openai/gpt-4o");
        body["messages"] = json!([{"role": "user", "content": "Hello"}]);
        Request::post(CHAT, body.to_string()).client("alice").send(&nexus).await.fine();
    }
    assert_eq!(all_used(&nexus).await, json!([10]));
    refused_by(&gpt().send(&nexus).await, "per_user.output_token_limit");
}

#[tokio::test]
async fn oracle_11_what_can_never_fit_is_not_to_be_tried_again() {
    for key in ["input_token_limit", "total_token_limit"] {
        let nexus = echo(&limit("echo", "per_user", key, HELLO - 1)).await;
        never_by(&hello("echo/m").send(&nexus).await, &format!("per_user.{key}"));
        Request::chat("echo/m", "").client("alice").send(&nexus).await.fine();
    }
    let limits = limit("openai", "per_user", "cost_limit", "\"0.000007\"");
    let (upstream, nexus) = start("", &limits, |_| Reply::completion("Hi")).await;
    never_by(&gpt().send(&nexus).await, "per_user.cost_limit");
    assert!(upstream.seen().calls.is_empty());
}

#[tokio::test]
async fn oracle_15_models_of_one_provider_share_its_limit() {
    let limits = limit("openai", "per_user", "request_limit", 3);
    let (_upstream, nexus) = start("", &limits, |_| Reply::completion("Hi")).await;
    for model in ["openai/gpt-4o", "openai/gpt-4o-mini", "openai/gpt-4o"] {
        hello(model).send(&nexus).await.fine();
    }
    refused_by(&hello("openai/gpt-4o-mini").send(&nexus).await, "per_user.request_limit");
}

#[tokio::test]
async fn oracle_16_a_client_that_changes_its_group_takes_along_what_it_used() {
    let limits = provider_limit("echo", 2 * HELLO, "1h") + &group_limit("echo", "premium", 3 * HELLO, "1h");
    let nexus = echo(&limits).await;
    hello("echo/m").send(&nexus).await.fine();
    hello("echo/m").send(&nexus).await.fine();
    refused_by(&hello("echo/m").group("basic").send(&nexus).await, "per_user.input_token_limit");
    hello("echo/m").group("premium").send(&nexus).await.fine();
    refused_by(&hello("echo/m").group("premium").send(&nexus).await, "per_user.input_token_limit");
}

#[tokio::test]
async fn oracle_17_a_header_from_anywhere_else_names_nobody() {
    let limits = provider_limit("echo", 2 * HELLO, "1h");
    let trusted =
        IDENTIFIED.replace("enabled = true", "enabled = true\ntrusted_proxies = [\"192.0.2.0/24\"]");
    let nexus = Nexus::start(&format!("{trusted}{ECHO}{limits}")).await;
    for name in ["alice", "bob"] {
        let answer = Request::chat("echo/m", "Hello").client(name).send(&nexus).await;
        assert!((400..=401).contains(&answer.status), "{answer:?}");
    }
}

#[tokio::test]
async fn oracle_19_a_limit_of_nothing_admits_nothing_ever() {
    for key in [
        "input_token_limit",
        "output_token_limit",
        "total_token_limit",
        "request_limit",
        "cost_limit",
        "concurrent_limit",
    ] {
        for family in ["per_user", "total"] {
            let limits = limit("openai", family, key, 0);
            let (upstream, nexus) = start("", &limits, |_| Reply::completion("Hi")).await;
            never_by(&gpt().send(&nexus).await, &format!("{family}.{key}"));
            assert!(upstream.seen().calls.is_empty(), "{key}");
        }
    }
}

#[tokio::test]
async fn oracle_20_counters_beyond_32_and_64_bits_do_not_wrap() {
    const LARGE: u64 = i64::MAX as u64;
    let limits = limit("openai", "per_user", "total_token_limit", LARGE);
    let (_upstream, nexus) =
        start("count = \"reported\"", &limits, |_| reporting(&tokens(1 << 40, 1 << 40))).await;
    gpt().send(&nexus).await.fine();
    until_used(&nexus, json!([2_u64 << 40])).await;
    let most = json!({"prompt_tokens": 1_u64 << 40, "completion_tokens": 1_u64 << 40});
    for interval in ["1s", "31d"] {
        let limits = WIDE.replace("1h", interval).replace("000000", "");
        let most = most.clone();
        let (_upstream, nexus) = start("count = \"reported\"", &limits, move |_| reporting(&most)).await;
        Request::chat("openai/gpt-4o", "").client("alice").send(&nexus).await;
        crate::support::wait_until("the debt", async || gpt().send(&nexus).await.status == 429).await;
        assert_eq!(super::wire::messages("openai/gpt-4o", false).send(&nexus).await.status, 429);
        all_used(&nexus).await;
    }
}
