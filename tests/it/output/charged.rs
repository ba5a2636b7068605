//! What is charged of output: what went out, however the answer ends and whatever its provider says of it.

use serde_json::{Value, json};

use super::{chunk, hello, leaves, left, output_limit, start, words};
use crate::support::{
    client::Request,
    upstream::{Reply, Step},
};

const LARGE: u64 = 1000;
const SAID: usize = 30;
/// Input tokens of a call.
const HELLO: u64 = 8;

#[tokio::test]
async fn a_client_that_hangs_up_pays_for_what_had_come() {
    let reply = || Reply::events([Step::send(chunk(" word").repeat(SAID)), Step::Hang]);
    let (upstream, nexus) = start(&output_limit("openai", LARGE, "finish"), reply).await;
    let mut stream = hello().open(&nexus).await;
    for _ in 0..SAID {
        stream.event().await.unwrap();
    }
    stream.hang_up();
    upstream.until("the hang-up", |seen| seen.hung_up == 1).await;
    leaves(&nexus, LARGE - SAID as u64).await;
}

#[tokio::test]
async fn a_client_that_hangs_up_pays_for_its_input_and_what_had_come() {
    let reply = || Reply::events([Step::send(chunk(" word").repeat(SAID)), Step::Hang]);
    let limit = output_limit("openai", LARGE, "finish").replace("output_token", "total_token");
    let (upstream, nexus) = start(&limit, reply).await;
    let mut stream = hello().open(&nexus).await;
    for _ in 0..SAID {
        stream.event().await.unwrap();
    }
    stream.hang_up();
    upstream.until("the hang-up", |seen| seen.hung_up == 1).await;
    let spent = HELLO + SAID as u64;
    // Whoever asks pays for that.
    let mut asked = 0;
    while asked < 60 {
        asked += 1;
        let left = left(&nexus).await;
        if left == LARGE - spent - asked * HELLO {
            return;
        }
        assert_eq!(left, LARGE - HELLO - asked * HELLO, "not settled yet");
    }
    panic!("never settled");
}

#[tokio::test]
async fn a_stream_that_breaks_off_pays_for_what_had_come() {
    let reply = || Reply::events([Step::send(chunk(" word").repeat(SAID)), Step::Break]);
    let (_upstream, nexus) = start(&output_limit("openai", LARGE, "cut"), reply).await;
    let stream = hello().open(&nexus).await.rest().await;
    assert!(stream.contains("\"error\"") && !stream.contains("[DONE]"), "{stream}");
    leaves(&nexus, LARGE - SAID as u64).await;
}

/// Reports that say nothing of what there was.
fn no_reports() -> [Value; 6] {
    let report = |tokens: Value| json!({"prompt_tokens": 8, "completion_tokens": tokens});
    [json!(null), json!({}), report(json!(0)), report(json!(-3)), report(json!("many")), report(json!(1.5))]
}

#[tokio::test]
async fn what_was_counted_of_a_stream_stands_where_no_report_can_be_believed() {
    for usage in no_reports() {
        let report = usage.clone();
        let (_upstream, nexus) =
            start(&output_limit("openai", LARGE, "finish"), move || words(SAID, &report)).await;
        hello().open(&nexus).await.rest().await;
        leaves(&nexus, LARGE - SAID as u64).await;
    }
}

#[tokio::test]
async fn a_whole_answer_is_charged_when_it_comes_by_its_text_if_need_be_and_never_cut() {
    for usage in no_reports() {
        let message = json!({"role": "assistant", "content": " word".repeat(SAID)});
        let choices = json!([{"index": 0, "message": message, "finish_reason": "stop"}]);
        let body = json!({"id": "chatcmpl-1", "choices": choices, "usage": usage}).to_string();
        let limit = SAID as u64 + 5;
        let (_upstream, nexus) =
            start(&output_limit("openai", limit, "cut"), move || Reply::json(body.clone())).await;
        let whole = Request::chat("openai/gpt-4o", "Hello").client("alice").send(&nexus).await.fine();
        assert_eq!(whole.content(), " word".repeat(SAID));
        leaves(&nexus, 5).await;
    }
}
