//! Counts of tokens: the provider's own where it has one, asked in its own format, else the estimate, which says so. Either
//! costs nothing.

use serde_json::{Value, json};

use crate::support::{
    amazon::{bedrock, keys},
    client::{Answer, Request},
    nexus::Nexus,
    setup::{ECHO, IDENTIFIED, provider_limit},
    upstream::{Reply, Upstream},
};

/// A provider of this kind, played by `upstream`, named by its kind.
fn provider(kind: &str, upstream: &Upstream) -> String {
    let address = upstream.address();
    format!(
        "[llm.providers.{kind}]\ntype = {kind:?}\nbase_url = \"http://{address}\"\nmodels.claude = {{}}\n"
    )
}

/// A provider of each kind, all played by `upstream`, named by it.
async fn start() -> (Upstream, Nexus) {
    let upstream = Upstream::always(|| {
        let body = json!({"input_tokens": 77, "totalTokens": 77});
        Reply::json(body.to_string())
    })
    .await;
    let keyed = ["openai", "anthropic", "google", "azure"].map(|kind| provider(kind, &upstream));
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
        let counts = matches!(kind, "anthropic" | "google");
        let (tokens, estimate) = if counts { (77, None) } else { (8, Some("true")) };
        assert_eq!(
            (answer.json()["input_tokens"].as_u64(), answer.header("x-nexus-estimate")),
            (Some(tokens), estimate)
        );
    }
    assert_eq!(upstream.seen().calls.len(), 2);
}

#[tokio::test]
async fn googles_clients_get_a_count_from_every_kind() {
    let (upstream, nexus) = start().await;
    for kind in ["google", "openai", "anthropic", "azure", "bedrock", "echo"] {
        let body = json!({"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]});
        let answer = count(&nexus, &format!("/v1beta/models/{kind}/claude:countTokens"), &body).await;
        let counts = matches!(kind, "anthropic" | "google");
        let (tokens, estimate) = if counts { (77, None) } else { (8, Some("true")) };
        assert_eq!(
            (answer.json()["totalTokens"].as_u64(), answer.header("x-nexus-estimate")),
            (Some(tokens), estimate)
        );
    }
    assert_eq!(upstream.seen().calls.len(), 2);
}

#[tokio::test]
async fn anthropics_clients_have_google_count_what_it_would_be_asked() {
    let (upstream, nexus) = start().await;
    let tool = json!({"name": "f", "input_schema": {"type": "object"}});
    let body = json!({
        "model": "google/claude", "system": "Be kind.", "tools": [tool], "stream": true, "x": 1,
        "messages": [{"role": "user", "content": "Hello"}],
    });
    let answer = count(&nexus, "/v1/messages/count_tokens?beta=true", &body).await;
    assert_eq!((answer.text(), answer.header("x-nexus-dropped")), (r#"{"input_tokens":77}"#, Some("x")));
    let call = upstream.last();
    assert_eq!(call.uri.to_string(), "/models/claude:countTokens");
    let asked = json!({
        "model": "models/claude",
        "contents": [{"parts": [{"text": "Hello"}], "role": "user"}],
        "systemInstruction": {"parts": [{"text": "Be kind."}]},
        "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object"}}]}],
    });
    assert_eq!(call.json(), json!({"generateContentRequest": asked}));
    let strict = Request::post("/v1/messages/count_tokens", body.to_string()).client("alice");
    let answer = strict.header("x-nexus-fidelity", "strict").send(&nexus).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("cannot be told: x;"), "{answer:?}");
}

#[tokio::test]
async fn googles_clients_have_anthropic_count_what_it_would_be_asked() {
    let (upstream, nexus) = start().await;
    let request = json!({
        "model": "models/x", "systemInstruction": {"parts": [{"text": "Be kind."}]},
        "generationConfig": {"temperature": 0.5, "maxOutputTokens": 9},
        "contents": [{"parts": [{"text": "Hello"}]}],
    });
    for body in [json!({"generateContentRequest": request}), request] {
        let answer = count(&nexus, "/v1beta/models/anthropic/claude:countTokens", &body).await;
        assert_eq!((answer.text(), answer.header("x-nexus-dropped")), (r#"{"totalTokens":77}"#, None));
        let call = upstream.last();
        assert_eq!(
            (call.uri.path(), call.header("anthropic-version")),
            ("/messages/count_tokens", Some("2023-06-01"))
        );
        let asked = json!({
            "model": "claude", "system": "Be kind.", "messages": [{"role": "user", "content": "Hello"}],
        });
        assert_eq!(call.json(), asked);
    }
}

#[tokio::test]
async fn a_count_that_fails_is_told_by_what_the_error_means() {
    let error = json!({"error": {"code": 503, "message": "Come back later.", "status": "UNAVAILABLE"}});
    let upstream = Upstream::always(move || {
        Reply::status(503).header("content-type", "application/json").body(error.to_string())
    })
    .await;
    let nexus = Nexus::start(&provider("google", &upstream)).await;
    let body = json!({"model": "google/claude", "messages": [{"role": "user", "content": "Hello"}]});
    let answer = Request::post("/v1/messages/count_tokens", body.to_string()).send(&nexus).await;
    let error = answer.json();
    assert_eq!((answer.status, &error["type"]), (503, &json!("error")), "{error}");
    assert!(error["error"]["message"].as_str().unwrap().contains("Come back later."), "{error}");
    assert_eq!(answer.header("x-nexus-estimate"), None);

    let upstream = Upstream::always(|| Reply::json("{}")).await;
    let nexus = Nexus::start(&provider("google", &upstream)).await;
    let answer = Request::post("/v1/messages/count_tokens", body.to_string()).send(&nexus).await;
    assert_eq!(answer.status, 502, "no count is no answer");
}
