//! What callers show, and what identity providers publish.

use std::{str, sync::LazyLock};

use actors::identity::{Algorithm, KeySet, KeySource, Verification, read_token};
use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;

const NOW: u64 = 1_700_000_000;
const SECRET: [u8; 32] = [7; 32];

static KEYS: LazyLock<KeySet> = LazyLock::new(|| {
    let document = format!(r#"{{"keys":[{{"kty":"oct","kid":"k","k":"{}"}}]}}"#, encode(SECRET));
    KeySet::parse(document.as_bytes(), &[Algorithm::HS256]).expect("one key")
});

static POLICY: LazyLock<Verification> = LazyLock::new(|| Verification {
    keys: KeySource::File("keys.json".into()),
    poll_interval: None,
    issuer: None,
    audience: None,
    algorithms: vec![Algorithm::HS256],
});

/// The bytes are a token that nobody has signed; a key set; and, up to the first line end and behind it, the header and
/// the payload of a token that is signed, which is believed only if others would read it so.
pub fn token(bytes: &[u8]) {
    if let Ok(token) = str::from_utf8(bytes) {
        assert_eq!(read(token, "sub"), None);
    }
    for accepted in [&Verification::ASYMMETRIC[..], &[Algorithm::HS256]] {
        match KeySet::parse(bytes, accepted) {
            Ok(keys) => assert!((1..=64).contains(&keys.len())),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (header, payload) = bytes.split_at(end);
    let signed = format!("{}.{}", encode(header), encode(payload));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &SECRET), signed.as_bytes());
    let token = format!("{signed}.{}", encode(signature));
    if let Some(subject) = read(&token, "sub") {
        believed(header, payload, &subject);
        assert_eq!(read(&token[..token.len() - 1], "sub"), None);
    }
}

/// What header and payload of a token are that may be believed.
fn believed(header: &[u8], payload: &[u8], subject: &[Box<str>]) {
    let header: Value = serde_json::from_slice(header).expect("JSON");
    assert!(header["alg"] == "HS256" && header.get("crit").is_none());
    assert!(header.get("kid").is_none_or(|kid| kid == "k"));
    // A number that no float holds, and half of a surrogate pair, are beyond a plain value.
    let Ok(payload) = serde_json::from_slice::<Value>(payload) else { return };
    assert!(payload["exp"].as_f64().expect("a number") + 60.0 > NOW as f64);
    assert!(payload.get("nbf").is_none_or(|nbf| nbf.as_f64().expect("a number") <= NOW as f64 + 60.0));
    assert_eq!(subject.first().map(|text| &**text), payload["sub"].as_str());
}

fn read(token: &str, claim: &str) -> Option<Vec<Box<str>>> {
    read_token(token, &KEYS, &POLICY, NOW, claim)
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
