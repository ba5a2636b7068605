//! Which paths exist, which methods they take, what they list, and which names lead to a model.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{
    client::{CHAT, Connection, MODELS, Request},
    nexus::Nexus,
    setup::{ADMIN, ECHO},
};

/// Three providers, written in an order that is not the listing's.
const CATALOGUE: &str = r#"
[llm.providers.zeta]
type = "echo"
[llm.providers.zeta.models.one]
[llm.providers.acme]
type = "openai"
api_key = "sk-nobody"
base_url = "http://127.0.0.1:9/v1"
[llm.providers.acme.models."vendor/large:2.0"]
rename = "large"
[llm.providers.acme.models.big]
[llm.providers.echo]
type = "echo"
[llm.providers.echo.models.m]
"#;

fn ids(list: &Value) -> Vec<&str> {
    list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn chat_is_served_under_the_path_the_old_path_and_the_root() {
    let nexus = Nexus::start(ECHO).await;
    for prefix in ["/llm/openai", "/llm", ""] {
        let target = format!("{prefix}/v1/chat/completions");
        let answer = Request::chat("echo/m", "Hello").target(&target).send(&nexus).await.fine();
        assert_eq!(answer.content(), "Hello", "{target}");
    }
}

#[tokio::test]
async fn a_configured_path_replaces_the_default_and_its_old_alias_but_not_the_root() {
    let nexus = Nexus::start(&format!("{ECHO}\n[llm.protocols.openai]\npath = \"/ai\"\n")).await;
    for (prefix, status) in [("/ai", 200), ("", 200), ("/llm", 404), ("/llm/openai", 404)] {
        let target = format!("{prefix}/v1/chat/completions");
        assert_eq!(
            Request::chat("echo/m", "Hello").target(&target).send(&nexus).await.status,
            status,
            "{target}"
        );
    }
}

#[tokio::test]
async fn the_old_key_llm_path_sets_the_path() {
    let nexus = Nexus::start(&format!("[llm]\npath = \"/old\"\n{ECHO}")).await;
    assert_eq!(Request::get("/old/v1/models").send(&nexus).await.status, 200);
}

#[tokio::test]
async fn models_are_listed_by_provider_then_name_in_openais_shape() {
    let nexus = Nexus::start(CATALOGUE).await;
    let answer = Request::get(MODELS).send(&nexus).await.fine();
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let list = answer.json();
    assert_eq!(list["object"], "list");
    assert_eq!(ids(&list), ["acme/big", "acme/vendor/large:2.0", "echo/m", "zeta/one"]);
    let acme = json!({"id": "acme/big", "object": "model", "created": 1719475200, "owned_by": "openai"});
    assert_eq!(list["data"][0], acme, "exactly these members");
    for model in list["data"].as_array().unwrap() {
        assert_eq!(model["created"], 1719475200);
        assert!(model["owned_by"].is_string());
    }
}

#[tokio::test]
async fn models_are_listed_under_every_prefix_whether_or_not_the_upstream_lives() {
    let nexus = Nexus::start(CATALOGUE).await;
    for target in ["/llm/openai/v1/models", "/llm/v1/models", "/v1/models"] {
        let list = Request::get(target).send(&nexus).await.fine().json();
        assert_eq!(ids(&list).len(), 4, "{target}");
    }
}

#[tokio::test]
async fn a_model_is_found_by_its_id_written_raw_or_escaped() {
    let nexus = Nexus::start(CATALOGUE).await;
    for (written, id) in [
        ("echo/m", "echo/m"),
        ("echo%2Fm", "echo/m"),
        ("echo%2fm", "echo/m"),
        ("acme/vendor/large:2.0", "acme/vendor/large:2.0"),
        ("acme%2Fvendor%2Flarge%3A2.0", "acme/vendor/large:2.0"),
        ("acme/vendor%2Flarge:2.0", "acme/vendor/large:2.0"),
    ] {
        let model = Request::get(&format!("{MODELS}/{written}")).send(&nexus).await.fine().json();
        assert_eq!(model["id"], id, "{written}");
        assert_eq!(model["object"], "model");
    }
}

#[tokio::test]
async fn an_unlisted_model_is_not_found_by_its_id() {
    let nexus = Nexus::start(CATALOGUE).await;
    for written in ["echo/none", "nobody/m", "acme/large", "acme/vendor"] {
        let answer = Request::get(&format!("{MODELS}/{written}")).send(&nexus).await;
        answer.refused(StatusCode::NOT_FOUND, "not_found_error");
    }
}

#[tokio::test]
async fn a_model_key_may_hold_slashes_dots_and_colons() {
    let nexus =
        Nexus::start("[llm.providers.e]\ntype = \"echo\"\n[llm.providers.e.models.\"a/b.c:d\"]\n").await;
    let answer = Request::chat("e/a/b.c:d", "Hello").send(&nexus).await.fine();
    assert_eq!(answer.json()["model"], "e/a/b.c:d");
}

#[tokio::test]
async fn a_name_without_a_provider_is_a_bad_request_that_says_how_it_is_written() {
    let nexus = Nexus::start(ECHO).await;
    let answer = Request::chat("gpt-4", "Hello").send(&nexus).await;
    let error = answer.refused(StatusCode::BAD_REQUEST, "invalid_request_error");
    assert_eq!(error.message, "Invalid model format: expected 'provider/model', got 'gpt-4'");
}

#[tokio::test]
async fn unknown_providers_and_unlisted_models_are_not_found_and_named() {
    let nexus = Nexus::start(ECHO).await;
    for (model, named) in
        [("nobody/m", "nobody"), ("/m", ""), ("echo/none", "none"), ("echo/", ""), ("echo/m/x", "m/x")]
    {
        let answer = Request::chat(model, "Hello").send(&nexus).await;
        let error = answer.refused(StatusCode::NOT_FOUND, "not_found_error");
        assert!(error.message.contains(named), "{model}: {}", error.message);
    }
}

#[tokio::test]
async fn a_renamed_model_is_not_reachable_by_its_upstream_name() {
    let nexus = Nexus::start(CATALOGUE).await;
    let answer = Request::chat("acme/large", "Hello").send(&nexus).await;
    answer.refused(StatusCode::NOT_FOUND, "not_found_error");
}

#[tokio::test]
async fn unknown_paths_and_trailing_slashes_are_not_found_in_openais_shape() {
    let nexus = Nexus::start(ECHO).await;
    for target in [
        "/",
        "/nowhere",
        "/llm/openai/v1",
        "/llm/openai/v1/chat/completions/",
        "/v2/models",
        "/metrics",
        "/ready",
        "/status",
    ] {
        let answer = Request::get(target).send(&nexus).await;
        assert_eq!(answer.status, 404, "{target}");
        answer.error();
    }
}

#[tokio::test]
async fn a_wrong_method_is_answered_with_the_methods_that_are_allowed() {
    let nexus = Nexus::start(ECHO).await;
    let wrong = [
        (Method::GET, CHAT, "POST"),
        (Method::DELETE, CHAT, "POST"),
        (Method::PUT, "/llm/openai/v1/embeddings", "POST"),
    ];
    for (method, target, allowed) in wrong {
        let answer = Request::get(target).method(method).send(&nexus).await;
        assert_eq!(answer.status, 405, "{target}");
        assert_eq!(answer.header("allow"), Some(allowed), "{target}");
        answer.error();
    }
    // At the root, in the shape of the client that is known by its headers.
    let list = || Request::post("/v1/models", "{}");
    let clients = [
        (list(), "/error/type", json!("invalid_request_error")),
        (list().header("anthropic-version", "2023-06-01"), "/type", json!("error")),
        (list().header("x-goog-api-key", "k"), "/error/code", json!(405)),
    ];
    for (request, at, shape) in clients {
        let answer = request.send(&nexus).await;
        assert_eq!((answer.status, answer.json().pointer(at)), (405, Some(&shape)), "{answer:?}");
    }
    let unknown = Request::post("/v1beta/models/echo/m:embedContent", "{}").send(&nexus).await;
    assert_eq!((unknown.status, &unknown.json()["error"]["status"]), (404, &json!("NOT_FOUND")));
    let answer = Request::post(MODELS, "{}").send(&nexus).await;
    assert_eq!(answer.status, 405);
    assert!(answer.header("allow").unwrap().split(',').any(|method| method.trim() == "GET"), "{answer:?}");
}

#[tokio::test]
async fn head_works_on_base_paths_and_on_what_can_be_got() {
    let nexus = Nexus::start(ECHO).await;
    for target in ["/llm/openai", "/llm", "/", MODELS, "/health"] {
        let answer = Request::get(target).method(Method::HEAD).send(&nexus).await;
        assert_eq!(answer.status, 200, "{target}");
        assert!(answer.body.is_empty(), "{target}");
    }
}

#[tokio::test]
async fn unknown_query_parameters_are_fine() {
    let nexus = Nexus::start(ECHO).await;
    let target = format!("{CHAT}?beta=true&x=%2F");
    Request::chat("echo/m", "Hello").target(&target).send(&nexus).await.fine();
    Request::get(&format!("{MODELS}?limit=3")).send(&nexus).await.fine();
}

#[tokio::test]
async fn health_answers_without_identity() {
    let nexus = Nexus::start(&format!("{}{ECHO}", crate::support::setup::IDENTIFIED)).await;
    let answer = Request::get("/health").send(&nexus).await.fine();
    assert_eq!(answer.json(), json!({"status": "healthy"}));
}

#[tokio::test]
async fn health_moves_with_its_path() {
    let nexus = Nexus::start(&format!("[server.health]\npath = \"/health\"\n{ADMIN}{ECHO}")).await;
    assert_eq!(Request::get("/health").send(&nexus).await.status, 200);
    assert_eq!(Request::get("/healthz").send(&nexus).await.status, 404);
}

#[tokio::test]
async fn the_same_routes_are_served_over_http2() {
    let nexus = Nexus::start(ECHO).await;
    let mut connection = Connection::http2(nexus.address()).await;
    let list = connection.send(Request::get(MODELS)).await.fine().json();
    assert_eq!(ids(&list), ["echo/m"]);
    let answer = connection.send(Request::chat("echo/m", "Hello")).await.fine();
    assert_eq!(answer.content(), "Hello");
}
