//! Identity as a whole: its actors, with tokens of an issuer whose keys come from a file or a small server.

mod combinations;
mod refreshing;
mod server;

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Instant,
};

use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::{
    token::tests::mint::{MINT, jwks, set},
    *,
};
use crate::principal::{ClientId, Group};

/// What two workers have.
const ROOM: Room = Room { workers: NonZeroUsize::new(2).unwrap(), mailbox_limit: 10_000, waiting: 250 };
/// Nothing here takes as long, by the clock on the wall: that of the tests may stand still.
const NEVER: Duration = Duration::from_secs(20);
/// The end of every token's time: beyond that of these tests.
const FAR: u64 = 4_000_000_000;

fn peer() -> Peer {
    Peer { address: [10, 1, 2, 3].into(), certificate: None }
}

/// Identity by headers.
fn rules() -> Rules {
    Rules {
        client: Some(Source::Header(HeaderName::from_static("x-user-id"))),
        group: None,
        groups: BTreeSet::new(),
        require_group: false,
        trusted_proxies: Networks::default(),
        tokens: Tokens::Ignored,
        api_keys: Vec::new(),
    }
}

/// Identity by the claim `sub` of verified tokens.
fn verified(keys: KeySource) -> Rules {
    let tokens = Tokens::Verified(policy(keys));
    Rules { client: Some(Source::Claim("sub".into())), tokens, ..rules() }
}

pub(super) fn policy(keys: KeySource) -> Verification {
    let algorithms = vec![Algorithm::EdDSA];
    Verification { keys, poll_interval: None, issuer: None, audience: None, algorithms }
}

/// The JWKs of one key, under each of these names. To a set these are different keys.
fn jwk(kids: &[&str]) -> Vec<Value> {
    let named = |kid: &&str| {
        let mut jwk = MINT.jwk("ed25519");
        jwk["kid"] = (*kid).into();
        jwk
    };
    kids.iter().map(named).collect()
}

pub(super) fn key_set(kids: &[&str]) -> KeySet {
    set(jwk(kids))
}

/// A token for `sub` by the key of this name.
pub(super) fn token(kid: &str, sub: &str) -> String {
    token_of(kid, &json!({"sub": sub, "exp": FAR}))
}

fn token_of(kid: &str, claims: &Value) -> String {
    let header = json!({"alg": "EdDSA", "kid": kid});
    MINT.token(Algorithm::EdDSA, &header.to_string(), &claims.to_string())
}

/// A key file with these keys, unlike all others.
fn key_file(kids: &[&str]) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("nexus-keys-{}-{}.json", std::process::id(), COUNT.fetch_add(1, Relaxed));
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, jwks(jwk(kids))).unwrap();
    path
}

type Line<'a> = (&'static str, &'a str);

fn headers(lines: &[Line<'_>]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn bearer(token: &str) -> HeaderMap {
    headers(&[("authorization", &format!("Bearer {token}"))])
}

/// Two workers and what they need.
struct Rig {
    identity: Identity,
    supervisor: Supervisor,
}

impl Rig {
    async fn start(rules: Rules) -> Self {
        let mut supervisor = Supervisor::start("identity").await;
        let identity = Identity::spawn(&mut supervisor, ROOM, Some(Arc::new(rules))).await;
        Self { identity: identity.expect("the keys can be had"), supervisor }
    }

    async fn ask(&self, lines: &[Line<'_>]) -> Result<Principal, Denied> {
        self.identify(&headers(lines)).await
    }

    async fn identify(&self, headers: &HeaderMap) -> Result<Principal, Denied> {
        match self.identity.identify(headers, &peer()).await {
            Ok(principal) => Ok(principal),
            Err(IdentityError::Denied(denied)) => Err(denied),
            Err(IdentityError::Unreachable(gone)) => panic!("{gone}"),
        }
    }

    /// The sum of one of the actors' own numbers.
    fn number(&self, name: &str) -> i64 {
        let snapshots = self.supervisor.gauges().iter().map(|gauges| gauges.snapshot());
        let own = snapshots.flat_map(|snapshot| snapshot.own);
        own.filter(|(own, _)| *own == name).map(|(_, number)| number).sum()
    }

    async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            assert!(begun.elapsed() < NEVER, "never: {what}");
            tokio::task::yield_now().await;
        }
    }
}

fn of(client: &str) -> Result<Principal, Denied> {
    Ok(Principal { client: Some(ClientId::new(client)), group: None })
}

#[test]
fn bodies_and_statuses_are_the_known_ones() {
    let (bad, unauthorized) = (StatusCode::BAD_REQUEST, StatusCode::UNAUTHORIZED);
    let long = Denied::InvalidClientId(InvalidClientId::TooLong);
    let internal = Some("An internal error occurred");
    for (denied, status, error, description) in [
        (Denied::MissingClientId, bad, "missing_client_id", Some("Client identification is required")),
        (Denied::MissingGroup, bad, "missing_group_id", Some("Group identification is required")),
        (Denied::UnlistedGroup, bad, "invalid_group", Some("The specified group is not valid")),
        (long, bad, "invalid_client_id", Some("The client id is longer than 1024 bytes")),
        (Denied::GroupTooLong, bad, "invalid_group", Some("The group is longer than 1024 bytes")),
        (Denied::MissingToken, unauthorized, "invalid_token", Some("missing token")),
        (Denied::NotBearer, unauthorized, "invalid_token", Some("token must be prefixed with Bearer")),
        (Denied::MalformedToken, unauthorized, "invalid_token", Some("invalid token")),
        (Denied::Unauthorized, unauthorized, "unauthorized", None),
        (Denied::NoKeys, StatusCode::INTERNAL_SERVER_ERROR, "internal_server_error", internal),
    ] {
        assert_eq!((denied.status(), denied.error(), denied.description()), (status, error, description));
    }
    for repeated in [Denied::RepeatedAuthorization, Denied::RepeatedKey] {
        assert_eq!((repeated.status(), repeated.error()), (unauthorized, "invalid_token"));
    }
    assert_eq!((Denied::RepeatedGroup.status(), Denied::RepeatedGroup.error()), (bad, "invalid_group"));
}

#[tokio::test(start_paused = true)]
async fn workers_answer_in_turn_and_say_who_is_denied() {
    let rig = Rig::start(rules()).await;
    for _ in 0..3 {
        assert_eq!(rig.ask(&[("x-user-id", "alice")]).await, of("alice"));
    }
    assert_eq!(rig.ask(&[]).await, Err(Denied::MissingClientId));
    let handled: Vec<_> = rig.supervisor.gauges().iter().map(|gauges| gauges.snapshot().handled).collect();
    assert_eq!((handled, rig.number("denied")), (vec![2, 2], 1));
    assert!(rig.identity.is_ready(), "there are no keys to wait for");
    assert!(rig.supervisor.drain(WITHIN).await);
    let gone = rig.identity.identify(&headers(&[("x-user-id", "alice")]), &peer()).await;
    assert_eq!(gone, Err(IdentityError::Unreachable(crate::Unreachable::Restarting)));
}

#[tokio::test(start_paused = true)]
async fn with_identification_off_everybody_is_nobody_in_particular() {
    let mut supervisor = Supervisor::start("identity").await;
    let identity = Identity::spawn(&mut supervisor, ROOM, None).await.unwrap();
    let anybody = headers(&[("x-user-id", "alice"), ("x-api-key", "a"), ("x-api-key", "b")]);
    assert_eq!(identity.identify(&anybody, &peer()).await, Ok(Principal::default()));
    assert!(supervisor.gauges().is_empty() && identity.is_ready());
    let twice = headers(&[("authorization", "Bearer a"), ("authorization", "Bearer b")]);
    let denied = identity.identify(&twice, &peer()).await;
    assert_eq!(denied, Err(IdentityError::Denied(Denied::RepeatedAuthorization)));
}
