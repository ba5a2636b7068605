//! Which origins match, and which headers that brings.

use std::time::Duration;

use http::Request;
use proptest::prelude::*;

use super::*;

#[test]
fn an_origin_matches_what_is_written_and_a_star_within_its_part() {
    for (glob, origin, expected) in [
        ("https://a.test", "https://a.test", true),
        ("https://a.test", "http://a.test", false),
        ("https://a.test", "https://a.test:8443", false),
        ("https://a.test", "https://a.test.evil.test", false),
        ("https://*.a.test", "https://b.a.test", true),
        ("https://*.a.test", "https://c.b.a.test", true),
        ("https://*.a.test", "https://a.test", false),
        ("https://*.a.test", "https://eviLa.test", false),
        ("https://*.a.test", "https://b.a.test:80", false),
        ("https://*.a.test", "https://evil.test/.a.test", false),
        ("https://*.a.test", "https://evil.test:.a.test", false),
        ("https://*", "https://anything.test", true),
        ("https://*", "https://anything.test:1", false),
        ("https://*:*", "https://anything.test:1", true),
        ("http://localhost:*", "http://localhost:5173", true),
        ("http://localhost:*", "http://localhost", false),
        ("http://localhost:*", "http://localhost:1:2", false),
        ("*://a.test", "https://a.test", true),
        ("https://a*b*c.test", "https://abbcabc.test", true),
        ("https://a*b*c.test", "https://acb.test", false),
        ("https://ab*ba.test", "https://aba.test", false),
        ("https://*", "null", false),
        ("https://*", "", false),
    ] {
        assert_eq!(Listed::new(&[glob.to_owned()]).has(origin), expected, "{glob} and {origin}");
    }
}

/// The same by trying every length for every star.
fn tried(glob: &[u8], text: &[u8]) -> bool {
    match glob {
        [] => text.is_empty(),
        [b'*', glob @ ..] => {
            let most = text.iter().position(|byte| b"/:".contains(byte)).unwrap_or(text.len());
            (0..=most).any(|length| tried(glob, &text[length..]))
        }
        [first, glob @ ..] => {
            text.split_first().is_some_and(|(other, text)| first == other && tried(glob, text))
        }
    }
}

proptest! {
    #[test]
    fn a_glob_matches_as_if_everything_was_tried(glob in "[ab*:/]{0,8}", text in "[ab:/]{0,8}") {
        prop_assert_eq!(matches(&glob, &text), tried(glob.as_bytes(), text.as_bytes()));
    }

    #[test]
    fn a_star_never_stands_for_a_slash_or_a_colon(
        before in "[a-z:/.]{0,8}", within in "\\PC{0,8}[/:]\\PC{0,8}", after in "[a-z:/.]{0,8}",
    ) {
        let (glob, text) = (format!("{before}*{after}"), format!("{before}{within}{after}"));
        prop_assert!(!matches(&glob, &text));
    }
}

const A: &str = "https://a.test";

fn written(origins: Option<Allowed<String>>) -> edge::Cors {
    edge::Cors {
        allow_credentials: true,
        origins,
        methods: Some(Allowed::These(vec![Method::GET, Method::OPTIONS])),
        headers: Some(Allowed::Any),
        expose: Some(Allowed::These(vec![HeaderName::from_static("x-request-id")])),
        max_age: Some(Duration::from_secs(600)),
        allow_private_network: true,
    }
}

fn listed() -> Cors {
    Cors::new(&written(Some(Allowed::These(vec![A.to_owned()]))))
}

/// The headers of an answer, sorted, one per line.
fn answer(cors: &Cors, method: Method, headers: &[(&str, &str)]) -> String {
    let mut request = Request::builder().method(method);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (head, ()) = request.body(()).unwrap().into_parts();
    let mut answer = cors.preflight(&head).map(|answer| answer.headers().clone()).unwrap_or_default();
    cors.share(&head, &mut answer);
    let mut lines: Vec<_> =
        answer.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    lines.sort();
    lines.join("\n")
}

#[test]
fn a_preflight_gets_the_lists() {
    let asked = [
        ("origin", A),
        ("access-control-request-method", "GET"),
        ("access-control-request-private-network", "true"),
    ];
    insta::assert_snapshot!(answer(&listed(), Method::OPTIONS, &asked), @r"
    access-control-allow-credentials: true
    access-control-allow-headers: *
    access-control-allow-methods: GET, OPTIONS
    access-control-allow-origin: https://a.test
    access-control-allow-private-network: true
    access-control-max-age: 600
    vary: origin
    ");
    let other = [("origin", "https://b.test"), asked[1]];
    insta::assert_snapshot!(answer(&listed(), Method::OPTIONS, &other), @r"
    access-control-allow-headers: *
    access-control-allow-methods: GET, OPTIONS
    access-control-max-age: 600
    vary: origin
    ");
}

#[test]
fn a_preflight_that_asks_for_authorization_is_told_by_name() {
    let asked = |headers| {
        let asked = [
            ("origin", A),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", headers),
        ];
        answer(&listed(), Method::OPTIONS, &asked)
    };
    assert!(
        asked("content-type, Authorization").contains("access-control-allow-headers: *, authorization\n")
    );
    assert!(asked("content-type").contains("access-control-allow-headers: *\n"));
}

#[test]
fn every_other_answer_names_an_origin_of_the_list_and_no_other() {
    insta::assert_snapshot!(answer(&listed(), Method::POST, &[("origin", A)]), @r"
    access-control-allow-credentials: true
    access-control-allow-origin: https://a.test
    access-control-expose-headers: x-request-id
    vary: origin
    ");
    let vary = "vary: origin";
    assert_eq!(answer(&listed(), Method::POST, &[("origin", "https://b.test")]), vary);
    assert_eq!(answer(&listed(), Method::POST, &[("origin", "null")]), vary);
    assert_eq!(answer(&listed(), Method::POST, &[("origin", A), ("origin", A)]), vary, "which one?");
    assert_eq!(answer(&listed(), Method::POST, &[]), vary);
}

#[test]
fn where_every_origin_may_read_none_is_named() {
    let cors =
        Cors::new(&edge::Cors { allow_credentials: false, expose: None, ..written(Some(Allowed::Any)) });
    for headers in [&[("origin", A)][..], &[]] {
        assert_eq!(answer(&cors, Method::POST, headers), "access-control-allow-origin: *");
    }
}

#[test]
fn without_a_list_of_origins_nobody_may_read() {
    assert_eq!(answer(&Cors::new(&written(None)), Method::POST, &[("origin", A)]), "");
}
