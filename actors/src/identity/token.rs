//! Verifying a JWT (RFC 7519, RFC 7515 compact form; RFC 8725 for what is refused). Pure: keys, policy and time are
//! arguments.
//!
//! Of the header only `alg`, `kid` and `crit` are looked at. A key that a token brings along or points at (`jwk`, `jku`,
//! `x5c`, `x5u`) is as good as none.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;

use super::{
    claims::{Claims, Object, WrongType},
    key_set::{KeyId, KeySet, Mismatch},
    rules::Verification,
};

/// By how much clocks may differ, in seconds.
pub(super) const LEEWAY: u64 = 60;

/// The longest token that is read, in bytes.
pub(super) const MAX_BYTES: usize = 16 * 1024;

/// A token that can be believed.
#[derive(Debug)]
pub(super) struct Verified {
    /// What it says.
    pub(super) claims: Claims,
    /// It is good before this time: `exp` + leeway, in unix seconds.
    pub(super) until: u64,
    /// Who vouches for it.
    pub(super) key: KeyId,
}

/// Why a token is not believed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Invalid {
    /// Not a JWT at all: 401 "invalid token".
    Malformed,
    /// 401 "unauthorized"; the reason is for debug logs.
    Refused(&'static str),
    /// Names a `kid` that is not in the set: 401 "unauthorized", and worth a look at fresh keys.
    UnknownKey,
}

/// A token in its three parts, decoded.
struct Parts<'t> {
    header: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
    /// What the signature is of.
    signed: &'t str,
}

/// Whether the token is signed by one of the keys, in a way and with claims that the policy allows, and good at `now`
/// (unix seconds).
///
/// # Errors
/// It is not. The signature is looked at before the payload: of a forged token nothing is read but its header.
pub(super) fn verify(
    token: &str,
    keys: &KeySet,
    policy: &Verification,
    now: u64,
) -> Result<Verified, Invalid> {
    let parts = Parts::of(token).ok_or(Invalid::Malformed)?;
    let header = Object::read(&parts.header).ok_or(Invalid::Malformed)?;
    let key = signer(&header, &parts, keys, policy)?;
    let claims = Claims::parse(&parts.payload).ok_or(Invalid::Refused("the payload is no sound object"))?;
    let until = check(&claims, policy, now)?;
    Ok(Verified { claims, until, key })
}

/// The claims of a token that a proxy in front has verified. Signature, times and everything else go unseen; the
/// signature may be empty. Only a `sub` that is no string makes it none, as it would under [`verify`]: two spellings of
/// one number must not be two callers.
pub(super) fn unverified(token: &str) -> Option<Claims> {
    let parts = Parts::of(token)?;
    Object::read(&parts.header)?;
    Claims::parse(&parts.payload).filter(|claims| claims.string("sub").is_ok())
}

impl<'t> Parts<'t> {
    /// Three parts of strict base64url: no padding, no blanks, no bits left over. Only the last may be empty: such a
    /// token is well-formed (RFC 7519 §6), if never signed.
    fn of(token: &'t str) -> Option<Self> {
        if token.len() > MAX_BYTES {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        // A further dot stays in the payload, where it is not base64.
        let (header, payload) = signed.split_once('.').filter(|(_, payload)| !payload.is_empty())?;
        let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).ok();
        let (header, payload, signature) = (decode(header)?, decode(payload)?, decode(signature)?);
        Some(Self { header, payload, signature, signed })
    }
}

/// The key that has signed the token.
fn signer(
    header: &Object<'_>,
    parts: &Parts<'_>,
    keys: &KeySet,
    policy: &Verification,
) -> Result<KeyId, Invalid> {
    let named = header.string("alg").ok().flatten();
    let algorithm = named.and_then(|name| name.parse::<Algorithm>().ok());
    let algorithm = algorithm.filter(|algorithm| policy.algorithms.contains(algorithm));
    let algorithm = algorithm.ok_or(Invalid::Refused("its algorithm is not accepted"))?;
    if header.has("crit") {
        return Err(Invalid::Refused("it asks for extensions (crit)"));
    }
    let kid = header.string("kid").map_err(|WrongType| Invalid::Refused("its kid is no string"))?;
    if parts.signature.is_empty() {
        return Err(Invalid::Refused("it is not signed"));
    }
    let signer = keys.signer(algorithm, kid.as_deref(), parts.signed.as_bytes(), &parts.signature);
    signer.map_err(|mismatch| match mismatch {
        Mismatch::UnknownKid => Invalid::UnknownKey,
        Mismatch::Signature => Invalid::Refused("no key verifies its signature"),
    })
}

/// Until when claims that are good now are good, in unix seconds.
///
/// `exp` is the first moment at which the token is not good any more, `nbf` the first at which it is (RFC 7519 §4.1),
/// each with the leeway. Both are rounded up, which changes nothing for a `now` in whole seconds.
fn check(claims: &Claims, policy: &Verification, now: u64) -> Result<u64, Invalid> {
    let wrong_type = |WrongType| Invalid::Refused("a registered claim has the wrong type");
    let expires = claims.seconds("exp").map_err(wrong_type)?.ok_or(Invalid::Refused("it has no exp"))?;
    let starts = claims.seconds("nbf").map_err(wrong_type)?.unwrap_or(0);
    let issuer = claims.string("iss").map_err(wrong_type)?;
    let audience = claims.strings("aud").map_err(wrong_type)?.unwrap_or_default();
    claims.string("sub").map_err(wrong_type)?;
    let until = expires.saturating_add(LEEWAY);
    if now >= until {
        return Err(Invalid::Refused("it has expired"));
    }
    if now.saturating_add(LEEWAY) < starts {
        return Err(Invalid::Refused("it is not good yet"));
    }
    if policy.issuer.is_some() && policy.issuer.as_deref() != issuer.as_deref() {
        return Err(Invalid::Refused("it is of another issuer"));
    }
    if policy.audience.as_ref().is_some_and(|wanted| !audience.iter().any(|one| one == wanted)) {
        return Err(Invalid::Refused("it is for another audience"));
    }
    Ok(until)
}

#[cfg(test)]
pub(super) mod tests;
