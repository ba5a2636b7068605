//! An issuer of tokens, with a key of each type that a local file may hold. It signs whatever it is told to.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    rsa::PublicKeyComponents,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

/// An RSA key of the tests, as RFC 8017 has it: making one takes a second. It protects nothing.
const RSA: &[u8] =
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/actors/src/identity/token/tests/rsa.der"));

/// The keys, by the names of their algorithms, which are their `kid`s too.
pub(crate) struct Issuer {
    rsa: RsaKeyPair,
    p256: EcdsaKeyPair,
    secret: String,
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

impl Issuer {
    /// With this symmetric key, of 32 bytes at least.
    pub(crate) fn new(secret: &str) -> Self {
        Self {
            rsa: RsaKeyPair::from_der(RSA).unwrap(),
            p256: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            secret: secret.to_owned(),
        }
    }

    /// The key set, for a local file.
    pub(crate) fn jwks(&self) -> String {
        let rsa: PublicKeyComponents<Vec<u8>> = self.rsa.public_key().into();
        let (x, y) = self.p256.public_key().as_ref()[1..].split_at(32);
        let keys = json!({"keys": [
            {"kid": "RS256", "kty": "RSA", "n": encode(rsa.n), "e": encode(rsa.e)},
            {"kid": "ES256", "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y)},
            {"kid": "HS256", "kty": "oct", "k": self.encoded_secret()},
        ]});
        keys.to_string()
    }

    /// The symmetric key as it stands in the key set.
    pub(crate) fn encoded_secret(&self) -> String {
        encode(&self.secret)
    }

    /// The RSA key as the file of a service account has it.
    pub(crate) fn private_key(&self) -> String {
        let key = BASE64_STANDARD.encode(RSA);
        format!("-----BEGIN RSA PRIVATE KEY-----\n{key}\n-----END RSA PRIVATE KEY-----\n")
    }

    /// A token of this algorithm and these claims, good for an hour unless they say otherwise.
    pub(crate) fn token(&self, algorithm: &str, mut claims: Value) -> String {
        let claims = claims.as_object_mut().unwrap();
        claims.entry("exp").or_insert((now() + 3600).into());
        let header = json!({"alg": algorithm, "kid": algorithm});
        let claims = serde_json::to_string(claims).unwrap();
        let signed = format!("{}.{}", encode(header.to_string()), encode(claims));
        let signature = encode(self.sign(algorithm, signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match algorithm {
            "RS256" => {
                let mut signature = vec![0; self.rsa.public_modulus_len()];
                self.rsa.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
            "ES256" => self.p256.sign(&random, message).unwrap().as_ref().to_vec(),
            "HS256" => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, self.secret.as_bytes());
                hmac::sign(&key, message).as_ref().to_vec()
            }
            other => panic!("no key for {other}"),
        }
    }
}
