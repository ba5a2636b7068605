//! What is counted of a request, and what a body is refused for.

use super::*;
use crate::{config::Counting, tokens::Counter};

const COUNTING: Counting = Counting { count_tools: true, image_tokens: 85, file_tokens: 2000 };

fn parse(body: &str) -> Request {
    Request::parse(body.as_bytes()).unwrap()
}

fn count(counting: &Counting, fields: &str) -> u64 {
    let body = format!(r#"{{"model":"m",{fields}}}"#);
    Counter::new(counting, [1; 32]).estimate(body.as_bytes(), &parse(&body), None).tokens
}

/// Plain text only, as the original counted.
fn plain(fields: &str) -> u64 {
    count(&Counting { count_tools: false, ..COUNTING }, fields)
}

/// What all pieces of an item say.
fn said(item: &str) -> String {
    let mut all = Vec::new();
    Request::pieces(Kind::Message, item, &mut |piece| match piece {
        Piece::Role(text) | Piece::Text(text) => all.push(text.into_owned()),
        Piece::Tool(text) => all.push(format!("tool {text}")),
        Piece::Image => all.push("image".to_owned()),
        Piece::Data => all.push("data".to_owned()),
        Piece::Tokens(tokens) => all.push(tokens.to_string()),
    });
    all.join("|")
}

#[test]
fn plain_conversations_count_like_those_of_other_formats() {
    let hello = r#"{"role":"user","content":"Hello"}"#;
    for (fields, tokens) in [
        (r#""input":"Hello""#.to_owned(), 8),
        (format!(r#""input":[{hello}]"#), 8),
        (
            r#""input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"Hello"}]}]"#
                .to_owned(),
            8,
        ),
        (r#""input":[]"#.to_owned(), 3),
        (r#""previous_response_id":"resp_1""#.to_owned(), 3),
        (r#""instructions":"Hello","input":"Hello""#.to_owned(), 13),
        (
            format!(
                r#""instructions":"Hello","input":[{hello}],"text":{{"format":{{"type":"text"}},"verbosity":"low"}}"#
            ),
            13,
        ),
        (
            format!(
                r#""input":[{hello},{{"role":"assistant","content":[{{"type":"output_text","text":"Hello","annotations":[]}}]}}]"#
            ),
            13,
        ),
    ] {
        assert_eq!(plain(&fields), tokens, "{fields}");
        assert_eq!(count(&COUNTING, &fields), tokens, "{fields}");
    }
}

#[test]
fn nothing_that_a_model_reads_is_free() {
    for (item, expected) in [
        (
            r#"{"type":"function_call","name":"f", "arguments":"{}"}"#,
            r#"tool {"type":"function_call","name":"f","arguments":"{}"}"#,
        ),
        (r#"{"type":"function_call_output","call_id":"c","output":"a"}"#, "a"),
        (
            r#"{"type":"custom_tool_call_output","output":[{"type":"input_text","text":"a"},{"type":"input_image"}]}"#,
            "a|image",
        ),
        (
            r#"{"type":"reasoning","summary":[{"type":"summary_text","text":"s"}],"content":null,"encrypted_content":"gAAAAAAAA"}"#,
            "s|2",
        ),
        (
            r#"{"role":"user","content":[{"type":"input_file","file_id":"f"},{"type":"refusal","refusal":"no"},{"type":"new", "x":1}]}"#,
            r#"user|data|no|{"type":"new","x":1}"#,
        ),
        (
            r#"{"type":"web_search_call","action":{"query":"q"}}"#,
            r#"tool {"type":"web_search_call","action":{"query":"q"}}"#,
        ),
        (r#"{"role":"user","role":"user"}"#, r#"|{"role":"user","role":"user"}"#),
        (r#"{"type":"computer_call_output","output":{"image_url":"data:"}}"#, "image"),
    ] {
        assert_eq!(said(item), expected, "{item}");
    }
    let bare = count(&COUNTING, r#""input":[]"#);
    for field in [
        r#""tools":[{"type":"function","name":"f","parameters":{"type":"object"}}]"#,
        r#""text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object"}}}"#,
        r#""prompt":{"id":"pmpt_1","variables":{"city":"Paris"}}"#,
        r#""instructions":"Hello""#,
    ] {
        assert!(count(&COUNTING, &format!(r#""input":[],{field}"#)) > bare, "{field}");
    }
}

#[test]
fn the_model_is_replaced_and_all_else_stays() {
    let body = r#"{"input":"x", "model" : "p/m","stream":true,"background":true,"conversation":"c"}"#;
    let request = parse(body);
    assert_eq!((request.model(), request.stream(), request.items().len()), ("p/m", true, 0));
    assert_eq!(request.rename("up").apply(body), body.replace("p/m", "up"));
}

#[test]
fn what_cannot_be_read_is_refused() {
    for (body, why) in [
        (r#"{"input":"x"}"#, "model"),
        (r#"{"model":5}"#, "`model` must be a string"),
        (r#"{"model":"m","input":[1]}"#, "`input` must be an array of objects"),
        (r#"{"model":"m","input":{}}"#, "`input` as an array of objects"),
        (r#"{"model":"m","input":"a","input":"b"}"#, "duplicate field `input`"),
        (r#"{"model":"m","stream":"yes"}"#, "`stream` must be true or false"),
        ("[]", "an object"),
    ] {
        let error = Request::parse(body.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(why), "{body}: {error}");
    }
}
