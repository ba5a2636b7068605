//! Tests.

use super::*;
use crate::chat::{
    content::{
        Call, Content, Document, DocumentSource, Image, Input, Media, Output, Reasoning, Text, ToolResult,
    },
    request::{Amount, Effort, Format, ToolChoice, ToolInput},
    signature::{Maker, Signature},
};

#[track_caller]
fn request(body: &str) -> Request<'_> {
    read(body.as_bytes(), false).unwrap()
}

#[track_caller]
fn refused(parts: &str) -> String {
    read(format!(r#"{{"contents":[{{"parts":{parts}}}]}}"#).as_bytes(), false).unwrap_err().to_string()
}

#[track_caller]
fn content(parts: &str) -> Vec<Content<'static>> {
    let body: &'static str = format!(r#"{{"contents":[{{"parts":{parts}}}]}}"#).leak();
    request(body).messages.remove(0).content
}

fn noted<'r>(request: &'r Request<'_>) -> Vec<(&'r str, bool)> {
    request.unsaid.iter().map(|unsaid| (unsaid.name.as_ref(), unsaid.hint)).collect()
}

#[test]
fn both_spellings_say_the_same_at_every_level() {
    let camel = r#"{"systemInstruction":{"parts":[{"text":"s"}]},
        "contents":[{"role":"model","parts":[{"functionCall":{"name":"f","args":{"a_b":1}},"thoughtSignature":"x"}]},
            {"parts":[{"inlineData":{"mimeType":"image/png","data":"aGk="}}]}],
        "tools":[{"functionDeclarations":[{"name":"f","parametersJsonSchema":{"type":"object"}}]}],
        "toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["f"]}},
        "generationConfig":{"maxOutputTokens":5,"stopSequences":["a"],"thinkingConfig":{"thinkingBudget":-1}}}"#;
    let snake = r#"{"system_instruction":{"parts":{"text":"s"}},
        "contents":[{"role":"model","parts":{"function_call":{"name":"f","args":{"a_b":1}},"thought_signature":"x"}},
            {"role":"user","parts":[{"inline_data":{"mime_type":"image/png","data":"aGk"}}]}],
        "tools":{"function_declarations":{"name":"f","parameters_json_schema":{"type":"object"}}},
        "tool_config":{"function_calling_config":{"mode":"any","allowed_function_names":["f"]}},
        "generation_config":{"max_output_tokens":5,"stop_sequences":["a"],"thinking_config":{"thinking_budget":-1}}}"#;
    let read = request(camel);
    assert_eq!(request(snake), read);
    assert_eq!(read.unsaid, []);
    assert_eq!(read.tool_choice, Some(ToolChoice::Named("f".into())));
    assert_eq!(read.reasoning.unwrap().amount, Some(Amount::Dynamic));
    let Content::Call(call) = &read.messages[1].content[0] else { panic!("{:?}", read.messages[1]) };
    assert_eq!(call.input, Input::Json(r#"{"a_b":1}"#.into()), "the client's own names stay");
}

#[test]
fn what_is_noted_and_what_is_wrong_is_told_in_the_clients_spelling() {
    let body = r#"{"x_top":1,"contents":[],"generation_config":{"x_inner":1,"xOther":2}}"#;
    let names: Vec<_> = request(body).unsaid.into_iter().map(|unsaid| unsaid.name).collect();
    assert_eq!(names, ["generation_config.x_inner", "generation_config.xOther", "x_top"]);
    let wrong = read(br#"{"contents":[],"generation_config":{"top_p":"x"}}"#, false).unwrap_err();
    assert!(wrong.to_string().contains("`generation_config.top_p` must be a number"), "{wrong}");
}

#[test]
fn calls_without_ids_get_some_and_results_find_them_by_name_and_order() {
    let body = r#"{"contents":[{"role":"model","parts":[
            {"functionCall":{"name":"f"}},{"functionCall":{"name":"g","args":null}},{"functionCall":{"name":"f","args":{ "a": 1.0 }}}]},
        {"role":"user","parts":[{"functionResponse":{"name":"f","response":{"result":"1"}}},
            {"functionResponse":{"name":"f","response":{"output":{"x":1}}}},{"functionResponse":{"name":"h"}}]},
        {"role":"model","parts":[{"functionCall":{"id":"own","name":"g"}}]},
        {"role":"function","parts":[{"functionResponse":{"name":"g","response":{"error":"no"}}}]}]}"#;
    let read = request(body);
    let ids = |at: usize| -> Vec<String> {
        let id = |content: &Content<'_>| match content {
            Content::Call(Call { id, .. }) | Content::Result(ToolResult { id, .. }) => id.to_string(),
            other => panic!("{other:?}"),
        };
        read.messages[at].content.iter().map(id).collect()
    };
    assert_eq!(ids(0), ["call_0_0", "call_0_1", "call_0_2"]);
    assert_eq!(ids(1), ["call_0_0", "call_0_2", "call_1_2"]);
    assert_eq!(
        (ids(2), ids(3)),
        (vec!["own".to_owned()], vec!["own".to_owned()]),
        "the unanswered call is forgotten"
    );
    let Content::Result(failed) = &read.messages[3].content[0] else { panic!() };
    assert_eq!((failed.error, &failed.content), (true, &vec![Output::Text("no".into())]));
    let Content::Result(object) = &read.messages[1].content[1] else { panic!() };
    assert!(matches!(&object.content[..], [Output::Json(json)] if json.text() == r#"{"output":{"x":1}}"#));
}

#[test]
fn the_pieces_of_a_streamed_answer_are_one_turn() {
    let body = r#"{"contents":[{"role":"user","parts":[{"text":"a"}]},{"role":"user","parts":[{"text":"b"}]},
        {"role":"model","parts":[{"text":"h","thought":true}]},
        {"role":"model","parts":[{"text":"m","thought":true,"thoughtSignature":"x"},{"functionCall":{"name":"f"}}]},
        {"role":"model","parts":[{"functionCall":{"name":"f"}}]},
        {"role":"user","parts":[{"functionResponse":{"name":"f","response":{}}},{"functionResponse":{"name":"f","response":{}}}]}]}"#;
    let read = request(body);
    let roles: Vec<_> = read.messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::User, Role::User, Role::Assistant, Role::User]);
    let [Content::Reasoning(thought), Content::Call(first), Content::Call(second)] =
        &read.messages[2].content[..]
    else {
        panic!("{:?}", read.messages[2])
    };
    assert_eq!(thought.text, "hm");
    let [Content::Result(one), Content::Result(two)] = &read.messages[3].content[..] else { panic!() };
    assert_eq!([&one.id, &two.id], [&first.id, &second.id]);
}

#[test]
fn data_is_what_its_media_type_says_in_the_standard_alphabet() {
    let [Content::Image(image), Content::Document(pdf), Content::Audio(audio)] = &content(
        r#"[{"inlineData":{"mimeType":"image/png","data":"_-8"}},
            {"inlineData":{"mimeType":"application/pdf","data":"aGk=","displayName":"a.pdf"}},
            {"inlineData":{"mimeType":"audio/wav","data":"aGk="}}]"#,
    )[..] else {
        panic!()
    };
    assert_eq!(image.media, Media::Data { mime: "image/png".into(), base64: "/+8=".into() });
    assert_eq!(pdf.name.as_deref(), Some("a.pdf"));
    assert_eq!(audio.mime, "audio/wav");
    let files = content(
        r#"[{"fileData":{"fileUri":"https://a/b.PNG?x=.pdf"}},{"fileData":{"fileUri":"https://a/b","mimeType":"application/pdf"}},
            {"fileData":{"fileUri":"gs://b/c.png","mimeType":"image/png"}}]"#,
    );
    assert!(
        matches!(&files[0], Content::Image(Image { media: Media::Url(url), .. }) if url.ends_with(".pdf"))
    );
    assert!(matches!(
        &files[1],
        Content::Document(Document { source: DocumentSource::Media(Media::Url(_)), .. })
    ));
    assert!(
        matches!(&files[2], Content::Image(Image { media: Media::Id(_), .. })),
        "only Google reads its buckets"
    );
}

#[test]
fn what_only_google_reads_is_refused_by_name() {
    for (parts, name) in [
        (r#"[{"text":"a"},{"executableCode":{"code":"1"}}]"#, "`contents[0].parts[1]`: `executableCode`"),
        (r#"[{"codeExecutionResult":{}}]"#, "`codeExecutionResult`"),
        (r#"[{"toolCall":{}}]"#, "`toolCall`"),
        (r#"[{"inlineData":{"mimeType":"video/mp4","data":""}}]"#, "`video/mp4`"),
        (r#"[{"fileData":{"fileUri":"https://www.youtube.com/watch?v=1"}}]"#, "video"),
        (r#"[{"inlineData":{"mimeType":"image/png,x","data":""}}]"#, "mimeType` must be a media type"),
        (r#"[{"text":"a","functionCall":{"name":"f"}}]"#, "one kind of data"),
        (r#"[{}]"#, "no data"),
        (r#"[{"text":3}]"#, "`contents[0].parts[0].text` must be a string"),
        (
            r#"[{"functionCall":{"name":"f","args":[]}}]"#,
            "`contents[0].parts[0].functionCall.args` must be an object",
        ),
        (r#"3"#, "`contents[0].parts` must be an array"),
    ] {
        assert!(refused(parts).contains(name), "{}", refused(parts));
    }
    let system = br#"{"contents":[],"systemInstruction":{"parts":[{"inlineData":{"mimeType":"image/png","data":""}}]}}"#;
    assert!(read(system, false).unwrap_err().to_string().contains("`systemInstruction`: it is text"));
    let kept =
        read(br#"{"contents":[],"cached_content":"cachedContents/1"}"#, false).unwrap_err().to_string();
    assert!(kept.contains("`cached_content`: what Google keeps"), "{kept}");
    let role = read(br#"{"contents":[{"role":"assistant","parts":[]}]}"#, false).unwrap_err().to_string();
    assert!(role.contains("`contents[0].role` must be `user` or `model`"), "{role}");
    assert!(read(br#"{"contents":[],"tool_config":{},"toolConfig":{}}"#, false).is_err(), "twice");
    assert!(read(br#"{}"#, false).unwrap_err().to_string().contains("`contents`"));
}

#[test]
fn thinking_runs_on_up_to_its_signature_whoever_signed_it() {
    let thought = content(
        r#"[{"text":"a","thought":true},{"text":"b","thought":true},{"text":"","thought":true,"thoughtSignature":"bmV4dXM6YW50aHJvcGljOkVxUUI="},
            {"text":"","thought":true,"thoughtSignature":"bmV4dXM6YW50aHJvcGljOnJlZGFjdGVkOkVtd0s="},{"text":"hi","thoughtSignature":"Es8F_-"}]"#,
    );
    let anthropics = |value: &'static str| Some(Signature::new(Maker::Anthropic, value));
    assert_eq!(
        thought,
        [
            Content::Reasoning(Reasoning {
                text: "ab".into(),
                signature: anthropics("EqQB"),
                redacted: false
            }),
            Content::Reasoning(Reasoning { text: "".into(), signature: anthropics("EmwK"), redacted: true }),
            Content::Text(Text {
                text: "hi".into(),
                cache: None,
                signature: Some(Signature::new(Maker::Google, "Es8F_-"))
            }),
        ]
    );
}

#[test]
fn what_the_neutral_form_cannot_say_is_noted_by_name() {
    let read = request(
        r#"{"contents":[{"parts":[{"text":"a","video_metadata":{}}]}],"safetySettings":[{}],"labels":{"a":"b"},
        "tools":[{"googleSearch":{}},{"functionDeclarations":[{"name":"f","response":{}}],"code_execution":{}}],
        "toolConfig":{"retrievalConfig":{}},"serviceTier":"STANDARD",
        "generationConfig":{"speechConfig":{},"responseModalities":["TEXT","IMAGE"],"thinkingConfig":{"x":1,"thinkingLevel":"NEW"}}}"#,
    );
    assert_eq!(read.hints.service_tier.as_deref(), Some("default"));
    assert_eq!(
        noted(&read),
        [
            ("contents.parts.video_metadata", false),
            ("tools.googleSearch", false),
            ("tools.code_execution", false),
            ("tools.functionDeclarations.response", false),
            ("toolConfig.retrievalConfig", false),
            ("generationConfig.speechConfig", false),
            ("generationConfig.responseModalities", false),
            ("generationConfig.thinkingConfig.x", false),
            ("generationConfig.thinkingConfig.thinkingLevel", false),
            ("labels", true),
            ("safetySettings", false),
        ]
    );
    let plain = request(
        r#"{"contents":[],"safetySettings":[],"generationConfig":{"responseModalities":[],"responseMimeType":"text/x.enum",
        "response_json_schema":{},"thinkingConfig":{"thinkingLevel":"THINKING_LEVEL_UNSPECIFIED"}}}"#,
    );
    assert_eq!(
        noted(&plain),
        [("generationConfig.responseMimeType", false), ("generationConfig.response_json_schema", false)]
    );
}

#[test]
fn the_config_is_read_whole() {
    let read = request(
        r#"{"contents":[],"generationConfig":{"temperature":0.10,"topP":1,"topK":40,"candidateCount":2.0,"seed":7,"maxOutputTokens":"100","presencePenalty":0.5,
        "frequencyPenalty":-0.5,"responseLogprobs":true,"logprobs":3,"responseMimeType":"application/json",
        "responseSchema":{"type":"STRING"},"thinkingConfig":{"thinkingLevel":"HIGH","includeThoughts":true}}}"#,
    );
    let sampling = &read.sampling;
    assert_eq!(sampling.max_tokens, Some(100));
    assert_eq!((sampling.choices, sampling.top_logprobs, sampling.logprobs), (Some(2), Some(3), Some(true)));
    assert_eq!(sampling.top_k, Some(40.into()));
    assert!(
        matches!(&read.format, Some(Format::Schema { schema, .. }) if schema.text() == r#"{"type":"string"}"#)
    );
    let thinking = read.reasoning.unwrap();
    assert_eq!((thinking.amount, thinking.shown), (Some(Amount::Effort(Effort::High)), Some(true)));
    let json = request(
        r#"{"contents":[],"generationConfig":{"responseMimeType":"application/json","thinkingConfig":{"thinkingBudget":0}}}"#,
    );
    assert_eq!((json.format, json.reasoning.unwrap().amount), (Some(Format::JsonObject), Some(Amount::Off)));
    let choice = |config: &str| {
        let body = format!(r#"{{"contents":[],"toolConfig":{{"functionCallingConfig":{config}}}}}"#);
        request(body.leak()).tool_choice
    };
    assert_eq!(choice(r#"{"mode":"validated"}"#), Some(ToolChoice::Auto));
    assert_eq!(choice(r#"{"mode":"NONE"}"#), Some(ToolChoice::None));
    let among = ToolChoice::Among { names: vec!["a".into(), "b".into()], required: true };
    assert_eq!(choice(r#"{"mode":"ANY","allowedFunctionNames":["a","b"]}"#), Some(among));
}

#[test]
fn schemas_of_googles_own_are_translated_and_json_schemas_are_not() {
    let read = request(
        r#"{"contents":[],"tools":[{"functionDeclarations":[{"name":"a","parameters":{"type":"OBJECT"}},
        {"name":"b","parametersJsonSchema":{ "type":"OBJECT" }},{"name":"c"}]}]}"#,
    );
    let schema = |at: usize| match &read.tools[at].input {
        ToolInput::Schema(schema) => schema.as_ref().map(|schema| schema.text().to_owned()),
        ToolInput::Text(_) => panic!(),
    };
    assert_eq!(schema(0).as_deref(), Some(r#"{"type":"object"}"#));
    assert_eq!(schema(1).as_deref(), Some(r#"{ "type":"OBJECT" }"#));
    assert_eq!(schema(2), None);
}

#[test]
fn a_count_reads_a_request_or_one_within() {
    let inner = r#"{"contents":[{"parts":[{"text":"a"}]}]}"#;
    let outer = format!(r#"{{"generate_content_request":{inner}}}"#);
    assert_eq!(read_count(outer.as_bytes()), read(inner.as_bytes(), false));
    assert_eq!(read_count(inner.as_bytes()), read(inner.as_bytes(), false));
}
