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
        ("https://a*b*c.test", "https://abbcabc.test", true),
        ("https://a*b*c.test", "https://acb.test", false),
        ("https://ab*ba.test", "https://aba.test", false),
        ("https://*", "null", false),
        ("https://*", "", false),
        ("https://*.a.test:8443", "https://evil.com#.a.test:8443", false),
        ("https://*.a.test", "https://evil.com?.a.test", false),
        ("https://*.a.test", "https://u@b.a.test", false),
        ("https://*.a.test", "https://B.a.test", false),
        ("https://*.a.test", "https://.a.test", false),
        ("https://*.a.test", "https://b..a.test", false),
        ("https://*.a.test", "https://.b.a.test", false),
        ("https://*a.test", "https://a.test", false),
        ("https://*a.test", "https://.a.test", false),
        ("https://b*.a.test", "https://b.a.test", false),
        ("https://b*.a.test", "https://b-1.a.test", true),
        ("https://a.*", "https://a.", false),
        ("https://b_*.a.test", "https://b_1.a.test", true),
        ("https://*.a.test", "https://b_1.a.test", false),
        ("http://localhost:*", "http://localhost:", false),
        ("http://localhost:*", "http://localhost:5173a", false),
        ("http://[::1]:*", "http://[::1]:3000", true),
        ("http://[::1]:*", "http://[::1]", false),
        ("http://*:3000", "http://[::1]:3000", false),
        ("https://*", "https://\u{e9}.test", false),
    ] {
        assert_eq!(Listed::new(&[glob.to_owned()]).has(origin), expected, "{glob} and {origin}");
    }
}

/// The same by trying every length for every star.
fn tried(glob: &[u8], text: &[u8]) -> bool {
    match glob {
        [] => text.is_empty(),
        [b'*', glob @ ..] => {
            let of_host = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
            let most = text.iter().position(|byte| !of_host(byte)).unwrap_or(text.len());
            (1..=most).any(|length| tried(glob, &text[length..]))
        }
        [first, glob @ ..] => {
            text.split_first().is_some_and(|(other, text)| first == other && tried(glob, text))
        }
    }
}

proptest! {
    #[test]
    fn a_host_matches_as_if_everything_was_tried(glob in "[ab_*]{0,8}", host in "[ab_]{0,8}") {
        prop_assert_eq!(host_matches(&glob, &host), tried(glob.as_bytes(), host.as_bytes()));
    }

    #[test]
    fn a_star_stands_for_a_part_of_a_host_and_nothing_else(
        before in "[a-z.]{0,4}", within in "\\PC{0,8}[^a-z0-9.-]\\PC{0,8}", after in "[a-z.]{0,4}",
    ) {
        let (glob, origin) = (format!("https://{before}*{after}"), format!("https://{before}{within}{after}"));
        prop_assert!(!matches(&glob, &origin));
    }

    #[test]
    fn no_origin_panics_the_match(glob in "[a*:/\\[\\]é.]{0,12}", origin in "\\PC{0,12}") {
        let _ = matches(&glob, &origin);
        let _ = matches(&format!("https://{glob}"), &format!("https://{origin}"));
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

/// Nothing but origins is written, which is how most begin.
fn brief(origins: Allowed<String>) -> Cors {
    let lists = edge::Cors { methods: None, headers: None, expose: None, ..written(Some(origins)) };
    let cors = edge::Cors { allow_credentials: false, max_age: None, allow_private_network: false, ..lists };
    Cors::new(&cors)
}

#[test]
fn with_origins_alone_a_page_may_call_as_sdks_do() {
    let asked = [
        ("origin", A),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,content-type, x-stainless-os"),
    ];
    let here = brief(Allowed::These(vec![A.to_owned()]));
    insta::assert_snapshot!(answer(&here, Method::OPTIONS, &asked), @r"
    access-control-allow-headers: authorization,content-type, x-stainless-os
    access-control-allow-methods: GET, HEAD, POST, OPTIONS
    access-control-allow-origin: https://a.test
    vary: access-control-request-headers
    vary: origin
    ");
    insta::assert_snapshot!(answer(&brief(Allowed::Any), Method::OPTIONS, &asked), @r"
    access-control-allow-headers: authorization,content-type, x-stainless-os
    access-control-allow-methods: GET, HEAD, POST, OPTIONS
    access-control-allow-origin: *
    vary: access-control-request-headers
    ");
    let other = [("origin", "https://b.test"), asked[1], asked[2]];
    insta::assert_snapshot!(answer(&here, Method::OPTIONS, &other), @r"
    access-control-allow-methods: GET, HEAD, POST, OPTIONS
    vary: access-control-request-headers
    vary: origin
    ");
}

#[test]
fn only_names_of_headers_are_granted() {
    let here = brief(Allowed::These(vec![A.to_owned()]));
    for (asked, granted) in
        [("x-a, ,X-B", true), ("x-a;b", false), ("x-a: b", false), ("<x>", false), ("x a", false)]
    {
        let headers = [
            ("origin", A),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", asked),
        ];
        let answer = answer(&here, Method::OPTIONS, &headers);
        assert_eq!(answer.contains("access-control-allow-headers"), granted, "{asked}");
    }
}
