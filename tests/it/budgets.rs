//! Budgets of every kind, as callers and operators see them: what is taken, what is charged in the end, who refuses.
//!
//! "Hello" from a user costs 8 tokens of input. What is used is asked of `/v1/usage`, which costs nothing.

mod accounts;
mod explain;
mod kinds;
mod oracles;
mod settlement;
mod usage;
mod wire;

use serde_json::{Value, json};

use crate::support::{
    client::{Answer, Request},
    nexus::Nexus,
    setup::{ADMIN, ECHO, IDENTIFIED, openai},
    upstream::{Call, Reply, Step, Upstream},
    wait_until,
};

/// The price of [`hello`].
const HELLO: u64 = 8;
const USAGE: &str = "/llm/openai/v1/usage";
/// Money per million tokens: input 1, cached 0.5, output 2.
const PRICES: &str = r#"
[llm.providers.openai.models."gpt-4o".price]
input = 1
cached_input = 0.5
output = 2
[llm.providers.openai.models."gpt-4o-mini".price]
input = 1
output = 2
"#;
/// A limit of each kind that has a window, none of them ever reached.
const WIDE: &str = r#"
[llm.providers.openai.rate_limits.per_user]
input_token_limit = 1000000
output_token_limit = 1000000
total_token_limit = 1000000
request_limit = 1000
cost_limit = 1000
concurrent_limit = 100
interval = "1h"
"#;

/// The built-in provider within these limits.
async fn echo(limits: &str) -> Nexus {
    Nexus::start(&format!("{ADMIN}{IDENTIFIED}{ECHO}{limits}")).await
}

/// A provider that follows the script, within these limits; `charging` is of `[llm.limits]`.
async fn start(
    charging: &str,
    limits: &str,
    script: impl Fn(&Call) -> Reply + Send + Sync + 'static,
) -> (Upstream, Nexus) {
    let upstream = Upstream::start(script).await;
    let charging = format!("[llm.limits]\n{charging}\n");
    let provider = openai(&upstream, "");
    let nexus = Nexus::start(&[ADMIN, IDENTIFIED, &charging, &provider, PRICES, limits].concat()).await;
    (upstream, nexus)
}

/// A limit of one kind on the whole provider `name`.
fn limit(name: &str, family: &str, key: &str, amount: impl std::fmt::Display) -> String {
    let interval = if key == "concurrent_limit" { "" } else { "interval = \"1h\"\n" };
    format!("[llm.providers.{name}.rate_limits.{family}]\n{key} = {amount}\n{interval}")
}

fn hello(model: &str) -> Request {
    Request::chat(model, "Hello").client("alice")
}

fn gpt() -> Request {
    hello("openai/gpt-4o")
}

fn streaming() -> Request {
    Request::stream("openai/gpt-4o", "Hello").client("alice")
}

/// An answer that reports this usage.
fn reporting(usage: &Value) -> Reply {
    let message = json!({"role": "assistant", "content": "Hi"});
    let choices = json!([{"index": 0, "message": message, "finish_reason": "stop"}]);
    Reply::json(
        json!({"object": "chat.completion", "model": "m", "choices": choices, "usage": usage}).to_string(),
    )
}

fn event(data: &Value) -> Step {
    Step::send(format!("data: {data}\n\n"))
}

fn word(text: &str) -> Step {
    event(&json!({"choices": [{"index": 0, "delta": {"content": text}}]}))
}

fn finish() -> Step {
    event(&json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))
}

/// The last chunk of a stream, which reports this.
fn report(usage: &Value) -> Step {
    event(&json!({"choices": [], "usage": usage}))
}

fn done() -> Step {
    Step::send("data: [DONE]\n\n")
}

fn tokens(input: u64, output: u64) -> Value {
    json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output})
}

/// Every limit of a client, as the usage route lists it.
async fn limits_of(nexus: &Nexus, client: &str) -> Vec<Value> {
    let answer = Request::get(USAGE).client(client).send(nexus).await.fine();
    answer.json()["limits"].as_array().unwrap().clone()
}

/// What a client has used of its first limit of a kind.
async fn used(nexus: &Nexus, client: &str, kind: &str) -> Value {
    let limits = limits_of(nexus, client).await;
    let limit = limits.iter().find(|limit| limit["kind"] == kind);
    limit.unwrap_or_else(|| panic!("no {kind} in {limits:?}"))["used"].clone()
}

/// What alice has used, by kind: input, output, total, request, cost, concurrent.
async fn all_used(nexus: &Nexus) -> Value {
    let limits = limits_of(nexus, "alice").await;
    limits.iter().map(|limit| limit["used"].clone()).collect()
}

/// Waits until alice has used this: a charge after the end of an answer is a message that may still be on its way.
async fn until_used(nexus: &Nexus, wanted: Value) {
    wait_until(&format!("alice to have used {wanted}"), async || all_used(nexus).await == wanted).await;
}

/// Asserts a refusal by a rule, for now.
fn refused_by(answer: &Answer, rule: &str) -> u64 {
    assert_eq!((answer.status, &answer.json()["error"]["limit"]), (429, &json!(rule)), "{answer:?}");
    assert_ne!(answer.header("x-should-retry"), Some("false"), "{answer:?}");
    answer.number("retry-after")
}

/// Asserts a refusal by a rule, for ever.
fn never_by(answer: &Answer, rule: &str) {
    assert_eq!((answer.status, &answer.json()["error"]["limit"]), (429, &json!(rule)), "{answer:?}");
    assert_eq!((answer.header("x-should-retry"), answer.header("retry-after")), (Some("false"), None));
    assert!(answer.error().message.ends_with("cannot be fulfilled."), "{answer:?}");
}
