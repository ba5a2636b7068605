//! Limits on output: it is counted as it flows, streams that have no more of it end properly in their client's dialect, and
//! what went out is what is charged.

mod charged;
mod dialects;

use serde_json::json;

use crate::support::{
    client::Request,
    nexus::Nexus,
    setup::{ECHO, IDENTIFIED},
    upstream::{Reply, Step, Upstream},
};

/// The limit of most tests here, and the block that a stream draws.
const LIMIT: u64 = 20;
const LEASE: u64 = 4;

/// A limit on the output of a provider.
fn output_limit(provider: &str, limit: u64, on_limit: &str) -> String {
    format!(
        "[llm.limits]\noutput_lease = {LEASE}\n[llm.providers.{provider}.rate_limits.per_user]\n\
         output_token_limit = {limit}\ninterval = \"60s\"\non_output_limit = \"{on_limit}\"\n"
    )
}

/// A word, which is a token, as a chunk of a chat stream.
fn chunk(word: &str) -> String {
    let choice = json!({"index": 0, "delta": {"content": word}, "finish_reason": null});
    format!("data: {}\n\n", json!({"id": "chatcmpl-1", "created": 7, "model": "up", "choices": [choice]}))
}

/// A chat stream of so many words, its end and this usage.
fn words(count: usize, usage: &serde_json::Value) -> Reply {
    let choice = json!({"index": 0, "delta": {}, "finish_reason": "stop"});
    let last = json!({"id": "chatcmpl-1", "choices": [choice], "usage": usage});
    Reply::events([Step::send(format!("{}data: {last}\n\ndata: [DONE]\n\n", chunk(" word").repeat(count)))])
}

fn hello() -> Request {
    Request::stream("openai/gpt-4o", "Hello").client("alice")
}

/// How many words a stream has told.
fn told(stream: &str) -> u64 {
    stream.matches(" word").count() as u64
}

/// What the caller has left, by a call whose answer is empty.
async fn left(nexus: &Nexus) -> u64 {
    let request = Request::chat("openai/gpt-4o", "Hello").client("alice").header("x-request-id", "free");
    request.send(nexus).await.number("x-ratelimit-remaining-tokens")
}

/// Waits until the caller has so much left: settling is one-way.
async fn leaves(nexus: &Nexus, wanted: u64) {
    let mut seen = None;
    for _ in 0..200 {
        let left = left(nexus).await;
        if left == wanted {
            return;
        }
        seen = Some(left);
    }
    panic!("{seen:?} are left, not {wanted}");
}

/// A chat provider that plays this script, but answers what asks for nothing with nothing.
async fn start(limits: &str, reply: impl Fn() -> Reply + Send + Sync + 'static) -> (Upstream, Nexus) {
    let upstream = Upstream::start(move |call| {
        if call.headers["x-request-id"] == "free" { Reply::json(r#"{"choices":[]}"#) } else { reply() }
    })
    .await;
    let config = format!("{IDENTIFIED}{}{limits}", crate::support::setup::openai(&upstream, ""));
    let nexus = Nexus::start_with(&config, &["--log-style", "json"]).await;
    (upstream, nexus)
}

#[tokio::test]
async fn the_built_in_provider_is_cut_at_the_limit_and_says_why() {
    let nexus = Nexus::start(&format!("{IDENTIFIED}{ECHO}{}", output_limit("echo", LIMIT, "cut"))).await;
    let body = json!({
        "model": "echo/m", "stream": true, "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": " word".repeat(60)}],
    });
    let call = Request::post(crate::support::client::CHAT, body.to_string()).client("alice");
    let stream = call.open(&nexus).await.rest().await;
    let told = told(&stream);
    assert!((LIMIT..=LIMIT + LEASE).contains(&told), "{told}: {stream}");
    assert!(
        stream.contains(r#""finish_reason":"length""#) && stream.ends_with("data: [DONE]\n\n"),
        "{stream}"
    );
    assert!(stream.contains(&format!("\"completion_tokens\":{told}")), "{stream}");
}

#[tokio::test]
async fn a_stream_that_may_finish_runs_to_its_end_and_owes_the_rest() {
    let nexus = Nexus::start(&format!("{IDENTIFIED}{ECHO}{}", output_limit("echo", LIMIT, "finish"))).await;
    let call = Request::stream("echo/m", &" word".repeat(60)).client("alice");
    let stream = call.open(&nexus).await.rest().await;
    assert!(told(&stream) >= 59 && stream.contains(r#""finish_reason":"stop""#), "{stream}");
    let next = Request::stream("echo/m", "Hello").client("alice").open(&nexus).await;
    assert_eq!(next.headers["x-ratelimit-remaining-tokens"], "0");
}

#[tokio::test]
async fn a_cut_cancels_the_upstream_and_is_told_in_the_log() {
    let reply = || Reply::events([Step::send(chunk(" word").repeat(100)), Step::Hang]);
    let (upstream, nexus) = start(&output_limit("openai", LIMIT, "cut"), reply).await;
    let stream = hello().open(&nexus).await.rest().await;
    upstream.until("the hang-up", |seen| seen.hung_up == 1).await;
    let line = &nexus.logged(1, |line| line.contains("total_ms")).await[0];
    assert!(line.contains(r#""error":"output_limit""#) && line.contains(r#""status":200"#), "{line}");
    assert!(line.contains(&format!("\"output_tokens\":{}", told(&stream))), "{line}: {stream}");
    leaves(&nexus, 0).await;
}

#[tokio::test]
async fn each_open_stream_goes_at_most_one_block_over_the_limit() {
    const STREAMS: u64 = 8;
    const LARGE: u64 = 100;
    let reply = || Reply::events([Step::Gate, Step::Forever(chunk(" word").into())]);
    let (upstream, nexus) = start(&output_limit("openai", LARGE, "cut"), reply).await;
    let mut open = Vec::new();
    for _ in 0..STREAMS {
        let address = nexus.address();
        open.push(tokio::spawn(async move {
            let answer = hello().send_to(address).await;
            assert!(answer.text().contains(r#""finish_reason":"length""#), "{answer:?}");
            told(answer.text())
        }));
    }
    upstream.until("all of them", |seen| seen.open == STREAMS as usize).await;
    upstream.open_gate();
    let mut all = 0;
    for stream in open {
        all += stream.await.unwrap();
    }
    assert!((LARGE..=LARGE + STREAMS * LEASE).contains(&all), "{all}");
    upstream.until("every hang-up", |seen| seen.hung_up == STREAMS as usize).await;
}

#[tokio::test]
async fn a_limit_on_input_and_output_together_cuts_too() {
    let limit = output_limit("openai", 8 + LIMIT, "cut").replace("output_token", "total_token");
    let (_upstream, nexus) = start(&limit, || words(100, &json!(null))).await;
    let stream = hello().open(&nexus).await.rest().await;
    assert!((LIMIT..=LIMIT + LEASE).contains(&told(&stream)), "{stream}");
    assert!(stream.contains(r#""finish_reason":"length""#), "{stream}");
}

#[tokio::test]
async fn a_limit_on_input_alone_counts_no_output() {
    let limits =
        "[llm.providers.openai.rate_limits.per_user]\ninput_token_limit = 1000\ninterval = \"60s\"\n";
    let (_upstream, nexus) = start(limits, || words(50, &json!(null))).await;
    let stream = hello().open(&nexus).await.rest().await;
    assert!(told(&stream) == 50 && stream.contains(r#""finish_reason":"stop""#), "{stream}");
}

#[tokio::test]
async fn streams_that_fit_together_are_all_whole() {
    const STREAMS: usize = 8;
    let limit = output_limit("openai", 1_000, "cut").replace("output_lease = 4", "output_lease = 256");
    // Each has a hundred words before the gate, and its end behind it.
    let reply = || {
        let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
        let end = format!("data: {end}\n\ndata: [DONE]\n\n");
        Reply::events([Step::send(chunk(" word").repeat(100)), Step::Gate, Step::send(end)])
    };
    let (upstream, nexus) = start(&limit, reply).await;
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        streams.push(hello().open(&nexus).await);
    }
    upstream.open_gate();
    for mut stream in streams {
        let whole = stream.rest().await;
        assert_eq!(told(&whole), 100, "{whole}");
        assert!(whole.contains(r#""finish_reason":"stop""#), "{whole}");
    }
}

#[tokio::test]
async fn what_an_idle_stream_has_said_is_charged_before_its_next_block() {
    let limit = output_limit("openai", 1_000, "finish").replace("output_lease = 4", "output_lease = 256");
    let reply = || Reply::events([Step::send(chunk(" word").repeat(10)), Step::Hang]);
    let (_upstream, nexus) = start(&limit, reply).await;
    let mut open = hello().open(&nexus).await;
    open.event().await.unwrap();
    crate::support::wait_until("the charge", async || left(&nexus).await == 990).await;
}
