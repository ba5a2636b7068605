//! Who is calling: header identity, its refusals and who is believed.
//!
//! Identification errors keep a flat shape of their own on every protocol: `{"error", "error_description"}`.

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::StatusCode;
use serde_json::json;
use tokio::{net::TcpListener, task::JoinSet};

use crate::support::{
    client::{Answer, CHAT, Connection, MODELS, Request},
    nexus::Nexus,
    setup::{ECHO, IDENTIFIED},
};

mod certificates;
mod tokens;

const MISSING_CLIENT: (&str, &str) = ("missing_client_id", "Client identification is required");
const MISSING_GROUP: (&str, &str) = ("missing_group_id", "Group identification is required");
const INVALID_GROUP: (&str, &str) = ("invalid_group", "The specified group is not valid");

/// Identity with a required group, as the announcement has it.
const REQUIRED: &str = r#"
[server.client_identification]
enabled = true
client_id.http_header = "X-User-Id"
group_id.http_header = "X-Group-Id"
[server.client_identification.validation]
group_values = ["premium", "basic"]
"#;

/// Only a client id.
const CLIENT_ONLY: &str = r#"
[server.client_identification]
enabled = true
client_id.http_header = "X-User-Id"
"#;

async fn start(identification: &str) -> Nexus {
    Nexus::start(&format!("{identification}{ECHO}")).await
}

fn hello() -> Request {
    Request::chat("echo/m", "Hello")
}

fn refused_flat(answer: &Answer, (error, description): (&str, &str)) {
    assert_eq!(answer.status, 400, "{answer:?}");
    assert_eq!(answer.json(), json!({"error": error, "error_description": description}));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn a_request_without_a_client_id_is_refused_on_every_protocol_route() {
    let nexus = start(CLIENT_ONLY).await;
    refused_flat(&hello().send(&nexus).await, MISSING_CLIENT);
    refused_flat(&Request::get(MODELS).send(&nexus).await, MISSING_CLIENT);
    refused_flat(&Request::get(&format!("{MODELS}/echo/m")).send(&nexus).await, MISSING_CLIENT);
    refused_flat(&Request::post("/v1/embeddings", "{}").send(&nexus).await, MISSING_CLIENT);
    refused_flat(&hello().target("/v1/chat/completions").send(&nexus).await, MISSING_CLIENT);
}

#[tokio::test]
async fn identified_requests_pass_on_every_protocol_route() {
    let nexus = start(CLIENT_ONLY).await;
    hello().client("alice").send(&nexus).await.fine();
    Request::get(MODELS).client("alice").send(&nexus).await.fine();
    Request::get(&format!("{MODELS}/echo/m")).client("alice").send(&nexus).await.fine();
}

#[tokio::test]
async fn without_identification_nobody_is_asked() {
    let nexus = Nexus::start(ECHO).await;
    hello().send(&nexus).await.fine();
    hello().client("alice").group("vip").send(&nexus).await.fine();
}

#[tokio::test]
async fn odd_client_ids_are_valid() {
    let nexus = start(CLIENT_ONLY).await;
    let long = "x".repeat(1024);
    for id in ["", "   ", "user@example.com:123-456_789/test", "a:b", &long] {
        hello().client(id).send(&nexus).await.fine();
    }
}

#[tokio::test]
async fn a_client_id_over_1024_bytes_is_refused() {
    let nexus = start(CLIENT_ONLY).await;
    let answer = hello().client(&"x".repeat(1025)).send(&nexus).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    assert_eq!(answer.json()["error"], "invalid_client_id");
    assert!(answer.json()["error_description"].is_string());
}

#[tokio::test]
async fn a_group_over_1024_bytes_is_refused() {
    let nexus = start(&format!("{CLIENT_ONLY}group_id.http_header = \"X-Group-Id\"\n")).await;
    let of = |length: usize| hello().client("alice").group(&"x".repeat(length));
    of(1024).send(&nexus).await.fine();
    let too_long = ("invalid_group", "The group is longer than 1024 bytes");
    refused_flat(&of(1025).send(&nexus).await, too_long);
}

#[tokio::test]
async fn a_client_id_that_is_not_ascii_is_missing() {
    let nexus = start(CLIENT_ONLY).await;
    refused_flat(&hello().header("x-user-id", b"caf\xc3\xa9").send(&nexus).await, MISSING_CLIENT);
    refused_flat(&hello().header("x-user-id", b"\xff").send(&nexus).await, MISSING_CLIENT);
}

#[tokio::test]
async fn two_headers_of_one_name_are_refused() {
    let nexus = start(REQUIRED).await;
    let twice = hello().client("alice").client("bob").group("basic").send(&nexus).await;
    assert_eq!(twice.status, 400, "{twice:?}");
    assert!(twice.json()["error"].is_string(), "flat: {twice:?}");
    let twice = hello().client("alice").client("alice").group("basic").send(&nexus).await;
    assert_eq!(twice.status, 400, "equal values do not help: {twice:?}");
    let twice = hello().client("alice").group("basic").group("premium").send(&nexus).await;
    assert_eq!(twice.status, 400, "{twice:?}");
    assert!(twice.json()["error"].is_string(), "flat: {twice:?}");
}

#[tokio::test]
async fn two_authorization_headers_are_unauthorized() {
    let nexus = start(REQUIRED).await;
    let twice = hello().client("alice").group("basic").header("authorization", "Bearer a");
    let answer = twice.header("authorization", "Bearer a").send(&nexus).await;
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")), "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let body = answer.json();
    let mut members: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    assert_eq!(members, ["error", "error_description"], "flat");
    assert!(body["error"].is_string() && body["error_description"].is_string(), "{body}");
    hello().client("alice").group("basic").header("authorization", "Bearer a").send(&nexus).await.fine();
}

#[tokio::test]
async fn a_listed_group_passes() {
    let nexus = start(REQUIRED).await;
    for group in ["premium", "basic"] {
        hello().client("alice").group(group).send(&nexus).await.fine();
    }
}

#[tokio::test]
async fn a_missing_group_is_refused_where_groups_are_configured() {
    let nexus = start(REQUIRED).await;
    refused_flat(&hello().client("alice").send(&nexus).await, MISSING_GROUP);
    refused_flat(&hello().send(&nexus).await, MISSING_CLIENT);
}

#[tokio::test]
async fn an_unlisted_group_is_refused_and_the_comparison_is_exact() {
    let nexus = start(REQUIRED).await;
    for group in ["vip", "", "Premium", "premium,basic", "premiu"] {
        refused_flat(&hello().client("alice").group(group).send(&nexus).await, INVALID_GROUP);
    }
}

#[tokio::test]
async fn a_group_need_not_be_sent_where_it_is_not_required_but_a_wrong_one_is_still_refused() {
    let nexus = start(IDENTIFIED).await;
    hello().client("alice").send(&nexus).await.fine();
    refused_flat(&hello().client("alice").group("vip").send(&nexus).await, INVALID_GROUP);
}

#[tokio::test]
async fn without_group_values_any_group_passes() {
    let nexus = start(&format!("{CLIENT_ONLY}group_id.http_header = \"X-Group-Id\"\n")).await;
    hello().client("alice").group("whatever").send(&nexus).await.fine();
    hello().client("alice").send(&nexus).await.fine();
}

#[tokio::test]
async fn header_names_are_those_of_the_configuration_in_any_case() {
    let identification = CLIENT_ONLY.replace("X-User-Id", "X-Team");
    let nexus = start(&identification).await;
    hello().header("x-team", "a").send(&nexus).await.fine();
    refused_flat(&hello().client("alice").send(&nexus).await, MISSING_CLIENT);
}

#[tokio::test]
async fn identity_headers_of_untrusted_peers_are_absent() {
    let trusting = |network: &str| format!("{CLIENT_ONLY}trusted_proxies = [\"{network}\"]\n");
    let nexus = start(&trusting("10.0.0.0/8")).await;
    refused_flat(&hello().client("alice").send(&nexus).await, MISSING_CLIENT);
    for network in ["127.0.0.0/8", "127.0.0.1"] {
        let nexus = start(&trusting(network)).await;
        hello().client("alice").send(&nexus).await.fine();
    }
}

#[tokio::test]
async fn a_proxys_token_without_a_subject_in_text_is_absent() {
    let nexus = start("[server.client_identification]\nenabled = true\njwt_verification = \"none\"\n").await;
    // Header, payload, no signature: {"alg":"none"}, then {"sub":"a"}, {"sub":7}, {"sub":null}.
    let bearer =
        |payload: &str| hello().header("authorization", format!("Bearer eyJhbGciOiJub25lIn0.{payload}."));
    bearer("eyJzdWIiOiJhIn0").send(&nexus).await.fine();
    for payload in ["eyJzdWIiOjd9", "eyJzdWIiOm51bGx9"] {
        refused_flat(&bearer(payload).send(&nexus).await, MISSING_CLIENT);
    }
}

#[tokio::test]
async fn route_and_method_come_before_identity_and_identity_before_the_body() {
    let nexus = start(CLIENT_ONLY).await;
    assert_eq!(Request::get("/nowhere").send(&nexus).await.status, 404);
    assert_eq!(Request::get(CHAT).send(&nexus).await.status, 405);
    refused_flat(&Request::post(CHAT, "no json").send(&nexus).await, MISSING_CLIENT);
    refused_flat(&hello().without("content-type").send(&nexus).await, MISSING_CLIENT);
    refused_flat(&Request::chat("nobody/m", "Hello").send(&nexus).await, MISSING_CLIENT);
}

#[tokio::test]
async fn every_number_of_identity_actors_says_the_same() {
    for workers in [1, 2, 8] {
        let nexus = start(&format!("[actors]\nidentity_workers = {workers}\n{REQUIRED}")).await;
        for client in ["a", "b", "c", "d", "e", "f"] {
            hello().client(client).group("basic").send(&nexus).await.fine();
            refused_flat(&hello().client(client).group("gold").send(&nexus).await, INVALID_GROUP);
        }
    }
}

/// A token that nobody has signed, by a key of this name.
fn made_up(kid: usize) -> String {
    let header = json!({"alg": "RS256", "kid": kid.to_string()}).to_string();
    let [header, payload] = [header, "{}".to_owned()].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
    format!("Bearer {header}.{payload}.AAAA")
}

#[tokio::test]
async fn callers_who_wait_for_keys_that_do_not_come_leave_room_for_all_others() {
    let (places, waiting) = (64, 8);
    // It accepts connections, as the system does by itself, and never answers.
    let issuer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hash: String =
        digest(&SHA256, b"team-key").as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let nexus = Nexus::start(&format!(
        "[server]\nmax_in_flight = {places}\n\
         [server.oauth]\nurl = \"http://{}/jwks\"\n\
         [[server.api_keys]]\nclient = \"team\"\nsha256 = \"{hash}\"\n{ECHO}",
        issuer.local_addr().unwrap()
    ))
    .await;
    let connection = Connection::http2(nexus.address()).await;
    let mut crowd = JoinSet::new();
    for kid in 0..200 {
        let mut connection = connection.share();
        crowd.spawn(async move { connection.send(hello().header("authorization", made_up(kid))).await });
    }
    for _ in waiting..200 {
        let answer = crowd.join_next().await.unwrap().unwrap();
        answer.refused(StatusCode::SERVICE_UNAVAILABLE, "overloaded_error");
    }
    hello().header("authorization", "Bearer team-key").send(&nexus).await.fine();
    hello().header("x-api-key", "team-key").send(&nexus).await.fine();
    // Whoever waited longest is told that it is not their fault.
    while let Some(answer) = crowd.join_next().await {
        assert_eq!(answer.unwrap().status, 500);
    }
}
