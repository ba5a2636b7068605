//! What is counted of a request, by the numbers of the original, and what a body is refused for.

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

/// What all pieces of a message say.
fn said(message: &str) -> Vec<String> {
    let mut all = Vec::new();
    Request::pieces(Kind::Message, message, &mut |piece| match piece {
        Piece::Role(text) | Piece::Text(text) => all.push(text.into_owned()),
        Piece::Tool(text) => all.push(format!("tool {text}")),
        Piece::Image => all.push("image".to_owned()),
        Piece::Data => all.push("data".to_owned()),
        Piece::Tokens(tokens) => all.push(tokens.to_string()),
    });
    all
}

const HELLO: &str = r#"{"role":"user","content":"Hello"}"#;
const CALL: &str =
    r#"{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":{ "a" : 1 }}]}"#;

#[test]
fn plain_conversations_have_the_numbers_of_the_original() {
    let result = |rest: &str| {
        format!(
            r#"{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"t","content":"Hello world"}}{rest}]}}"#
        )
    };
    for (fields, tokens) in [
        (format!(r#""messages":[{HELLO}]"#), 8),
        (r#""messages":[]"#.to_owned(), 3),
        (r#""messages":[{"role":"user","content":[{"type":"text","text":"Hello"},{"type":"text","text":"Hello"}]}]"#.to_owned(), 9),
        (format!(r#""system":"Hello","messages":[{HELLO}]"#), 13),
        (format!(r#""system":[{{"type":"text","text":"Hello","cache_control":{{"type":"ephemeral"}}}}],"messages":[{HELLO}]"#), 13),
        (r#""messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"u"}},{"type":"text","text":"Hello"}]}]"#.to_owned(), 8),
        (format!(r#""messages":[{HELLO},{CALL},{}]"#, result("")), 16),
        (format!(r#""messages":[{HELLO},{}]"#, result(r#",{"type":"text","text":"Hello"}"#)), 13),
    ] {
        assert_eq!(plain(&fields), tokens, "{fields}");
    }
}

#[test]
fn nothing_that_a_model_reads_is_free() {
    assert_eq!(said(CALL), ["assistant", r#"tool {"type":"tool_use","id":"t","name":"f","input":{"a":1}}"#]);
    let blocks = |blocks: &str| said(&format!(r#"{{"role":"user","content":[{blocks}]}}"#))[1..].join("|");
    for (block, expected) in [
        (r#"{"type":"thinking","thinking":"hm","signature":"s"}"#, "hm"),
        (r#"{"type":"redacted_thinking","data":"AAAA"}"#, "data"),
        (r#"{"type":"document","title":"t","source":{"type":"text","data":"d"}}"#, "t|d"),
        (r#"{"type":"document","source":{"type":"content","content":[{"type":"text","text":"a"}]}}"#, "a"),
        (r#"{"type":"document","source":{"type":"base64","data":"AAAA"}}"#, "data"),
        (
            r#"{"type":"search_result","title":"t","source":"s","content":[{"type":"text","text":"a"}]}"#,
            "t|s|a",
        ),
        (
            r#"{"type":"tool_result","content":[{"type":"text","text":"a"},{"type":"image"},{"type":"document","source":{"type":"text","data":"d"}}]}"#,
            "tool a|image|tool d",
        ),
        (
            r#"{"type":"web_fetch_tool_result","content":{"type":"web_fetch_result","content":{"type":"document","source":{"type":"base64","data":"A"}}}}"#,
            "data",
        ),
        (
            r#"{"type":"server_tool_use","input":{"q":"base64"}}"#,
            r#"{"type":"server_tool_use","input":{"q":"base64"}}"#,
        ),
        (r#"{"type":"new", "x":1}"#, r#"{"type":"new","x":1}"#),
        (r#"{"type":"text","text":"a","text":"b"}"#, r#"{"type":"text","text":"a","text":"b"}"#),
        ("5", "5"),
    ] {
        assert_eq!(blocks(block), expected, "{block}");
    }
    let bare = count(&COUNTING, r#""messages":[]"#);
    for field in [
        r#""tools":[{"name":"f","input_schema":{"type":"object"}}]"#,
        r#""output_config":{"format":{"type":"json_schema","schema":{"type":"object"}}}"#,
        r#""output_format":{"type":"json_schema","schema":{"type":"object"}}"#,
    ] {
        assert!(count(&COUNTING, &format!(r#""messages":[],{field}"#)) > bare, "{field}");
    }
    assert_eq!(count(&COUNTING, r#""messages":[],"output_config":{"effort":"low"}"#), bare);
}

#[test]
fn a_bad_body_is_refused_naming_the_field() {
    let refused = |body: &str| Request::parse(body.as_bytes()).unwrap_err().to_string();
    assert!(refused(r#"{"messages":[]}"#).contains("missing field `model`"));
    assert!(refused(r#"{"model":"m"}"#).contains("missing field `messages`"));
    assert!(refused(r#"{"model":"m","messages":["Invalid content"]}"#).contains("`messages` must be"));
    assert!(refused(r#"{"model":"m","messages":[],"stream":1}"#).contains("`stream`"));
    for field in ["system", "tools", "output_config", "output_format", "stream"] {
        let body = format!(r#"{{"model":"m","messages":[],"{field}":null,"{field}":null}}"#);
        assert!(refused(&body).contains(&format!("duplicate field `{field}`")));
    }
}

#[test]
fn renaming_changes_the_model_and_nothing_else() {
    let body = r#"{"messages":[{"model":"m"}],"model" : "anthropic\/m" ,"max_tokens":1.0}"#;
    let request = parse(body);
    assert_eq!((request.model(), request.stream()), ("anthropic/m", false));
    assert_eq!(
        request.rename("claude").apply(body),
        r#"{"messages":[{"model":"m"}],"model" : "claude" ,"max_tokens":1.0}"#
    );
}
