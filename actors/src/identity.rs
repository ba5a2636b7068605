//! Identity: from what a request presents to who is calling.
//!
//! ```text
//!  connection ── Decide, Recall ──> identity-0 … -N    remember verified tokens by hash, know the API keys
//!      │  verifies what is new,                ^
//!      │  then Remember ──────────────────────>│ Adopt
//!      └──── a key is not known ────────> identity-keys ── one task at a time ──> JWKS
//! ```
//!
//! A token or key goes to the worker that its hash names, anything else to each in turn. Workers answer in microseconds,
//! and never verify: that is done here, by a pure function in the caller's own task, so that a burst of new tokens delays
//! no known one.

mod api_keys;
mod claims;
mod denied;
mod digest;
mod key_set;
mod keys;
mod memory;
mod networks;
mod presented;
mod refresh;
mod rules;
mod token;
mod worker;

use std::{
    net::IpAddr,
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::HeaderMap;

use self::{
    api_keys::ApiKeys,
    digest::Digest,
    keys::{Keys, Origin},
    memory::Remembered,
    presented::{Credential, Presented, Told, client_id, refuse_repeated_authorization},
    token::{Invalid, unverified, verify},
    worker::{Fixed, Message, REMEMBERED, Recalled, Worker},
};
pub use self::{
    denied::{Denied, IdentityError, InvalidClientId},
    key_set::{KeySet, KeySetError},
    keys::KeysError,
    networks::Networks,
    rules::{Algorithm, ApiKey, CertificateField, KeySource, Rules, Source, Tokens, Verification},
};
use crate::{
    address::Address,
    principal::{ClientId, Principal},
    shards::Shards,
    supervisor::Supervisor,
};

/// How long a caller waits for an identity worker. Decisions take microseconds: this is met only when all is lost.
const WITHIN: Duration = Duration::from_secs(5);
/// Sets of keys a token is tried with at most: the worker's, one that came meanwhile, one that is fetched for it.
const SETS: usize = 3;

/// Finds out who is calling. Clones share the workers.
#[derive(Clone, Debug)]
pub struct Identity(Option<Arc<On>>);

/// How much there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Identity workers.
    pub workers: NonZeroUsize,
    /// Messages that wait for one actor; calls beyond are refused.
    pub mailbox_limit: usize,
    /// Calls that wait for keys to be fetched; those beyond are refused. Anyone can make a call wait, with a token that
    /// names a key nobody knows: so this is to be a small part of the calls in flight.
    pub waiting: usize,
}

/// Identification is on.
#[derive(Debug)]
struct On {
    workers: Shards<Message>,
    rules: Arc<Rules>,
    /// Whether tokens or keys are looked up: then one that is not known may be a reason to refuse a call.
    recalls: bool,
    /// Where tokens are verified.
    verifier: Option<Verifier>,
}

/// What a token is verified by.
#[derive(Debug)]
struct Verifier {
    keys: Keys,
    policy: Verification,
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The address the connection came from.
    pub address: IpAddr,
    /// The names in the certificate that it showed and the listener has verified.
    pub certificate: Option<Arc<Certificate>>,
}

/// The names in a client's certificate, made into ids once for all calls of its connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    san_uri: Option<Result<ClientId, InvalidClientId>>,
    subject_cn: Option<Result<ClientId, InvalidClientId>>,
}

/// A token or key and the worker that may know it.
struct Bearer<'a> {
    token: &'a [u8],
    digest: Digest,
    worker: &'a Address<Message>,
}

// === impl Identity ===

impl Identity {
    /// Starts actors `identity-0`, `identity-1`, … that go by these rules, and `identity-keys` if tokens are verified.
    /// Without rules identification is off: nothing is started, and every caller is [`Principal::default`].
    ///
    /// # Errors
    /// When the keys can never be had: the URL is none, or the file cannot be used.
    pub async fn spawn(
        supervisor: &mut Supervisor,
        room: Room,
        rules: Option<Arc<Rules>>,
    ) -> Result<Self, KeysError> {
        let Some(rules) = rules else { return Ok(Self(None)) };
        if rules.tokens == Tokens::Unverified {
            tracing::warn!(
                "tokens are believed without verification: a proxy in front must have verified them"
            );
        }
        let found = match &rules.tokens {
            Tokens::Verified(policy) => Some((policy.clone(), Origin::read(policy).await?)),
            Tokens::Ignored | Tokens::Unverified => None,
        };
        let fixed = Arc::new(Fixed {
            rules: Arc::clone(&rules),
            api_keys: ApiKeys::new(&rules.api_keys),
            capacity: REMEMBERED / room.workers,
        });
        let recalls = found.is_some() || !fixed.api_keys.is_empty();
        let worker = move |own| Worker::new(Arc::clone(&fixed), own);
        let workers = supervisor.spawn_shards("identity", room.workers, room.mailbox_limit, worker).await;
        let verifier = match found {
            Some((policy, found)) => {
                let keys = Keys::spawn(supervisor, room, &policy, found, workers.clone()).await;
                Some(Verifier { keys, policy })
            }
            None => None,
        };
        Ok(Self(Some(Arc::new(On { workers, rules, recalls, verifier }))))
    }

    /// Who is calling, by a request that came from `peer`.
    ///
    /// # Errors
    /// [`IdentityError::Denied`] when the request does not say, or says something that the rules refuse.
    pub async fn identify(&self, headers: &HeaderMap, peer: &Peer) -> Result<Principal, IdentityError> {
        match &self.0 {
            Some(on) => on.identify(headers, peer).await,
            None => refuse_repeated_authorization(headers).map(|()| Principal::default()).map_err(Into::into),
        }
    }

    /// Whether callers can be told apart: not before there are keys, where tokens are verified.
    pub fn is_ready(&self) -> bool {
        let verifier = self.0.as_ref().and_then(|on| on.verifier.as_ref());
        verifier.is_none_or(|verifier| verifier.keys.are_there())
    }
}

// === impl On ===

impl On {
    async fn identify(&self, headers: &HeaderMap, peer: &Peer) -> Result<Principal, IdentityError> {
        let credential = self.credential(headers);
        let bearer = match credential {
            // A longer one is neither a token nor a key: it is not even hashed.
            Ok(Credential::Token(token)) if self.recalls && token.len() <= token::MAX_BYTES => {
                let digest = Digest::of(token);
                Some(Bearer { token, digest, worker: self.workers.of(digest.bytes()) })
            }
            _ => None,
        };
        let worker = bearer.as_ref().map_or_else(|| self.workers.next(), |bearer| bearer.worker);
        let told = async {
            let credential = credential?;
            let presented = self.presented(headers, peer, credential);
            match bearer {
                Some(bearer) => self.recall(bearer, presented).await,
                None => self.decide(worker, presented, credential).await,
            }
        };
        told.await.inspect_err(|error| {
            if matches!(error, IdentityError::Denied(_)) {
                worker::denied(worker);
            }
        })
    }

    /// Nothing is to be looked up, or nothing that could be found: the rules alone decide.
    async fn decide(
        &self,
        worker: &Address<Message>,
        presented: Presented,
        credential: Credential<'_>,
    ) -> Result<Principal, IdentityError> {
        let must_prove = self.verifier.is_some();
        if must_prove || (self.recalls && presented.names_nobody()) {
            return Err(match credential {
                Credential::NotBearer => Denied::NotBearer.into(),
                Credential::Absent => Denied::MissingToken.into(),
                // Too long to be looked up.
                Credential::Token(_) => Denied::MalformedToken.into(),
            });
        }
        Ok(worker.call(WITHIN, |reply| Message::Decide(presented, reply)).await??)
    }

    /// There is a token or key: its worker may know it.
    async fn recall(&self, bearer: Bearer<'_>, mut presented: Presented) -> Result<Principal, IdentityError> {
        let (digest, now) = (bearer.digest, unix_seconds());
        let recalled = bearer.worker.call(WITHIN, |reply| Message::Recall(digest, now, reply)).await?;
        match (recalled, &self.verifier) {
            (Recalled::Holder(principal), _) => return Ok(principal),
            (Recalled::Known(told), _) => presented.told = told,
            // Rare and large: the callers of known tokens do not carry the room for it.
            (Recalled::New(keys), Some(verifier)) => {
                presented.told = Box::pin(verifier.verify(&bearer, keys, &self.rules)).await?;
            }
            // Not a key: SDKs send a made-up one where they think that one is demanded. Another identity counts.
            (Recalled::New(_), None) if presented.names_nobody() => {
                return Err(Denied::Unauthorized.into());
            }
            (Recalled::New(_), None) => {}
        }
        Ok(presented.decide(&self.rules)?)
    }

    /// The token or key, where anybody reads it.
    fn credential<'h>(&self, headers: &'h HeaderMap) -> Result<Credential<'h>, Denied> {
        if self.recalls || self.rules.tokens == Tokens::Unverified {
            return Credential::of(headers);
        }
        refuse_repeated_authorization(headers).map(|()| Credential::Absent)
    }

    /// What there is to go by, before anything is verified.
    fn presented(&self, headers: &HeaderMap, peer: &Peer, credential: Credential<'_>) -> Presented {
        let rules = &*self.rules;
        let mut presented = Presented::of(rules, headers, peer);
        if let (Tokens::Unverified, Credential::Token(token)) = (&rules.tokens, credential)
            && rules.trusted_proxies.believe(peer.address)
            && let Some(claims) = str::from_utf8(token).ok().and_then(unverified)
        {
            presented.told = Told::by(rules, &claims);
        }
        presented
    }
}

// === impl Verifier ===

impl Verifier {
    /// Verifies a token with `keys` or, if it names one that is not among them, with newer ones, and has it remembered.
    async fn verify(
        &self,
        bearer: &Bearer<'_>,
        keys: Option<Arc<KeySet>>,
        rules: &Rules,
    ) -> Result<Told, IdentityError> {
        let token = str::from_utf8(bearer.token).map_err(|_| Denied::MalformedToken)?;
        let mut present = match keys {
            Some(keys) => keys,
            None => {
                // What is no token needs no keys to be refused, and does not wait for any.
                unverified(token).ok_or(Denied::MalformedToken)?;
                self.keys.newer(None).await?.ok_or(Denied::NoKeys)?
            }
        };
        for left in (0..SETS).rev() {
            match verify(token, &present, &self.policy, unix_seconds()) {
                Ok(verified) => {
                    let told = Told::by(rules, &verified.claims);
                    let (until, key) = (verified.until, verified.key);
                    let remembered = Box::new(Remembered { told: told.clone(), until, key });
                    bearer.worker.cast(Message::Remember(bearer.digest, remembered));
                    return Ok(told);
                }
                Err(Invalid::Malformed) => return Err(Denied::MalformedToken.into()),
                Err(Invalid::Refused(why)) => {
                    tracing::debug!(why, "token refused");
                    return Err(Denied::Unauthorized.into());
                }
                Err(Invalid::UnknownKey) if left == 0 => break,
                Err(Invalid::UnknownKey) => match self.keys.newer(Some(&present)).await? {
                    Some(newer) if !Arc::ptr_eq(&newer, &present) => present = newer,
                    _ => break,
                },
            }
        }
        tracing::debug!(why = "its key is not known", "token refused");
        Err(Denied::Unauthorized.into())
    }
}

// === impl Certificate ===

impl Certificate {
    /// The URI among the subject's alternative names and the common name of the subject, each where there is exactly
    /// one.
    pub fn new(san_uri: Option<&str>, subject_cn: Option<&str>) -> Self {
        Self { san_uri: san_uri.map(client_id), subject_cn: subject_cn.map(client_id) }
    }

    /// What the certificate calls its holder there.
    fn name(&self, field: CertificateField) -> Option<&Result<ClientId, InvalidClientId>> {
        match field {
            CertificateField::SanUri => self.san_uri.as_ref(),
            CertificateField::SubjectCn => self.subject_cn.as_ref(),
        }
    }
}

/// The clock that `exp` and `nbf` are written in. A clock before 1970 is at its beginning.
fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The texts of a claim of a token that these keys verify at `now` (unix seconds); `None` when they do not. A door for
/// the fuzzer and the benchmark, which cannot reach the pure half otherwise: not a part of the interface, and not behind
/// a feature, which would leave the benchmark out of what is built and linted.
#[doc(hidden)]
pub fn read_token(
    token: &str,
    keys: &KeySet,
    policy: &Verification,
    now: u64,
    claim: &str,
) -> Option<Vec<Box<str>>> {
    let verified = verify(token, keys, policy, now).ok()?;
    Some(match verified.claims.find(claim) {
        claims::Claim::Absent => Vec::new(),
        claims::Claim::Text(text) => vec![text],
        claims::Claim::List(texts) => texts,
    })
}

#[cfg(test)]
mod tests;
