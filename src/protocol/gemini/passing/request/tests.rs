//! Tests.

use super::*;

/// The pieces of a whole request, one a line.
fn pieces(body: &str) -> String {
    let request = Request::parse(body.as_bytes()).unwrap();
    let (mut all, mut index) = (Vec::new(), 0);
    while let Some(part) = request.part(index) {
        Request::pieces(part.kind, &body[part.span.range()], &mut |piece| all.push(format!("{piece:?}")));
        index += 1;
    }
    all.join("\n")
}

#[test]
fn everything_that_reaches_the_model_counts() {
    insta::assert_snapshot!(pieces(
        r#"{"contents":[{"parts":[{"text":"hi\n"},{"inlineData":{"mimeType":"image/png","data":"x"}},{"file_data":{"mime_type":"application/pdf"}}]},
        {"role":"model","parts":[{"text":"hm","thought":true,"thoughtSignature":"s"},{"function_call":{"name":"f","args":{ "a" : 1 }}}]},
        {"role":"user","parts":[{"functionResponse":{"name":"f","response":{"result":"ok"},"parts":[{"inlineData":{"mimeType":"image/png"}}]}},
            {"executableCode":{"code":"1"}}]}],
        "tools":{"functionDeclarations":[{"name":"f"}]},"system_instruction":{"parts":{"text":"be"}},
        "generationConfig":{"temperature":1,"responseSchema":{"type":"STRING"}}}"#
    ), @r#"
    Role("user")
    Text("hi\n")
    Image
    Data
    Role("model")
    Text("hm")
    Tool("{\"name\":\"f\",\"args\":{\"a\":1}}")
    Role("user")
    Tool("f")
    Tool("{\"result\":\"ok\"}")
    Image
    Text("{\"executableCode\":{\"code\":\"1\"}}")
    Role("user")
    Text("be")
    Tool("{\"functionDeclarations\":[{\"name\":\"f\"}]}")
    Tool("{\"type\":\"STRING\"}")
    "#);
}

#[test]
fn what_is_not_understood_is_not_free() {
    assert_eq!(
        pieces(
            r#"{"contents":[{"parts":[3,{"a":1},{"text":null,"x":2}]},{"parts":"p"}],"systemInstruction":"s","tools":4}"#
        ),
        "Role(\"user\")\nText(\"3\")\nText(\"{\\\"a\\\":1}\")\nText(\"{\\\"text\\\":null,\\\"x\\\":2}\")\nRole(\"user\")\nText(\"p\")\nRole(\"user\")\nText(\"s\")\nTool(\"4\")"
    );
}

#[test]
fn a_bad_body_is_refused_naming_the_field() {
    let refused = |body: &str| Request::parse(body.as_bytes()).unwrap_err().to_string();
    assert!(refused("{}").contains("`contents`"));
    assert!(refused(r#"{"contents":{}}"#).contains("`contents` as an array of objects"));
    assert!(refused(r#"{"contents":["a"]}"#).contains("`contents` must be an array of objects"));
    assert!(refused(r#"{"contents":[],"contents":[]}"#).contains("duplicate field `contents`"));
    assert!(
        refused(r#"{"contents":[],"systemInstruction":1,"system_instruction":2}"#)
            .contains("duplicate field")
    );
    assert!(refused("[]").contains("an object"));
}

#[test]
fn a_count_may_hold_a_whole_request_whose_model_is_renamed() {
    let body = r#"{ "generateContentRequest":{"model":"models/openai\/x","contents":[{"parts":[]}]}}"#;
    let request = Request::parse_count(body.as_bytes()).unwrap();
    assert_eq!(request.contents().len(), 1);
    assert_eq!(
        request.rename("y").unwrap().apply(body),
        r#"{ "generateContentRequest":{"model":"models/y","contents":[{"parts":[]}]}}"#
    );
    assert_eq!(Request::parse_count(br#"{"contents":[]}"#).unwrap().rename("y"), None);
    assert!(Request::parse(body.as_bytes()).is_err());
    assert!(Request::parse_count(br#"{"contents":[],"generateContentRequest":{"contents":[]}}"#).is_err());
}
