//! The actor `identity-keys`: the one set of keys that tokens are verified with, and its refreshing.
//!
//! State: the newest good set, and the callers that wait for a newer one. Fetching and parsing run in a spawned task that
//! reports back as a message, one at a time; when, decides [`Refresh`]. A new set goes to every identity worker. A panic
//! keeps the set; after a restart from nothing it is fetched again, and what the start had found is not believed any more.

use std::{
    fmt, io,
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use http::Uri;
use tokio::{
    task::spawn_blocking,
    time::{Instant, timeout},
};

use super::{
    Algorithm, KeySource, Room, Verification,
    key_set::{KeySet, KeySetError},
    refresh::{OnUnknown, Refresh},
    worker,
};
use crate::{
    address::{Address, Reply, Unreachable},
    fetch::{self, FetchError},
    file,
    gate::Gate,
    guarded::State,
    observe::Own,
    provider::{Endpoint, EndpointError},
    shards::Shards,
    supervisor::Supervisor,
};

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
pub(super) struct Origin {
    place: Place,
    /// Which algorithms its keys may serve: symmetric ones only if it is a local file.
    algorithms: Vec<Algorithm>,
}

enum Place {
    Url(Box<Endpoint>, Uri),
    /// With one place, held while the file is read: a disk that hangs takes one thread, not one more each time.
    File(PathBuf, Arc<Gate>),
}

/// Why there is no set.
#[derive(Debug)]
enum LoadError {
    Fetch(FetchError),
    Read(io::Error),
    /// The file was not read in time.
    Late,
    Parse(KeySetError),
    Panicked,
    /// Nothing was heard of the fetch.
    Lost,
}

/// What the actor understands.
enum Message {
    /// A newer set than this is needed; the newest is given, now or after a fetch.
    Newer(Option<Arc<KeySet>>, Reply<Newest>),
    /// What a fetch brought, or the start has found.
    Loaded(Result<KeySet, LoadError>),
    /// Begin, rather than wait for the first tick.
    Begin,
    /// Be as after a restart that found no state.
    #[cfg(test)]
    Forget,
}

/// What never changes.
struct Fixed {
    origin: Arc<Origin>,
    poll_interval: Option<Duration>,
    /// The most callers that wait.
    room: usize,
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
        room: Room,
        verification: &Verification,
        (origin, first): (Arc<Origin>, Option<KeySet>),
        workers: Shards<worker::Message>,
    ) -> Self {
        let ready = Arc::new(AtomicBool::new(first.is_some()));
        let fixed = Arc::new(Fixed {
            origin,
            poll_interval: verification.poll_interval,
            room: room.waiting,
            workers,
            home: OnceLock::new(),
            ready: Arc::clone(&ready),
        });
        let theirs = Arc::clone(&fixed);
        let keeper = move |own| Keeper::new(Arc::clone(&theirs), own);
        let actor = supervisor.spawn("identity-keys", room.mailbox_limit, keeper).await;
        if let Some(first) = first {
            // Before it can fetch: what is there already need not be fetched.
            actor.cast(Message::Loaded(Ok(first)));
        }
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

    /// As if the actor had ended without leaving its state.
    #[cfg(test)]
    pub(super) fn forget(&self) {
        self.actor.cast(Message::Forget);
    }
}

// === impl Origin ===

impl Origin {
    /// The place, and the set that is there if it is a file.
    ///
    /// # Errors
    /// When the URL is none, or the file cannot be read or holds no usable key: then it is of no use to start.
    pub(super) async fn read(verification: &Verification) -> Result<(Arc<Self>, Option<KeySet>), KeysError> {
        let mut algorithms = verification.algorithms.clone();
        match &verification.keys {
            KeySource::Url(uri) => {
                let endpoint = Endpoint::new(uri, None, fetch::WITHIN);
                let endpoint = endpoint.map_err(|error| KeysError(Wrong::Endpoint(error)))?;
                let place = Place::Url(Box::new(endpoint), uri.clone());
                algorithms.retain(|algorithm| !Verification::is_symmetric(*algorithm));
                Ok((Arc::new(Self { place, algorithms }), None))
            }
            KeySource::File(path) => {
                let place = Place::File(path.clone(), Gate::new(1));
                let origin = Arc::new(Self { place, algorithms });
                let keys = Arc::clone(&origin).load().await;
                let keys = keys.map_err(|error| KeysError(Wrong::File(path.clone(), error)))?;
                Ok((origin, Some(keys)))
            }
        }
    }

    /// Fetches or reads the set, and parses it.
    async fn load(self: Arc<Self>) -> Result<KeySet, LoadError> {
        let document = match &self.place {
            Place::Url(endpoint, uri) => fetch::document(endpoint, uri).await.map_err(LoadError::Fetch)?,
            Place::File(path, reading) => read(path.clone(), reading).await?.into(),
        };
        KeySet::parse(&document, &self.algorithms).map_err(LoadError::Parse)
    }
}

/// Reads the file, unless it is being read still.
async fn read(path: PathBuf, reading: &Arc<Gate>) -> Result<Vec<u8>, LoadError> {
    let place = reading.enter(1).ok_or(LoadError::Late)?;
    let read = spawn_blocking(move || {
        let _place = place;
        file::read(&path)
    });
    let read = timeout(fetch::WITHIN, read).await.map_err(|_| LoadError::Late)?;
    read.map_err(|_| LoadError::Panicked)?.map_err(LoadError::Read)
}

// === impl Keeper ===

impl Keeper {
    fn new(fixed: Arc<Fixed>, own: Own) -> Self {
        let refresh = Refresh::new(fixed.poll_interval, Instant::now());
        own.set(KEYS, 0);
        Self { fixed, refresh, keys: None, waiting: Vec::new(), own }
    }

    fn on_newer(&mut self, known: Option<&Arc<KeySet>>, reply: Reply<Newest>) {
        let is_newest = match (&self.keys, known) {
            (Some(newest), Some(known)) => Arc::ptr_eq(newest, known),
            (newest, _) => newest.is_none(),
        };
        if !is_newest {
            if known.is_none() {
                self.hand_out();
            }
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
        let room = self.fixed.room;
        if self.waiting.len() >= room {
            self.waiting.retain(|reply| !reply.is_closed());
        }
        if self.waiting.len() >= room {
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
        if keys.is_full() {
            tracing::warn!(
                keys = keys.len(),
                "no more keys than these are read: any behind them verify nothing"
            );
        }
        if self.keys.is_none() {
            tracing::info!(keys = keys.len(), skipped = keys.skipped(), "keys loaded");
        } else {
            tracing::debug!(keys = keys.len(), skipped = keys.skipped(), "keys refreshed");
        }
        self.keys = Some(keys);
        self.hand_out();
        self.fixed.ready.store(true, Relaxed);
    }

    /// Gives every worker the newest set: when it is new, and when one of them has none, having been started from nothing.
    fn hand_out(&self) {
        let Some(keys) = &self.keys else { return };
        for worker in self.fixed.workers.iter() {
            worker.cast(worker::Message::Adopt(Arc::clone(keys)));
        }
    }

    /// Starts the task that fetches. It reports in any case, and in time.
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
        if self.refresh.is_lost(Instant::now()) {
            self.on_loaded(Err(LoadError::Lost));
        }
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
            #[cfg(test)]
            Message::Forget => *self = Self::new(Arc::clone(&self.fixed), self.own.clone()),
        }
    }

    fn tick(&mut self) {
        self.fetch_if_due();
    }
}

fn count(keys: Option<&KeySet>) -> i64 {
    keys.map_or(0, |keys| i64::try_from(keys.len()).unwrap_or(i64::MAX))
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
            Self::Late => write!(f, "not read within {} s", fetch::WITHIN.as_secs()),
            Self::Parse(error) => error.fmt(f),
            Self::Panicked => f.write_str("reading it failed"),
            Self::Lost => f.write_str("nothing was heard of the fetch"),
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
