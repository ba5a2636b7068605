//! What keys mean together: ranges, limits, groups, paths, addresses.

use nexus::config::{
    explain::{Question, explain},
    render,
};

use super::{CALLERS, PROVIDER, codes, read};

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
    let rule =
        |text: &str| read(text).unwrap().0.providers[0].models[0].budgets.default.per_user.clone().unwrap();
    assert_eq!(rule(&new).rules, rule(&old).rules);
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
fn explain_says_when_a_group_is_not_read_and_when_a_model_is_refused() {
    let question = Question {
        client: "a".into(),
        group: Some("vip".into()),
        model: "openai/gpt-4o".into(),
        tokens: None,
    };
    let (config, _) = read(PROVIDER).unwrap();
    let answer = explain(&config, &question).unwrap();
    assert!(answer.contains("group `vip` is not read") && answer.ends_with("applies: nothing"), "{answer}");
    let denied = PROVIDER.replace("api_key", "deny = [\"basic\"]\napi_key");
    let (config, _) = read(&[CALLERS, &denied].concat()).unwrap();
    let answer = explain(&config, &Question { group: Some("basic".into()), ..question }).unwrap();
    assert!(answer.contains("refused (403)"), "{answer}");
}

#[test]
fn identification_that_is_written_but_not_switched_on_is_a_warning() {
    let text = [&CALLERS.replace("enabled = true\n", ""), PROVIDER].concat();
    assert_eq!(codes(&read(&text).unwrap().1), ["no-effect"]);
    let off = [&CALLERS.replace("true", "false"), PROVIDER].concat();
    let (config, report) = read(&off).unwrap();
    assert_eq!((codes(&report), config.identification), (vec![], None));
}

#[test]
fn lists_of_groups_need_groups() {
    let listed = PROVIDER.replace("api_key", "allow = [\"premium\"]\napi_key");
    assert_eq!(codes(&read(&listed).unwrap_err()), ["missing-group-id"]);
    let (config, _) = read(&[CALLERS, &listed].concat()).unwrap();
    let allow = config.providers[0].models[0].allow.clone().unwrap();
    assert_eq!(allow.iter().map(|group| group.as_str()).collect::<Vec<_>>(), ["premium"]);
    let unlisted = PROVIDER.replace("api_key", "deny = [\"vip\"]\napi_key");
    assert_eq!(codes(&read(&[CALLERS, &unlisted].concat()).unwrap_err()), ["unknown-group"]);
}

#[test]
fn a_limit_of_a_model_nobody_may_use_is_a_warning() {
    let limit = "rate_limits.per_user = { input_token_limit = 1, interval = \"1s\" }\nallow = []\n";
    let (_, report) = read(&[CALLERS, PROVIDER, limit].concat()).unwrap();
    assert_eq!(codes(&report), ["unreachable-limit"]);
}

#[test]
fn messages_name_the_place_and_send_nothing_to_the_terminal() {
    let report = read("[llm.providers]\nmine = 1\n[llm.providers.\"a.b\"]\nx = 1\n").unwrap_err();
    let messages: Vec<_> = report.diagnostics.iter().map(|d| d.message.as_str()).collect();
    assert_eq!(messages[0], "`mine` must be a table, not a whole number");
    assert!(messages.contains(&"unknown key `x` in [llm.providers.\"a.b\"]"), "{messages:?}");
    let shown = render::text(&read("[server]\nlisten_address = \"\\u001b[31m\"\n").unwrap_err(), false);
    assert!(!shown.contains('\x1b'), "{shown:?}");
}
