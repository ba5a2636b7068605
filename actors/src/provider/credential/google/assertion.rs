//! What a service account signs to get a token (RFC 7523 §2.1). Pure: the time is an argument; the padding of RS256 has
//! no chance in it.
//! <https://developers.google.com/identity/protocols/oauth2/service-account#authorizingrequests>

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::{rand::SystemRandom, rsa::KeyPair, signature::RSA_PKCS1_SHA256};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};

use super::SCOPE;
use crate::{
    provider::credential::{
        Failed,
        document::{self, Claims},
    },
    secret::Secret,
};

/// How long an assertion is good, in seconds: as long as Google takes it.
const LIFE: u64 = 3600;

/// A token that says who asks, signed with the account's key.
///
/// # Errors
/// When the key is no RSA key in PEM.
pub(super) fn signed(
    email: &str,
    private_key: &Secret,
    key_id: Option<&str>,
    audience: &str,
    now: SystemTime,
) -> Result<String, Failed> {
    let iat = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let claims = Claims { iss: email, scope: SCOPE, aud: audience, iat, exp: iat + LIFE };
    let [header, claims] = document::unsigned(key_id, &claims)?;
    let [header, claims] = [header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
    let signed = format!("{header}.{claims}");
    let key = read(private_key).ok_or_else(|| Failed::new("its private key is no RSA key in PEM"))?;
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
        .map_err(|_| Failed::new("nothing can be signed with its private key"))?;
    Ok(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
}

fn read(private_key: &Secret) -> Option<KeyPair> {
    match PrivateKeyDer::from_pem_slice(private_key.expose().as_bytes()).ok()? {
        PrivateKeyDer::Pkcs8(der) => KeyPair::from_pkcs8(der.secret_pkcs8_der()).ok(),
        PrivateKeyDer::Pkcs1(der) => KeyPair::from_der(der.secret_pkcs1_der()).ok(),
        _ => None,
    }
}
