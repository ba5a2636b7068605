//! The provider's key in what the provider says: it never reaches a client. `everywhere` looks for all kinds of secrets.

use serde_json::json;

use crate::support::{
    client::{Answer, Request},
    nexus::Nexus,
    setup::{API_KEY, openai},
    upstream::{Reply, Step, Upstream},
};

mod everywhere;
mod world;

const WORD: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n";

async fn start(reply: impl Fn() -> Reply + Send + Sync + 'static) -> (Upstream, Nexus) {
    let upstream = Upstream::always(reply).await;
    let nexus = Nexus::start(&openai(&upstream, "")).await;
    (upstream, nexus)
}

/// What a client sees of a stream of these events.
async fn streamed(steps: impl Fn() -> Vec<Step> + Send + Sync + 'static) -> String {
    let (_upstream, nexus) = start(move || Reply::events(steps())).await;
    Request::stream("openai/gpt-4o", "Hello").open(&nexus).await.rest().await
}

async fn answered(reply: impl Fn() -> Reply + Send + Sync + 'static) -> Answer {
    let (_upstream, nexus) = start(reply).await;
    Request::chat("openai/gpt-4o", "Hello").send(&nexus).await
}

fn error() -> String {
    json!({"error": {"message": format!("no such key: {API_KEY}!"), "type": "x", "code": null}}).to_string()
}

fn is_clean(text: &str) {
    assert!(!text.contains(API_KEY), "{text}");
    assert!(text.contains("no such key: ") && text.contains('!'), "the rest is there: {text}");
}

#[tokio::test]
async fn the_key_is_taken_out_of_an_error_event() {
    for before in ["", WORD] {
        is_clean(&streamed(move || vec![Step::send(format!("{before}data: {}\n\n", error()))]).await);
    }
}

#[tokio::test]
async fn the_key_is_taken_out_of_an_error_event_in_pieces() {
    let bytes =
        || format!("{WORD}data: {}\n\n", error()).bytes().map(|byte| Step::send(vec![byte])).collect();
    is_clean(&streamed(bytes).await);
}

#[tokio::test]
async fn the_key_is_taken_out_of_an_error_event_that_is_no_object() {
    for event in [
        format!("data: {{\"error\":\"no such key: {API_KEY}!\"}}\n\n"),
        format!("data: {{\"model\":\"m\",\"error\":{{\"message\":\"no such key: {API_KEY}!\"}}}}\n\n"),
    ] {
        is_clean(&streamed(move || vec![Step::send(event.clone())]).await);
    }
}

#[tokio::test]
async fn the_key_is_taken_out_of_an_event_that_says_in_another_way_that_it_is_an_error() {
    for event in [
        format!("event: error\ndata: no such key: {API_KEY}!\n\n"),
        format!("event: error\ndata: {{\"message\":\"no such key: {API_KEY}!\"}}\n\n"),
    ] {
        is_clean(&streamed(move || vec![Step::send(event.clone())]).await);
    }
}

#[tokio::test]
async fn the_key_is_taken_out_of_an_error_that_came_as_a_success() {
    let answer = answered(|| Reply::json(error())).await;
    assert_eq!(answer.status, 200);
    is_clean(answer.text());
}

#[tokio::test]
async fn headers_that_hold_the_key_stay_behind() {
    let told = format!("Bearer {API_KEY}");
    for status in [200, 401] {
        let told = told.clone();
        let answer = answered(move || {
            let reply =
                Reply::status(status).header("content-type", "application/json").body("{\"error\":{}}");
            reply.header("x-debug-auth", &told).header("x-request-id", API_KEY).header("x-plain", "1")
        })
        .await;
        assert!(!format!("{:?}", answer.headers).contains(API_KEY), "{answer:?}");
        assert_eq!(answer.header("x-plain"), Some("1"));
    }
    let (_upstream, nexus) =
        start(move || Reply::events([Step::send(WORD)]).header("x-debug-auth", &told)).await;
    let stream = Request::stream("openai/gpt-4o", "Hello").open(&nexus).await;
    assert!(!format!("{:?}", stream.headers).contains(API_KEY), "{:?}", stream.headers);
}

#[tokio::test]
async fn a_short_dummy_key_garbles_no_text() {
    let body = r#"{"error":{"message":"none of the messages can be tested","type":"none"}}"#;
    let events = format!("data: {body}\n\n");
    for key in ["none", "message", "test", "e"] {
        let events = events.clone();
        let upstream = Upstream::start(move |call| match call.json()["stream"].as_bool() {
            Some(true) => Reply::events([Step::send(events.clone())]),
            _ => Reply::status(400)
                .header("content-type", "application/json")
                .body(body)
                .header("x-none", "none"),
        })
        .await;
        let nexus = Nexus::start(&openai(&upstream, "").replace(API_KEY, key)).await;
        let answer = Request::chat("openai/gpt-4o", "Hello").send(&nexus).await;
        assert_eq!((answer.status, answer.text(), answer.header("x-none")), (400, body, Some("none")));
        let text = Request::stream("openai/gpt-4o", "Hello").open(&nexus).await.rest().await;
        assert_eq!(text, format!("data: {body}\n\n"));
    }
}

/// What the contract says of bodies in the same protocol: the words of an answer are its author's.
#[tokio::test]
async fn the_words_of_an_answer_pass_as_they_are() {
    let answer = answered(|| Reply::completion(API_KEY)).await;
    assert_eq!(answer.content(), API_KEY);
    let word = WORD.replace("\"x\"", &format!("\"{API_KEY}\""));
    let event = word.clone();
    let text = streamed(move || vec![Step::send(event.clone())]).await;
    assert!(text.starts_with(&word), "{text}");
}
