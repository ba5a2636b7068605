//! Event streams in time: what arrives when, what a broken one looks like, and what a client that leaves stops.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    client::{Request, Stream, data_of},
    nexus::Nexus,
    setup::{ADMIN, openai},
    upstream::{Reply, Step, Upstream},
};

const ROLE: &str = r#"data: {"id":"c1","model":"gpt-4o-0123","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}

"#;
const WORD: &str = r#"data: {"id":"c1","model":"gpt-4o-0123","choices":[{"index":0,"delta":{"content":"Grüße 😀"},"finish_reason":null}]}

"#;
const FINISH: &str = r#"data: {"id":"c1","model":"gpt-4o-0123","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}

"#;
const USAGE: &str = r#"data: {"id":"c1","model":"gpt-4o-0123","choices":[],"usage":{"prompt_tokens":8,"completion_tokens":2,"total_tokens":10}}

"#;
const DONE: &str = "data: [DONE]\n\n";

async fn start(keys: &str, steps: impl Fn() -> Vec<Step> + Send + Sync + 'static) -> (Upstream, Nexus) {
    let upstream = Upstream::always(move || Reply::events(steps())).await;
    let nexus = Nexus::start(&openai(&upstream, keys)).await;
    (upstream, nexus)
}

async fn open(nexus: &Nexus) -> Stream {
    let stream = Request::stream("openai/gpt-4o", "Hello").open(nexus).await;
    assert_eq!(stream.status, 200);
    stream
}

fn as_client_sees(events: &str) -> String {
    events.replace("gpt-4o-0123", "openai/gpt-4o")
}

/// The stream ended in one error event and without the sign of a clean end.
fn ends_in_an_error(text: &str) -> Value {
    let data = data_of(text);
    let last: Value =
        serde_json::from_str(data.last().unwrap_or_else(|| panic!("no event in {text:?}"))).unwrap();
    assert!(last["error"]["message"].is_string(), "no error event at the end of {text}");
    assert!(last["error"]["type"].is_string(), "{last}");
    assert!(!data.contains(&"[DONE]".to_owned()), "a clean end: {text}");
    assert_eq!(data.iter().filter(|data| data.contains("\"error\"")).count(), 1, "{text}");
    last
}

#[tokio::test]
async fn events_are_forwarded_as_they_arrive() {
    let (upstream, nexus) =
        start("", || vec![Step::send(WORD), Step::Gate, Step::send(FINISH), Step::send(DONE)]).await;
    let mut stream = open(&nexus).await;
    assert_eq!(
        stream.event().await.unwrap() + "\n\n",
        as_client_sees(WORD),
        "while the rest is still to come"
    );
    upstream.open_gate();
    assert_eq!(stream.rest().await, as_client_sees(&[FINISH, DONE].concat()));
}

#[tokio::test]
async fn the_answers_head_does_not_wait_for_the_first_event_forever() {
    let (upstream, nexus) =
        start("", || vec![Step::send(ROLE), Step::Gate, Step::send([WORD, FINISH, DONE].concat())]).await;
    let mut stream = open(&nexus).await;
    assert!(stream.event().await.unwrap().contains("assistant"), "the role is an event like any other");
    upstream.open_gate();
    assert!(stream.rest().await.ends_with(DONE));
}

#[tokio::test]
async fn the_head_of_a_stream_says_what_it_is() {
    let (_upstream, nexus) = start("", || vec![Step::send([WORD, FINISH, DONE].concat())]).await;
    let mut stream = open(&nexus).await;
    assert_eq!(stream.headers["content-type"], "text/event-stream");
    assert_eq!(stream.headers["cache-control"], "no-cache");
    assert!(!stream.headers.contains_key("content-length"));
    stream.rest().await;
}

/// The wire, cut in two at `offset`, and in single bytes around it.
fn cut(wire: &[u8], offset: usize) -> Vec<Step> {
    let (before, after) = wire.split_at(offset);
    let pause = Step::Wait(Duration::from_millis(1));
    vec![
        Step::send(before.to_vec()),
        pause.clone(),
        Step::send(after[..1].to_vec()),
        pause,
        Step::send(after[1..].to_vec()),
    ]
}

#[tokio::test]
async fn any_split_of_the_bytes_gives_the_same_events() {
    let wire = [ROLE, ": ping\r\n\r\n", WORD, FINISH, USAGE, DONE].concat();
    let expected = as_client_sees(&wire.replace(USAGE, ""));
    let length = wire.len();
    let upstream = Upstream::start(move |call| {
        let offset = call.headers["x-request-id"].to_str().unwrap().parse().unwrap();
        Reply::events(cut(wire.as_bytes(), offset))
    })
    .await;
    let nexus = Nexus::start(&openai(&upstream, "")).await;
    for offset in 0..length {
        let request = Request::stream("openai/gpt-4o", "Hello").header("x-request-id", offset.to_string());
        assert_eq!(request.open(&nexus).await.rest().await, expected, "cut at {offset}");
    }
}

#[tokio::test]
async fn single_bytes_give_the_same_events() {
    let wire = [ROLE, WORD, FINISH, USAGE, DONE].concat();
    let expected = as_client_sees(&wire.replace(USAGE, ""));
    let bytes = move || wire.bytes().map(|byte| Step::send(vec![byte])).collect();
    let (_upstream, nexus) = start("", bytes).await;
    assert_eq!(open(&nexus).await.rest().await, expected);
}

#[tokio::test]
async fn an_event_of_a_megabyte_passes() {
    let text = "x".repeat(1 << 20);
    let big = WORD.replace("Grüße 😀", &text);
    let expected = as_client_sees(&[&big, FINISH, DONE].concat());
    let (_upstream, nexus) = start("", move || vec![Step::send([&big, FINISH, DONE].concat())]).await;
    assert!(open(&nexus).await.rest().await == expected);
}

#[tokio::test]
async fn a_stream_that_breaks_ends_in_an_error_event() {
    let (_upstream, nexus) = start("", || vec![Step::send([ROLE, WORD].concat()), Step::Break]).await;
    let text = open(&nexus).await.rest().await;
    assert!(text.starts_with(&as_client_sees(&[ROLE, WORD].concat())), "what came is delivered: {text}");
    ends_in_an_error(&text);
}

#[tokio::test]
async fn a_stream_that_ends_without_a_finish_reason_ends_in_an_error_event() {
    for events in [[ROLE, WORD].concat(), [WORD, USAGE].concat(), WORD.to_owned()] {
        let (_upstream, nexus) = start("", move || vec![Step::send(events.clone())]).await;
        ends_in_an_error(&open(&nexus).await.rest().await);
    }
}

#[tokio::test]
async fn a_stream_that_ends_in_the_middle_of_an_event_ends_in_an_error_event() {
    let half = format!("{WORD}{}", &FINISH[..FINISH.len() / 2]);
    let (_upstream, nexus) = start("", move || vec![Step::send(half.clone())]).await;
    let text = open(&nexus).await.rest().await;
    ends_in_an_error(&text);
    assert!(!text.contains("finish_reason\":\"stop"), "half an event is no event: {text}");
}

#[tokio::test]
async fn a_stream_with_a_finish_reason_and_no_terminator_is_complete_and_gets_one() {
    for events in [[ROLE, WORD, FINISH].concat(), [WORD, FINISH, USAGE].concat()] {
        let expected = as_client_sees(&format!("{}{DONE}", events.replace(USAGE, "")));
        let (_upstream, nexus) = start("", move || vec![Step::send(events.clone())]).await;
        assert_eq!(open(&nexus).await.rest().await, expected);
    }
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_finish_reason_has_lost_nothing() {
    let (_upstream, nexus) = start("", || vec![Step::send([WORD, FINISH].concat()), Step::Break]).await;
    assert_eq!(open(&nexus).await.rest().await, as_client_sees(&[WORD, FINISH, DONE].concat()));
}

#[tokio::test]
async fn an_error_event_of_the_upstream_passes_and_no_clean_end_follows() {
    let error = r#"data: {"error":{"message":"the model is on fire","type":"server_error","code":"fire"}}"#;
    for rest in ["", DONE] {
        let events = format!("{WORD}{error}\n\n{rest}");
        let (_upstream, nexus) = start("", move || vec![Step::send(events.clone())]).await;
        let text = open(&nexus).await.rest().await;
        let last = ends_in_an_error(&text);
        assert_eq!(last["error"]["message"], "the model is on fire");
        assert_eq!(last["error"]["type"], "server_error");
    }
}

#[tokio::test]
async fn a_stream_that_stalls_ends_in_an_error_event_and_frees_the_upstream() {
    let (upstream, nexus) = start("idle_timeout = \"300ms\"", || vec![Step::send(WORD), Step::Hang]).await;
    let text = open(&nexus).await.rest().await;
    assert!(text.starts_with(&as_client_sees(WORD)));
    ends_in_an_error(&text);
    upstream.until("the call to be cancelled", |seen| seen.hung_up == 1 && seen.open == 0).await;
}

#[tokio::test]
async fn a_slow_stream_has_no_total_time_limit() {
    let steps = || (0..6).flat_map(|_| [Step::send(WORD), Step::Wait(Duration::from_millis(200))]);
    let (_upstream, nexus) = start("idle_timeout = \"800ms\"", move || {
        steps().chain([Step::send([FINISH, DONE].concat())]).collect()
    })
    .await;
    let text = open(&nexus).await.rest().await;
    assert_eq!(text.matches("Grüße").count(), 6);
    assert!(text.ends_with(DONE));
}

#[tokio::test]
async fn a_client_that_hangs_up_cancels_the_upstream_call_at_once() {
    let (upstream, nexus) = start("", || vec![Step::send(WORD), Step::Hang]).await;
    let mut stream = open(&nexus).await;
    stream.event().await.unwrap();
    let left = tokio::time::Instant::now();
    stream.hang_up();
    upstream.until("the call to be cancelled", |seen| seen.hung_up == 1).await;
    assert!(left.elapsed() < Duration::from_secs(10), "{:?}", left.elapsed());
}

#[tokio::test]
async fn a_client_that_hangs_up_before_the_first_byte_cancels_the_upstream_call_too() {
    let upstream = Upstream::always(Reply::hang).await;
    let nexus = Nexus::start(&format!("{ADMIN}{}", openai(&upstream, ""))).await;
    let address = nexus.address();
    let call = tokio::spawn(Request::chat("openai/gpt-4o", "Hello").send_to(address));
    upstream.until("the call", |seen| seen.calls.len() == 1).await;
    call.abort();
    upstream.until("the call to be cancelled", |seen| seen.hung_up == 1).await;
}

#[tokio::test]
async fn a_slow_reader_slows_the_upstream_and_not_the_memory() {
    let word = WORD.replace("Grüße 😀", &"x".repeat(60_000));
    let (upstream, nexus) = start("", move || vec![Step::Forever(word.clone().into())]).await;
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(open(&nexus).await);
    }
    upstream.until("eight calls", |seen| seen.open == 8).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(
        nexus.resident_kib() < 200 * 1024,
        "{} KiB for eight streams that nobody reads",
        nexus.resident_kib()
    );
    for mut stream in streams {
        assert!(stream.event().await.unwrap().contains("xxx"));
    }
}

#[tokio::test]
async fn tool_calls_and_several_choices_pass_untouched() {
    let call =
        json!({"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}});
    let first = json!({"choices": [{"index": 1, "delta": {"role": "assistant", "content": null, "tool_calls": [call]}}]});
    let finish = |index| json!({"choices": [{"index": index, "delta": {}, "finish_reason": "tool_calls"}]});
    let events = format!("data: {first}\n\ndata: {}\n\ndata: {}\n\n{DONE}", finish(1), finish(0));
    let expected = events.clone();
    let (_upstream, nexus) = start("", move || vec![Step::send(events.clone())]).await;
    assert_eq!(open(&nexus).await.rest().await, expected);
}

#[tokio::test]
async fn a_whole_answer_to_a_streaming_call_is_passed_as_it_is() {
    let upstream = Upstream::always(|| Reply::completion("Hi")).await;
    let nexus = Nexus::start(&openai(&upstream, "")).await;
    let mut stream = Request::stream("openai/gpt-4o", "Hello").open(&nexus).await;
    let text = stream.rest().await;
    assert!(
        stream.status == 200 && text.contains("\"Hi\"") || stream.status == 502,
        "{} {text}",
        stream.status
    );
}

/// An event of choice `index`.
fn choice(index: u32, finish: Option<&str>) -> String {
    let choice = json!({"index": index, "delta": {"content": "x"}, "finish_reason": finish});
    format!("data: {}\n\n", json!({"model": "gpt-4o-0123", "choices": [choice]}))
}

#[tokio::test]
async fn of_two_choices_the_end_of_one_is_not_the_end_of_the_answer() {
    let cut = [choice(0, None), choice(1, None), choice(0, Some("stop"))].concat();
    for end in [Step::Break, Step::send("")] {
        let cut = cut.clone();
        let (_upstream, nexus) = start("", move || vec![Step::send(cut.clone()), end.clone()]).await;
        ends_in_an_error(&open(&nexus).await.rest().await);
    }
    let whole = [cut, choice(1, Some("length"))].concat();
    let expected = as_client_sees(&[&whole, DONE].concat());
    let (_upstream, nexus) = start("", move || vec![Step::send(whole.clone())]).await;
    assert_eq!(open(&nexus).await.rest().await, expected);
}

#[tokio::test]
async fn nothing_behind_the_terminator_is_forwarded() {
    let whole = [WORD, FINISH, DONE].concat();
    let expected = as_client_sees(&whole);
    for split in [false, true] {
        let whole = whole.clone();
        let (_upstream, nexus) = start("", move || {
            let after = format!(": bye\n\n{WORD}{DONE}");
            if split {
                vec![Step::send(whole.clone()), Step::send(after)]
            } else {
                vec![Step::send([&*whole, &after].concat())]
            }
        })
        .await;
        assert_eq!(open(&nexus).await.rest().await, expected);
    }
}

#[tokio::test]
async fn a_byte_order_mark_before_the_first_event_hides_nothing_of_it() {
    let wire = ["\u{feff}", WORD, FINISH].concat();
    let expected = as_client_sees(&[&wire, DONE].concat());
    let (_upstream, nexus) = start("", move || vec![Step::send(wire.clone())]).await;
    assert_eq!(open(&nexus).await.rest().await, expected);
    let error = "\u{feff}data: {\"error\":{\"message\":\"no\",\"type\":\"x\"}}\n\n";
    let (_upstream, nexus) = start("", move || vec![Step::send([error, DONE].concat())]).await;
    assert!(!open(&nexus).await.rest().await.contains("[DONE]"), "it is an error all the same");
}

#[tokio::test]
async fn a_good_status_of_another_number_is_kept_for_a_stream() {
    let upstream = Upstream::always(|| {
        let reply = Reply::status(201).header("content-type", "text/event-stream; charset=utf-8");
        reply.step(Step::send([WORD, FINISH, DONE].concat()))
    })
    .await;
    let nexus = Nexus::start(&openai(&upstream, "")).await;
    let mut stream = Request::stream("openai/gpt-4o", "Hello").open(&nexus).await;
    assert_eq!(stream.status, 201);
    assert_eq!(stream.rest().await, as_client_sees(&[WORD, FINISH, DONE].concat()));
}

#[tokio::test]
async fn googles_array_of_answers_passes_element_by_element() {
    let first = "[{\n  \"candidates\": [{\"content\": {\"parts\": [{\"text\": \"Grüße\"}]}}],\n  \"modelVersion\": \"gemini-0123\"\n}\n";
    let last = ",\r\n{\"candidates\":[{\"content\":{},\"finishReason\":\"STOP\"}],\"modelVersion\":\"gemini-0123\"}\n]\n";
    let upstream = Upstream::always(move || {
        let reply = Reply::status(200).header("content-type", "application/json; charset=UTF-8");
        reply.step(Step::send(first)).step(Step::Gate).step(Step::send(last))
    })
    .await;
    let google = format!(
        "[llm.providers.google]\ntype = \"google\"\napi_key = \"upstream-0123456789\"\nbase_url = \"http://{}/v1beta\"\n\
         [llm.providers.google.models.gemini]\nrename = \"gemini-0123\"\n",
        upstream.address()
    );
    let nexus = Nexus::start(&google).await;
    let target = "/v1beta/models/google%2Fgemini:streamGenerateContent";
    let mut stream =
        Request::post(target, r#"{"contents":[{"parts":[{"text":"Hello"}]}]}"#).open(&nexus).await;
    assert_eq!(stream.status, 200);
    let renamed = |text: &str| text.replace("gemini-0123", "google/gemini");
    let begun = stream.chunk().await.unwrap().expect("the first element while the second is still to come");
    assert_eq!(begun, renamed(first.trim_end()));
    upstream.open_gate();
    assert_eq!(stream.rest().await, renamed(&["\n", last].concat()));
}
