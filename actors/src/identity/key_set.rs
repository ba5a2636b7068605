//! The keys that verify tokens, out of a JWKS (RFC 7517). Pure: where the document comes from is not known here.
//!
//! What a key may do is settled when it is read: it holds a verifier for each algorithm that its type, size and `alg`
//! allow, so no token can talk it into another.

use std::{collections::HashSet, error, fmt};

use aws_lc_rs::{
    digest::{Context, SHA256, SHA256_OUTPUT_LEN},
    hmac,
    signature::{self, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents, VerificationAlgorithm},
};
use jsonwebtoken::{
    Algorithm, DecodingKey, DecodingKeyKind,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The most keys in a set; entries behind the last of these are not read.
const MAX_KEYS: usize = 1024;
/// The most keys that one token is tried with, the first in the set that serve its algorithm: a token that names no key
/// costs its sender nothing, and each try takes tens of microseconds.
const MAX_TRIES: usize = 64;
/// Sizes of RSA moduli, in bits: RFC 7518 §3.3 asks for 2048, and a verification takes time by the square of it.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// The longest RSA exponent that the library takes, in bits.
const RSA_EXPONENT_BITS: usize = 33;
/// The shortest symmetric key, in bytes: shorter ones can be found from one token, at leisure. (RFC 7518 §3.2 asks for
/// as many as the hash has; 256 bits are beyond guessing under any of them.)
const SECRET_BYTES: usize = 32;

/// The keys that verify tokens: at least one, at most 1,024.
pub struct KeySet {
    keys: Vec<Key>,
    ids: HashSet<KeyId>,
    skipped: usize,
}

/// Why there is no key set. For operators; holds nothing of the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySetError(Fault);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Fault {
    /// Not JSON, by line and column.
    Json(usize, usize),
    /// JSON, but no JWKS.
    Shape,
    /// No entries.
    Empty,
    /// None of so many entries can be used, the first for this reason.
    Unusable(usize, &'static str),
}

/// Which key: the hash of its material, `kid` and `alg`. A key that comes back in a later set has the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct KeyId([u8; SHA256_OUTPUT_LEN]);

/// Why no key vouches for a token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mismatch {
    /// No key has this `kid`.
    UnknownKid,
    /// There are keys, but the signature is by none of them, or they do not serve the algorithm.
    Signature,
}

/// A key that can be used.
struct Key {
    id: KeyId,
    kid: Option<Box<str>>,
    /// At least one, each of its own algorithm.
    verifiers: Vec<(Algorithm, Verifier)>,
}

/// Checks signatures of one algorithm.
enum Verifier {
    Public(ParsedPublicKey),
    Secret(Box<hmac::Key>),
}

/// A JWKS, as far as it is read at once.
#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

impl KeySet {
    /// Reads a JWKS. Entries that cannot be used are skipped: of an unknown type or curve, for something else than
    /// verifying (`use`, `key_ops`, `alg`), for none of `accepted`, broken or too small, or beyond the most that a set
    /// may have. Symmetric algorithms may be in `accepted` only if the document is a local secret.
    ///
    /// # Errors
    /// The document is no JWKS, or no entry can be used.
    pub fn parse(document: &[u8], accepted: &[Algorithm]) -> Result<Self, KeySetError> {
        let Document { keys: entries } = serde_json::from_slice(document).map_err(|error| {
            // Not the library's own words: they cite what they stumble over.
            KeySetError(match error.is_data() {
                true => Fault::Shape,
                false => Fault::Json(error.line(), error.column()),
            })
        })?;
        let (mut keys, mut reason) = (Vec::new(), None);
        for entry in &entries {
            match Key::read(entry, accepted) {
                Ok(key) => keys.push(key),
                Err(why) => reason = reason.or(Some(why)),
            }
            if keys.len() == MAX_KEYS {
                break;
            }
        }
        match (keys.is_empty(), reason) {
            (false, _) => {
                let ids = keys.iter().map(|key: &Key| key.id).collect();
                Ok(Self { skipped: entries.len() - keys.len(), keys, ids })
            }
            (true, Some(why)) => Err(KeySetError(Fault::Unusable(entries.len(), why))),
            (true, None) => Err(KeySetError(Fault::Empty)),
        }
    }

    /// How many keys there are; never 0.
    #[allow(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// How many entries of the document were skipped.
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// Whether there may be more keys in the document than a set holds.
    pub(super) fn is_full(&self) -> bool {
        self.keys.len() == MAX_KEYS
    }

    /// Whether this very key is in the set.
    pub(super) fn holds(&self, key: &KeyId) -> bool {
        self.ids.contains(key)
    }

    /// Whether every key of `older` is still in this set.
    pub(super) fn holds_all_of(&self, older: &Self) -> bool {
        older.ids.is_subset(&self.ids)
    }

    /// The key whose signature of `message` this is: of those that have the `kid`, or of all where none is named, 64 at
    /// most are tried.
    ///
    /// # Errors
    /// There is no such key.
    pub(super) fn signer(
        &self,
        algorithm: Algorithm,
        kid: Option<&str>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<KeyId, Mismatch> {
        let is_named = |key: &&Key| kid.is_none() || key.kid.as_deref() == kid;
        let mut named = self.keys.iter().filter(is_named).peekable();
        if named.peek().is_none() {
            return Err(Mismatch::UnknownKid);
        }
        let mut serving = named.filter_map(|key| Some((key.id, key.verifier(algorithm)?))).take(MAX_TRIES);
        let signer = serving.find(|(_, verifier)| verifier.accepts(message, signature));
        signer.map(|(id, _)| id).ok_or(Mismatch::Signature)
    }
}

impl Key {
    /// # Errors
    /// Why the entry cannot be used.
    fn read(entry: &RawValue, accepted: &[Algorithm]) -> Result<Self, &'static str> {
        let jwk: Jwk = serde_json::from_str(entry.get()).map_err(|_| "it is no JWK")?;
        let common = &jwk.common;
        if common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
            return Err("its `use` is not \"sig\"");
        }
        if common.key_operations.as_ref().is_some_and(|all| !all.contains(&KeyOperations::Verify)) {
            return Err("its `key_ops` are without \"verify\"");
        }
        let alg = common.key_algorithm.map(Algorithm::try_from).transpose();
        let alg = alg.map_err(|_| "its `alg` is not known as one for signatures")?;
        let possible = algorithms(&jwk.algorithm)?;
        let material = DecodingKey::from_jwk(&jwk).map_err(|_| "it is not in base64url")?;
        if alg.is_some_and(|alg| !possible.contains(&alg)) {
            return Err("its `alg` does not fit its type");
        }
        let served = possible.iter().filter(|possible| alg.is_none_or(|alg| alg == **possible));
        let served = served.filter(|served| accepted.contains(served));
        let verifier = |served: &Algorithm| Verifier::new(*served, material.kind()).map(|it| (*served, it));
        let verifiers = served.map(verifier).collect::<Result<Vec<_>, _>>()?;
        if verifiers.is_empty() {
            return Err("it serves none of the accepted algorithms");
        }
        let kid = common.key_id.as_deref();
        Ok(Self { id: KeyId::of(kid, alg, material.kind()), kid: kid.map(Into::into), verifiers })
    }

    fn verifier(&self, algorithm: Algorithm) -> Option<&Verifier> {
        self.verifiers.iter().find(|(served, _)| *served == algorithm).map(|(_, verifier)| verifier)
    }
}

impl KeyId {
    fn of(kid: Option<&str>, alg: Option<Algorithm>, material: &DecodingKeyKind) -> Self {
        let mut hash = Context::new(&SHA256);
        // Each part behind its length: no two keys run into the same bytes.
        let mut add = |part: &[u8]| {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part);
        };
        add(format!("{alg:?} {}", kid.is_some()).as_bytes());
        add(kid.unwrap_or_default().as_bytes());
        match material {
            DecodingKeyKind::SecretOrDer(bytes) => add(bytes),
            DecodingKeyKind::RsaModulusExponent { n, e } => [n, e].into_iter().for_each(|part| add(part)),
        }
        let mut id = [0; SHA256_OUTPUT_LEN];
        id.copy_from_slice(hash.finish().as_ref());
        Self(id)
    }
}

impl Verifier {
    /// # Errors
    /// Why the material cannot be used with the algorithm.
    fn new(algorithm: Algorithm, material: &DecodingKeyKind) -> Result<Self, &'static str> {
        match material {
            DecodingKeyKind::RsaModulusExponent { n, e } => Self::rsa(algorithm, n, e),
            DecodingKeyKind::SecretOrDer(bytes) => match algorithm {
                Algorithm::ES256 => Self::point(&signature::ECDSA_P256_SHA256_FIXED, bytes, 65),
                Algorithm::ES384 => Self::point(&signature::ECDSA_P384_SHA384_FIXED, bytes, 97),
                Algorithm::EdDSA => Self::point(&signature::ED25519, bytes, 32),
                Algorithm::HS256 => Self::secret(hmac::HMAC_SHA256, bytes),
                Algorithm::HS384 => Self::secret(hmac::HMAC_SHA384, bytes),
                Algorithm::HS512 => Self::secret(hmac::HMAC_SHA512, bytes),
                _ => Err("its type is not known"),
            },
        }
    }

    fn rsa(algorithm: Algorithm, n: &[u8], e: &[u8]) -> Result<Self, &'static str> {
        let parameters: &'static RsaParameters = match algorithm {
            Algorithm::RS256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Algorithm::RS384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Algorithm::RS512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Algorithm::PS256 => &signature::RSA_PSS_2048_8192_SHA256,
            Algorithm::PS384 => &signature::RSA_PSS_2048_8192_SHA384,
            Algorithm::PS512 => &signature::RSA_PSS_2048_8192_SHA512,
            _ => return Err("its type is not known"),
        };
        // The library finds these only when it verifies. An exponent of 1 would make every message its own signature.
        let (n, e) = (without_leading_zeros(n), without_leading_zeros(e));
        let is_odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
        if !RSA_BITS.contains(&bits(n)) {
            return Err("its RSA modulus is not of 2048 to 8192 bits");
        }
        if !is_odd(n) || !is_odd(e) || !(2..=RSA_EXPONENT_BITS).contains(&bits(e)) {
            return Err("it is no sound RSA key");
        }
        let key = RsaPublicKeyComponents { n, e }.to_parsed_public_key(parameters);
        key.map(Self::Public).map_err(|_| "it is no sound RSA key")
    }

    fn point(
        algorithm: &'static dyn VerificationAlgorithm,
        bytes: &[u8],
        length: usize,
    ) -> Result<Self, &'static str> {
        let key = (bytes.len() == length).then(|| ParsedPublicKey::new(algorithm, bytes).ok()).flatten();
        key.map(Self::Public).ok_or("it is no point of its curve")
    }

    fn secret(algorithm: hmac::Algorithm, bytes: &[u8]) -> Result<Self, &'static str> {
        match bytes.len() {
            ..SECRET_BYTES => Err("a symmetric key needs at least 32 bytes"),
            SECRET_BYTES.. => Ok(Self::Secret(Box::new(hmac::Key::new(algorithm, bytes)))),
        }
    }

    fn accepts(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Public(key) => key.verify_sig(message, signature).is_ok(),
            Self::Secret(key) => hmac::verify(key, message, signature).is_ok(),
        }
    }
}

/// What a key of this type can verify.
fn algorithms(key: &AlgorithmParameters) -> Result<&'static [Algorithm], &'static str> {
    use Algorithm::{ES256, ES384, EdDSA, HS256, HS384, HS512, PS256, PS384, PS512, RS256, RS384, RS512};
    match key {
        AlgorithmParameters::RSA(_) => Ok(&[RS256, RS384, RS512, PS256, PS384, PS512]),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Ok(&[ES256]),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => Ok(&[ES384]),
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Ok(&[EdDSA]),
        AlgorithmParameters::OctetKey(_) => Ok(&[HS256, HS384, HS512]),
        _ => Err("its type or curve is not known"),
    }
}

/// Of a big-endian number.
fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

/// How long a big-endian number without leading zeros is, in bits.
fn bits(number: &[u8]) -> usize {
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet")
            .field("len", &self.len())
            .field("skipped", &self.skipped)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for KeyId {
    /// Not the bytes: of a weak symmetric key they are as good as the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyId").finish_non_exhaustive()
    }
}

impl fmt::Display for KeySetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Fault::Json(line, column) => write!(f, "the key set is not JSON at line {line} column {column}"),
            Fault::Shape => f.write_str("the key set is no object with a list `keys` (RFC 7517)"),
            Fault::Empty => f.write_str("the key set has no keys"),
            Fault::Unusable(1, why) => write!(f, "the one key of the key set cannot be used: {why}"),
            Fault::Unusable(count, why) => {
                write!(f, "none of the {count} keys of the key set can be used; of the first: {why}")
            }
        }
    }
}

impl error::Error for KeySetError {}

#[cfg(test)]
mod tests;
