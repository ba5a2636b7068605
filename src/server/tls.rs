//! TLS towards clients: what the listeners prove themselves with, read from files at the start and again when these
//! change. A new connection gets the newest good set; whoever is connected goes on with theirs. Knows nothing of HTTP
//! but the names of its versions.

mod files;
mod names;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::{
        CryptoProvider,
        aws_lc_rs::{self, Ticketer},
    },
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::SingleCertAndKey,
};
use tokio::time::sleep;

pub use self::files::TlsError;
use self::files::{Files, Mark};
pub(super) use self::names::Shown;
use super::phase::{Phase, Phases};
use crate::config::edge;

/// Between two looks at the files.
const LOOK: Duration = Duration::from_secs(2);

/// HTTP/2 in the list of application protocols (RFC 9113, section 3.2).
pub(super) const H2: &[u8] = b"h2";
/// HTTP/1.1 there (RFC 7301, section 6).
const HTTP11: &[u8] = b"http/1.1";

/// TLS as it is configured. Clones share the certificate.
#[derive(Clone)]
pub struct Tls {
    paths: Arc<edge::Tls>,
    present: Arc<ArcSwap<Present>>,
}

/// One good set of files, ready for connections.
struct Present {
    /// Calls: HTTP/2 or HTTP/1.1, and a client certificate where one is demanded.
    calls: Arc<ServerConfig>,
    /// The health route's own listener: what asks there is a load balancer, which shows no certificate.
    health: Arc<ServerConfig>,
    mark: Mark,
}

/// What was seen of the files at one time, and what came of it.
#[derive(PartialEq, Eq)]
enum Look {
    /// In use, or told of as of no use: nothing to do until it changes.
    Settled(Seen),
    /// Of no use, but perhaps half written: told of when it is still there at the next look.
    Doubtful(Seen),
}

/// Which contents, or why there are none.
type Seen = Result<Mark, TlsError>;

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// When one cannot be read or used, or the key is not the certificate's.
    pub fn load(paths: edge::Tls) -> Result<Self, TlsError> {
        let paths = Arc::new(paths);
        let present = Present::of(&Files::read(Arc::clone(&paths))?)?;
        Ok(Self { paths, present: Arc::new(ArcSwap::from_pointee(present)) })
    }

    /// For a connection that brings calls.
    pub(super) fn calls(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.present.load().calls)
    }

    /// For a connection to the health route's own listener.
    pub(super) fn health(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.present.load().health)
    }

    /// Looks at the files until the server has ended, and takes over what is new and good. What is not is told once.
    pub async fn follow(self, phases: Phases) {
        let looking = async {
            let mut last = Look::Settled(Ok(self.present.load().mark));
            loop {
                sleep(LOOK).await;
                last = self.look(last).await;
            }
        };
        tokio::select! {
            () = phases.reached(Phase::Ended) => {}
            () = looking => {}
        }
    }

    async fn look(&self, last: Look) -> Look {
        let paths = Arc::clone(&self.paths);
        // A disk may keep its reader waiting.
        let Ok(read) = tokio::task::spawn_blocking(move || Files::read(paths)).await else { return last };
        let seen = read.as_ref().map(Files::mark).map_err(Clone::clone);
        if last == Look::Settled(seen.clone()) {
            return last;
        }
        match read.and_then(|files| Present::of(&files)) {
            Ok(present) => {
                self.take_over(present, &last);
                Look::Settled(seen)
            }
            Err(error) if last == Look::Doubtful(seen.clone()) => {
                tracing::error!(%error, "the TLS files have changed and cannot be used; keeping what is in use");
                Look::Settled(seen)
            }
            // Files that are being written one after the other are whole at the next look.
            Err(_) => Look::Doubtful(seen),
        }
    }

    fn take_over(&self, present: Present, last: &Look) {
        if present.mark != self.present.load().mark {
            self.present.store(Arc::new(present));
            tracing::info!(certificate = %self.paths.certificate.display(), "new TLS certificate in use");
        } else if matches!(last, Look::Settled(_)) {
            // What is in use is back after other files that were told of.
            tracing::info!("the TLS files are good again");
        }
    }
}

impl Present {
    fn of(files: &Files) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let certificate = Arc::new(SingleCertAndKey::from(files.certified(&provider)?));
        let verifier = files.roots()?.map(|roots| {
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build()
        });
        let unusable = |error| TlsError::new(format!("TLS cannot be set up: {error}"));
        let verifier = verifier.transpose().map_err(|error| TlsError::new(error.to_string()))?;
        let calls = config(&provider, &certificate, verifier, &[H2, HTTP11]).map_err(unusable)?;
        let health = config(&provider, &certificate, None, &[HTTP11]).map_err(unusable)?;
        Ok(Self { calls, health, mark: files.mark() })
    }
}

fn config(
    provider: &Arc<CryptoProvider>,
    certificate: &Arc<SingleCertAndKey>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    protocols: &[&[u8]],
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
    let shown = verifier.is_some();
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::<SingleCertAndKey>::clone(certificate));
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    if shown {
        // A session that is resumed shows no certificate: it would outlive the certificate that began it.
        config.send_tls13_tickets = 0;
    } else {
        // The client keeps its session itself, sealed, so that no number of them costs memory here.
        config.ticketer = Ticketer::new()?;
    }
    Ok(Arc::new(config))
}
