//! The configuration from outside: every broken file with its problem, every promise of the text, every number of the walk.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use nexus::config::{
    Config, ProviderKind,
    diagnostic::{Code, Report, Severity},
    environment::Environment,
    explain::{Question, explain},
    keys::{FILE, Kind, Section, Support},
    render, schema,
};
use proptest::prelude::*;

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
api_key = "sk-..."
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
        let text = fs::read_to_string(root().join(&name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        let file = format!("{}.toml", code.name());
        let outcome = Config::read(Path::new(&file), &text, &World::default());
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
    assert_eq!(rules.client_header, "x-user-id");
    let [gpt, mini] = &config.providers[0].models[..] else { panic!("two models") };
    assert_eq!((&*gpt.name, &*gpt.upstream_name), ("gpt-4o", "gpt-4o-0123"));
    assert_eq!((&*mini.name, &*mini.upstream_name), ("gpt-4o-mini", "gpt-4o-mini"));
    let tokens: Vec<_> =
        gpt.per_user.groups.iter().map(|(g, r)| (g.as_str(), r.as_ref().unwrap().limit.tokens)).collect();
    assert_eq!(tokens, [("basic", 500), ("premium", 10000)]);
    assert_eq!(gpt.per_user.default.as_ref().unwrap().limit.tokens, 1000);
    assert_eq!(gpt.per_user, mini.per_user, "a provider's limit is shared by its models");
    let ProviderKind::OpenAi { base_url, api_key, .. } = &config.providers[0].kind else { panic!("openai") };
    assert_eq!(base_url.to_string(), "https://api.openai.com/v1");
    assert_eq!(api_key.as_ref().unwrap().expose(), "sk-...");
}

#[test]
fn the_announcements_identification_loads_by_header_and_says_what_to_do_for_claims() {
    let header = "[server.client_identification]\nenabled = true\nclient_id.http_header = \"X-User-Id\"\n";
    assert_eq!(codes(&read(&[header, PROVIDER].concat()).unwrap().1), [""; 0]);
    let claim = "[server.client_identification]\nenabled = true\nclient_id.jwt_claim = \"sub\"\n";
    let report = read(&[claim, PROVIDER].concat()).unwrap_err();
    assert_eq!(codes(&report), ["jwt-without-keys"]);
    let help = report.diagnostics[0].help.as_deref().unwrap();
    assert!(help.contains("[server.oauth]") && help.contains("jwt_verification = \"none\""), "{help}");
    // The group snippet as it stands, with its "or" taken literally; then without that line.
    let values = "[server.client_identification.validation]\ngroup_values = [\"premium\", \"basic\"]\n";
    let both =
        "[server.client_identification]\nenabled = true\nclient_id.http_header = \"X-Group-Id\"\n# or\n";
    let report = read(&[both, "group_id.jwt_claim = \"grp\"\n", values, PROVIDER].concat()).unwrap_err();
    assert_eq!(codes(&report), ["jwt-without-keys"]);
    let (_, report) = read(&[both, values, PROVIDER].concat()).unwrap();
    assert_eq!(codes(&report), ["no-effect"]);
}

#[test]
fn a_claim_with_keys_says_that_this_version_has_no_jwt_identity() {
    let claim = "[server.client_identification]\nenabled = true\nclient_id.jwt_claim = \"sub\"\n";
    let none = [claim, "jwt_verification = \"none\"\n", PROVIDER].concat();
    assert_eq!(codes(&read(&none).unwrap_err()), ["not-in-this-version"]);
    let oauth = [claim, "[server.oauth]\nurl = \"https://id.example.com/jwks\"\n", PROVIDER].concat();
    assert_eq!(codes(&read(&oauth).unwrap_err()), ["not-in-this-version", "not-in-this-version"]);
    let absent = ["[server.client_identification]\nenabled = true\n", PROVIDER].concat();
    assert_eq!(codes(&read(&absent).unwrap_err()), ["jwt-without-keys"], "the default source is a claim");
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
    let ProviderKind::OpenAi { base_url, api_key, .. } = &config.providers[0].kind else { panic!("openai") };
    assert_eq!(base_url.to_string(), "https://llm.example.com/v1");
    assert_eq!(api_key.as_ref().unwrap().expose(), "<from a file||the default>");
    assert_eq!(&*config.providers[0].models[0].upstream_name, "x");
}

#[test]
fn anything_else_in_braces_is_an_error() {
    for inside in ["env.A-B", "foo.NAME", "env", "env.", "env.A.B", "file.", "", " ", "env.A", "NAME"] {
        let text = PROVIDER.replace("sk-...", &format!("{{{{ {inside} }}}}"));
        let expected = if inside == "env.A" { "missing-variable" } else { "invalid-reference" };
        assert_eq!(codes(&report(&text, &World::default())), [expected], "{inside:?}");
    }
    let open = PROVIDER.replace("sk-...", "{{ env.A");
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
}

#[test]
fn secrets_are_printed_nowhere() {
    let world = World { variables: BTreeMap::from([("KEY", "hidden-env")]), ..World::default() };
    let good = PROVIDER.replace("sk-...", "hidden-{{ env.KEY }}");
    let (config, _) = Config::read(Path::new("n"), &good, &world).unwrap();
    assert!(!format!("{config:?}").contains("hidden"));
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
    ] {
        let report = report(broken, &world);
        assert!(!report.diagnostics.is_empty(), "{broken}");
        for shown in [render::text(&report, false), render::text(&report, true), render::json(&report)] {
            assert!(!shown.contains("hidden"), "{broken}\n--\n{shown}");
        }
    }
}

#[test]
fn later_keys_are_known_and_refused_with_a_remedy() {
    for (table, text) in [
        ("server", "[server.cors]\nallow_origins = \"*\""),
        ("server", "[server.csrf]\nenabled = true"),
        ("server", "[server.client_ip]\nx_real_ip = true"),
        ("server", "[server.client_ip]\nx_forwarded_for_trusted_hops = 1"),
        ("server", "[server.oauth]\nurl = \"https://id.example.com/jwks\""),
        ("server", "[[server.api_keys]]\nclient = \"a\"\nsha256 = \"00\""),
        ("server", "[server.rate_limits]\nglobal = { limit = 1, interval = \"1s\" }"),
        ("server", "[server.rate_limits]\nenabled = true\nper_ip = { limit = 1, interval = \"1s\" }"),
        (
            "server",
            "[server.rate_limits]\nstorage = { type = \"redis\", url = \"redis://h\", on_error = \"deny\" }",
        ),
        ("server", "[server.rate_limits]\nstorage = { type = \"memory\", path = \"nexus.redb\" }"),
        ("llm", "[llm.limits]\ncount = \"reported\""),
        ("llm", "[llm.limits]\non_output_limit = \"cut\""),
        ("llm", "[llm.providers.p]\ntype = \"anthropic\"\nmodels.m = {}"),
        ("llm", "[llm.providers.p]\ntype = \"bedrock\"\nregion = \"eu-west-1\"\nmodels.m = {}"),
        ("llm", "[llm.providers.p]\ntype = \"openai\"\nforward_token = true\nmodels.m = {}"),
        (
            "llm",
            "[llm.providers.p]\ntype = \"openai\"\nmodels.m = {}\n[[llm.providers.p.headers]]\nrule = \"remove\"\nname = \"x\"",
        ),
        ("llm", "[llm.providers.p]\ntype = \"openai\"\nmodels.m.price = { input = \"2.50\", output = 10.0 }"),
    ] {
        let report = report(&[text, "\n", PROVIDER].concat(), &World::default());
        assert_eq!(codes(&report), ["not-in-this-version"], "{table}: {text}");
        assert!(report.diagnostics[0].help.is_some());
    }
    let limits = "[llm.providers.openai.rate_limits]\n";
    for rest in [
        "per_user = { output_token_limit = 5, interval = \"60s\" }",
        "per_user = { input_token_limit = 5, interval = \"60s\", concurrent_limit = 2 }",
        "per_user = { input_token_limit = 5, interval = \"60s\", mode = \"shadow\" }",
        "per_user = { input_token_limit = 5, interval = \"60s\", windows = [{ request_limit = 5, interval = \"1h\" }] }",
        "per_group = { groups.basic = { input_token_limit = 5, interval = \"60s\" } }",
        "total = { cost_limit = \"1.50\", interval = \"1d\" }",
    ] {
        let report = report(&[CALLERS, PROVIDER, limits, rest].concat(), &World::default());
        let found: BTreeSet<_> = codes(&report).into_iter().collect();
        assert_eq!(found, BTreeSet::from(["not-in-this-version"]), "{rest}");
    }
}

#[test]
fn harmless_values_of_later_keys_load() {
    let text = r#"
[server.csrf]
enabled = false
[server.client_ip]
x_real_ip = false
[server.rate_limits]
enabled = false
storage = { type = "memory" }
global = { limit = 100, interval = "60s" }
[llm.limits]
count = "estimate"
cached_input_weight = 1.0
[llm.protocols.anthropic]
path = "/llm/anthropic"
[llm.protocols.google]
enabled = false
"#;
    let provider = PROVIDER.replace("api_key", "forward_token = false\napi_key");
    assert_eq!(codes(&read(&[text, &provider].concat()).unwrap().1), [""; 0]);
}

#[test]
fn limits_are_refused_outside_their_range() {
    for (tokens, interval, code) in [
        ("-1", "\"60s\"", "out-of-range"),
        ("9223372036854775808", "\"60s\"", "out-of-range"),
        ("1", "\"999ms\"", "out-of-range"),
        ("1", "\"31d1s\"", "out-of-range"),
        ("1", "\"0s\"", "out-of-range"),
        ("1", "60", "wrong-type"),
        ("1", "\"\"", "invalid-duration"),
        ("1.5", "\"60s\"", "wrong-type"),
    ] {
        let limit = format!(
            "[llm.providers.openai.rate_limits.per_user]\ninput_token_limit = {tokens}\ninterval = {interval}\n"
        );
        assert_eq!(
            codes(&read(&[CALLERS, PROVIDER, &limit].concat()).unwrap_err()),
            [code],
            "{tokens} {interval}"
        );
    }
    for (tokens, interval) in [("0", "1s"), ("9223372036854775807", "31d")] {
        let limit = format!(
            "[llm.providers.openai.rate_limits.per_user]\ninput_token_limit = {tokens}\ninterval = \"{interval}\"\n"
        );
        assert!(read(&[CALLERS, PROVIDER, &limit].concat()).is_ok());
    }
}

#[test]
fn zero_workers_shards_mailboxes_and_places_are_refused() {
    for key in ["identity_workers", "quota_shards", "provider_workers", "mailbox_limit"] {
        assert_eq!(
            codes(&read(&format!("[actors]\n{key} = 0\n{PROVIDER}")).unwrap_err()),
            ["out-of-range"],
            "{key}"
        );
    }
    assert_eq!(
        codes(&read(&format!("{PROVIDER}[server]\nmax_in_flight = 0\n")).unwrap_err()),
        ["out-of-range"]
    );
    let provider = PROVIDER.replace("api_key", "max_in_flight = 0\napi_key");
    assert_eq!(codes(&read(&provider).unwrap_err()), ["out-of-range"]);
}

#[test]
fn both_spellings_of_a_models_limit_mean_the_same() {
    let limit = "input_token_limit = 500\ninterval = \"60s\"\n";
    let new = [CALLERS, PROVIDER, "[llm.providers.openai.models.\"gpt-4o\".rate_limits.per_user]\n", limit]
        .concat();
    let old = [CALLERS, PROVIDER, "[llm.providers.openai.rate_limits.\"gpt-4o\".per_user]\n", limit].concat();
    let rule = |text: &str| read(text).unwrap().0.providers[0].models[0].per_user.default.clone().unwrap();
    assert_eq!(rule(&new).limit, rule(&old).limit);
    assert_eq!(&*rule(&new).table, "llm.providers.openai.models.gpt-4o.rate_limits.per_user");
    assert_eq!(&*rule(&old).table, "llm.providers.openai.rate_limits.gpt-4o.per_user");
}

#[test]
fn explain_walks_four_tables_and_names_the_one_that_applies() {
    let limits = r#"
[llm.providers.openai.models."gpt-4o".rate_limits.per_user]
input_token_limit = 300
interval = "1m"
groups.premium = { input_token_limit = 400, interval = "60s" }
groups.basic = { input_token_limit = 350, interval = "60s" }
[llm.providers.openai.rate_limits.per_user]
input_token_limit = 100
interval = "60s"
groups.premium = { input_token_limit = 200, interval = "1h" }
"#;
    let callers = format!("{CALLERS}require_group = false\n");
    let (config, _) = read(&[&callers, PROVIDER, limits].concat()).unwrap();
    let answer = |group: Option<&str>, model: &str| {
        let (client, group, model) = ("alice".to_owned(), group.map(str::to_owned), model.to_owned());
        explain(&config, &Question { client, group, model, tokens: Some(250) })
    };
    let last = |group, model| answer(group, model).unwrap().lines().last().unwrap().to_owned();
    let base = "applies: llm.providers.openai";
    let expected = [
        (
            Some("premium"),
            "openai/gpt-4o",
            ".models.gpt-4o.rate_limits.per_user.groups.premium = 400 input tokens per 60s",
        ),
        (None, "openai/gpt-4o", ".models.gpt-4o.rate_limits.per_user = 300 input tokens per 1m"),
        (
            Some("premium"),
            "openai/gpt-4o-mini",
            ".rate_limits.per_user.groups.premium = 200 input tokens per 1h",
        ),
        (Some("basic"), "openai/gpt-4o-mini", ".rate_limits.per_user = 100 input tokens per 60s"),
    ];
    for (group, model, rest) in expected {
        assert_eq!(last(group, model), format!("{base}{rest}"));
    }
    assert!(answer(None, "openai/gpt-5").unwrap_err().contains("not configured"));
    assert!(answer(Some("vip"), "openai/gpt-4o").unwrap_err().contains("not in group_values"));
    let (strict, _) = read(&[CALLERS, PROVIDER].concat()).unwrap();
    let question = Question { client: "a".into(), group: None, model: "openai/gpt-4o".into(), tokens: None };
    assert!(explain(&strict, &question).unwrap_err().contains("a group is required"));
    let question = Question { group: Some("basic".into()), ..question };
    assert_eq!(explain(&strict, &question).unwrap().lines().last(), Some("applies: nothing"));
}

#[test]
fn the_old_path_key_sets_the_path_and_the_alias_goes_with_the_default() {
    let paths = |text: &str| read(&[text, PROVIDER].concat()).unwrap().0.protocols.openai.unwrap();
    assert_eq!(paths(""), ["/llm/openai", "/llm"]);
    assert_eq!(paths("[llm]\npath = \"/x\"\n"), ["/x"]);
    assert_eq!(paths("[llm.protocols.openai]\npath = \"/ai\"\n"), ["/ai"]);
    for path in ["x", "/", "/x/", "", "/a b", "/a?b", "//a"] {
        let report = read(&format!("[llm]\npath = {path:?}\n{PROVIDER}")).unwrap_err();
        assert_eq!(codes(&report), ["invalid-path"], "{path}");
    }
    let report = read(&format!("[server.health]\npath = \"/llm/openai/health\"\n{PROVIDER}")).unwrap_err();
    assert_eq!(codes(&report), ["duplicate-path"]);
}

#[test]
fn addresses_of_providers_are_checked_before_the_first_call() {
    for (url, good) in [
        ("http://127.0.0.1:9999/v1", true),
        ("http://[::1]:8080", true),
        ("https://h/v1/", false),
        ("ftp://h/v1", false),
        ("h/v1", false),
        ("https://", false),
        ("https://h/v1?key=1", false),
        ("https://h/v1#x", false),
        ("", false),
    ] {
        let text = PROVIDER.replace("api_key", &format!("base_url = {url:?}\napi_key"));
        assert_eq!(read(&text).is_ok(), good, "{url}");
    }
}

/// Every table of the file that a key can be looked up in, by walking a written one.
fn seen(
    section: &'static Section,
    table: &toml::Table,
    found: &mut BTreeMap<(&'static str, &'static str), toml::Value>,
) {
    for (name, value) in table {
        let key = section.key(name).unwrap_or_else(|| panic!("{name} in {}", section.title));
        found.entry((section.title, key.name)).or_insert_with(|| value.clone());
        match (key.kind, value) {
            (Kind::Table(below), toml::Value::Table(table)) => seen(below, table, found),
            (Kind::Tables(below), toml::Value::Array(tables)) => {
                tables.iter().for_each(|table| seen(below, table.as_table().unwrap(), found));
            }
            _ => {}
        }
    }
}

/// The reference with everything that is commented out put in force.
fn uncommented(reference: &str) -> String {
    let key = |line: &str| {
        let rest = line.strip_prefix("# ").unwrap_or("x");
        let rest = rest.trim_start();
        rest.starts_with('[')
            || rest.split(" = ").next().is_some_and(|key| rest.contains(" = ") && !key.contains(' '))
    };
    let lines = reference.lines().map(|line| if key(line) { &line[2..] } else { line });
    lines.fold(String::new(), |text, line| text + line + "\n")
}

#[test]
fn the_reference_holds_every_key_with_its_default_and_loads() {
    let reference = fs::read_to_string(root().join("config/nexus.toml")).unwrap();
    let world = World { lenient: true, ..World::default() };
    assert_eq!(codes(&report(&reference, &world)), [""; 0]);
    let whole: toml::Table = uncommented(&reference).parse().unwrap();
    let mut found = BTreeMap::new();
    seen(&FILE, &whole, &mut found);
    for section in FILE.tree() {
        for key in section.keys.iter().filter(|key| !matches!(key.support, Support::Never(_))) {
            let value = found.get(&(section.title, key.name));
            let value = value
                .unwrap_or_else(|| panic!("{} of {} is not in config/nexus.toml", key.name, section.title));
            if !key.default.is_empty() {
                let default: toml::Table = format!("d = {}", key.default).parse().unwrap();
                assert_eq!(*value, default["d"], "{} of {}", key.name, section.title);
            }
        }
    }
}

#[test]
fn the_reference_means_what_the_code_does_without_it() {
    let reference = fs::read_to_string(root().join("config/nexus.toml")).unwrap();
    let world = World { lenient: true, ..World::default() };
    let (config, _) = Config::read(Path::new("n"), &reference, &world).unwrap();
    let bare = "[llm.providers.openai]\ntype = \"openai\"\nmodels.\"gpt-4o\" = {}\n";
    let (default, _) = Config::read(Path::new("n"), bare, &world).unwrap();
    assert_eq!((config.server, config.actors), (default.server, default.actors));
    assert_eq!((config.protocols, config.counting), (default.protocols, default.counting));
    let (ours, theirs) = (&config.providers[0], &default.providers[0]);
    assert_eq!(
        (ours.max_in_flight, ours.connect_timeout, ours.first_byte_timeout, ours.idle_timeout),
        (theirs.max_in_flight, theirs.connect_timeout, theirs.first_byte_timeout, theirs.idle_timeout)
    );
    assert_eq!(default.providers[0].first_byte_timeout, Duration::from_secs(600));
}

#[test]
fn the_readme_of_the_configuration_has_one_row_for_each_key() {
    let path = root().join("config/README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let marker = "<!-- keys -->\n";
    let (head, _) = readme.split_once(marker).unwrap();
    let expected = format!("{head}{marker}{}", schema::markdown());
    if std::env::var_os("NEXUS_UPDATE").is_some() {
        fs::write(&path, &expected).unwrap();
    } else {
        assert!(readme == expected, "config/README.md is behind: run this test with NEXUS_UPDATE=1");
    }
}

#[test]
fn the_schema_describes_every_key_and_refers_to_nothing_it_lacks() {
    let schema = schema::json_schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let defs = schema["$defs"].as_object().unwrap();
    assert_eq!(defs.len(), FILE.tree().len());
    let text = schema.to_string();
    for reference in text.split("\"#/$defs/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(defs.contains_key(reference), "{reference}");
    }
    assert_eq!(defs["server"]["properties"]["max_in_flight"]["default"], 4096);
    assert_eq!(defs["server"]["additionalProperties"], false);
}

#[test]
fn every_example_and_the_demonstration_load() {
    let world = World { lenient: true, ..World::default() };
    let examples = fs::read_dir(root().join("config/examples")).unwrap().map(|entry| entry.unwrap().path());
    let mut count = 0;
    for path in examples.chain([root().join("config/demo.toml")]) {
        let report = report(&fs::read_to_string(&path).unwrap(), &world);
        assert_eq!(codes(&report), [""; 0], "{}\n{}", path.display(), render::text(&report, false));
        count += 1;
    }
    assert!(count >= 4);
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
