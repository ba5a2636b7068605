//! Same protocol in and out: what goes up and what comes back, byte for byte but for the model's name.

use std::io::Write;

use serde_json::{Value, json};

use crate::support::{
    client::{CHAT, Request, data_of},
    nexus::Nexus,
    setup::{API_KEY, IDENTIFIED, openai, provider_limit},
    upstream::{Call, Reply, Step, Upstream},
};

/// Odd on purpose: unknown fields, order, number spellings, escapes, blanks, nested keys that look like ours.
const REQUEST: &str = concat!(
    " {\"zeta\" : 1.0e+2,\n\t\"model\":\"openai/gpt-4o\", \"messages\":[ {\"role\":\"user\",\"content\":\"caf\\u00e9 \\/ \u{1F600}\",",
    "\"model\":\"openai/gpt-4o\",\"x\":null} ],\"seed\":12345678901234567890123,\"nested\":{\"model\":\"openai/gpt-4o\",\"model\":2},",
    "\"temperature\":0.10,\"provider_extension\":{\"b\":1,\"a\":-0.0,\"a\":[]} }\r\n"
);

const ANSWER: &str = concat!(
    "{\n  \"id\": \"chatcmpl-1\", \"zeta\": 1.50E-3,\"model\" : \"gpt-4o-0123\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",",
    "\"content\":\"\\u0048ello \\/\",\"model\":\"gpt-4o-0123\",\"refusal\":null},\"finish_reason\":\"stop\"}],",
    "\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":1,\"total_tokens\":9},\"service_tier\":null}\n"
);

async fn start(reply: impl Fn() -> Reply + Send + Sync + 'static) -> (Upstream, Nexus) {
    let upstream = Upstream::always(reply).await;
    let nexus = Nexus::start(&openai(&upstream, "")).await;
    (upstream, nexus)
}

fn chunk(delta: &Value, finish: Option<&str>) -> String {
    let choices = json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
    json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-0123", "choices": choices})
        .to_string()
}

/// An ordinary stream; with a usage chunk where the call asked for one, as the real provider does.
fn stream_for(call: &Call) -> Reply {
    let asked = call.json()["stream_options"]["include_usage"] == json!(true);
    let usage = r#"{"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-4o-0123","choices":[],"usage":{"prompt_tokens":8,"completion_tokens":2,"total_tokens":10}}"#;
    let mut data = vec![
        chunk(&json!({"role": "assistant", "content": ""}), None),
        chunk(&json!({"content": "Hello"}), None),
        chunk(&json!({}), Some("stop")),
    ];
    data.extend(asked.then(|| usage.to_owned()));
    data.push("[DONE]".to_owned());
    Reply::events(data.into_iter().map(|data| Step::send(format!("data: {data}\n\n"))))
}

#[tokio::test]
async fn the_request_body_goes_up_byte_for_byte_but_for_the_model() {
    let (upstream, nexus) = start(|| Reply::json(ANSWER)).await;
    Request::post(CHAT, REQUEST).send(&nexus).await.fine();
    let sent = String::from_utf8(upstream.last().body.to_vec()).unwrap();
    assert_eq!(sent, REQUEST.replacen("\"openai/gpt-4o\"", "\"gpt-4o-0123\"", 1));
}

#[tokio::test]
async fn the_answer_comes_back_byte_for_byte_but_for_the_model() {
    let (_upstream, nexus) = start(|| Reply::json(ANSWER)).await;
    let answer = Request::post(CHAT, REQUEST).send(&nexus).await.fine();
    assert_eq!(answer.text(), ANSWER.replacen("\"gpt-4o-0123\"", "\"openai/gpt-4o\"", 1));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn a_model_without_a_rename_goes_up_under_its_key() {
    let (upstream, nexus) = start(|| Reply::json(r#"{"model":"gpt-4o-mini-2024-07-18","choices":[]}"#)).await;
    let answer = Request::chat("openai/gpt-4o-mini", "Hello").send(&nexus).await.fine();
    assert_eq!(upstream.last().json()["model"], "gpt-4o-mini");
    assert_eq!(answer.json()["model"], "openai/gpt-4o-mini", "whatever the upstream calls it");
}

#[tokio::test]
async fn an_answer_without_a_model_gets_none() {
    let (_upstream, nexus) = start(|| Reply::json(r#"{"choices":[],"x":1}"#)).await;
    let answer = Request::chat("openai/gpt-4o", "Hello").send(&nexus).await.fine();
    assert_eq!(answer.text(), r#"{"choices":[],"x":1}"#);
}

#[tokio::test]
async fn an_escaped_model_name_is_understood() {
    let (upstream, nexus) = start(|| Reply::completion("Hi")).await;
    let body = r#"{"model":"openai\/gpt\u002d4o","messages":[{"role":"user","content":"Hello"}]}"#;
    Request::post(CHAT, body).send(&nexus).await.fine();
    assert_eq!(upstream.last().json()["model"], "gpt-4o-0123");
}

#[tokio::test]
async fn the_call_goes_to_the_providers_path_with_the_clients_query() {
    let (upstream, nexus) = start(|| Reply::completion("Hi")).await;
    Request::chat("openai/gpt-4o", "Hello").target(&format!("{CHAT}?beta=true")).send(&nexus).await.fine();
    let call = upstream.last();
    assert_eq!(call.method, "POST");
    assert_eq!(call.uri.path(), "/v1/chat/completions");
    assert_eq!(call.uri.query(), Some("beta=true"));
    assert_eq!(call.header("host"), Some(upstream.address().to_string().as_str()));
}

#[tokio::test]
async fn only_the_headers_that_are_named_go_up() {
    let (upstream, nexus) = start(|| Reply::completion("Hi")).await;
    let mut request = Request::chat("openai/gpt-4o", "Hello").client("alice").group("basic");
    for (name, value) in [
        ("authorization", "Bearer caller-token"),
        ("cookie", "session=1"),
        ("user-agent", "curious/1.0"),
        ("x-custom", "1"),
        ("x-forwarded-for", "10.1.2.3"),
        ("x-provider-api-key", "sk-caller"),
        ("x-api-key", "sk-caller"),
        ("anthropic-version", "2023-06-01"),
        ("accept-encoding", "gzip, br"),
        ("openai-beta", "assistants=v2"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("tracestate", "a=1"),
    ] {
        request = request.header(name, value);
    }
    request.send(&nexus).await.fine();
    let call = upstream.last();
    let expected = [
        "accept",
        "accept-encoding",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "host",
    ];
    let expected =
        [&expected[..], &["openai-beta", "traceparent", "tracestate", "user-agent", "x-request-id"]].concat();
    for name in call.headers.keys() {
        assert!(expected.contains(&name.as_str()), "{name} went up: {call:?}");
    }
    assert_eq!(call.headers.get_all("authorization").iter().count(), 1);
    assert_eq!(call.header("authorization"), Some(format!("Bearer {API_KEY}").as_str()));
    assert_eq!(call.header("content-type"), Some("application/json"));
    assert_eq!(call.header("openai-beta"), Some("assistants=v2"));
    assert_eq!(call.header("tracestate"), Some("a=1"));
    assert_eq!(call.header("traceparent"), Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
    assert_ne!(call.header("user-agent"), Some("curious/1.0"));
    assert!(
        matches!(call.header("accept-encoding"), None | Some("identity")),
        "unencoded answers are asked for"
    );
}

#[tokio::test]
async fn a_request_id_is_taken_returned_and_sent_up() {
    let (upstream, nexus) = start(|| Reply::completion("Hi").header("x-request-id", "up-1")).await;
    let answer =
        Request::chat("openai/gpt-4o", "Hello").header("x-request-id", "mine-1!~").send(&nexus).await.fine();
    assert_eq!(answer.header("x-request-id"), Some("mine-1!~"));
    assert_eq!(upstream.last().header("x-request-id"), Some("mine-1!~"));
    assert_eq!(answer.header("x-upstream-request-id"), Some("up-1"));
}

#[tokio::test]
async fn a_request_id_is_made_where_none_or_no_good_one_came() {
    let (upstream, nexus) = start(|| Reply::completion("Hi")).await;
    let long = "x".repeat(129);
    let mut made = Vec::new();
    for given in [None, Some(""), Some("two words"), Some(long.as_str()), Some("tab\there")] {
        let request = Request::chat("openai/gpt-4o", "Hello");
        let request = if let Some(given) = given { request.header("x-request-id", given) } else { request };
        let answer = request.send(&nexus).await.fine();
        let id = answer.header("x-request-id").unwrap().to_owned();
        assert_ne!(Some(id.as_str()), given);
        assert!((1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()), "{id}");
        assert_eq!(upstream.last().header("x-request-id"), Some(id.as_str()));
        made.push(id);
    }
    made.sort();
    made.dedup();
    assert_eq!(made.len(), 5, "every one is another");
    let longest = "x".repeat(128);
    let answer = Request::chat("openai/gpt-4o", "Hello").header("x-request-id", &longest).send(&nexus).await;
    assert_eq!(answer.header("x-request-id"), Some(longest.as_str()));
}

#[tokio::test]
async fn refusals_carry_a_request_id_too() {
    let (_upstream, nexus) = start(|| Reply::completion("Hi")).await;
    for request in [Request::get("/nowhere"), Request::post(CHAT, "{"), Request::chat("nobody/m", "Hello")] {
        let answer = request.header("x-request-id", "mine-2").send(&nexus).await;
        assert_eq!(answer.header("x-request-id"), Some("mine-2"), "{answer:?}");
    }
}

#[tokio::test]
async fn rate_limit_headers_of_the_upstream_pass_and_ours_replace_those_of_the_same_name() {
    let reply = || {
        let reply =
            Reply::completion("Hi").header("x-ratelimit-limit-requests", "500").header("retry-after", "3");
        reply.header("x-ratelimit-remaining-tokens", "77").header("x-ratelimit-reset-requests", "6ms")
    };
    let (_upstream, nexus) = start(reply).await;
    let answer = Request::chat("openai/gpt-4o", "Hello").send(&nexus).await.fine();
    assert_eq!(answer.header("x-ratelimit-limit-requests"), Some("500"));
    assert_eq!(answer.header("x-ratelimit-remaining-tokens"), Some("77"), "no limit of ours applies");
    assert_eq!(answer.header("x-ratelimit-reset-requests"), Some("6ms"));
    assert_eq!(answer.header("retry-after"), Some("3"), "it comes on successful answers, too");

    let upstream = Upstream::always(reply).await;
    let limited = format!("{IDENTIFIED}{}{}", openai(&upstream, ""), provider_limit("openai", 100, "60s"));
    let nexus = Nexus::start(&limited).await;
    let answer = Request::chat("openai/gpt-4o", "Hello").client("alice").send(&nexus).await.fine();
    assert_eq!(answer.header("x-ratelimit-limit-requests"), Some("500"));
    assert_eq!(answer.number("x-ratelimit-limit-tokens"), 100);
    assert_eq!(answer.number("x-ratelimit-remaining-tokens"), 92);
    assert_eq!(answer.headers.get_all("x-ratelimit-remaining-tokens").iter().count(), 1);
}

#[tokio::test]
async fn hop_by_hop_headers_of_the_upstream_stay_behind() {
    let (_upstream, nexus) =
        start(|| Reply::completion("Hi").header("connection", "close, x-hop").header("x-hop", "1")).await;
    let answer = Request::chat("openai/gpt-4o", "Hello").send(&nexus).await.fine();
    assert_eq!(answer.header("x-hop"), None);
}

#[tokio::test]
async fn a_gzipped_answer_is_decoded() {
    let gzipped = || {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(ANSWER.as_bytes()).unwrap();
        let reply =
            Reply::status(200).header("content-type", "application/json").header("content-encoding", "gzip");
        reply.body(encoder.finish().unwrap())
    };
    let (_upstream, nexus) = start(gzipped).await;
    let answer = Request::chat("openai/gpt-4o", "Hello").send(&nexus).await.fine();
    assert_eq!(answer.header("content-encoding"), None);
    assert_eq!(answer.text(), ANSWER.replacen("\"gpt-4o-0123\"", "\"openai/gpt-4o\"", 1));
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Upstream::always(|| Reply::completion("Hi")).await;
    let location = format!("http://{}/v1/chat/completions", elsewhere.address());
    for status in [301, 302, 303, 307, 308] {
        let location = location.clone();
        let (_upstream, nexus) = start(move || Reply::status(status).header("location", &location)).await;
        let answer = Request::chat("openai/gpt-4o", "Hello").send(&nexus).await;
        assert_eq!(answer.status, 502, "{status}");
        answer.error();
    }
    assert_eq!(elsewhere.seen().connections, 0);
}

#[tokio::test]
async fn a_base_url_may_have_a_path_of_its_own_or_none() {
    for base in ["", "/v1", "/team/a/v1"] {
        let upstream = Upstream::always(|| Reply::completion("Hi")).await;
        let url = format!("http://{}{base}", upstream.address());
        let nexus = Nexus::start(&crate::support::setup::provider("openai", &url, "")).await;
        Request::chat("openai/gpt-4o", "Hello").send(&nexus).await.fine();
        assert_eq!(upstream.last().uri.path(), format!("{base}/chat/completions"));
    }
}

#[tokio::test]
async fn events_come_back_byte_for_byte_but_for_the_model() {
    let transcript = concat!(
        ": a comment\n\n",
        "event: odd\r\nid: 7\r\ndata:{\"model\":\"gpt-4o-0123\",\"x\":1.0E2,\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\\u0048i\"}}]}\r\n\r\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}], \"model\" : \"gpt-4o-0123\" ,\"obfuscation\":\"x\"}\n\n",
        "data: [DONE]\n\n",
    );
    let (_upstream, nexus) = start(move || Reply::events([Step::send(transcript)])).await;
    let mut stream = Request::stream("openai/gpt-4o", "Hello").open(&nexus).await;
    assert_eq!(stream.headers["content-type"], "text/event-stream");
    assert_eq!(stream.rest().await, transcript.replace("gpt-4o-0123", "openai/gpt-4o"));
}

#[tokio::test]
async fn a_stream_reports_usage_to_the_router_and_hides_it_from_who_did_not_ask() {
    let upstream = Upstream::start(stream_for).await;
    let nexus = Nexus::start(&openai(&upstream, "")).await;
    let mut stream = Request::stream("openai/gpt-4o", "Hello").open(&nexus).await;
    let data = stream.data().await;
    assert_eq!(upstream.last().json()["stream_options"], json!({"include_usage": true}), "injected");
    assert_eq!(data.len(), 4, "three chunks and the end: {data:?}");
    assert!(!data.iter().any(|data| data.contains("usage")), "{data:?}");
    assert_eq!(data[3], "[DONE]");
}

#[tokio::test]
async fn injecting_changes_nothing_else_of_the_body() {
    let upstream = Upstream::start(stream_for).await;
    let nexus = Nexus::start(&openai(&upstream, "")).await;
    for options in [
        "",
        r#","stream_options":null"#,
        r#","stream_options":{}"#,
        r#","stream_options":{"include_usage":false}"#,
    ] {
        let body = format!(
            r#"{{"model":"openai/gpt-4o","seed":1e2,"stream":true,"messages":[{{"role":"user","content":"Hello"}}]{options},"zeta":0.10}}"#
        );
        let data = Request::post(CHAT, body.clone()).open(&nexus).await.data().await;
        assert!(!data.iter().any(|data| data.contains("usage")), "{options}: {data:?}");
        let sent = upstream.last();
        assert_eq!(sent.json()["stream_options"]["include_usage"], true, "{options}");
        let text = String::from_utf8(sent.body.to_vec()).unwrap();
        let middle = r#""seed":1e2,"stream":true,"messages":[{"role":"user","content":"Hello"}]"#;
        assert!(text.contains(middle) && text.contains(r#""zeta":0.10"#), "{text}");
    }
}

#[tokio::test]
async fn other_stream_options_survive_the_injection() {
    let upstream = Upstream::start(stream_for).await;
    let nexus = Nexus::start(&openai(&upstream, "")).await;
    let body = r#"{"model":"openai/gpt-4o","stream":true,"messages":[],"stream_options":{"include_obfuscation":false}}"#;
    Request::post(CHAT, body).open(&nexus).await.rest().await;
    let options = upstream.last().json()["stream_options"].clone();
    assert_eq!(options, json!({"include_obfuscation": false, "include_usage": true}));
}

#[tokio::test]
async fn who_asks_for_usage_gets_the_chunk_and_an_untouched_body() {
    let upstream = Upstream::start(stream_for).await;
    let nexus = Nexus::start(&openai(&upstream, "")).await;
    let body =
        r#"{"model":"openai/gpt-4o","stream":true,"stream_options":{"include_usage":true},"messages":[]}"#;
    let data = Request::post(CHAT, body).open(&nexus).await.data().await;
    assert_eq!(data.len(), 5, "{data:?}");
    let usage: Value = serde_json::from_str(&data[3]).unwrap();
    assert_eq!(usage["usage"]["total_tokens"], 10);
    assert_eq!(usage["model"], "openai/gpt-4o");
    let sent = String::from_utf8(upstream.last().body.to_vec()).unwrap();
    assert_eq!(sent, body.replace("openai/gpt-4o", "gpt-4o-0123"));
}

#[tokio::test]
async fn usage_on_a_chunk_with_choices_is_the_providers_and_passes() {
    let event = r#"{"model":"m","choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;
    let (_upstream, nexus) =
        start(move || Reply::events([Step::send(format!("data: {event}\n\ndata: [DONE]\n\n"))])).await;
    let text = Request::stream("openai/gpt-4o", "Hello").open(&nexus).await.rest().await;
    assert_eq!(data_of(&text)[0], event.replacen("\"m\"", "\"openai/gpt-4o\"", 1));
}

#[tokio::test]
async fn stream_usage_false_injects_nothing_and_hides_nothing() {
    let upstream = Upstream::start(stream_for).await;
    let nexus = Nexus::start(&openai(&upstream, "stream_usage = false")).await;
    let data = Request::stream("openai/gpt-4o", "Hello").open(&nexus).await.data().await;
    assert_eq!(upstream.last().json().get("stream_options"), None);
    assert_eq!(data.len(), 4, "{data:?}");
}

#[tokio::test]
async fn nothing_is_injected_into_calls_that_do_not_stream() {
    let (upstream, nexus) = start(|| Reply::completion("Hi")).await;
    let body = r#"{"model":"openai/gpt-4o","stream":false,"messages":[]}"#;
    Request::post(CHAT, body).send(&nexus).await.fine();
    assert_eq!(upstream.last().body, body.replace("openai/gpt-4o", "gpt-4o-0123"));
}
