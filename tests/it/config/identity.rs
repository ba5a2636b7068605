//! Who is calling, as the file says it: headers, claims, certificates, keys.

use std::{collections::BTreeMap, path::Path, time::Duration};

use actors::identity::{Algorithm, CertificateField, KeySource, Rules, Source, Tokens, Verification};
use nexus::config::{
    Config,
    explain::{Question, explain},
};

use super::{CALLERS, PROVIDER, World, codes, read, report};

const ENABLED: &str = "[server.client_identification]\nenabled = true\n";
const OAUTH: &str = "[server.oauth]\nurl = \"https://id.example.com/jwks\"\nexpected_issuer = \"i\"\nexpected_audience = \"a\"\n";
/// [`CALLERS`] behind a proxy.
const PROXIED: &str = r#"
[server.client_identification]
enabled = true
client_id.http_header = "X-User-Id"
group_id.http_header = "X-Group-Id"
trusted_proxies = ["10.0.0.0/8"]
[server.client_identification.validation]
group_values = ["premium", "basic"]
"#;
const LIMIT: &str =
    "[llm.providers.openai.rate_limits.per_user]\ninput_token_limit = 1000\ninterval = \"60s\"\n";

/// An API key whose hash is this digit 64 times.
fn api_key(client: &str, group: &str, digit: char) -> String {
    let group = if group.is_empty() { String::new() } else { format!("group = \"{group}\"\n") };
    let hash = digit.to_string().repeat(64);
    format!("[[server.api_keys]]\nclient = \"{client}\"\n{group}sha256 = \"{hash}\"\n")
}

/// With one file beside the configuration.
fn world() -> World {
    World { files: BTreeMap::from([("jwks.json", b"{}" as &[u8]), ("ca.pem", b"pem")]), ..World::default() }
}

fn rules(parts: &[&str]) -> Rules {
    let (config, report) =
        Config::read(Path::new("n"), &[&parts.concat(), PROVIDER].concat(), &world()).unwrap();
    assert_eq!(codes(&report), [""; 0]);
    config.identification.unwrap()
}

fn found(parts: &[&str]) -> Vec<&'static str> {
    codes(&report(&[&parts.concat(), PROVIDER].concat(), &world()))
}

fn verification(oauth: &str) -> Verification {
    let (config, _) = Config::read(Path::new("n"), &[oauth, PROVIDER].concat(), &world()).unwrap();
    let Tokens::Verified(verification) = config.identification.unwrap().tokens else {
        panic!("nothing verifies")
    };
    verification
}

#[test]
fn the_announcements_snippets_load_by_header_and_by_claim() {
    assert_eq!(found(&[ENABLED, "client_id.http_header = \"X-User-Id\"\n"]), [""; 0]);
    let rules = rules(&[ENABLED, "client_id.jwt_claim = \"sub\"\n", OAUTH]);
    assert_eq!(rules.client, Some(Source::Claim("sub".into())));
    assert!(matches!(rules.tokens, Tokens::Verified(_)));
    // The group snippet as it stands, with its "or" taken literally; then without that line.
    let values = "[server.client_identification.validation]\ngroup_values = [\"premium\", \"basic\"]\n";
    let both = [ENABLED, "client_id.http_header = \"X-Group-Id\"\n# or\n"].concat();
    let claimed = super::identity::rules(&[&both, "group_id.jwt_claim = \"grp\"\n", values, OAUTH]);
    assert_eq!(claimed.group, Some(Source::Claim("grp".into())));
    assert!(claimed.require_group);
    assert_eq!(found(&[&both, values]), ["no-effect"]);
}

#[test]
fn a_claim_without_keys_names_both_remedies_and_that_without_tokens() {
    for (claim, header) in [
        ("client_id.jwt_claim = \"sub\"\n", "client_id.http_header = \"X-User-Id\""),
        ("", "client_id.http_header = \"X-User-Id\""),
        (
            "client_id.http_header = \"X-User-Id\"\ngroup_id.jwt_claim = \"grp\"\n",
            "group_id.http_header = \"X-Group-Id\"",
        ),
    ] {
        let report = report(&[ENABLED, claim, PROVIDER].concat(), &World::default());
        assert_eq!(codes(&report), ["jwt-without-keys"], "{claim}");
        let help = report.diagnostics[0].help.as_deref().unwrap();
        for remedy in ["[server.oauth]", "server.client_identification.jwt_verification = \"none\"", header] {
            assert!(help.contains(remedy), "no {remedy} in {help}");
        }
    }
}

#[test]
fn the_claim_is_sub_where_none_is_named() {
    let rules = rules(&[ENABLED, OAUTH]);
    assert_eq!((rules.client, rules.group), (Some(Source::Claim("sub".into())), None));
}

#[test]
fn unverified_tokens_are_a_choice_that_is_warned_of() {
    let none = [ENABLED, "client_id.jwt_claim = \"a.b\"\njwt_verification = \"none\"\n"].concat();
    assert_eq!(found(&[&none]), ["unverified-tokens"]);
    assert_eq!(found(&[&none, "trusted_proxies = [\"10.0.0.0/8\"]\n"]), ["unverified-tokens"]);
    let (config, _) = read(&[&none, PROVIDER].concat()).unwrap();
    assert_eq!(config.identification.unwrap().tokens, Tokens::Unverified);
    assert_eq!(found(&[&none, OAUTH]), ["conflict"]);
    let header = [ENABLED, "client_id.http_header = \"X-User-Id\"\njwt_verification = \"none\"\n"].concat();
    assert_eq!(found(&[&header]), ["no-effect"], "no claim is read");
}

#[test]
fn tokens_are_demanded_with_identification_off_or_by_header() {
    let alone = rules(&[OAUTH]);
    assert_eq!((alone.client.is_none(), alone.require_group), (true, false));
    assert!(matches!(alone.tokens, Tokens::Verified(_)));
    let header = rules(&[CALLERS, OAUTH]);
    assert!(matches!((header.client, header.tokens), (Some(Source::Header(_)), Tokens::Verified(_))));
    let report = report(&[OAUTH, PROVIDER, LIMIT].concat(), &world());
    assert_eq!(codes(&report), ["limit-without-identity"], "a token alone names nobody");
}

#[test]
fn keys_of_tokens_come_from_exactly_one_place() {
    let url = verification("[server.oauth]\nurl = \"https://id.example.com/keys/?p=b2c\"\n");
    assert_eq!(url.keys, KeySource::Url("https://id.example.com/keys/?p=b2c".parse().unwrap()));
    assert_eq!((url.issuer, url.audience), (None, None));
    assert_eq!(url.poll_interval, Some(Duration::from_secs(3600)), "no revoked key is honoured for ever");
    assert_eq!(url.algorithms.len(), 9);
    assert!(!url.algorithms.contains(&Algorithm::HS256));
    let file = verification(
        "[server.oauth]\nkeys_file = \"jwks.json\"\npoll_interval = \"5m\"\nexpected_issuer = \"i\"\nexpected_audience = \"a\"\nalgorithms = [\"HS256\", \"EdDSA\", \"HS256\"]\n",
    );
    assert_eq!(file.keys, KeySource::File("jwks.json".into()));
    assert_eq!(file.poll_interval, Some(Duration::from_secs(300)));
    assert_eq!((file.issuer.as_deref(), file.audience.as_deref()), (Some("i"), Some("a")));
    assert_eq!(file.algorithms, [Algorithm::HS256, Algorithm::EdDSA]);
    assert_eq!(verification("[server.oauth]\nkeys_file = \"jwks.json\"\n").algorithms, url.algorithms);
}

#[test]
fn what_makes_no_sense_about_tokens_is_refused() {
    for (text, expected) in [
        ("[server.oauth]\n", &["missing-key"][..]),
        ("[server.oauth]\nurl = \"https://h/j\"\nkeys_file = \"jwks.json\"\n", &["conflict"]),
        ("[server.oauth]\nkeys_file = \"gone.json\"\n", &["missing-file"]),
        ("[server.oauth]\nurl = \"ftp://h/j\"\n", &["invalid-url"]),
        ("[server.oauth]\nurl = \"https://h/j#f\"\n", &["invalid-url"]),
        ("[server.oauth]\nurl = \"https://h/j\"\nalgorithms = []\n", &["empty-value"]),
        (
            "[server.oauth]\nurl = \"https://h/j\"\nalgorithms = [\"none\", \"RS255\"]\n",
            &["invalid-choice", "invalid-choice"],
        ),
        ("[server.oauth]\nurl = \"https://h/j\"\nalgorithms = [\"RS256\", \"HS256\"]\n", &["conflict"]),
        ("[server.oauth]\nurl = \"https://h/j\"\nalgorithms = \"RS256\"\n", &["wrong-type"]),
        ("[server.oauth]\nurl = \"https://h/j\"\npoll_interval = \"0s\"\n", &["out-of-range"]),
        ("[server.oauth]\nurl = \"https://h/j\"\nexpected_issuer = \"\"\n", &["empty-value"]),
        ("[server.oauth]\nurl = \"https://h/j\"\nprotected_resource = {}\n", &["missing-key", "missing-key"]),
        (
            "[server.oauth]\nurl = \"https://h/j\"\nprotected_resource = { resource = \"h\", authorization_servers = [] }\n",
            &["invalid-url", "empty-value"],
        ),
        (
            "[server.oauth]\nurl = \"https://h/j\"\nprotected_resource = { resource = \"https://h/x?y=1\", authorization_servers = [\"https://a\"] }\n",
            &["invalid-url"],
        ),
    ] {
        // It is said of each of them, and tested below.
        let found: Vec<_> = found(&[text]).into_iter().filter(|code| *code != "unchecked-claims").collect();
        assert_eq!(found, expected, "{text}");
    }
    let near = report(
        &["[server.oauth]\nurl = \"https://h/j\"\nalgorithms = [\"RS255\"]\n", PROVIDER].concat(),
        &world(),
    );
    assert_eq!(near.diagnostics[1].help.as_deref(), Some("did you mean \"RS256\"?"));
}

#[test]
fn tokens_for_others_are_warned_of() {
    let url = "[server.oauth]\nurl = \"https://h/j\"\n";
    let (issuer, audience) = ("expected_issuer = \"i\"\n", "expected_audience = \"a\"\n");
    assert_eq!(found(&[url, issuer, audience]), [""; 0]);
    for (claims, missing) in [
        ("", &["expected_audience", "expected_issuer"][..]),
        (issuer, &["expected_audience"]),
        (audience, &["expected_issuer"]),
    ] {
        let (_, report) = read(&[url, claims, PROVIDER].concat()).unwrap();
        assert_eq!(codes(&report), ["unchecked-claims"], "{claims}");
        let help = report.diagnostics[0].help.as_deref().unwrap();
        for name in ["expected_audience", "expected_issuer"] {
            assert_eq!(help.contains(name), missing.contains(&name), "{help}");
        }
    }
}

#[test]
fn keys_over_plain_http_are_warned_of() {
    for (url, expected) in [
        ("http://id.example.com/jwks", &["insecure-keys"][..]),
        ("HTTP://10.0.0.1/jwks", &["insecure-keys"]),
        ("https://id.example.com/jwks", &[]),
        ("http://127.0.0.1:8080/jwks", &[]),
        ("http://localhost/jwks", &[]),
    ] {
        assert_eq!(found(&[&OAUTH.replace("https://id.example.com/jwks", url)]), expected, "{url}");
    }
}

#[test]
fn no_credential_names_a_caller() {
    for name in [
        "Authorization",
        "Proxy-Authorization",
        "Cookie",
        "X-Api-Key",
        "X-Goog-Api-Key",
        "Api-Key",
        "X-Provider-API-Key",
        "X-Forwarded-Access-Token",
        "X-Amzn-Oidc-Data",
    ] {
        for part in ["client_id", "group_id"] {
            let callers = CALLERS.replace(
                &format!("{part}.http_header = \"X-"),
                &format!("{part}.http_header = \"{name}\" # "),
            );
            let report = report(&[&callers, PROVIDER].concat(), &World::default());
            assert_eq!(codes(&report), ["credential-as-name"], "{callers}");
            assert!(report.diagnostics[0].help.as_deref().unwrap().contains("[[server.api_keys]]"));
        }
    }
    assert_eq!(found(&[&CALLERS.replace("X-User-Id", "X-Amzn-Oidc-Identity")]), [""; 0]);
}

#[test]
fn a_holder_of_a_key_whom_others_can_name_is_warned_of() {
    let key = api_key("a", "basic", 'a');
    assert_eq!(found(&[CALLERS, &key]), ["forgeable-header"]);
    assert_eq!(found(&[CALLERS, OAUTH, &key]), ["forgeable-header"]);
    assert_eq!(found(&[&CALLERS.replace("true", "false"), &key]), [""; 0], "no header is read");
    assert_eq!(found(&[PROXIED, &key]), [""; 0]);
    assert_eq!(found(&[CALLERS]), [""; 0]);
}

#[test]
fn published_urls_are_normalised() {
    let text = [
        OAUTH,
        "[server.oauth.protected_resource]\nresource = \"http://127.0.0.1:8080\"\nauthorization_servers = [\"http://127.0.0.1:4444\", \"https://H:443/x\"]\n",
        PROVIDER,
    ];
    let published = read(&text.concat()).unwrap().0.server.protected_resource.unwrap();
    assert_eq!(published.resource, "http://127.0.0.1:8080/");
    assert_eq!(published.authorization_servers, ["http://127.0.0.1:4444/", "https://h/x"]);
}

#[test]
fn a_certificate_names_the_client_where_one_is_asked_for() {
    let tls = "[server.tls]\ncertificate = \"ca.pem\"\nkey = \"ca.pem\"\nclient_ca = \"ca.pem\"\n";
    for (field, meant) in [("san_uri", CertificateField::SanUri), ("subject_cn", CertificateField::SubjectCn)]
    {
        let source = format!("client_id.tls = \"{field}\"\n");
        assert_eq!(rules(&[ENABLED, &source, tls]).client, Some(Source::Certificate(meant)));
        assert_eq!(found(&[ENABLED, &source]), ["certificate-without-ca"]);
        assert_eq!(found(&[ENABLED, &source, OAUTH]), ["certificate-without-ca"], "tokens change nothing");
        assert_eq!(found(&[&ENABLED.replace("true", "false"), &source]), [""; 0], "nobody is named");
        assert_eq!(
            found(&[ENABLED, &source, &tls.replace("client_ca", "# client_ca")]),
            ["certificate-without-ca"]
        );
    }
    assert_eq!(
        found(&[ENABLED, "client_id = { tls = \"san_uri\", http_header = \"x\" }\n", tls]),
        ["conflict"]
    );
    assert_eq!(
        found(&[ENABLED, "client_id = { tls = \"san_uri\", type = \"jwt_claim\" }\n", tls]),
        ["conflict"]
    );
    assert_eq!(
        found(&[CALLERS.replace("group_id.http_header", "group_id.tls").as_str()])[0],
        "not-supported"
    );
}

#[test]
fn keys_alone_name_their_holders_and_carry_limits() {
    let keys = [api_key("team-a", "premium", 'a'), api_key("team-b", "", 'B')].concat();
    let rules = rules(&[&keys]);
    assert_eq!((&rules.client, &rules.tokens, rules.require_group), (&None, &Tokens::Ignored, false));
    let [a, b] = &rules.api_keys[..] else { panic!("two keys") };
    assert_eq!(
        (a.client.as_str(), a.group.as_ref().unwrap().as_str(), a.sha256),
        ("team-a", "premium", [0xaa; 32])
    );
    assert_eq!((b.client.as_str(), b.group.as_ref(), b.sha256), ("team-b", None, [0xbb; 32]));
    let groups = "groups.premium = { input_token_limit = 5, interval = \"1s\" }\n";
    assert_eq!(codes(&report(&[&keys, PROVIDER, LIMIT, groups].concat(), &world())), [""; 0]);
    let unknown = groups.replace("premium", "premum");
    let misnamed = report(&[&keys, PROVIDER, LIMIT, &unknown].concat(), &world());
    assert!(codes(&misnamed).contains(&"unknown-group"));
    let nobody = [&api_key("a", "", 'a'), PROVIDER, LIMIT, groups].concat();
    assert_eq!(codes(&report(&nobody, &world())), ["missing-group-id"]);
    let tokens_too = [&keys, OAUTH, PROVIDER, LIMIT].concat();
    assert_eq!(codes(&report(&tokens_too, &world())), ["limit-without-identity"], "tokens would name nobody");
}

#[test]
fn groups_of_keys_are_those_that_are_listed() {
    let values = "[server.client_identification.validation]\ngroup_values = [\"premium\"]\n";
    assert_eq!(found(&[&api_key("a", "premium", 'a'), values]), [""; 0]);
    assert_eq!(found(&[&api_key("a", "gold", 'a'), values]), ["unknown-group"]);
    assert_eq!(found(&[&api_key("a", "", 'a'), values]), [""; 0]);
    assert_eq!(found(&[&api_key("a", "", 'a'), values, "require_group = true\n"]), ["missing-key"]);
    assert_eq!(found(&[PROXIED, &api_key("a", "", 'a')]), ["missing-key"], "every caller needs a group");
    assert_eq!(found(&[PROXIED, &api_key("a", "basic", 'a')]), [""; 0]);
}

#[test]
fn what_makes_no_sense_about_keys_is_refused() {
    let long = "x".repeat(1025);
    for (text, expected) in [
        (api_key("", "", 'a'), &["empty-value"][..]),
        (api_key(&long, "", 'a'), &["out-of-range"]),
        (api_key("a", "", 'g'), &["invalid-hash"]),
        (api_key("a", "", 'a').replace("aaaa", "aaa"), &["invalid-hash"]),
        ([api_key("a", "", 'a'), api_key("b", "", 'A')].concat(), &["duplicate-api-key"]),
        ("[[server.api_keys]]\n".to_owned(), &["missing-key", "missing-key"]),
        ("[server.api_keys]\nclient = \"a\"\n".to_owned(), &["wrong-type"]),
    ] {
        assert_eq!(found(&[&text]), expected, "{text}");
    }
    assert_eq!(found(&[&api_key(&long[1..], "", 'a')]), [""; 0]);
}

#[test]
fn an_empty_list_of_keys_names_nobody_and_unread_hashes_do() {
    let none = ["[server]\napi_keys = []\n", PROVIDER, LIMIT].concat();
    assert_eq!(codes(&report(&none, &world())), ["limit-without-identity"]);
    let unread = api_key("a", "premium", 'a').replace(&"a".repeat(64), "{{ file.a.sha256 }}");
    let groups = "groups.premium = { input_token_limit = 5, interval = \"1s\" }\n";
    let text = [&unread, PROVIDER, LIMIT, groups].concat();
    assert_eq!(codes(&report(&text, &World { lenient: true, ..World::default() })), [""; 0]);
    assert_eq!(codes(&report(&text, &World::default())), ["missing-file"]);
}

#[test]
fn explain_knows_the_group_of_a_key() {
    let keys = [
        api_key("team-a", "premium", 'a'),
        api_key("team-b", "basic", 'b'),
        api_key("team-b", "premium", 'c'),
    ];
    let groups = "groups.premium = { input_token_limit = 5, interval = \"1s\" }\ngroups.basic = { input_token_limit = 4, interval = \"1s\" }\n";
    let (config, _) = read(&[&keys.concat(), PROVIDER, LIMIT, groups].concat()).unwrap();
    let answer = |client: &str, group: Option<&str>| {
        let (client, group) = (client.to_owned(), group.map(str::to_owned));
        explain(&config, &Question { client, group, model: "openai/gpt-4o".into(), tokens: None }).unwrap()
    };
    let a = answer("team-a", None);
    assert!(a.contains("group `premium` is that of its API key"), "{a}");
    assert!(a.ends_with("per_user.groups.premium = 5 input tokens per 1s") && !a.contains("aaaa"), "{a}");
    assert!(answer("team-b", None).ends_with("per_user = 1000 input tokens per 60s"), "two groups are none");
    assert!(answer("team-b", Some("basic")).ends_with("groups.basic = 4 input tokens per 1s"));
    let (config, _) = read(&[ENABLED, "group_id.jwt_claim = \"grp\"\n", OAUTH, PROVIDER].concat()).unwrap();
    let question =
        Question { client: "a".into(), group: Some("g".into()), model: "openai/gpt-4o".into(), tokens: None };
    assert!(explain(&config, &question).unwrap().contains("client `a`, group `g`"));
}
