//! What is sent to Bedrock, and what is lost on the way.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    chat::{
        content::{
            Audio, Call, Content, Document, DocumentSource, Image, Input, Media, Output, Reasoning, Text,
            ToolResult,
        },
        json::Json,
        request::{Effort, Message, Role, Thinking as Asked, Tool, ToolChoice, ToolInput},
        signature::{Maker, Signature},
    },
    protocol::bedrock::{egress::response, tests::golden},
};

const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
const NOVA: &str = "us.amazon.nova-2-lite-v1:0";
const LLAMA: &str = "meta.llama3-1-70b-instruct-v1:0";

fn user(content: Vec<Content<'_>>) -> Message<'_> {
    Message { role: Role::User, content, at: 0 }
}

fn assistant(content: Vec<Content<'_>>) -> Message<'_> {
    Message { role: Role::Assistant, content, at: 1 }
}

fn of(messages: Vec<Message<'_>>) -> Request<'_> {
    Request { messages, ..Request::default() }
}

fn call(id: &'static str, name: &'static str, input: &'static str) -> Content<'static> {
    let input = Input::Json(input.into());
    Content::Call(Call { id: id.into(), name: name.into(), input, signature: None })
}

fn result(id: &'static str, content: Vec<Output<'static>>, error: bool) -> Content<'static> {
    Content::Result(ToolResult { id: id.into(), name: None, content, error, cache: None })
}

fn marked(text: &'static str, marker: &str) -> Content<'static> {
    Content::Text(Text { text: text.into(), cache: Json::parse(marker.to_owned()), signature: None })
}

fn tool(name: &'static str) -> Tool<'static> {
    let schema = Json::parse(
        r#"{"type":"object","properties":{"x":{"type":"number"}},"additionalProperties":false}"#.into(),
    );
    let input = ToolInput::Schema(schema);
    Tool { name: name.into(), description: Some("does it".into()), input, strict: None, cache: None }
}

fn image(mime: &'static str) -> Image<'static> {
    let media = Media::Data { mime: mime.into(), base64: "AA==".into() };
    Image { media, detail: None, cache: None }
}

fn document(mime: &'static str, name: Option<&'static str>) -> Document<'static> {
    let media = Media::Data { mime: mime.into(), base64: "AA==".into() };
    Document { source: DocumentSource::Media(media), name: name.map(Into::into), cache: None }
}

fn written(request: &Request<'_>, model: &str, losses: &mut Losses) -> Result<Vec<u8>, Unsupported> {
    let (max_tokens, stream_usage) = (4096, true);
    let (max_completion_tokens, reasoning_details) = (true, true);
    let target = Target { model, max_tokens, stream_usage, max_completion_tokens, reasoning_details };
    write(request, &target, losses)
}

#[track_caller]
fn sent_to(model: &str, request: &Request<'_>) -> (Value, Vec<Parameter>) {
    let mut losses = Losses::default();
    let body = written(request, model, &mut losses).unwrap();
    (serde_json::from_slice(&body).unwrap(), losses.iter().collect())
}

#[track_caller]
fn sent(request: &Request<'_>) -> (Value, Vec<Parameter>) {
    sent_to(CLAUDE, request)
}

fn refused(request: &Request<'_>) -> Unsupported {
    written(request, CLAUDE, &mut Losses::default()).unwrap_err()
}

#[test]
fn a_plain_request_is_small() {
    let system = Message { role: Role::System, content: vec![Content::text("s")], at: 0 };
    let request = of(vec![system, user(vec![Content::text("Hello")])]);
    let body = written(&request, CLAUDE, &mut Losses::default()).unwrap();
    insta::assert_snapshot!(
        String::from_utf8(body).unwrap(),
        @r#"{"messages":[{"role":"user","content":[{"text":"Hello"}]}],"system":[{"text":"s"}]}"#
    );
}

#[test]
fn the_conversation_is_put_as_bedrock_wants_it() {
    let signed = |maker, redacted| {
        let signature = Some(Signature::new(maker, "sig"));
        Content::Reasoning(Reasoning { text: "hm".into(), signature, redacted })
    };
    let unsigned = Content::Reasoning(Reasoning { text: "hm".into(), ..Reasoning::default() });
    let json = Output::Json(Json::parse(r#"{"x":1.0}"#.into()).unwrap());
    let list = Output::Json(Json::parse("[1]".into()).unwrap());
    let messages = vec![
        user(vec![Content::text(" \n"), Content::text("a")]),
        assistant(vec![
            signed(Maker::Anthropic, false),
            signed(Maker::Anthropic, true),
            signed(Maker::Bedrock, true),
            signed(Maker::OpenAi, true),
            unsigned,
            Content::Refusal("no".into()),
            call("functions.f:0", "f", r#"{"x": 1.0}"#),
            call("ok-1", "f", ""),
        ]),
        user(vec![Content::text("between")]),
        user(vec![
            result("functions.f:0", vec![Output::Text("r".into()), json, list], false),
            result("ok-1", vec![Output::Text("".into()), Output::Image(image("image/png"))], true),
        ]),
        user(vec![
            Content::Image(image("image/jpeg")),
            Content::Document(document("text/csv", Some("n.csv"))),
        ]),
    ];
    let (body, lost) = sent(&of(messages));
    assert_eq!(lost, [Parameter::Thought]);
    golden("conversation", &serde_json::to_string_pretty(&body).unwrap());
}

#[test]
fn roles_alternate_also_where_a_turn_says_nothing() {
    let thought = Content::Reasoning(Reasoning { text: "hm".into(), ..Reasoning::default() });
    let said = |text| user(vec![Content::text(text)]);
    let (body, _) = sent(&of(vec![said("a"), assistant(vec![thought]), said(" "), said("b")]));
    assert_eq!(body["messages"], json!([{"role": "user", "content": [{"text": "a"}, {"text": "b"}]}]));
}

#[test]
fn models_that_know_no_mark_are_told_an_error_in_words() {
    let failed = |content| of(vec![user(vec![result("t", content, true)])]);
    let content =
        |request: &Request<'_>| sent_to(LLAMA, request).0["messages"][0]["content"][0]["toolResult"].clone();
    assert_eq!(
        content(&failed(vec![Output::Text("boom".into())])),
        json!({"toolUseId": "t", "content": [{"text": "Error: boom"}]})
    );
    assert_eq!(content(&failed(vec![])), json!({"toolUseId": "t", "content": [{"text": "Error:"}]}));
}

#[test]
fn an_answer_that_a_claude_is_to_go_on_with_ends_in_a_word() {
    let request = of(vec![
        assistant(vec![Content::text("a ")]),
        user(vec![Content::text("b ")]),
        assistant(vec![Content::text("c "), Content::text("d \n")]),
    ]);
    let texts = |model| {
        let (body, lost) = sent_to(model, &request);
        let all =
            body["messages"].as_array().unwrap().iter().flat_map(|turn| turn["content"].as_array().unwrap());
        (all.map(|block| block["text"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join("|"), lost)
    };
    assert_eq!(texts(CLAUDE), ("a |b |c |d".to_owned(), vec![]));
    assert_eq!(texts(LLAMA), ("a |b |c |d \n".to_owned(), vec![]));
}

#[test]
fn reasoning_goes_back_to_the_models_of_its_maker_only() {
    let signature = Some(Signature::new(Maker::Anthropic, "s"));
    let thought = Content::Reasoning(Reasoning { text: "hm".into(), signature, redacted: false });
    let request = of(vec![assistant(vec![thought, Content::text("a")])]);
    let count = |model| sent_to(model, &request).0["messages"][0]["content"].as_array().unwrap().len();
    assert_eq!((count(CLAUDE), count(NOVA)), (2, 1));
}

#[test]
fn cache_points_stand_where_the_markers_are_but_not_behind_documents() {
    let ephemeral = r#"{"type":"ephemeral"}"#;
    let mut file = document("application/pdf", None);
    file.cache = Json::parse(ephemeral.to_owned());
    let files = vec![Content::Document(file.clone()), Content::Document(file.clone())];
    let messages = vec![
        Message {
            role: Role::System,
            content: vec![marked("s", r#"{"type":"ephemeral","ttl":"1h"}"#)],
            at: 0,
        },
        user([vec![Content::text("a")], files.clone()].concat()),
    ];
    let (body, lost) = sent(&of(messages.clone()));
    assert_eq!(lost, []);
    assert_eq!(body["system"], json!([{"text": "s"}, {"cachePoint": {"type": "default", "ttl": "1h"}}]));
    let kinds = |body: &Value| {
        let blocks = body["messages"][0]["content"].as_array().unwrap();
        blocks
            .iter()
            .map(|block| block.as_object().unwrap().keys().next().unwrap().clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(kinds(&body), ["text", "cachePoint", "document", "document"]);
    // Nothing that a point could stand behind; a model without a cache; one with short caches only.
    assert_eq!(sent(&of(vec![user(files)])).1, [Parameter::CacheControl]);
    let (body, lost) = sent_to(LLAMA, &of(messages.clone()));
    assert_eq!((kinds(&body).len(), lost), (3, vec![Parameter::CacheControl]));
    let (body, lost) = sent_to("anthropic.claude-3-7-sonnet-20250219-v1:0", &of(messages));
    assert_eq!(body["system"][1], json!({"cachePoint": {"type": "default"}}));
    assert_eq!(lost, [Parameter::CacheControl]);
}

#[test]
fn content_that_cannot_be_carried_is_refused() {
    let audio = Content::Audio(Audio { mime: "audio/wav".into(), base64: "AA==".into() });
    let by = |media| Content::Image(Image { media, detail: None, cache: None });
    for content in [
        audio,
        by(Media::Url("https://u".into())),
        by(Media::Id("file-1".into())),
        Content::Image(image("image/tiff")),
        Content::Document(document("application/zip", None)),
        result("t", vec![Output::Image(image("image/tiff"))], false),
        call("t", "not a name", "{}"),
    ] {
        let refused = refused(&of(vec![user(vec![Content::text("a"), content])]));
        assert_eq!((refused.message, refused.part), (Some(0), 1), "{}", refused.why);
    }
    let system = Message { role: Role::System, content: vec![Content::Image(image("image/png"))], at: 4 };
    assert_eq!(refused(&of(vec![system])).message, Some(4));
}

#[test]
fn tools_are_sent_as_bedrock_has_them() {
    let mut strict = tool("strict");
    strict.strict = Some(true);
    strict.cache = Json::parse(r#"{"type":"ephemeral"}"#.into());
    let free = Tool { input: ToolInput::Text(None), description: None, ..tool("free") };
    let bare = Tool { input: ToolInput::Schema(None), description: Some("".into()), ..tool("bare") };
    let tools = vec![strict, free, bare];
    let request =
        Request { tools, tool_choice: Some(ToolChoice::Named("free".into())), ..Request::default() };
    let (body, lost) = sent(&request);
    assert_eq!(lost, []);
    golden("tools", &serde_json::to_string_pretty(&body["toolConfig"]).unwrap());
    let (body, lost) = sent_to(LLAMA, &request);
    assert_eq!(lost, [Parameter::Strict, Parameter::CacheControl, Parameter::ToolChoice]);
    assert_eq!(body["toolConfig"]["tools"].as_array().unwrap().len(), 3);
    assert_eq!(body["toolConfig"]["toolChoice"], Value::Null);
}

#[test]
fn whether_a_tool_must_be_called_is_said_as_far_as_it_can_be() {
    let choice = |tool_choice, history: &[Message<'static>]| {
        let tools = vec![tool("f"), tool("g")];
        let request = Request {
            tools,
            tool_choice: Some(tool_choice),
            messages: history.to_vec(),
            ..Request::default()
        };
        let (body, lost) = sent(&request);
        let count = body["toolConfig"]["tools"].as_array().map(Vec::len);
        (body["toolConfig"]["toolChoice"].clone(), count, lost.len())
    };
    assert_eq!(choice(ToolChoice::Auto, &[]), (Value::Null, Some(2), 0));
    assert_eq!(choice(ToolChoice::Required, &[]), (json!({"any": {}}), Some(2), 0));
    let among = ToolChoice::Among { names: vec!["g".into()], required: true };
    assert_eq!(choice(among, &[]), (json!({"any": {}}), Some(1), 0));
    assert_eq!(choice(ToolChoice::None, &[]), (Value::Null, None, 0));
    // The history has calls, which are refused without tools.
    let history = [assistant(vec![call("t", "f", "{}")])];
    assert_eq!(choice(ToolChoice::None, &history), (Value::Null, Some(2), 1));
}

#[test]
fn tools_that_were_called_are_named_when_the_client_names_none() {
    let request = of(vec![assistant(vec![call("t", "f", "{}"), call("u", "g", "{}"), call("v", "f", "{}")])]);
    let (body, lost) = sent(&request);
    let spec = |name| json!({"toolSpec": {"name": name, "inputSchema": {"json": {"type": "object"}}}});
    assert_eq!((&body["toolConfig"], lost), (&json!({"tools": [spec("f"), spec("g")]}), vec![]));
}

#[test]
fn a_tool_by_a_name_that_is_not_taken_is_refused_in_plain_words() {
    let long: &'static str = "a".repeat(65).leak();
    for name in ["a.b", "", long] {
        let refused = refused(&Request { tools: vec![tool("f"), tool(name)], ..Request::default() });
        assert_eq!((refused.message, refused.part), (None, 1));
        assert!(refused.why.contains("1 to 64 letters, digits, `_` and `-`") && refused.why.len() < 200);
    }
}

#[test]
fn what_bedrock_cannot_say_is_named() {
    let number = |n: f64| Number::from_f64(n);
    let sampling = Sampling {
        max_tokens: Some(9),
        temperature: number(1.5),
        top_p: number(0.5),
        top_k: Some(3.into()),
        seed: Some(1.into()),
        presence_penalty: number(0.5),
        choices: Some(2),
        logprobs: Some(true),
        stop: vec![" \n".into(), "x".into()],
        ..Sampling::default()
    };
    let hints = Hints { store: Some(true), user: Some("u".into()), ..Hints::default() };
    let request = Request { sampling, hints, format: Some(Format::JsonObject), ..Request::default() };
    let (body, lost) = sent(&request);
    let names: Vec<_> = lost.into_iter().map(|parameter| format!("{parameter:?}")).collect();
    insta::assert_snapshot!(names.join(" "), @"Temperature Stop Seed PresencePenalty Choices Logprobs User Store Format");
    let expected = json!({"maxTokens": 9, "topP": 0.5, "stopSequences": ["x"]});
    assert_eq!(body["inferenceConfig"], expected);
    assert_eq!(body["additionalModelRequestFields"], json!({"top_k": 3}));
    assert_eq!(body["additionalModelResponseFieldPaths"], json!(["/stop_sequence", "/delta/stop_sequence"]));
    let (body, _) = sent_to(NOVA, &request);
    assert_eq!(body["additionalModelRequestFields"], json!({"inferenceConfig": {"topK": 3}}));
    let (body, lost) = sent_to(LLAMA, &request);
    assert_eq!(body["additionalModelRequestFields"], Value::Null);
    assert_eq!(body["additionalModelResponseFieldPaths"], Value::Null);
    assert!(lost.contains(&Parameter::TopK));
}

#[test]
fn what_every_model_does_anyway_is_no_loss() {
    let (zero, one) = (Number::from_f64(0.0), Some(1.into()));
    let sampling = Sampling {
        top_p: one.clone(),
        temperature: one,
        frequency_penalty: zero.clone(),
        presence_penalty: zero,
        logit_bias: Json::parse("{}".to_owned()),
        choices: Some(1),
        ..Sampling::default()
    };
    let request = Request { sampling, ..of(vec![]) };
    assert_eq!(sent_to("anthropic.claude-opus-4-7", &request).1, []);
}

#[test]
fn metadata_goes_along_where_it_would_not_be_refused() {
    for (metadata, taken) in [
        (r#"{"team":"a/b","run":"7"}"#, true),
        (r#"{"empty":""}"#, true),
        ("{}", false),
        (r#"{"n":1}"#, false),
        (r#"{"name":"Zoë"}"#, false),
    ] {
        let hints = Hints { metadata: Json::parse(metadata.to_owned()), ..Hints::default() };
        let (body, lost) = sent(&Request { hints, ..of(vec![]) });
        assert_eq!(body["requestMetadata"].is_object(), taken, "{metadata}");
        assert_eq!(lost.contains(&Parameter::Metadata), !taken, "{metadata}");
    }
}

#[test]
fn a_claude_thinks_and_others_are_not_told() {
    let reasoning = Some(Asked { amount: Some(Amount::Effort(Effort::High)), ..Asked::default() });
    let sampling = Sampling { top_k: Some(5.into()), ..Sampling::default() };
    let tools = vec![tool("f")];
    let tool_choice = Some(ToolChoice::Required);
    let request = Request { sampling, reasoning, tools, tool_choice, ..Request::default() };
    let (body, lost) = sent(&request);
    assert_eq!(lost, [Parameter::ToolChoice, Parameter::TopK]);
    let thinking = json!({"thinking": {"type": "enabled", "budget_tokens": 24_576}});
    assert_eq!(body["additionalModelRequestFields"], thinking);
    assert_eq!(body["inferenceConfig"], json!({"maxTokens": 28_672}));
    let (body, _) = sent_to("global.anthropic.claude-opus-4-7-v1:0", &request);
    let thinking = json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}});
    assert_eq!(body["additionalModelRequestFields"], thinking);
    assert_eq!(body["inferenceConfig"], Value::Null);
    assert!(sent_to(NOVA, &request).1.contains(&Parameter::Effort));
    let off =
        Request { reasoning: Some(Asked { amount: Some(Amount::Off), ..Asked::default() }), ..of(vec![]) };
    assert_eq!(sent_to(NOVA, &off).1, []);
}

#[test]
fn the_form_of_the_answer_has_its_schema_as_text() {
    let schema = Json::parse(r#"{"type":"object","properties":{"n":{"type":"integer","minimum":1}}}"#.into());
    let format = Format::Schema {
        name: Some("answer".into()),
        description: None,
        schema: schema.unwrap(),
        strict: None,
    };
    let request = Request { format: Some(format), ..Request::default() };
    let (body, lost) = sent(&request);
    assert_eq!(lost, [Parameter::FormatKeyword]);
    let schema = r#"{"type":"object","properties":{"n":{"type":"integer"}},"additionalProperties":false}"#;
    let expected = json!({"textFormat": {
        "type": "json_schema",
        "structure": {"jsonSchema": {"name": "answer", "schema": schema}},
    }});
    assert_eq!(body["outputConfig"], expected);
    assert_eq!(sent_to(NOVA, &request).1, [Parameter::Format]);
}

/// Content that both an answer and a request can have.
fn content() -> impl Strategy<Value = Content<'static>> {
    let text = "[a-zé\"\\\\\n]{0,9}x";
    prop_oneof![
        text.prop_map(Content::text),
        ("[a-zA-Z0-9_-]{1,20}", "[a-z_]{1,9}", text).prop_map(|(id, name, text)| {
            let input = Input::Json(json!({"k": text}).to_string().into());
            Content::Call(Call { id: id.into(), name: name.into(), input, signature: None })
        }),
        (text, "[a-zA-Z0-9+/]{1,9}").prop_map(|(text, value)| {
            let signature = Some(Signature::new(Maker::Anthropic, value));
            Content::Reasoning(Reasoning { text: text.into(), signature, redacted: false })
        }),
        "[a-zA-Z0-9+/=]{1,9}".prop_map(|value| {
            let signature = Some(Signature::new(Maker::Anthropic, value));
            Content::Reasoning(Reasoning { text: "".into(), signature, redacted: true })
        }),
    ]
}

proptest! {
    /// A turn of the model that is sent back reads as the answer that it was.
    #[test]
    fn a_turn_of_the_model_comes_back_as_it_was(content in prop::collection::vec(content(), 1..6)) {
        let (mut body, lost) = sent(&of(vec![assistant(content.clone())]));
        prop_assert_eq!(lost, vec![]);
        let answer = json!({"output": {"message": body["messages"][0].take()}}).to_string();
        let mut read = response::read(answer.as_bytes(), "u").unwrap();
        prop_assert_eq!(read.choices.remove(0).content, content);
    }
}
