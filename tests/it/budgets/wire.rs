//! Budgets in every format: whose usage is read how, and how a refusal looks to each kind of client.

use serde_json::{Value, json};

use super::{HELLO, echo, limit, until_used};
use crate::support::{
    amazon::{self, bedrock},
    client::Request,
    nexus::Nexus,
    setup::{ADMIN, IDENTIFIED},
    upstream::{Reply, Step, Upstream},
};

const MESSAGES: &str = "/llm/anthropic/v1/messages";

/// A provider `p` of this type within limits of input and output, whose input is charged by the report.
async fn start(kind: &str, reply: impl Fn() -> Reply + Send + Sync + 'static) -> (Upstream, Nexus) {
    let upstream = Upstream::always(reply).await;
    let provider = format!(
        "[llm.providers.p]\ntype = {kind:?}\nbase_url = \"http://{}/v1\"\napi_key = \"k\"\nmodels.m = {{}}\n",
        upstream.address()
    );
    let nexus = Nexus::start(&[ADMIN, IDENTIFIED, REPORTED, &provider, &windows("p")].concat()).await;
    (upstream, nexus)
}

const REPORTED: &str = "[llm.limits]\ncount = \"reported\"\n";

fn windows(provider: &str) -> String {
    format!(
        "[llm.providers.{provider}.rate_limits.per_user]\ninput_token_limit = 1000\noutput_token_limit = 1000\ninterval = \"1h\"\n"
    )
}

pub(super) fn messages(model: &str, stream: bool) -> Request {
    let messages = json!([{"role": "user", "content": "Hello"}]);
    let body = json!({"model": model, "max_tokens": 9, "stream": stream, "messages": messages});
    Request::post(MESSAGES, body.to_string()).client("alice")
}

fn generate(model: &str, verb: &str) -> Request {
    let body = json!({"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}).to_string();
    Request::post(&format!("/llm/google/v1beta/models/{model}:{verb}"), body).client("alice")
}

/// Anthropic's stream whose start has a provisional count of output.
fn anthropic() -> Reply {
    let event = |name: &str, data: Value| Step::send(format!("event: {name}\ndata: {data}\n\n"));
    let usage = json!({"input_tokens": 20, "cache_read_input_tokens": 5, "output_tokens": 1});
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": null, "usage": usage});
    let block = json!({"type": "text", "text": ""});
    let text = json!({"type": "text_delta", "text": "Hi"});
    let delta =
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}});
    Reply::events([
        event("message_start", json!({"type": "message_start", "message": message})),
        event(
            "content_block_start",
            json!({"type": "content_block_start", "index": 0, "content_block": block}),
        ),
        event("content_block_delta", json!({"type": "content_block_delta", "index": 0, "delta": text})),
        event("content_block_stop", json!({"type": "content_block_stop", "index": 0})),
        event("message_delta", delta),
        event("message_stop", json!({"type": "message_stop"})),
    ])
}

/// Google's stream, each piece of which reports what was used until then.
fn gemini() -> Reply {
    let piece = |text: &str, output: u64, more: Value| {
        let mut candidate = json!({"content": {"role": "model", "parts": [{"text": text}]}, "index": 0});
        candidate.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let usage =
            json!({"promptTokenCount": 25, "candidatesTokenCount": output, "totalTokenCount": 25 + output});
        Step::send(format!("data: {}\r\n\r\n", json!({"candidates": [candidate], "usageMetadata": usage})))
    };
    Reply::events([
        piece("H", 2, json!({})),
        piece("i", 5, json!({})),
        piece("", 7, json!({"finishReason": "STOP"})),
    ])
}

#[tokio::test]
async fn oracle_4_anthropics_start_and_delta_are_one_report() {
    let (_upstream, nexus) = start("anthropic", anthropic).await;
    messages("p/m", true).open(&nexus).await.rest().await;
    until_used(&nexus, json!([25, 7])).await;
    Request::stream("p/m", "Hello").client("alice").open(&nexus).await.rest().await;
    until_used(&nexus, json!([50, 14])).await;
}

#[tokio::test]
async fn oracle_4_googles_reports_are_cumulative() {
    let (_upstream, nexus) = start("google", gemini).await;
    generate("p/m", "streamGenerateContent?alt=sse").open(&nexus).await.rest().await;
    until_used(&nexus, json!([25, 7])).await;
    messages("p/m", true).open(&nexus).await.rest().await;
    until_used(&nexus, json!([50, 14])).await;
}

#[tokio::test]
async fn oracle_4_openais_report_is_in_a_chunk_of_its_own() {
    let reply = || {
        let data = |data: Value| Step::send(format!("data: {data}\n\n"));
        Reply::events([
            data(
                json!({"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hi"}}], "usage": null}),
            ),
            data(json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": null})),
            data(json!({"choices": [], "usage": super::tokens(25, 7)})),
            Step::send("data: [DONE]\n\n"),
        ])
    };
    let (_upstream, nexus) = start("openai", reply).await;
    Request::stream("p/m", "Hello").client("alice").open(&nexus).await.rest().await;
    until_used(&nexus, json!([25, 7])).await;
    messages("p/m", true).open(&nexus).await.rest().await;
    until_used(&nexus, json!([50, 14])).await;
}

#[tokio::test]
async fn oracle_4_bedrocks_report_is_an_event_behind_the_end() {
    let upstream = Upstream::always(|| amazon::stream(amazon::text("Hi"))).await;
    let provider = bedrock(&upstream, &amazon::keys());
    let nexus = Nexus::start(&[IDENTIFIED, REPORTED, &provider, &windows("bedrock")].concat()).await;
    Request::stream("bedrock/claude", "Hello").client("alice").open(&nexus).await.rest().await;
    until_used(&nexus, json!([8, 2])).await;
}

#[tokio::test]
async fn a_refusal_names_its_rule_in_every_dialect() {
    let limits = limit("echo", "total", "request_limit", 2) + &limit("echo", "per_user", "request_limit", 1);
    let nexus = echo(&limits).await;
    Request::chat("echo/m", "Hello").client("alice").send(&nexus).await.fine();
    let responses = json!({"model": "echo/m", "input": "Hello"}).to_string();
    for request in [
        Request::chat("echo/m", "Hello").client("alice"),
        Request::post("/v1/responses", responses).client("alice"),
        messages("echo/m", false),
        messages("echo/m", true),
        generate("echo/m", "generateContent"),
        generate("echo/m", "streamGenerateContent"),
    ] {
        let answer = request.send(&nexus).await;
        let seconds = super::refused_by(&answer, "per_user.request_limit");
        if let Some(details) = answer.json()["error"]["details"].as_array() {
            assert_eq!(details[0]["retryDelay"], format!("{seconds}s"));
            assert_eq!(answer.json()["error"]["status"], "RESOURCE_EXHAUSTED");
        }
    }
}

#[tokio::test]
async fn anthropics_clients_read_of_each_kind_in_headers_of_their_own() {
    for (key, name) in [
        ("input_token_limit", "input-tokens"),
        ("output_token_limit", "output-tokens"),
        ("total_token_limit", "tokens"),
        ("request_limit", "requests"),
    ] {
        let nexus = echo(&limit("echo", "per_user", key, 100)).await;
        let answer = messages("echo/m", false).send(&nexus).await.fine();
        let header = |part: &str| answer.number(&format!("anthropic-ratelimit-{name}-{part}"));
        let remaining = match name {
            "requests" => 99,
            "output-tokens" => 100,
            _ => 100 - HELLO,
        };
        assert_eq!((header("limit"), header("remaining")), (100, remaining), "{key}");
        assert!(answer.header(&format!("anthropic-ratelimit-{name}-reset")).unwrap().ends_with('Z'));
    }
}
