//! Identity actors: from what a request presents to who is calling.
//!
//! State: the rules, which never change, so any worker may answer and a restart loses nothing. Callers use [`Identity`];
//! the decision itself is a pure function. A decision takes about a microsecond.

#[allow(dead_code)] // until the workers know keys
mod api_keys;
mod claims;
#[allow(dead_code)] // likewise
mod digest;
#[allow(dead_code)] // until the workers remember tokens
mod key_set;
mod rules;
#[allow(dead_code)] // likewise
mod token;

use std::{error, fmt, net::IpAddr, num::NonZeroUsize, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};

pub use self::key_set::{KeySet, KeySetError};
pub use self::rules::{Algorithm, ApiKey, CertificateField, KeySource, Rules, Source, Tokens, Verification};
use crate::{
    address::{Reply, Unreachable},
    guarded::State,
    principal::{ClientId, Group, Principal},
    shards::Shards,
    supervisor::Supervisor,
};

/// How long a caller waits for an identity worker. Decisions take microseconds: this is met only when all is lost.
const WITHIN: Duration = Duration::from_secs(5);

/// Finds out who is calling. Clones share the workers.
#[derive(Clone, Debug)]
pub struct Identity(Option<Workers>);

/// Identification is on.
#[derive(Clone, Debug)]
struct Workers {
    shards: Shards<Message>,
    rules: Arc<Rules>,
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The address the connection came from.
    pub address: IpAddr,
    /// The names in the certificate that it showed and the listener has verified.
    pub certificate: Option<Arc<Certificate>>,
}

/// The names in a client's certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    /// The URI among the subject's alternative names, where there is exactly one.
    pub san_uri: Option<Box<str>>,
    /// The common name of the subject, where there is exactly one.
    pub subject_cn: Option<Box<str>>,
}

/// What a request presents, as far as the rules ask for it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Presented {
    /// The address the connection came from.
    peer: IpAddr,
    /// The header that names the client.
    client: Presence,
    /// The header that names the group.
    group: Presence,
}

/// How often a header is there.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Presence {
    /// Not at all.
    Absent,
    /// Once, which is the only sound way.
    Once(HeaderValue),
    /// More than once: nobody can say which one a proxy in front has checked.
    Repeated,
}

/// Why there is no principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityError {
    /// The caller's fault: status 400.
    Denied(Denied),
    /// Ours: no worker answered.
    Unreachable(Unreachable),
}

/// What is wrong with the identity that was presented. All of them are status 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// No client id, or one that is not ASCII text.
    MissingClientId,
    /// A client id that cannot be used.
    InvalidClientId(InvalidClientId),
    /// No group, or one that is not ASCII text, where one is required.
    MissingGroup,
    /// A group that is not listed.
    UnlistedGroup,
    /// Several group headers.
    RepeatedGroup,
    /// Several `Authorization` headers: which one another proxy would believe is anyone's guess.
    RepeatedAuthorization,
}

/// Why a client id cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidClientId {
    /// Several client id headers.
    Repeated,
    /// Over [`ClientId::MAX_BYTES`].
    TooLong,
}

/// What an identity worker understands.
#[derive(Debug)]
struct Message {
    presented: Presented,
    reply: Reply<Result<Principal, Denied>>,
}

/// The state of an identity worker.
#[derive(Debug)]
struct Worker {
    rules: Arc<Rules>,
}

impl Identity {
    /// Starts `workers` actors `identity-0`, `identity-1`, … that go by these rules. Without rules identification is off:
    /// nothing is started, and every caller is [`Principal::default`].
    pub async fn spawn(
        supervisor: &mut Supervisor,
        workers: NonZeroUsize,
        mailbox_limit: usize,
        rules: Option<Arc<Rules>>,
    ) -> Self {
        let Some(rules) = rules else { return Self(None) };
        let theirs = Arc::clone(&rules);
        let worker = move |_| Worker { rules: Arc::clone(&theirs) };
        let shards = supervisor.spawn_shards("identity", workers, mailbox_limit, worker).await;
        Self(Some(Workers { shards, rules }))
    }

    /// Who is calling, by the headers of a request that came from `peer`.
    ///
    /// # Errors
    /// [`IdentityError::Denied`] when the request does not say, or says something that the rules refuse.
    pub async fn identify(&self, headers: &HeaderMap, peer: &Peer) -> Result<Principal, IdentityError> {
        if headers.get_all(AUTHORIZATION).iter().nth(1).is_some() {
            return Err(IdentityError::Denied(Denied::RepeatedAuthorization));
        }
        let Some(Workers { shards, rules }) = &self.0 else { return Ok(Principal::default()) };
        let presented = Presented::of(rules, headers, peer.address);
        shards
            .next()
            .call(WITHIN, |reply| Message { presented, reply })
            .await
            .map_err(IdentityError::Unreachable)?
            .map_err(IdentityError::Denied)
    }
}

impl State for Worker {
    type Message = Message;
    const TICK: Option<Duration> = None;

    fn handle(&mut self, Message { presented, reply }: Message) {
        if !reply.is_closed() {
            // A caller that hung up meanwhile leaves nothing to undo.
            let _ = reply.send(identify(&self.rules, &presented));
        }
    }
}

impl Presented {
    /// Takes from `headers` what `rules` ask for, and nothing else.
    fn of(rules: &Rules, headers: &HeaderMap, peer: IpAddr) -> Self {
        Self {
            peer,
            client: Presence::of_source(rules.client.as_ref(), headers),
            group: Presence::of_source(rules.group.as_ref(), headers),
        }
    }
}

impl Presence {
    fn of_source(source: Option<&Source>, headers: &HeaderMap) -> Self {
        match source {
            Some(Source::Header(name)) => Self::of(name, headers),
            _ => Self::Absent,
        }
    }

    fn of(name: &HeaderName, headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Self::Absent,
            (Some(value), None) => Self::Once(value.clone()),
            (Some(_), Some(_)) => Self::Repeated,
        }
    }
}

impl Denied {
    /// The `error` of the answer's body.
    pub fn error(self) -> &'static str {
        match self {
            Self::MissingClientId => "missing_client_id",
            Self::InvalidClientId(_) => "invalid_client_id",
            Self::MissingGroup => "missing_group_id",
            Self::UnlistedGroup | Self::RepeatedGroup => "invalid_group",
            Self::RepeatedAuthorization => "invalid_token",
        }
    }

    /// The `error_description` of the answer's body.
    pub fn description(self) -> &'static str {
        match self {
            Self::MissingClientId => "Client identification is required",
            Self::InvalidClientId(InvalidClientId::Repeated) => {
                "The client id header must be sent exactly once"
            }
            Self::InvalidClientId(InvalidClientId::TooLong) => "The client id is longer than 1024 bytes",
            Self::MissingGroup => "Group identification is required",
            Self::UnlistedGroup => "The specified group is not valid",
            Self::RepeatedGroup => "The group header must be sent exactly once",
            Self::RepeatedAuthorization => "The Authorization header must be sent at most once",
        }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.description())
    }
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(denied) => denied.fmt(f),
            Self::Unreachable(unreachable) => unreachable.fmt(f),
        }
    }
}

impl error::Error for Denied {}
impl error::Error for IdentityError {}

/// The texts of a claim of a token that these keys verify at `now` (unix seconds); `None` when they do not. A door for
/// the fuzzer and the benchmark, which cannot reach the pure half otherwise: not a part of the interface.
#[doc(hidden)]
pub fn read_token(
    token: &str,
    keys: &KeySet,
    policy: &Verification,
    now: u64,
    claim: &str,
) -> Option<Vec<Box<str>>> {
    let verified = token::verify(token, keys, policy, now).ok()?;
    Some(match verified.claims.find(claim) {
        claims::Claim::Absent => Vec::new(),
        claims::Claim::Text(text) => vec![text],
        claims::Claim::List(texts) => texts,
    })
}

/// Who presents this, by these rules.
///
/// # Errors
/// The first thing that is wrong, the client id before the group.
fn identify(rules: &Rules, presented: &Presented) -> Result<Principal, Denied> {
    if !rules.believe(presented.peer) {
        return Err(Denied::MissingClientId);
    }
    let client = client(&presented.client)?;
    let group = rules.group(&presented.group)?;
    Ok(Principal { client: Some(client), group })
}

fn client(presence: &Presence) -> Result<ClientId, Denied> {
    let id = match presence {
        Presence::Absent => Err(Denied::MissingClientId),
        Presence::Repeated => Err(Denied::InvalidClientId(InvalidClientId::Repeated)),
        Presence::Once(value) => value.to_str().map_err(|_| Denied::MissingClientId),
    }?;
    if id.len() > ClientId::MAX_BYTES {
        return Err(Denied::InvalidClientId(InvalidClientId::TooLong));
    }
    Ok(ClientId::new(id))
}

impl Rules {
    /// Whether identity headers of this peer count; for any other they are absent.
    fn believe(&self, peer: IpAddr) -> bool {
        // A listener for both families sees IPv4 peers as `::ffff:a.b.c.d`: they are in IPv4 networks all the same.
        let peer = peer.to_canonical();
        self.trusted_proxies.is_empty() || self.trusted_proxies.iter().any(|network| network.contains(&peer))
    }

    fn group(&self, presence: &Presence) -> Result<Option<Group>, Denied> {
        let name = match presence {
            Presence::Absent => None,
            Presence::Repeated => return Err(Denied::RepeatedGroup),
            Presence::Once(value) => value.to_str().ok(),
        };
        match name {
            None if self.require_group => Err(Denied::MissingGroup),
            None => Ok(None),
            Some(name) if self.groups.is_empty() => Ok(Some(Group::new(name))),
            // The listed one is shared, not copied.
            Some(name) => self.groups.get(&Group::new(name)).cloned().map(Some).ok_or_else(|| {
                tracing::debug!(group = name, "group is not listed");
                Denied::UnlistedGroup
            }),
        }
    }
}

#[cfg(test)]
mod tests;
