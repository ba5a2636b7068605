//! The announcement's own configuration, as it was published, does what the announcement says.

use serde_json::json;

use crate::support::{
    client::{MODELS, Request},
    nexus::Nexus,
    upstream::{Reply, Upstream},
};

const CLIENTS: &str = r#"
[server.client_identification]
enabled = true
client_id.http_header = "X-User-Id"
group_id.http_header = "X-Group-Id"

[server.client_identification.validation]
group_values = ["premium", "basic"]
"#;

const LIMITS: &str = r#"
[llm.providers.openai.rate_limits.per_user]
input_token_limit = 1000
interval = "60s"

[llm.providers.openai.rate_limits.per_user.groups.premium]
input_token_limit = 10000
interval = "60s"

[llm.providers.openai.rate_limits.per_user.groups.basic]
input_token_limit = 500
interval = "60s"
"#;

/// The announcement's provider; the last key of its first table is the only addition.
fn provider(upstream: &Upstream) -> String {
    format!(
        r#"
[llm.providers.openai]
type = "openai"
api_key = "sk-..."
base_url = "http://{}/v1"

# Models must be explicitly configured
[llm.providers.openai.models."gpt-4o"]
rename = "gpt-4o-0123" # Map to the actual model name

[llm.providers.openai.models."gpt-4o-mini"]
"#,
        upstream.address()
    )
}

async fn start(sections: &[&str]) -> (Upstream, Nexus) {
    let upstream = Upstream::always(|| Reply::completion("Hi")).await;
    let nexus = Nexus::start(&format!("{}{}", provider(&upstream), sections.concat())).await;
    (upstream, nexus)
}

#[tokio::test]
async fn only_configured_models_are_accessible_and_mapped_to_the_actual_name() {
    let (upstream, nexus) = start(&[]).await;
    for (public, actual) in [("gpt-4o", "gpt-4o-0123"), ("gpt-4o-mini", "gpt-4o-mini")] {
        Request::chat(&format!("openai/{public}"), "Hello").send(&nexus).await.fine();
        assert_eq!(upstream.last().json()["model"], actual);
    }
    for model in ["openai/gpt-4", "openai/gpt-4o-0123"] {
        assert_eq!(Request::chat(model, "Hello").send(&nexus).await.status, 404, "{model}");
    }
    let list = Request::get(MODELS).send(&nexus).await.fine().json();
    assert_eq!(list["data"].as_array().map(Vec::len), Some(2));
    assert_eq!(upstream.seen().calls.len(), 2);
}

#[tokio::test]
async fn every_request_needs_a_client_id_and_a_configured_group() {
    let (upstream, nexus) = start(&[CLIENTS]).await;
    let hello = || Request::chat("openai/gpt-4o", "Hello");
    for request in [hello(), hello().group("basic"), hello().client("a"), hello().client("a").group("gold")] {
        assert_eq!(request.send(&nexus).await.status, 400);
    }
    assert!(upstream.seen().calls.is_empty());
    hello().client("a").group("basic").send(&nexus).await.fine();
}

#[tokio::test]
async fn each_group_has_its_own_limit() {
    let (_upstream, nexus) = start(&[CLIENTS, LIMITS]).await;
    for (group, limit) in [("premium", 10_000), ("basic", 500)] {
        let request = Request::chat("openai/gpt-4o", "Hello").client(group).group(group);
        assert_eq!(request.send(&nexus).await.fine().number("x-ratelimit-limit-tokens"), limit);
    }
    // 500 tokens are 62 calls of 8.
    let request = Request::chat("openai/gpt-4o-mini", "Hello").client("basic").group("basic");
    for _ in 1..62 {
        request.clone().send(&nexus).await.fine();
    }
    let refused = request.send(&nexus).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.json()["error"]["code"], json!(429));
}

#[tokio::test]
async fn output_tokens_are_not_counted() {
    let upstream = Upstream::always(|| {
        let usage = json!({"prompt_tokens": 8, "completion_tokens": 100_000, "total_tokens": 100_008});
        Reply::json(json!({"choices": [], "usage": usage}).to_string())
    })
    .await;
    let nexus = Nexus::start(&format!("{}{CLIENTS}{LIMITS}", provider(&upstream))).await;
    for call in 1..=5 {
        let request = Request::chat("openai/gpt-4o", "Hello").client("a").group("basic");
        assert_eq!(request.send(&nexus).await.fine().number("x-ratelimit-remaining-tokens"), 500 - 8 * call);
    }
}

#[tokio::test]
async fn a_client_id_alone_is_enough_where_no_groups_are_configured() {
    let identification =
        "[server.client_identification]\nenabled = true\nclient_id.http_header = \"X-User-Id\"\n";
    let limit = "[llm.providers.openai.rate_limits.per_user]\ninput_token_limit = 1000\ninterval = \"60s\"\n";
    let (_upstream, nexus) = start(&[identification, limit]).await;
    let answer = Request::chat("openai/gpt-4o", "Hello").client("a").send(&nexus).await.fine();
    assert_eq!(answer.number("x-ratelimit-limit-tokens"), 1000);
}

#[tokio::test]
async fn a_restart_keeps_no_sessions_and_needs_none() {
    let (upstream, nexus) = start(&[CLIENTS, LIMITS]).await;
    let hello = || Request::chat("openai/gpt-4o", "Hello").client("a").group("basic");
    hello().send(&nexus).await.fine();
    drop(nexus);
    let nexus = Nexus::start(&format!("{}{CLIENTS}{LIMITS}", provider(&upstream))).await;
    let answer = hello().send(&nexus).await.fine();
    assert_eq!(answer.header("set-cookie"), None);
    assert_eq!(answer.number("x-ratelimit-remaining-tokens"), 492);
}
