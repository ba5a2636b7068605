//! What a body is refused for, and where its parts are.

use super::*;

fn parse(body: &str) -> Request {
    Request::parse(body.as_bytes()).unwrap()
}

#[track_caller]
fn refused(body: impl AsRef<[u8]>) -> String {
    Request::parse(body.as_ref()).unwrap_err().to_string()
}

/// A body nested `depth` levels deep in a field that is not read.
fn nested(depth: usize) -> String {
    let inner = depth - 1;
    format!(r#"{{"model":"m","messages":[],"x":{}{}}}"#, "[".repeat(inner), "]".repeat(inner))
}

#[test]
fn the_parts_are_found_under_blanks_escapes_and_any_order() {
    let body = "\n { \"x\":{\"model\":1}, \"tools\" : [ {\"a\":\"]}\"} ] ,\"mess\\u0061ges\":[ {\"content\":\"a\\\"}\"} ,\n{} ],\"model\": \"a\\/b\" }\n";
    let request = parse(body);
    assert_eq!(request.model(), "a/b");
    let at = |span: Span| &body[span.range()];
    assert_eq!(
        request.messages().iter().copied().map(at).collect::<Vec<_>>(),
        [r#"{"content":"a\"}"}"#, "{}"]
    );
    let parts: Vec<_> =
        (0..).map_while(|index| request.part(index)).map(|part| (part.kind, at(part.span))).collect();
    assert_eq!(parts[2], (Kind::Tools, r#"[ {"a":"]}"} ]"#));
    assert_eq!(parts.len(), 3);
    assert!(!request.stream());
}

#[test]
fn a_body_that_is_no_json_is_refused_with_the_place() {
    assert!(refused("").contains("line 1 column 0"));
    assert!(refused("{\n\"model\": }").contains("line 2 column 10"));
    assert!(refused(r#"{"model":"m","messages":[]} x"#).contains("trailing characters"));
    assert!(refused(b"{\"model\":\"\xff\",\"messages\":[]}").contains("UTF-8 at byte 10"));
    assert!(refused("[]").contains("an object"));
    for value in [
        r#""\x""#,
        r#""\u12G4""#,
        "\"\u{1}\"",
        "\"\n\"",
        "01",
        "+1",
        "tru",
        "[1,]",
        r#"{"a"}"#,
        r#"{a:1}"#,
        "NaN",
    ] {
        refused(format!(r#"{{"model":"m","messages":[],"x":{value}}}"#));
        refused(format!(r#"{{"model":"m","messages":[{{"content":{value}}}]}}"#));
    }
    refused(b"{\"model\":\"m\",\"messages\":[],\"x\":\"\xed\xa0\x80\"}");
}

#[test]
fn a_wrong_field_is_refused_by_name() {
    assert!(refused(r#"{"messages":[]}"#).contains("missing field `model`"));
    assert!(refused(r#"{"model":null,"messages":[]}"#).contains("`model` must be a string"));
    assert!(refused(r#"{"model":"m"}"#).contains("missing field `messages`"));
    for messages in ["null", "5", "{}", "\"a\"", "[1]", "[{},[]]", "[null]"] {
        assert!(
            refused(format!(r#"{{"model":"m","messages":{messages}}}"#)).contains("`messages`"),
            "{messages}"
        );
    }
    for stream in ["1", "\"true\"", "{}"] {
        assert!(refused(format!(r#"{{"model":"m","messages":[],"stream":{stream}}}"#)).contains("`stream`"));
    }
}

#[test]
fn a_field_that_is_read_may_stand_once_only() {
    assert!(refused(r#"{"model":"a","model":"b"}"#).contains("duplicate field `model`"));
    assert!(refused(r#"{"model":"a","messages":[],"mod\u0065l":"a"}"#).contains("duplicate field `model`"));
    for (field, value) in [
        ("messages", "[]"),
        ("stream", "null"),
        ("stream_options", "null"),
        ("tools", "null"),
        ("functions", "[]"),
        ("response_format", "{}"),
    ] {
        let once = format!(r#""{field}":{value}"#);
        let rest = if field == "messages" { r#""model":"m""# } else { r#""model":"m","messages":[]"# };
        assert!(Request::parse(format!("{{{rest},{once}}}").as_bytes()).is_ok(), "{field}");
        assert!(refused(format!("{{{rest},{once},{once}}}")).contains(&format!("duplicate field `{field}`")));
    }
    parse(r#"{"model":"m","messages":[],"x":1,"x":2,"metadata":{"model":1,"model":2}}"#);
}

#[test]
fn nesting_is_allowed_to_128_levels_and_not_to_129() {
    parse(&nested(128));
    assert!(refused(nested(129)).contains("nested deeper than 128"));
    assert!(refused(nested(1_000_000)).contains("nested deeper than 128"));
    let message = |inner: usize| {
        format!(r#"{{"model":"m","messages":[{{"content":{}{}}}]}}"#, "[".repeat(inner), "]".repeat(inner))
    };
    parse(&message(125));
    assert!(refused(message(126)).contains("nested deeper"));
    parse(&format!(r#"{{"model":"m","messages":[],"x":"{}\\\"[","y":[]}}"#, "[".repeat(500)));
}

#[test]
fn unusual_but_valid_bodies_pass() {
    parse(
        r#"{"model":"m","messages":[{"content":"\ud800 alone"}],"x":1e999,"y":-0.0E-1,"z":123456789012345678901234567890}"#,
    );
    parse(r#"{"model":"m","messages":[],"tools":5,"functions":"f","response_format":[],"stream_options":7}"#);
}

#[test]
fn stream_is_false_by_null_and_by_absence() {
    for (field, stream) in [
        ("", false),
        (r#","stream":null"#, false),
        (r#","stream":false"#, false),
        (r#","stream":true"#, true),
    ] {
        assert_eq!(parse(&format!(r#"{{"model":"m","messages":[]{field}}}"#)).stream(), stream, "{field}");
    }
}

#[test]
fn a_stream_is_made_to_report_its_usage_by_the_smallest_edit() {
    let edited = |options: &str| {
        let body = format!(r#" {{"model":"m","messages":[],"stream":true{options}}}"#);
        let edit = parse(&body).ask_for_usage()?;
        let edited = edit.apply(&body);
        assert!(parse(&edited).include_usage(), "{edited}");
        Some(edited.replace(r#""model":"m","messages":[],"stream":true"#, "…"))
    };
    assert_eq!(edited("").as_deref(), Some(r#" {"stream_options":{"include_usage":true},…}"#));
    for (written, asked) in [
        ("null", r#"{"include_usage":true}"#),
        ("{}", r#"{"include_usage":true}"#),
        ("{ }", r#"{"include_usage":true }"#),
        (r#"{"x":1}"#, r#"{"include_usage":true,"x":1}"#),
        (r#"{"include_usage": false }"#, r#"{"include_usage": true }"#),
        (r#"{"include_usage":null,"x":1}"#, r#"{"include_usage":true,"x":1}"#),
    ] {
        let expected = format!(r#" {{…,"stream_options":{asked}}}"#);
        assert_eq!(edited(&format!(r#","stream_options":{written}"#)), Some(expected), "{written}");
    }
    assert_eq!(edited(r#","stream_options":{"include_usage":true}"#), None);
    assert_eq!(edited(r#","stream_options":"no object""#), None);
    assert_eq!(parse(r#"{"model":"m","messages":[]}"#).ask_for_usage(), None, "no stream");
}

#[test]
fn renaming_changes_the_model_and_nothing_else() {
    let body = r#"{"messages":[{"model":"m"}],"model" : "openai/m" ,"n":1.0,"z":[ ]}"#;
    let expected = r#"{"messages":[{"model":"m"}],"model" : "gpt-4o \"x\"" ,"n":1.0,"z":[ ]}"#;
    assert_eq!(parse(body).rename("gpt-4o \"x\"").apply(body), expected);
}
