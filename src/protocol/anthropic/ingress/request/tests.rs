//! What is understood of a client's request, what is noted, and what is refused.

use proptest::prelude::*;

use super::*;
use crate::chat::{
    content::{Content, Document, DocumentSource, Image, Input, Media, Output, Reasoning, Text, ToolResult},
    request::{ToolChoice, ToolInput, Unsaid},
    signature::{Maker, Signature},
};

#[track_caller]
fn request(body: &str) -> Request<'_> {
    read(body.as_bytes()).unwrap()
}

#[track_caller]
fn refused(body: &str) -> String {
    read(body.as_bytes()).unwrap_err().to_string()
}

/// The body of a request with these blocks in a user's message.
fn with(blocks: &str) -> String {
    format!(r#"{{"messages":[{{"role":"user","content":[{blocks}]}}]}}"#)
}

#[track_caller]
fn content(body: &str) -> Vec<Content<'_>> {
    request(body).messages.swap_remove(0).content
}

fn unsaid(request: &Request<'_>) -> Vec<(String, bool)> {
    request.unsaid.iter().map(|Unsaid { name, hint }| (name.to_string(), *hint)).collect()
}

#[test]
fn the_system_comes_first_and_messages_keep_their_places() {
    let body = r#"{"messages":[{"role":"user","content":"a"},{"role":"system","content":"b"},{"role":"assistant","content":[]}],
        "system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}],"model":"m","max_tokens":5}"#;
    let request = request(body);
    let roles: Vec<_> = request.messages.iter().map(|message| (message.role, message.at)).collect();
    assert_eq!(roles, [(Role::System, 0), (Role::User, 0), (Role::System, 1), (Role::Assistant, 2)]);
    let Content::Text(Text { text, cache: Some(cache), .. }) = &request.messages[0].content[0] else {
        panic!()
    };
    assert_eq!((text.as_ref(), cache.text()), ("s", r#"{"type":"ephemeral"}"#));
    assert_eq!((request.sampling.max_tokens, request.unsaid.len()), (Some(5), 0));
}

#[test]
fn every_kind_of_block_is_read() {
    let image = Image { media: Media::Url("u".into()), detail: None, cache: None };
    let body = with(r#"{"type":"image","source":{"type":"url","url":"u"}}"#);
    assert_eq!(content(&body), [Content::Image(image.clone())]);
    let body = with(r#"{"source":{"data":"AA==","media_type":"image/png","type":"base64"},"type":"image"}"#);
    let data = Media::Data { mime: "image/png".into(), base64: "AA==".into() };
    assert_eq!(content(&body), [Content::Image(Image { media: data, ..image })]);
    let body = with(
        r#"{"type":"document","title":"t","context":"c","source":{"type":"text","media_type":"text/plain","data":"d"}}"#,
    );
    let text =
        Document { source: DocumentSource::Text("c\n\nd".into()), name: Some("t".into()), cache: None };
    assert_eq!(content(&body), [Content::Document(text)]);
    let body = with(r#"{"type":"document","source":{"type":"file","file_id":"file_1"}}"#);
    let file =
        Document { source: DocumentSource::Media(Media::Id("file_1".into())), name: None, cache: None };
    assert_eq!(content(&body), [Content::Document(file)]);
    let body = with(
        r#"{"type":"search_result","title":"t","source":"s","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}"#,
    );
    assert_eq!(content(&body), [Content::text("t\ns\n\na\n\nb")]);
}

#[test]
fn calls_and_results_are_tied_by_name() {
    let body = r#"{"messages":[
        {"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"f","input":{ "a" : 1.0 },"caller":{"type":"direct"}},{"type":"tool_use","id":"t2","name":"g"}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"t2","is_error":true,"content":"no"},
            {"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":"x"},{"type":"image","source":{"type":"url","url":"u"}}]},
            {"type":"tool_result","tool_use_id":"t9","content":[{"type":"tool_reference","tool_name":"g"}]}]}]}"#;
    let request = request(body);
    let inputs: Vec<_> = request.messages[0]
        .content
        .iter()
        .map(|content| match content {
            Content::Call(call) => call.input.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(inputs, [Input::Json(r#"{"a":1.0}"#.into()), Input::Json("{}".into())]);
    let names: Vec<_> = request.messages[1]
        .content
        .iter()
        .map(|content| match content {
            Content::Result(ToolResult { name, error, content, .. }) => {
                (name.as_deref(), *error, content.len())
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(names, [(Some("g"), true, 1), (Some("f"), false, 2), (None, false, 1)]);
    let Content::Result(result) = &request.messages[1].content[1] else { panic!() };
    assert_eq!(result.content[0], Output::Text("x".into()));
    assert_eq!(unsaid(&request), []);
}

#[test]
fn thinking_comes_back_with_the_signature_of_its_maker() {
    let reasoning = |text: &'static str, maker, value: &'static str, redacted| {
        Content::Reasoning(Reasoning {
            text: text.into(),
            signature: Some(Signature::new(maker, value)),
            redacted,
        })
    };
    let body = with(
        r#"{"type":"thinking","thinking":"","signature":"EqQ"},{"type":"thinking","thinking":"hm","signature":""},
        {"type":"redacted_thinking","data":"Evg"},{"type":"thinking","thinking":"sum","signature":"nexus:openai:gAA"}"#,
    );
    let unsigned = Content::Reasoning(Reasoning { text: "hm".into(), ..Reasoning::default() });
    assert_eq!(
        content(&body),
        [
            reasoning("", Maker::Anthropic, "EqQ", false),
            unsigned,
            reasoning("", Maker::Anthropic, "Evg", true),
            reasoning("sum", Maker::OpenAi, "gAA", true),
        ]
    );
}

#[test]
fn a_signature_of_googles_goes_to_the_call_behind_it_or_the_text_before_it() {
    let google = r#"{"type":"thinking","thinking":"","signature":"nexus:google:c2ln"}"#;
    let call = r#"{"type":"tool_use","id":"t","name":"f","input":{}}"#;
    let text = r#"{"type":"text","text":"a"}"#;
    let signature = Some(Signature::new(Maker::Google, "c2ln"));
    for before in ["", r#"{"type":"text","text":"a"},"#] {
        let body = with(&format!("{before}{google},{call},{call}"));
        let contents = content(&body);
        let signatures: Vec<_> = contents
            .iter()
            .filter_map(|content| match content {
                Content::Call(call) => Some(call.signature.clone()),
                Content::Text(text) => text.signature.clone().map(Some),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(signatures, [signature.clone(), None], "{before}");
    }
    let body = with(&format!("{text},{google},{text}"));
    assert_eq!(
        content(&body),
        [Content::Text(Text { text: "a".into(), cache: None, signature }), Content::text("a")]
    );
}

#[test]
fn tools_and_choices_are_read_and_foreign_ones_are_noted() {
    let body = r#"{"messages":[],"tools":[{"name":"f","input_schema":{"type":"object","x":1e2},"defer_loading":true,"strict":true},
        {"type":"custom","name":"g","description":"d","input_examples":[{}]},{"type":"web_search_20250305","name":"web_search"},{"type":"mcp_toolset"}],
        "tool_choice":{"type":"tool","name":"f","disable_parallel_tool_use":true}}"#;
    let request = request(body);
    let ToolInput::Schema(Some(schema)) = &request.tools[0].input else { panic!() };
    assert_eq!((schema.text(), request.tools[0].strict), (r#"{"type":"object","x":1e2}"#, Some(true)));
    assert_eq!((request.tools.len(), request.tools[1].description.as_deref()), (2, Some("d")));
    assert_eq!(
        (request.tool_choice.clone(), request.parallel_calls),
        (Some(ToolChoice::Named("f".into())), Some(false))
    );
    let noted = [
        ("tools.defer_loading", true),
        ("tools.input_examples", false),
        ("tools.web_search", false),
        ("tools.mcp_toolset", false),
    ];
    assert_eq!(unsaid(&request), noted.map(|(name, hint)| (name.to_owned(), hint)));
}

#[test]
fn thinking_and_effort_are_one_amount() {
    let amount = |fields: &str| {
        let body = format!(r#"{{"messages":[],{fields}}}"#);
        let request = request(&body);
        let noted = unsaid(&request).len();
        (request.reasoning.as_ref().and_then(|reasoning| Some((reasoning.amount?, reasoning.shown))), noted)
    };
    for (fields, expected) in [
        (r#""thinking":{"type":"enabled","budget_tokens":2000}"#, Some((Amount::Budget(2000), Some(true)))),
        (r#""thinking":{"type":"adaptive","display":"omitted"}"#, Some((Amount::Dynamic, Some(false)))),
        (r#""thinking":{"type":"disabled"}"#, Some((Amount::Off, None))),
        (r#""output_config":{"effort":"max"}"#, Some((Amount::Effort(Effort::Highest), None))),
        (
            r#""thinking":{"type":"adaptive"},"output_config":{"effort":"low"}"#,
            Some((Amount::Effort(Effort::Low), Some(true))),
        ),
    ] {
        assert_eq!(amount(fields), (expected, 0), "{fields}");
    }
    assert_eq!(
        amount(r#""thinking":{"type":"enabled","budget_tokens":9},"output_config":{"effort":"low"}"#).1,
        1
    );
    assert_eq!(amount(r#""output_config":{"effort":"utmost","task_budget":5}"#), (None, 2));
}

#[test]
fn the_rest_is_read_or_noted() {
    let body = r#"{"messages":[{"role":"user","content":"a","name":"n"}],"temperature":0.70,"top_k":5,"stop_sequences":["x","y"],"stream":true,
        "metadata":{"user_id":"u","x":1},"service_tier":"standard_only","cache_control":{"type":"ephemeral"},"container":"c","mcp_servers":[{}],
        "context_management":null,"inference_geo":"eu","output_format":{"type":"json_schema","schema":{"type":"object"}}}"#;
    let request = request(body);
    assert_eq!(request.sampling.temperature.as_ref().map(ToString::to_string).as_deref(), Some("0.7"));
    assert_eq!((request.sampling.stop.len(), request.stream), (2, true));
    assert_eq!(
        (request.hints.user.as_deref(), request.hints.service_tier.as_deref()),
        (Some("u"), Some("default"))
    );
    assert!(matches!(request.format, Some(Format::Schema { .. })));
    let names: Vec<_> = unsaid(&request);
    let expected = [
        ("messages.name", false),
        ("metadata.x", true),
        ("cache_control", true),
        ("container", false),
        ("mcp_servers", false),
        ("inference_geo", false),
    ];
    assert_eq!(names, expected.map(|(name, hint)| (name.to_owned(), hint)));
}

#[test]
fn what_cannot_be_read_is_refused_by_name() {
    for (body, place) in [
        ("[]", "expected an object"),
        ("{}", "`messages`: it is missing"),
        (r#"{"messages":{}}"#, "`messages` must be an array"),
        (r#"{"messages":[1]}"#, "`messages[0]` must be an object"),
        (r#"{"messages":[{"role":"tool","content":""}]}"#, "`messages[0].role` must be `user`"),
        (
            r#"{"messages":[{"role":"user","content":5}]}"#,
            "`messages[0].content` must be a string or an array",
        ),
        (r#"{"messages":[],"max_tokens":-1}"#, "`max_tokens` must be a whole number"),
        (r#"{"messages":[],"temperature":"hot"}"#, "`temperature` must be a number"),
        (r#"{"messages":[],"stop_sequences":["a",1]}"#, "`stop_sequences[1]` must be a string"),
        (r#"{"messages":[],"top_p":1,"top_p":1}"#, "duplicate field `top_p`"),
        (
            r#"{"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image,png","data":""}}]}]}"#,
            "`messages[0].content[0].source.media_type` must be a media type",
        ),
        (r#"{"messages":[],"thread":{"type":"create"}}"#, "`thread`: to keep it takes a provider"),
        (
            r#"{"messages":[],"tools":[{"name":"f","input_schema":[]}]}"#,
            "`tools[0].input_schema` must be an object",
        ),
    ] {
        assert!(refused(body).contains(place), "{body}: {}", refused(body));
    }
    for kind in
        ["server_tool_use", "web_search_tool_result", "mcp_tool_use", "container_upload", "compaction"]
    {
        let message = refused(&with(&format!(r#"{{"type":"text","text":""}},{{"type":"{kind}"}}"#)));
        assert!(message.contains("messages[0].content[1]") && message.contains(kind), "{message}");
    }
    let many = format!(r#"{{"messages":[],{}"x":1}}"#, r#""x":1,"#.repeat(1 << 16));
    assert!(refused(&many).contains("members"));
}

proptest! {
    #[test]
    fn no_json_makes_it_panic(
        value in "[\\[\\]{}\":,a0 \\\\]{0,40}",
        field in prop::sample::select(&KNOWN[..]),
        kind in prop::sample::select(&["text", "image", "document", "tool_use", "tool_result", "thinking"][..]),
    ) {
        let _ = read(value.as_bytes());
        let _ = read(format!(r#"{{"messages":[],"{field}":{value}}}"#).as_bytes());
        let _ = read(with(&format!(r#"{{"type":"{kind}","source":{value},"content":{value},"input":{value}}}"#)).as_bytes());
    }
}
