//! Certificates that change under a running server.

use std::{fs, os::unix::fs::symlink, path::Path};

use tempfile::TempDir;

use super::{
    mutual::{asked, is_served},
    *,
};

/// A folder as an orchestrator mounts a secret: `tls.crt`, `tls.key` and `ca.crt` by way of the link `current`, which
/// is replaced as a whole.
struct Mounted(TempDir);

impl Mounted {
    fn new(name: &str, authority: &str) -> Self {
        let mounted = Self(tempfile::tempdir().unwrap());
        mounted.show(name, name, authority);
        mounted
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Makes all three files others at once.
    fn show(&self, certificate: &str, key: &str, authority: &str) {
        let version = tempfile::tempdir_in(self.path()).unwrap().keep();
        fs::copy(file(&format!("{certificate}.pem")), version.join("tls.crt")).unwrap();
        fs::copy(file(&format!("{key}.key")), version.join("tls.key")).unwrap();
        fs::copy(file(&format!("{authority}.pem")), version.join("ca.crt")).unwrap();
        symlink(&version, self.path().join("next")).unwrap();
        fs::rename(self.path().join("next"), self.path().join("current")).unwrap();
    }

    fn config(&self, with_authority: bool) -> String {
        let current = self.path().join("current");
        let path = |name: &str| current.join(name).display().to_string();
        let authority = format!("client_ca = \"{}\"\n", path("ca.crt"));
        format!(
            "[server.tls]\ncertificate = \"{}\"\nkey = \"{}\"\n{}",
            path("tls.crt"),
            path("tls.key"),
            if with_authority { &authority } else { "" }
        )
    }
}

/// Whether a new connection is shown this certificate.
async fn shows(nexus: &Nexus, name: &str) -> bool {
    let stream = Client::new(&["h2"]).connect(nexus.address()).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap() == [certificate(&format!("{name}.pem"))]
}

#[tokio::test]
async fn a_new_certificate_serves_new_connections_and_open_ones_go_on() {
    let upstream = Upstream::always(|| Reply::events([Step::send(WORD), Step::Gate, Step::send(END)])).await;
    let mounted = Mounted::new("edge_ec", "client_ca");
    let config = format!("{}{}", mounted.config(false), openai(&upstream, ""));
    let nexus = Nexus::start_tls(&config, &[]).await;
    let mut connection = Client::new(&["h2"]).http2(nexus.address()).await;
    let mut stream = connection.open(Request::stream("openai/gpt-4o", "Hello")).await.unwrap();
    stream.event().await.unwrap();
    assert!(shows(&nexus, "edge_ec").await);

    mounted.show("edge_rsa", "edge_rsa", "client_ca");
    wait_until("the new certificate", || shows(&nexus, "edge_rsa")).await;
    nexus.logged(1, |line| line.contains("INFO") && line.contains("new TLS certificate in use")).await;
    upstream.open_gate();
    assert!(stream.rest().await.ends_with(END), "nothing is cut");
    connection.send(Request::get("/health")).await.fine();
}

#[tokio::test]
async fn a_pair_that_does_not_fit_or_is_not_there_keeps_the_old_one() {
    let mounted = Mounted::new("edge_ec", "client_ca");
    let nexus = Nexus::start_tls(&format!("{}{ECHO}", mounted.config(false)), &[]).await;
    let kept = |line: &str| line.contains("ERROR") && line.contains("keeping what is in use");
    // A new certificate whose key is not there yet.
    mounted.show("edge_rsa", "edge_ec", "client_ca");
    let told = nexus.logged(1, |line| kept(line) && line.contains("is not the key of")).await;
    assert!(told[0].contains("tls.key"), "{told:?}");
    assert!(shows(&nexus, "edge_ec").await);
    // No files at all, for a while: told once.
    fs::rename(mounted.path().join("current"), mounted.path().join("away")).unwrap();
    nexus.logged(1, |line| kept(line) && line.contains("No such file")).await;
    assert!(shows(&nexus, "edge_ec").await);
    fs::write(mounted.path().join("broken"), "no folder").unwrap();
    fs::rename(mounted.path().join("broken"), mounted.path().join("current")).unwrap();
    nexus.logged(3, kept).await;
    assert!(shows(&nexus, "edge_ec").await);
    // Whole again.
    fs::remove_file(mounted.path().join("current")).unwrap();
    mounted.show("edge_rsa", "edge_rsa", "client_ca");
    wait_until("the new certificate", || shows(&nexus, "edge_rsa")).await;
    // Each state was told once, but that a look may have fallen between two of them.
    assert!(nexus.log().iter().filter(|line| kept(line)).count() <= 4, "{:?}", nexus.log());
}

#[tokio::test]
async fn the_old_files_back_in_place_are_good_again() {
    let mounted = Mounted::new("edge_ec", "client_ca");
    let nexus = Nexus::start_tls(&format!("{}{ECHO}", mounted.config(false)), &[]).await;
    mounted.show("edge_rsa", "edge_ec", "client_ca");
    nexus.logged(1, |line| line.contains("keeping what is in use")).await;
    mounted.show("edge_ec", "edge_ec", "client_ca");
    nexus.logged(1, |line| line.contains("INFO") && line.contains("good again")).await;
    assert!(shows(&nexus, "edge_ec").await);
}

#[tokio::test]
async fn a_new_authority_decides_about_new_connections() {
    let mounted = Mounted::new("edge_ec", "client_ca");
    let nexus = Nexus::start_tls(&format!("{}{ECHO}", mounted.config(true)), &[]).await;
    let (alice, foreign) = (Client::showing(&TLS13, "alice"), Client::showing(&TLS13, "foreign"));
    let mut before = alice.http1(nexus.address()).await;
    before.send(hello()).await.fine();
    asked(&foreign, &nexus).await.unwrap_err();
    mounted.show("edge_ec", "edge_ec", "foreign_ca");
    wait_until("the new authority", || async { asked(&foreign, &nexus).await.is_ok() }).await;
    is_served(&foreign, &nexus).await;
    asked(&alice, &nexus).await.unwrap_err();
    before.send(hello()).await.fine();
}
