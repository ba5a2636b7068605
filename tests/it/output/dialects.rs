//! A cut in every dialect, passing and translated: from a provider that never ends to a client of the same dialect, and
//! from one to the clients of all the others. The upstream sends everything at once: the cut is between events, not pieces.

use serde_json::{Value, json};

use super::{LEASE, LIMIT, chunk, output_limit, told};
use crate::support::{
    amazon,
    client::{Request, data_of},
    nexus::Nexus,
    setup::{IDENTIFIED, openai},
    upstream::{Reply, Step, Upstream},
};

const MANY: usize = 100;

/// An event with its name in front.
fn named(event: &Value) -> String {
    format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap())
}

/// A provider that sends this and nothing more.
async fn upstream(kind: &'static str, bytes: impl Into<bytes::Bytes>) -> Upstream {
    let bytes = bytes.into();
    Upstream::always(move || {
        let reply = Reply::status(200).header("content-type", kind);
        reply.step(Step::send(bytes.clone())).step(Step::Hang)
    })
    .await
}

/// What a client gets of it; the upstream must see that it is cancelled.
async fn cut(upstream: &Upstream, provider: &str, request: Request) -> String {
    let name = provider.split(['.', ']']).nth(2).unwrap().to_owned();
    let config = format!("{IDENTIFIED}{provider}{}", output_limit(&name, LIMIT, "cut"));
    let nexus = Nexus::start(&config).await;
    let stream = request.client("alice").open(&nexus).await.rest().await;
    upstream.until("the hang-up", |seen| seen.hung_up == 1).await;
    // Responses tell everything again at the end.
    let again = |line: &&str| line.contains(".done\"") || line.contains("response.incomplete");
    let told = told(&stream.lines().filter(|line| !again(line)).collect::<String>());
    assert!((LIMIT - 1..=LIMIT + LEASE).contains(&told), "{told}: {stream}");
    stream
}

/// A provider of this kind with one model `m`.
fn provider(kind: &str, keys: &str, base_url: &str) -> String {
    format!(
        "\n[llm.providers.p]\ntype = \"{kind}\"\napi_key = \"key\"\nbase_url = \"{base_url}\"\n{keys}\n[llm.providers.p.models.m]\n"
    )
}

fn last(stream: &str) -> Value {
    serde_json::from_str(data_of(stream).last().unwrap()).unwrap()
}

fn messages() -> Request {
    let messages = json!([{"role": "user", "content": "Hello"}]);
    let body = json!({"model": "p/m", "max_tokens": 999, "stream": true, "messages": messages});
    Request::post("/llm/anthropic/v1/messages", body.to_string())
}

fn responses() -> Request {
    Request::post(
        "/llm/openai/v1/responses",
        json!({"model": "p/m", "input": "Hello", "stream": true}).to_string(),
    )
}

fn generate(query: &str) -> Request {
    let body = json!({"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]});
    Request::post(&format!("/llm/google/v1beta/models/p/m:streamGenerateContent{query}"), body.to_string())
}

/// The end of a message: its blocks are closed, and it says why.
fn ends_as_message(stream: &str) {
    assert_eq!(
        stream.matches("event: content_block_start").count(),
        stream.matches("event: content_block_stop").count()
    );
    assert!(stream.contains(r#""stop_reason":"max_tokens""#), "{stream}");
    assert_eq!(last(stream)["type"], "message_stop");
}

/// The end of a response: it has all that was told, and says why.
fn ends_as_response(stream: &str) {
    let last = last(stream);
    assert_eq!(last["type"], "response.incomplete", "{stream}");
    let response = &last["response"];
    assert_eq!(response["incomplete_details"], json!({"reason": "max_output_tokens"}));
    assert_eq!(
        (&response["status"], &response["output"][0]["status"]),
        (&json!("incomplete"), &json!("incomplete"))
    );
    let text = response["output"][0]["content"][0]["text"].as_str().unwrap();
    let deltas = data_of(stream).iter().filter(|data| data.contains("output_text.delta")).count();
    assert_eq!(told(text), deltas as u64);
    assert_eq!(response["usage"]["output_tokens"], deltas);
}

fn chunks_end(chunks: &[Value]) {
    let last = chunks.last().unwrap();
    assert_eq!(last["candidates"][0]["finishReason"], "MAX_TOKENS", "{last}");
    assert!(last["usageMetadata"]["candidatesTokenCount"].as_u64().unwrap() >= LIMIT - 1, "{last}");
}

#[tokio::test]
async fn anthropic_passing() {
    let start = json!({"type": "message_start", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": {"input_tokens": 8, "output_tokens": 1},
    }});
    let block =
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}});
    let word =
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " word"}});
    let events = [named(&start), named(&block), named(&word).repeat(MANY)].concat();
    let upstream = upstream("text/event-stream", events).await;
    let provider = provider("anthropic", "", &format!("http://{}/v1", upstream.address()));
    let stream = cut(&upstream, &provider, messages()).await;
    ends_as_message(&stream);
}

fn gemini_chunk() -> String {
    let candidate = json!({"content": {"role": "model", "parts": [{"text": " word"}]}, "index": 0});
    json!({"candidates": [candidate], "modelVersion": "m", "responseId": "r"}).to_string()
}

#[tokio::test]
async fn google_passing_as_events() {
    let upstream =
        upstream("text/event-stream", format!("data: {}\r\n\r\n", gemini_chunk()).repeat(MANY)).await;
    let provider = provider("google", "", &format!("http://{}/v1beta", upstream.address()));
    let stream = cut(&upstream, &provider, generate("?alt=sse")).await;
    let chunks: Vec<_> = data_of(&stream).iter().map(|data| serde_json::from_str(data).unwrap()).collect();
    chunks_end(&chunks);
}

#[tokio::test]
async fn google_passing_as_an_array() {
    let array = format!("[{}", vec![gemini_chunk(); MANY].join(",\r\n"));
    let upstream = upstream("application/json", array).await;
    let provider = provider("google", "", &format!("http://{}/v1beta", upstream.address()));
    let stream = cut(&upstream, &provider, generate("")).await;
    chunks_end(&serde_json::from_str::<Vec<Value>>(&stream).unwrap());
}

#[tokio::test]
async fn responses_passing() {
    let created = json!({"type": "response.created", "sequence_number": 0, "response": {"id": "resp_1", "object": "response", "model": "m", "status": "in_progress", "output": []}});
    let item = json!({"type": "response.output_item.added", "sequence_number": 1, "output_index": 0, "item": {"id": "msg_1", "type": "message", "status": "in_progress", "role": "assistant", "content": []}});
    let part = json!({"type": "response.content_part.added", "sequence_number": 2, "item_id": "msg_1", "output_index": 0, "content_index": 0, "part": {"type": "output_text", "text": "", "annotations": []}});
    let word = |number| json!({"type": "response.output_text.delta", "sequence_number": number, "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": " word"});
    let words = (3..MANY + 3).map(word);
    let events: String = [created, item, part].into_iter().chain(words).map(|event| named(&event)).collect();
    let upstream = upstream("text/event-stream", events).await;
    let provider = provider("openai", "responses = true", &format!("http://{}/v1", upstream.address()));
    let stream = cut(&upstream, &provider, responses()).await;
    ends_as_response(&stream);
    let numbers: Vec<_> = data_of(&stream)
        .iter()
        .map(|data| serde_json::from_str::<Value>(data).unwrap()["sequence_number"].as_u64().unwrap())
        .collect();
    assert!(numbers.iter().copied().eq(0..numbers.len() as u64), "{numbers:?}");
}

#[tokio::test]
async fn chat_translated_for_every_other_client() {
    let upstream_of = || upstream("text/event-stream", chunk(" word").repeat(MANY));
    let provider = |upstream: &Upstream| provider("openai", "", &format!("http://{}/v1", upstream.address()));
    let chat = upstream_of().await;
    ends_as_message(&cut(&chat, &provider(&chat), messages()).await);
    let chat = upstream_of().await;
    ends_as_response(&cut(&chat, &provider(&chat), responses()).await);
    let chat = upstream_of().await;
    let array = cut(&chat, &provider(&chat), generate("")).await;
    chunks_end(&serde_json::from_str::<Vec<Value>>(&array).unwrap());
}

#[tokio::test]
async fn bedrock_translated_for_chat() {
    let word = json!({"contentBlockIndex": 0, "delta": {"text": " word"}});
    let stream = [
        amazon::event("messageStart", &json!({"role": "assistant"})),
        amazon::event("contentBlockDelta", &word).repeat(MANY),
    ];
    let upstream = upstream("application/vnd.amazon.eventstream", stream.concat()).await;
    let provider = amazon::bedrock(&upstream, &amazon::keys());
    let stream = cut(&upstream, &provider, Request::stream("bedrock/claude", "Hello")).await;
    assert!(
        stream.contains(r#""finish_reason":"length""#) && stream.ends_with("data: [DONE]\n\n"),
        "{stream}"
    );
}

#[tokio::test]
async fn calls_that_come_at_the_same_time_are_all_closed() {
    let call = |index: usize, piece: Value| {
        let calls = json!([{"index": index, "function": piece}]);
        let choice = json!({"index": 0, "delta": {"tool_calls": calls}});
        format!("data: {}\n\n", json!({"id": "chatcmpl-1", "choices": [choice]}))
    };
    let begin = |index: usize| {
        let calls = json!([{"index": index, "id": format!("call_{index}"), "type": "function", "function": {"name": "f", "arguments": "{\"x\": \""}}]);
        format!(
            "data: {}\n\n",
            json!({"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {"tool_calls": calls}}]})
        )
    };
    let more = [call(0, json!({"arguments": " word"})), call(1, json!({"arguments": " word"}))].concat();
    let events = [begin(0), begin(1), more.repeat(MANY)].concat();
    let chat = upstream("text/event-stream", events.clone()).await;
    let config = format!("{IDENTIFIED}{}{}", openai(&chat, ""), output_limit("openai", LIMIT, "cut"));
    let nexus = Nexus::start(&config).await;
    let messages = json!([{"role": "user", "content": "Hello"}]);
    let body = json!({"model": "openai/gpt-4o", "max_tokens": 999, "stream": true, "messages": messages});
    let request = Request::post("/llm/anthropic/v1/messages", body.to_string()).client("alice");
    let stream = request.open(&nexus).await.rest().await;
    chat.until("the hang-up", |seen| seen.hung_up == 1).await;
    assert_eq!(stream.matches("event: content_block_start").count(), 2, "{stream}");
    ends_as_message(&stream);
    assert!(told(&stream) <= LIMIT + LEASE, "{stream}");
}
