//! `/v1/embeddings` of models that Google serves: translated there and back.

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{
    amazon::{bedrock, keys},
    client::{Answer, EMBEDDINGS, Request},
    nexus::Nexus,
    setup::API_KEY,
    upstream::{Reply, Upstream},
};

/// A provider `g` of this type that `upstream` plays.
fn provider(kind: &str, upstream: &Upstream) -> String {
    format!(
        "[llm.providers.g]\ntype = {kind:?}\nbase_url = \"http://{}/v1beta\"\napi_key = {API_KEY:?}\n[llm.providers.g.models.e]\nrename = \"gemini-embedding-001\"\n",
        upstream.address()
    )
}

async fn start(answer: Value) -> (Upstream, Nexus) {
    let upstream = Upstream::always(move || Reply::json(answer.to_string())).await;
    let nexus = Nexus::start(&provider("google", &upstream)).await;
    (upstream, nexus)
}

async fn ask(nexus: &Nexus, body: Value) -> Answer {
    Request::post(EMBEDDINGS, body.to_string()).send(nexus).await
}

#[tokio::test]
async fn several_texts_go_in_one_call_and_come_back_in_order() {
    let (upstream, nexus) = start(json!({"embeddings": [{"values": [0.5, -1]}, {"values": [2.25]}]})).await;
    let body = json!({"model": "g/e", "input": ["one", "two"], "dimensions": 2, "user": "u"});
    let answer = ask(&nexus, body).await.fine();
    assert_eq!(answer.header("x-nexus-dropped"), Some("user"));
    let data = json!([
        {"object": "embedding", "index": 0, "embedding": [0.5, -1]},
        {"object": "embedding", "index": 1, "embedding": [2.25]},
    ]);
    let list = answer.json();
    assert_eq!((&list["data"], &list["model"], &list["object"]), (&data, &json!("g/e"), &json!("list")));
    assert!(list["usage"]["prompt_tokens"].as_u64() > Some(1), "the estimate: {list}");
    let call = upstream.last();
    assert_eq!(call.uri.path(), "/v1beta/models/gemini-embedding-001:batchEmbedContents");
    assert_eq!(call.header("x-goog-api-key"), Some(API_KEY));
    let one = |text: &str| {
        json!({
            "model": "models/gemini-embedding-001", "content": {"parts": [{"text": text}]},
            "outputDimensionality": 2,
        })
    };
    assert_eq!(call.json(), json!({"requests": [one("one"), one("two")]}));
}

#[tokio::test]
async fn what_google_cannot_be_told_is_named_and_refused_to_the_strict() {
    let (upstream, nexus) = start(json!({"embeddings": [{"values": [1]}]})).await;
    let body = json!({"model": "g/e", "input": "x", "user": "u", "input_type": "query"});
    let answer = ask(&nexus, body.clone()).await.fine();
    assert_eq!(answer.header("x-nexus-dropped"), Some("user,input_type"));
    let strict =
        |body: Value| Request::post(EMBEDDINGS, body.to_string()).header("x-nexus-fidelity", "strict");
    let answer = strict(body).send(&nexus).await;
    let message = answer.refused(StatusCode::BAD_REQUEST, "invalid_request_error").message;
    assert!(message.contains("cannot be told: input_type;"), "{message}");
    assert_eq!(upstream.seen().calls.len(), 1);
    let hint = json!({"model": "g/e", "input": "x", "user": "u"});
    assert_eq!(strict(hint).send(&nexus).await.fine().header("x-nexus-dropped"), Some("user"));
}

#[tokio::test]
async fn another_number_of_vectors_than_of_texts_is_no_answer() {
    let (_upstream, nexus) = start(json!({"embeddings": [{"values": [1]}]})).await;
    let answer = ask(&nexus, json!({"model": "g/e", "input": ["one", "two"]})).await;
    assert_eq!(answer.status, 502, "{answer:?}");
}

#[tokio::test]
async fn base64_is_made_where_it_is_asked_for_and_counts_are_the_providers() {
    let (_upstream, nexus) =
        start(json!({"embeddings": [{"values": [1, 2]}], "usageMetadata": {"promptTokenCount": 3}})).await;
    let list = ask(&nexus, json!({"model": "g/e", "input": "x", "encoding_format": "base64"})).await.fine();
    assert_eq!(list.json()["data"][0]["embedding"], "AACAPwAAAEA=");
    assert_eq!(list.json()["usage"], json!({"prompt_tokens": 3, "total_tokens": 3}));
}

#[tokio::test]
async fn what_google_does_not_take_is_refused_and_its_errors_are_told() {
    let (upstream, nexus) = start(json!({"embeddings": []})).await;
    for input in [json!([1, 2]), json!([[1], [2]])] {
        let answer = ask(&nexus, json!({"model": "g/e", "input": input})).await;
        let message = answer.refused(StatusCode::BAD_REQUEST, "invalid_request_error").message;
        assert!(message.contains("input[0]") && message.contains("token ids"), "{message}");
    }
    assert!(upstream.seen().calls.is_empty());
    let error = json!({"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT",
        "details": [{"reason": "API_KEY_INVALID"}]}});
    let upstream = Upstream::always(move || {
        Reply::status(400).header("content-type", "application/json").body(error.to_string())
    })
    .await;
    let nexus = Nexus::start(&provider("google", &upstream)).await;
    let answer = ask(&nexus, json!({"model": "g/e", "input": "x"})).await;
    let message = answer.refused(StatusCode::UNAUTHORIZED, "authentication_error").message;
    assert!(message.contains("API key not valid."), "{message}");
}

#[tokio::test]
async fn providers_without_embeddings_say_so() {
    let upstream = Upstream::always(|| Reply::status(500)).await;
    let config = format!("{}{}", provider("anthropic", &upstream), bedrock(&upstream, &keys()));
    let nexus = Nexus::start(&config).await;
    for model in ["g/e", "bedrock/claude"] {
        let answer = ask(&nexus, json!({"model": model, "input": "x"})).await;
        let message = answer.refused(StatusCode::BAD_REQUEST, "invalid_request_error").message;
        assert!(message.contains("has no embeddings"), "{message}");
    }
    assert!(upstream.seen().calls.is_empty());
}
