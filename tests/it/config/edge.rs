//! TLS, browsers, addresses and limits on requests, as the file says them.

use std::{collections::BTreeMap, path::Path, time::Duration};

use actors::identity::Networks;
use http::{HeaderName, Method};
use nexus::config::{
    Config, Server,
    edge::{Allowed, ClientIp, RequestLimit, RequestLimits},
};

use super::{PROVIDER, World, codes, read, report};

fn server(text: &str) -> Server {
    let (config, report) = read(&[text, PROVIDER].concat()).unwrap();
    assert_eq!(codes(&report), [""; 0], "{text}");
    config.server
}

fn found(text: &str) -> Vec<&'static str> {
    codes(&report(&[text, PROVIDER].concat(), &World::default()))
}

#[test]
fn the_files_of_tls_lie_beside_the_configuration_and_must_be_readable() {
    let world = World {
        files: BTreeMap::from([("etc/a.pem", b"" as &[u8]), ("etc/a.key", b""), ("etc/ca.pem", b"")]),
        ..World::default()
    };
    let text = "[server.tls]\ncertificate = \"a.pem\"\nkey = \"a.key\"\nclient_ca = \"ca.pem\"\n";
    let (config, _) = Config::read(Path::new("etc/nexus.toml"), &[text, PROVIDER].concat(), &world).unwrap();
    let tls = config.server.tls.unwrap();
    assert_eq!((&*tls.certificate, &*tls.key), (Path::new("etc/a.pem"), Path::new("etc/a.key")));
    assert_eq!(tls.client_ca.as_deref(), Some(Path::new("etc/ca.pem")));
    let report = report(&[text, PROVIDER].concat(), &World::default());
    let places: Vec<_> = report.diagnostics.iter().map(|d| report.position(d.at.start)).collect();
    assert_eq!((codes(&report), places), (vec!["missing-file"; 3], vec![(2, 15), (3, 7), (4, 13)]));
    assert_eq!(found("[server.tls]\n"), ["missing-key", "missing-key"]);
}

#[test]
fn lists_of_cors_are_everything_one_or_many() {
    let cors = server(
        "[server.cors]\nallow_origins = \"*\"\nallow_methods = \"*\"\nallow_headers = [\"*\"]\nmax_age = \"90s\"\n",
    );
    let cors = cors.cors.unwrap();
    assert_eq!(
        (cors.origins, cors.methods, cors.headers),
        (Some(Allowed::Any), Some(Allowed::Any), Some(Allowed::Any))
    );
    assert_eq!((cors.expose, cors.max_age), (None, Some(Duration::from_secs(90))));
    assert!(!cors.allow_credentials && !cors.allow_private_network);
    let text = r#"
[server.cors]
allow_credentials = true
allow_origins = ["https://App.example.com:443/", "http://*.dev.example.com:3000"]
allow_methods = "POST"
allow_headers = ["Content-Type"]
expose_headers = "X-Request-Id"
allow_private_network = true
"#;
    let cors = server(text).cors.unwrap();
    let origins = ["https://app.example.com", "http://*.dev.example.com:3000"].map(str::to_owned);
    assert_eq!(cors.origins, Some(Allowed::These(origins.into())));
    assert_eq!(cors.methods, Some(Allowed::These(vec![Method::POST, Method::OPTIONS])));
    assert_eq!(cors.headers, Some(Allowed::These(vec![HeaderName::from_static("content-type")])));
    assert_eq!(cors.expose, Some(Allowed::These(vec![HeaderName::from_static("x-request-id")])));
    assert!(cors.allow_credentials && cors.allow_private_network);
    assert_eq!(server("").cors, None);
}

#[test]
fn what_no_browser_would_take_is_refused() {
    for (text, expected) in [
        ("allow_origins = \"foo\"", &["invalid-origin"][..]),
        ("allow_origins = [\"https://a\", \"https://a/b\", \"null\"]", &["invalid-origin", "invalid-origin"]),
        (
            "allow_origins = \"*\"\nallow_methods = [\"get\", \"FETCH\"]",
            &["invalid-choice", "invalid-choice"],
        ),
        ("allow_origins = \"*\"\nallow_headers = [\"a b\", \"ü\"]", &["invalid-header-name"; 2]),
        ("allow_origins = \"*\"\nallow_headers = [1]", &["wrong-type"]),
        ("allow_origins = \"*\"\nmax_age = \"0s\"", &["out-of-range"]),
        ("allow_origins = \"*\"\nallow_credentials = true", &["conflict"]),
        (
            "allow_origins = \"https://a\"\nallow_credentials = true\nallow_methods = \"*\"\nallow_headers = [\"*\"]\nexpose_headers = \"*\"",
            &["conflict"; 3],
        ),
        ("allow_methods = [\"GET\"]", &["no-effect"]),
        ("allow_origins = []", &["no-effect"]),
    ] {
        assert_eq!(found(&format!("[server.cors]\n{text}\n")), expected, "{text}");
    }
    let report = report(
        &["[server.cors]\nallow_origins = \"*\"\nallow_methods = [\"get\"]\n", PROVIDER].concat(),
        &World::default(),
    );
    assert!(report.diagnostics[0].help.as_deref().unwrap().contains("`GET`, `POST`, `PUT`"));
}

#[test]
fn csrf_is_off_until_it_is_enabled() {
    assert_eq!(server("[server.csrf]\nheader_name = \"X-Mine\"\n").csrf, None);
    let default = HeaderName::from_static("x-nexus-csrf-protection");
    assert_eq!(server("[server.csrf]\nenabled = true\n").csrf, Some(default));
    let mine = HeaderName::from_static("x-mine");
    assert_eq!(server("[server.csrf]\nenabled = true\nheader_name = \"X-Mine\"\n").csrf, Some(mine));
    assert_eq!(found("[server.csrf]\nheader_name = \"a b\"\n"), ["invalid-header-name"]);
}

#[test]
fn the_address_of_a_caller_is_that_of_the_connection_by_default() {
    assert_eq!(server("").client_ip, ClientIp::default());
    let text = "[server.client_ip]\nx_real_ip = true\nx_forwarded_for_trusted_hops = 0\n";
    let trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
    let expected =
        ClientIp { x_real_ip: true, trusted_hops: Some(0), trusted_proxies: Networks::new(trusted_proxies) };
    // Whether callers are identified or not.
    for identified in ["", "enabled = false\n", "enabled = true\nclient_id.http_header = \"X-User-Id\"\n"] {
        let proxies =
            format!("[server.client_identification]\n{identified}trusted_proxies = [\"10.0.0.0/8\"]\n");
        assert_eq!(server(&[text, &proxies].concat()).client_ip, expected, "{identified}");
    }
    assert_eq!(found("[server.client_ip]\nx_forwarded_for_trusted_hops = -1\n"), ["out-of-range"]);
}

#[test]
fn an_address_that_anyone_can_write_is_warned_of() {
    for (text, expected) in [
        ("x_real_ip = true", &["forgeable-header"][..]),
        ("x_forwarded_for_trusted_hops = 0", &["forgeable-header"]),
        ("x_real_ip = true\nx_forwarded_for_trusted_hops = 1", &["forgeable-header"; 2]),
        ("x_real_ip = false", &[]),
    ] {
        let text = format!("[server.client_ip]\n{text}\n");
        assert_eq!(found(&text), expected, "{text}");
        let proxies = "[server.client_identification]\ntrusted_proxies = [\"10.0.0.0/8\"]\n";
        let unread: &[&str] = if expected.is_empty() { &["no-effect"] } else { &[] };
        assert_eq!(found(&[&text, proxies].concat()), unread, "{text}");
    }
}

#[test]
fn an_origin_that_strangers_can_have_is_warned_of_or_refused() {
    for (origin, alone, with_credentials) in [
        ("https://*.example.com", "", ""),
        ("https://*-app.example.com", "wide-origin", "wide-origin"),
        ("https://*.*.example.com:*", "", ""),
        ("http://localhost:*", "", ""),
        ("http://[::1]:*", "", ""),
        ("https://*example.com", "wide-origin", "wide-origin"),
        ("https://a.*b.example.com:8443", "wide-origin", "wide-origin"),
        ("https://app.*", "wide-origin", "wide-origin"),
        ("https://*", "", "conflict"),
        ("https://*:*", "", "conflict"),
        ("https://**.*/", "", "conflict"),
    ] {
        for (more, expected) in [("", alone), ("allow_credentials = true\n", with_credentials)] {
            let text = format!("[server.cors]\nallow_origins = [\"{origin}\"]\n{more}");
            assert_eq!(found(&text).concat(), expected, "{text}");
        }
    }
}

#[test]
fn limits_on_requests_hold_where_they_are_set_and_not_switched_off() {
    let limits = |text: &str| server(&format!("[server.rate_limits]\n{text}\n")).request_limits;
    let global = "global = { limit = 3, interval = \"10s\" }";
    let limit = |limit, seconds| Some(RequestLimit { limit, interval: Duration::from_secs(seconds) });
    assert_eq!(limits(global), RequestLimits { global: limit(3, 10), per_ip: None });
    let both = format!("enabled = true\n{global}\nper_ip = {{ limit = 0, interval = \"31d\" }}");
    assert_eq!(limits(&both), RequestLimits { global: limit(3, 10), per_ip: limit(0, 31 * 86_400) });
    assert_eq!(limits(&both.replace("true", "false")), RequestLimits::default());
    assert_eq!(limits("enabled = true\nstorage = { type = \"memory\" }"), RequestLimits::default());
    for (text, code) in [
        ("global = { limit = 1 }", "missing-key"),
        ("global = { interval = \"1s\" }", "missing-key"),
        ("per_ip = { limit = 1, interval = \"999ms\" }", "out-of-range"),
        ("per_ip = { limit = -1, interval = \"1s\" }", "out-of-range"),
        ("per_ip = { limit = 1, interval = \"1s\", burst = 1 }", "unknown-key"),
    ] {
        assert_eq!(found(&format!("[server.rate_limits]\n{text}\n")), [code], "{text}");
    }
}
