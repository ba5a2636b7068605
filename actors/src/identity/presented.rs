//! What a request presents of an identity, wherever the rules look for it: headers, the claims of a token, the TLS
//! client's certificate. And who that makes the caller. Pure: nothing is verified or remembered here.

use std::{fmt, sync::Arc};

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{AUTHORIZATION, GetAll},
};

use super::{
    Denied, InvalidClientId, Peer, Rules, Source,
    claims::{Claim, Claims},
};
use crate::principal::{ClientId, Group, Principal};

/// Where a token or a key is looked for; the first one that is there counts.
static KEY_HEADERS: [HeaderName; 2] =
    [HeaderName::from_static("x-api-key"), HeaderName::from_static("x-goog-api-key")];
/// The scheme of `Authorization`, in any case, and the one blank after it.
const SCHEME: &[u8] = b"bearer ";
/// The claim whose list means its first entry (RFC 7519, 4.1.3 lets an audience of one be written either way).
const AUDIENCE: &str = "aud";

/// The token or key of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Credential<'h> {
    /// There is none, or it is empty.
    Absent,
    /// There is an `Authorization`, but of another scheme.
    NotBearer,
    /// This one. Never empty.
    Token(&'h [u8]),
}

/// The parts of an identity, as far as the rules ask for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Presented {
    client: Presence,
    group: Presence,
    /// What the token adds: it comes last, since it may have to be verified.
    pub(super) told: Told,
}

/// One part of an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Presence {
    /// It is not there, or nobody asks for it.
    Absent,
    /// A header, once, which is the only sound way.
    Once(HeaderValue),
    /// A header more than once: nobody can say which one a proxy in front has checked.
    Repeated,
    /// Text of a token.
    Text(Box<str>),
    /// A name in a certificate, made into an id once for all calls of its connection.
    Shown(Result<ClientId, InvalidClientId>),
    /// A list in a token.
    List(Vec<Box<str>>),
}

/// What a token says of its bearer, decided: the parts that the rules read from claims. `None` = not from claims.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    client: Option<Result<ClientId, Denied>>,
    group: Option<Result<Option<Group>, Denied>>,
}

impl fmt::Debug for Credential<'_> {
    /// Not the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "Absent",
            Self::NotBearer => "NotBearer",
            Self::Token(_) => "Token(\"…\")",
        })
    }
}

impl<'h> Credential<'h> {
    /// The first that is present of `Authorization`, `x-api-key` and `x-goog-api-key`.
    ///
    /// # Errors
    /// When one of them is there more than once.
    pub(super) fn of(headers: &'h HeaderMap) -> Result<Self, Denied> {
        refuse_repeated_authorization(headers)?;
        if KEY_HEADERS.iter().any(|name| is_repeated(&headers.get_all(name))) {
            return Err(Denied::RepeatedKey);
        }
        Ok(match headers.get(AUTHORIZATION).map_or(Self::Absent, |value| Self::bearer(value.as_bytes())) {
            Self::Absent => {
                let keys = KEY_HEADERS.iter().filter_map(|name| headers.get(name));
                keys.map(HeaderValue::as_bytes).find(|key| !key.is_empty()).map_or(Self::Absent, Self::Token)
            }
            found => found,
        })
    }

    /// The value of an `Authorization`; the scheme alone is as good as no header.
    fn bearer(value: &'h [u8]) -> Self {
        let scheme = &value[..value.len().min(SCHEME.len())];
        match &value[scheme.len()..] {
            _ if value.eq_ignore_ascii_case(SCHEME.trim_ascii_end()) => Self::Absent,
            _ if !scheme.eq_ignore_ascii_case(SCHEME) => Self::NotBearer,
            [] => Self::Absent,
            token => Self::Token(token),
        }
    }
}

/// # Errors
/// When there are several: which one another proxy would believe is anyone's guess.
pub(super) fn refuse_repeated_authorization(headers: &HeaderMap) -> Result<(), Denied> {
    match is_repeated(&headers.get_all(AUTHORIZATION)) {
        true => Err(Denied::RepeatedAuthorization),
        false => Ok(()),
    }
}

fn is_repeated(values: &GetAll<'_, HeaderValue>) -> bool {
    values.iter().nth(1).is_some()
}

impl Presented {
    /// Takes what `rules` ask for, and nothing else, from a request of `peer`, its token apart.
    pub(super) fn of(rules: &Rules, headers: &HeaderMap, peer: &Peer) -> Self {
        let of = |source: Option<&Source>| match source {
            Some(Source::Header(name)) if rules.trusted_proxies.believe(peer.address) => {
                Presence::of_header(name, headers)
            }
            Some(Source::Certificate(field)) => {
                let shown = peer.certificate.as_deref().and_then(|certificate| certificate.name(*field));
                shown.map_or(Presence::Absent, |name| Presence::Shown(name.clone()))
            }
            Some(Source::Header(_) | Source::Claim(_)) | None => Presence::Absent,
        };
        let (client, group) = (of(rules.client.as_ref()), of(rules.group.as_ref()));
        Self { client, group, told: Told::default() }
    }

    /// Whether nothing here says which client calls, rightly or wrongly.
    pub(super) fn names_nobody(&self) -> bool {
        match &self.told.client {
            Some(told) => *told == Err(Denied::MissingClientId),
            None => self.client == Presence::Absent,
        }
    }

    /// Who presents this, by these rules.
    ///
    /// # Errors
    /// The first thing that is wrong, the client id before the group.
    pub(super) fn decide(self, rules: &Rules) -> Result<Principal, Denied> {
        let client = match (self.told.client, &rules.client) {
            (Some(told), _) => Some(told?),
            (None, Some(_)) => Some(client(&self.client)?),
            (None, None) => None,
        };
        let group = self.told.group.unwrap_or_else(|| rules.group(&self.group))?;
        Ok(Principal { client, group })
    }
}

impl Presence {
    fn of_header(name: &HeaderName, headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Self::Absent,
            (Some(value), None) => Self::Once(value.clone()),
            (Some(_), Some(_)) => Self::Repeated,
        }
    }

    fn of_claim(name: &str, claims: &Claims) -> Self {
        match claims.find(name) {
            Claim::Absent => Self::Absent,
            Claim::Text(text) => Self::Text(text),
            Claim::List(list) => Self::List(list),
        }
    }

    /// A list names no client, except that an audience is its first entry.
    fn of_client_claim(name: &str, claims: &Claims) -> Self {
        match Self::of_claim(name, claims) {
            Self::List(list) if name == AUDIENCE => list.into_iter().next().map_or(Self::Absent, Self::Text),
            Self::List(_) => Self::Absent,
            one => one,
        }
    }
}

impl Told {
    /// What `claims` say.
    pub(super) fn by(rules: &Rules, claims: &Claims) -> Self {
        let claim = |source: &Option<Source>| match source {
            Some(Source::Claim(name)) => Some(Arc::clone(name)),
            _ => None,
        };
        let group_of = |name: Arc<str>| rules.group(&Presence::of_claim(&name, claims));
        Self {
            client: claim(&rules.client).map(|name| client(&Presence::of_client_claim(&name, claims))),
            group: claim(&rules.group).map(group_of),
        }
    }
}

fn client(presence: &Presence) -> Result<ClientId, Denied> {
    let id = match presence {
        Presence::Absent | Presence::List(_) => return Err(Denied::MissingClientId),
        Presence::Repeated => Err(InvalidClientId::Repeated),
        Presence::Once(value) => client_id(value.to_str().map_err(|_| Denied::MissingClientId)?),
        Presence::Text(text) => client_id(text),
        Presence::Shown(name) => name.clone(),
    };
    id.map_err(Denied::InvalidClientId)
}

/// The id of this name, if it is not too long for one.
pub(super) fn client_id(name: &str) -> Result<ClientId, InvalidClientId> {
    if name.len() > ClientId::MAX_BYTES { Err(InvalidClientId::TooLong) } else { Ok(ClientId::new(name)) }
}

impl Rules {
    fn group(&self, presence: &Presence) -> Result<Option<Group>, Denied> {
        let name = match presence {
            Presence::Absent => None,
            Presence::Repeated => return Err(Denied::RepeatedGroup),
            Presence::Once(value) => value.to_str().ok(),
            Presence::Text(text) => Some(&**text),
            Presence::Shown(name) => name.as_ref().ok().map(ClientId::as_str),
            Presence::List(names) => return self.first_of(names).map(Some),
        };
        match name {
            None if self.require_group => Err(Denied::MissingGroup),
            None => Ok(None),
            Some(name) => self.listed(name).map(Some).ok_or_else(|| refused(name)),
        }
    }

    /// The first listed group of a list.
    fn first_of(&self, names: &[Box<str>]) -> Result<Group, Denied> {
        let listed = names.iter().find_map(|name| self.listed(name));
        listed.ok_or_else(|| refused(names.first().map_or("", |name| &**name)))
    }

    /// The group of this name, if callers may be of it. The listed one is shared, not copied.
    fn listed(&self, name: &str) -> Option<Group> {
        if name.len() > Group::MAX_BYTES {
            return None;
        }
        let group = Group::new(name);
        if self.groups.is_empty() { Some(group) } else { self.groups.get(&group).cloned() }
    }
}

fn refused(name: &str) -> Denied {
    if name.len() > Group::MAX_BYTES {
        return Denied::GroupTooLong;
    }
    tracing::debug!(group = name, "group is not listed");
    Denied::UnlistedGroup
}

#[cfg(test)]
mod tests;
