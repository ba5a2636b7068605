//! mTLS: clients must show a certificate, and it must be good.

use std::time::SystemTime;

use rustls::{HandshakeKind, SupportedProtocolVersion};

use super::*;
use crate::support::tls::Brief;

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

/// A router that demands certificates of this authority.
async fn demanding(authority: &str, more: &str) -> Nexus {
    let keys = format!("client_ca = \"{}\"", file(authority).display());
    Nexus::start_tls(&format!("{}{more}{ADMIN}{ECHO}", tls("edge_ec", &keys)), &["--log", "debug"]).await
}

/// What a client gets for a request: the answer, or the error that ends its connection.
pub(super) async fn asked(client: &Client, nexus: &Nexus) -> Result<String, String> {
    let mut stream = client.connect(nexus.address()).await.map_err(|error| error.to_string())?;
    // The server may have closed already; why, shows when reading.
    let _ = stream.write_all(written("echo/m", false).as_bytes()).await;
    let mut answer = String::new();
    let ended = in_time("an answer or the end", stream.read_to_string(&mut answer)).await;
    ended.map(|_| answer).map_err(|error| error.to_string())
}

/// The request was served.
pub(super) async fn is_served(client: &Client, nexus: &Nexus) {
    let answer = asked(client, nexus).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_client_with_a_good_certificate_is_served() {
    let nexus = demanding("client_ca.pem", "").await;
    for version in VERSIONS {
        is_served(&Client::showing(version, "alice"), &nexus).await;
    }
}

#[tokio::test]
async fn a_client_without_a_good_certificate_is_told_why_and_not_served() {
    let nexus = demanding("client_ca.pem", "").await;
    for version in VERSIONS {
        let refused = [
            (Client::of_version(version, &["http/1.1"]), "CertificateRequired HandshakeFailure"),
            (Client::showing(version, "foreign"), "UnknownCA DecryptError"),
            (Client::showing(version, "expired"), "CertificateExpired"),
            // A certificate for servers is none for clients.
            (Client::showing(version, "edge_ec"), "UnknownCA UnsupportedCertificate"),
        ];
        for (client, alerts) in refused {
            let error = asked(&client, &nexus).await.unwrap_err();
            assert!(alerts.split(' ').any(|alert| error.contains(alert)), "{alerts}: {error}");
        }
    }
    nexus.logged(8, |line| line.contains("DEBUG") && line.contains("no TLS")).await;
    wait_until("the places to be free", || async { connections(&nexus).await == 0 }).await;
    is_served(&Client::showing(&TLS13, "alice"), &nexus).await;
}

#[tokio::test]
async fn a_kept_connection_ends_with_the_certificate_that_opened_it() {
    let brief = Brief::new();
    let nexus = demanding(&brief.root(), "").await;
    // Whole seconds, as certificates count.
    let (begun, left) = (Instant::now(), Duration::from_secs(5));
    let name = brief.issue(SystemTime::now() + left);
    let mut connections = [
        Client::named(&name, &["http/1.1"]).http1(nexus.address()).await,
        Client::named(&name, &["h2"]).http2(nexus.address()).await,
    ];
    for connection in &mut connections {
        connection.send(hello()).await.fine();
    }
    for connection in connections {
        connection.closed().await;
        assert!(begun.elapsed() + Duration::from_secs(1) >= left, "{:?}", begun.elapsed());
    }
    // A certificate holds through its last second.
    wait_until("the certificate to be refused", || async {
        let client = Client::named(&name, &["http/1.1"]);
        asked(&client, &nexus).await.is_err_and(|error| error.contains("CertificateExpired"))
    })
    .await;
}

#[tokio::test]
async fn the_health_listener_asks_for_no_certificate() {
    let health = free_address();
    let nexus = demanding("client_ca.pem", &format!("[server.health]\nlisten = \"{health}\"\n")).await;
    Client::new(&[]).http1(health).await.send(Request::get("/health")).await.fine();
    asked(&Client::new(&["http/1.1"]), &nexus).await.unwrap_err();
}

#[tokio::test]
async fn a_session_is_resumed_only_where_no_certificate_is_demanded() {
    let open = start("").await;
    let closed = demanding("client_ca.pem", "").await;
    for version in VERSIONS {
        let free = Client::of_version(version, &["http/1.1"]);
        let known = Client::showing(version, "alice");
        for (client, nexus, kind) in
            [(free, &open, HandshakeKind::Resumed), (known, &closed, HandshakeKind::Full)]
        {
            is_served(&client, nexus).await;
            let again = client.connect(nexus.address()).await.unwrap();
            assert_eq!(again.get_ref().1.handshake_kind(), Some(kind), "{version:?}");
        }
    }
}
