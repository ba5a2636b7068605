//! What of a caller's head goes upstream: header rules, the caller's own key for the provider, and the query.

use serde_json::json;

use crate::support::{
    client::{CHAT, Connection, Request},
    nexus::Nexus,
    setup::{API_KEY, IDENTIFIED, openai, provider_limit},
    upstream::{Call, Reply, Step, Upstream},
};

/// The key that the caller brings along.
const CALLERS_KEY: &str = "sk-caller-9876543210";

/// The upstream's words that would tell the caller's key.
fn telling() -> String {
    json!({"error": {"message": format!("no such key: {CALLERS_KEY}!"), "type": "x", "code": null}})
        .to_string()
}

fn hello() -> Request {
    Request::chat("openai/gpt-4o", "Hello")
}

/// A router whose provider and model `gpt-4o` have these rules, each a TOML inline table.
async fn start(provider: &[&str], model: &[&str]) -> (Upstream, Nexus) {
    let upstream = Upstream::always(|| Reply::completion("Hi")).await;
    let keys =
        if provider.is_empty() { String::new() } else { format!("headers = [{}]", provider.join(", ")) };
    let mut config = openai(&upstream, &keys);
    if !model.is_empty() {
        let model = format!("rename = \"gpt-4o-0123\"\nheaders = [{}]", model.join(", "));
        config = config.replace("rename = \"gpt-4o-0123\"", &model);
    }
    let nexus = Nexus::start(&config).await;
    (upstream, nexus)
}

/// What the upstream saw of the headers that begin with `x-` or `y-`, in its order, but for the call's id.
fn seen(call: &Call) -> Vec<(&str, &str)> {
    let text = call.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    text.filter(|(name, _)| name.starts_with(['x', 'y']) && *name != "x-request-id").collect()
}

/// What goes upstream under these rules of the provider, of a caller with these headers.
async fn sent(rules: &[&str], caller: &[(&str, &str)]) -> Call {
    let (upstream, nexus) = start(rules, &[]).await;
    let request = caller.iter().fold(hello(), |request, (name, value)| request.header(name, value));
    request.send(&nexus).await.fine();
    upstream.last()
}

#[tokio::test]
async fn a_header_goes_up_when_a_rule_names_it_under_its_name_or_another() {
    let rules = [
        r#"{ rule = "forward", name = "X-Source" }"#,
        r#"{ rule = "forward", name = "x-team", rename = "Y-Team" }"#,
        r#"{ rule = "forward", name = "x-plan", default = "free" }"#,
    ];
    let caller = [("x-source", "app"), ("x-source", "second"), ("x-team", "red"), ("x-other", "1")];
    let call = sent(&rules, &caller).await;
    assert_eq!(seen(&call), [("x-source", "app"), ("y-team", "red"), ("x-plan", "free")]);
    let call = sent(&rules, &[("x-plan", "paid")]).await;
    assert_eq!(seen(&call), [("x-plan", "paid")]);
}

#[tokio::test]
async fn a_pattern_forwards_what_it_matches_and_a_later_rule_renames_one_of_it() {
    let rules = [
        r#"{ rule = "forward", pattern = "^[Xx]-.*" }"#,
        r#"{ rule = "forward", name = "X-Source", rename = "Y-Source" }"#,
    ];
    let call = sent(&rules, &[("x-source", "app"), ("X-Team", "red"), ("z-team", "blue")]).await;
    assert_eq!(seen(&call), [("x-team", "red"), ("y-source", "app")]);
}

#[tokio::test]
async fn headers_are_inserted_removed_and_doubled() {
    let rules = [
        r#"{ rule = "forward", pattern = "^x-" }"#,
        r#"{ rule = "insert", name = "X-Gateway", value = "nexus" }"#,
        r#"{ rule = "remove", name = "x-a" }"#,
        r#"{ rule = "remove", pattern = "^X-B" }"#,
        r#"{ rule = "rename_duplicate", name = "x-team", rename = "y-team", default = "none" }"#,
        r#"{ rule = "remove", name = "traceparent" }"#,
    ];
    let caller =
        [("x-a", "1"), ("x-b1", "1"), ("x-c", "1"), ("x-gateway", "caller"), ("traceparent", "00-1")];
    let call = sent(&rules, &caller).await;
    assert_eq!(seen(&call), [("x-c", "1"), ("x-gateway", "nexus"), ("x-team", "none"), ("y-team", "none")]);
    assert_eq!(call.header("traceparent"), None);
    let call = sent(&rules, &[("x-team", "red")]).await;
    assert_eq!(seen(&call), [("x-gateway", "nexus"), ("x-team", "red"), ("y-team", "red")]);
}

#[tokio::test]
async fn the_models_rules_come_after_the_providers_on_the_same_headers() {
    let provider = [
        r#"{ rule = "insert", name = "x-tier", value = "provider" }"#,
        r#"{ rule = "insert", name = "x-region", value = "eu" }"#,
    ];
    let model = [
        r#"{ rule = "insert", name = "x-tier", value = "model" }"#,
        r#"{ rule = "remove", name = "x-region" }"#,
    ];
    let (upstream, nexus) = start(&provider, &model).await;
    hello().send(&nexus).await.fine();
    assert_eq!(seen(&upstream.last()), [("x-tier", "model")]);
    Request::chat("openai/gpt-4o-mini", "Hello").send(&nexus).await.fine();
    assert_eq!(seen(&upstream.last()), [("x-tier", "provider"), ("x-region", "eu")], "another model");
}

#[tokio::test]
async fn the_providers_credentials_replace_what_a_rule_inserts() {
    let rule = r#"{ rule = "insert", name = "Authorization", value = "Bearer of-a-rule" }"#;
    let call = sent(&[rule], &[("authorization", "Bearer of-the-caller")]).await;
    let keys: Vec<_> = call.headers.get_all("authorization").iter().collect();
    assert_eq!(keys, [format!("Bearer {API_KEY}").as_str()]);
    assert_eq!(call.headers.get_all("content-type").iter().collect::<Vec<_>>(), ["application/json"]);
}

#[tokio::test]
async fn the_agent_is_the_callers_where_a_rule_says_so() {
    let rule = r#"{ rule = "forward", name = "user-agent" }"#;
    let call = sent(&[rule], &[("user-agent", "app/1.0")]).await;
    assert_eq!(call.headers.get_all("user-agent").iter().collect::<Vec<_>>(), ["app/1.0"]);
    assert!(sent(&[rule], &[]).await.header("user-agent").unwrap().starts_with("nexus/"));
}

#[tokio::test]
async fn the_widest_pattern_sends_nothing_that_is_the_callers_alone() {
    let caller = [
        ("authorization", "Bearer secret-1"),
        ("cookie", "secret-2"),
        ("x-provider-api-key", "secret-3"),
        ("x-api-key", "secret-4"),
        ("x-goog-api-key", "secret-5"),
        ("proxy-authorization", "secret-6"),
        ("te", "trailers"),
        ("connection", "x-hop"),
        ("x-hop", "secret-7"),
        ("keep-alive", "secret-8"),
        ("origin", "secret-9"),
        ("x-custom", "1"),
    ];
    let (upstream, nexus) = start(&[r#"{ rule = "forward", pattern = ".*" }"#], &[]).await;
    let request = || caller.iter().fold(hello(), |request, (name, value)| request.header(name, value));
    request().send(&nexus).await.fine();
    let mut http2 = Connection::http2(nexus.address()).await;
    let kept =
        ["te", "connection", "keep-alive"].iter().fold(request(), |request, name| request.without(name));
    http2.send(kept.without("x-hop")).await.fine();
    for call in upstream.seen().calls {
        assert!(!format!("{:?}", call.headers).contains("secret"), "{call:?}");
        assert_eq!(call.header("x-custom"), Some("1"));
        assert_eq!(call.header("te"), None);
        assert_eq!(call.header("host"), Some(upstream.address().to_string().as_str()));
        assert_eq!(call.number_of("content-length"), 1);
    }
}

impl Call {
    fn number_of(&self, name: &str) -> usize {
        self.headers.get_all(name).iter().count()
    }
}

/// A router whose provider takes the caller's key, and has one of its own unless `keyless`.
async fn forwarding(
    keyless: bool,
    rest: &str,
    reply: impl Fn() -> Reply + Send + Sync + 'static,
) -> (Upstream, Nexus) {
    let upstream = Upstream::always(reply).await;
    let mut config = openai(&upstream, "forward_token = true");
    if keyless {
        config = config.replace(&format!("api_key = \"{API_KEY}\"\n"), "");
    }
    let nexus = Nexus::start_with(&format!("{IDENTIFIED}{config}{rest}"), &["--log", "trace"]).await;
    (upstream, nexus)
}

#[tokio::test]
async fn the_callers_key_is_the_providers_where_it_is_forwarded() {
    for keyless in [true, false] {
        let (upstream, nexus) = forwarding(keyless, "", || Reply::completion("Hi")).await;
        let request = hello().client("alice").header("authorization", "Bearer of-nexus");
        request.header("x-provider-api-key", CALLERS_KEY).send(&nexus).await.fine();
        let call = upstream.last();
        let keys: Vec<_> = call.headers.get_all("authorization").iter().collect();
        assert_eq!(keys, [format!("Bearer {CALLERS_KEY}").as_str()]);
        assert_eq!(call.header("x-provider-api-key"), None);
    }
}

#[tokio::test]
async fn the_configured_key_serves_a_caller_without_one() {
    let (upstream, nexus) = forwarding(false, "", || Reply::completion("Hi")).await;
    for request in [hello(), hello().header("x-provider-api-key", "")] {
        request.client("alice").send(&nexus).await.fine();
        assert_eq!(upstream.last().header("authorization"), Some(format!("Bearer {API_KEY}").as_str()));
    }
}

#[tokio::test]
async fn without_any_key_the_call_is_refused_and_costs_nothing() {
    let limit = provider_limit("openai", 8, "60s");
    let (upstream, nexus) = forwarding(true, &limit, || Reply::completion("Hi")).await;
    let answer = hello().client("alice").send(&nexus).await;
    let message = "Authentication failed: Token forwarding is enabled but no API key was provided";
    let expected = json!({"error": {"message": message, "type": "authentication_error", "code": 401}});
    assert_eq!((answer.status, answer.json()), (401, expected));
    assert_eq!(upstream.seen().calls.len(), 0);
    let request = hello().client("alice").header("x-provider-api-key", CALLERS_KEY);
    assert_eq!(request.send(&nexus).await.fine().number("x-ratelimit-remaining-tokens"), 0, "all was there");
}

#[tokio::test]
async fn a_key_that_came_twice_or_cannot_be_sent_is_refused() {
    let (upstream, nexus) = forwarding(false, "", || Reply::completion("Hi")).await;
    for keys in [&[CALLERS_KEY, CALLERS_KEY][..], &["sk caller"], &["caf\u{e9}"]] {
        let request = keys.iter().fold(hello(), |request, key| request.header("x-provider-api-key", key));
        let answer = request.client("alice").send(&nexus).await;
        assert_eq!((answer.status, answer.error().kind.as_str()), (401, "authentication_error"));
        assert!(answer.error().message.contains("X-Provider-API-Key"), "{answer:?}");
    }
    assert_eq!(upstream.seen().calls.len(), 0);
}

#[tokio::test]
async fn the_callers_key_is_ignored_where_it_is_not_forwarded() {
    let (upstream, nexus) = start(&[], &[]).await;
    let request = hello().header("x-provider-api-key", CALLERS_KEY).header("x-provider-api-key", "twice");
    request.send(&nexus).await.fine();
    assert_eq!(upstream.last().header("authorization"), Some(format!("Bearer {API_KEY}").as_str()));
    assert!(!format!("{:?}", upstream.last().headers).contains(CALLERS_KEY));
}

#[tokio::test]
async fn the_callers_key_is_in_nothing_that_the_provider_or_the_log_says() {
    let replies: [fn() -> Reply; 4] = [
        || Reply::status(401).body(format!("no such key: {CALLERS_KEY}!")),
        || Reply::status(401).header("content-type", "application/json").body(telling()),
        || Reply::json(telling()).header("x-debug-auth", &format!("Bearer {CALLERS_KEY}")),
        || {
            Reply::events([Step::send(format!("data: {}\n\n", telling()))])
                .header("x-debug-auth", CALLERS_KEY)
        },
    ];
    for reply in replies {
        let (_upstream, nexus) = forwarding(false, "", reply).await;
        let request = hello().client("alice").header("x-provider-api-key", CALLERS_KEY);
        let answer = request.send(&nexus).await;
        assert!(answer.text().contains("no such key: "), "{answer:?}");
        assert!(!format!("{:?}{}", answer.headers, answer.text()).contains(CALLERS_KEY), "{answer:?}");
        nexus.logged(1, |line| line.contains("provider=openai")).await;
        let log = nexus.log().join("\n");
        assert!(!log.contains(CALLERS_KEY), "{log}");
    }
}

#[tokio::test]
async fn an_error_tells_a_caller_with_a_key_of_its_own_no_key_of_another_provider() {
    const OTHER: &str = "sk-of-another-provider";
    fn told() -> String {
        json!({"error": {"message": format!("{OTHER} {CALLERS_KEY}: no such keys")}}).to_string()
    }
    let replies: [(bool, fn() -> Reply); 3] = [
        (false, || Reply::status(500).body(format!("{OTHER} {CALLERS_KEY}: no such keys"))),
        (false, || Reply::json(told())),
        (true, || Reply::events([Step::send(format!("data: {}\n\n", told()))])),
    ];
    let other = format!(
        "[llm.providers.other]\ntype = \"openai\"\napi_key = \"{OTHER}\"\n[llm.providers.other.models.m]\n"
    );
    for (stream, reply) in replies {
        let (_upstream, nexus) = forwarding(false, &other, reply).await;
        for path in [CHAT, "/llm/anthropic/v1/messages"] {
            let request = if stream { Request::stream("openai/gpt-4o", "Hello") } else { hello() };
            let request = request.target(path).client("alice").header("x-provider-api-key", CALLERS_KEY);
            let answer = request.send(&nexus).await;
            assert!(answer.text().contains("… …: no such keys"), "{path}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_key_in_the_query_ends_here_and_the_rest_passes_as_it_is() {
    let (upstream, nexus) = start(&[], &[]).await;
    for (query, passed) in [
        ("key=secret", None),
        ("api_key=secret&beta=true", Some("beta=true")),
        ("a=%31+x&key=secret&&b", Some("a=%31+x&&b")),
        ("k%65y=secret&%6B%65y=secret&keys=1", Some("keys=1")),
    ] {
        hello().target(&format!("{CHAT}?{query}")).send(&nexus).await.fine();
        assert_eq!(upstream.last().uri.query(), passed, "{query}");
    }
}

#[tokio::test]
async fn a_pattern_takes_no_header_that_says_who_calls() {
    let rules =
        r#"headers = [{ rule = "forward", pattern = "^x-" }, { rule = "forward", name = "X-Session-Id" }]"#;
    let upstream = Upstream::always(|| Reply::completion("Hi")).await;
    let csrf = "[server.csrf]\nenabled = true\nheader_name = \"X-Mark\"\n";
    let nexus = Nexus::start(&format!("{csrf}{IDENTIFIED}{}", openai(&upstream, rules))).await;
    let request = hello().client("alice").group("basic").header("x-mark", "1").header("x-session-id", "1");
    let request = request.header("x-id-token", "secret").header("x-amz-secret", "secret");
    request.header("x-custom", "1").send(&nexus).await.fine();
    assert_eq!(seen(&upstream.last()), [("x-custom", "1"), ("x-session-id", "1")]);
}
