//! Tests.

use super::*;
use crate::chat::signature::{Maker, Signature};

#[track_caller]
fn answer(body: &str) -> Response<'_> {
    read(body.as_bytes(), "u").unwrap()
}

#[test]
fn every_part_counts_and_calls_decide_the_reason() {
    let read = answer(
        r#"{"candidates":[{"content":{"parts":[{"text":"hm","thought":true},{"text":"a"},{"text":"b","thoughtSignature":"s1"},
        {"functionCall":{"name":"f","args":{ "x": 1.0 }},"thoughtSignature":"s2"},{"functionCall":{"id":"own","name":"g"}}],"role":"model"},
        "finishReason":"UNEXPECTED_TOOL_CALL"}],"usageMetadata":{"promptTokenCount":1,"totalTokenCount":1},"responseId":"r","modelVersion":"m"}"#,
    );
    let choice = &read.choices[0];
    assert_eq!((choice.stop, read.id.as_ref(), read.model.as_deref()), (Stop::Calls, "r", Some("m")));
    let signed = |value: &'static str| Some(Signature::new(Maker::Google, value));
    let call = |id: &'static str, name: &'static str, args: &'static str, signature| {
        Content::Call(Call { id: id.into(), name: name.into(), input: Input::Json(args.into()), signature })
    };
    assert_eq!(
        choice.content,
        [
            Content::Reasoning(Reasoning { text: "hm".into(), signature: None, redacted: false }),
            Content::Text(Text { text: "ab".into(), cache: None, signature: signed("s1") }),
            call("call_u_0", "f", r#"{"x":1.0}"#, signed("s2")),
            call("own", "g", "{}", None),
        ]
    );
}

#[test]
fn an_answer_may_lack_everything() {
    // Wire facts §5: a blocked prompt; `content: {}`, `content: {role}` and no content.
    let blocked = answer(
        r#"{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},"usageMetadata":{"promptTokenCount":5}}"#,
    );
    assert_eq!(blocked.choices, [Choice { stop: Stop::Filter, ..Choice::default() }]);
    for (content, reason, stop) in [
        (r#""content":{},"#, "SAFETY", Stop::Filter),
        (r#""content":{"role":"model"},"#, "MAX_TOKENS", Stop::Length),
        ("", "MODEL_ARMOR", Stop::Filter),
        ("", "OTHER", Stop::End),
    ] {
        let body = format!(r#"{{"candidates":[{{{content}"finishReason":"{reason}"}}]}}"#);
        assert_eq!(answer(&body).choices, [Choice { stop, ..Choice::default() }]);
    }
}

#[test]
fn what_is_no_answer_says_why() {
    let why = |body: &str| read(body.as_bytes(), "u").unwrap_err().0;
    assert_eq!(why(r#"{"error":{"code":500,"message":"broken"}}"#), "broken");
    assert!(why("{}").contains("candidates"));
    assert_eq!(why("\"hello\""), "it is no answer of Google's");
    assert_eq!(read_count(br#"{"totalTokens":31,"promptTokensDetails":[]}"#), Ok(31));
    assert!(read_count(b"{}").is_err());
}

#[test]
fn candidates_stand_in_their_order_without_what_googles_servers_did() {
    let read = answer(
        r#"{"candidates":[{"index":1,"content":{"parts":[{"text":"second"}]}},
        {"index":0,"content":{"parts":[{"executableCode":{"language":"PYTHON","code":"print(1)"},"thoughtSignature":"s"},
            {"codeExecutionResult":{"outcome":"OUTCOME_OK","output":"1\n"}},{"toolCall":{"id":"x"},"thoughtSignature":"t"},3,
            {"text":"first"}]}}]}"#,
    );
    let said: Vec<_> = read.choices.iter().map(|choice| &choice.content[..]).collect();
    assert_eq!(said, [[Content::text("first")], [Content::text("second")]]);
}
