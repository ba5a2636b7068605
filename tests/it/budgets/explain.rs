//! `/explain` of the operator's listener: which limits hold for whom, how they stand, who refuses and for how long.

use http::StatusCode;
use serde_json::{Value, json};

use super::{HELLO, echo, hello, limit, refused_by};
use crate::support::{
    client::{Answer, Request},
    nexus::Nexus,
    setup::{ADMIN, ECHO, group_limit, model_limit, provider_limit},
};

async fn ask(nexus: &Nexus, query: &str) -> Answer {
    Request::get(&format!("/explain{query}")).send_to(nexus.admin()).await
}

async fn explained(nexus: &Nexus, query: &str) -> Value {
    ask(nexus, query).await.fine().json()
}

#[tokio::test]
async fn every_table_is_listed_that_was_looked_at_and_those_that_apply() {
    let limits = [
        provider_limit("echo", 100, "60s"),
        group_limit("echo", "basic", 50, "60s"),
        model_limit("echo", "m", 300, "1h"),
        limit("echo", "total", "request_limit", 9),
    ];
    let nexus = echo(&limits.concat()).await;
    hello("echo/m").send(&nexus).await.fine();
    let answer = explained(&nexus, "?client=alice&group=basic&model=echo/m&tokens=7").await;
    let looked_at = |family: &str| -> Vec<_> {
        let tables = answer["looked_at"].as_array().unwrap().iter();
        tables
            .filter(|table| table["family"] == family)
            .map(|table| [&table["table"], &table["state"]])
            .collect()
    };
    let model = "llm.providers.echo.models.m.rate_limits.per_user";
    let provider = "llm.providers.echo.rate_limits.per_user";
    assert_eq!(
        looked_at("per_user"),
        [
            [&json!(format!("{model}.groups.basic")), &json!("not_set")],
            [&json!(model), &json!("applies")],
            [&json!(format!("{provider}.groups.basic")), &json!("hidden")],
            [&json!(provider), &json!("hidden")],
        ]
    );
    assert_eq!(answer["applies"], json!([model, "llm.providers.echo.rate_limits.total"]));
    assert_eq!((&answer["group"], &answer["tokens"]), (&json!("basic"), &json!(7)));
    let levels: Vec<_> = answer["limits"].as_array().unwrap().iter().collect();
    let of = |level: &Value| {
        json!([level["rule"], level["scope"], level["used"], level["remaining"], level["debt"]])
    };
    assert_eq!(
        of(levels[0]),
        json!(["per_user.input_token_limit", "echo/m.per_user", HELLO, 300 - HELLO, 0])
    );
    assert_eq!(of(levels[1]), json!(["total.request_limit", "echo.total", 1, 8, 0]));
    assert_eq!((&answer["refused_by"], &answer["admitted_in_seconds"]), (&json!(null), &json!(0)));
}

#[tokio::test]
async fn who_refuses_and_for_how_long_is_what_a_call_would_be_told() {
    let nexus = echo(&provider_limit("echo", HELLO, "1h")).await;
    let decision = async |client: &str, tokens: u64| {
        let answer = explained(&nexus, &format!("?client={client}&model=echo/m&tokens={tokens}")).await;
        (answer["refused_by"].clone(), answer["admitted_in_seconds"].clone())
    };
    let rule = json!("per_user.input_token_limit");
    assert_eq!(decision("alice", HELLO).await, (json!(null), json!(0)));
    assert_eq!(decision("alice", HELLO + 1).await, (rule.clone(), json!(null)), "never");
    hello("echo/m").send(&nexus).await.fine();
    let (refused_by_rule, seconds) = decision("alice", HELLO).await;
    assert_eq!(refused_by_rule, rule);
    let told = refused_by(&hello("echo/m").send(&nexus).await, "per_user.input_token_limit");
    let seconds = seconds.as_u64().unwrap();
    assert!(seconds.abs_diff(told) <= 2 && seconds > 3_500, "{seconds} and {told}");
    assert_eq!(decision("bob", HELLO).await, (json!(null), json!(0)));
    let without_tokens = explained(&nexus, "?client=alice&model=echo/m").await;
    assert_eq!((&without_tokens["tokens"], &without_tokens["refused_by"]), (&json!(1), &rule));
}

#[tokio::test]
async fn looking_takes_nothing() {
    let nexus = echo(&limit("echo", "per_user", "request_limit", 1)).await;
    for _ in 0..3 {
        let answer = explained(&nexus, "?client=alice&model=echo/m").await;
        assert_eq!((&answer["limits"][0]["used"], &answer["admitted_in_seconds"]), (&json!(0), &json!(0)));
    }
    hello("echo/m").send(&nexus).await.fine();
}

#[tokio::test]
async fn a_caller_who_may_not_use_the_model_is_told_so() {
    let nexus = echo("deny = [\"basic\"]\n").await;
    let answer = explained(&nexus, "?client=alice&group=basic&model=echo/m").await;
    assert_eq!((&answer["refused_by"], &answer["admitted_in_seconds"]), (&json!("access"), &json!(null)));
    let answer = explained(&nexus, "?client=alice&group=premium&model=echo/m").await;
    assert_eq!((&answer["limits"], &answer["admitted_in_seconds"]), (&json!([]), &json!(0)));
}

#[tokio::test]
async fn a_client_is_named_only_where_limits_depend_on_it() {
    let nexus = echo(&limit("echo", "total", "request_limit", 9)).await;
    let answer = explained(&nexus, "?model=echo/m").await;
    assert_eq!((&answer["client"], &answer["limits"][0]["remaining"]), (&json!(null), &json!(9)));
    let nexus = echo(&provider_limit("echo", 100, "60s")).await;
    let answer = ask(&nexus, "?group=basic&model=echo/m").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
    assert!(answer.json()["error"].as_str().unwrap().contains("`client` is missing"), "{answer:?}");
}

#[tokio::test]
async fn a_question_that_has_no_answer_is_told_what_is_wrong_with_it() {
    let nexus = Nexus::start(&format!("{ADMIN}{}{ECHO}", crate::support::setup::IDENTIFIED)).await;
    for (query, status, part) in [
        ("", StatusCode::BAD_REQUEST, "`model` is missing"),
        ("?client=alice", StatusCode::BAD_REQUEST, "`model` is missing"),
        ("?client=a&model=echo/m&tokens=x", StatusCode::BAD_REQUEST, "`tokens`"),
        ("?client=a&model=echo/m&cilent=b", StatusCode::BAD_REQUEST, "unknown parameter `cilent`"),
        ("?client=a&model=echo/m&group=none", StatusCode::BAD_REQUEST, "group_values"),
        ("?client=a&model=echo/x", StatusCode::NOT_FOUND, "configured: echo/m"),
        ("?client=a&model=x", StatusCode::NOT_FOUND, "not configured"),
    ] {
        let answer = ask(&nexus, query).await;
        assert_eq!(answer.status, status, "{query}: {answer:?}");
        assert!(answer.json()["error"].as_str().unwrap().contains(part), "{query}: {answer:?}");
    }
}
