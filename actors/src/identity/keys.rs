//! The actor `identity-keys`: the one set of keys that tokens are verified with, and its refreshing.
//!
//! State: the newest good set, and the callers that wait for a newer one. Fetching and parsing run in a spawned task that
//! reports back as a message, one at a time; when, decides [`Refresh`]. A new set goes to every identity worker. A panic
//! keeps the set; a restart from nothing begins as the first start did.

use std::{
    fmt, io,
    io::Read as _,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use http::Uri;
use tokio::time::Instant;

use super::{
    Algorithm, KeySource, Verification,
    key_set::{KeySet, KeySetError},
    refresh::{OnUnknown, Refresh},
    worker,
};
use crate::{
    address::{Address, Reply, Unreachable},
    fetch::{self, FetchError},
    guarded::State,
    observe::Own,
    provider::{Endpoint, EndpointError},
    shards::Shards,
    supervisor::Supervisor,
};

/// Calls that wait for a fetch at one time.
const WAITING: usize = 4096;
/// How long a call waits: for a whole fetch, and for a message on its way.
const WITHIN: Duration = Duration::from_secs(fetch::WITHIN.as_secs() + 1);

/// The newest set, if there has been one.
type Newest = Result<Option<Arc<KeySet>>, Unreachable>;

/// Asks for keys; clones ask the same actor.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    actor: Address<Message>,
    ready: Arc<AtomicBool>,
}

/// Why the configured keys cannot be used at all; for the operator.
#[derive(Debug)]
pub struct KeysError(Wrong);

#[derive(Debug)]
enum Wrong {
    Endpoint(EndpointError),
    File(PathBuf, LoadError),
}

/// Where a set comes from.
#[derive(Debug)]
pub(super) struct Origin {
    place: Place,
    /// Whether symmetric keys are taken: only from a local file, and only if an algorithm asks for them.
    symmetric: bool,
}

enum Place {
    Url(Box<Endpoint>, Uri),
    File(PathBuf),
}

/// Why there is no set.
#[derive(Debug)]
enum LoadError {
    Fetch(FetchError),
    Read(io::Error),
    TooLarge,
    Parse(KeySetError),
    Panicked,
}

/// What the actor understands.
enum Message {
    /// A newer set than this is needed; the newest is given, now or after a fetch.
    Newer(Option<Arc<KeySet>>, Reply<Newest>),
    /// What a fetch brought.
    Loaded(Result<KeySet, LoadError>),
    /// Begin, rather than wait for the first tick.
    Begin,
}

/// What never changes.
struct Fixed {
    origin: Arc<Origin>,
    poll_interval: Option<Duration>,
    /// What the start found.
    first: Option<Arc<KeySet>>,
    workers: Shards<worker::Message>,
    /// Where the task that fetches reports to: this very actor.
    home: OnceLock<Address<Message>>,
    ready: Arc<AtomicBool>,
}

/// The state of the actor.
struct Keeper {
    fixed: Arc<Fixed>,
    refresh: Refresh,
    keys: Option<Arc<KeySet>>,
    waiting: Vec<Reply<Newest>>,
    own: Own,
}

/// Names of the actor's own numbers, in the order of the constants below.
const NAMES: &[&str] = &["keys", "fetches", "failures"];
/// Keys in the set.
const KEYS: usize = 0;
/// Fetches begun.
const FETCHES: usize = 1;
/// Fetches that brought no set.
const FAILURES: usize = 2;

// === impl Keys ===

impl Keys {
    /// Starts the actor. `first` is what [`Origin::read`] gave.
    pub(super) async fn spawn(
        supervisor: &mut Supervisor,
        mailbox_limit: usize,
        verification: &Verification,
        (origin, first): (Arc<Origin>, Option<Arc<KeySet>>),
        workers: Shards<worker::Message>,
    ) -> Self {
        let ready = Arc::new(AtomicBool::new(first.is_some()));
        let fixed = Arc::new(Fixed {
            origin,
            poll_interval: verification.poll_interval,
            first,
            workers,
            home: OnceLock::new(),
            ready: Arc::clone(&ready),
        });
        let theirs = Arc::clone(&fixed);
        let keeper = move |own| Keeper::new(Arc::clone(&theirs), own);
        let actor = supervisor.spawn("identity-keys", mailbox_limit, keeper).await;
        // It is set nowhere else.
        let _ = fixed.home.set(actor.clone());
        actor.cast(Message::Begin);
        Self { actor, ready }
    }

    /// Whether there has been a set.
    pub(super) fn are_there(&self) -> bool {
        self.ready.load(Relaxed)
    }

    /// The newest set, which is another than `known` if there is a newer one to be had: a fetch that runs, or is started
    /// for this, is waited for.
    ///
    /// # Errors
    /// When the actor, or the place where callers wait, is full or gone.
    pub(super) async fn newer(&self, known: Option<&Arc<KeySet>>) -> Newest {
        self.actor.call(WITHIN, |reply| Message::Newer(known.cloned(), reply)).await?
    }

    /// The actor that runs now, to be killed by a test.
    #[cfg(test)]
    pub(super) fn actor(&self) -> ractor::ActorCell {
        self.actor.actor()
    }
}

// === impl Origin ===

impl Origin {
    /// The place, and the set that is there if it is a file.
    ///
    /// # Errors
    /// When the URL is none, or the file cannot be read or holds no usable key: then it is of no use to start.
    pub(super) async fn read(
        verification: &Verification,
    ) -> Result<(Arc<Self>, Option<Arc<KeySet>>), KeysError> {
        match &verification.keys {
            KeySource::Url(uri) => {
                let endpoint = Endpoint::new(uri, None, fetch::WITHIN);
                let endpoint = endpoint.map_err(|error| KeysError(Wrong::Endpoint(error)))?;
                let place = Place::Url(Box::new(endpoint), uri.clone());
                Ok((Arc::new(Self { place, symmetric: false }), None))
            }
            KeySource::File(path) => {
                let symmetric = verification.algorithms.iter().any(is_symmetric);
                let origin = Arc::new(Self { place: Place::File(path.clone()), symmetric });
                let keys = Arc::clone(&origin).load().await;
                let keys = keys.map_err(|error| KeysError(Wrong::File(path.clone(), error)))?;
                tracing::info!(keys = keys.len(), skipped = keys.skipped(), "keys loaded");
                Ok((origin, Some(Arc::new(keys))))
            }
        }
    }

    /// Fetches or reads the set, and parses it.
    async fn load(self: Arc<Self>) -> Result<KeySet, LoadError> {
        let document = match &self.place {
            Place::Url(endpoint, uri) => {
                fetch::document(endpoint, uri).await.map_err(LoadError::Fetch)?.to_vec()
            }
            Place::File(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || read(&path)).await;
                read.map_err(|_| LoadError::Panicked)??
            }
        };
        KeySet::parse(&document, self.symmetric).map_err(LoadError::Parse)
    }
}

fn is_symmetric(algorithm: &Algorithm) -> bool {
    matches!(algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512)
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let mut document = Vec::new();
    let file = std::fs::File::open(path).map_err(LoadError::Read)?;
    // One byte more than is accepted tells that there is more.
    file.take(fetch::LARGEST as u64 + 1).read_to_end(&mut document).map_err(LoadError::Read)?;
    if document.len() > fetch::LARGEST { Err(LoadError::TooLarge) } else { Ok(document) }
}

// === impl Keeper ===

impl Keeper {
    fn new(fixed: Arc<Fixed>, own: Own) -> Self {
        let keys = fixed.first.clone();
        let refresh = Refresh::new(fixed.poll_interval, keys.is_some(), Instant::now());
        own.set(KEYS, count(keys.as_deref()));
        Self { fixed, refresh, keys, waiting: Vec::new(), own }
    }

    fn on_newer(&mut self, known: Option<&Arc<KeySet>>, reply: Reply<Newest>) {
        let is_newest = match (&self.keys, known) {
            (Some(newest), Some(known)) => Arc::ptr_eq(newest, known),
            (newest, _) => newest.is_none(),
        };
        if !is_newest {
            drop(reply.send(Ok(self.keys.clone())));
            return;
        }
        match self.refresh.on_unknown(Instant::now()) {
            OnUnknown::Refuse => drop(reply.send(Ok(self.keys.clone()))),
            OnUnknown::Wait => self.wait(reply),
            OnUnknown::Fetch => {
                self.wait(reply);
                self.fetch();
            }
        }
    }

    fn wait(&mut self, reply: Reply<Newest>) {
        if self.waiting.len() >= WAITING {
            self.waiting.retain(|reply| !reply.is_closed());
        }
        if self.waiting.len() >= WAITING {
            drop(reply.send(Err(Unreachable::Full)));
        } else {
            self.waiting.push(reply);
        }
    }

    fn on_loaded(&mut self, loaded: Result<KeySet, LoadError>) {
        match loaded {
            Ok(keys) => self.adopt(Arc::new(keys)),
            Err(error) => {
                self.own.add(FAILURES, 1);
                let again = self.refresh.on_failed(Instant::now());
                let kept = count(self.keys.as_deref());
                tracing::warn!(%error, kept, ?again, "keys could not be refreshed: the last good ones are kept");
            }
        }
        for reply in self.waiting.drain(..) {
            // Who is gone needs no answer.
            let _ = reply.send(Ok(self.keys.clone()));
        }
    }

    fn adopt(&mut self, keys: Arc<KeySet>) {
        self.refresh.on_loaded(Instant::now());
        self.own.set(KEYS, count(Some(&keys)));
        if self.keys.is_none() {
            tracing::info!(keys = keys.len(), skipped = keys.skipped(), "keys loaded");
        } else {
            tracing::debug!(keys = keys.len(), skipped = keys.skipped(), "keys refreshed");
        }
        for worker in self.fixed.workers.iter() {
            worker.cast(worker::Message::Adopt(Arc::clone(&keys)));
        }
        self.keys = Some(keys);
        self.fixed.ready.store(true, Relaxed);
    }

    /// Starts the task that fetches. It reports in any case, or no other fetch would ever be started.
    fn fetch(&mut self) {
        let Some(home) = self.fixed.home.get().cloned() else { return };
        self.own.add(FETCHES, 1);
        let load = tokio::spawn(Arc::clone(&self.fixed.origin).load());
        tokio::spawn(async move {
            let loaded = load.await.unwrap_or(Err(LoadError::Panicked));
            home.cast(Message::Loaded(loaded));
        });
    }

    fn fetch_if_due(&mut self) {
        // Before the address is known there would be nobody to report to.
        if self.fixed.home.get().is_some() && self.refresh.is_due(Instant::now()) {
            self.fetch();
        }
    }
}

impl State for Keeper {
    type Message = Message;
    /// How exactly an interval is kept.
    const TICK: Option<Duration> = Some(Duration::from_millis(250));
    const OWN: &'static [&'static str] = NAMES;

    fn handle(&mut self, message: Message) {
        match message {
            Message::Newer(known, reply) => self.on_newer(known.as_ref(), reply),
            Message::Loaded(loaded) => self.on_loaded(loaded),
            Message::Begin => self.fetch_if_due(),
        }
    }

    fn tick(&mut self) {
        self.fetch_if_due();
    }
}

fn count(keys: Option<&KeySet>) -> i64 {
    keys.map_or(0, |keys| i64::try_from(keys.len()).unwrap_or(i64::MAX))
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(_, uri) => f.debug_tuple("Url").field(&uri.host()).finish(),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

impl fmt::Display for KeysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Wrong::Endpoint(error) => write!(f, "server.oauth.url: {error}"),
            Wrong::File(path, error) => write!(f, "server.oauth.keys_file {}: {error}", path.display()),
        }
    }
}

impl std::error::Error for KeysError {}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fetch(error) => error.fmt(f),
            Self::Read(error) => write!(f, "cannot be read: {error}"),
            Self::TooLarge => write!(f, "larger than {} bytes", fetch::LARGEST),
            Self::Parse(error) => error.fmt(f),
            Self::Panicked => f.write_str("reading it failed"),
        }
    }
}
