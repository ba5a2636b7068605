//! Providers that are opened by what expires: Vertex AI by a service account, Azure by an Entra identity, Bedrock by
//! what the machine offers. Where it comes from is another server of the test's.

use serde_json::json;
use tempfile::TempDir;

use crate::support::{
    amazon::{answer, assert_signed, bedrock},
    client::{Answer, EMBEDDINGS, Request},
    issuer::Issuer,
    nexus::{Nexus, refuses_to_start},
    ports::free_address,
    setup::{IDENTIFIED, provider_limit},
    upstream::{Reply, Upstream},
};

/// A token as its servers give it.
const TOKEN: &str = "token-of-tests-0123456789";

fn token() -> Reply {
    Reply::json(json!({"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"}).to_string())
}

fn gemini() -> Reply {
    let content = json!({"role": "model", "parts": [{"text": "Hi"}]});
    let body = json!({
        "candidates": [{"content": content, "finishReason": "STOP"}], "modelVersion": "gemini-2.5-pro",
        "usageMetadata": {"promptTokenCount": 8, "candidatesTokenCount": 1, "totalTokenCount": 9},
    });
    Reply::json(body.to_string())
}

/// A provider `vertex` that `upstream` plays, opened by the service account in `file`.
fn vertex(upstream: &Upstream, file: &str) -> String {
    format!(
        r#"
[llm.providers.vertex]
type = "google"
base_url = "http://{}/v1"
vertex = {{ project = "my-project", location = "europe-west4", credentials_file = "{file}" }}
[llm.providers.vertex.models."gemini-2.5-pro"]
"#,
        upstream.address()
    )
}

/// The file of a service account whose tokens come from `tokens`.
fn account(tokens: &Upstream) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("account.json");
    let account = json!({
        "type": "service_account", "client_email": "nexus@my-project.iam.gserviceaccount.com",
        "private_key_id": "k1", "private_key": Issuer::new(&"x".repeat(32)).private_key(),
        "token_uri": format!("http://{}/token", tokens.address()),
    });
    std::fs::write(&file, account.to_string()).unwrap();
    (folder, file.display().to_string())
}

#[tokio::test]
async fn vertex_is_asked_below_its_project_with_the_token_of_its_account() {
    let (upstream, tokens) = (Upstream::always(gemini).await, Upstream::always(token).await);
    let (_folder, file) = account(&tokens);
    let nexus = Nexus::start(&vertex(&upstream, &file)).await;
    for _ in 0..2 {
        let answer = Request::chat("vertex/gemini-2.5-pro", "Hello").send(&nexus).await.fine();
        assert_eq!(answer.json()["choices"][0]["message"]["content"], "Hi");
    }
    let call = upstream.last();
    assert_eq!(
        call.uri.path(),
        "/v1/projects/my-project/locations/europe-west4/publishers/google/models/gemini-2.5-pro:generateContent"
    );
    assert_eq!(call.header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
    assert_eq!(call.header("x-goog-api-key"), None);
    assert_eq!(tokens.seen().calls.len(), 1, "one token serves many calls");
    assert!(String::from_utf8_lossy(&tokens.last().body).contains("assertion=ey"));
}

#[tokio::test]
async fn a_client_of_googles_reaches_vertex_byte_for_byte() {
    let (upstream, tokens) = (Upstream::always(gemini).await, Upstream::always(token).await);
    let (_folder, file) = account(&tokens);
    let nexus = Nexus::start(&vertex(&upstream, &file)).await;
    let body = r#"{"contents":[{"role":"user","parts":[{"text":"Hello"}]}], "labels":{"a":"b"}}"#;
    let path = "/llm/google/v1beta/models/vertex/gemini-2.5-pro";
    let answer = Request::post(&format!("{path}:generateContent"), body).send(&nexus).await.fine();
    assert_eq!(answer.json()["modelVersion"], "vertex/gemini-2.5-pro");
    assert_eq!(upstream.last().body, body);
    Request::post(&format!("{path}:countTokens"), body).send(&nexus).await.fine();
    assert!(upstream.last().uri.path().ends_with("/models/gemini-2.5-pro:countTokens"));
}

#[tokio::test]
async fn a_client_of_anthropics_has_vertex_count_the_parts_of_its_request() {
    let upstream = Upstream::always(|| Reply::json(r#"{"totalTokens":7,"totalBillableCharacters":5}"#)).await;
    let tokens = Upstream::always(token).await;
    let (_folder, file) = account(&tokens);
    let nexus = Nexus::start(&vertex(&upstream, &file)).await;
    let user = json!([{"role": "user", "content": "Hello"}]);
    let body = json!({"model": "vertex/gemini-2.5-pro", "messages": user}).to_string();
    let answer = Request::post("/v1/messages/count_tokens", body).send(&nexus).await.fine();
    assert_eq!(answer.json(), json!({"input_tokens": 7}));
    assert!(upstream.last().uri.path().ends_with("/publishers/google/models/gemini-2.5-pro:countTokens"));
    let contents = json!([{"role": "user", "parts": [{"text": "Hello"}]}]);
    assert_eq!(upstream.last().json(), json!({"contents": contents}));
}

#[tokio::test]
async fn embeddings_of_vertex_are_its_predictions() {
    let upstream = Upstream::always(|| {
        let embeddings = json!({"values": [0.5], "statistics": {"token_count": 2, "truncated": false}});
        Reply::json(json!({"predictions": [{"embeddings": embeddings}]}).to_string())
    })
    .await;
    let tokens = Upstream::always(token).await;
    let (_folder, file) = account(&tokens);
    let nexus = Nexus::start(&vertex(&upstream, &file)).await;
    let body = json!({"model": "vertex/gemini-2.5-pro", "input": "x", "dimensions": 1}).to_string();
    let list = Request::post(EMBEDDINGS, body).send(&nexus).await.fine().json();
    assert_eq!(list["data"], json!([{"object": "embedding", "index": 0, "embedding": [0.5]}]));
    assert_eq!(list["usage"]["prompt_tokens"], 2);
    assert!(upstream.last().uri.path().ends_with("/publishers/google/models/gemini-2.5-pro:predict"));
    let sent = json!({"instances": [{"content": "x"}], "parameters": {"outputDimensionality": 1}});
    assert_eq!(upstream.last().json(), sent);
}

#[tokio::test]
async fn azure_is_opened_by_an_entra_identity() {
    let (upstream, tokens) =
        (Upstream::always(|| Reply::completion("Hi")).await, Upstream::always(token).await);
    let config = format!(
        r#"
[llm.providers.azure]
type = "azure"
base_url = "http://{}"
entra = {{ tenant = "my-tenant", client_id = "my-application", client_secret = "secret-of-entra/1" }}
[llm.providers.azure.models."gpt-4o"]
"#,
        upstream.address()
    );
    let authority = format!("http://{}", tokens.address());
    let nexus = Nexus::start_in(&[("AZURE_AUTHORITY_HOST", &authority)], &config, &[]).await;
    Request::chat("azure/gpt-4o", "Hello").send(&nexus).await.fine();
    let (call, asked) = (upstream.last(), tokens.last());
    assert_eq!(call.header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
    assert_eq!(call.header("api-key"), None);
    assert_eq!(asked.uri.path(), "/my-tenant/oauth2/v2.0/token");
    assert!(String::from_utf8_lossy(&asked.body).contains("client_secret=secret-of-entra%2F1"));
}

#[tokio::test]
async fn bedrock_without_keys_is_signed_by_those_of_the_environment() {
    let upstream = Upstream::start(|_| answer(&json!([{"text": "Hi"}]), "end_turn")).await;
    let keys = [
        ("AWS_ACCESS_KEY_ID", "AKIDOFENVIRONMENT"),
        ("AWS_SECRET_ACCESS_KEY", "secret-of-the-environment"),
        ("AWS_SESSION_TOKEN", "token-of-the-environment"),
    ];
    let nexus = Nexus::start_in(&keys, &bedrock(&upstream, ""), &[]).await;
    Request::chat("bedrock/claude", "Hello").send(&nexus).await.fine();
    assert_signed(&upstream.last(), keys[0].1, keys[1].1);
    assert_eq!(upstream.last().header("x-amz-security-token"), Some(keys[2].1));
}

#[tokio::test]
async fn keys_of_the_container_are_not_told_by_the_provider() {
    let (secret, session) = ("secret-of-the-container", "session-of-the-container");
    let tokens = Upstream::always(move || {
        let keys = json!({
            "AccessKeyId": "AKIDOFCONTAINER", "SecretAccessKey": secret, "Token": session,
            "Expiration": "2999-01-01T00:00:00Z",
        });
        Reply::json(keys.to_string())
    })
    .await;
    let upstream = Upstream::always(move || {
        let body = json!({"message": format!("{secret} {session} AKIDOFCONTAINER: no")}).to_string();
        Reply::status(403).header("x-amzn-errortype", "AccessDeniedException").body(body)
    })
    .await;
    let uri = format!("http://{}/keys", tokens.address());
    let environment = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri.as_str()), ("HOME", "/nonexistent")];
    let nexus = Nexus::start_in(&environment, &bedrock(&upstream, ""), &[]).await;
    let answer = Request::chat("bedrock/claude", "Hello").send(&nexus).await;
    assert_signed(&upstream.last(), "AKIDOFCONTAINER", secret);
    assert_eq!(answer.status, 401);
    assert!(answer.text().contains("… … …: no"), "{}", answer.text());
}

fn is_unavailable(answer: &Answer) {
    let error = answer.error();
    assert_eq!((answer.status, error.kind.as_str()), (502, "api_error"));
    assert_eq!(error.message, "Credentials of provider 'vertex' are not available");
}

#[tokio::test]
async fn without_a_credential_a_call_fails_costs_nothing_and_the_operator_reads_why() {
    let upstream = Upstream::always(gemini).await;
    let refusal =
        || Reply::status(400).header("content-type", "application/json").body(r#"{"error":"invalid_grant"}"#);
    let tokens = Upstream::always(refusal).await;
    let (_folder, file) = account(&tokens);
    let limit = provider_limit("vertex", 10, "60s");
    let nexus = Nexus::start(&format!("{IDENTIFIED}{}{limit}", vertex(&upstream, &file))).await;
    for _ in 0..3 {
        let answer = Request::chat("vertex/gemini-2.5-pro", "Hello").client("alice").send(&nexus).await;
        is_unavailable(&answer);
        assert_eq!(answer.header("x-ratelimit-remaining-tokens"), Some("10"));
    }
    assert!(upstream.seen().calls.is_empty());
    nexus.logged(1, |line| line.contains("credential") && line.contains("400")).await;
}

#[tokio::test]
async fn a_service_account_that_is_none_stops_the_start() {
    let upstream = Upstream::always(gemini).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("account.json");
    std::fs::write(&file, r#"{"type":"service_account","private_key":"secret-of-a-file"}"#).unwrap();
    let refusal = refuses_to_start(&vertex(&upstream, &file.display().to_string()), free_address()).await;
    assert_eq!(refusal.code, Some(1), "{}", refusal.output);
    assert!(refusal.output.contains("provider 'vertex'") && refusal.output.contains("account.json"));
    assert!(!refusal.output.contains("secret-of-a-file"), "{}", refusal.output);
}
