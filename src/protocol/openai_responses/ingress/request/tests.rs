//! What is understood of a client's request, what is noted, and what is refused.

use proptest::prelude::*;

use super::*;
use crate::chat::{
    content::{Content, Document, DocumentSource, Image, Input, Media, Output, Reasoning, Text, ToolResult},
    request::{Role, ToolChoice, ToolInput, Unsaid},
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

/// The body of a request with these items.
fn with(items: &str) -> String {
    format!(r#"{{"input":[{items}]}}"#)
}

#[track_caller]
fn content(body: &str) -> Vec<Content<'_>> {
    request(body).messages.swap_remove(0).content
}

fn unsaid(request: &Request<'_>) -> Vec<(String, bool)> {
    request.unsaid.iter().map(|Unsaid { name, hint }| (name.to_string(), *hint)).collect()
}

#[test]
fn instructions_come_first_and_items_keep_their_places() {
    let body = r#"{"instructions":"s","input":[{"role":"user","content":"a"},{"type":"message","role":"developer","content":[{"type":"input_text","text":"b"}]},
        {"role":"assistant","content":[{"type":"output_text","text":"c","annotations":[],"logprobs":[]}],"id":"msg_1","status":"completed","phase":"commentary"},
        {"type":"function_call","call_id":"c1","name":"f","arguments":"{}"}]}"#;
    let request = request(body);
    let roles: Vec<_> =
        request.messages.iter().map(|message| (message.role, message.at, message.content.len())).collect();
    assert_eq!(
        roles,
        [(Role::System, 0, 1), (Role::User, 0, 1), (Role::System, 1, 1), (Role::Assistant, 2, 2)]
    );
    assert_eq!(unsaid(&request), [("input.phase".to_owned(), true)]);
    let text = read(br#"{"input":"Hi"}"#).unwrap();
    assert_eq!((text.messages.len(), &text.messages[0].content[0]), (1, &Content::text("Hi")));
}

#[test]
fn every_kind_of_part_is_read() {
    let part = |part: &str| with(&format!(r#"{{"role":"user","content":[{part}]}}"#));
    let image = |media, detail: Option<&'static str>| {
        Content::Image(Image { media, detail: detail.map(Into::into), cache: None })
    };
    let data = |mime: &'static str| Media::Data { mime: mime.into(), base64: "AA==".into() };
    let file = |media, name: Option<&'static str>| {
        Content::Document(Document {
            source: DocumentSource::Media(media),
            name: name.map(Into::into),
            cache: None,
        })
    };
    for (written, expected) in [
        (
            r#"{"type":"input_image","image_url":"data:image/png;base64,AA==","detail":"low"}"#,
            image(data("image/png"), Some("low")),
        ),
        (
            r#"{"type":"input_image","image_url":"https://x/y.png"}"#,
            image(Media::Url("https://x/y.png".into()), None),
        ),
        (r#"{"type":"input_image","file_id":"file_1"}"#, image(Media::Id("file_1".into()), None)),
        (
            r#"{"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;base64,AA=="}"#,
            file(data("application/pdf"), Some("a.pdf")),
        ),
        (
            r#"{"type":"input_file","filename":"a.txt","file_data":"AA=="}"#,
            file(data("text/plain"), Some("a.txt")),
        ),
        (
            r#"{"type":"input_file","file_url":"https://x/y.pdf"}"#,
            file(Media::Url("https://x/y.pdf".into()), None),
        ),
        (r#"{"type":"refusal","refusal":"no"}"#, Content::Refusal("no".into())),
    ] {
        assert_eq!(content(&part(written)), [expected], "{written}");
    }
}

#[test]
fn calls_of_one_turn_stand_together_and_so_do_their_results() {
    let body = with(
        r#"{"type":"reasoning","id":"rs_1","summary":[]},
        {"type":"function_call","id":"fc_1","call_id":"c1","name":"f","arguments":"{ \"a\" : 1.0 }","status":"completed"},
        {"type":"custom_tool_call","call_id":"c2","name":"patch","input":"*** Begin"},
        {"type":"custom_tool_call_output","call_id":"c2","output":"done"},
        {"type":"function_call_output","call_id":"c1","output":[{"type":"input_text","text":"x"},{"type":"input_image","image_url":"u"}]},
        {"type":"function_call_output","call_id":"c9","output":""}"#,
    );
    let request = request(&body);
    assert_eq!(request.messages.iter().map(|message| message.at).collect::<Vec<_>>(), [1, 3]);
    let inputs: Vec<_> = request.messages[0]
        .content
        .iter()
        .map(|content| match content {
            Content::Call(call) => call.input.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(inputs, [Input::Json(r#"{ "a" : 1.0 }"#.into()), Input::Text("*** Begin".into())]);
    let results: Vec<_> = request.messages[1]
        .content
        .iter()
        .map(|content| match content {
            Content::Result(ToolResult { name, content, .. }) => (name.as_deref(), content.len()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(results, [(Some("patch"), 1), (Some("f"), 2), (None, 1)]);
    let Content::Result(result) = &request.messages[1].content[1] else { panic!() };
    assert_eq!(result.content[0], Output::Text("x".into()));
    assert_eq!(unsaid(&request), []);
}

#[test]
fn reasoning_comes_back_with_the_signature_of_its_maker() {
    let reasoning = |text: &'static str, maker, value: &'static str, redacted| {
        Content::Reasoning(Reasoning {
            text: text.into(),
            signature: Some(Signature::new(maker, value)),
            redacted,
        })
    };
    let body = with(
        r#"{"type":"reasoning","summary":[{"type":"summary_text","text":"a"},{"type":"summary_text","text":"b"}],"encrypted_content":"gAA"},
        {"type":"reasoning","summary":[{"type":"summary_text","text":"hm"}],"content":null,"encrypted_content":"nexus:anthropic:EqQ"},
        {"type":"reasoning","summary":[{"type":"summary_text","text":""}],"encrypted_content":"nexus:anthropic:EqQ"},
        {"type":"reasoning","summary":[],"encrypted_content":"nexus:anthropic:Evg"},
        {"type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"open"}]}"#,
    );
    let open = Content::Reasoning(Reasoning { text: "open".into(), ..Reasoning::default() });
    assert_eq!(
        content(&body),
        [
            reasoning("a\n\nb", Maker::OpenAi, "gAA", true),
            reasoning("hm", Maker::Anthropic, "EqQ", false),
            reasoning("", Maker::Anthropic, "EqQ", false),
            reasoning("", Maker::Anthropic, "Evg", true),
            open,
        ]
    );
}

#[test]
fn a_signature_of_googles_goes_to_the_call_behind_it_or_the_text_before_it() {
    let google = r#"{"type":"reasoning","summary":[],"encrypted_content":"nexus:google:c2ln"}"#;
    let call = r#"{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}"#;
    let text = r#"{"role":"assistant","content":"a"}"#;
    let signature = Some(Signature::new(Maker::Google, "c2ln"));
    for before in [String::new(), format!("{text},")] {
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
fn tools_of_namespaces_are_flat_and_hosted_ones_are_noted() {
    let body = r#"{"input":[{"type":"function_call","call_id":"c","namespace":"mcp__git","name":"log","arguments":""}],
        "tools":[{"type":"function","name":"f","parameters":{"type":"object","x":1e2},"strict":true,"defer_loading":true},
        {"type":"custom","name":"patch","description":"d","format":{"type":"grammar","syntax":"lark","definition":"s"}},
        {"type":"namespace","name":"mcp__git","description":"git","tools":[{"type":"function","name":"log","parameters":null,"strict":null}]},
        {"type":"web_search","external_web_access":false},{"type":"local_shell"}],
        "tool_choice":{"type":"allowed_tools","mode":"required","tools":[{"type":"function","name":"f"},{"type":"function","namespace":"mcp__git","name":"log"},{"type":"mcp"}]}}"#;
    let request = request(body);
    let names: Vec<_> = request.tools.iter().map(|tool| tool.name.as_ref()).collect();
    assert_eq!(names, ["f", "patch", "mcp__git__log"]);
    let ToolInput::Schema(Some(schema)) = &request.tools[0].input else { panic!() };
    assert_eq!((schema.text(), request.tools[0].strict), (r#"{"type":"object","x":1e2}"#, Some(true)));
    assert!(matches!(&request.tools[1].input, ToolInput::Text(Some(_))));
    let Content::Call(call) = &request.messages[0].content[0] else { panic!() };
    assert_eq!((call.name.as_ref(), &call.input), ("mcp__git__log", &Input::Json("{}".into())));
    let names = vec!["f".into(), "mcp__git__log".into()];
    assert_eq!(request.tool_choice, Some(ToolChoice::Among { names, required: true }));
    let noted = [
        ("tools.defer_loading", true),
        ("tools.description", true),
        ("tools.web_search", false),
        ("tools.local_shell", false),
        ("tool_choice.tools.mcp", false),
    ];
    assert_eq!(unsaid(&request), noted.map(|(name, hint)| (name.to_owned(), hint)));
}

#[test]
fn tools_that_the_input_adds_are_tools_of_the_request_and_each_is_there_once() {
    let added = r#"{"type":"additional_tools","id":"at_1","role":"developer","tools":[
        {"type":"namespace","name":"functions","description":"","tools":[{"type":"custom","name":"exec"}]},
        {"type":"function","name":"f","description":"another"},{"type":"function","name":"g"}]}"#;
    let call =
        r#"{"type":"custom_tool_call","call_id":"c","namespace":"functions","name":"exec","input":"x"}"#;
    let body = format!(
        r#"{{"input":[{added},{{"role":"user","content":"a"}},{call},{added}],"tools":[{{"type":"function","name":"f"}}]}}"#
    );
    let request = request(&body);
    let names: Vec<_> = request.tools.iter().map(|tool| tool.name.as_ref()).collect();
    assert_eq!(names, ["f", "functions__exec", "g"]);
    assert!(matches!(&request.tools[1].input, ToolInput::Text(None)));
    assert_eq!(request.messages.len(), 2, "the items themselves are no turns");
    let Content::Call(call) = &request.messages[1].content[0] else { panic!() };
    assert_eq!(call.name, "functions__exec");
}

#[test]
fn a_choice_is_read_however_it_is_said() {
    let choice = |choice: &str| {
        let body = format!(r#"{{"input":[],"tool_choice":{choice}}}"#);
        let request = request(&body);
        (format!("{:?}", request.tool_choice), request.unsaid.len())
    };
    assert_eq!(choice("\"required\""), ("Some(Required)".to_owned(), 0));
    assert_eq!(choice(r#"{"type":"function","name":"f"}"#), ("Some(Named(\"f\"))".to_owned(), 0));
    assert_eq!(choice(r#"{"type":"custom","name":"f"}"#), ("Some(Named(\"f\"))".to_owned(), 0));
    assert_eq!(choice(r#"{"type":"web_search_preview"}"#), ("None".to_owned(), 1));
}

#[test]
fn the_rest_is_read_or_noted() {
    let body = r#"{"model":"m","input":[],"stream":true,"store":false,"background":false,"previous_response_id":null,
        "reasoning":{"effort":"xhigh","summary":"auto","context":"all_turns"},"max_output_tokens":9,"temperature":0.70,"top_p":1,
        "include":["reasoning.encrypted_content","message.output_text.logprobs","web_search_call.results"],"top_logprobs":2,
        "text":{"verbosity":"low","format":{"type":"json_schema","name":"n","schema":{"type":"object"},"strict":true}},
        "metadata":{"a":"b"},"user":"u","safety_identifier":"s","prompt_cache_key":"k","service_tier":"flex","truncation":"auto",
        "parallel_tool_calls":false,"stream_options":{"include_obfuscation":false},"client_metadata":{},"frequency_penalty":1}"#;
    let request = request(body);
    let thinking = Thinking {
        amount: Some(Amount::Effort(Effort::Highest)),
        shown: Some(true),
        summary: Some("auto".into()),
    };
    assert_eq!(
        (&request.reasoning, request.stream, request.parallel_calls),
        (&Some(thinking), true, Some(false))
    );
    let sampling = &request.sampling;
    assert_eq!(
        (sampling.max_tokens, sampling.logprobs, sampling.top_logprobs, sampling.verbosity.as_deref()),
        (Some(9), Some(true), Some(2), Some("low"))
    );
    assert!(
        matches!(&request.format, Some(Format::Schema { name: Some(name), strict: Some(true), .. }) if name == "n")
    );
    assert_eq!((request.hints.user.as_deref(), request.hints.store), (Some("u"), Some(false)));
    let expected = [
        ("reasoning.context", false),
        ("include", true),
        ("safety_identifier", true),
        ("client_metadata", true),
        ("truncation", false),
        ("stream_options.include_obfuscation", true),
        ("frequency_penalty", false),
    ];
    assert_eq!(unsaid(&request), expected.map(|(name, hint)| (name.to_owned(), hint)));
}

#[test]
fn what_cannot_be_read_is_refused_by_name() {
    for (body, place) in [
        ("[]", "object"),
        ("{}", "`input`: it is missing"),
        (r#"{"input":5}"#, "`input` must be a string or an array"),
        (r#"{"input":[1]}"#, "`input[0]` must be an object"),
        (r#"{"input":[{"role":"tool","content":""}]}"#, "`input[0].role` must be `user`"),
        (
            r#"{"input":[{"role":"user","content":[{"type":"video"}]}]}"#,
            "`input[0].content[0]`: a part of type `video`",
        ),
        (
            r#"{"input":[{"type":"function_call","call_id":"","name":"f"}]}"#,
            "`input[0].call_id` must be not empty",
        ),
        (
            r#"{"input":[{"role":"user","content":[{"type":"input_image","image_url":"data:png;base64,AA=="}]}]}"#,
            "`input[0].content[0].image_url` must be an address, or a `data:` URL with a media type",
        ),
        (r#"{"input":[],"max_output_tokens":-1}"#, "`max_output_tokens` must be a whole number"),
        (r#"{"input":[],"top_p":1,"top_p":1}"#, "duplicate field `top_p`"),
        (
            r#"{"input":[],"tools":[{"type":"function","name":"f","parameters":[]}]}"#,
            "`tools[0].parameters` must be an object",
        ),
        (
            r#"{"input":[],"previous_response_id":"resp_1"}"#,
            "`previous_response_id`: this takes a provider that speaks Responses",
        ),
        (r#"{"input":[],"conversation":{"id":"c"}}"#, "`conversation`:"),
        (r#"{"input":[],"background":true}"#, "`background`:"),
        (r#"{"prompt":{"id":"pmpt_1"}}"#, "`prompt`:"),
    ] {
        assert!(refused(body).contains(place), "{body}: {}", refused(body));
    }
    for kind in [
        "local_shell_call",
        "web_search_call",
        "item_reference",
        "compaction",
        "tool_search_output",
        "mcp_call",
    ] {
        let message =
            refused(&with(&format!(r#"{{"role":"user","content":""}},{{"type":"{kind}","id":"x"}}"#)));
        assert!(message.contains("`input[1]`") && message.contains(kind), "{message}");
    }
}

proptest! {
    #[test]
    fn no_json_makes_it_panic(
        value in "[\\[\\]{}\":,a0 \\\\]{0,40}",
        field in prop::sample::select(&KNOWN[..]),
        kind in prop::sample::select(&["message", "function_call", "function_call_output", "reasoning", "custom_tool_call"][..]),
    ) {
        let _ = read(value.as_bytes());
        let _ = read(format!(r#"{{"input":[],"{field}":{value}}}"#).as_bytes());
        let item = format!(r#"{{"type":"{kind}","role":"user","call_id":"c","name":"n","content":{value},"output":{value},"summary":{value}}}"#);
        let _ = read(with(&item).as_bytes());
    }
}

#[test]
fn the_likeliest_tokens_are_wanted_though_nothing_else_says_so() {
    let request = read(br#"{"input":"x","top_logprobs":2}"#).unwrap();
    assert_eq!((request.sampling.logprobs, request.sampling.top_logprobs), (None, Some(2)));
    assert!(request.unsaid.is_empty());
}

#[test]
fn an_image_of_an_earlier_answer_is_the_models() {
    let body = r#"{"input":[{"type":"image_generation_call","id":"ig_1","status":"completed","result":"/9j/AA=="},
        {"type":"image_generation_call","id":"ig_2","status":"failed","result":null}]}"#;
    let request = read(body.as_bytes()).unwrap();
    let media = Media::Data { mime: "image/jpeg".into(), base64: "/9j/AA==".into() };
    let image = Content::Image(Image { media, detail: None, cache: None });
    assert_eq!((request.messages[0].role, &request.messages[0].content), (Role::Assistant, &vec![image]));
}
