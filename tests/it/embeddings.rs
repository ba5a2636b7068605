//! `/v1/embeddings`: passed on like chat calls, charged for their input.

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{
    client::{EMBEDDINGS, Request},
    nexus::Nexus,
    setup::{API_KEY, ECHO, IDENTIFIED, openai, provider_limit},
    upstream::{Reply, Upstream},
};

const ANSWER: &str = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":"AACAPwAAAEA="},{"object":"embedding","index":1,"embedding":[1.0,-2.50e-3]}],"model":"gpt-4o-0123","usage":{"prompt_tokens":2,"total_tokens":2}}"#;

async fn start(more: &str) -> (Upstream, Nexus) {
    let upstream = Upstream::always(|| Reply::json(ANSWER)).await;
    let nexus = Nexus::start(&format!("{}{more}", openai(&upstream, ""))).await;
    (upstream, nexus)
}

#[tokio::test]
async fn a_call_goes_up_and_comes_back_byte_for_byte_but_for_the_model() {
    let (upstream, nexus) = start("").await;
    let body = r#" {"input" : ["a","b"],"encoding_format":"base64","model": "openai/gpt-4o","dimensions":1e3,"x":null}"#;
    for target in [EMBEDDINGS, "/llm/v1/embeddings", "/v1/embeddings"] {
        let answer = Request::post(target, body).send(&nexus).await.fine();
        assert_eq!(answer.text(), ANSWER.replace("gpt-4o-0123", "openai/gpt-4o"));
        let call = upstream.last();
        assert_eq!(call.uri.path(), "/v1/embeddings");
        assert_eq!(call.header("authorization"), Some(format!("Bearer {API_KEY}").as_str()));
        assert_eq!(call.body, body.replace("openai/gpt-4o", "gpt-4o-0123"));
    }
}

#[tokio::test]
async fn nothing_is_injected_into_the_call() {
    let (upstream, nexus) = start("").await;
    let body = r#"{"model":"openai/gpt-4o","input":"x","stream":true}"#;
    Request::post(EMBEDDINGS, body).send(&nexus).await.fine();
    assert_eq!(upstream.last().json().get("stream_options"), None);
}

#[tokio::test]
async fn unknown_models_and_upstream_errors_read_as_on_chat() {
    let upstream = Upstream::always(|| Reply::status(429).header("retry-after", "9").body("slow down")).await;
    let nexus = Nexus::start(&openai(&upstream, "")).await;
    let with = |model: &str| Request::post(EMBEDDINGS, json!({"model": model, "input": "x"}).to_string());
    with("openai/none").send(&nexus).await.refused(StatusCode::NOT_FOUND, "not_found_error");
    let answer = with("openai/gpt-4o").send(&nexus).await;
    answer.refused(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error");
    assert_eq!(answer.header("retry-after"), Some("9"));
}

#[tokio::test]
async fn a_limit_holds_for_embeddings_and_chat_together() {
    let upstream = Upstream::always(|| Reply::json(ANSWER)).await;
    let limit = provider_limit("openai", 50, "60s");
    let nexus = Nexus::start(&format!("{IDENTIFIED}{}{limit}", openai(&upstream, ""))).await;
    let body = json!({"model": "openai/gpt-4o", "input": vec![1; 44]}).to_string();
    let answer = Request::post(EMBEDDINGS, body).client("alice").send(&nexus).await.fine();
    assert!(answer.number("x-ratelimit-remaining-tokens") <= 6, "{answer:?}");
    assert_eq!(Request::chat("openai/gpt-4o", "Hello").client("alice").send(&nexus).await.status, 429);
    Request::chat("openai/gpt-4o", "Hello").client("bob").send(&nexus).await.fine();
}

#[tokio::test]
async fn the_built_in_provider_makes_some_that_depend_on_the_input_only() {
    let nexus = Nexus::start(ECHO).await;
    let embed = async |more: Value| {
        let mut body = json!({"model": "echo/m"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Request::post(EMBEDDINGS, body.to_string()).send(&nexus).await.fine().json()
    };
    let both = embed(json!({"input": ["one", "two"]})).await;
    assert_eq!((&both["object"], &both["model"]), (&json!("list"), &json!("echo/m")));
    assert!(both["usage"]["prompt_tokens"].as_u64() > Some(0), "{both}");
    assert_eq!((&both["data"][0]["index"], &both["data"][1]["index"]), (&json!(0), &json!(1)));
    assert_ne!(both["data"][0]["embedding"], both["data"][1]["embedding"]);
    let two = embed(json!({"input": "two"})).await;
    assert_eq!(two["data"][0]["embedding"], both["data"][1]["embedding"]);
    let short = embed(json!({"input": "two", "dimensions": 3})).await;
    assert_eq!(short["data"][0]["embedding"].as_array().map(Vec::len), Some(3));
    let encoded = embed(json!({"input": "two", "dimensions": 3, "encoding_format": "base64"})).await;
    assert_eq!(
        encoded["data"][0]["embedding"].as_str().map(str::len),
        Some(16),
        "three floats of four bytes"
    );
}
