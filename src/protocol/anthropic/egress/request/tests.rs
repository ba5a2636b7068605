//! What is sent to Anthropic, what is lost on the way, and that what both sides can say comes back.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    chat::{
        content::{
            Audio, Call, Content, Document, DocumentSource, Image, Input, Media, Output, Reasoning, Text,
            ToolResult,
        },
        request::{Amount, Effort, Message, Role, Sampling, Thinking, Tool, ToolChoice, ToolInput},
        signature::{Maker, Signature},
    },
    protocol::anthropic::{ingress, tests::golden},
};

const TARGET: Target<'_> = Target {
    model: "claude-sonnet-4-5",
    max_tokens: 4096,
    stream_usage: true,
    max_completion_tokens: true,
    reasoning_details: true,
};

fn message(role: Role, content: Vec<Content<'_>>) -> Message<'_> {
    Message { role, content, at: 0 }
}

fn user(content: Vec<Content<'_>>) -> Message<'_> {
    message(Role::User, content)
}

fn call(id: &'static str, input: &'static str) -> Content<'static> {
    let input = Input::Json(input.into());
    Content::Call(Call { id: id.into(), name: "f".into(), input, signature: None })
}

fn result(id: &'static str, content: Vec<Output<'static>>) -> Content<'static> {
    Content::Result(ToolResult { id: id.into(), name: None, content, error: false, cache: None })
}

#[track_caller]
fn sent(request: &Request<'_>) -> (Value, Vec<Parameter>) {
    sent_to(request, TARGET.model)
}

#[track_caller]
fn sent_to(request: &Request<'_>, model: &str) -> (Value, Vec<Parameter>) {
    let mut losses = Losses::default();
    let body = write(request, &Target { model, ..TARGET }, &mut losses).unwrap();
    (serde_json::from_slice(&body).unwrap(), losses.iter().collect())
}

#[test]
fn a_plain_request_is_small() {
    let messages = vec![message(Role::System, vec![Content::text("s")]), user(vec![Content::text("Hello")])];
    let body = write(&Request { messages, ..Request::default() }, &TARGET, &mut Losses::default()).unwrap();
    insta::assert_snapshot!(
        String::from_utf8(body).unwrap(),
        @r#"{"model":"claude-sonnet-4-5","max_tokens":4096,"system":"s","messages":[{"role":"user","content":"Hello"}]}"#
    );
}

#[test]
fn the_conversation_is_put_as_anthropic_wants_it() {
    let signed = |maker, redacted| {
        let signature = Some(Signature::new(maker, "sig"));
        Content::Reasoning(Reasoning { text: "hm".into(), signature, redacted })
    };
    let unsigned = Content::Reasoning(Reasoning { text: "hm".into(), ..Reasoning::default() });
    let image = Image { media: Media::Url("https://u".into()), detail: Some("low".into()), cache: None };
    let messages = vec![
        message(Role::System, vec![Content::text("one")]),
        user(vec![Content::text(""), Content::text("a")]),
        message(
            Role::Assistant,
            vec![
                signed(Maker::Anthropic, false),
                signed(Maker::Anthropic, true),
                signed(Maker::OpenAi, true),
                unsigned,
                Content::Refusal("no".into()),
                call("functions.f:0", r#"{"x": 1.0}"#),
                call("ok-1", ""),
            ],
        ),
        message(Role::System, vec![Content::text("two")]),
        user(vec![Content::text("between")]),
        user(vec![
            result("functions.f:0", vec![Output::Text("r".into())]),
            result("ok-1", vec![Output::Text("".into()), Output::Image(image.clone())]),
        ]),
        user(vec![Content::Image(image)]),
    ];
    let (body, lost) = sent(&Request { messages, ..Request::default() });
    assert_eq!(lost, [Parameter::Thought, Parameter::Detail]);
    let conversation = json!({"system": body["system"], "messages": body["messages"]});
    golden("conversation", &serde_json::to_string_pretty(&conversation).unwrap());
}

#[test]
fn documents_are_sent_as_what_the_model_reads() {
    let document = |mime: &'static str, base64: &'static str| {
        let source = DocumentSource::Media(Media::Data { mime: mime.into(), base64: base64.into() });
        vec![user(vec![
            Content::text("x"),
            Content::Document(Document { source, name: Some("n".into()), cache: None }),
        ])]
    };
    let source = |mime, base64| {
        let (body, _) = sent(&Request { messages: document(mime, base64), ..Request::default() });
        body["messages"][0]["content"][1]["source"].clone()
    };
    assert_eq!(
        source("application/pdf", "AA=="),
        json!({"type":"base64","media_type":"application/pdf","data":"AA=="})
    );
    assert_eq!(source("text/markdown", "SGk="), json!({"type":"text","media_type":"text/plain","data":"Hi"}));
    let word = Request { messages: document("application/msword", "AA=="), ..Request::default() };
    let refused = write(&word, &TARGET, &mut Losses::default()).unwrap_err();
    assert_eq!((refused.message, refused.part), (Some(0), 1));
    assert_eq!(ingress::place(&refused), "messages[0].content[1]");
}

#[test]
fn content_that_cannot_be_carried_is_refused() {
    let audio = Content::Audio(Audio { mime: "audio/wav".into(), base64: "AA==".into() });
    let file = Image { media: Media::Id("file-1".into()), detail: None, cache: None };
    for content in [audio, Content::Image(file.clone()), result("t", vec![Output::Image(file)])] {
        let request = Request { messages: vec![user(vec![content])], ..Request::default() };
        assert!(write(&request, &TARGET, &mut Losses::default()).is_err());
    }
}

#[test]
fn what_anthropic_cannot_say_is_named() {
    let number = |n: f64| Number::from_f64(n);
    let sampling = Sampling {
        temperature: number(1.5),
        seed: Some(1.into()),
        frequency_penalty: number(0.5),
        choices: Some(2),
        logprobs: Some(true),
        stop: vec![" \n".into(), "x".into()],
        ..Sampling::default()
    };
    let hints = Hints {
        service_tier: Some("flex".into()),
        store: Some(true),
        user: Some("u".into()),
        ..Hints::default()
    };
    let (body, lost) =
        sent(&Request { sampling, hints, format: Some(Format::JsonObject), ..Request::default() });
    let names: Vec<_> = lost.into_iter().map(|parameter| format!("{parameter:?}")).collect();
    insta::assert_snapshot!(names.join(" "), @"Temperature Stop Seed FrequencyPenalty Choices Logprobs Format Store ServiceTier");
    assert_eq!((&body["stop_sequences"], &body["metadata"]["user_id"]), (&json!(["x"]), &json!("u")));
}

#[test]
fn thinking_takes_what_it_does_not_go_with() {
    let sampling =
        Sampling { temperature: Number::from_f64(0.5), top_k: Some(5.into()), ..Sampling::default() };
    let reasoning = Some(Thinking { amount: Some(Amount::Effort(Effort::High)), ..Thinking::default() });
    let tools = vec![tool("f")];
    let request = Request {
        sampling,
        reasoning,
        tools,
        tool_choice: Some(ToolChoice::Required),
        parallel_calls: Some(false),
        ..Request::default()
    };
    let (body, lost) = sent(&request);
    assert_eq!(lost, [Parameter::Temperature, Parameter::TopK, Parameter::ToolChoice]);
    assert_eq!(body["thinking"], json!({"type": "enabled", "budget_tokens": 24_576}));
    assert_eq!(body["max_tokens"], 28_672);
    assert_eq!(body["tool_choice"], json!({"type": "auto", "disable_parallel_tool_use": true}));
    assert_eq!(body["temperature"], Value::Null);
    let (body, _) = sent_to(&request, "claude-opus-4-8");
    assert_eq!(
        (&body["thinking"], &body["output_config"]),
        (&json!({"type": "adaptive"}), &json!({"effort": "high"}))
    );
}

#[test]
fn there_is_no_budget_while_calls_without_thinking_are_answered() {
    let reasoning = Some(Thinking { amount: Some(Amount::Effort(Effort::Low)), ..Thinking::default() });
    let turns = |first: Vec<Content<'static>>| {
        let content = first.into_iter().chain([call("t", "{}")]).collect();
        let messages = vec![
            user(vec![Content::text("a")]),
            message(Role::Assistant, content),
            user(vec![result("t", vec![])]),
        ];
        sent(&Request { messages, reasoning: reasoning.clone(), ..Request::default() })
    };
    let (body, lost) = turns(vec![]);
    assert_eq!((&body["thinking"], lost), (&Value::Null, vec![Parameter::Effort]));
    let signature = Some(Signature::new(Maker::Anthropic, "EqQ"));
    let (body, lost) =
        turns(vec![Content::Reasoning(Reasoning { text: "".into(), signature, redacted: false })]);
    assert_eq!((&body["thinking"]["type"], lost), (&json!("enabled"), vec![]));
}

fn tool(name: &'static str) -> Tool<'static> {
    let input = ToolInput::Schema(Json::parse(r#"{"type":"object","x":1e2}"#.to_owned()));
    Tool { name: name.into(), description: Some("d".into()), input, strict: None, cache: None }
}

#[test]
fn tools_pass_as_they_are_written_and_choices_by_meaning() {
    let free = Tool { input: ToolInput::Text(None), ..tool("free") };
    let bare = Tool { input: ToolInput::Schema(None), ..tool("bare") };
    let closed =
        ToolInput::Schema(Json::parse(r#"{"type":"object","additionalProperties":false}"#.to_owned()));
    let strict = Tool { input: closed, strict: Some(true), ..tool("strict") };
    let tools = vec![tool("f"), free, bare, strict];
    let written = |tool_choice| {
        let request = Request { tools: tools.clone(), tool_choice, ..Request::default() };
        String::from_utf8(write(&request, &TARGET, &mut Losses::default()).unwrap()).unwrap()
    };
    golden("tools", &written(None));
    let among = |required| ToolChoice::Among { names: vec!["f".into()], required };
    for (choice, expected) in [
        (ToolChoice::Auto, r#""tool_choice":{"type":"auto"}"#),
        (ToolChoice::None, r#""tool_choice":{"type":"none"}"#),
        (ToolChoice::Required, r#""tool_choice":{"type":"any"}"#),
        (ToolChoice::Named("f".into()), r#""tool_choice":{"type":"tool","name":"f"}"#),
        (among(true), r#""tool_choice":{"type":"any"}"#),
        (among(false), r#""tool_choice":{"type":"auto"}"#),
    ] {
        let only = matches!(choice, ToolChoice::Among { .. });
        let body = written(Some(choice));
        assert!(body.contains(expected) && body.contains("free") != only, "{body}");
    }
    let open = Tool { strict: Some(true), ..tool("open") };
    assert_eq!(sent(&Request { tools: vec![open], ..Request::default() }).1, [Parameter::Strict]);
    let (body, lost) = sent(&Request { tool_choice: Some(ToolChoice::Required), ..Request::default() });
    assert_eq!((&body["tool_choice"], lost), (&Value::Null, vec![Parameter::ToolChoice]));
}

#[test]
fn a_count_is_asked_for_without_what_does_not_change_it() {
    let sampling = Sampling { max_tokens: Some(5), temperature: Some(1.into()), ..Sampling::default() };
    let request = Request {
        messages: vec![user(vec![Content::text("a")])],
        sampling,
        stream: true,
        ..Request::default()
    };
    let body = String::from_utf8(write_count(&request, &TARGET).unwrap()).unwrap();
    assert_eq!(body, r#"{"model":"claude-sonnet-4-5","messages":[{"role":"user","content":"a"}]}"#);
}

#[test]
fn an_answer_to_be_gone_on_with_ends_in_a_word_and_blanks_alone_are_no_part() {
    let said = |role, text: &'static str| message(role, vec![Content::text(text)]);
    let messages = vec![
        user(vec![Content::text(" "), Content::text("a ")]),
        said(Role::Assistant, "\n"),
        said(Role::User, "b"),
        message(Role::Assistant, vec![Content::text("one "), Content::text("two \n")]),
    ];
    let (body, lost) = sent(&Request { messages, ..Request::default() });
    let expected = json!([
        {"role": "user", "content": [{"type": "text", "text": "a "}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]},
    ]);
    assert_eq!((&body["messages"], lost), (&expected, vec![]));
}

/// A part of a message that both sides can say.
fn content(role: Role) -> BoxedStrategy<Content<'static>> {
    let cache = prop::option::of(Just(()))
        .prop_map(|c| c.and_then(|()| Json::parse(r#"{"type":"ephemeral"}"#.to_owned())));
    // Neither blank nor ending in blanks.
    let text = ("[a-zü\"\\\\ ]{0,5}[a-zü]", cache.clone())
        .prop_map(|(text, cache)| Content::Text(Text { text: text.into(), cache, signature: None }));
    let image = ("[A-Z]{4}", cache).prop_map(|(data, cache)| {
        let media = Media::Data { mime: "image/png".into(), base64: data.into() };
        Content::Image(Image { media, detail: None, cache })
    });
    let thinking = ("[a-z]{0,4}", "[a-zA-Z0-9+/]{4}").prop_map(|(text, value)| {
        let signature = Some(Signature::new(Maker::Anthropic, value));
        Content::Reasoning(Reasoning { text: text.into(), signature, redacted: false })
    });
    let call = ("[a-z_]{1,4}", "[a-z]{1,4}").prop_map(|(id, value)| {
        let input = Input::Json(json!({"v": value}).to_string().into());
        Content::Call(Call { id: id.into(), name: "f".into(), input, signature: None })
    });
    let url = "[a-z]{1,4}".prop_map(|url| {
        let source = DocumentSource::Media(Media::Url(url.into()));
        Content::Document(Document { source, name: Some("n".into()), cache: None })
    });
    match role {
        Role::User => prop_oneof![text, image, url].boxed(),
        _ => prop_oneof![text, thinking, call].boxed(),
    }
}

proptest! {
    #[test]
    fn what_both_sides_can_say_comes_back(
        turns in prop::collection::vec(
            (prop::collection::vec(content(Role::User), 1..4), prop::collection::vec(content(Role::Assistant), 1..4)),
            0..4,
        ),
        system in prop::option::of("[a-z]{1,4}"),
        max_tokens in 1..100_000u64,
        top_p in prop::option::of(0..100u8),
        stop in prop::collection::vec("[a-z]{1,3}", 0..3),
        stream in any::<bool>(),
    ) {
        let mut messages: Vec<Message<'_>> = Vec::new();
        messages.extend(system.into_iter().map(|text| message(Role::System, vec![Content::text(text)])));
        for (at, (asked, said)) in turns.into_iter().enumerate() {
            messages.push(Message { role: Role::User, content: asked, at: 2 * at });
            messages.push(Message { role: Role::Assistant, content: said, at: 2 * at + 1 });
        }
        let sampling = Sampling {
            max_tokens: Some(max_tokens),
            top_p: top_p.and_then(|percent| Number::from_f64(f64::from(percent) / 100.0)),
            stop: stop.into_iter().map(Into::into).collect(),
            ..Sampling::default()
        };
        let request = Request { messages, sampling, stream, tools: vec![tool("f")], ..Request::default() };
        let mut losses = Losses::default();
        let body = write(&request, &TARGET, &mut losses).unwrap();
        prop_assert_eq!(losses, Losses::default());
        prop_assert_eq!(ingress::request::read(&body).unwrap(), request);
    }
}
