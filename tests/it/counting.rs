//! Counts of tokens: the provider's own where it speaks the caller's protocol, else the estimate, which says so. Either
//! costs nothing.

use serde_json::{Value, json};

use crate::support::{
    amazon::{bedrock, keys},
    client::{Answer, Request},
    nexus::Nexus,
    setup::{ECHO, IDENTIFIED, provider_limit},
    upstream::{Reply, Upstream},
};

/// A provider of each kind, all played by `upstream`, named by it.
async fn start() -> (Upstream, Nexus) {
    let upstream = Upstream::always(|| {
        let body = json!({"input_tokens": 77, "totalTokens": 77});
        Reply::json(body.to_string())
    })
    .await;
    let address = upstream.address();
    let keyed = ["openai", "anthropic", "google", "azure"].map(|kind| {
        format!(
            "[llm.providers.{kind}]\ntype = {kind:?}\nbase_url = \"http://{address}\"\nmodels.claude = {{}}\n"
        )
    });
    let echo = ECHO.replace("models.m", "models.claude");
    let limit = provider_limit("anthropic", 5, "60s");
    let config = format!("{IDENTIFIED}{}{echo}{}{limit}", keyed.concat(), bedrock(&upstream, &keys()));
    let nexus = Nexus::start(&config).await;
    (upstream, nexus)
}

async fn count(nexus: &Nexus, target: &str, body: &Value) -> Answer {
    Request::post(target, body.to_string()).client("alice").send(nexus).await.fine()
}

#[tokio::test]
async fn anthropics_clients_get_a_count_from_every_kind() {
    let (upstream, nexus) = start().await;
    for kind in ["anthropic", "openai", "google", "azure", "bedrock", "echo"] {
        let user = json!([{"role": "user", "content": "Hello"}]);
        let body = json!({"model": format!("{kind}/claude"), "messages": user});
        let answer = count(&nexus, "/v1/messages/count_tokens", &body).await;
        let (tokens, estimate) = if kind == "anthropic" { (77, None) } else { (8, Some("true")) };
        assert_eq!(
            (answer.json()["input_tokens"].as_u64(), answer.header("x-nexus-estimate")),
            (Some(tokens), estimate)
        );
    }
    assert_eq!(upstream.seen().calls.len(), 1);
}

#[tokio::test]
async fn googles_clients_get_a_count_from_every_kind() {
    let (upstream, nexus) = start().await;
    for kind in ["google", "openai", "anthropic", "azure", "bedrock", "echo"] {
        let body = json!({"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]});
        let answer = count(&nexus, &format!("/v1beta/models/{kind}/claude:countTokens"), &body).await;
        let (tokens, estimate) = if kind == "google" { (77, None) } else { (8, Some("true")) };
        assert_eq!(
            (answer.json()["totalTokens"].as_u64(), answer.header("x-nexus-estimate")),
            (Some(tokens), estimate)
        );
    }
    assert_eq!(upstream.seen().calls.len(), 1);
}
