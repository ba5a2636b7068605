//! What a file is answered that goes wrong where an attacker or a hurried operator would: the remedy is true, and no secret
//! is printed.

use actors::identity::{Algorithm, Networks};
use http::HeaderName;
use nexus::config::{Config, diagnostic::Diagnostic, render};

use super::{PROVIDER, World, codes, read, report};

const CALLERS: &str =
    "[server.client_identification]\nenabled = true\nclient_id.http_header = \"X-User-Id\"\n";
const OAUTH: &str =
    "[server.oauth]\nurl = \"https://h/j\"\nexpected_issuer = \"i\"\nexpected_audience = \"a\"\n";

fn found(text: &str) -> Vec<&'static str> {
    codes(&report(&[text, PROVIDER].concat(), &World::default()))
}

/// The only problem of a file.
#[track_caller]
fn problem(text: &str) -> Diagnostic {
    let report = report(&[text, PROVIDER].concat(), &World::default());
    assert_eq!(report.diagnostics.len(), 1, "{}", render::text(&report, false));
    report.diagnostics[0].clone()
}

#[track_caller]
fn remedy(text: &str) -> String {
    problem(text).help.expect("a remedy")
}

fn config(text: &str) -> Config {
    let (config, report) = read(&[text, PROVIDER].concat()).unwrap();
    assert_eq!(codes(&report), [""; 0], "{text}");
    config
}

#[test]
fn an_empty_list_of_proxies_is_refused_and_an_absent_one_believes_all() {
    let empty = problem(&[CALLERS, "trusted_proxies = []\n"].concat());
    assert_eq!(empty.code.name(), "empty-value");
    let help = empty.help.unwrap();
    assert!(help.contains("name the proxies") && help.contains("remove it"), "{help}");
    let off = "[server.client_identification]\nenabled = false\ntrusted_proxies = []\n";
    assert_eq!(found(off), ["empty-value"]);
    assert!(config(CALLERS).identification.unwrap().trusted_proxies == Networks::default());
}

#[test]
fn a_proxy_written_as_ipv6_of_an_ipv4_address_is_the_ipv4_network() {
    for (written, meant) in [
        ("::ffff:127.0.0.1", "127.0.0.1/32"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::FFFF:7f00:1", "127.0.0.1/32"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("192.0.2.7", "192.0.2.7/32"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("::/0", "::/0"),
        ("::ffff:0:0/95", "::fffe:0:0/95"),
    ] {
        let text = format!("{CALLERS}trusted_proxies = [\"{written}\"]\n");
        let proxies = config(&text).identification.unwrap().trusted_proxies;
        assert_eq!(proxies, Networks::new(vec![meant.parse().unwrap()]), "{written}");
    }
}

#[test]
fn a_number_out_of_range_is_answered_with_one_in_range() {
    let proxied = [CALLERS, "trusted_proxies = [\"10.0.0.0/8\"]\n[server.client_ip]\n"].concat();
    let help = remedy(&[&proxied, "x_forwarded_for_trusted_hops = 65\n"].concat());
    assert_eq!(help, "for example `x_forwarded_for_trusted_hops = 1`");
    let help = remedy("[actors]\nquota_shards = 0\n");
    assert_eq!(help, "for example `quota_shards = 4`");
}

#[test]
fn an_algorithm_that_is_not_supported_is_not_taken_for_one_that_reads_alike() {
    for (written, expected) in [
        ("ES512", "ES512 is not supported, ES256 and ES384 are"),
        ("es512", "ES512 is not supported, ES256 and ES384 are"),
        ("ES256K", "ES256K is not supported, ES256 and ES384 are"),
        ("RS255", "did you mean \"RS256\"?"),
    ] {
        assert_eq!(remedy(&format!("{OAUTH}algorithms = [\"{written}\"]\n")), expected);
    }
    let good = config(&[OAUTH, "algorithms = [\"ES384\"]\n"].concat()).identification.unwrap();
    assert!(format!("{:?}", good.tokens).contains(&format!("{:?}", [Algorithm::ES384])));
}

#[test]
fn a_key_or_a_secret_that_is_not_needed_is_answered_with_what_is() {
    let holder = format!("[[server.api_keys]]\nclient = \"a\"\nsha256 = \"{}\"\n", "a".repeat(64));
    for name in ["key", "api_key", "token"] {
        let problem = problem(&format!("{holder}{name} = \"nxs_hidden\"\n"));
        assert_eq!(problem.code.name(), "unknown-key");
        let help = problem.help.unwrap();
        assert!(help.contains("sha256") && help.contains("`nexus key new`"), "{help}");
        assert!(!help.contains("server.tls"), "{help}");
    }
    for name in ["secret", "client_secret"] {
        let help = remedy(&format!("{OAUTH}{name} = \"hidden\"\n"));
        assert!(help.contains("no secret is needed"), "{help}");
    }
}

#[test]
fn limits_beside_tokens_name_the_claim_too() {
    let limit = "[llm.providers.openai.rate_limits.per_user]\ninput_token_limit = 1\ninterval = \"60s\"\n";
    let help = |text: &str| {
        let report = report(&[text, PROVIDER, limit].concat(), &World::default());
        assert_eq!(codes(&report), ["limit-without-identity"], "{text}");
        report.diagnostics[0].help.clone().unwrap()
    };
    let (with, without) = (help(OAUTH), help(""));
    assert!(
        with.contains("client_id.jwt_claim = \"sub\"") && with.contains("client_id.http_header"),
        "{with}"
    );
    assert!(!without.contains("jwt_claim") && without.contains("client_id.http_header"), "{without}");
}

#[test]
fn secrets_of_the_wrong_shape_are_printed_nowhere() {
    for broken in [
        "[server]\napi_keys = \"hidden-1\"\n",
        "[server]\napi_keys = [\"hidden-2\", { client = \"a\", sha256 = \"hidden-3\" }]\n",
        "[server]\noauth = \"hidden-4\"\n",
        "[server]\noauth = [\"hidden-5\"]\n",
        "[server]\napi_keys = hidden-6\n",
        "[[server.api_keys]]\nclient = \"a\"\nkey = \"hidden-7\"\n",
        "[server.oauth]\nurl = \"https://h/j\"\nclient_secret = \"hidden-8\"\n",
        "[server.cors]\nallow_origins = \"https://u:hidden-9@app.example.com\"\n",
        "[server.cors]\nallow_origins = [\"https://a.test\", \"u:hidden-10@app.example.com\"]\n",
        "[server.cors]\nallow_origins = https://u:hidden-11@h\n",
        "[server.cors]\nallow_origins = \"https://a.test\"\nallow_headers = [\"https://u:hidden-12@h\"]\n",
        "[server.oauth]\nurl = \"https://h/j\"\nprotected_resource = { resource = \"https://h\", authorization_servers = [\"https://u:hidden-13@h\"] }\n",
        "[server]\nlisten_address = \"redis://:hidden-14@h\"\n",
        "[llm]\nproviders = \"hidden-15\"\n",
        "[[llm.providers.p.models]]\nm = \"hidden-16\"\n",
    ] {
        let report = report(&[broken, PROVIDER].concat(), &World::default());
        assert!(report.has_errors(), "{broken}");
        for shown in [format!("{report:?}"), render::text(&report, false), render::json(&report)] {
            assert!(!shown.contains("hidden"), "{broken}\n--\n{shown}");
        }
    }
}

#[test]
fn no_header_that_requests_carry_anyway_stands_against_forgery() {
    for name in [
        "Accept",
        "accept-language",
        "Content-Type",
        "Cookie",
        "Host",
        "Origin",
        "Referer",
        "User-Agent",
        "Connection",
        "Sec-Fetch-Site",
        "Sec-Anything",
        "Authorization",
        "Range",
        "If-None-Match",
        "DNT",
        "Via",
        "X-Forwarded-For",
        "Access-Control-Request-Method",
        "Cache-Control",
        "Priority",
    ] {
        for enabled in ["", "enabled = true\n"] {
            assert_eq!(
                found(&format!("[server.csrf]\n{enabled}header_name = \"{name}\"\n")),
                ["common-header"]
            );
        }
    }
    for name in ["X-CSRF-Token", "X-Requested-With", "X-Nexus-CSRF-Protection", "My-Origin"] {
        let csrf = config(&format!("[server.csrf]\nenabled = true\nheader_name = \"{name}\"\n")).server.csrf;
        assert_eq!(csrf, Some(name.parse::<HeaderName>().unwrap()));
    }
}

#[test]
fn a_url_holds_nothing_that_would_end_its_quotes() {
    for bad in [
        "https://h/a\\\"b",
        "https://h/a b",
        "https://h/<a>",
        "https://h/a\\\\b",
        "https://h/a`b",
        "https://h/ä",
    ] {
        let table = "[server.oauth.protected_resource]\n";
        for (resource, server) in [(bad, "https://id"), ("https://h", bad)] {
            let text =
                format!("{OAUTH}{table}resource = \"{resource}\"\nauthorization_servers = [\"{server}\"]\n");
            assert_eq!(problem(&text).code.name(), "invalid-url", "{text}");
        }
        let base = PROVIDER.replace("api_key", &format!("base_url = \"{bad}\"\napi_key"));
        assert_eq!(codes(&report(&base, &World::default())), ["invalid-url"], "{bad}");
    }
    let text = "[server.oauth.protected_resource]\nresource = \"https://h/a%20b/~c;d='e'\"\n\
                authorization_servers = [\"https://id/?a=b&c\"]\n";
    config(&[OAUTH, text].concat());
}

#[test]
fn a_key_too_short_to_be_kept_out_of_texts_is_warned_of_but_for_dummies_of_this_machine() {
    let of = |base_url: &str, key: &str| {
        let url = if base_url.is_empty() { String::new() } else { format!("base_url = \"{base_url}\"\n") };
        let text =
            format!("[llm.providers.p]\ntype = \"openai\"\n{url}api_key = \"{key}\"\nmodels.m = {{}}\n");
        codes(&report(&text, &World::default()))
    };
    for base_url in ["", "https://llm.example.com/v1", "http://10.0.0.1", "http://localhost.example.com"] {
        assert_eq!(of(base_url, "1234567"), ["short-key"], "{base_url}");
        assert_eq!(of(base_url, "12345678"), [""; 0], "{base_url}");
        assert_eq!(of(base_url, ""), [""; 0], "no key at all");
    }
    for base_url in
        ["http://localhost:11434/v1", "http://127.0.0.1:8000/v1", "http://[::1]:8000", "http://a.localhost"]
    {
        assert_eq!(of(base_url, "none"), [""; 0], "{base_url}");
    }
}
