//! Who is answered before the steps, in which order.

use std::time::Duration;

use http::{HeaderName, Request};

use super::*;

fn edge(cors: bool, csrf: bool) -> Edge {
    let cors = cors.then(|| config::edge::Cors {
        allow_credentials: false,
        origins: Some(config::edge::Allowed::Any),
        methods: None,
        headers: None,
        expose: None,
        max_age: Some(Duration::from_secs(60)),
        allow_private_network: false,
    });
    let resource = ProtectedResource {
        resource: "http://127.0.0.1:8080/".to_owned(),
        authorization_servers: vec!["http://127.0.0.1:4444/".to_owned()],
    };
    Edge {
        cors: cors.as_ref().map(Cors::new),
        csrf: csrf.then(|| Csrf::new(HeaderName::from_static("x-nexus-csrf-protection"))),
        health: Some(Page { paths: vec!["/health".to_owned()], body: HEALTHY.into() }),
        metadata: Some(Page::metadata(&resource)),
        limits: RequestLimits::default(),
    }
}

/// The status, or the kind of the error, or "steps".
fn answer(edge: &Edge, method: &str, path: &str, headers: &[(&str, &str)]) -> String {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (head, ()) = request.body(()).unwrap().into_parts();
    match edge.answer(&head) {
        None => "steps".to_owned(),
        Some(Ok(response)) => response.status().as_u16().to_string(),
        Some(Err(error)) => format!("{} {}", error.status().as_u16(), error.kind()),
    }
}

const PREFLIGHT: [(&str, &str); 2] =
    [("origin", "https://a.test"), ("access-control-request-method", "POST")];
const MARK: [(&str, &str); 1] = [("X-Nexus-CSRF-Protection", "")];

#[test]
fn a_preflight_is_answered_before_anything_else_on_any_path() {
    let edge = edge(true, true);
    for path in ["/v1/models", "/nowhere", "/health", METADATA] {
        assert_eq!(answer(&edge, "OPTIONS", path, &PREFLIGHT), "200", "{path}");
    }
    assert_eq!(answer(&edge, "OPTIONS", "/v1/models", &PREFLIGHT[..1]), "steps", "it asks for no method");
    assert_eq!(answer(&edge, "OPTIONS", "/v1/models", &PREFLIGHT[1..]), "steps", "it has no origin");
    assert_eq!(answer(&edge, "GET", "/v1/models", &PREFLIGHT), "403 csrf", "it is none");
}

#[test]
fn without_cors_a_preflight_is_a_request_like_others() {
    assert_eq!(answer(&edge(false, true), "OPTIONS", "/v1/models", &PREFLIGHT), "steps");
    assert_eq!(answer(&edge(false, true), "OPTIONS", "/health", &PREFLIGHT), "405");
}

#[test]
fn every_request_but_options_and_health_needs_the_header_if_there_is_one() {
    let edge = edge(false, true);
    for path in ["/v1/chat/completions", "/nowhere", METADATA] {
        for method in ["GET", "HEAD", "POST", "DELETE"] {
            assert_eq!(answer(&edge, method, path, &[]), "403 csrf", "{method} {path}");
        }
    }
    assert_eq!(answer(&edge, "OPTIONS", "/nowhere", &[]), "steps");
    assert_eq!(answer(&edge, "POST", "/nowhere", &MARK), "steps", "its value does not matter");
    assert_eq!(answer(&edge, "GET", METADATA, &MARK), "200");
    assert_eq!(answer(&edge, "GET", "/health", &[]), "200", "health always answers");
}

#[test]
fn a_page_is_read_and_nothing_else() {
    let edge = edge(false, false);
    for path in ["/health", METADATA] {
        assert_eq!(answer(&edge, "GET", path, &[]), "200");
        assert_eq!(answer(&edge, "HEAD", path, &[]), "200");
        assert_eq!(answer(&edge, "POST", path, &[]), "405");
        assert_eq!(answer(&edge, "GET", &format!("{path}/"), &[]), "steps");
    }
}

#[test]
fn the_metadata_is_that_of_rfc_9728() {
    let page = edge(false, false).metadata.unwrap();
    assert_eq!(
        page.body,
        r#"{"resource":"http://127.0.0.1:8080/","authorization_servers":["http://127.0.0.1:4444/"]}"#
    );
}

fn resource(resource: &str) -> ProtectedResource {
    ProtectedResource { resource: resource.to_owned(), authorization_servers: Vec::new() }
}

#[test]
fn a_resource_with_a_path_is_described_where_clients_look_for_it() {
    for (url, paths) in [
        ("https://a.test/", &[METADATA][..]),
        (
            "https://a.test/x",
            &[METADATA, "/.well-known/oauth-protected-resource/x", "/x/.well-known/oauth-protected-resource"],
        ),
        (
            "https://a.test:1/x/y/",
            &[
                METADATA,
                "/.well-known/oauth-protected-resource/x/y/",
                "/x/y/.well-known/oauth-protected-resource",
            ],
        ),
    ] {
        let edge = Edge { metadata: Some(Page::metadata(&resource(url))), ..edge(false, false) };
        for path in paths {
            assert_eq!(answer(&edge, "GET", path, &[]), "200", "{url} {path}");
        }
        assert_eq!(answer(&edge, "GET", "/.well-known/oauth-protected-resource/z", &[]), "steps");
    }
}

#[test]
fn the_challenge_names_a_place_of_the_metadata_if_there_is_any() {
    let of = |url: &str| challenge(Some(&resource(url))).unwrap();
    let named = "Bearer resource_metadata=\"https://a.example/.well-known/oauth-protected-resource\"";
    assert_eq!(
        (of("https://a.example/"), of("https://a.example")),
        (named.try_into().unwrap(), named.try_into().unwrap())
    );
    for url in ["https://a.example/", "https://a.example/x", "https://a.example/x/y/"] {
        let challenge = of(url);
        let place = challenge.to_str().unwrap().split("https://a.example").nth(1).unwrap();
        assert!(places(url).iter().any(|path| *path == place[..place.len() - 1]), "{place}");
    }
    assert_eq!(challenge(None).unwrap(), "Bearer");
}
