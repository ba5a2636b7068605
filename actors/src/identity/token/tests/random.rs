//! Whatever bytes come, nothing panics, and nothing is believed that was not signed.

use proptest::{prelude::*, sample::Index};

use super::*;

/// A token of each kind, made once.
fn sound() -> impl Strategy<Value = String> {
    let tokens: Vec<_> = ALL.map(|algorithm| MINT.sound(algorithm, &claims())).to_vec();
    proptest::sample::select(tokens)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text_is_never_believed(text in ".{0,200}", dots in "[a-zA-Z0-9_.-]{0,200}") {
        prop_assert!(verdict(&text).is_err());
        prop_assert!(verdict(&dots).is_err());
        let _ = (unverified(&text), unverified(&dots));
    }

    #[test]
    fn arbitrary_parts_are_never_believed(header in any::<Vec<u8>>(), payload in any::<Vec<u8>>(), signature in any::<Vec<u8>>()) {
        let token = format!("{}.{}.{}", encode(header), encode(payload), encode(signature));
        prop_assert!(verdict(&token).is_err());
        let _ = unverified(&token);
    }

    #[test]
    fn a_changed_token_is_never_believed(token in sound(), at in any::<Index>(), length in 0..3_usize, put in "[a-zA-Z0-9_.=-]{0,3}") {
        let start = at.index(token.len());
        let mut changed = token.clone();
        changed.replace_range(start..(start + length).min(token.len()), &put);
        prop_assume!(changed != token);
        prop_assert!(verdict(&changed).is_err(), "{changed}");
    }

    #[test]
    fn a_token_of_two_others_is_never_believed(a in sound(), b in sound(), which in 0..3_usize) {
        prop_assume!(a != b);
        let (mut parts, other): (Vec<_>, Vec<_>) = (a.split('.').collect(), b.split('.').collect());
        parts[which] = other[which];
        let mixed = parts.join(".");
        prop_assume!(mixed != a && mixed != b);
        prop_assert!(verdict(&mixed).is_err(), "{mixed}");
    }

    #[test]
    fn signed_nonsense_does_not_panic(header in any::<Vec<u8>>(), payload in any::<Vec<u8>>(), times in any::<(f64, u64)>()) {
        let signed = format!("{}.{}", encode(header), encode(&payload));
        let token = format!("{signed}.{}", encode(MINT.sign(ES256, signed.as_bytes())));
        prop_assert!(verdict(&token).is_err());
        let claims = json!({"exp": times.0, "nbf": times.1});
        let believed = verdict(&MINT.sound(ES256, &claims)).is_ok();
        let good = times.0.is_finite() && times.0 + 60.0 > NOW as f64 && times.1 <= NOW + 60;
        prop_assert_eq!(believed, good);
    }
}
