//! The configuration from outside: every broken file with its problem, every promise of the text, every number of the walk.
#![allow(clippy::unwrap_used)] // a failed step is a failed test

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use actors::{Group, identity::Source, quota::Kind};
use http::HeaderName;
use nexus::config::{
    Config, Remote,
    diagnostic::{Code, Report, Severity},
    environment::Environment,
    render,
};
use proptest::prelude::*;

mod budgets;
mod edge;
mod headers;
mod identity;
mod meaning;
mod providers;
mod reference;
mod remedies;
mod storage;

/// An environment made of two lists.
#[derive(Default)]
struct World {
    variables: BTreeMap<&'static str, &'static str>,
    files: BTreeMap<&'static str, &'static [u8]>,
    lenient: bool,
}

impl Environment for World {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).map(|value| (*value).to_owned())
    }

    fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        let known = self.files.get(path.to_str().unwrap_or_default());
        known
            .map(|bytes| bytes.to_vec())
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such file"))
    }

    fn lenient(&self) -> bool {
        self.lenient
    }
}

/// The folder `tests/config`, in which nothing but one example is seen.
struct Examples<'a> {
    broken: &'a str,
}

impl Environment for Examples<'_> {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path == Path::new(self.broken) {
            fs::read(root().join("tests/config").join(path))
        } else {
            World::default().file(path)
        }
    }
}

fn read(text: &str) -> Result<(Config, Report), Report> {
    Config::read(Path::new("nexus.toml"), text, &World::default())
}

/// The report of a file, good or bad.
fn report(text: &str, world: &World) -> Report {
    Config::read(Path::new("nexus.toml"), text, world).map_or_else(|report| report, |(_, report)| report)
}

fn codes(report: &Report) -> Vec<&'static str> {
    report.diagnostics.iter().map(|d| d.code.name()).collect()
}

/// Identification by header, two groups.
const CALLERS: &str = r#"
[server.client_identification]
enabled = true
client_id.http_header = "X-User-Id"
group_id.http_header = "X-Group-Id"
[server.client_identification.validation]
group_values = ["premium", "basic"]
"#;

/// A provider with two models.
const PROVIDER: &str = r#"
[llm.providers.openai]
type = "openai"
api_key = "sk-of-tests"
[llm.providers.openai.models."gpt-4o"]
rename = "gpt-4o-0123"
[llm.providers.openai.models."gpt-4o-mini"]
"#;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_code_has_a_broken_file_that_shows_it_and_reads_well() {
    for code in Code::ALL {
        let name = format!("tests/config/{}.toml", code.name());
        assert!(root().join(&name).exists(), "{name}");
        let file = format!("{}.toml", code.name());
        let outcome = Config::load(Path::new(&file), &Examples { broken: &file });
        assert_eq!(outcome.is_err(), code.severity() == Severity::Error, "{name}");
        let report = outcome.map_or_else(|report| report, |(_, report)| report);
        assert!(report.diagnostics.iter().all(|d| d.code == *code), "{name}: {:?}", codes(&report));
        assert!(!report.diagnostics.is_empty(), "{name}");
        let shown = render::text(&report, false);
        assert!(!shown.contains("hidden"), "{name} shows a secret");
        insta::with_settings!({ snapshot_path => "../config", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(code.name(), shown);
        });
    }
}

#[test]
fn five_mistakes_are_five_reports_at_the_right_places() {
    let text = r#"[server]
lisen_address = "127.0.0.1:8000"
max_in_flight = 0
header_timeout = 10
[llm.providers.openai]
type = "opnai"
  api_key = "ä{{ env.NOPE }}"
[llm.providers.openai.models."gpt-4o"]
"#;
    let report = read(text).unwrap_err();
    let found: Vec<_> =
        report.diagnostics.iter().map(|d| (report.position(d.at.start), d.code.name())).collect();
    let expected = [
        ((2, 1), "unknown-key"),
        ((3, 17), "out-of-range"),
        ((4, 18), "wrong-type"),
        ((6, 8), "invalid-choice"),
        ((7, 15), "missing-variable"),
    ];
    assert_eq!(found, expected);
    let json: serde_json::Value = serde_json::from_str(&render::json(&report)).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 5);
    let keys: Vec<_> = json[0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        BTreeSet::from_iter(keys),
        BTreeSet::from(["file", "line", "column", "severity", "code", "message", "help"])
    );
    assert_eq!(
        (&json[1]["line"], &json[1]["column"], &json[1]["severity"]),
        (&3.into(), &17.into(), &"error".into())
    );
    assert_eq!(render::json(&Report::default()), "[]\n");
}

#[test]
fn a_second_value_for_a_key_is_reported_among_the_other_mistakes() {
    let text =
        format!("{PROVIDER}[server]\nmax_in_flight = 1\nmax_in_flight = 2\nidle_timeout = \"x\"\n[servr]\n");
    assert_eq!(codes(&read(&text).unwrap_err()), ["syntax", "invalid-duration", "unknown-key"]);
}

#[test]
fn what_follows_an_unclosed_bracket_is_not_guessed_at() {
    let text = "[server]\nmax_in_flght = 1\n[llm.providers.openai]\nallow = [\"a\"\ntype = \"openai\"\n";
    assert_eq!(codes(&read(text).unwrap_err()), ["unknown-key", "syntax"]);
}

#[test]
fn the_announcements_limits_load_and_mean_what_it_says() {
    let limits = r#"
[llm.providers.openai.rate_limits.per_user]
input_token_limit = 1000
interval = "60s"
[llm.providers.openai.rate_limits.per_user.groups.premium]
input_token_limit = 10000
interval = "60s"
[llm.providers.openai.rate_limits.per_user.groups.basic]
input_token_limit = 500
interval = "60s"
"#;
    let (config, report) = read(&[CALLERS, PROVIDER, limits].concat()).unwrap();
    assert_eq!(codes(&report), [""; 0]);
    let rules = config.identification.as_ref().unwrap();
    assert!(rules.require_group);
    assert_eq!(rules.client, Some(Source::Header(HeaderName::from_static("x-user-id"))));
    let [gpt, mini] = &config.providers[0].models[..] else { panic!("two models") };
    assert_eq!((&*gpt.name, &*gpt.upstream_name), ("gpt-4o", "gpt-4o-0123"));
    assert_eq!((&*mini.name, &*mini.upstream_name), ("gpt-4o-mini", "gpt-4o-mini"));
    let tokens = |group: Option<&str>| {
        let budget = gpt.budgets.of(group.map(Group::new).as_ref());
        let rules: Vec<_> = budget.per_user.as_ref().unwrap().rules.iter().collect();
        assert_eq!(
            (rules.len(), rules[0].kind, &*rules[0].id),
            (1, Kind::Input, "per_user.input_token_limit")
        );
        rules[0].limit.tokens
    };
    assert_eq!([Some("basic"), Some("premium"), None].map(tokens), [500, 10000, 1000]);
    assert_eq!(gpt.budgets, mini.budgets, "a provider's limit is shared by its models");
    let Remote { base_url, api_key, .. } = config.providers[0].kind.remote().unwrap();
    assert_eq!(base_url.to_string(), "https://api.openai.com/v1");
    assert_eq!(api_key.as_ref().unwrap().expose(), "sk-of-tests");
}

#[test]
fn references_are_replaced_anywhere_in_a_string() {
    let world = World {
        variables: BTreeMap::from([("HOST", "llm.example.com"), ("EMPTY", "")]),
        files: BTreeMap::from([("etc/key", b"from a file\n" as &[u8])]),
        lenient: false,
    };
    let text = r#"
[llm.providers.openai]
type = "openai"
api_key = "<{{ file.key }}|{{ env.EMPTY | unused }}|{{env.NOPE|  the default }}>"
base_url = "https://{{ env.HOST }}/v1"
models.m = { rename = "{{ env.NOPE | }}x" }
"#;
    let (config, _) = Config::read(Path::new("etc/nexus.toml"), text, &world).unwrap();
    let Remote { base_url, api_key, .. } = config.providers[0].kind.remote().unwrap();
    assert_eq!(base_url.to_string(), "https://llm.example.com/v1");
    assert_eq!(api_key.as_ref().unwrap().expose(), "<from a file||the default>");
    assert_eq!(&*config.providers[0].models[0].upstream_name, "x");
}

#[test]
fn anything_else_in_braces_is_an_error() {
    for inside in ["env.A-B", "foo.NAME", "env", "env.", "env.A.B", "file.", "", " ", "env.A", "NAME"] {
        let text = PROVIDER.replace("sk-of-tests", &format!("{{{{ {inside} }}}}"));
        let expected = if inside == "env.A" { "missing-variable" } else { "invalid-reference" };
        assert_eq!(codes(&report(&text, &World::default())), [expected], "{inside:?}");
    }
    let open = PROVIDER.replace("sk-of-tests", "{{ env.A");
    assert_eq!(codes(&report(&open, &World::default())), ["invalid-reference"]);
}

#[test]
fn without_an_environment_missing_values_are_taken_for_granted() {
    let text = r#"
[server]
listen_address = "{{ env.ADDRESS }}"
[llm.providers.openai]
type = "{{ env.TYPE }}"
api_key = "{{ env.KEY }}"
base_url = "{{ file.url }}"
ca_file = "roots.pem"
models.m = {}
"#;
    assert_eq!(codes(&report(text, &World { lenient: true, ..World::default() })), [""; 0]);
    assert_eq!(codes(&report(text, &World::default())).len(), 4);
    let groups = CALLERS.replace("\"basic\"", "\"{{ env.GROUP }}\"");
    let limit = "rate_limits.per_user.groups.basic = { input_token_limit = 1, interval = \"1s\" }\n";
    let text = [&groups, PROVIDER, limit].concat();
    assert!(!report(&text, &World { lenient: true, ..World::default() }).has_errors());
    assert_eq!(codes(&report(&text, &World::default()))[..1], ["missing-variable"]);
}

#[test]
fn the_place_of_a_byte_that_is_not_utf8_is_said_and_nothing_secret_with_it() {
    for (bytes, place, shown) in [
        (&b"# ok\n[server] # caf\xe9\n"[..], (2, 15), "0xe9 at offset 19"),
        (b"[llm.providers.p]\napi_key = \"hidden-1\xff\"\n", (2, 20), "0xff at offset 37"),
        (b"[llm.providers.p]\napi_key = \"\xc3\x28 hidden-2\"\n", (2, 12), "0xc3 at offset 29"),
        (b"api_key = \"hidden-3\"\xe2\x82", (1, 21), "0xe2 at offset 20"),
        (b"\xff\xfe[\0s\0", (1, 1), "UTF-16"),
    ] {
        let report = Config::load(
            Path::new("n"),
            &World { files: BTreeMap::from([("n", bytes)]), ..World::default() },
        );
        let report = report.unwrap_err();
        assert_eq!(codes(&report), ["not-text"]);
        assert_eq!(report.position(report.diagnostics[0].at.start), place);
        for text in [render::text(&report, false), render::json(&report)] {
            assert!(text.contains(shown) && !text.contains("hidden"), "{text}");
            assert!(!text.contains("a smallest nexus.toml"), "there is a file: {text}");
        }
    }
}

#[test]
fn secrets_are_printed_nowhere() {
    let world = World { variables: BTreeMap::from([("KEY", "hidden-env")]), ..World::default() };
    let good = PROVIDER.replace("sk-of-tests", "hidden-{{ env.KEY }}");
    let (config, _) = Config::read(Path::new("n"), &good, &world).unwrap();
    assert!(!format!("{config:?}").contains("hidden"));
    let rule =
        "[[llm.providers.openai.headers]]\nrule = \"insert\"\nname = \"x\"\nvalue = \"hidden-value\"\n";
    let (config, _) = read(&[PROVIDER, rule].concat()).unwrap();
    assert!(!format!("{config:?}").contains("hidden") && format!("{config:?}").contains("Insert"));
    for broken in [
        "[llm.providers.p]\ntype = \"openai\"\napi_key = hidden-1\nmodels.m = {}",
        "[llm.providers.p]\ntype = \"openai\"\napi_key = \"hidden-2\nmodels.m = {}",
        "[llm.providers.p]\ntype = \"openai\"\napi_key = [\"hidden-3\"]\nmodels.m = {}",
        "[llm.providers.p]\ntype = \"openai\"\napi_kee = { a = \"hidden-4\" }\nmodels.m = {}",
        "[llm.providers.p]\ntype = \"openai\"\napi_key = \"a\"\napi_key = \"hidden-5\"\nmodels.m = {}",
        "[llm.providers.p]\ntype = \"{{ env.KEY }}\"\nmodels.m = {}",
        "[llm.providers.p]\ntype = \"echo\"\ntoken_delay = \"{{ env.KEY }}\"\nmodels.m = {}",
        "[llm.providers.p]\ntype = \"echo\"\nbase_url = \"http://u:hidden-6@h/\"\nmodels.m = {}",
        "[llm.providers.p]\ntype = \"openai\"\nbase_url = \"http://u:hidden-7@h/\"\nmodels.m = {}",
        "[server.rate_limits]\nstorage = { type = \"redis\", url = \"redis://:hidden-8@h\" }",
        "[mcp.servers.x]\ncmd = [\"a\", \"hidden-9\"]\nauth.token = \"hidden-10\"",
        "[llm.providers.p]\ntype = \"openai\", api_key = \"hidden-11\"\nmodels.m = {}",
        "[llm.providers.p]\ntype = \"openai\"\napi_key = \"\"\"\nhidden-12\nhidden-13",
        "[llm]\nproviders.p = { type = \"openai\", api_key = 'hidden-14', models.m = {} ",
        "[llm.providers.p]\nbase_url = http://u:hidden-15@h\n",
        "[[server.api_keys]]\nclient = \"a\"\nsha256 = \"hidden-16\" x\n",
        "[[server.api_keys]]\nclient = \"a\"\nsha256 = \"hidden-17\"\n",
        "[[server.api_keys]]\nsha256 = [\"hidden-18\"]\n",
        "[server.oauth]\nurl = \"https://u:hidden-19@h/jwks\"\n",
        "[server.oauth]\nurl = \"https://u:hidden-24@h:port/jwks\"\n",
        "[server.oauth]\nurl = https://u:hidden-25@h/jwks\n",
        "[server.oauth.protected_resource]\nresource = \"https://u:hidden-26@h\"\n",
        "[server.oauth.protected_resource]\nauthorization_servers = [\"https://a\", \"https://u:hidden-27@h\"]\n",
        "[server.oauth.protected_resource]\nauthorization_servers = \"https://u:hidden-28@h\"\n",
        "[server.oauth.protected_resource]\nauthorization_servers = https://u:hidden-29@h\n",
        "[server.oauth]\nurl = \"https://h/jwks?key=hidden-30#f\"\n",
        "[server.oauth.protected_resource]\nauthorization_servers = [\"h/?key=hidden-31\"]\n",
        "[server.oauth]\nurl = \"{{ env.KEY }}\"\nalgorithms = [\"{{ env.KEY }}\"]\n",
        "[[llm.providers.p.headers]]\nrule = \"insert\"\nname = \"cookie\"\nvalue = \"hidden-20\"\n",
        "[[llm.providers.p.headers]]\nrule = \"insert\"\nname = \"x\"\nvalue = \"hidden-21\\n\"\n",
        "[[llm.providers.p.headers]]\nrule = \"remove\"\nname = \"x\"\nvalue = \"hidden-22\"\n",
        "[[llm.providers.p.headers]]\nrule = \"forward\"\npattern = \"({{ env.KEY }}\"\ndefault = \"hidden-23\"\n",
    ] {
        let report = report(broken, &world);
        assert!(!report.diagnostics.is_empty(), "{broken}");
        assert!(!format!("{report:?}").contains("hidden"), "{broken}");
        for shown in [render::text(&report, false), render::text(&report, true), render::json(&report)] {
            assert!(!shown.contains("hidden"), "{broken}\n--\n{shown}");
        }
    }
}

#[test]
fn credentials_in_a_url_are_refused_with_what_to_write_instead() {
    let userinfo = "https://me:hidden@h/";
    for (text, remedy) in [
        (format!("[server.oauth]\nurl = \"{userinfo}jwks\"\n"), "write it without; for example `url = "),
        (
            format!("[server.oauth.protected_resource]\nresource = \"{userinfo}\"\n"),
            "write it without; for example `resource = ",
        ),
        (
            format!("[server.oauth.protected_resource]\nauthorization_servers = [\"{userinfo}\"]\n"),
            "write it without; for example `authorization_servers = ",
        ),
        (
            format!("[llm.providers.p]\ntype = \"openai\"\nbase_url = \"{userinfo}v1\"\nmodels.m = {{}}\n"),
            "write it without; what the server asks for goes into `api_key`, or into a header rule: ",
        ),
    ] {
        let report = report(&text, &World::default());
        let found = report.diagnostics.iter().find(|found| found.code.name() == "invalid-url").unwrap();
        assert_eq!(found.message, "the URL must not hold a user name or password", "{text}");
        assert!(found.help.as_ref().unwrap().starts_with(remedy), "{text}: {found:?}");
        assert!(!render::text(&report, false).contains("hidden"), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics_the_reader(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "[", "]", "[[", "]]", "=", ".", "\n", " ", "\"", "'", "\"\"\"", "{", "}", "{{", "}}", "{{ env.A }}", "|", ",", "#",
                "server", "llm", "providers", "models", "p", "type", "\"echo\"", "rate_limits", "per_user", "groups", "interval",
                "input_token_limit", "client_identification", "enabled", "true", "0", "-1", "1e400", "\"60s\"", "ä", "\u{feff}", "\t",
                "allow", "api_key", "\"\\u0000\"", "1979-05-27",
            ]),
            0..60,
        ),
    ) {
        let report = report(&parts.concat(), &World::default());
        let _ = (render::text(&report, true), render::json(&report));
    }

    #[test]
    fn no_change_of_a_byte_panics_the_reader(at in 0_usize..700, byte in any::<u8>()) {
        let mut bytes = [CALLERS, PROVIDER].concat().into_bytes();
        let len = bytes.len();
        bytes[at % len] = byte;
        let report = report(&String::from_utf8_lossy(&bytes), &World::default());
        let _ = (render::text(&report, false), render::json(&report));
    }
}
