//! Where windows are kept when several routers share them: a Redis or Valkey server. What it is told, and what becomes
//! of calls while it is out.
//!
//! ```text
//!   shard ──message──▶ remote ──a task each──▶ link ──one script call──▶ server: `windows.lua`
//!     ▲                  └─settlements─────────▶ └─batches─────────────▶
//!     └──Unstored, if it is out───┘
//! ```
//!
//! The shard stays the one who is asked. What was taken on the server settles there; what was taken here settles here.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{sync::oneshot, time::timeout};

use self::{
    link::{Job, Link},
    remote::Remote,
};
use super::counts;
use crate::{observe, secret::Secret};

mod link;
pub(super) mod remote;
mod script;

/// A server that keeps the windows of several routers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redis {
    /// `redis://` or `rediss://`, perhaps with a password.
    pub url: Secret,
    /// Before every key.
    pub key_prefix: String,
    /// What becomes of calls while it is out.
    pub on_error: OnError,
    /// Whether the server must be there at the start.
    pub required: bool,
    /// For one answer.
    pub response_timeout: Duration,
    /// For a new connection, TLS and login included.
    pub connection_timeout: Duration,
    /// The most connections; each carries any number of calls at a time.
    pub connections: usize,
    /// TLS; `None` = plain text.
    pub tls: Option<RedisTls>,
}

/// TLS to a server. Files are read already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedisTls {
    /// Whether any certificate is believed.
    pub insecure: bool,
    /// Roots instead of the public ones, PEM.
    pub ca_pem: Option<Arc<[u8]>>,
    /// Our own certificate and its key, PEM.
    pub client: Option<(Arc<[u8]>, Secret)>,
}

/// What becomes of calls while the store is out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// Each router counts on its own, from nothing.
    #[default]
    Local,
    /// They are refused.
    Deny,
    /// They are admitted, uncounted.
    Allow,
}

/// The server, and the connections to it. Clones are the same ones.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
    prefix: Arc<str>,
}

#[derive(Debug)]
struct Shared {
    links: Vec<Link>,
    turn: AtomicUsize,
    on_error: OnError,
    digest: String,
}

impl Store {
    /// Connects, with no more connections than `wanted`.
    ///
    /// # Errors
    /// The server cannot be reached although it must be there; names its address, and no secret.
    pub async fn start(settings: &Redis, wanted: usize) -> Result<Self, String> {
        let link = || Link::new(settings).map_err(|error| format!("storage of rate limits: {error}"));
        let count = settings.connections.min(wanted).max(1);
        let links = (0..count).map(|_| link()).collect::<Result<Vec<_>, _>>()?;
        let mut is_out = false;
        for link in &links {
            if is_out {
                // Whoever waits for one has waited long enough.
                tokio::spawn(link.clone().open());
                continue;
            }
            let opened = link.clone().open().await;
            is_out = opened.is_err();
            if let (Err(error), true) = (opened, settings.required) {
                return Err(format!("Redis at {} cannot be reached: {error}", link.address()));
            }
        }
        let digest = redis::Script::new(script::TEXT).get_hash().to_owned();
        let shared = Shared { links, turn: AtomicUsize::new(0), on_error: settings.on_error, digest };
        Ok(Self { shared: Arc::new(shared), prefix: settings.key_prefix.as_str().into() })
    }

    /// The same server with keys apart from all others.
    #[must_use]
    pub fn apart(&self, name: &str) -> Self {
        Self { shared: Arc::clone(&self.shared), prefix: format!("{}{name}:", self.prefix).into() }
    }

    /// Waits until what was to be settled by now is, for so long at most. While the server is out, nobody waits.
    pub async fn flush(&self, within: Duration) {
        let all = async {
            for link in self.shared.links.iter().filter(|link| !link.is_out()) {
                let (flushed, done) = oneshot::channel();
                link.submit(Job::Flush(flushed));
                let _ = done.await;
            }
        };
        if timeout(within, all).await.is_err() {
            tracing::warn!("not everything was settled on the Redis server");
        }
    }

    /// The way of one more shard.
    pub(super) fn remote(&self, counts: counts::Own, numbers: observe::Own) -> Remote {
        let turn = self.shared.turn.fetch_add(1, Relaxed);
        let link = self.shared.links[turn % self.shared.links.len()].clone();
        Remote::new(self.clone(), link, counts, numbers)
    }

    fn on_error(&self) -> OnError {
        self.shared.on_error
    }

    fn prefix(&self) -> &str {
        &self.prefix
    }

    fn digest(&self) -> &str {
        &self.shared.digest
    }
}

#[cfg(test)]
mod tests;
