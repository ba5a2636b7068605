//! Requests as providers get them.

use std::borrow::Cow;

use super::*;
use crate::chat::{
    content::{
        Audio, Call, Content, Document, DocumentSource, Image, Input, Media, Output, Reasoning, Text,
        ToolResult,
    },
    request::{Message as Turn, Role, Thinking, Tool, ToolChoice, ToolInput},
    signature::{Maker, Signature},
};

const TARGET: Target<'static> = Target {
    model: "up",
    max_tokens: 4096,
    stream_usage: true,
    max_completion_tokens: true,
    reasoning_details: true,
};

fn turn(role: Role, content: Vec<Content<'static>>) -> Turn<'static> {
    Turn { role, content, at: 2 }
}

fn written(request: &Request<'_>) -> (String, Vec<Parameter>) {
    let mut losses = Losses::default();
    let body = write(request, &TARGET, &mut losses).unwrap();
    (String::from_utf8(body).unwrap(), losses.iter().collect())
}

/// The messages of a request of these turns.
fn messages(turns: Vec<Turn<'static>>) -> String {
    let (body, _) = written(&Request { messages: turns, ..Request::default() });
    let body = body.strip_prefix(r#"{"model":"up","messages":"#).unwrap();
    body.strip_suffix('}').unwrap().to_owned()
}

fn refused(content: Content<'static>) -> Unsupported {
    let request =
        Request { messages: vec![turn(Role::User, vec![Content::text("a"), content])], ..Request::default() };
    write(&request, &TARGET, &mut Losses::default()).unwrap_err()
}

fn call(id: &'static str, input: Input<'static>) -> Content<'static> {
    Content::Call(Call { id: id.into(), name: "f".into(), input, signature: None })
}

fn result(id: &'static str, content: Vec<Output<'static>>, error: bool) -> Content<'static> {
    Content::Result(ToolResult { id: id.into(), name: None, content, error, cache: None })
}

#[test]
fn every_result_is_a_message_and_the_rest_of_the_turn_follows() {
    let image = Image {
        media: Media::Data { mime: "image/png".into(), base64: "AAAA".into() },
        detail: None,
        cache: None,
    };
    let json = Json::parse("{\"a\": 1}".to_owned()).unwrap();
    let turns = vec![turn(
        Role::User,
        vec![
            result("c1", vec![Output::Text("a".into()), Output::Text("b".into())], false),
            result("c2", vec![Output::Json(json)], true),
            result("c3", vec![Output::Image(image)], false),
            Content::text("go on"),
        ],
    )];
    insta::assert_snapshot!(messages(turns).replace("},{\"role", "},\n{\"role"), @r#"
    [{"role":"tool","tool_call_id":"c1","content":"a\nb"},
    {"role":"tool","tool_call_id":"c2","content":"Error: {\"a\":1}"},
    {"role":"tool","tool_call_id":"c3","content":"The output is attached to the next message of the user."},
    {"role":"user","content":[{"type":"text","text":"Output of the tool call c3:"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}},{"type":"text","text":"go on"}]}]
    "#);
}

#[test]
fn an_assistants_turn_keeps_text_calls_and_refusals_and_leaves_thoughts_out() {
    let signature = Some(Signature::new(Maker::Anthropic, "S="));
    let turns = vec![
        turn(Role::System, vec![Content::text("s")]),
        turn(
            Role::Assistant,
            vec![
                Content::Reasoning(Reasoning { text: "t".into(), signature, redacted: false }),
                Content::text("a"),
                Content::text("b"),
                call("c1", Input::Json("{\"x\": 1}".into())),
                call("c2", Input::Text("free".into())),
            ],
        ),
        turn(Role::Assistant, vec![Content::Refusal("no".into())]),
        turn(Role::Assistant, vec![]),
    ];
    insta::assert_snapshot!(messages(turns).replace("},{\"role", "},\n{\"role"), @r#"
    [{"role":"system","content":"s"},
    {"role":"assistant","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}],"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"x\": 1}"}},{"id":"c2","type":"custom","custom":{"name":"f","input":"free"}}]},
    {"role":"assistant","content":null,"refusal":"no"},
    {"role":"assistant","content":""}]
    "#);
}

#[test]
fn an_id_that_is_too_long_is_cut_alike_for_the_call_and_its_result() {
    let long: &'static str = "x".repeat(70).leak();
    let text = messages(vec![
        turn(Role::Assistant, vec![call(long, Input::Json("{}".into()))]),
        turn(Role::User, vec![result(long, vec![], false)]),
    ]);
    let body: serde_json::Value = serde_json::from_str(&text).unwrap();
    let id = body[0]["tool_calls"][0]["id"].as_str().unwrap();
    assert_eq!((id.len(), body[1]["tool_call_id"].as_str()), (40, Some(id)));
}

#[test]
fn parameters_tools_and_format_are_written_as_openai_names_them() {
    let schema = |text: &str| Json::parse(text.to_owned()).unwrap();
    let tool = |name: &'static str, input| Tool {
        name: name.into(),
        description: None,
        input,
        strict: Some(true),
        cache: None,
    };
    let request = Request {
        tools: vec![
            tool("f", ToolInput::Schema(Some(schema("{\"type\": \"object\"}")))),
            tool(
                "g",
                ToolInput::Text(Some(schema(r#"{"type":"grammar","syntax":"lark","definition":"d"}"#))),
            ),
        ],
        tool_choice: Some(ToolChoice::Named("g".into())),
        parallel_calls: Some(false),
        format: Some(Format::Schema { name: None, description: None, schema: schema("{}"), strict: None }),
        reasoning: Some(Thinking { amount: Some(Amount::Budget(40_000)), ..Thinking::default() }),
        sampling: Sampling {
            max_tokens: Some(7),
            top_k: Some(5.into()),
            stop: vec![Cow::Borrowed("x")],
            ..Sampling::default()
        },
        hints: Hints { service_tier: Some("standard_only".into()), store: Some(false), ..Hints::default() },
        stream: true,
        ..Request::default()
    };
    let (body, losses) = written(&request);
    insta::assert_snapshot!(body, @r#"{"model":"up","messages":[],"tools":[{"type":"function","function":{"name":"f","parameters":{"type": "object"},"strict":true}},{"type":"custom","custom":{"name":"g","format":{"type":"grammar","grammar":{"syntax":"lark","definition":"d"}}}}],"tool_choice":{"type":"custom","custom":{"name":"g"}},"parallel_tool_calls":false,"response_format":{"type":"json_schema","json_schema":{"name":"answer","schema":{}}},"reasoning_effort":"high","max_completion_tokens":7,"stop":["x"],"store":false,"stream":true,"stream_options":{"include_usage":true}}"#);
    assert_eq!(losses, [Parameter::TopK, Parameter::ServiceTier]);
}

#[test]
fn a_choice_without_tools_is_not_written_and_what_has_no_word_is_lost() {
    let request = Request {
        tool_choice: Some(ToolChoice::None),
        parallel_calls: Some(true),
        reasoning: Some(Thinking { amount: Some(Amount::Off), ..Thinking::default() }),
        messages: vec![turn(
            Role::User,
            vec![Content::Text(Text { cache: Json::parse("{}".to_owned()), ..Text::new("a") })],
        )],
        ..Request::default()
    };
    let (body, losses) = written(&request);
    assert_eq!(body, r#"{"model":"up","messages":[{"role":"user","content":"a"}]}"#);
    assert_eq!(losses, [Parameter::CacheControl, Parameter::Reasoning]);
}

#[test]
fn more_stops_than_openai_takes_and_a_wish_to_see_thoughts_are_lost() {
    let stop: Vec<_> = ["a", "b", "c", "d", "e"].map(Cow::Borrowed).into();
    let request = Request {
        sampling: Sampling { stop, ..Sampling::default() },
        reasoning: Some(Thinking { amount: None, shown: Some(true), summary: Some("auto".into()) }),
        ..Request::default()
    };
    let (body, losses) = written(&request);
    assert_eq!(body, r#"{"model":"up","messages":[],"stop":["a","b","c","d"]}"#);
    assert_eq!(losses, [Parameter::Summary, Parameter::Stop]);
}

#[test]
fn a_text_file_is_text_and_another_a_file() {
    let file = |mime: &'static str, base64: &'static str| {
        let media = Media::Data { mime: mime.into(), base64: base64.into() };
        let document = Document { source: DocumentSource::Media(media), name: Some("n".into()), cache: None };
        messages(vec![turn(Role::User, vec![Content::Document(document)])])
    };
    assert_eq!(file("text/plain", "SGk="), r#"[{"role":"user","content":"n\n\nHi"}]"#);
    for (mime, bytes) in [("text/plain", "/w=="), ("application/pdf", "SGk=")] {
        assert!(file(mime, bytes).contains(r#""filename":"n""#), "{mime}");
    }
}

#[test]
fn hints_that_openai_would_refuse_are_left_out() {
    let metadata = Json::parse(r#"{"a":"b"}"#.to_owned());
    let user = Some(Cow::Owned("u".repeat(65)));
    let hints = Hints { user, metadata: metadata.clone(), ..Hints::default() };
    let (body, losses) = written(&Request { hints, ..Request::default() });
    assert_eq!(body, r#"{"model":"up","messages":[]}"#);
    assert_eq!(losses, [Parameter::User, Parameter::Metadata]);
    let hints = Hints { metadata, store: Some(true), ..Hints::default() };
    let (body, losses) = written(&Request { hints, ..Request::default() });
    assert_eq!(body, r#"{"model":"up","messages":[],"metadata":{"a":"b"},"store":true}"#);
    assert_eq!(losses, []);
}

#[test]
fn content_that_cannot_be_carried_is_refused_by_its_place() {
    let document = |media| Document { source: DocumentSource::Media(media), name: None, cache: None };
    let id = refused(Content::Document(document(Media::Id("file_anthropic".into()))));
    assert_eq!((id.message, id.part), (Some(2), 1));
    assert!(id.why.contains("file id"), "{}", id.why);
    assert!(
        refused(Content::Document(document(Media::Url("https://x/y.pdf".into())))).why.contains("address")
    );
    let audio = Audio { mime: "audio/ogg".into(), base64: "A".into() };
    assert!(refused(Content::Audio(audio)).why.contains("audio/ogg"));
}

#[test]
fn the_length_of_an_answer_goes_by_the_name_that_the_provider_knows() {
    let sampling = Sampling { max_tokens: Some(9), ..Sampling::default() };
    let request = Request { sampling, ..Request::default() };
    let written = |target: &Target<'_>| {
        String::from_utf8(write(&request, target, &mut Losses::default()).unwrap()).unwrap()
    };
    let all = r#"{"model":"up","messages":[],"max_completion_tokens":9}"#;
    assert_eq!(written(&TARGET), all);
    let others = Target { max_completion_tokens: false, ..TARGET };
    assert_eq!(written(&others), all.replace("max_completion_tokens", "max_tokens"));
}

#[test]
fn reasoning_details_go_back_to_those_who_gave_them() {
    let reasoning = |maker, list: &'static str| {
        let signature = Some(Signature::new(maker, list));
        Content::Reasoning(Reasoning { text: "t".into(), signature, redacted: false })
    };
    let said = vec![
        reasoning(Maker::Details, r#"[{"a": 1.0},{"b":2}]"#),
        reasoning(Maker::Anthropic, "[3]"),
        Content::text("x"),
        reasoning(Maker::Details, "[4]"),
    ];
    let expected = r#"[{"role":"assistant","content":"x","reasoning_details":[{"a": 1.0},{"b":2},4]}]"#;
    let request = Request { messages: vec![turn(Role::Assistant, said)], ..Request::default() };
    let (body, losses) = written(&request);
    assert!(body.contains(expected), "{body}");
    assert_eq!(losses, [Parameter::Thought], "what Claude signed has no place");
    let (openais, mut losses) = (Target { reasoning_details: false, ..TARGET }, Losses::default());
    let body = String::from_utf8(write(&request, &openais, &mut losses).unwrap()).unwrap();
    assert!(body.contains(r#""messages":[{"role":"assistant","content":"x"}]"#), "{body}");
    assert_eq!(losses.iter().collect::<Vec<_>>(), [Parameter::Thought]);
}

#[test]
fn the_likeliest_tokens_take_log_probabilities_and_verbosity_passes() {
    let verbosity = Some("low".into());
    let sampling = Sampling { top_logprobs: Some(2), verbosity, ..Sampling::default() };
    let (body, losses) = written(&Request { sampling, ..Request::default() });
    assert!(body.ends_with(r#""logprobs":true,"top_logprobs":2,"verbosity":"low"}"#), "{body}");
    assert!(losses.is_empty());
    let sampling = Sampling { top_logprobs: Some(0), ..Sampling::default() };
    let (body, losses) = written(&Request { sampling, ..Request::default() });
    assert!(!body.contains("logprobs") && losses.is_empty(), "{body}");
}
