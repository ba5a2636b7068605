//! Limits of every kind: which keys mean what, which say nothing, what holds for whom.

use std::time::Duration;

use actors::{
    ClientId, Group, Principal,
    quota::{AccountId, Kind, Mode, OnOutputLimit, Price},
};
use nexus::{
    config::{
        Config, Count,
        explain::{Question, explain},
        render,
    },
    route::Routes,
};

use super::{CALLERS, PROVIDER, World, codes, read, report};

/// A rate limit on the provider of [`PROVIDER`], whose models have prices.
fn limited(rate_limits: &str) -> String {
    let priced = PROVIDER.replace("\"gpt-4o-mini\"]", "\"gpt-4o-mini\"]\nprice = { input = 1, output = 2 }");
    let priced =
        priced.replace("rename", "price = { input = \"2.50\", cached_input = 1.25, output = 10.00 }\nrename");
    [CALLERS, &priced, "[llm.providers.openai.rate_limits]\n", rate_limits].concat()
}

fn found(rate_limits: &str) -> Vec<&'static str> {
    codes(&report(&limited(rate_limits), &World::default()))
}

fn good(text: &str) -> Config {
    let (config, report) = read(text).unwrap_or_else(|report| panic!("{}", render::text(&report, false)));
    assert_eq!(codes(&report), [""; 0], "{}", render::text(&report, false));
    config
}

const SIX: &str = r#"
per_user = { input_token_limit = 1, output_token_limit = 2, total_token_limit = 3, request_limit = 4, cost_limit = "0.000000005", concurrent_limit = 6, interval = "60s", on_output_limit = "cut" }
"#;

#[test]
fn every_kind_is_read_with_its_unit() {
    let config = good(&limited(SIX));
    let budget = &config.providers[0].models[0].budgets.default;
    let rules = &budget.per_user.as_ref().unwrap().rules;
    let seen: Vec<_> = rules.iter().map(|rule| (rule.kind, rule.limit.tokens, &*rule.id)).collect();
    assert_eq!(
        seen,
        [
            (Kind::Input, 1, "per_user.input_token_limit"),
            (Kind::Output, 2, "per_user.output_token_limit"),
            (Kind::Total, 3, "per_user.total_token_limit"),
            (Kind::Request, 4, "per_user.request_limit"),
            (Kind::Cost, 5, "per_user.cost_limit"),
            (Kind::Concurrent, 6, "per_user.concurrent_limit"),
        ]
    );
    assert!(rules.iter().all(|rule| rule.on_output_limit == OnOutputLimit::Cut));
    assert_eq!(budget.ceiling, Some(1));
    let [gpt, mini] = &config.providers[0].models[..] else { panic!("two models") };
    let price = Price { input: 2_500_000_000, cached_input: 1_250_000_000, output: 10_000_000_000 };
    assert_eq!(gpt.price, Some(price));
    let price = Price { input: 1_000_000_000, cached_input: 1_000_000_000, output: 2_000_000_000 };
    assert_eq!(mini.price, Some(price), "cached input costs as input, unless it is said");
}

#[test]
fn money_is_read_to_the_last_digit_however_it_is_written() {
    for (written, billionths) in [
        ("\"0.1\"", 100_000_000),
        ("0.1", 100_000_000),
        ("0.3", 300_000_000),
        ("1e3", 1_000_000_000_000),
        ("7", 7_000_000_000),
        ("\"12.50\"", 12_500_000_000),
        ("9_000.000_000_001", 9_000_000_000_001),
        ("\"0\"", 0),
    ] {
        let config = good(&limited(&format!("total = {{ cost_limit = {written}, interval = \"1d\" }}\n")));
        let total = config.providers[0].models[0].budgets.default.total.clone().unwrap();
        assert_eq!(total.rules.position(0).unwrap().limit.tokens, billionths, "{written}");
    }
    for (written, code) in [
        ("-1", "out-of-range"),
        ("-0.5", "out-of-range"),
        ("\"-1\"", "out-of-range"),
        ("0.0000000001", "out-of-range"),
        ("\"9223372037\"", "out-of-range"),
        ("9223372037", "out-of-range"),
        ("nan", "out-of-range"),
        ("inf", "out-of-range"),
        ("\"ten\"", "wrong-type"),
        ("\"1,50\"", "wrong-type"),
        ("true", "wrong-type"),
    ] {
        assert_eq!(
            found(&format!("total = {{ cost_limit = {written}, interval = \"1d\" }}\n")),
            [code],
            "{written}"
        );
    }
}

#[test]
fn what_makes_no_sense_is_said() {
    for (rate_limits, expected) in [
        ("per_user = { output_token_limit = 5 }", &["missing-key"][..]),
        ("per_user = { request_limit = 5, interval = \"999ms\" }", &["out-of-range"]),
        ("per_user = { request_limit = 5, interval = \"32d\" }", &["out-of-range"]),
        ("per_user = {}", &["missing-key"]),
        ("per_user = { interval = \"1s\" }", &["missing-key"]),
        ("per_user = { concurrent_limit = 2 }", &[]),
        ("per_user = { concurrent_limit = 2, interval = \"1s\" }", &["no-effect"]),
        ("per_user = { windows = [{ request_limit = 5, interval = \"1h\" }] }", &[]),
        ("per_user = { windows = [] }", &["missing-key"]),
        ("per_user = { windows = [{ request_limit = 5 }] }", &["missing-key"]),
        ("per_user = { windows = [{ interval = \"1h\" }] }", &["missing-key"]),
        ("per_user = { windows = [{ concurrent_limit = 5 }] }", &["unknown-key"]),
        (
            "per_user = { request_limit = 5, interval = \"1h\", windows = [{ request_limit = 9, interval = \"60m\" }] }",
            &["limit-twice"],
        ),
        (
            "per_user = { request_limit = 5, interval = \"1h\", windows = [{ request_limit = 4, interval = \"1h\", mode = \"shadow\" }] }",
            &[],
        ),
        (
            "per_user = { input_token_limit = 5, interval = \"1s\", on_output_limit = \"cut\" }",
            &["no-effect"],
        ),
        ("per_user = { total_token_limit = 5, interval = \"1s\", on_output_limit = \"cut\" }", &[]),
        (
            "per_user = { mode = \"shadow\", groups.basic = { request_limit = 1, interval = \"1s\" }, groups.premium = { request_limit = 1, interval = \"1s\" } }",
            &["no-effect"],
        ),
        ("per_group = { groups.basic = { input_token_limit = 5, interval = \"60s\" } }", &[]),
        ("per_group = { groups.vip = { input_token_limit = 5, interval = \"60s\" } }", &["unknown-group"]),
        ("per_group = { input_token_limit = 5, interval = \"60s\" }", &["unknown-key", "unknown-key"]),
        ("per_group = { max_share = 0.5 }", &["no-effect"]),
        ("per_group = { max_share = 0.5, groups.basic = { concurrent_limit = 5 } }", &["no-effect"]),
        (
            "per_group = { max_share = 0.5, groups.basic = { request_limit = 5, interval = \"1s\", concurrent_limit = 5 } }",
            &["no-effect"],
        ),
        (
            "per_group = { max_share = 0, groups.basic = { request_limit = 5, interval = \"1s\" } }",
            &["out-of-range"],
        ),
        (
            "per_group = { max_share = 1.01, groups.basic = { request_limit = 5, interval = \"1s\" } }",
            &["out-of-range"],
        ),
        ("per_group = { max_share = \"1\", groups.basic = { request_limit = 5, interval = \"1s\" } }", &[]),
        ("total = { cost_limit = \"1.50\", interval = \"1d\", groups = {} }", &["unknown-key"]),
        ("\"gpt-4o\".total = { request_limit = 1, interval = \"1s\" }", &[]),
    ] {
        let mut found = found(rate_limits);
        found.sort_unstable();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(found, expected, "{rate_limits}");
    }
    let weight = "[llm.limits]\ncached_input_weight = 0.1\n";
    assert_eq!(codes(&read(&[weight, PROVIDER].concat()).unwrap().1), ["no-effect"]);
}

#[test]
fn a_total_needs_no_identification_and_a_pool_needs_groups() {
    let total = "[llm.providers.openai.rate_limits]\ntotal = { request_limit = 5, interval = \"1s\" }\n";
    good(&[PROVIDER, total].concat());
    let pool = "[llm.providers.openai.rate_limits]\nper_group.groups.basic = { request_limit = 5, interval = \"1s\" }\n";
    assert_eq!(codes(&read(&[PROVIDER, pool].concat()).unwrap_err()), ["limit-without-identity"]);
    let nameless = "[server.client_identification]\nenabled = true\nclient_id.http_header = \"X-User-Id\"\n";
    assert_eq!(codes(&read(&[nameless, PROVIDER, pool].concat()).unwrap_err()), ["missing-group-id"]);
}

#[test]
fn both_spellings_of_a_models_pools_mean_the_same_and_exclude_each_other() {
    let total = "total = { request_limit = 5, interval = \"1s\" }\n";
    let pool = "per_group.groups.basic = { request_limit = 5, interval = \"1s\" }\n";
    let new = "[llm.providers.openai.models.\"gpt-4o\".rate_limits]\n";
    let old = "[llm.providers.openai.rate_limits.\"gpt-4o\"]\n";
    let budgets =
        |text: &str| good(&[CALLERS, PROVIDER, text].concat()).providers[0].models[0].budgets.clone();
    let split = budgets(&[new, total, old, pool].concat());
    assert_eq!(
        split.default.total.as_ref().unwrap().rules,
        budgets(&[old, total].concat()).default.total.unwrap().rules
    );
    assert!(split.of(Some(&Group::new("basic"))).per_group.is_some());
    let twice = [CALLERS, PROVIDER, new, total, old, total].concat();
    assert_eq!(codes(&read(&twice).unwrap_err()), ["limit-twice"]);
}

#[test]
fn the_way_of_counting_is_read() {
    let text = "[llm.limits]\ncount = \"reported\"\ncached_input_weight = 0.1\noutput_lease = 64\non_output_limit = \"cut\"\n";
    let config = good(&[text, &limited("total = { output_token_limit = 1, interval = \"1s\" }\n")].concat());
    let charging = &config.charging;
    assert_eq!(
        (charging.count, charging.cached_input_weight, charging.output_lease),
        (Count::Reported, 100_000_000, 64)
    );
    let total = config.providers[0].models[0].budgets.default.total.clone().unwrap();
    assert_eq!(
        total.rules.position(0).unwrap().on_output_limit,
        OnOutputLimit::Cut,
        "the default of all tables"
    );
}

#[test]
fn a_target_gives_each_caller_its_accounts_in_order() {
    let limits = r#"
per_user = { request_limit = 5, interval = "1s", mode = "shadow" }
per_group = { max_share = 0.5, groups.basic = { output_token_limit = 10, interval = "1s" } }
total = { concurrent_limit = 9 }
"#;
    let config = good(&limited(limits).replace("group_values", "require_group = false\ngroup_values"));
    let routes = Routes::new(&config);
    let caller = |client: Option<&str>, group: Option<&str>| Principal {
        client: client.map(ClientId::new),
        group: group.map(Group::new),
    };
    let accounts = |caller: &Principal| {
        let target = routes.find("openai/gpt-4o", caller).unwrap();
        let accounts = target.accounts(caller);
        accounts
            .iter()
            .map(|(account, rules)| (account.clone(), rules.position(0).unwrap().clone()))
            .collect::<Vec<_>>()
    };
    let all = accounts(&caller(Some("alice"), Some("basic")));
    let [
        (AccountId::Client(client), own),
        (AccountId::Pool(scope, group), pool),
        (AccountId::Total(owner), total),
    ] = &all[..]
    else {
        panic!("{all:?}")
    };
    assert_eq!((client.as_str(), group.as_str(), scope), ("alice", "basic", owner));
    assert_eq!((own.kind, own.mode), (Kind::Request, Mode::Shadow));
    assert_eq!(
        (pool.kind, pool.per_member, pool.limit.interval),
        (Kind::Output, Some(5), Duration::from_secs(1))
    );
    assert_eq!((total.kind, total.limit.tokens), (Kind::Concurrent, 9));
    assert_eq!(accounts(&caller(Some("alice"), None)).len(), 2, "no group, no pool");
    assert_eq!(accounts(&caller(None, None)).len(), 1, "who has no name has no limits of its own");
}

#[test]
fn buckets_keep_their_owners_whatever_else_the_file_lists() {
    let scope = |text: &str| {
        let provider = good(text).providers.into_iter().find(|provider| &*provider.name == "openai").unwrap();
        provider.models[0].budgets.default.per_user.clone().unwrap().scope
    };
    let limits = limited(SIX);
    let more = format!("[llm.providers.another]\ntype = \"echo\"\nmodels.m = {{}}\n{limits}");
    assert_eq!(scope(&limits), scope(&more));
}

#[test]
fn explain_lists_every_limit_and_ends_with_that_on_input() {
    let limits = r#"
[llm.providers.openai.rate_limits.per_user]
output_token_limit = 500
input_token_limit = 1000
cost_limit = "2.50"
interval = "60s"
concurrent_limit = 3
windows = [{ input_token_limit = 9000, interval = "1d", mode = "shadow" }]
[llm.providers.openai.rate_limits.per_group]
groups.basic = { total_token_limit = 7000, interval = "1h" }
[llm.providers.openai.models."gpt-4o".rate_limits.total]
request_limit = 10
interval = "1s"
"#;
    let config = good(&limited(limits));
    let ask = |tokens| {
        let question = Question {
            client: "alice".into(),
            group: Some("basic".into()),
            model: "openai/gpt-4o".into(),
            tokens,
        };
        explain(&config, &question).unwrap()
    };
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(ask(Some(1001))) });
    let last = |text: &str| ask(None).lines().last().unwrap() == text;
    assert!(last("applies: llm.providers.openai.rate_limits.per_user = 1000 input tokens per 60s"));
    let only = good(&limited("total = { request_limit = 1, interval = \"1s\" }\n"));
    let question = Question {
        client: "a".into(),
        group: Some("basic".into()),
        model: "openai/gpt-4o".into(),
        tokens: None,
    };
    assert!(
        explain(&only, &question)
            .unwrap()
            .ends_with("\napplies: llm.providers.openai.rate_limits.total = 1 requests per 1s")
    );
}
