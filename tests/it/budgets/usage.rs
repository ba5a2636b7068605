//! `/v1/usage`: what a caller is told of its own limits.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{echo, gpt, hello, limit, limits_of, reporting, start, tokens, until_used};
use crate::support::{
    client::{Answer, Request},
    nexus::Nexus,
    setup::{ECHO, model_limit},
};

/// The resets, which depend on the time, are checked to be within the hour, and taken out.
fn without_resets(answer: &Answer) -> Value {
    let mut body = answer.json();
    for limit in body["limits"].as_array_mut().unwrap() {
        let reset = limit.as_object_mut().unwrap().shift_remove("reset_seconds").unwrap().as_u64().unwrap();
        let whole = limit["used"] == 0 || limit["used"] == "0" || limit["kind"] == "concurrent";
        assert!(if whole { reset == 0 } else { (3_500..=3_600).contains(&reset) }, "{reset}: {limit}");
    }
    body
}

#[tokio::test]
async fn every_limit_of_the_caller_is_listed_with_what_it_has_used() {
    let (_upstream, nexus) = start("", super::WIDE, |_| reporting(&tokens(8, 2))).await;
    gpt().group("basic").send(&nexus).await.fine();
    until_used(&nexus, json!([8, 2, 10, 1, "0.000012", 0])).await;
    let answer = Request::get(super::USAGE).client("alice").group("basic").send(&nexus).await.fine();
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let row = |kind: &str, limit: Value, used: Value, remaining: Value, interval: Value| {
        json!({
            "scope": "openai.per_user", "limit": limit, "kind": kind, "interval_seconds": interval,
            "used": used, "remaining": remaining, "mode": "enforce",
        })
    };
    let window = |kind: &str, limit: u64, used: u64| {
        row(kind, json!(limit), json!(used), json!(limit - used), json!(3_600))
    };
    let limits = json!([
        window("input", 1_000_000, 8),
        window("output", 1_000_000, 2),
        window("total", 1_000_000, 10),
        window("request", 1_000, 1),
        row("cost", json!("1000"), json!("0.000012"), json!("999.999988"), json!(3_600)),
        row("concurrent", json!(100), json!(0), json!(100), json!(null)),
    ]);
    let expected = json!({"client": "alice", "group": "basic", "limits": limits});
    assert_eq!(without_resets(&answer), expected);
}

#[tokio::test]
async fn each_bucket_is_listed_once_in_the_order_of_the_models_and_untouched_ones_too() {
    let models =
        "[llm.providers.echo.models.a]\n[llm.providers.echo.models.b]\n[llm.providers.echo.models.z]\n";
    let limits = [
        models,
        &limit("echo", "per_user", "request_limit", 9),
        &model_limit("echo", "b", 70, "90s"),
        &limit("echo", "total", "request_limit", 9),
    ];
    let nexus = echo(&limits.concat()).await;
    let listed = async || {
        let limits = limits_of(&nexus, "alice").await;
        limits.iter().map(|limit| json!([limit["scope"], limit["kind"], limit["used"]])).collect::<Vec<_>>()
    };
    let expected = |requests: u64, input: u64| {
        [json!(["echo.per_user", "request", requests]), json!(["echo/b.per_user", "input", input])]
    };
    assert_eq!(listed().await, expected(0, 0));
    for model in ["echo/a", "echo/b", "echo/z", "echo/m"] {
        hello(model).send(&nexus).await.fine();
    }
    assert_eq!(listed().await, expected(3, 8));
}

#[tokio::test]
async fn models_that_a_caller_may_not_use_are_not_listed_and_modes_and_groups_are() {
    let limits = "allow = [\"premium\"]\n\
        [llm.providers.echo.models.m.rate_limits.per_user]\nrequest_limit = 1\ninterval = \"1500ms\"\nmode = \"shadow\"\n\
        [llm.providers.echo.models.m.rate_limits.per_user.groups.premium]\nrequest_limit = 5\ninterval = \"1500ms\"\nmode = \"shadow\"\n";
    let nexus = echo(limits).await;
    let limits = async |group: &str| {
        Request::get("/v1/usage").client("alice").group(group).send(&nexus).await.fine().json()["limits"]
            .clone()
    };
    assert_eq!(limits("basic").await, json!([]));
    let row = json!([{
        "scope": "echo/m.per_user", "limit": 5, "kind": "request", "interval_seconds": 1.5,
        "used": 0, "remaining": 5, "reset_seconds": 0, "mode": "shadow",
    }]);
    assert_eq!(limits("premium").await, row);
}

#[tokio::test]
async fn it_is_served_on_every_protocol_under_the_callers_own_identity() {
    let nexus = echo(&limit("echo", "per_user", "request_limit", 9)).await;
    hello("echo/m").send(&nexus).await.fine();
    for path in [
        "/v1/usage",
        "/v1beta/usage",
        "/llm/v1/usage",
        "/llm/openai/v1/usage",
        "/llm/anthropic/v1/usage",
        "/llm/google/v1/usage",
        "/llm/google/v1beta/usage",
    ] {
        for (client, used) in [("alice", 1), ("bob", 0)] {
            let body = Request::get(path).client(client).send(&nexus).await.fine().json();
            assert_eq!((&body["client"], &body["group"]), (&json!(client), &json!(null)), "{path}");
            assert_eq!(body["limits"][0]["used"], used, "{path}");
        }
        let nobody = Request::get(path).send(&nexus).await;
        assert!((400..=401).contains(&nobody.status), "{nobody:?}");
        let posted = Request::get(path).method(Method::POST).client("alice").send(&nexus).await;
        assert_eq!(posted.status, StatusCode::METHOD_NOT_ALLOWED, "{posted:?}");
    }
}

#[tokio::test]
async fn where_nobody_is_identified_nobody_has_limits_of_its_own() {
    let nexus = Nexus::start(&format!("{ECHO}{}", limit("echo", "total", "request_limit", 9))).await;
    let body = Request::get("/v1/usage").client("alice").send(&nexus).await.fine().json();
    assert_eq!(body, json!({"client": null, "group": null, "limits": []}));
}
