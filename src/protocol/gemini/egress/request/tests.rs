//! Tests.

use super::*;
use crate::chat::{
    content::{
        Audio, Call, Content as Said, Document, DocumentSource, Image, Input, Media, Output, Reasoning, Text,
        ToolResult,
    },
    json::Json,
    request::{Format, Message, Role, Sampling, Tool, ToolChoice, ToolInput},
    signature::{Maker, Signature},
};

const TARGET: Target<'_> = Target {
    model: "gemini-2.5-flash",
    max_tokens: 1,
    stream_usage: true,
    max_completion_tokens: true,
    reasoning_details: true,
};

fn message(role: Role, content: Vec<Said<'static>>) -> Message<'static> {
    Message { role, content, at: 3 }
}

fn json(text: &str) -> Json<'static> {
    Json::parse(text.to_owned()).unwrap()
}

#[track_caller]
fn written(request: &Request<'_>, target: &Target<'_>) -> (String, Vec<Parameter>) {
    let mut losses = Losses::default();
    let body = write(request, target, &mut losses).unwrap();
    (String::from_utf8(body).unwrap(), losses.iter().collect())
}

#[track_caller]
fn contents(messages: Vec<Message<'static>>) -> String {
    let (body, lost) = written(&Request { messages, ..Request::default() }, &TARGET);
    assert_eq!(lost, []);
    body
}

fn call(id: &'static str, signature: Option<Signature<'static>>) -> Said<'static> {
    Said::Call(Call { id: id.into(), name: "f".into(), input: Input::Json("{}".into()), signature })
}

fn result(id: &'static str, content: Vec<Output<'static>>, error: bool) -> Said<'static> {
    Said::Result(ToolResult { id: id.into(), name: None, content, error, cache: None })
}

fn image(media: Media<'static>) -> Image<'static> {
    Image { media, detail: None, cache: None }
}

#[test]
fn the_name_of_data_is_named_as_lost() {
    let media = Media::Data { mime: "application/pdf".into(), base64: "QQ==".into() };
    let document = |name: Option<&'static str>| Document {
        source: DocumentSource::Media(media.clone()),
        name: name.map(Into::into),
        cache: None,
    };
    let said = vec![Said::Document(document(Some("a.pdf"))), Said::Document(document(None))];
    let messages = vec![message(Role::User, said)];
    let (body, lost) = written(&Request { messages, ..Request::default() }, &TARGET);
    assert_eq!(lost, [Parameter::DocumentName]);
    assert_eq!(
        body,
        r#"{"contents":[{"parts":[{"inlineData":{"mimeType":"application/pdf","data":"QQ=="}},{"inlineData":{"mimeType":"application/pdf","data":"QQ=="}}],"role":"user"}]}"#
    );
}

#[test]
fn turns_of_one_role_are_one_and_results_stand_first() {
    let text = |text: &'static str| Output::Text(text.into());
    insta::assert_snapshot!(
        contents(vec![
            message(Role::System, vec![Said::text("s1")]),
            message(Role::User, vec![Said::text("hi"), Said::text("")]),
            message(Role::Assistant, vec![call("a:1", None), call("b", None)]),
            message(Role::User, vec![Said::text("and"), result("a:1", vec![text("plain")], false)]),
            message(Role::System, vec![Said::text("s2")]),
            message(Role::User, vec![result("b", vec![text(r#"{"x":1}"#)], false)]),
        ]),
        @r#"{"contents":[{"parts":[{"text":"hi"}],"role":"user"},{"parts":[{"functionCall":{"id":"a:1","name":"f","args":{}},"thoughtSignature":"c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="},{"functionCall":{"id":"b","name":"f","args":{}}}],"role":"model"},{"parts":[{"functionResponse":{"id":"a:1","name":"f","response":{"result":"plain"}}},{"functionResponse":{"id":"b","name":"f","response":{"x":1}}},{"text":"and"}],"role":"user"}],"systemInstruction":{"parts":[{"text":"s1"},{"text":"s2"}]}}"#
    );
}

#[test]
fn only_googles_signatures_are_restored() {
    let sig = |maker| Some(Signature::new(maker, "sig"));
    let reasoning = |text: &'static str, signature| {
        Said::Reasoning(Reasoning { text: text.into(), signature, redacted: false })
    };
    let said = vec![
        reasoning("google's", sig(Maker::Google)),
        reasoning("", sig(Maker::Google)),
        reasoning("unsigned", None),
        reasoning("anthropic's", sig(Maker::Anthropic)),
        Said::Text(Text { text: "a".into(), cache: None, signature: sig(Maker::Anthropic) }),
        call("a", sig(Maker::Google)),
    ];
    let messages = vec![message(Role::Assistant, said)];
    let (body, lost) = written(&Request { messages, ..Request::default() }, &TARGET);
    assert_eq!(lost, [Parameter::Thought]);
    insta::assert_snapshot!(body, @r#"{"contents":[{"parts":[{"text":"google's","thought":true,"thoughtSignature":"sig"},{"text":"","thoughtSignature":"sig"},{"text":"a"},{"functionCall":{"id":"a","name":"f","args":{}},"thoughtSignature":"sig"}],"role":"model"}]}"#);
}

#[test]
fn a_result_is_an_object_whatever_the_tool_said() {
    let response = |content, error| {
        let body = contents(vec![message(Role::User, vec![result("x", content, error)])]);
        let (_, response) = body.split_once(r#""name":"x","response":"#).unwrap();
        response.strip_suffix(r#"}}],"role":"user"}]}"#).unwrap().to_owned()
    };
    assert_eq!(response(vec![], false), r#"{"result":""}"#);
    assert_eq!(response(vec![Output::Text("[1]".into())], false), r#"{"result":"[1]"}"#);
    assert_eq!(response(vec![Output::Json(json("[1]"))], false), r#"{"result":[1]}"#);
    assert_eq!(response(vec![Output::Json(json(r#"{"a":1.0}"#))], false), r#"{"a":1.0}"#);
    assert_eq!(
        response(vec![Output::Text("a".into()), Output::Json(json("2"))], false),
        r#"{"result":"a\n2"}"#
    );
    assert_eq!(response(vec![Output::Text("no".into())], true), r#"{"error":"no"}"#);
    assert_eq!(response(vec![Output::Json(json(r#"{"code":1}"#))], true), r#"{"error":{"code":1}}"#);
}

#[test]
fn media_are_data_or_addresses_of_a_guessed_type() {
    let data = |mime: &'static str| Media::Data { mime: mime.into(), base64: "aGk=".into() };
    let document = |source| Said::Document(Document { source, name: Some("n".into()), cache: None });
    let said = vec![
        Said::Image(image(data("image/png"))),
        Said::Image(image(Media::Url("https://a/b.webp?c".into()))),
        Said::Image(image(Media::Url("https://a/b".into()))),
        Said::Audio(Audio { mime: "audio/wav".into(), base64: "aGk=".into() }),
        document(DocumentSource::Media(Media::Url("https://a/b".into()))),
        document(DocumentSource::Text("t".into())),
    ];
    let messages = vec![message(Role::User, said)];
    insta::assert_snapshot!(
        written(&Request { messages, ..Request::default() }, &TARGET).0,
        @r#"{"contents":[{"parts":[{"inlineData":{"mimeType":"image/png","data":"aGk="}},{"fileData":{"mimeType":"image/webp","fileUri":"https://a/b.webp?c"}},{"fileData":{"mimeType":"image/jpeg","fileUri":"https://a/b"}},{"inlineData":{"mimeType":"audio/wav","data":"aGk="}},{"fileData":{"mimeType":"application/pdf","fileUri":"https://a/b"}},{"text":"n\n\nt"}],"role":"user"}]}"#
    );
}

#[test]
fn media_of_a_result_stand_in_it_or_behind_it_by_the_model() {
    let media = Media::Data { mime: "image/png".into(), base64: "aGk=".into() };
    let said = vec![result("x", vec![Output::Image(image(media))], false), Said::text("look")];
    let request = Request { messages: vec![message(Role::User, said)], ..Request::default() };
    let before = written(&request, &TARGET).0;
    assert!(
        before.contains(
            r#"{"result":""}}},{"inlineData":{"mimeType":"image/png","data":"aGk="}},{"text":"look"}"#
        ),
        "{before}"
    );
    let since = written(&request, &Target { model: "gemini-3-flash", ..TARGET }).0;
    assert!(since.contains(r#"{"result":""},"parts":[{"inlineData":{"mimeType":"image/png","data":"aGk="}}]}},{"text":"look"}"#), "{since}");
}

#[test]
fn content_that_cannot_be_sent_is_refused_by_its_place() {
    for (role, content) in [
        (Role::User, Said::Image(image(Media::Id("file-1".into())))),
        (Role::User, Said::Image(image(Media::Url("http://a/b.png".into())))),
        (Role::System, Said::Image(image(Media::Url("https://a/b.png".into())))),
    ] {
        let messages = vec![message(role, vec![Said::text("a"), content])];
        let request = Request { messages, ..Request::default() };
        let refused = write(&request, &TARGET, &mut Losses::default()).unwrap_err();
        assert_eq!((refused.message, refused.part), (Some(3), 1));
        assert!(refused.why.contains("Google"), "{}", refused.why);
    }
}

#[test]
fn tools_the_form_and_the_sampling_are_said_in_googles_words() {
    let tool = |name: &'static str, input| Tool {
        name: name.into(),
        description: None,
        input,
        strict: None,
        cache: None,
    };
    let request = Request {
        messages: vec![message(Role::User, vec![Said::text("a")])],
        tools: vec![
            tool("a", ToolInput::Schema(Some(json(r#"{"$schema":"x","additionalProperties":false}"#)))),
            tool("b", ToolInput::Schema(None)),
            tool("c", ToolInput::Text(None)),
        ],
        tool_choice: Some(ToolChoice::Named("a".into())),
        parallel_calls: Some(true),
        format: Some(Format::Schema {
            name: Some("n".into()),
            description: None,
            schema: json(r#"{"type":"object"}"#),
            strict: Some(true),
        }),
        sampling: Sampling {
            max_tokens: Some(9),
            temperature: serde_json::from_str("0.10").ok(),
            stop: vec!["x".into()],
            choices: Some(2),
            seed: Some(7.into()),
            logprobs: Some(true),
            top_logprobs: Some(2),
            ..Sampling::default()
        },
        ..Request::default()
    };
    let (body, lost) = written(&request, &TARGET);
    assert_eq!(lost, []);
    insta::assert_snapshot!(body, @r#"{"contents":[{"parts":[{"text":"a"}],"role":"user"}],"tools":[{"functionDeclarations":[{"name":"a","parametersJsonSchema":{"additionalProperties":false}},{"name":"b"},{"name":"c","parametersJsonSchema":{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}}]}],"toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["a"]}},"generationConfig":{"temperature":0.1,"candidateCount":2,"maxOutputTokens":9,"stopSequences":["x"],"seed":7,"responseLogprobs":true,"logprobs":2,"responseMimeType":"application/json","responseJsonSchema":{"type":"object"}}}"#);
    let count = |api| String::from_utf8(write_count(&request, &TARGET, api).unwrap()).unwrap();
    assert!(
        count(Api::Gemini)
            .starts_with(r#"{"generateContentRequest":{"model":"models/gemini-2.5-flash","contents":["#)
    );
    assert!(
        count(Api::Vertex).starts_with(r#"{"contents":["#)
            && !count(Api::Vertex).contains("generationConfig")
    );
}

#[test]
fn what_is_dropped_is_named() {
    let request = Request {
        messages: vec![message(Role::System, vec![Said::text("only")])],
        tool_choice: Some(ToolChoice::Required),
        parallel_calls: Some(false),
        sampling: Sampling {
            stop: ["", "1", "2", "3", "4", "5", "6"].map(Into::into).to_vec(),
            logit_bias: Some(json(r#"{"5":1}"#)),
            ..Sampling::default()
        },
        hints: Hints { store: Some(true), ..Hints::default() },
        ..Request::default()
    };
    let (body, lost) = written(&request, &TARGET);
    use Parameter::{LogitBias, ParallelCalls, Stop, Store, ToolChoice as Choice};
    assert_eq!(lost, [ParallelCalls, Choice, Store, Stop, LogitBias]);
    assert_eq!(
        body,
        r#"{"contents":[{"parts":[{"text":"only"}],"role":"user"}],"generationConfig":{"stopSequences":["1","2","3","4","5"]}}"#
    );
}

#[test]
fn a_default_is_neither_sent_to_be_refused_nor_lost() {
    let zero = Some(0.into());
    let request = Request {
        messages: vec![message(Role::User, vec![Said::text("a")])],
        sampling: Sampling {
            frequency_penalty: zero.clone(),
            presence_penalty: zero,
            logit_bias: Some(json("{}")),
            choices: Some(1),
            logprobs: Some(false),
            ..Sampling::default()
        },
        ..Request::default()
    };
    let (body, lost) = written(&request, &TARGET);
    assert_eq!(
        (body.as_str(), lost.as_slice()),
        (r#"{"contents":[{"parts":[{"text":"a"}],"role":"user"}]}"#, [].as_slice())
    );
}
