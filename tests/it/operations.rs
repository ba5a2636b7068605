//! What an operator sees: readiness, metrics, status, and the log.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{
    client::{CHAT, EMBEDDINGS, Request},
    in_time,
    nexus::Nexus,
    setup::{ADMIN, API_KEY, ECHO, IDENTIFIED, openai, provider_limit},
    upstream::{Reply, Step, Upstream},
    wait_until,
};

const JSON_LOG: [&str; 2] = ["--log-style", "json"];

/// The members of the line about a call.
const CALL_FIELDS: [&str; 11] = [
    "request_id",
    "client",
    "group",
    "protocol",
    "provider",
    "model",
    "status",
    "input_tokens",
    "output_tokens",
    "first_byte_ms",
    "total_ms",
];

/// The members of the line about an actor.
const ACTOR_FIELDS: [&str; 8] =
    ["actor", "mailbox", "handled", "refused", "wait_p50_us", "wait_p99_us", "busy_pct", "restarts"];

/// A line of the JSON log, its fields in one table wherever the format puts them.
fn fields(line: &str) -> BTreeMap<String, Value> {
    let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let mut all = BTreeMap::new();
    for (name, value) in line.as_object().expect("an object") {
        match value {
            Value::Object(inner) => all.extend(inner.clone()),
            other => drop(all.insert(name.clone(), other.clone())),
        }
    }
    all
}

fn is_call(line: &str) -> bool {
    line.contains("request_id") && line.contains("total_ms")
}

/// A limited provider, played by an upstream that answers with usage, and the operators' listener.
async fn start(more: &str) -> (Upstream, Nexus) {
    let upstream = Upstream::always(|| Reply::completion("Hi")).await;
    let config =
        format!("{more}{ADMIN}{IDENTIFIED}{}{}", openai(&upstream, ""), provider_limit("openai", 16, "60s"));
    (upstream, Nexus::start_with(&config, &JSON_LOG).await)
}

fn hello() -> Request {
    Request::chat("openai/gpt-4o", "Hello").client("alice-7791").group("premium")
}

/// `/metrics`, once it has `wanted`.
async fn metrics(nexus: &Nexus, wanted: &str) -> String {
    in_time(wanted, async {
        loop {
            let text = Request::get("/metrics").send_to(nexus.admin()).await.fine().text().to_owned();
            if text.contains(wanted) {
                return text;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

/// The value of the first sample whose name and labels contain all of `parts`.
fn sample(metrics: &str, parts: &[&str]) -> f64 {
    let lines = metrics.lines().filter(|line| !line.starts_with('#'));
    let line = lines.into_iter().find(|line| parts.iter().all(|part| line.contains(part)));
    let line = line.unwrap_or_else(|| panic!("no sample with {parts:?} in:\n{metrics}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn the_operators_listener_says_alive_and_ready() {
    let (_upstream, nexus) = start("").await;
    for target in ["/live", "/ready"] {
        assert_eq!(Request::get(target).send_to(nexus.admin()).await.status, 200, "{target}");
    }
    assert_eq!(Request::get("/nowhere").send_to(nexus.admin()).await.status, 404);
}

#[tokio::test]
async fn the_operators_listener_serves_no_calls() {
    let (_upstream, nexus) = start("").await;
    let status = hello().send_to(nexus.admin()).await.status;
    assert!(status == 404 || status == 405, "{status}");
}

#[tokio::test]
async fn without_its_table_there_is_no_operators_listener() {
    let nexus = Nexus::start(ECHO).await;
    assert!(tokio::net::TcpStream::connect(nexus.admin()).await.is_err());
    for target in ["/live", "/ready", "/metrics", "/status"] {
        assert_eq!(Request::get(target).send(&nexus).await.status, 404, "{target}");
    }
}

#[tokio::test]
async fn health_has_a_listener_of_its_own_where_it_is_given_one() {
    let config = format!("[server.health]\nlisten = \"{{admin}}\"\npath = \"/up\"\n{ECHO}");
    let nexus = Nexus::start_unwatched(&config).await;
    wait_until("the health listener", || async {
        tokio::net::TcpStream::connect(nexus.admin()).await.is_ok()
    })
    .await;
    assert_eq!(Request::get("/up").send_to(nexus.admin()).await.fine().text(), r#"{"status":"healthy"}"#);
    assert_eq!(Request::get("/up").send(&nexus).await.status, 404);
}

#[tokio::test]
async fn metrics_count_calls_tokens_and_decisions() {
    let (_upstream, nexus) = start("").await;
    for _ in 0..2 {
        hello().send(&nexus).await.fine();
    }
    assert_eq!(hello().send(&nexus).await.status, 429);
    let text = metrics(&nexus, "decision=\"refused\"").await;
    assert!(sample(&text, &["gen_ai_client_operation_duration_seconds_count"]) >= 2.0);
    assert!(text.contains("gen_ai_server_time_to_first_token_seconds"), "{text}");
    assert!(text.contains("gen_ai_client_token_usage"), "{text}");
    assert_eq!(sample(&text, &["gen_ai_client_token_usage_sum", "gen_ai_token_type=\"input\""]), 16.0);
    assert_eq!(sample(&text, &["gen_ai_client_token_usage_sum", "gen_ai_token_type=\"output\""]), 4.0);
    let decisions = |decision| sample(&text, &["nexus_limit_decisions_total", "kind=\"input\"", decision]);
    assert_eq!((decisions("decision=\"admitted\""), decisions("decision=\"refused\"")), (2.0, 1.0));
    for name in ["nexus_actor_", "identity-0", "quota-0", "provider-openai-0"] {
        assert!(text.contains(name), "no {name} in:\n{text}");
    }
}

#[tokio::test]
async fn metrics_are_in_prometheus_text() {
    let (_upstream, nexus) = start("").await;
    hello().send(&nexus).await.fine();
    let answer = Request::get("/metrics").send_to(nexus.admin()).await.fine();
    assert!(answer.header("content-type").unwrap().starts_with("text/plain"), "{answer:?}");
    for line in answer.text().lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        assert!(name.starts_with(|c: char| c.is_ascii_alphabetic()), "{line}");
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
}

#[tokio::test]
async fn labels_are_configured_names_only() {
    let (_upstream, nexus) = start("").await;
    hello().send(&nexus).await.fine();
    for request in [
        Request::chat("madeup-provider/m", "Hello"),
        Request::chat("openai/madeup-model", "Hello"),
        hello().without("x-group-id").group("madeup-group"),
        Request::get("/madeup-path"),
    ] {
        request.client("alice-7791").send(&nexus).await;
    }
    let text = metrics(&nexus, "nexus_limit_decisions_total").await;
    assert!(!text.contains("alice-7791") && !text.contains("madeup"), "{text}");
}

#[tokio::test]
async fn status_tells_version_uptime_actors_and_providers() {
    let (_upstream, nexus) = start("").await;
    hello().send(&nexus).await.fine();
    let status = Request::get("/status").send_to(nexus.admin()).await.fine().json();
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert!(status.as_object().unwrap().keys().any(|key| key.starts_with("uptime")), "{status}");
    let text = status.to_string();
    for name in ["identity-0", "quota-0", "provider-openai-0"] {
        assert!(status["actors"].to_string().contains(name), "{text}");
    }
    assert_eq!(status["providers"][0]["type"], "openai", "{text}");
    assert!(!text.contains(API_KEY) && !text.contains("alice-7791"), "{text}");
}

#[tokio::test]
async fn every_call_has_one_line_with_its_facts() {
    let (_upstream, nexus) = start("").await;
    hello().header("x-request-id", "r-1").send(&nexus).await.fine();
    let lines = nexus.logged(1, is_call).await;
    let line = fields(&lines[0]);
    for name in CALL_FIELDS {
        assert!(line.contains_key(name), "no {name} in {line:?}");
    }
    for (name, value) in [
        ("request_id", "r-1"),
        ("client", "alice-7791"),
        ("group", "premium"),
        ("protocol", "openai"),
        ("provider", "openai"),
    ] {
        assert_eq!(line[name], value, "{line:?}");
    }
    assert!(line["model"].as_str().unwrap().ends_with("gpt-4o"), "{line:?}");
    for (name, value) in [("status", 200), ("input_tokens", 8), ("output_tokens", 2)] {
        assert_eq!(line[name], value, "{line:?}");
    }
}

#[tokio::test]
async fn refused_and_failed_calls_have_their_line_too() {
    let (_upstream, nexus) = start("").await;
    let calls = [
        (hello().target("/v1/chat/completions"), 200),
        (hello().without("content-type"), 415),
        (Request::chat("openai/none", "Hello").client("a"), 404),
        (hello().without("x-user-id"), 400),
        (hello(), 200),
        (hello(), 429),
    ];
    for (number, (request, status)) in calls.into_iter().enumerate() {
        let id = format!("call-{number}");
        assert_eq!(request.header("x-request-id", &id).send(&nexus).await.status, status, "{id}");
        let lines = nexus.logged(1, |line| is_call(line) && line.contains(&id)).await;
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(fields(&lines[0])["status"], status);
    }
}

#[tokio::test]
async fn a_streamed_call_is_logged_when_it_ends_with_reported_tokens() {
    let events = [
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":5,\"total_tokens\":14}}\n\n",
        "data: [DONE]\n\n",
    ];
    let upstream = Upstream::always(move || Reply::events(events.map(Step::send))).await;
    let nexus = Nexus::start_with(&openai(&upstream, ""), &JSON_LOG).await;
    Request::stream("openai/gpt-4o", "Hello").open(&nexus).await.rest().await;
    let line = fields(&nexus.logged(1, is_call).await[0]);
    assert_eq!(
        (&line["input_tokens"], &line["output_tokens"]),
        (&Value::from(9), &Value::from(5)),
        "{line:?}"
    );
    assert!(line["total_ms"].as_f64().unwrap() >= line["first_byte_ms"].as_f64().unwrap(), "{line:?}");
}

#[tokio::test]
async fn health_has_no_line() {
    let (_upstream, nexus) = start("").await;
    for _ in 0..5 {
        Request::get("/health").send(&nexus).await.fine();
    }
    hello().send(&nexus).await.fine();
    nexus.logged(1, is_call).await;
    assert_eq!(nexus.log().iter().filter(|line| is_call(line)).count(), 1, "{:?}", nexus.log());
    assert!(!nexus.log().iter().any(|line| line.contains("/health\"")), "{:?}", nexus.log());
}

#[tokio::test]
async fn every_line_of_a_json_log_is_json() {
    let (_upstream, mut nexus) = start("[actors]\nmetrics_interval = \"1s\"\n").await;
    hello().send(&nexus).await.fine();
    hello().client("").send(&nexus).await;
    nexus.logged(3, |line| line.contains("wait_p99_us")).await;
    nexus.signal("TERM");
    nexus.exit_code().await;
    for line in nexus.log() {
        fields(&line);
    }
}

#[tokio::test]
async fn the_text_log_writes_fields_by_name() {
    let nexus = Nexus::start_with(ECHO, &["--log-style", "text"]).await;
    Request::chat("echo/m", "Hello").header("x-request-id", "r-2").send(&nexus).await.fine();
    let lines = nexus.logged(1, |line| line.contains("request_id=")).await;
    for part in ["r-2", "status=200", "provider=", "total_ms="] {
        assert!(lines[0].contains(part), "no {part} in {}", lines[0]);
    }
    assert!(!lines[0].contains('\u{1b}'), "no colours where it is no terminal: {}", lines[0]);
}

#[tokio::test]
async fn every_actor_reports_at_each_interval() {
    let shape =
        "[actors]\nmetrics_interval = \"1s\"\nidentity_workers = 2\nquota_shards = 4\nprovider_workers = 2\n";
    let (_upstream, nexus) = start(shape).await;
    hello().send(&nexus).await.fine();
    let names = [
        "identity-0",
        "identity-1",
        "quota-0",
        "quota-1",
        "quota-2",
        "quota-3",
        "provider-openai-0",
        "provider-openai-1",
    ];
    for name in names {
        let lines = nexus
            .logged(2, |line| line.contains("wait_p99_us") && line.contains(&format!("\"{name}\"")))
            .await;
        let line = fields(&lines[1]);
        for field in ACTOR_FIELDS {
            assert!(line.contains_key(field), "no {field} in {line:?}");
        }
        let own: &[&str] = match name.split('-').next().unwrap() {
            "quota" => &["clients"],
            "provider" => &["connections", "in_flight", "failures"],
            _ => &[],
        };
        for field in own {
            assert!(line[*field].is_number(), "{field} in {line:?}");
        }
    }
}

#[tokio::test]
async fn counters_of_actors_are_cumulative() {
    let shape =
        "[actors]\nmetrics_interval = \"1s\"\nidentity_workers = 1\nquota_shards = 1\nprovider_workers = 1\n";
    let (_upstream, nexus) = start(shape).await;
    hello().send(&nexus).await.fine();
    hello().client("bob").send(&nexus).await;
    hello().send(&nexus).await.fine();
    let of = |name: &'static str, field: &'static str, least: u64| {
        let nexus = &nexus;
        async move {
            let wanted = |line: &str| {
                line.contains("wait_p99_us")
                    && line.contains(&format!("\"{name}\""))
                    && fields(line)[field].as_u64() >= Some(least)
            };
            nexus.logged(2, wanted).await
        }
    };
    of("identity-0", "handled", 3).await;
    of("quota-0", "handled", 2).await;
    of("quota-0", "clients", 1).await;
    of("provider-openai-0", "handled", 2).await;
    of("provider-openai-0", "connections", 1).await;
}

#[tokio::test]
async fn actors_are_silent_where_the_interval_is_off() {
    let (_upstream, mut nexus) = start("[actors]\nmetrics_interval = \"off\"\n").await;
    hello().send(&nexus).await.fine();
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    nexus.signal("TERM");
    nexus.exit_code().await;
    assert!(!nexus.log().iter().any(|line| line.contains("wait_p99_us")), "{:?}", nexus.log());
}

#[tokio::test]
async fn no_secret_is_in_a_log_that_tells_everything() {
    let upstream = Upstream::start(|call| match call.headers.get("x-request-id").map(|id| id.as_bytes()) {
        Some(b"bad") => Reply::status(401).body(format!("no such key: {API_KEY}")),
        _ => Reply::completion("Hi"),
    })
    .await;
    let config = format!("{ADMIN}{}", openai(&upstream, ""));
    let mut nexus = Nexus::start_with(&config, &["--log", "trace", "--log-style", "json"]).await;
    let secretive = |request: Request| {
        request.header("authorization", "Bearer caller-secret-1").header("cookie", "caller-secret-2")
    };
    secretive(Request::chat("openai/gpt-4o", "Hello")).send(&nexus).await.fine();
    secretive(Request::chat("openai/gpt-4o", "Hello")).header("x-request-id", "bad").send(&nexus).await;
    secretive(Request::post(CHAT, "{")).send(&nexus).await;
    secretive(Request::post(EMBEDDINGS, "{}")).send(&nexus).await;
    Request::get("/status").send_to(nexus.admin()).await;
    nexus.signal("TERM");
    nexus.exit_code().await;
    let log = nexus.log();
    assert!(log.len() > 10, "it does tell everything: {log:?}");
    for secret in [API_KEY, "caller-secret-1", "caller-secret-2"] {
        let telling: Vec<_> = log.iter().filter(|line| line.contains(secret)).collect();
        assert!(telling.is_empty(), "{secret} in {telling:?}");
    }
}

#[tokio::test]
async fn the_log_begins_with_the_version_and_where_to_connect() {
    let nexus = Nexus::start(ECHO).await;
    let endpoint = format!("http://{}/llm/openai", nexus.address());
    // The log has a thread of its own, and may be a moment behind.
    wait_until("the endpoint in the log", || async { nexus.log().join("\n").contains(&endpoint) }).await;
    assert!(nexus.log()[0].contains(env!("CARGO_PKG_VERSION")), "{:?}", nexus.log());
}
