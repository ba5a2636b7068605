//! Who is calling, by token or key: claims, what is refused and in which words, and when there are keys at all.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::{Value, json};

use super::{CLIENT_ONLY, MISSING_CLIENT, REQUIRED, refused_flat};
use crate::support::{
    client::{Answer, Connection, Request},
    issuer::{Issuer, now},
    nexus::Nexus,
    setup::{ADMIN, ECHO},
    tls::{Client, file},
    upstream::{Reply, Upstream},
    wait_until,
};

/// SHA-256 of the API key `key`.
const HASH: &str = "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683";

/// A key set in a file, and who signs by it.
struct World {
    issuer: Issuer,
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let (issuer, folder) = (Issuer::new(&"s".repeat(32)), tempfile::tempdir().unwrap());
        std::fs::write(folder.path().join("jwks.json"), issuer.jwks()).unwrap();
        Self { issuer, folder }
    }

    /// `[server.oauth]` with that file.
    fn oauth(&self) -> String {
        format!("[server.oauth]\nkeys_file = \"{}\"\n", self.folder.path().join("jwks.json").display())
    }

    fn bearer(&self, claims: Value) -> String {
        format!("Bearer {}", self.issuer.token("ES256", claims))
    }

    /// A call with these claims.
    fn hello(&self, claims: Value) -> Request {
        hello().header("authorization", self.bearer(claims))
    }
}

fn hello() -> Request {
    Request::chat("echo/m", "Hello")
}

/// Identity by these claims; `groups` are listed.
fn by_claims(client: &str, group: &str) -> String {
    format!(
        "[server.client_identification]\nenabled = true\nclient_id.jwt_claim = \"{client}\"\n\
         group_id.jwt_claim = \"{group}\"\n[server.client_identification.validation]\n\
         group_values = [\"premium\", \"basic\"]\n"
    )
}

async fn start(configuration: &str) -> Nexus {
    Nexus::start(&format!("{configuration}{ADMIN}{ECHO}")).await
}

async fn is_logged(nexus: &Nexus, client: &str, group: &str) {
    let wanted = format!("client={client} group={group} ");
    nexus.logged(1, |line| line.contains(&wanted)).await;
}

fn refused(answer: &Answer, status: u16, error: &str) {
    assert_eq!((answer.status, &answer.json()["error"]), (status, &json!(error)), "{answer:?}");
    let challenge = (status != 400).then_some("Bearer");
    assert_eq!(answer.header("www-authenticate"), challenge, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn a_token_from_a_local_key_names_client_and_group() {
    let world = World::new();
    let nexus = start(&format!("{}{}", by_claims("sub", "grp"), world.oauth())).await;
    world.hello(json!({"sub": "alice", "grp": "premium"})).send(&nexus).await.fine();
    is_logged(&nexus, "alice", "premium").await;
    refused(&world.hello(json!({"sub": "alice", "grp": "gold"})).send(&nexus).await, 400, "invalid_group");
    refused(&world.hello(json!({"sub": "alice"})).send(&nexus).await, 400, "missing_group_id");
    refused(&world.hello(json!({"grp": "basic"})).send(&nexus).await, 400, "missing_client_id");
    refused(&world.hello(json!({"sub": 7, "grp": "basic"})).send(&nexus).await, 401, "unauthorized");
    let late = json!({"sub": "alice", "grp": "basic", "exp": now() - 61});
    refused(&world.hello(late).send(&nexus).await, 401, "unauthorized");
}

#[tokio::test]
async fn of_a_list_of_groups_the_first_listed_one_counts() {
    let world = World::new();
    let nexus = start(&format!("{}{}", by_claims("sub", "groups"), world.oauth())).await;
    let with = |groups: Value| world.hello(json!({"sub": "alice", "groups": groups})).send(&nexus);
    with(json!(["staff", "basic", "premium"])).await.fine();
    is_logged(&nexus, "alice", "basic").await;
    for groups in [json!(["staff"]), json!([])] {
        refused(&with(groups).await, 400, "invalid_group");
    }
}

#[tokio::test]
async fn a_claim_is_found_by_its_literal_name_then_along_its_path() {
    let world = World::new();
    let claims = by_claims("https://acme.test/id", "realm_access.roles");
    let nexus = start(&format!("{claims}{}", world.oauth())).await;
    let path = json!({"https://acme.test/id": "alice", "realm_access": {"roles": ["x", "premium"]}});
    world.hello(path).send(&nexus).await.fine();
    is_logged(&nexus, "alice", "premium").await;
    let both = json!({
        "https://acme.test/id": "bob", "realm_access.roles": "basic", "realm_access": {"roles": "premium"}
    });
    world.hello(both).send(&nexus).await.fine();
    is_logged(&nexus, "bob", "basic").await;
}

#[tokio::test]
async fn api_keys_stand_beside_identity_by_header() {
    let key = format!("[[server.api_keys]]\nclient = \"team-a\"\ngroup = \"basic\"\nsha256 = \"{HASH}\"\n");
    let nexus = start(&format!("{REQUIRED}{key}")).await;
    for (name, value) in [("authorization", "Bearer key"), ("x-api-key", "key"), ("x-goog-api-key", "key")] {
        // A header that names someone else does not change whose key it is.
        hello().client("mallory").group("premium").header(name, value).send(&nexus).await.fine();
    }
    nexus.logged(3, |line| line.contains("client=team-a group=basic ")).await;
    hello().client("alice").group("premium").send(&nexus).await.fine();
    is_logged(&nexus, "alice", "premium").await;
    // SDKs send something where they think a key is demanded.
    hello().client("bob").group("premium").header("x-api-key", "unused").send(&nexus).await.fine();
    is_logged(&nexus, "bob", "premium").await;
    refused(&hello().header("x-api-key", "unused").send(&nexus).await, 401, "unauthorized");
    assert_eq!(hello().send(&nexus).await.status, 401);
    assert!(!nexus.log().iter().any(|line| line.contains("mallory")));
}

/// Over HTTP/1.1 and HTTP/2, in plain text and over TLS, a refusal is the same to its last byte.
#[tokio::test]
async fn refusals_read_the_same_over_every_transport() {
    let world = World::new();
    let rules = format!("{}{}", by_claims("sub", "grp"), world.oauth());
    let tls = format!(
        "[server.tls]\ncertificate = \"{}\"\nkey = \"{}\"\n",
        file("edge_ec.pem").display(),
        file("edge_ec.key").display()
    );
    let plain = start(&rules).await;
    let secure = Nexus::start_tls(&format!("{tls}{rules}{ECHO}"), &[]).await;
    let mut connections = [
        Connection::http1(plain.address()).await,
        Connection::http2(plain.address()).await,
        Client::new(&["http/1.1"]).http1(secure.address()).await,
        Client::new(&["h2"]).http2(secure.address()).await,
    ];
    for (value, body) in [
        (None, json!({"error": "invalid_token", "error_description": "missing token"})),
        (
            Some("Basic YTpi"),
            json!({"error": "invalid_token", "error_description": "token must be prefixed with Bearer"}),
        ),
        (Some("Bearer a.b"), json!({"error": "invalid_token", "error_description": "invalid token"})),
        (Some("Bearer e30.e30.e30"), json!({"error": "unauthorized"})),
    ] {
        for connection in &mut connections {
            let request = value.iter().fold(hello(), |request, value| request.header("authorization", value));
            let answer = connection.send(request).await;
            refused(&answer, 401, body["error"].as_str().unwrap());
            assert_eq!(answer.json(), body, "{value:?}");
        }
    }
}

#[tokio::test]
async fn until_there_are_keys_the_router_is_not_ready_and_tokens_are_a_fault_of_its_own() {
    let issuer = Issuer::new(&"s".repeat(32));
    let jwks = issuer.jwks();
    let recovered = Arc::new(AtomicBool::new(false));
    let theirs = Arc::clone(&recovered);
    let server = Upstream::start(move |_| match theirs.load(Ordering::Relaxed) {
        false => Reply::status(500),
        true => Reply::json(jwks.clone()),
    })
    .await;
    let oauth = format!("[server.oauth]\nurl = \"http://{}/jwks\"\n", server.address());
    let nexus = start(&format!("{}{oauth}", by_claims("sub", "grp"))).await;
    let ready = || async { Request::get("/ready").send_to(nexus.admin()).await.status };
    server.until("the first fetch", |seen| !seen.calls.is_empty()).await;
    assert_eq!(ready().await, 503);
    let bearer = format!("Bearer {}", issuer.token("RS256", json!({"sub": "alice", "grp": "basic"})));
    for mut connection in [Connection::http1(nexus.address()).await, Connection::http2(nexus.address()).await]
    {
        let answer = connection.send(hello().header("authorization", &bearer)).await;
        assert_eq!(answer.status, 500, "{answer:?}");
        assert_eq!(answer.json()["error"], "internal_server_error", "{answer:?}");
        // What is no token is refused without keys.
        refused(&connection.send(hello().header("authorization", "Bearer no")).await, 401, "invalid_token");
    }
    recovered.store(true, Ordering::Relaxed);
    wait_until("keys", || async { ready().await == 200 }).await;
    hello().header("authorization", &bearer).send(&nexus).await.fine();
    is_logged(&nexus, "alice", "basic").await;
}

#[tokio::test]
async fn tokens_that_nobody_verifies_count_from_trusted_proxies_only() {
    let world = World::new();
    let rules = |network: &str| {
        format!(
            "[server.client_identification]\nenabled = true\nclient_id.jwt_claim = \"sub\"\n\
             jwt_verification = \"none\"\ntrusted_proxies = [\"{network}\"]\n"
        )
    };
    // Of a key that nobody here knows, and expired.
    let claims = json!({"sub": "alice", "exp": 1});
    let trusting = start(&rules("127.0.0.0/8")).await;
    world.hello(claims.clone()).send(&trusting).await.fine();
    is_logged(&trusting, "alice", "").await;
    trusting.logged(1, |line| line.contains("WARN") && line.contains("without verification")).await;
    refused_flat(&hello().send(&trusting).await, MISSING_CLIENT);
    let wary = start(&rules("10.0.0.0/8")).await;
    refused_flat(&world.hello(claims).send(&wary).await, MISSING_CLIENT);
}

#[tokio::test]
async fn without_oauth_and_keys_nobody_reads_a_token() {
    let world = World::new();
    let nexus = start(CLIENT_ONLY).await;
    refused_flat(&world.hello(json!({"sub": "alice"})).send(&nexus).await, MISSING_CLIENT);
    world.hello(json!({"sub": "alice"})).client("bob").send(&nexus).await.fine();
    is_logged(&nexus, "bob", "").await;
}
