//! What is signed can be verified by the account's public key.

use std::{sync::LazyLock, time::Duration};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::KeySize,
    signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey},
};
use base64::prelude::BASE64_STANDARD;

use super::*;

/// The key of the tests, made anew for each run.
static KEY: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate(KeySize::Rsa2048).unwrap());

/// It as Google's files have it.
pub(in crate::provider::credential) fn pem() -> String {
    let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&*KEY).unwrap();
    let encoded = BASE64_STANDARD.encode(der.as_ref());
    let lines: Vec<&str> = encoded.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}

/// The header and the claims of an assertion whose signature is right.
pub(in crate::provider::credential) fn verified(assertion: &str) -> [String; 2] {
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).unwrap();
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, KEY.public_key().as_ref());
    key.verify(signed.as_bytes(), &decode(signature)).expect("signed with the key");
    let (header, claims) = signed.split_once('.').unwrap();
    [header, claims].map(|part| String::from_utf8(decode(part)).unwrap())
}

#[test]
fn an_assertion_says_who_asks_whom_for_what_and_is_signed() {
    let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let signed = signed("me@p.iam", &Secret::new(pem()), Some("k1"), "https://token", now).unwrap();
    let [header, claims] = verified(&signed);
    assert_eq!(header, r#"{"alg":"RS256","typ":"JWT","kid":"k1"}"#);
    let scope = "https://www.googleapis.com/auth/cloud-platform";
    assert_eq!(
        claims,
        format!(
            r#"{{"iss":"me@p.iam","scope":"{scope}","aud":"https://token","iat":1700000000,"exp":1700003600}}"#
        )
    );
}

#[test]
fn what_is_no_rsa_key_signs_nothing_and_is_not_repeated() {
    let broken = pem().replacen("MII", "AAA", 1);
    for key in
        ["", "topsecret", &broken, "-----BEGIN PRIVATE KEY-----\ntopsecret\n-----END PRIVATE KEY-----\n"]
    {
        let failed = signed("me", &Secret::new(key.to_owned()), None, "a", UNIX_EPOCH).unwrap_err();
        assert_eq!(failed.to_string(), "its private key is no RSA key in PEM");
    }
}
