//! AWS Bedrock: every client's call as a signed Converse, its answers and binary streams back in the client's format.

use serde_json::{Value, json};

use crate::support::{
    amazon::{
        ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN, answer, assert_signed, bedrock, event, exception,
        keys, stream, text,
    },
    client::{CHAT, Request},
    nexus::Nexus,
    setup::{IDENTIFIED, provider_limit},
    upstream::{Call, Reply, Upstream},
};

const MESSAGES: &str = "/llm/anthropic/v1/messages";
const RESPONSES: &str = "/llm/openai/v1/responses";
const GENERATE: &str = "/llm/google/v1beta/models/bedrock/claude:generateContent";
const MODEL: &str = "bedrock/claude";
const PATH: &str = "/model/anthropic.claude-sonnet-4-5-v1%3A0";

async fn start(script: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> (Upstream, Nexus) {
    let upstream = Upstream::start(script).await;
    let nexus = Nexus::start(&bedrock(&upstream, &keys())).await;
    (upstream, nexus)
}

/// A stream of these pieces to a client of Anthropic's, as text.
async fn streamed(pieces: Vec<Vec<u8>>) -> String {
    let (_upstream, nexus) = start(move |_| stream(pieces.clone())).await;
    let messages = json!([{"role": "user", "content": "Hello"}]);
    let body = json!({"model": MODEL, "max_tokens": 9, "stream": true, "messages": messages});
    Request::post(MESSAGES, body.to_string()).open(&nexus).await.rest().await
}

#[tokio::test]
async fn a_call_is_signed_and_its_answer_comes_back_in_the_clients_format() {
    let (upstream, nexus) = start(|_| answer(&json!([{"text": "Hi"}]), "end_turn")).await;
    let answer = Request::chat(MODEL, "Hello")
        .header("traceparent", "00-1-2-01")
        .header("anthropic-beta", "x")
        .send(&nexus)
        .await
        .fine();
    let body = answer.json();
    assert_eq!((&body["model"], &body["choices"][0]["message"]["content"]), (&json!(MODEL), &json!("Hi")));
    assert_eq!(body["usage"]["prompt_tokens"], 8);
    assert_eq!(answer.header("x-upstream-request-id"), Some("aws-1"));
    let call = upstream.last();
    assert_signed(&call, ACCESS_KEY_ID, SECRET_ACCESS_KEY);
    assert_eq!(call.uri.path(), format!("{PATH}/converse"));
    assert_eq!(call.json()["messages"], json!([{"role": "user", "content": [{"text": "Hello"}]}]));
    assert_eq!(call.header("x-amz-security-token"), Some(SESSION_TOKEN));
    assert_eq!(call.header("traceparent"), Some("00-1-2-01"));
    assert_eq!(call.header("anthropic-beta"), None);
    assert!(call.header("x-request-id").is_some());
}

#[tokio::test]
async fn a_stream_is_whole_however_its_bytes_are_cut() {
    for size in [usize::MAX, 1, 7] {
        let (upstream, nexus) = start(move |_| {
            let bytes = text("Hi").concat();
            stream(bytes.chunks(size.min(bytes.len())).map(<[u8]>::to_vec).collect::<Vec<_>>())
        })
        .await;
        let data = Request::stream(MODEL, "Hello").open(&nexus).await.data().await;
        assert_eq!(data.last().map(String::as_str), Some("[DONE]"), "{data:?}");
        let events: Vec<Value> = data[..data.len() - 1].iter().map(|e| e.parse().unwrap()).collect();
        let said: String =
            events.iter().filter_map(|e| e["choices"][0]["delta"]["content"].as_str()).collect();
        assert_eq!(said, "Hi");
        assert!(events.iter().any(|e| e["choices"][0]["finish_reason"] == "stop"), "{data:?}");
        let call = upstream.last();
        assert_signed(&call, ACCESS_KEY_ID, SECRET_ACCESS_KEY);
        assert_eq!(call.uri.path(), format!("{PATH}/converse-stream"));
    }
}

#[tokio::test]
async fn a_stream_that_is_cut_broken_or_fails_ends_with_an_error() {
    let begun = || text("Hi")[..2].to_vec();
    let mut torn = text("Hi");
    *torn[2].last_mut().unwrap() ^= 1;
    let failed = [begun(), vec![exception("throttlingException", "Too many requests")], text("no")].concat();
    for (pieces, said) in [
        (begun(), "ended the stream before"),
        (torn, "checksum"),
        (failed, "Too many requests"),
        (vec![text("Hi").concat()[..150].to_vec()], "ended the stream before"),
    ] {
        let events = streamed(pieces).await;
        assert!(events.contains("event: error") && events.contains(said), "{said}: {events}");
        assert!(!events.contains("message_stop") && !events.contains("no\""), "{events}");
    }
}

#[tokio::test]
async fn an_error_is_told_by_its_meaning() {
    for (status, kind, told, word) in [
        (400, "ValidationException:http://internal.amazon.com/coral/", 400, "invalid_request_error"),
        (403, "ExpiredTokenException", 401, "authentication_error"),
        (403, "AccessDeniedException", 401, "authentication_error"),
        (404, "ResourceNotFoundException", 404, "not_found_error"),
        (429, "ThrottlingException", 429, "rate_limit_error"),
        (503, "ServiceUnavailableException", 503, "overloaded_error"),
        (424, "ModelErrorException", 502, "internal_error"),
    ] {
        let (_upstream, nexus) = start(move |_| {
            let reply = Reply::status(status).header("x-amzn-errortype", kind);
            reply.header("content-type", "application/json").body(r#"{"message":"so it is"}"#)
        })
        .await;
        let messages = json!([{"role": "user", "content": "Hello"}]);
        let body = json!({"model": MODEL, "max_tokens": 9, "messages": messages});
        let answer = Request::post(MESSAGES, body.to_string()).send(&nexus).await;
        let error = answer.json();
        assert_eq!((answer.status, error["error"]["type"].as_str()), (told, Some(word)), "{kind} {error}");
        assert_eq!(error["error"]["message"], "so it is");
    }
}

#[tokio::test]
async fn no_key_is_told_by_the_provider() {
    let secrets = [SECRET_ACCESS_KEY, SESSION_TOKEN];
    let told = secrets.join(" ");
    let (error, event) = (told.clone(), told.clone());
    let (_upstream, nexus) = start(move |call| {
        if call.uri.path().ends_with("-stream") {
            return stream([exception("validationException", &event)]);
        }
        let body = json!({"message": error}).to_string();
        Reply::status(400).header("content-type", "application/json").header("x-told", &error).body(body)
    })
    .await;
    let whole = Request::chat(MODEL, "Hello").send(&nexus).await;
    let streamed = Request::stream(MODEL, "Hello").open(&nexus).await.rest().await;
    assert!(whole.text().contains('…') && streamed.contains('…'), "{whole:?} {streamed}");
    let all = format!("{whole:?} {} {streamed}", whole.text());
    assert!(secrets.iter().all(|secret| !all.contains(secret)), "{all}");
}

/// A tool is offered, called, and its result sent back, by a client of each format.
#[tokio::test]
async fn tools_make_their_round_from_every_format() {
    let (upstream, nexus) = start(|call| {
        if call.json()["messages"].as_array().unwrap().len() > 1 {
            return answer(&json!([{"text": "Sunny"}]), "end_turn");
        }
        let call = json!({"toolUseId": "tooluse_1", "name": "weather", "input": {"city": "Bonn"}});
        answer(&json!([{"toolUse": call}]), "tool_use")
    })
    .await;
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    for (target, first, called) in openings(&schema) {
        let answer = Request::post(target, first.to_string()).send(&nexus).await.fine().json();
        let offered = &upstream.last().json()["toolConfig"]["tools"][0]["toolSpec"];
        assert_eq!((&offered["name"], &offered["inputSchema"]["json"]), (&json!("weather"), &schema));
        let second = called(&answer, first);
        let answer = Request::post(target, second.to_string()).send(&nexus).await.fine();
        assert!(answer.text().contains("Sunny"), "{answer:?}");
        let turns = upstream.last().json()["messages"].clone();
        let call = json!({"toolUseId": "tooluse_1", "name": "weather", "input": {"city": "Bonn"}});
        assert_eq!(turns[1]["content"][0]["toolUse"]["input"], call["input"], "{target}: {turns}");
        let (id, result) =
            (&turns[1]["content"][0]["toolUse"]["toolUseId"], &turns[2]["content"][0]["toolResult"]);
        assert_eq!(&result["toolUseId"], id, "{target}: {turns}");
        assert!(result.to_string().contains("sunny"), "{target}: {turns}");
    }
}

type Opening = (&'static str, Value, fn(&Value, Value) -> Value);

/// A call with a tool in every format, and how the next turn is made of the answer.
fn openings(schema: &Value) -> [Opening; 4] {
    let user = json!([{"role": "user", "content": "Weather?"}]);
    let function = json!({"name": "weather", "parameters": schema});
    [
        (
            CHAT,
            json!({"model": MODEL, "messages": user, "tools": [{"type": "function", "function": function}]}),
            chat,
        ),
        (
            MESSAGES,
            json!({"model": MODEL, "max_tokens": 9, "messages": user, "tools": [{"name": "weather", "input_schema": schema}]}),
            messages,
        ),
        (
            RESPONSES,
            json!({"model": MODEL, "input": user, "tools": [{"type": "function", "name": "weather", "parameters": schema}]}),
            responses,
        ),
        (
            GENERATE,
            json!({
                "contents": [{"role": "user", "parts": [{"text": "Weather?"}]}],
                "tools": [{"functionDeclarations": [{"name": "weather", "parametersJsonSchema": schema}]}],
            }),
            contents,
        ),
    ]
}

fn with(mut body: Value, list: &str, more: impl IntoIterator<Item = Value>) -> Value {
    body[list].as_array_mut().unwrap().extend(more);
    body
}

fn chat(answer: &Value, body: Value) -> Value {
    let message = answer["choices"][0]["message"].clone();
    assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
    let id = message["tool_calls"][0]["id"].clone();
    with(body, "messages", [message, json!({"role": "tool", "tool_call_id": id, "content": "sunny"})])
}

fn messages(answer: &Value, body: Value) -> Value {
    assert_eq!(answer["stop_reason"], "tool_use");
    let result =
        json!([{"type": "tool_result", "tool_use_id": answer["content"][0]["id"], "content": "sunny"}]);
    let turn = json!({"role": "assistant", "content": answer["content"]});
    with(body, "messages", [turn, json!({"role": "user", "content": result})])
}

fn responses(answer: &Value, body: Value) -> Value {
    let call = answer["output"].as_array().unwrap().iter().find(|item| item["type"] == "function_call");
    let call = call.expect("a call").clone();
    let output = json!({"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"});
    with(body, "input", [call, output])
}

fn contents(answer: &Value, body: Value) -> Value {
    let content = answer["candidates"][0]["content"].clone();
    let result = json!({"name": "weather", "response": {"result": "sunny"}});
    with(body, "contents", [content, json!({"role": "user", "parts": [{"functionResponse": result}]})])
}

#[tokio::test]
async fn tokens_are_counted_here_and_said_to_be_an_estimate() {
    let (upstream, nexus) = start(|_| Reply::status(500)).await;
    let body = json!({"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]}).to_string();
    let answer = Request::post(&format!("{MESSAGES}/count_tokens"), body).send(&nexus).await.fine();
    assert_eq!(
        (answer.json()["input_tokens"].as_u64(), answer.header("x-nexus-estimate")),
        (Some(8), Some("true"))
    );
    assert!(upstream.seen().calls.is_empty());
}

#[tokio::test]
async fn a_failed_call_is_given_back_and_a_good_one_is_charged() {
    let upstream = Upstream::start(|call| {
        let fails = call.json().to_string().contains("fail");
        if fails { stream([exception("internalServerException", "broken")]) } else { stream(text("Hi")) }
    })
    .await;
    let limit = provider_limit("bedrock", 100, "60s");
    let nexus = Nexus::start(&format!("{IDENTIFIED}{}{limit}", bedrock(&upstream, &keys()))).await;
    for (said, left) in [("fail", "100"), ("Hello", "92")] {
        let mut answer = Request::stream(MODEL, said).client("alice").open(&nexus).await;
        assert_eq!(answer.headers["x-ratelimit-remaining-tokens"], left, "{said}");
        answer.rest().await;
    }
}

#[tokio::test]
async fn header_rules_hold_and_change_nothing_that_is_signed() {
    let upstream = Upstream::start(|_| answer(&json!([{"text": "Hi"}]), "end_turn")).await;
    let rules = r#"
[[llm.providers.bedrock.headers]]
rule = "insert"
name = "x-amzn-bedrock-trace"
value = "ENABLED"
[[llm.providers.bedrock.headers]]
rule = "insert"
name = "x-amz-date"
value = "never"
[[llm.providers.bedrock.models.claude.headers]]
rule = "forward"
name = "x-tag"
"#;
    let nexus = Nexus::start(&format!("{}{rules}", bedrock(&upstream, &keys()))).await;
    Request::chat(MODEL, "Hello").header("x-tag", "blue").send(&nexus).await.fine();
    let call = upstream.last();
    assert_eq!((call.header("x-amzn-bedrock-trace"), call.header("x-tag")), (Some("ENABLED"), Some("blue")));
    assert_signed(&call, ACCESS_KEY_ID, SECRET_ACCESS_KEY);
}

#[tokio::test]
async fn events_that_are_not_known_are_passed_over() {
    let mut pieces = text("Hi");
    pieces.insert(1, event("somethingNew", &json!({"x": 1})));
    let events = streamed(pieces).await;
    assert!(events.contains("message_stop") && !events.contains("error"), "{events}");
}
