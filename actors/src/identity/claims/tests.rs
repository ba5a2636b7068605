//! What claims say: by literal name and by path, as they are written.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn find(payload: &str, name: &str) -> Claim {
    Claims::parse(payload.as_bytes()).unwrap().find(name)
}

fn text(text: &str) -> Claim {
    Claim::Text(text.into())
}

fn list(texts: &[&str]) -> Claim {
    Claim::List(texts.iter().map(|text| (*text).into()).collect())
}

#[test]
fn scalars_are_texts_as_they_are_written() {
    let payload =
        r#"{"s": "a\u0062\n", "n": 12345678901234567890123, "f" : -1.50e+3 , "t":true,"u":false,"e":""}"#;
    for (name, value) in [
        ("s", "ab\n"),
        ("n", "12345678901234567890123"),
        ("f", "-1.50e+3"),
        ("t", "true"),
        ("u", "false"),
        ("e", ""),
    ] {
        assert_eq!(find(payload, name), text(value), "{name}");
    }
}

#[test]
fn null_objects_and_what_text_cannot_hold_are_absent() {
    let payload = r#"{"null":null,"object":{"a":1},"half":"\ud800"}"#;
    for name in ["null", "object", "half", "nothing", "", ".", "object.", ".object", "null.a", "half.a"] {
        assert_eq!(find(payload, name), Claim::Absent, "{name}");
    }
}

#[test]
fn a_list_gives_the_texts_of_its_scalars_in_their_order() {
    let payload =
        r#"{"groups":["b","a", 3, true, null, ["c"], {"d":1}],"none":[],"nested":[[]],"aud":["x","y"]}"#;
    assert_eq!(find(payload, "groups"), list(&["b", "a", "3", "true"]));
    assert_eq!(find(payload, "none"), list(&[]));
    assert_eq!(find(payload, "nested"), list(&[]));
    assert_eq!(find(payload, "aud"), list(&["x", "y"]));
}

#[test]
fn a_name_is_tried_literally_and_then_as_a_path() {
    let payload = r#"{"https://acme.example/group":"pro","user.plan":"literal","user":{"plan":"path","id":7},
        "realm_access":{"roles":["admin"]},"a":{"b":{"c":{"d":"deep"}},"":{"x":"blank"}},"null.a":null,"null":{"a":1}}"#;
    assert_eq!(find(payload, "https://acme.example/group"), text("pro"));
    assert_eq!(find(payload, "user.plan"), text("literal"));
    assert_eq!(find(payload, "user.id"), text("7"));
    assert_eq!(find(payload, "realm_access.roles"), list(&["admin"]));
    assert_eq!(find(payload, "a.b.c.d"), text("deep"));
    assert_eq!(find(payload, "a..x"), text("blank"));
    assert_eq!(find(payload, "null.a"), Claim::Absent, "it is there literally, and says nothing");
    for no in ["user.plan.x", "a.b.c.d.e", "a.b", "realm_access.roles.0", "User.id", "user. id"] {
        assert_eq!(find(payload, no), Claim::Absent, "{no}");
    }
}

#[test]
fn names_are_compared_as_they_are_meant() {
    assert_eq!(find(r#"{"s\u0075b":"a","o":{"\u0070":1}}"#, "sub"), text("a"));
    assert_eq!(find(r#"{"s\u0075b":"a","o":{"\u0070":1}}"#, "o.p"), text("1"));
}

#[test]
fn a_name_is_found_among_thousands_and_so_is_its_double() {
    let members: Vec<_> = (0..5_000).map(|number| format!("\"{number}\":0")).collect();
    let payload = format!("{{{}}}", members.join(","));
    assert_eq!(find(&payload, "4999"), text("0"));
    let twice = format!("{{{},\"7\":0}}", members.join(","));
    assert!(Claims::parse(twice.as_bytes()).is_none());
}

#[test]
fn debug_prints_no_claim() {
    let claims = Claims::parse(br#"{"email":"alice@example.com"}"#).unwrap();
    assert_eq!(format!("{claims:?}"), "Claims { .. }");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_as_others_read_them(payload in "[{}\\[\\]\",:a.1e\\\\ntrue -]{0,40}", name in "[a.]{0,5}") {
        let Some(claims) = Claims::parse(payload.as_bytes()) else { return Ok(()) };
        let plain: Value = serde_json::from_str(&payload).unwrap_or_default();
        if let (Claim::Text(text), Value::String(plain)) = (claims.find(&name), &plain[&name]) {
            prop_assert_eq!(&*text, plain);
        }
        let read = claims.string("a").ok().flatten();
        prop_assert_eq!(read.as_deref(), plain["a"].as_str());
    }
}
