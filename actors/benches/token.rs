//! What the first sight of a token costs, good and forged. Later ones are remembered.
//! Run with `cargo bench -p nexus-actors --bench token`.

use std::hint::black_box;

use actors::identity::{Algorithm, KeySet, KeySource, Verification, read_token};
use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeySize, PublicKeyComponents},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
        RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
    },
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use divan::{Bencher, counter::ItemsCount};

const NOW: u64 = 1_700_000_000;
const ALGORITHMS: [Algorithm; 4] = [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA];
/// What an access token of a large identity provider holds.
const PAYLOAD: &str = r#"{"iss":"https://id.example.com/realms/acme","sub":"248289761001","aud":["nexus","account"],
    "exp":1700000300,"iat":1700000000,"nbf":1700000000,"jti":"f3a1c9e0-6a0c-4f5e-9a55-0c1c0e1d7b4f","typ":"Bearer",
    "azp":"web","session_state":"b1a7","scope":"openid profile email","email_verified":true,"name":"Jane Doe",
    "preferred_username":"jane","email":"jane@example.com","realm_access":{"roles":["offline_access","user"]},
    "resource_access":{"account":{"roles":["manage-account","view-profile"]}},"groups":["premium","staff"]}"#;

/// Keys and tokens of one issuer.
struct Issuer {
    keys: KeySet,
    policy: Verification,
    token: String,
}

fn main() {
    divan::main();
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// A key of this algorithm: its JWK, and the signature it makes of a message.
fn signed(algorithm: Algorithm, message: &str) -> Option<(String, Vec<u8>)> {
    let random = SystemRandom::new();
    let rsa = |encoding: &'static dyn RsaEncoding| {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).ok()?;
        let PublicKeyComponents::<Vec<u8>> { n, e } = pair.public_key().into();
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(encoding, &random, message.as_bytes(), &mut signature).ok()?;
        Some((format!(r#""kty":"RSA","n":"{}","e":"{}""#, encode(n), encode(e)), signature))
    };
    match algorithm {
        Algorithm::RS256 => rsa(&RSA_PKCS1_SHA256),
        Algorithm::PS256 => rsa(&RSA_PSS_SHA256),
        Algorithm::ES256 => {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).ok()?;
            let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
            let jwk = format!(r#""kty":"EC","crv":"P-256","x":"{}","y":"{}""#, encode(x), encode(y));
            Some((jwk, pair.sign(&random, message.as_bytes()).ok()?.as_ref().to_vec()))
        }
        _ => {
            let pair = Ed25519KeyPair::generate().ok()?;
            let jwk = format!(r#""kty":"OKP","crv":"Ed25519","x":"{}""#, encode(pair.public_key()));
            Some((jwk, pair.sign(message.as_bytes()).as_ref().to_vec()))
        }
    }
}

fn issuer(algorithm: Algorithm) -> Option<Issuer> {
    let header = format!(r#"{{"alg":"{algorithm:?}","typ":"JWT","kid":"2023-11-key"}}"#);
    let message = format!("{}.{}", encode(header), encode(PAYLOAD));
    let (jwk, signature) = signed(algorithm, &message)?;
    let document = format!(r#"{{"keys":[{{"kid":"2023-11-key","use":"sig",{jwk}}}]}}"#);
    let policy = Verification {
        keys: KeySource::File("keys.json".into()),
        poll_interval: None,
        issuer: Some("https://id.example.com/realms/acme".to_owned()),
        audience: Some("nexus".to_owned()),
        algorithms: ALGORITHMS.to_vec(),
    };
    let keys = KeySet::parse(document.as_bytes(), &ALGORITHMS).ok()?;
    Some(Issuer { keys, policy, token: format!("{message}.{}", encode(signature)) })
}

#[divan::bench(args = ALGORITHMS)]
fn verify_at_first_sight(bencher: Bencher, algorithm: Algorithm) {
    let Some(Issuer { keys, policy, token }) = issuer(algorithm) else { return };
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        assert!(black_box(read_token(&token, &keys, &policy, NOW, "realm_access.roles")).is_some());
    });
}

/// The payload is another than the one that was signed.
#[divan::bench(args = ALGORITHMS)]
fn refuse_a_forged_one(bencher: Bencher, algorithm: Algorithm) {
    let Some(Issuer { keys, policy, token }) = issuer(algorithm) else { return };
    let forged = token.replacen(".ey", ".eA", 1);
    assert_ne!(token, forged);
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        assert!(black_box(read_token(&forged, &keys, &policy, NOW, "sub")).is_none());
    });
}

/// The largest that is read at all, of no known shape.
#[divan::bench]
fn refuse_16_kib_of_nothing(bencher: Bencher) {
    let Some(Issuer { keys, policy, .. }) = issuer(Algorithm::ES256) else { return };
    let nothing = format!("{}.{}.AAAA", "a".repeat(8_000), "a".repeat(8_000));
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        assert!(black_box(read_token(&nothing, &keys, &policy, NOW, "sub")).is_none());
    });
}
