//! The rules one by one, their order, and what no rule can do.

use http::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE};
use proptest::{collection::vec, option, prelude::*, sample::select};
use regex::bytes::RegexBuilder;

use super::*;

fn name(name: &str) -> HeaderName {
    HeaderName::from_bytes(name.as_bytes()).expect("a name")
}

fn value(value: &str) -> HeaderValue {
    HeaderValue::from_bytes(value.as_bytes()).expect("a value")
}

fn map(headers: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (n, v) in headers {
        map.append(name(n), value(v));
    }
    map
}

fn matching(pattern: &str) -> Names {
    let pattern = RegexBuilder::new(pattern).unicode(false).case_insensitive(true).build();
    Names::Matching(Pattern(pattern.expect("a pattern")))
}

fn one(n: &str) -> Names {
    Names::One(name(n))
}

fn forward(from: Names, default: Option<&str>, rename: Option<&str>) -> HeaderRule {
    HeaderRule::Forward { from, default: default.map(value), rename: rename.map(name) }
}

fn insert(n: &str, v: &str) -> HeaderRule {
    HeaderRule::Insert { name: name(n), value: value(v) }
}

fn duplicate(n: &str, rename: &str, default: Option<&str>) -> HeaderRule {
    HeaderRule::RenameDuplicate { name: name(n), rename: name(rename), default: default.map(value) }
}

/// What a provider sends of its own accord in these tests.
fn own() -> HeaderMap {
    map(&[
        ("authorization", "Bearer own"),
        ("content-type", "application/json"),
        ("accept", "*/*"),
        ("user-agent", "nexus"),
    ])
}

/// The version and the beta header of a protocol, for both of which a client's own may pass.
static PROTOCOL: [HeaderName; 2] = [ANTHROPIC_VERSION, HeaderName::from_static("anthropic-beta")];

fn client(headers: &HeaderMap, same_protocol: bool) -> Client<'_> {
    static ID: HeaderValue = HeaderValue::from_static("id");
    Client { query: None, headers, request_id: &ID, key: None, opened: None, same_protocol }
}

fn apply(own: &mut HeaderMap, caller: &HeaderMap, rules: Option<&HeaderRules>) {
    complete(own, &client(caller, true), &PROTOCOL, rules);
}

/// What goes up, apart from what would without the caller and the rules.
fn sent_with(
    provider: &[HeaderRule],
    model: &[HeaderRule],
    caller: &[(&str, &str)],
) -> Vec<(String, String)> {
    let (mut headers, plain) = (own(), own());
    apply(&mut headers, &map(caller), HeaderRules::new(provider, model, &[]).as_ref());
    let text = |value: &HeaderValue| String::from_utf8(value.as_bytes().to_vec()).expect("text");
    let added = headers.iter().filter(|(name, value)| plain.get(*name) != Some(*value));
    added.map(|(name, value)| (name.to_string(), text(value))).collect()
}

#[track_caller]
fn assert_sent(rules: &[HeaderRule], caller: &[(&str, &str)], expected: &[(&str, &str)]) {
    let sent = sent_with(rules, &[], caller);
    let sent: Vec<_> = sent.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(sent, expected);
}

const CALLER: [(&str, &str); 5] = [
    ("x-source", "app"),
    ("x-b", "1"),
    ("x-b", "2"),
    ("traceparent", "00-1"),
    ("authorization", "Bearer nexus-token"),
];

#[test]
fn without_rules_only_what_passes_by_default_goes_up() {
    assert!(HeaderRules::new(&[], &[], &[]).is_none());
    assert_sent(&[], &CALLER, &[("traceparent", "00-1")]);
}

#[test]
fn one_header_is_forwarded_with_its_first_value() {
    assert_sent(&[forward(one("x-b"), None, None)], &CALLER, &[("traceparent", "00-1"), ("x-b", "1")]);
    assert_sent(&[forward(one("x-b"), None, Some("y"))], &CALLER, &[("traceparent", "00-1"), ("y", "1")]);
    assert_sent(&[forward(one("x-none"), None, None)], &[], &[]);
}

#[test]
fn a_default_stands_in_for_a_header_that_did_not_come() {
    let rules = [forward(one("x-source"), Some("none"), None), forward(one("x-b"), Some("0"), Some("y-b"))];
    assert_sent(&rules, &[], &[("x-source", "none"), ("y-b", "0")]);
    assert_sent(&rules, &[("x-source", "app")], &[("x-source", "app"), ("y-b", "0")]);
}

#[test]
fn a_header_that_is_forwarded_again_goes_up_once() {
    let rules = [forward(matching("^[Xx]-.*"), None, None), forward(one("x-source"), None, Some("y-source"))];
    assert_sent(&rules, &[("X-Source", "app")], &[("y-source", "app")]);
    let rules = [insert("x-source", "inserted"), forward(one("x-source"), None, None)];
    assert_sent(&rules, &[("x-source", "app")], &[("x-source", "app")]);
    assert_sent(&rules, &[], &[("x-source", "inserted")]);
}

#[test]
fn a_pattern_forwards_every_header_whose_name_it_matches_whatever_the_case() {
    let caller = [("x-a", "1"), ("y-a", "2"), ("x-b", "3"), ("x-b", "4")];
    assert_sent(&[forward(matching("^X-"), None, None)], &caller, &[("x-a", "1"), ("x-b", "3")]);
    assert_sent(&[forward(matching("^x-"), None, Some("z"))], &caller, &[("z", "1"), ("z", "3")]);
}

#[test]
fn a_header_is_set_and_one_that_would_go_up_is_removed() {
    let rules =
        [forward(matching("^x-"), None, None), insert("x-b", "own"), HeaderRule::Remove(one("x-source"))];
    assert_sent(&rules, &CALLER, &[("traceparent", "00-1"), ("x-b", "own")]);
    let rules = [forward(matching("^x-"), None, None), HeaderRule::Remove(matching("^(X-B|trace)"))];
    assert_sent(&rules, &CALLER, &[("x-source", "app")]);
}

#[test]
fn a_duplicate_goes_up_under_both_names() {
    let rule = [duplicate("x-source", "y-source", Some("none"))];
    assert_sent(&rule, &[("x-source", "app")], &[("x-source", "app"), ("y-source", "app")]);
    assert_sent(&rule, &[], &[("x-source", "none"), ("y-source", "none")]);
    assert_sent(&[duplicate("x-source", "y-source", None)], &[], &[]);
}

#[test]
fn rules_are_seen_upstream_in_their_order_those_of_the_model_last() {
    let provider = [insert("x-3", "p"), forward(one("x-source"), None, None), insert("x-1", "p")];
    let model = [insert("x-2", "m"), insert("x-3", "m")];
    let expected = [("x-source", "app"), ("x-1", "p"), ("x-2", "m"), ("x-3", "m")];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(sent_with(&provider, &model, &[("x-source", "app")]), expected);
}

#[test]
fn the_providers_own_headers_replace_those_of_the_rules() {
    let rules = [insert("authorization", "Bearer rule"), insert("content-type", "text/plain")];
    assert_sent(&rules, &CALLER, &[("traceparent", "00-1")]);
    let mut keyless = HeaderMap::new();
    apply(&mut keyless, &map(&CALLER), HeaderRules::new(&rules, &[], &[]).as_ref());
    assert_eq!(keyless.get(AUTHORIZATION), Some(&value("Bearer rule")), "there is none of its own");
    assert_eq!(keyless.get(CONTENT_TYPE), None);
}

#[test]
fn agent_and_accept_may_be_changed_and_removed() {
    let rules = [forward(one("user-agent"), None, None), insert("accept", "text/plain")];
    let caller = [("user-agent", "app/1"), ("accept", "image/png")];
    assert_sent(&rules, &caller, &[("user-agent", "app/1"), ("accept", "text/plain")]);
    let mut headers = own();
    let rules = HeaderRules::new(&[HeaderRule::Remove(matching("."))], &[], &[]);
    apply(&mut headers, &map(&caller), rules.as_ref());
    assert_eq!(headers, map(&[("authorization", "Bearer own"), ("content-type", "application/json")]));
}

#[test]
fn headers_of_a_protocol_pass_to_the_same_protocol_only() {
    let caller = map(&[
        ("anthropic-version", "2099-01-01"),
        ("anthropic-beta", "a"),
        ("anthropic-beta", "b"),
        ("traceparent", "00-1"),
    ]);
    let own = map(&[("anthropic-version", "2023-06-01")]);
    for rules in [None, HeaderRules::new(&[insert("x", "y")], &[], &[])] {
        let sent = |same_protocol| {
            let mut sent = own.clone();
            complete(&mut sent, &client(&caller, same_protocol), &PROTOCOL, rules.as_ref());
            sent.remove("x");
            sent
        };
        assert_eq!(sent(true), caller);
        assert_eq!(sent(false), map(&[("anthropic-version", "2023-06-01"), ("traceparent", "00-1")]));
    }
}

#[test]
fn a_version_that_the_connection_names_does_not_replace_ours() {
    let caller = map(&[("anthropic-version", "2099-01-01"), ("connection", "anthropic-version")]);
    let own = map(&[("anthropic-version", "2023-06-01")]);
    let mut sent = own.clone();
    apply(&mut sent, &caller, None);
    assert_eq!(sent, own);
    let rules = HeaderRules::new(&[insert("anthropic-version", "2100-01-01")], &[], &[]);
    apply(&mut sent, &caller, rules.as_ref());
    assert_eq!(sent, map(&[("anthropic-version", "2100-01-01")]), "a rule may change it");
}

#[test]
fn what_connection_names_ends_here() {
    let caller =
        [("connection", "close, X-B ,traceparent"), ("connection", "\u{e9},x-c"), ("x-b", "1"), ("x-c", "1")];
    let caller = [&caller[..], &[("x-a", "1"), ("traceparent", "00-1")]].concat();
    assert_sent(&[], &caller, &[]);
    for rule in [forward(matching("."), None, None), forward(one("x-a"), None, None)] {
        assert_sent(&[rule, forward(one("x-b"), None, None)], &caller, &[("x-a", "1")]);
    }
}

#[test]
fn a_connection_that_names_too_many_lets_nothing_up() {
    let rule = [forward(one("x-a"), None, None)];
    for (names, up) in [(MOST_NAMES, &[("traceparent", "00-1"), ("x-a", "1")][..]), (MOST_NAMES + 1, &[])] {
        let connection = vec!["x-b"; names].join(",");
        let caller = [("connection", connection.as_str()), ("traceparent", "00-1"), ("x-a", "1")];
        assert_sent(&rule, &caller, up);
    }
    let rule = [forward(one("x-a"), Some("default"), None), insert("x-c", "own")];
    let connection = "x-b,".repeat(16 * 1024);
    assert_sent(&rule, &[("connection", &connection), ("x-a", "1")], &[("x-a", "default"), ("x-c", "own")]);
}

#[test]
fn no_rule_sends_what_is_the_callers_alone() {
    let denied = [
        "authorization",
        "cookie",
        "x-provider-api-key",
        "x-api-key",
        "x-goog-api-key",
        "api-key",
        "proxy-authorization",
        "x-forwarded-access-token",
        "x-amzn-oidc-data",
        "x-ms-token-aad-access-token",
    ];
    let denied =
        [&denied[..], &["te", "transfer-encoding", "host", "content-length", "accept-encoding"]].concat();
    let caller: Vec<_> = denied.iter().map(|name| (*name, "secret")).collect();
    assert_sent(
        &[forward(matching(""), None, None), forward(matching("."), None, Some("x-all"))],
        &caller,
        &[],
    );
    for name in denied {
        let rules = [forward(one(name), None, None), forward(one(name), None, Some("x-renamed"))];
        assert_sent(&rules, &caller, &[]);
        assert_sent(&[duplicate(name, "x-copy", Some("0")), duplicate("x-a", name, Some("0"))], &caller, &[]);
    }
}

#[test]
fn a_pattern_takes_nothing_that_says_who_calls_and_a_name_does() {
    let telling = [
        "x-auth-user",
        "x-id-token",
        "my-cookie",
        "x-client-secret",
        "x-jwt",
        "x-saml-assertion",
        "x-credentials",
        "x-session-id",
        "my-api-key",
        "my-apikey",
        "x-oidc-data",
        "x-csrf",
        "x-password",
    ];
    let ours = [name("x-user-id"), name("x-team"), name("x-mark")];
    let caller = telling.into_iter().chain(["x-user-id", "x-team", "x-mark", "x-custom"]);
    let caller = map(&caller.map(|name| (name, "1")).collect::<Vec<_>>());
    let sent = |rules: &[HeaderRule]| {
        let mut headers = HeaderMap::new();
        apply(&mut headers, &caller, HeaderRules::new(rules, &[], &ours).as_ref());
        headers.keys().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(sent(&[forward(matching("."), None, None)]), ["x-custom"]);
    assert_eq!(sent(&[forward(matching("^x-user-id$"), None, Some("y"))]), [""; 0]);
    for named in telling.into_iter().chain(["x-user-id", "x-mark"]) {
        assert_eq!(sent(&[forward(one(named), None, None)]), [named]);
        assert_eq!(sent(&[forward(one(named), None, None), HeaderRule::Remove(matching("."))]), [""; 0]);
    }
}

const NAMES: [&str; 14] = [
    "accept",
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "host",
    "te",
    "traceparent",
    "transfer-encoding",
    "user-agent",
    "x-a",
    "x-api-key",
    "x-b",
    "x-provider-api-key",
];

fn a_rule() -> impl Strategy<Value = HeaderRule> {
    let names = || {
        prop_oneof![
            select(&NAMES[..]).prop_map(one),
            "[a-z.*^-]{0,3}".prop_filter_map("no pattern", |p| {
                RegexBuilder::new(&p).unicode(false).build().ok().map(|regex| Names::Matching(Pattern(regex)))
            })
        ]
    };
    let any_name = || select(&NAMES[..]).prop_map(name);
    let default = || option::of(Just(value("rule")));
    prop_oneof![
        (names(), default(), option::of(any_name()))
            .prop_map(|(from, default, rename)| HeaderRule::Forward { from, default, rename }),
        any_name().prop_map(|name| HeaderRule::Insert { name, value: value("rule") }),
        names().prop_map(HeaderRule::Remove),
        (any_name(), any_name(), default()).prop_map(|(name, rename, default)| HeaderRule::RenameDuplicate {
            name,
            rename,
            default
        }),
    ]
}

proptest! {
    #[test]
    fn whatever_the_rules_nothing_that_is_the_callers_alone_goes_up(
        provider in vec(a_rule(), 0..6),
        model in vec(a_rule(), 0..6),
        sent in vec(select(&NAMES[..]), 0..8),
        hop in vec(select(&NAMES[..]), 0..3),
    ) {
        // Every value says where it came from.
        let mut caller = map(&sent.iter().map(|name| (*name, *name)).collect::<Vec<_>>());
        caller.insert(CONNECTION, value(&hop.join(" , ")));
        let (mut headers, own) = (own(), own());
        apply(&mut headers, &caller, HeaderRules::new(&provider, &model, &[]).as_ref());
        for (to, value) in &headers {
            if to == AUTHORIZATION || to == CONTENT_TYPE {
                prop_assert_eq!(Some(value), own.get(to), "the provider's own");
                continue;
            }
            prop_assert!(!is_never_set(to), "{to}");
            let from = value.to_str().expect("text");
            if NAMES.contains(&from) {
                prop_assert!(!is_never_forwarded(&name(from)) && !hop.contains(&from), "{from} went up as {to}");
            }
        }
        prop_assert_eq!(headers.get_all(AUTHORIZATION).iter().count(), 1);
    }
}
