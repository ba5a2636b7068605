//! Where windows are kept.

use std::path::Path;

use actors::quota::{OnError, Redis};
use nexus::config::{Config, Storage, render};

use super::{CALLERS, PROVIDER, World, codes, read, report};

fn storage(text: &str) -> Storage {
    read(&format!("[server.rate_limits]\nstorage = {{ {text} }}\n{PROVIDER}")).unwrap().0.server.storage
}

fn redis(text: &str) -> Redis {
    match storage(&format!("type = \"redis\", {text}")) {
        Storage::Redis(redis) => redis,
        Storage::Memory { .. } => panic!("{text}"),
    }
}

#[test]
fn the_path_of_a_file_is_relative_to_the_configuration() {
    let text =
        format!("[server.rate_limits]\nstorage = {{ type = \"memory\", path = \"w.redb\" }}\n{PROVIDER}");
    let (config, _) = Config::read(Path::new("etc/nexus.toml"), &text, &World::default()).unwrap();
    assert_eq!(config.server.storage, Storage::Memory { path: Some("etc/w.redb".into()) });
    assert_eq!(storage("type = \"memory\""), Storage::Memory { path: None });
}

#[test]
fn a_server_must_be_there_at_the_start_unless_it_is_written_what_becomes_of_calls_without_it() {
    let url = "url = \"redis://h\"";
    for (written, on_error, required) in [
        ("", OnError::Local, true),
        (", on_error = \"local\"", OnError::Local, false),
        (", on_error = \"allow\"", OnError::Allow, false),
        (", on_error = \"deny\"", OnError::Deny, true),
    ] {
        let redis = redis(&[url, written].concat());
        assert_eq!((redis.on_error, redis.required), (on_error, required), "{written}");
    }
}

#[test]
fn defaults_are_those_of_the_documentation_and_a_part_of_a_table_keeps_the_others() {
    let all = redis("url = \"redis://u:hidden@h:6380/2\", pool = { min_idle = 1, timeout_wait = \"1s\" }");
    assert_eq!((&*all.key_prefix, all.connections, all.tls.is_none()), ("nexus:rate_limit:", 16, true));
    assert_eq!([all.response_timeout, all.connection_timeout].map(|time| time.as_secs()), [1, 5]);
    assert!(all.url.expose().contains("hidden") && !format!("{all:?}").contains("hidden"));
    assert!(redis("url = \"rediss://h\"").tls.is_some());
    assert!(redis("url = \"redis://h\", tls = { enabled = true, insecure = true }").tls.unwrap().insecure);
}

#[test]
fn the_example_of_two_routers_needs_nothing_but_what_it_names() {
    let variables = [("REDIS_PASSWORD", "hidden"), ("OPENAI_API_KEY", "sk-of-tests")];
    let world = World { variables: variables.into(), ..World::default() };
    let text = include_str!("../../../config/examples/two-routers-redis.toml");
    let (config, report) = Config::read(Path::new("n"), text, &world).unwrap();
    assert_eq!(codes(&report), [""; 0]);
    let Storage::Redis(redis) = config.server.storage else { panic!("{:?}", config.server.storage) };
    assert_eq!((redis.on_error, redis.required, redis.tls.is_some()), (OnError::Local, false, true));
}

#[test]
fn what_makes_no_sense_of_a_server_is_said_without_its_password() {
    for (text, code) in [
        ("", "missing-key"),
        ("url = \"http://u:hidden@h\"", "invalid-url"),
        ("url = \"redis://u:hidden@h/name\"", "invalid-url"),
        ("url = \"redis://u:hid den@h\"", "invalid-url"),
        ("url = \"rediss://u:hidden@h\", tls = { enabled = false }", "conflict"),
        ("url = \"redis://h\", path = \"f\"", "another-type"),
        ("url = \"redis://h\", tls = { enabled = true, client_cert_path = \"nope.pem\" }", "missing-file"),
    ] {
        let text = format!("[server.rate_limits]\nstorage = {{ type = \"redis\", {text} }}\n{PROVIDER}");
        let report = report(&text, &World::default());
        assert_eq!(codes(&report), [code], "{text}");
        assert!(!render::text(&report, false).contains("hidden"), "{text}");
    }
}

#[test]
fn limits_that_a_server_cannot_count_exactly_are_refused_with_the_most_it_can() {
    const MOST: u64 = 1 << 53;
    let limits = |tokens: u64| {
        format!(
            "[server.rate_limits]\nstorage = {{ type = \"redis\", url = \"redis://h\" }}\n{CALLERS}{PROVIDER}
            [llm.providers.openai.rate_limits.per_user.groups.basic]
            windows = [{{ input_token_limit = {tokens}, interval = \"1d\" }}]
            [llm.providers.openai.rate_limits.total]\ninput_token_limit = {tokens}\ninterval = \"1d\"\n"
        )
    };
    assert!(!report(&limits(MOST), &World::default()).has_errors());
    let report = report(&limits(MOST + 1), &World::default());
    let errors: Vec<_> = codes(&report).into_iter().filter(|code| *code == "out-of-range").collect();
    assert_eq!(errors.len(), 2);
}
