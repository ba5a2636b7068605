//! Which tokens are believed: every algorithm, times to the second, choice of keys. Attacks are in [`attacks`].

mod attacks;
pub(in crate::identity) mod mint;
mod random;

use jsonwebtoken::Algorithm::{self, ES256, EdDSA, RS256};
use serde_json::{Value, json};

use self::mint::{ALL, MINT, Mint, encode, set};
use super::*;
use crate::identity::{claims::Claim, rules::KeySource};

const NOW: u64 = 1_700_000_000;

fn policy(algorithms: &[Algorithm]) -> Verification {
    Verification {
        keys: KeySource::File("keys.json".into()),
        poll_interval: None,
        issuer: None,
        audience: None,
        algorithms: algorithms.to_vec(),
    }
}

fn claims() -> Value {
    json!({"sub": "alice", "exp": NOW + 300, "iss": "https://id.example", "aud": "nexus", "plan": "premium"})
}

/// The claims with one of them another, or without it.
fn with(name: &str, value: impl Into<Option<Value>>) -> Value {
    let mut claims = claims();
    match value.into() {
        Some(value) => claims[name] = value,
        None => drop(claims.as_object_mut().unwrap().remove(name)),
    }
    claims
}

/// What becomes of a token under all algorithms and keys.
fn verdict(token: &str) -> Result<Verified, Invalid> {
    verify(token, &MINT.keys(), &policy(&ALL), NOW)
}

fn reason(result: Result<Verified, Invalid>) -> &'static str {
    match result {
        Err(Invalid::Refused(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_algorithm_verifies_alone_and_with_all_others() {
    let keys = MINT.keys();
    for algorithm in ALL {
        let token = MINT.sound(algorithm, &claims());
        let verified = verify(&token, &keys, &policy(&[algorithm]), NOW).unwrap();
        assert_eq!(verified.claims.find("sub"), Claim::Text("alice".into()), "{algorithm:?}");
        assert_eq!(verified.until, NOW + 360);
        assert!(keys.holds(&verified.key));
        assert!(verify(&token, &keys, &policy(&ALL), NOW).is_ok(), "{algorithm:?}");
        let others: Vec<_> = ALL.into_iter().filter(|other| *other != algorithm).collect();
        assert_eq!(
            reason(verify(&token, &keys, &policy(&others), NOW)),
            "its algorithm is not accepted",
            "{algorithm:?}"
        );
    }
}

#[test]
fn no_bit_of_any_part_may_flip() {
    let keys = MINT.keys();
    for algorithm in ALL {
        let token = MINT.sound(algorithm, &claims());
        for part in 0..3 {
            let mut parts: Vec<Vec<u8>> =
                token.split('.').map(|part| BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
            for bit in (0..parts[part].len() * 8).step_by(7) {
                parts[part][bit / 8] ^= 1 << (bit % 8);
                let flipped = parts.iter().map(encode).collect::<Vec<_>>().join(".");
                let verdict = verify(&flipped, &keys, &policy(&ALL), NOW);
                assert!(verdict.is_err(), "{algorithm:?}, bit {bit} of part {part}");
                parts[part][bit / 8] ^= 1 << (bit % 8);
            }
        }
    }
}

#[test]
fn a_key_serves_no_algorithm_but_its_own() {
    for (signs, says) in ALL.into_iter().flat_map(|signs| ALL.map(|says| (signs, says))) {
        let header = json!({"alg": says, "kid": Mint::kid(signs)}).to_string();
        let verdict = verdict(&MINT.token(signs, &header, &claims().to_string()));
        assert_eq!(verdict.is_ok(), signs == says, "signed as {signs:?}, says {says:?}");
    }
}

#[test]
fn times_have_a_leeway_of_sixty_seconds_to_the_second() {
    let at = |claims: Value| verdict(&MINT.sound(ES256, &claims)).map(|verified| verified.until);
    let expired = Err(Invalid::Refused("it has expired"));
    assert_eq!(at(with("exp", json!(NOW))), Ok(NOW + 60));
    assert_eq!(at(with("exp", json!(NOW - 59))), Ok(NOW + 1));
    assert_eq!(at(with("exp", json!(NOW - 60))), expired);
    assert_eq!(at(with("exp", json!((NOW - 60) as f64 + 0.25))), Ok(NOW + 1));
    assert_eq!(at(with("exp", json!((NOW - 60) as f64 - 0.25))), expired);
    let early = Err(Invalid::Refused("it is not good yet"));
    assert_eq!(at(with("nbf", json!(NOW + 60))), Ok(NOW + 360));
    assert_eq!(at(with("nbf", json!(NOW + 61))), early);
    assert_eq!(at(with("nbf", json!((NOW + 60) as f64 + 0.25))), early);
    assert_eq!(at(with("nbf", json!(-5))), Ok(NOW + 360));
    assert_eq!(at(with("iat", json!(NOW + 10_000))), Ok(NOW + 360), "iat is not looked at");
}

#[test]
fn absurd_times_do_not_overflow() {
    let at = |number: &str| {
        let payload = format!(r#"{{"exp":{number}}}"#);
        verdict(&MINT.token(ES256, r#"{"alg":"ES256"}"#, &payload)).map(|verified| verified.until).ok()
    };
    for never in ["18446744073709551615", "18446744073709551616", "1e300", &"9".repeat(300)] {
        assert_eq!(at(never), Some(u64::MAX), "{never}");
    }
    for infinite in ["1e309", "1e400", "1e999", &"9".repeat(400)] {
        assert_eq!(at(infinite), None, "{infinite}");
    }
    assert_eq!(at("1.7000001e9"), Some(NOW + 160));
    for past in ["0", "-0", "-1", "-1e999", "1e-999", "-9223372036854775809", "0.5"] {
        assert_eq!(at(past), None, "{past}");
    }
    let latest = verify(&MINT.sound(ES256, &claims()), &MINT.keys(), &policy(&ALL), u64::MAX);
    assert_eq!(reason(latest), "it has expired");
    for (payload, expected) in [
        (r#"{"exp":1e300,"nbf":1e300}"#, "it is not good yet"),
        (r#"{"exp":1e300,"nbf":1e400}"#, "a registered claim has the wrong type"),
        (r#"{"exp":1e400}"#, "a registered claim has the wrong type"),
    ] {
        let verdict = verdict(&MINT.token(ES256, r#"{"alg":"ES256"}"#, payload));
        assert_eq!(reason(verdict), expected, "{payload}");
    }
}

#[test]
fn issuer_and_audience_are_compared_to_the_letter() {
    let policy = Verification {
        issuer: Some("https://id.example".to_owned()),
        audience: Some("nexus".to_owned()),
        ..policy(&ALL)
    };
    let verdict = |claims: Value| verify(&MINT.sound(EdDSA, &claims), &MINT.keys(), &policy, NOW);
    assert!(verdict(claims()).is_ok());
    assert!(verdict(with("aud", json!(["other", "nexus"]))).is_ok());
    for issuer in [json!("https://id.example/"), json!("HTTPS://id.example"), json!("")] {
        assert_eq!(reason(verdict(with("iss", issuer))), "it is of another issuer");
    }
    assert_eq!(reason(verdict(with("iss", None))), "it is of another issuer");
    for audience in [json!("Nexus"), json!("nexus2"), json!([]), json!(["nexus "]), json!("")] {
        assert_eq!(reason(verdict(with("aud", audience))), "it is for another audience");
    }
    assert_eq!(reason(verdict(with("aud", None))), "it is for another audience");
}

#[test]
fn registered_claims_have_their_types_whoever_asks_for_them() {
    let wrong = |name, value| reason(verdict(&MINT.sound(ES256, &with(name, value))));
    for (name, value) in [
        ("sub", json!(5)),
        ("sub", json!(null)),
        ("sub", json!(["alice"])),
        ("iss", json!(5)),
        ("iss", json!(null)),
        ("aud", json!(5)),
        ("aud", json!(["nexus", 5])),
        ("aud", json!({"nexus": true})),
        ("exp", json!("1700000300")),
        ("exp", json!(null)),
        ("exp", json!(true)),
        ("nbf", json!("0")),
        ("nbf", json!([0])),
    ] {
        assert_eq!(wrong(name, value.clone()), "a registered claim has the wrong type", "{name} {value}");
    }
    assert_eq!(wrong("exp", Value::Null), "a registered claim has the wrong type");
    assert_eq!(reason(verdict(&MINT.sound(ES256, &with("exp", None)))), "it has no exp");
    assert!(verdict(&MINT.sound(ES256, &with("sub", None))).is_ok());
}

#[test]
fn a_header_may_be_of_any_type_and_hold_anything_else() {
    for header in [
        r#"{"alg":"ES256"}"#,
        r#"{"typ":"at+jwt","alg":"ES256","kid":"p256"}"#,
        r#"{"typ":7,"alg":"ES256","kid":"p256","x5t":"a","nonce":{"a":[1]}}"#,
        " {\"alg\" : \"ES25\\u0036\" } ",
    ] {
        assert!(verdict(&MINT.token(ES256, header, &claims().to_string())).is_ok(), "{header}");
    }
}

#[test]
fn all_keys_of_one_kid_are_tried_and_of_no_kid_all() {
    let (old, new) = (Mint::new(), Mint::new());
    let named = |mint: &Mint, kid: &str, name: &str| {
        let mut jwk = mint.jwk(kid);
        jwk["kid"] = json!(name);
        jwk
    };
    let keys = set([
        named(&old, "rsa", "one"),
        named(&old, "p256", "one"),
        named(&new, "p256", "one"),
        named(&MINT, "p256", "two"),
    ]);
    let verdict = |mint: &Mint, kid: Value| {
        let mut header = json!({"alg": "ES256", "kid": kid});
        header.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        verify(&mint.token(ES256, &header.to_string(), &claims().to_string()), &keys, &policy(&ALL), NOW)
    };
    let ids = [&old, &new, &MINT].map(|mint: &Mint| verdict(mint, json!(null)).unwrap().key);
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids.iter().all(|id| keys.holds(id)));
    assert_eq!(verdict(&old, json!("one")).unwrap().key, ids[0]);
    assert_eq!(verdict(&new, json!("one")).unwrap().key, ids[1]);
    assert_eq!(reason(verdict(&MINT, json!("one"))), "no key verifies its signature");
    assert_eq!(reason(verdict(&old, json!("two"))), "no key verifies its signature");
    for unknown in ["three", "ONE", "one ", "", "on"] {
        assert_eq!(verdict(&old, json!(unknown)).unwrap_err(), Invalid::UnknownKey, "{unknown:?}");
    }
}

#[test]
fn a_proxys_token_is_read_without_its_signature() {
    let read = |token: &str| unverified(token).map(|claims| claims.find("sub"));
    let alice = Some(Claim::Text("alice".into()));
    let token = MINT.sound(RS256, &with("exp", json!(1)));
    assert_eq!(read(&token), alice);
    let (signed, _) = token.rsplit_once('.').unwrap();
    assert_eq!(read(&format!("{signed}.")), alice);
    assert_eq!(read(&format!("{signed}.AAAA")), alice);
    for broken in [signed, "", "..", &format!("{signed}.!"), &format!("a{token}"), &format!("{token}.a")] {
        assert_eq!(read(broken), None, "{broken}");
    }
    for no_subject in [json!(7), json!(true), json!(null), json!(["alice"]), json!({"id": "alice"})] {
        assert_eq!(read(&MINT.sound(RS256, &with("sub", no_subject.clone()))), None, "{no_subject}");
    }
    assert_eq!(read(&MINT.sound(RS256, &with("sub", None))), Some(Claim::Absent));
}
