//! A Redis server of a test's own, with a password and without a disk; killed when dropped.

use std::{
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use super::{ports::free_address, tls, wait_until};

/// What no log may show.
pub(crate) const PASSWORD: &str = "hidden-password";

/// A running server, or one that was killed.
pub(crate) struct Redis {
    child: Option<Child>,
    address: SocketAddr,
    tls: bool,
}

impl Redis {
    /// Starts one.
    pub(crate) async fn start() -> Self {
        Self::start_as(false).await
    }

    /// Starts one that speaks TLS only, to clients that show a certificate.
    pub(crate) async fn start_tls() -> Self {
        Self::start_as(true).await
    }

    async fn start_as(tls: bool) -> Self {
        let mut redis = Self { child: None, address: free_address(), tls };
        redis.restart().await;
        redis
    }

    /// Starts it again, with nothing in it.
    pub(crate) async fn restart(&mut self) {
        let port = self.address.port().to_string();
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--requirepass", PASSWORD]);
        if self.tls {
            command
                .args(["--port", "0", "--tls-port", &port, "--tls-cert-file"])
                .arg(tls::file("server.pem"));
            command.arg("--tls-key-file").arg(tls::file("server.key"));
            command.arg("--tls-ca-cert-file").arg(tls::file("client_ca.pem"));
        } else {
            command.args(["--port", &port]);
        }
        let child = command.stdout(Stdio::null()).spawn().expect("this test needs redis-server");
        self.child = Some(child);
        wait_until("redis-server to answer", || async { self.says(&["PING"]) == "PONG" }).await;
    }

    /// Where it is, as the configuration wants it.
    pub(crate) fn url(&self) -> String {
        format!("redis://:{PASSWORD}@{}", self.address)
    }

    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it at once; nothing is kept.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Stops it without ending it (`STOP`), or lets it go on (`CONT`).
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.as_ref().expect("a running server").id();
        let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {id}")).status().unwrap();
        assert!(sent.success());
    }

    /// What it answers to a command.
    pub(crate) fn says(&self, words: &[&str]) -> String {
        let port = self.address.port().to_string();
        let mut command = Command::new("redis-cli");
        command.args(["-p", &port, "-a", PASSWORD, "--no-auth-warning"]);
        if self.tls {
            command.args(["--tls", "--insecure", "--cert"]).arg(tls::file("alice.pem"));
            command.arg("--key").arg(tls::file("alice.key"));
        }
        let output = command.args(words).output().expect("this test needs redis-cli");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// How often clients have asked for the script.
    pub(crate) fn scripts(&self) -> usize {
        let stats = self.says(&["INFO", "commandstats"]);
        let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
        line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
    }

    /// Every key.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.says(&["KEYS", "*"]).lines().map(str::to_owned).filter(|key| !key.is_empty()).collect()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}
