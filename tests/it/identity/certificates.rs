//! Who is calling, by the certificate of the TLS client: the names of `support/tls/README.md`.

use serde_json::json;

use super::{MISSING_CLIENT, refused_flat};
use crate::support::{
    client::{Connection, Request},
    issuer::Issuer,
    nexus::Nexus,
    setup::{ADMIN, ECHO, IDENTIFIED, provider_limit},
    tls::{Client, file},
};

const BOB: &str = "spiffe://acme.test/bob";

/// Identity by this field of the certificate.
fn identified_by(field: &str) -> String {
    IDENTIFIED.replace("client_id.http_header = \"X-User-Id\"", &format!("client_id.tls = \"{field}\""))
}

/// A router that asks for certificates; the echo has 20 tokens for each client.
async fn start(identification: &str) -> Nexus {
    let tls = format!(
        "[server.tls]\ncertificate = \"{}\"\nkey = \"{}\"\nclient_ca = \"{}\"\n",
        file("edge_ec.pem").display(),
        file("edge_ec.key").display(),
        file("names_ca.pem").display()
    );
    let limit = provider_limit("echo", 20, "60s");
    Nexus::start_tls(&format!("{tls}{identification}{ADMIN}{ECHO}{limit}"), &[]).await
}

async fn as_client(name: &str, protocol: &str, nexus: &Nexus) -> Connection {
    let client = Client::named(name, &[protocol]);
    match protocol {
        "h2" => client.http2(nexus.address()).await,
        _ => client.http1(nexus.address()).await,
    }
}

fn hello() -> Request {
    Request::chat("echo/m", "Hello")
}

/// The log line of a call by this client.
async fn is_logged(nexus: &Nexus, client: &str, group: &str, status: u16) {
    let wanted = format!("client={client} group={group} ");
    nexus.logged(1, |line| line.contains(&wanted) && line.contains(&format!("status={status} "))).await;
}

#[tokio::test]
async fn the_certificate_names_the_client_to_limits_and_log_on_both_versions_of_http() {
    for (field, id) in [("san_uri", BOB), ("subject_cn", "bob")] {
        let nexus = start(&identified_by(field)).await;
        for (protocol, remaining) in [("http/1.1", 12), ("h2", 4)] {
            let answer = as_client("bob", protocol, &nexus).await.send(hello()).await.fine();
            assert_eq!(answer.number("x-ratelimit-remaining-tokens"), remaining, "one window on {protocol}");
        }
        let refused = as_client("bob", "http/1.1", &nexus).await.send(hello()).await;
        assert_eq!(refused.status, 429, "{refused:?}");
        is_logged(&nexus, id, "", 429).await;
    }
}

#[tokio::test]
async fn a_certificate_without_the_one_name_is_no_identification() {
    for field in ["san_uri", "subject_cn"] {
        let nexus = start(&identified_by(field)).await;
        for name in ["nameless", "several"] {
            for protocol in ["http/1.1", "h2"] {
                let mut connection = as_client(name, protocol, &nexus).await;
                refused_flat(&connection.send(hello()).await, MISSING_CLIENT);
                // Nor does a header stand in for it.
                refused_flat(&connection.send(hello().client("mallory")).await, MISSING_CLIENT);
            }
        }
    }
}

#[tokio::test]
async fn the_group_comes_from_a_header_beside_the_certificate() {
    let nexus = start(&identified_by("san_uri")).await;
    let mut connection = as_client("bob", "http/1.1", &nexus).await;
    connection.send(hello().group("premium")).await.fine();
    is_logged(&nexus, BOB, "premium", 200).await;
    let answer = connection.send(hello().group("gold")).await;
    assert_eq!((answer.status, &answer.json()["error"]), (400, &json!("invalid_group")));
}

#[tokio::test]
async fn an_api_key_counts_before_the_certificate_and_what_is_no_key_does_not() {
    let keys = "[[server.api_keys]]\nclient = \"team-a\"\ngroup = \"basic\"\nsha256 = \"\
                2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683\"\n";
    let nexus = start(&format!("{}{keys}", identified_by("subject_cn"))).await;
    let mut connection = as_client("bob", "http/1.1", &nexus).await;
    connection.send(hello().header("x-api-key", "key")).await.fine();
    is_logged(&nexus, "team-a", "basic", 200).await;
    connection.send(hello().header("authorization", "Bearer unused")).await.fine();
    is_logged(&nexus, "bob", "", 200).await;
    // Of a client without a name, a key is all there is.
    let mut nameless = as_client("nameless", "http/1.1", &nexus).await;
    nameless.send(hello().header("x-api-key", "key")).await.fine();
    let answer = nameless.send(hello().header("x-api-key", "other")).await;
    assert_eq!((answer.status, &answer.json()["error"]), (401, &json!("unauthorized")));
}

#[tokio::test]
async fn where_tokens_are_demanded_the_certificate_alone_does_not_do_and_names_the_client_all_the_same() {
    let issuer = Issuer::new(&"s".repeat(32));
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("jwks.json");
    std::fs::write(&keys, issuer.jwks()).unwrap();
    let oauth = format!("[server.oauth]\nkeys_file = \"{}\"\n", keys.display());
    let nexus = start(&format!("{}{oauth}", identified_by("san_uri"))).await;
    let mut connection = as_client("bob", "h2", &nexus).await;
    assert_eq!(connection.send(hello()).await.status, 401);
    let token = issuer.token("ES256", json!({"sub": "alice"}));
    let bearer = format!("Bearer {token}");
    connection.send(hello().header("authorization", &bearer)).await.fine();
    is_logged(&nexus, BOB, "", 200).await;
    let mut nameless = as_client("nameless", "h2", &nexus).await;
    refused_flat(&nameless.send(hello().header("authorization", &bearer)).await, MISSING_CLIENT);
}
