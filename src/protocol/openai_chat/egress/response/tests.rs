//! Answers as providers write them.

use proptest::prelude::*;

use super::*;
use crate::chat::content::Media;
use crate::chat::signature::{Maker, Signature};

fn choice(message: &str, reason: &str) -> Choice<'static> {
    let body = format!(r#"{{"id":"x","choices":[{{"message":{message},"finish_reason":{reason}}}]}}"#).leak();
    read(body.as_bytes(), "u").unwrap().choices.remove(0)
}

fn call(id: &'static str, name: &'static str, arguments: &'static str) -> Content<'static> {
    let input = Input::Json(arguments.into());
    Content::Call(Call { id: id.into(), name: name.into(), input, signature: None })
}

fn reasoning(text: &'static str) -> Content<'static> {
    Content::Reasoning(Reasoning { text: text.into(), ..Reasoning::default() })
}

#[test]
fn calls_decide_the_end_and_may_lack_an_id() {
    // A named tool_choice gives finish_reason `stop`.
    let read = choice(
        r#"{"content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":""}},
            {"function":{"name":"g","arguments":{"a":1}}}]}"#,
        "\"stop\"",
    );
    assert_eq!(read.content, [call("c", "f", "{}"), call("call_u_0_1", "g", r#"{"a":1}"#)]);
    assert_eq!(read.stop(), Stop::Calls);
}

#[test]
fn a_custom_call_and_a_function_call_are_calls() {
    let read =
        choice(r#"{"tool_calls":[{"id":"c","type":"custom","custom":{"name":"f","input":"x"}}]}"#, "null");
    let input = Input::Text("x".into());
    let custom = Call { id: "c".into(), name: "f".into(), input, signature: None };
    assert_eq!(read.content, [Content::Call(custom)]);
    let read = choice(r#"{"function_call":{"name":"f","arguments":"{}"}}"#, "\"function_call\"");
    assert_eq!(read.content, [call("call_u_0_0", "f", "{}")]);
    // Snowflake sends one that is empty beside every answer.
    let read = choice(r#"{"content":"a","refusal":"","function_call":{"name":"","arguments":""}}"#, "\"\"");
    assert_eq!((read.content.as_slice(), read.stop()), (&[Content::text("a")][..], Stop::End));
}

#[test]
fn reasoning_is_read_in_every_spelling_and_once() {
    let text = Content::text("b");
    for message in [
        r#"{"content":"b","reasoning_content":"a"}"#,
        r#"{"content":"b","reasoning":"a"}"#,
        r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"a"}]},{"type":"text","text":"b"}]}"#,
    ] {
        assert_eq!(choice(message, "\"stop\"").content, [reasoning("a"), text.clone()], "{message}");
    }
}

#[test]
fn a_refusal_is_a_filters_doing() {
    let read = choice(r#"{"content":null,"refusal":"no"}"#, "\"stop\"");
    assert_eq!((read.content.as_slice(), read.stop()), (&[Content::Refusal("no".into())][..], Stop::Filter));
    assert_eq!(choice(r#"{"content":""}"#, "\"content_filter\"").stop(), Stop::Filter);
    assert_eq!(choice(r#"{"content":"a"}"#, "\"length\"").stop(), Stop::Length);
}

#[test]
fn googles_signature_stays_with_its_call() {
    let read = choice(
        r#"{"tool_calls":[{"id":"c","function":{"name":"f","arguments":"{}"},
            "extra_content":{"google":{"thought_signature":"S="}}}]}"#,
        "\"stop\"",
    );
    let Content::Call(call) = &read.content[0] else { panic!("a call") };
    assert_eq!(call.signature, Some(Signature::new(Maker::Google, "S=")));
}

#[test]
fn choices_stand_by_their_numbers() {
    let body =
        br#"{"choices":[{"index":1,"message":{"content":"b"}},{"index":0,"message":{"content":"a"}}]}"#;
    let said: Vec<_> =
        read(body, "u").unwrap().choices.into_iter().flat_map(|choice| choice.content).collect();
    assert_eq!(said, [Content::text("a"), Content::text("b")]);
}

#[test]
fn an_answer_without_choices_was_blocked_and_what_is_no_answer_is_unreadable() {
    let blocked = read(br#"{"choices":[]}"#, "u").unwrap();
    assert_eq!((blocked.choices.len(), blocked.choices[0].stop), (1, Stop::Filter));
    let error = read(br#"{"error":{"message":"no"}}"#, "u").unwrap_err();
    assert_eq!(error, Unreadable("no".to_owned()));
    for body in [&b"{}"[..], b"[]", b"\xff", b"", b"{\"choices\":[3]}"] {
        assert!(read(body, "u").is_err(), "{}", String::from_utf8_lossy(body));
    }
}

proptest! {
    #[test]
    fn no_value_in_a_message_makes_it_panic(
        value in proptest::sample::select(vec!["null", "[]", "[3]", "{}", "[{}]", "\"a\"", "1e999", "[[{\"text\":{}}]]"]),
    ) {
        let keys = ["content", "refusal", "reasoning", "reasoning_details", "tool_calls", "function_call", "extra_content"];
        let members: Vec<_> = keys.iter().map(|key| format!("\"{key}\":{value}")).collect();
        choice(&format!("{{{}}}", members.join(",")), value);
    }
}

#[test]
fn what_openrouter_wants_back_is_the_signature_of_the_reasoning_and_comes_back() {
    let list =
        r#"[{"type":"reasoning.text","text":"a","signature":"S"},{"type":"reasoning.encrypted","data":"D"}]"#;
    let read = |said: &str| {
        let said = format!(r#"{{"content":"b",{said}"reasoning_details":{list}}}"#);
        choice(&said, "\"stop\"").content
    };
    let signature = Some(Signature::new(Maker::Details, list));
    let expected = Reasoning { text: "a".into(), signature, redacted: false };
    for said in ["", r#""reasoning":"a","#] {
        let content = read(said);
        let Content::Reasoning(reasoning) = &content[0] else { panic!("{content:?}") };
        assert_eq!((&reasoning.text, content.len()), (&expected.text, 2));
        assert_eq!(list_of(reasoning), serde_json::from_str::<serde_json::Value>(list).unwrap());
    }
    let hidden = choice(r#"{"content":"b","reasoning_details":[{"data":"D"}]}"#, "\"stop\"").content;
    assert!(matches!(&hidden[..], [Content::Reasoning(Reasoning { text, .. }), _] if text.is_empty()));
}

fn list_of(reasoning: &Reasoning<'_>) -> serde_json::Value {
    serde_json::from_str(&reasoning.signature.as_ref().unwrap().value).unwrap()
}

#[test]
fn an_image_of_an_answer_is_read() {
    let image = r#"{"content":"b","images":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}},{"image_url":5}]}"#;
    let media = Media::Data { mime: "image/png".into(), base64: "AA==".into() };
    let expected = Content::Image(Image { media, detail: None, cache: None });
    assert_eq!(choice(image, "\"stop\"").content, [Content::text("b"), expected]);
}
