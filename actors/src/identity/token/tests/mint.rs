//! An issuer of tokens for the tests, with a key of each type. It signs by itself, whatever it is told to.

use std::sync::LazyLock;

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    rsa::PublicKeyComponents,
    signature::{
        self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
        KeyPair, RsaEncoding, RsaKeyPair,
    },
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::identity::key_set::KeySet;

/// The one that most tests use.
pub(in crate::identity) static MINT: LazyLock<Mint> = LazyLock::new(Mint::new);

/// Every algorithm, as where the keys are a local secret.
pub(in crate::identity) const ALL: [Algorithm; 12] = [
    Algorithm::HS256,
    Algorithm::HS384,
    Algorithm::HS512,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// The RSA key of every mint, as RFC 8017 has it: making one takes a second. It protects nothing.
const RSA: &[u8] = include_bytes!("rsa.der");

pub(in crate::identity) struct Mint {
    rsa: RsaKeyPair,
    p256: EcdsaKeyPair,
    p384: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
    secret: [u8; 32],
}

/// Base64url as tokens have it.
pub(in crate::identity) fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

impl Mint {
    pub(in crate::identity) fn new() -> Self {
        let mut secret = [0; 32];
        aws_lc_rs::rand::fill(&mut secret).unwrap();
        Self {
            rsa: RsaKeyPair::from_der(RSA).unwrap(),
            p256: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            p384: EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap(),
            ed25519: Ed25519KeyPair::generate().unwrap(),
            secret,
        }
    }

    /// The kid of the key that serves an algorithm.
    pub(in crate::identity) fn kid(algorithm: Algorithm) -> &'static str {
        match algorithm {
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => "secret",
            Algorithm::ES256 => "p256",
            Algorithm::ES384 => "p384",
            Algorithm::EdDSA => "ed25519",
            _ => "rsa",
        }
    }

    /// The JWK of that name, without `use` and `alg`.
    pub(in crate::identity) fn jwk(&self, kid: &str) -> Value {
        let point = |curve, key: &EcdsaKeyPair| {
            let (x, y) = key.public_key().as_ref()[1..].split_at((key.public_key().as_ref().len() - 1) / 2);
            json!({"kid": kid, "kty": "EC", "crv": curve, "x": encode(x), "y": encode(y)})
        };
        match kid {
            "rsa" => {
                let key: PublicKeyComponents<Vec<u8>> = self.rsa.public_key().into();
                json!({"kid": kid, "kty": "RSA", "n": encode(key.n), "e": encode(key.e)})
            }
            "p256" => point("P-256", &self.p256),
            "p384" => point("P-384", &self.p384),
            "ed25519" => {
                json!({"kid": kid, "kty": "OKP", "crv": "Ed25519", "x": encode(self.ed25519.public_key())})
            }
            _ => json!({"kid": kid, "kty": "oct", "k": encode(self.secret)}),
        }
    }

    /// All keys as a set for a local file.
    pub(in crate::identity) fn keys(&self) -> KeySet {
        set(["rsa", "p256", "p384", "ed25519", "secret"].map(|kid| self.jwk(kid)))
    }

    pub(in crate::identity) fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let rsa = |encoding: &'static dyn RsaEncoding| {
            let mut signature = vec![0; self.rsa.public_modulus_len()];
            self.rsa.sign(encoding, &random, message, &mut signature).unwrap();
            signature
        };
        let hmac =
            |algorithm| hmac::sign(&hmac::Key::new(algorithm, &self.secret), message).as_ref().to_vec();
        match algorithm {
            Algorithm::RS256 => rsa(&signature::RSA_PKCS1_SHA256),
            Algorithm::RS384 => rsa(&signature::RSA_PKCS1_SHA384),
            Algorithm::RS512 => rsa(&signature::RSA_PKCS1_SHA512),
            Algorithm::PS256 => rsa(&signature::RSA_PSS_SHA256),
            Algorithm::PS384 => rsa(&signature::RSA_PSS_SHA384),
            Algorithm::PS512 => rsa(&signature::RSA_PSS_SHA512),
            Algorithm::ES256 => self.p256.sign(&random, message).unwrap().as_ref().to_vec(),
            Algorithm::ES384 => self.p384.sign(&random, message).unwrap().as_ref().to_vec(),
            Algorithm::EdDSA => self.ed25519.sign(message).as_ref().to_vec(),
            Algorithm::HS256 => hmac(hmac::HMAC_SHA256),
            Algorithm::HS384 => hmac(hmac::HMAC_SHA384),
            Algorithm::HS512 => hmac(hmac::HMAC_SHA512),
            other => panic!("{other:?} is new"),
        }
    }

    /// A token of exactly this header and payload, signed as `algorithm` whatever the header says.
    pub(in crate::identity) fn token(&self, algorithm: Algorithm, header: &str, payload: &str) -> String {
        let signed = format!("{}.{}", encode(header), encode(payload));
        let signature = encode(self.sign(algorithm, signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// A token as an issuer would make it.
    pub(in crate::identity) fn sound(&self, algorithm: Algorithm, payload: &Value) -> String {
        let header = json!({"typ": "JWT", "alg": algorithm, "kid": Self::kid(algorithm)});
        self.token(algorithm, &header.to_string(), &payload.to_string())
    }
}

/// A set for a local file of these JWKs.
pub(in crate::identity) fn set(keys: impl IntoIterator<Item = Value>) -> KeySet {
    KeySet::parse(jwks(keys).as_bytes(), &ALL).unwrap()
}

/// The document with these JWKs.
pub(in crate::identity) fn jwks(keys: impl IntoIterator<Item = Value>) -> String {
    json!({"keys": keys.into_iter().collect::<Vec<_>>()}).to_string()
}
