//! Before the seven steps: browsers (CORS, CSRF), the limits on requests and whose address they count, the metadata.

use http::{Method, StatusCode};
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{
    client::{Answer, CHAT, Connection, MODELS, Request},
    nexus::Nexus,
    setup::{ADMIN, ECHO, IDENTIFIED, openai, provider_limit},
    upstream::{Reply, Upstream},
};

mod requests;

const ORIGIN: &str = "https://app.test";
const CSRF: &str = "[server.csrf]\nenabled = true\n";
const CORS: &str = r#"
[server.cors]
allow_credentials = true
allow_origins = ["https://app.test", "https://*.preview.test"]
allow_methods = ["GET", "POST"]
allow_headers = ["authorization", "content-type", "x-user-id", "x-group-id"]
expose_headers = ["x-request-id", "retry-after"]
max_age = "10m"
"#;
const METADATA: &str = "/.well-known/oauth-protected-resource";
const PUBLISHED: &str = r#"
[server.oauth]
url = "http://127.0.0.1:9/jwks.json"
[server.oauth.protected_resource]
resource = "http://127.0.0.1:8080"
authorization_servers = ["http://127.0.0.1:4444"]
"#;

fn hello() -> Request {
    Request::chat("echo/m", "Hello")
}

fn preflight(target: &str, origin: &str) -> Request {
    let asking = Request::get(target).method(Method::OPTIONS).header("origin", origin);
    asking
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization")
}

/// The members of a list in a header, sorted.
fn list(answer: &Answer, name: &str) -> Vec<String> {
    let list = answer.header(name).unwrap_or_else(|| panic!("no {name} in {answer:?}"));
    let mut list: Vec<_> = list.split(',').map(|member| member.trim().to_ascii_lowercase()).collect();
    list.sort();
    list
}

/// Asserts that a page of `origin` may read the answer.
fn readable(answer: &Answer, origin: &str) {
    assert_eq!(answer.header("access-control-allow-origin"), Some(origin), "{answer:?}");
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"), "{answer:?}");
    assert_eq!(list(answer, "access-control-expose-headers"), ["retry-after", "x-request-id"]);
    assert!(list(answer, "vary").contains(&"origin".to_owned()), "{answer:?}");
}

#[tokio::test]
async fn a_preflight_is_answered_before_identity_limits_and_csrf_on_any_path() {
    let never = "[server.rate_limits]\nglobal = { limit = 0, interval = \"10s\" }\n";
    let nexus = Nexus::start(&format!("{CORS}{CSRF}{never}{IDENTIFIED}{ECHO}")).await;
    for mut connection in [Connection::http1(nexus.address()).await, Connection::http2(nexus.address()).await]
    {
        for target in [CHAT, MODELS, "/nowhere", "/health", METADATA] {
            let answer = connection.send(preflight(target, ORIGIN)).await.fine();
            assert_eq!(answer.text(), "");
            assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN));
            assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
            assert_eq!(answer.number("access-control-max-age"), 600);
            assert_eq!(list(&answer, "access-control-allow-methods"), ["get", "options", "post"]);
            let headers = ["authorization", "content-type", "x-group-id", "x-user-id"];
            assert_eq!(list(&answer, "access-control-allow-headers"), headers);
        }
    }
}

#[tokio::test]
async fn only_a_listed_origin_is_named_in_an_answer() {
    let nexus = Nexus::start(&format!("{CORS}{ECHO}")).await;
    for (origin, listed) in [
        (ORIGIN, true),
        ("https://pr-7.preview.test", true),
        ("http://app.test", false),
        ("https://app.test:8443", false),
        ("https://app.test.evil.test", false),
        ("https://pr-7.preview.test:1", false),
        ("https://evil.test/.preview.test", false),
        ("null", false),
    ] {
        let asked = preflight(CHAT, origin).send(&nexus).await.fine();
        let answered = hello().header("origin", origin).send(&nexus).await.fine();
        for answer in [asked, answered] {
            assert_eq!(answer.header("access-control-allow-origin"), listed.then_some(origin), "{origin}");
            assert!(list(&answer, "vary").contains(&"origin".to_owned()), "{origin}");
        }
    }
}

#[tokio::test]
async fn with_origins_alone_a_page_may_send_what_an_sdk_sends() {
    let cors = "[server.cors]\nallow_origins = [\"https://*.preview.test:8443\"]\n";
    let nexus = Nexus::start(&format!("{cors}{ECHO}")).await;
    let asked = |origin| {
        let request = Request::get(CHAT).method(Method::OPTIONS).header("origin", origin);
        let request = request.header("access-control-request-method", "POST");
        request.header("access-control-request-headers", "authorization,content-type,x-stainless-lang")
    };
    let answer = asked("https://pr-7.preview.test:8443").send(&nexus).await.fine();
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://pr-7.preview.test:8443"));
    assert_eq!(list(&answer, "access-control-allow-methods"), ["get", "head", "options", "post"]);
    let headers = ["authorization", "content-type", "x-stainless-lang"];
    assert_eq!(list(&answer, "access-control-allow-headers"), headers);
    for origin in ["https://evil.com#.preview.test:8443", "https://.preview.test:8443", "https://evil.test"] {
        let answer = asked(origin).send(&nexus).await.fine();
        assert_eq!(answer.header("access-control-allow-origin"), None, "{origin}");
        assert_eq!(answer.header("access-control-allow-headers"), None, "{origin}");
    }
}

#[tokio::test]
async fn every_answer_is_readable_by_browsers_errors_too() {
    let upstream = Upstream::always(|| Reply::json("{").header("access-control-allow-origin", "*")).await;
    let none = provider_limit("echo", 1, "60s");
    let nexus = Nexus::start(&format!("{CORS}{CSRF}{IDENTIFIED}{ECHO}{none}{}", openai(&upstream, ""))).await;
    let marked = |request: Request| request.header("x-nexus-csrf-protection", "").header("origin", ORIGIN);
    let listed = Request::get(MODELS).client("a");
    for (request, status) in [
        (hello().header("origin", ORIGIN), 403),
        (marked(hello()), 400),
        (marked(listed.clone()), 200),
        (marked(listed.clone()).method(Method::HEAD), 200),
        (marked(listed.header("authorization", "a").header("authorization", "b")), 401),
        (marked(hello().client("a")), 429),
        (marked(hello().client("a").without("content-type")), 415),
        (marked(Request::chat("openai/gpt-4o", "Hello").client("a")), 502),
        (marked(Request::chat("echo/none", "Hello").client("a")), 404),
        (marked(Request::get(CHAT)), 405),
        (marked(Request::get("/nowhere")), 404),
        (marked(Request::get("/health")), 200),
        (marked(Request::get("/health").header("x-long", "y".repeat(66 * 1024))), 431),
    ] {
        let answer = request.send(&nexus).await;
        assert_eq!(answer.status, status, "{answer:?}");
        readable(&answer, ORIGIN);
    }
}

#[tokio::test]
async fn streams_are_readable_by_browsers() {
    let nexus = Nexus::start(&format!("{CORS}{ECHO}")).await;
    let mut stream = Request::stream("echo/m", "Hello").header("origin", ORIGIN).open(&nexus).await;
    assert_eq!(stream.headers["access-control-allow-origin"], ORIGIN);
    assert!(stream.rest().await.ends_with("data: [DONE]\n\n"));
}

#[tokio::test]
async fn without_the_table_no_answer_speaks_of_origins() {
    let nexus = Nexus::start(ECHO).await;
    for (request, status) in [
        (preflight(CHAT, ORIGIN), 405),
        (preflight("/nowhere", ORIGIN), 404),
        (hello().header("origin", ORIGIN), 200),
    ] {
        let answer = request.send(&nexus).await;
        assert_eq!(answer.status, status);
        assert!(
            answer.headers.keys().all(|name| !name.as_str().starts_with("access-control-")),
            "{answer:?}"
        );
        assert_eq!(answer.header("vary"), None);
    }
}

#[tokio::test]
async fn with_csrf_every_request_but_options_and_health_needs_the_header() {
    let nexus = Nexus::start(&format!("{CSRF}{IDENTIFIED}{ECHO}")).await;
    let mut connection = Connection::http1(nexus.address()).await;
    for request in [hello().client("a"), hello(), Request::get(MODELS), Request::get("/nowhere")] {
        let answer = connection.send(request).await;
        assert_eq!((answer.status, answer.text()), (403, ""), "{answer:?}");
    }
    for value in ["", "0", "anything"] {
        connection.send(hello().client("a").header("X-NEXUS-CSRF-PROTECTION", value)).await.fine();
    }
    connection.send(Request::get("/health")).await.fine();
    assert_eq!(connection.send(Request::get(CHAT).method(Method::OPTIONS)).await.status, 405);
}

#[tokio::test]
async fn the_header_may_have_another_name() {
    let nexus = Nexus::start(&format!("{CSRF}header_name = \"X-Ours\"\n{ECHO}")).await;
    hello().header("x-ours", "").send(&nexus).await.fine();
    assert_eq!(hello().header("x-nexus-csrf-protection", "").send(&nexus).await.status, 403);
}

#[tokio::test]
async fn the_metadata_is_for_everybody() {
    let never = "[server.rate_limits]\nglobal = { limit = 0, interval = \"10s\" }\n";
    let nexus = Nexus::start(&format!("{PUBLISHED}{never}{ECHO}")).await;
    let answer = Request::get(METADATA).send(&nexus).await.fine();
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let published =
        json!({"resource": "http://127.0.0.1:8080/", "authorization_servers": ["http://127.0.0.1:4444/"]});
    assert_eq!(answer.json(), published);
    let head = Request::get(METADATA).method(Method::HEAD).send(&nexus).await.fine();
    assert_eq!(head.number("content-length"), answer.body.len() as u64);
    let answer = Request::post(METADATA, "{}").send(&nexus).await;
    answer.refused(StatusCode::METHOD_NOT_ALLOWED, "invalid_request_error");
    assert_eq!(answer.header("allow"), Some("GET, HEAD"));
}

#[tokio::test]
async fn without_a_protected_resource_there_is_no_metadata() {
    let nexus = Nexus::start(ECHO).await;
    assert_eq!(Request::get(METADATA).send(&nexus).await.status, 404);
}
