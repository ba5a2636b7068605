//! The actor `provider-NAME-credential`: what opens one provider, got in time and renewed before it expires.
//!
//! State: the credential that stands, when it is renewed, and the callers that wait for the first one. Calls read the
//! standing one without a message and without a lock. Files and networks are read in a spawned task that reports back
//! as a message, one at a time; when, decides [`Schedule`]. A panic keeps all of it; after a restart from nothing the
//! standing credential still serves until it expires, and a new one is got at once.
//!
//! Nothing in here says a secret, nor repeats a word of a server or of a file: a failure names places and statuses.

pub mod aws;
mod document;
pub mod entra;
mod failed;
mod files;
pub mod google;
mod keeper;
mod request;
mod schedule;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use tokio::time::Instant;

use self::{failed::Failed, files::Files, keeper::Message};
use crate::{
    address::{Address, Unreachable},
    secret::Secret,
    supervisor::Supervisor,
};

/// How long a call waits for a credential while none stands.
const WITHIN: Duration = Duration::from_secs(5);
/// Messages that may wait: calls ask only while no credential stands.
const MAILBOX: usize = 4096;

/// Where a provider's credential comes from: what the configuration says, and what the environment said at the start.
#[derive(Clone, Debug)]
pub enum Source {
    /// Keys that sign, of AWS.
    Aws(aws::Source),
    /// An access token of Google.
    Google(google::Source),
    /// An access token of Microsoft Entra.
    Entra(entra::Source),
}

/// What opens a provider now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// What requests are signed with.
    Aws(AwsKeys),
    /// An access token, for `authorization: Bearer …`; without that word. It can stand in a header.
    Bearer(Secret),
}

/// Keys of AWS. The id and the session token can stand in a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsKeys {
    /// The public half; it is sent as it is.
    pub access_key_id: String,
    /// The other half; only hashes of it leave.
    pub secret_access_key: Secret,
    /// Goes with keys that expire.
    pub session_token: Option<Secret>,
}

/// The way to one provider's credential. Cloning shares the actor.
#[derive(Clone)]
pub struct Credential {
    standing: Arc<ArcSwapOption<Standing>>,
    actor: Address<Message>,
}

/// Why there is no credential now; for logs and for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// It could not be got, for this reason; it is tried again soon.
    Failed(Arc<str>),
    /// It is being got, and was not there within 5 s.
    Late,
    /// Too many calls wait for it already.
    Crowded,
    /// The actor did not answer.
    Unreachable(Unreachable),
}

/// Why a source is of no use at all, whatever the network says; for the operator.
#[derive(Debug)]
pub struct StartError(Failed);

/// A credential that was got.
struct Standing {
    opened: Arc<Opened>,
    /// When it was asked for.
    since: Instant,
    /// It opens nothing from here on; `None` never comes.
    until: Option<Instant>,
}

/// What a source gave.
#[derive(Debug, PartialEq, Eq)]
struct Got {
    opened: Opened,
    /// How long it opens anything, counted from when it was asked for; `None` is for ever.
    life: Option<Duration>,
}

// === impl Credential ===

impl Credential {
    /// Starts the actor `provider-NAME-credential`, which gets the credential at once. Does not wait for that, and does
    /// not fail for a network: only what the configuration names is looked at.
    ///
    /// # Errors
    /// When a file or a profile that the configuration names is not there, broken, or of a kind that is not supported.
    pub async fn spawn(
        supervisor: &mut Supervisor,
        provider: &str,
        source: Source,
    ) -> Result<Self, StartError> {
        let files = Files::new();
        source.check(&files).await.map_err(StartError)?;
        let standing = Arc::new(ArcSwapOption::empty());
        let name = format!("provider-{provider}-credential");
        let actor = keeper::spawn(supervisor, &name, source, files, Arc::clone(&standing)).await;
        Ok(Self { standing, actor })
    }

    /// What opens the provider now. At once, and without a message, while a credential stands.
    ///
    /// # Errors
    /// When none stands and none was got within 5 s. At once when the last try has failed and the next is not due, and
    /// when a thousand calls wait already.
    pub async fn current(&self) -> Result<Arc<Opened>, Unavailable> {
        if let Some(standing) = &*self.standing.load()
            && standing.is_good(Instant::now())
        {
            return Ok(Arc::clone(&standing.opened));
        }
        self.actor.call(WITHIN, Message::Current).await.map_err(|unreachable| match unreachable {
            Unreachable::Late => Unavailable::Late,
            Unreachable::Full => Unavailable::Crowded,
            other => Unavailable::Unreachable(other),
        })?
    }

    /// The actor that runs now, to be killed by a test.
    #[cfg(test)]
    fn actor(&self) -> ractor::ActorCell {
        self.actor.actor()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Credential").field(&self.actor).finish()
    }
}

// === impl Source ===

impl Source {
    /// Whether the source may ever give anything: looks at what the configuration names.
    async fn check(&self, files: &Files) -> Result<(), Failed> {
        match self {
            Self::Aws(source) => source.check(files).await,
            Self::Google(source) => source.check(files).await,
            Self::Entra(source) => source.check(),
        }
    }

    /// Gets a credential. Bounded in time and memory, as each file and each request is.
    async fn open(&self, files: &Files) -> Result<Got, Failed> {
        match self {
            Self::Aws(source) => source.open(files).await,
            Self::Google(source) => source.open(files).await,
            Self::Entra(source) => source.open().await,
        }
    }
}

impl Standing {
    fn is_good(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(reason) => f.write_str(reason),
            Self::Late => write!(f, "no credential came within {} s", WITHIN.as_secs()),
            Self::Crowded => f.write_str("too many calls wait for a credential"),
            Self::Unreachable(unreachable) => write!(f, "no credential: {unreachable}"),
        }
    }
}

impl std::error::Error for Unavailable {}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for StartError {}
