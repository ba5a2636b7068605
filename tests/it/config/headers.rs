//! Header rules, as the file says them.

use http::{HeaderName, HeaderValue};
use nexus::config::{
    headers::{HeaderRule, Names},
    secret::Secret,
};

use super::{PROVIDER, World, codes, read, report};

/// One rule of the provider, without its head.
fn rule(body: &str) -> String {
    format!("{PROVIDER}[[llm.providers.openai.headers]]\n{body}\n")
}

fn found(body: &str) -> Vec<&'static str> {
    codes(&report(&rule(body), &World::default()))
}

#[test]
fn rules_keep_their_order_and_those_of_models_are_their_own() {
    let text = r#"
[[llm.providers.openai.headers]]
rule = "forward"
name = "X-Source"
default = "none"
rename = "X-Origin"
[[llm.providers.openai.headers]]
rule = "insert"
name = "Authorization"
value = "Bearer {{ env.NOPE | mine }}"
[[llm.providers.openai.models."gpt-4o".headers]]
rule = "remove"
pattern = "^X-O"
[[llm.providers.openai.models."gpt-4o".headers]]
rule = "rename_duplicate"
name = "X-A"
rename = "X-B"
"#;
    let (config, report) = read(&[PROVIDER, text].concat()).unwrap();
    assert_eq!(codes(&report), [""; 0]);
    let provider = &config.providers[0];
    let [HeaderRule::Forward { from, default, rename }, HeaderRule::Insert { name, value }] =
        &provider.headers[..]
    else {
        panic!("{:?}", provider.headers)
    };
    assert_eq!(*from, Names::One(HeaderName::from_static("x-source")));
    assert_eq!(default.as_ref(), Some(&HeaderValue::from_static("none")));
    assert_eq!(rename.as_ref(), Some(&HeaderName::from_static("x-origin")));
    assert_eq!((name.as_str(), value.to_str().unwrap()), ("authorization", "Bearer mine"));
    assert!(value.is_sensitive() && default.as_ref().unwrap().is_sensitive());
    let [HeaderRule::Remove(Names::Matching(pattern)), HeaderRule::RenameDuplicate { name, rename, default }] =
        &provider.models[0].headers[..]
    else {
        panic!("{:?}", provider.models[0].headers)
    };
    assert!(pattern.0.is_match(b"x-origin") && !pattern.0.is_match(b"a-x-origin"));
    assert_eq!((name.as_str(), rename.as_str(), default), ("x-a", "x-b", &None));
    assert!(provider.models[1].headers.is_empty());
}

#[test]
fn the_callers_own_key_is_used_where_that_is_said() {
    let (config, _) = read(&PROVIDER.replace("api_key", "forward_token = true\napi_key")).unwrap();
    assert!(config.providers[0].forward_token);
    assert!(!read(PROVIDER).unwrap().0.providers[0].forward_token);
}

#[test]
fn a_rule_says_exactly_what_it_needs() {
    for (body, expected) in [
        ("rule = \"forward\"", &["missing-key"][..]),
        ("rule = \"forward\"\nname = \"a\"\npattern = \"b\"", &["conflict"]),
        ("rule = \"forward\"\npattern = \"b\"\ndefault = \"c\"", &["conflict"]),
        ("rule = \"forward\"\npattern = \"\"", &["empty-value"]),
        ("rule = \"forward\"\nname = \"bad name\"", &["invalid-header-name"]),
        ("rule = \"forward\"\nname = \"a\"\nvalue = \"b\"", &["another-type"]),
        ("rule = \"insert\"", &["missing-key", "missing-key"]),
        ("rule = \"insert\"\nname = \"a\"\nvalue = \"b\\u0000\"", &["invalid-header-value"]),
        ("rule = \"insert\"\nname = \"a\"\nvalue = \"b\"\npattern = \"c\"", &["another-type"]),
        ("rule = \"remove\"", &["missing-key"]),
        ("rule = \"remove\"\nname = \"a\"\nrename = \"b\"", &["another-type"]),
        ("rule = \"rename_duplicate\"", &["missing-key", "missing-key"]),
        ("rule = \"rename_duplicate\"\npattern = \"a\"", &["missing-key", "missing-key", "another-type"]),
        ("rule = \"replace\"\nname = \"a\"", &["invalid-choice"]),
        ("name = \"a\"", &["missing-key"]),
    ] {
        assert_eq!(found(body), expected, "{body}");
    }
    assert_eq!(found("rule = \"forward\"\npattern = \"^x-\"\nrename = \"x-all\""), [""; 0]);
}

#[test]
fn patterns_are_small_regular_expressions_over_bytes() {
    let good = ["^x-", "(?-i)^X", "^(a|b)$", "\\\\w+", "."];
    for pattern in good {
        assert_eq!(found(&format!("rule = \"forward\"\npattern = \"{pattern}\"")), [""; 0], "{pattern}");
    }
    for pattern in ["(", "x{2,1}", "\\\\p{Greek}", "(?:x{1000}){1000}", "*"] {
        assert_eq!(
            found(&format!("rule = \"remove\"\npattern = \"{pattern}\"")),
            ["invalid-pattern"],
            "{pattern}"
        );
    }
}

#[test]
fn credentials_of_callers_and_framing_are_named_by_no_rule() {
    let credentials = [
        "Authorization",
        "Proxy-Authorization",
        "Cookie",
        "X-Api-Key",
        "X-Goog-Api-Key",
        "X-Provider-API-Key",
        "X-Auth-Request-Access-Token",
        "X-Ms-Token-Aad-Id-Token",
    ];
    for name in credentials.into_iter().chain(["Host", "Content-Length", "TE", "Connection", "Accept"]) {
        for body in [
            format!("rule = \"forward\"\nname = \"{name}\""),
            format!("rule = \"forward\"\nname = \"X-A\"\nrename = \"{name}\""),
            format!("rule = \"rename_duplicate\"\nname = \"{name}\"\nrename = \"X-A\""),
            format!("rule = \"rename_duplicate\"\nname = \"X-A\"\nrename = \"{name}\""),
        ] {
            assert_eq!(found(&body), ["forbidden-header"], "{body}");
        }
        assert_eq!(found(&format!("rule = \"remove\"\nname = \"{name}\"")), [""; 0]);
    }
    for (name, good) in [
        ("Authorization", true),
        ("X-Api-Key", true),
        ("Accept", true),
        ("Cookie", false),
        ("Content-Length", false),
    ] {
        let body = format!("rule = \"insert\"\nname = \"{name}\"\nvalue = \"a\"");
        assert_eq!(found(&body).is_empty(), good, "{body}");
    }
}

#[test]
fn a_provider_that_sends_nothing_has_no_rules() {
    let echo = "[llm.providers.p]\ntype = \"echo\"\n[llm.providers.p.models.m]\n";
    let body = "rule = \"remove\"\nname = \"a\"\n";
    let codes_of = |head: &str| codes(&report(&format!("{echo}{head}\n{body}"), &World::default()));
    assert_eq!(codes_of("[[llm.providers.p.headers]]"), ["another-type"]);
    assert_eq!(codes_of("[[llm.providers.p.models.m.headers]]"), ["no-effect"]);
}

#[test]
fn values_out_of_references_and_of_headers_with_credentials_are_secret_and_words_are_not() {
    let text = r#"
[[llm.providers.openai.headers]]
rule = "insert"
name = "X-Region"
value = "eu-central-1"
[[llm.providers.openai.headers]]
rule = "insert"
name = "X-Tenant"
value = "{{ env.NOPE | from-a-reference }}"
[[llm.providers.openai.headers]]
rule = "insert"
name = "Authorization"
value = "Bearer written-out"
[[llm.providers.openai.headers]]
rule = "forward"
name = "X-Session-Token"
default = "default-of-a-token"
[[llm.providers.openai.headers]]
rule = "forward"
pattern = "^x-"
[[llm.providers.openai.models."gpt-4o".headers]]
rule = "rename_duplicate"
name = "X-A"
rename = "X-A-Secret"
default = "default-of-a-copy"
"#;
    let (config, report) = read(&[PROVIDER, text].concat()).unwrap();
    assert_eq!(codes(&report), [""; 0]);
    let exposed = |secrets: &[Secret]| secrets.iter().map(|s| s.expose().to_owned()).collect::<Vec<_>>();
    let provider = &config.providers[0];
    assert_eq!(
        exposed(&provider.header_secrets),
        ["from-a-reference", "Bearer written-out", "default-of-a-token"]
    );
    assert_eq!(exposed(&provider.models[0].header_secrets), ["default-of-a-copy"]);
    assert!(provider.models[1].header_secrets.is_empty());
}
