//! What a request body may be, and how it is refused.

use http::StatusCode;

use crate::support::{
    client::{Answer, CHAT, EMBEDDINGS, Raw, Request},
    nexus::Nexus,
    setup::ECHO,
};

async fn start() -> Nexus {
    Nexus::start(ECHO).await
}

async fn sent(nexus: &Nexus, body: impl Into<bytes::Bytes>) -> Answer {
    Request::post(CHAT, body).send(nexus).await
}

/// A chat request that nests `depth` levels in all, the outermost object being the first.
fn nested(depth: usize) -> String {
    let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
    format!(r#"{{"model":"echo/m","messages":[{{"role":"user","content":"Hello"}}],"x":{open}{close}}}"#)
}

#[tokio::test]
async fn what_is_no_json_object_is_a_bad_request() {
    let nexus = start().await;
    for body in [
        "",
        " ",
        "{",
        "nonsense",
        "[]",
        "null",
        "3",
        "\"text\"",
        "{\"model\":\"echo/m\",}",
        "{}{}",
        "{'model':1}",
    ] {
        let answer = sent(&nexus, body).await;
        answer.refused(StatusCode::BAD_REQUEST, "invalid_request_error");
    }
}

#[tokio::test]
async fn bytes_behind_the_object_are_a_bad_request() {
    let nexus = start().await;
    let body = r#"{"model":"echo/m","messages":[{"role":"user","content":"Hello"}]}"#;
    sent(&nexus, format!(" \r\n\t{body}\n ")).await.fine();
    sent(&nexus, format!("{body}x")).await.refused(StatusCode::BAD_REQUEST, "invalid_request_error");
}

#[tokio::test]
async fn a_missing_or_wrong_model_is_a_bad_request() {
    let nexus = start().await;
    for model in ["", r#""model":null,"#, r#""model":3,"#, r#""model":["echo/m"],"#] {
        let answer =
            sent(&nexus, format!(r#"{{{model}"messages":[{{"role":"user","content":"Hello"}}]}}"#)).await;
        answer.refused(StatusCode::BAD_REQUEST, "invalid_request_error");
    }
}

#[tokio::test]
async fn messages_that_are_no_array_of_objects_are_a_bad_request() {
    let nexus = start().await;
    for messages in [r#""Hello""#, "{}", "null", "3", r#"["Hello"]"#, "[null]", "[[]]", "[3]"] {
        let answer = sent(&nexus, format!(r#"{{"model":"echo/m","messages":{messages}}}"#)).await;
        answer.refused(StatusCode::BAD_REQUEST, "invalid_request_error");
    }
    sent(&nexus, r#"{"model":"echo/m"}"#).await.refused(StatusCode::BAD_REQUEST, "invalid_request_error");
}

#[tokio::test]
async fn empty_messages_and_null_contents_are_accepted() {
    let nexus = start().await;
    for messages in ["[]", r#"[{"role":"user","content":null}]"#, r#"[{"role":"assistant"}]"#] {
        sent(&nexus, format!(r#"{{"model":"echo/m","messages":{messages}}}"#)).await.fine();
    }
}

#[tokio::test]
async fn content_may_be_a_list_of_parts() {
    let nexus = start().await;
    let parts = r#"[{"type":"text","text":"Hello"},{"type":"image_url","image_url":{"url":"https://example.com/x.png"}}]"#;
    let answer =
        sent(&nexus, format!(r#"{{"model":"echo/m","messages":[{{"role":"user","content":{parts}}}]}}"#))
            .await;
    assert_eq!(answer.fine().content(), "Hello");
}

#[tokio::test]
async fn a_stream_flag_may_be_null_but_not_text() {
    let nexus = start().await;
    let with = |stream: &str| {
        format!(r#"{{"model":"echo/m","stream":{stream},"messages":[{{"role":"user","content":"Hello"}}]}}"#)
    };
    assert_eq!(sent(&nexus, with("null")).await.fine().header("content-type"), Some("application/json"));
    sent(&nexus, with("\"yes\"")).await.refused(StatusCode::BAD_REQUEST, "invalid_request_error");
}

#[tokio::test]
async fn a_duplicate_top_level_key_that_the_router_reads_is_a_bad_request() {
    let nexus = start().await;
    let messages = r#""messages":[{"role":"user","content":"Hello"}]"#;
    for body in [
        format!(r#"{{"model":"echo/m","model":"echo/m",{messages}}}"#),
        format!(r#"{{"model":"echo/m",{messages},{messages}}}"#),
        format!(r#"{{"model":"echo/m","stream":true,{messages},"stream":false}}"#),
        format!(r#"{{"model":"echo/m","mod\u0065l":"other/x",{messages}}}"#),
    ] {
        let answer = sent(&nexus, body).await;
        answer.refused(StatusCode::BAD_REQUEST, "invalid_request_error");
    }
}

#[tokio::test]
async fn other_duplicate_keys_are_the_providers_business() {
    let nexus = start().await;
    let body = r#"{"model":"echo/m","x":1,"x":2,"messages":[{"role":"user","content":"Hello"}]}"#;
    sent(&nexus, body).await.fine();
}

#[tokio::test]
async fn bodies_nest_128_levels_and_no_deeper() {
    let nexus = start().await;
    sent(&nexus, nested(128)).await.fine();
    sent(&nexus, nested(129)).await.refused(StatusCode::BAD_REQUEST, "invalid_request_error");
    sent(&nexus, nested(200_000)).await.refused(StatusCode::BAD_REQUEST, "invalid_request_error");
    sent(&nexus, "[".repeat(1_000_000)).await.refused(StatusCode::BAD_REQUEST, "invalid_request_error");
}

#[tokio::test]
async fn bodies_that_are_not_utf8_are_a_bad_request() {
    let nexus = start().await;
    for text in [&b"\xff"[..], b"\xc3\x28", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"] {
        let body =
            [br#"{"model":"echo/m","messages":[{"role":"user","content":""#, text, br#""}]}"#].concat();
        sent(&nexus, body).await.refused(StatusCode::BAD_REQUEST, "invalid_request_error");
    }
}

#[tokio::test]
async fn lone_surrogates_do_not_break_the_server() {
    let nexus = start().await;
    let body = r#"{"model":"echo/m","messages":[{"role":"user","content":"\ud800"}]}"#;
    let status = sent(&nexus, body).await.status;
    assert!(status == 400 || status == 200, "{status}");
    sent(&nexus, nested(2)).await.fine();
}

#[tokio::test]
async fn a_wrong_or_missing_content_type_is_unsupported() {
    let nexus = start().await;
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", "json", ""] {
        let request = Request::chat("echo/m", "Hello").without("content-type").header("content-type", kind);
        let answer = request.send(&nexus).await;
        assert_eq!(answer.status, 415, "{kind}");
        answer.error();
    }
    let answer = Request::chat("echo/m", "Hello").without("content-type").send(&nexus).await;
    assert_eq!(answer.status, 415);
    answer.error();
}

#[tokio::test]
async fn a_json_content_type_may_have_parameters_and_any_case() {
    let nexus = start().await;
    for kind in ["application/json; charset=utf-8", "application/json;charset=UTF-8", "Application/JSON"] {
        let request = Request::chat("echo/m", "Hello").without("content-type").header("content-type", kind);
        request.send(&nexus).await.fine();
    }
}

#[tokio::test]
async fn bodies_up_to_the_limit_pass_and_larger_ones_are_refused() {
    let nexus = Nexus::start(&format!("[server]\nrequest_body_limit = \"64KiB\"\n{ECHO}")).await;
    let body = |length: usize| {
        let frame = r#"{"model":"echo/m","messages":[],"x":""}"#.len();
        format!(r#"{{"model":"echo/m","messages":[],"x":"{}"}}"#, "x".repeat(length - frame))
    };
    sent(&nexus, body(64 * 1024)).await.fine();
    for length in [64 * 1024 + 1, 300 * 1024] {
        let answer = sent(&nexus, body(length)).await;
        assert_eq!(answer.status, 413, "{length}");
        answer.error();
    }
}

#[tokio::test]
async fn a_body_that_announces_too_much_is_refused_before_it_is_sent() {
    let nexus = Nexus::start(&format!("[server]\nrequest_body_limit = \"1KiB\"\n{ECHO}")).await;
    let mut raw = Raw::connect(nexus.address()).await;
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9999999\r\n\r\n"
    );
    let answer = raw.write(head).await.read_until("\r\n", 1).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn a_chunked_body_is_limited_as_it_arrives() {
    let nexus = Nexus::start(&format!("[server]\nrequest_body_limit = \"1KiB\"\n{ECHO}")).await;
    let mut raw = Raw::connect(nexus.address()).await;
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
    let answer = raw.write(head).await.write(chunk.repeat(3)).await.read_until("\r\n", 1).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn the_default_limit_takes_bodies_of_many_megabytes() {
    let nexus = start().await;
    let text = "word ".repeat(2_000_000);
    sent(&nexus, format!(r#"{{"model":"echo/m","messages":[],"x":"{text}"}}"#)).await.fine();
}

#[tokio::test]
async fn embeddings_bodies_are_read_with_the_same_care() {
    let nexus = start().await;
    for body in ["", "{", "[]", r#"{"input":"x"}"#, r#"{"model":"echo/m","model":"echo/m","input":"x"}"#] {
        let answer = Request::post(EMBEDDINGS, body).send(&nexus).await;
        answer.refused(StatusCode::BAD_REQUEST, "invalid_request_error");
    }
    let answer = Request::post(EMBEDDINGS, "{}").without("content-type").send(&nexus).await;
    assert_eq!(answer.status, 415);
}
