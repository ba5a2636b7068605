//! The built-in provider: it repeats the last thing the user said, the same way every time.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{
    client::{CHAT, Request},
    nexus::Nexus,
    setup::{ECHO, IDENTIFIED, provider_limit},
};

async fn start(keys: &str) -> Nexus {
    Nexus::start(&format!("[llm.providers.echo]\ntype = \"echo\"\n{keys}\n[llm.providers.echo.models.m]\n"))
        .await
}

/// The chunks of a streamed call and whether `[DONE]` ended it.
async fn chunks(nexus: &Nexus, request: Request) -> (Vec<Value>, bool) {
    let mut data = request.open(nexus).await.data().await;
    let done = data.last().is_some_and(|data| data == "[DONE]");
    data.truncate(data.len() - usize::from(done));
    (data.iter().map(|data| serde_json::from_str(data).unwrap()).collect(), done)
}

fn texts(chunks: &[Value]) -> Vec<&str> {
    let text = |chunk: &'_ Value| chunk["choices"][0]["delta"]["content"].as_str().map(str::len);
    chunks
        .iter()
        .filter(|chunk| text(chunk).is_some_and(|length| length > 0))
        .map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn an_answer_has_openais_shape() {
    let nexus = start("").await;
    let answer = Request::chat("echo/m", "Hello there").send(&nexus).await.fine().json();
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["model"], "echo/m");
    assert!(answer["id"].is_string() && answer["created"].is_u64(), "{answer}");
    let choice = &answer["choices"][0];
    assert_eq!((&choice["index"], &choice["finish_reason"]), (&json!(0), &json!("stop")));
    assert_eq!(
        (&choice["message"]["role"], &choice["message"]["content"]),
        (&json!("assistant"), &json!("Hello there"))
    );
}

#[tokio::test]
async fn the_last_message_of_the_user_is_repeated() {
    let nexus = start("").await;
    let body = json!({"model": "echo/m", "messages": [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "second"},
        {"role": "user", "content": "third"},
        {"role": "assistant", "content": "fourth"},
    ]});
    assert_eq!(Request::post(CHAT, body.to_string()).send(&nexus).await.fine().content(), "third");
}

#[tokio::test]
async fn odd_texts_are_repeated_exactly() {
    let nexus = start("").await;
    for text in [
        "",
        " two  blanks ",
        "line\nbreak\ttab \"quote\" \\",
        "日本語テスト 😀",
        "\u{0}\u{1f}\u{7f}",
        "a\r\n\r\ndata: b",
    ] {
        assert_eq!(Request::chat("echo/m", text).send(&nexus).await.fine().content(), text);
        let (chunks, done) = chunks(&nexus, Request::stream("echo/m", text)).await;
        assert_eq!(texts(&chunks).concat(), text);
        assert!(done);
    }
}

#[tokio::test]
async fn usage_is_reported_by_the_estimate() {
    let nexus = Nexus::start(&format!("{IDENTIFIED}{ECHO}{}", provider_limit("echo", 1000, "60s"))).await;
    let answer = Request::chat("echo/m", "Hello").client("alice").send(&nexus).await.fine();
    let usage = &answer.json()["usage"];
    assert_eq!(usage["prompt_tokens"], 8);
    assert_eq!(1000 - answer.number("x-ratelimit-remaining-tokens"), 8, "what it reports is what it costs");
    let output = usage["completion_tokens"].as_u64().unwrap();
    assert!((1..=8).contains(&output), "{usage}");
    assert_eq!(usage["total_tokens"], 8 + output);
}

#[tokio::test]
async fn a_stream_comes_word_by_word_and_has_openais_shape() {
    let nexus = start("").await;
    let (chunks, done) = chunks(&nexus, Request::stream("echo/m", "one two  three")).await;
    assert!(done);
    assert_eq!(texts(&chunks).len(), 3, "{chunks:?}");
    assert_eq!(texts(&chunks).concat(), "one two  three");
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "stop");
    for chunk in &chunks {
        assert_eq!((&chunk["object"], &chunk["model"]), (&json!("chat.completion.chunk"), &json!("echo/m")));
        assert_eq!(chunk["id"], chunks[0]["id"], "one id for one answer");
        assert_eq!(chunk.get("usage").filter(|usage| !usage.is_null()), None, "nobody asked");
    }
}

#[tokio::test]
async fn a_stream_reports_usage_to_who_asks() {
    let nexus = start("").await;
    let body = r#"{"model":"echo/m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"Hello"}]}"#;
    let (chunks, done) = chunks(&nexus, Request::post(CHAT, body)).await;
    assert!(done);
    let last = chunks.last().unwrap();
    assert_eq!((&last["choices"], &last["usage"]["prompt_tokens"]), (&json!([]), &json!(8)));
}

#[tokio::test]
async fn the_same_call_gives_the_same_answer() {
    let nexus = start("").await;
    let mut answers = Vec::new();
    for _ in 0..3 {
        let mut answer = Request::chat("echo/m", "Hello there").send(&nexus).await.fine().json();
        for changing in ["id", "created"] {
            answer.as_object_mut().unwrap().remove(changing);
        }
        answers.push(answer);
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[1], answers[2]);
}

#[tokio::test]
async fn its_delays_are_those_of_the_configuration() {
    let nexus = start("first_byte_delay = \"300ms\"\ntoken_delay = \"200ms\"").await;
    let asked = Instant::now();
    Request::chat("echo/m", "Hello").send(&nexus).await.fine();
    assert!(asked.elapsed() >= Duration::from_millis(300), "{:?}", asked.elapsed());

    let asked = Instant::now();
    let mut stream = Request::stream("echo/m", "one two three").open(&nexus).await;
    assert!(asked.elapsed() >= Duration::from_millis(300), "{:?}", asked.elapsed());
    let mut event = String::new();
    while !event.contains("one") {
        event = stream.event().await.expect("the first word");
    }
    let first = asked.elapsed();
    stream.rest().await;
    assert!(
        asked.elapsed() >= first + Duration::from_millis(390),
        "two more words: {:?} {first:?}",
        asked.elapsed()
    );
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_place() {
    let nexus = start("token_delay = \"30s\"\nmax_in_flight = 1").await;
    let stream = Request::stream("echo/m", "one two three").open(&nexus).await;
    assert_eq!(Request::chat("echo/m", "Hello").send(&nexus).await.status, 503);
    stream.hang_up();
    crate::support::wait_until("its place to be free", || async {
        Request::stream("echo/m", "one two three").open(&nexus).await.status == 200
    })
    .await;
}
