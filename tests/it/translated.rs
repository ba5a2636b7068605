//! What a client of another protocol is told of a provider that does not answer as it was asked, and what of its secrets.

use serde_json::{Value, json};

use crate::support::{
    client::{Answer, Request},
    nexus::Nexus,
    setup::{API_KEY, openai, provider},
    upstream::{Reply, Step, Upstream},
};

const OTHERS_KEY: &str = "lm-studio-0123456789";

fn messages(stream: bool, more: &Value) -> Request {
    let mut body = json!({"model": "openai/gpt-4o", "max_tokens": 9, "stream": stream,
        "messages": [{"role": "user", "content": "Hello"}]});
    for (key, value) in more.as_object().into_iter().flatten() {
        body[key] = value.clone();
    }
    Request::post("/llm/anthropic/v1/messages", body.to_string())
}

/// The answer to a client of Anthropic's protocol by a provider of OpenAI's, beside which there is another one.
async fn answered(stream: bool, reply: impl Fn() -> Reply + Send + Sync + 'static) -> Answer {
    let upstream = Upstream::always(reply).await;
    let other = provider("other", "http://127.0.0.1:9/v1", "").replace(API_KEY, OTHERS_KEY);
    let nexus = Nexus::start(&(openai(&upstream, "") + &other)).await;
    messages(stream, &Value::Null).send(&nexus).await
}

fn said(answer: &Answer) -> (u16, String, String) {
    let error = &answer.json()["error"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (answer.status, text(&error["type"]), text(&error["message"]))
}

fn failed(status: u16, body: &'static str) -> impl Fn() -> Reply + Send + Sync + 'static {
    move || Reply::status(status).header("content-type", "application/json").body(body)
}

#[tokio::test]
async fn a_stream_that_was_not_asked_for_is_no_answer() {
    let word = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\ndata: [DONE]\n\n";
    let (status, kind, message) = said(&answered(false, move || Reply::events([Step::send(word)])).await);
    assert_eq!((status, kind.as_str()), (502, "api_error"));
    assert!(message.contains("it is a stream, which was not asked for"), "{message}");
}

#[tokio::test]
async fn an_error_that_comes_as_a_success_where_a_stream_was_asked_for_is_told_by_its_meaning() {
    let busy = r#"{"error":{"message":"slow down","type":"rate_limit_error","code":null}}"#;
    let told = said(&answered(true, move || Reply::json(busy)).await);
    assert_eq!(told, (429, "rate_limit_error".to_owned(), "slow down".to_owned()));
    let (status, kind, message) = said(&answered(true, || Reply::completion("whole")).await);
    assert_eq!((status, kind.as_str()), (502, "api_error"));
    assert!(message.contains("it is no stream"), "{message}");
}

#[tokio::test]
async fn a_status_that_says_nothing_to_the_client_is_not_called_its_fault() {
    for status in [418, 499] {
        let told = said(&answered(false, failed(status, r#"{"detail":"odd"}"#)).await);
        assert_eq!(told, (502, "api_error".to_owned(), "odd".to_owned()), "{status}");
    }
}

#[tokio::test]
async fn the_words_of_a_translated_answer_are_told_as_they_are_and_those_of_an_error_without_any_key() {
    for key in [API_KEY, OTHERS_KEY] {
        let answer = answered(false, move || Reply::completion(key)).await;
        assert_eq!(answer.json()["content"][0]["text"], key);
        let body = json!({"error": {"message": format!("no such key: {key}!"), "type": "x"}}).to_string();
        let event = format!("data: {body}\n\n");
        let whole = answered(false, move || Reply::status(401).body(body.clone())).await;
        assert_eq!(said(&whole).2, "no such key: …!");
        let streamed = answered(true, move || Reply::events([Step::send(event.clone())])).await;
        assert!(streamed.text().contains("no such key: …!"), "{}", streamed.text());
    }
}

#[tokio::test]
async fn metadata_and_schemas_may_have_thousands_of_members() {
    let upstream = Upstream::always(|| Reply::completion("fine")).await;
    let nexus = Nexus::start(&openai(&upstream, "")).await;
    let properties: Value = (0..2000)
        .map(|n| (format!("p{n}"), json!({"type": "string"})))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let tags: Value =
        (0..2000).map(|n| (format!("t{n}"), json!("x"))).collect::<serde_json::Map<_, _>>().into();
    let schema = json!({"type": "object", "properties": properties});
    let tools = json!([{"name": "f", "input_schema": schema}]);
    messages(false, &json!({"tools": tools, "metadata": tags})).send(&nexus).await.fine();
    let sent = upstream.last().json();
    assert_eq!(sent["tools"][0]["function"]["parameters"], schema);
}
