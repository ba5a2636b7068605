//! Which keys of a JWKS are used, and what is told of it.

use jsonwebtoken::Algorithm::{ES256, HS256, PS256, RS256};
use serde_json::{Value, json};

use super::*;
use crate::identity::{
    Verification,
    token::tests::mint::{ALL, MINT, Mint, encode, jwks, set},
};

/// The key of that name with one member another.
fn with(kid: &str, name: &str, value: impl Into<Value>) -> Value {
    let mut jwk = MINT.jwk(kid);
    jwk[name] = value.into();
    jwk
}

fn refusal(document: &str) -> String {
    KeySet::parse(document.as_bytes(), &ALL).unwrap_err().to_string()
}

/// Why this is no key.
fn reason(jwk: Value) -> String {
    let error = refusal(&jwks([jwk]));
    error.strip_prefix("the one key of the key set cannot be used: ").expect(&error).to_owned()
}

/// Whether the set takes what the mint signs, without a kid.
fn accepts(keys: &KeySet, algorithm: Algorithm) -> bool {
    keys.signer(algorithm, None, b"message", &MINT.sign(algorithm, b"message")).is_ok()
}

#[test]
fn entries_that_cannot_be_used_are_skipped_and_counted() {
    let document = jwks([
        json!({"kty": "RSA"}),
        json!("rsa"),
        MINT.jwk("p256"),
        with("p384", "use", "enc"),
        json!({"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}),
        MINT.jwk("rsa"),
    ]);
    let keys = KeySet::parse(document.as_bytes(), &Verification::ASYMMETRIC).unwrap();
    assert_eq!((keys.len(), keys.skipped()), (2, 4));
    assert!(accepts(&keys, ES256) && accepts(&keys, RS256));
}

#[test]
fn what_is_no_key_set_says_so_without_citing_it() {
    assert_eq!(refusal(""), "the key set is not JSON at line 1 column 0");
    assert_eq!(refusal("<html>"), "the key set is not JSON at line 1 column 1");
    assert_eq!(refusal("{\"keys\":[]} x"), "the key set is not JSON at line 1 column 13");
    for shape in ["{}", "[]", "null", "{\"keys\":\"hush\"}", "{\"keys\":{}}", "{\"keys\":[],\"keys\":[]}"] {
        assert_eq!(refusal(shape), "the key set is no object with a list `keys` (RFC 7517)", "{shape}");
    }
    assert_eq!(refusal("{\"keys\":[]}"), "the key set has no keys");
    let two = jwks([with("rsa", "use", "enc"), json!(5)]);
    assert_eq!(
        refusal(&two),
        "none of the 2 keys of the key set can be used; of the first: its `use` is not \"sig\""
    );
}

#[test]
fn symmetric_keys_serve_only_where_their_algorithms_are_accepted() {
    let document = jwks([MINT.jwk("secret"), MINT.jwk("p256")]);
    let fetched = KeySet::parse(document.as_bytes(), &Verification::ASYMMETRIC).unwrap();
    assert_eq!((fetched.len(), fetched.skipped()), (1, 1));
    assert!(!accepts(&fetched, HS256) && accepts(&fetched, ES256));
    let local = KeySet::parse(document.as_bytes(), &ALL).unwrap();
    assert!(accepts(&local, HS256) && local.skipped() == 0);
    assert!(KeySet::parse(jwks([MINT.jwk("secret")]).as_bytes(), &Verification::ASYMMETRIC).is_err());
}

#[test]
fn a_key_is_read_for_the_accepted_algorithms_alone() {
    let document = jwks([MINT.jwk("rsa"), MINT.jwk("p256"), with("ed25519", "x", "broken")]);
    let keys = KeySet::parse(document.as_bytes(), &[PS256, ES256]).unwrap();
    let served: Vec<_> = keys.keys.iter().flat_map(|key| &key.verifiers).map(|(served, _)| *served).collect();
    assert_eq!((served, keys.skipped()), (vec![PS256, ES256], 1));
    let none = KeySet::parse(jwks([MINT.jwk("rsa")]).as_bytes(), &[ES256]).unwrap_err().to_string();
    assert!(none.ends_with("it serves none of the accepted algorithms"), "{none}");
    let labelled = jwks([with("rsa", "alg", "RS256")]);
    assert!(KeySet::parse(labelled.as_bytes(), &[PS256]).is_err());
}

#[test]
fn a_token_is_tried_with_64_keys_that_serve_its_algorithm_and_no_more() {
    let others = |count: usize| (0..count).map(|_| Mint::new().jwk("p256"));
    let rsa = |kid: &str| with("rsa", "kid", kid);
    let last: Vec<_> = [rsa("a"), rsa("b")].into_iter().chain(others(63)).chain([MINT.jwk("p256")]).collect();
    assert!(accepts(&set(last), ES256), "keys of other algorithms do not count");
    let behind: Vec<_> = others(64).chain([MINT.jwk("p256")]).collect();
    let keys = set(behind);
    let signature = MINT.sign(ES256, b"message");
    for kid in [None, Some("p256")] {
        assert_eq!(keys.signer(ES256, kid, b"message", &signature), Err(Mismatch::Signature), "{kid:?}");
    }
}

#[test]
fn a_set_knows_whether_a_key_of_another_has_left() {
    let (one, two) = (set([MINT.jwk("rsa")]), set([MINT.jwk("p256"), MINT.jwk("rsa")]));
    assert!(one.holds_all_of(&one) && two.holds_all_of(&one) && !one.holds_all_of(&two));
}

#[test]
fn use_operations_and_alg_of_a_key_are_enforced() {
    for (kid, name, value) in [
        ("rsa", "use", json!("enc")),
        ("rsa", "use", json!("SIG")),
        ("rsa", "use", json!(5)),
        ("rsa", "key_ops", json!(["sign"])),
        ("rsa", "key_ops", json!([])),
        ("rsa", "alg", json!("RSA-OAEP")),
        ("rsa", "alg", json!("none")),
        ("rsa", "alg", json!("rs256")),
        ("rsa", "alg", json!("ES256")),
        ("rsa", "alg", json!("HS256")),
        ("p256", "alg", json!("ES384")),
        ("p256", "crv", json!("P-384")),
        ("p384", "crv", json!("P-521")),
        ("ed25519", "crv", json!("P-256")),
        ("ed25519", "crv", json!("X25519")),
        ("secret", "alg", json!("RS256")),
        ("rsa", "kty", json!("oct")),
        ("rsa", "kty", json!("rsa")),
        ("rsa", "kid", json!(5)),
    ] {
        assert!(!reason(with(kid, name, value.clone())).is_empty(), "{kid} {name} {value}");
    }
    for (name, value) in
        [("use", json!("sig")), ("key_ops", json!(["verify", "x"])), ("alg", json!("RS256")), ("x", json!(5))]
    {
        assert!(accepts(&set([with("rsa", name, value)]), RS256), "{name}");
    }
    let labelled = set([with("rsa", "alg", "RS256")]);
    assert!(!accepts(&labelled, Algorithm::RS384) && !accepts(&labelled, PS256));
}

#[test]
fn broken_and_small_keys_are_none() {
    let modulus = |bytes: usize, last: u8| {
        let mut modulus = vec![0xff; bytes];
        modulus[bytes - 1] = last;
        encode(modulus)
    };
    let size = "its RSA modulus is not of 2048 to 8192 bits";
    for small in [128, 255] {
        assert_eq!(reason(with("rsa", "n", modulus(small, 1))), size);
    }
    assert_eq!(reason(with("rsa", "n", encode([&[0x7f][..], &[0xff; 255]].concat()))), size, "2047 bits");
    assert_eq!(
        reason(with("rsa", "n", encode([&[0; 1][..], &[0xff; 255]].concat()))),
        size,
        "zeros in front"
    );
    assert_eq!(reason(with("rsa", "n", modulus(1_025, 1))), size);
    assert_eq!(reason(with("rsa", "n", "")), size);
    let unsound = "it is no sound RSA key";
    assert_eq!(reason(with("rsa", "n", modulus(256, 2))), unsound);
    for exponent in [&[][..], &[0], &[1], &[2], &[1, 0, 0], &[0, 1], &[3, 0, 0, 0, 1], &[0xff; 8]] {
        assert_eq!(reason(with("rsa", "e", encode(exponent))), unsound, "{exponent:?}");
    }
    assert_eq!(reason(with("rsa", "e", "AQAB=")), "it is not in base64url");
    let point = "it is no point of its curve";
    assert_eq!(reason(with("p256", "x", encode([1; 32]))), point);
    assert_eq!(reason(with("p256", "x", encode([0; 31]))), point);
    assert_eq!(reason(with("p256", "y", "")), point);
    assert_eq!(reason(with("ed25519", "x", encode([1; 31]))), point);
    let secret = "a symmetric key needs at least 32 bytes";
    assert_eq!(reason(with("secret", "k", "")), secret);
    assert_eq!(reason(with("secret", "k", encode([7; 31]))), secret);
}

#[test]
fn zeros_in_front_of_a_modulus_do_no_harm() {
    let n = MINT.jwk("rsa")["n"].as_str().unwrap().to_owned();
    // Three bytes of zeros are four characters, and shift nothing.
    assert!(accepts(&set([with("rsa", "n", format!("AAAA{n}"))]), RS256));
}

#[test]
fn duplicates_within_a_key_make_it_none() {
    for twice in [
        r#"{"keys":[{"kty":"oct","k":"aaaa","k":"aaaa"}]}"#,
        r#"{"keys":[{"kty":"oct","kty":"RSA","k":"aaaa"}]}"#,
        r#"{"keys":[{"kid":"a","kid":"b","kty":"oct","k":"aaaa"}]}"#,
    ] {
        assert!(refusal(twice).contains("cannot be used"), "{twice}");
    }
}

#[test]
fn a_key_is_the_same_by_material_kid_and_alg() {
    let id = |jwk: Value| set([jwk]).keys[0].id;
    let key = id(MINT.jwk("rsa"));
    assert!(set([MINT.jwk("p256"), with("rsa", "use", "sig")]).holds(&key));
    for other in [
        with("rsa", "kid", "rsa2"),
        with("rsa", "kid", Value::Null),
        with("rsa", "alg", "RS256"),
        MINT.jwk("p256"),
    ] {
        assert!(!set([other.clone()]).holds(&key), "{other}");
    }
    assert_ne!(id(MINT.jwk("p256")), id(Mint::new().jwk("p256")));
    assert_ne!(id(with("rsa", "kid", Value::Null)), id(with("rsa", "kid", "")));
}

#[test]
fn a_set_is_bounded() {
    let document = jwks((0..1100).map(|number| with("p256", "kid", number.to_string())));
    let keys = KeySet::parse(document.as_bytes(), &Verification::ASYMMETRIC).unwrap();
    assert_eq!((keys.len(), keys.skipped(), keys.is_full()), (1024, 76, true));
    let deep = format!("{{\"keys\":[{}{}]}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(refusal(&deep).contains("it is no JWK"));
    let deep = format!("{{\"keys\":[{{\"kty\":{}{}}}]}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(refusal(&deep).contains("it is no JWK"));
}

#[test]
fn nothing_prints_key_material() {
    let keys = set([MINT.jwk("secret"), MINT.jwk("rsa")]);
    assert_eq!(format!("{keys:?}"), "KeySet { len: 2, skipped: 0, .. }");
    assert_eq!(format!("{:?}", keys.keys[0].id), "KeyId { .. }");
    let hush = json!({"kty": "oct", "k": "hush-hush", "kid": "hush-hush"});
    let error = KeySet::parse(jwks([hush]).as_bytes(), &ALL).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hush"));
}
