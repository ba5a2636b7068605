//! Requests as clients write them, in the forms that the recordings and the documentation have.

use proptest::prelude::*;

use super::*;
use crate::chat::{
    content::{
        Call, Content, Document, DocumentSource, Image, Input, Media, Output, Reasoning, Text, ToolResult,
    },
    request::{Expected, Role, ToolChoice, ToolInput, Unsaid},
    signature::{Maker, Signature},
};

/// A request with these members beside a user's word.
fn with(members: &str) -> Request<'static> {
    // Leaked: a test's request lives as long as the test.
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}]{members}}}"#).leak();
    read(body.as_bytes()).unwrap()
}

fn messages(list: &str) -> Request<'static> {
    let body = format!(r#"{{"model":"m","messages":[{list}]}}"#).leak();
    read(body.as_bytes()).unwrap()
}

fn refused(body: &str) -> String {
    read(body.as_bytes()).unwrap_err().to_string()
}

fn unsaid(request: &Request<'_>) -> Vec<(String, bool)> {
    request.unsaid.iter().map(|Unsaid { name, hint }| (name.to_string(), *hint)).collect()
}

#[test]
fn system_and_developer_are_one_role_and_stay_in_place() {
    let request = messages(
        r#"{"role":"developer","content":"a"},{"role":"user","content":[{"type":"text","text":"b"}],"name":"eve"},
           {"role":"system","content":"c"}"#,
    );
    let turns: Vec<_> = request.messages.iter().map(|turn| (turn.role, turn.at)).collect();
    assert_eq!(turns, [(Role::System, 0), (Role::User, 1), (Role::System, 2)]);
    assert_eq!(request.messages[1].content, [Content::text("b")]);
    assert_eq!(unsaid(&request), [("messages.name".to_owned(), true)]);
}

#[test]
fn results_that_follow_one_another_are_one_turn_and_know_their_tools() {
    let request = messages(
        r#"{"role":"assistant","content":null,"tool_calls":[
             {"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\": 1}"}},
             {"id":"c2","type":"function","function":{"name":"g","arguments":""}},
             {"id":"c3","type":"custom","custom":{"name":"h","input":"x"}}]},
           {"role":"tool","tool_call_id":"c1","content":"1"},
           {"role":"tool","tool_call_id":"c2","content":[{"type":"text","text":"2"}]},
           {"role":"user","content":"go on"}"#,
    );
    let inputs: Vec<_> = request.messages[0]
        .content
        .iter()
        .map(|part| match part {
            Content::Call(call) => call.input.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(inputs, [Input::Json("{\"a\": 1}".into()), Input::Json("{}".into()), Input::Text("x".into())]);
    let result = |id: &'static str, name: &'static str, text: &'static str| {
        let content = vec![Output::Text(text.into())];
        Content::Result(ToolResult {
            id: id.into(),
            name: Some(name.into()),
            content,
            error: false,
            cache: None,
        })
    };
    assert_eq!(request.messages[1].content, [result("c1", "f", "1"), result("c2", "g", "2")]);
    assert_eq!((request.messages.len(), request.messages[2].at), (3, 3));
}

#[test]
fn functions_from_before_there_were_tools_mean_the_same() {
    let request = messages(
        r#"{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},
           {"role":"function","name":"f","content":"1"}"#,
    );
    let Content::Call(Call { id, .. }) = &request.messages[0].content[0] else { panic!("a call") };
    let Content::Result(result) = &request.messages[1].content[0] else { panic!("a result") };
    assert_eq!((&result.id, result.name.as_deref()), (id, Some("f")));
    let request =
        with(r#","functions":[{"name":"f","parameters":{"type":"object"}}],"function_call":{"name":"f"}"#);
    assert_eq!(request.tools[0].name, "f");
    assert_eq!(request.tool_choice, Some(ToolChoice::Named("f".into())));
    assert_eq!(request.parallel_calls, Some(false));
}

#[test]
fn media_are_data_an_address_or_an_id() {
    let request = messages(
        r#"{"role":"user","content":[
             {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA","detail":"low"}},
             {"type":"image_url","image_url":{"url":"https://x/y.png"}},
             {"type":"input_audio","input_audio":{"data":"BBBB","format":"mp3"}},
             {"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,CCCC"}},
             {"type":"file","file":{"file_id":"file-1"}},
             {"type":"document_url","document_url":"https://x/y.pdf"}]}"#,
    );
    let image = |media, detail: Option<&'static str>| {
        Content::Image(Image { media, detail: detail.map(Into::into), cache: None })
    };
    let document = |media, name: Option<&'static str>| {
        let source = DocumentSource::Media(media);
        Content::Document(Document { source, name: name.map(Into::into), cache: None })
    };
    let data =
        |mime: &'static str, base64: &'static str| Media::Data { mime: mime.into(), base64: base64.into() };
    assert_eq!(
        request.messages[0].content,
        [
            image(data("image/png", "AAAA"), Some("low")),
            image(Media::Url("https://x/y.png".into()), None),
            Content::Audio(crate::chat::content::Audio { mime: "audio/mpeg".into(), base64: "BBBB".into() }),
            document(data("application/pdf", "CCCC"), Some("a.pdf")),
            document(Media::Id("file-1".into()), None),
            document(Media::Url("https://x/y.pdf".into()), None),
        ]
    );
}

#[test]
fn reasoning_comes_back_signed_where_it_was_signed() {
    let request = messages(
        r#"{"role":"assistant","content":"b","reasoning_content":"a","reasoning_details":[
             {"type":"reasoning.text","text":"a","signature":"nexus:anthropic:Eq=="},
             {"type":"reasoning.encrypted","data":"nexus:anthropic:Xy=="}],
            "tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"},
              "extra_content":{"google":{"thought_signature":"Sg=="}}}]},
           {"role":"assistant","content":"c","reasoning":"d"}"#,
    );
    let anthropic = |value: &'static str| Some(Signature::new(Maker::Anthropic, value));
    let reasoning = |text: &'static str, signature, redacted| {
        Content::Reasoning(Reasoning { text: text.into(), signature, redacted })
    };
    assert_eq!(
        request.messages[0].content,
        [
            reasoning("a", anthropic("Eq=="), false),
            reasoning("", anthropic("Xy=="), true),
            Content::Text(Text::new("b")),
            Content::Call(Call {
                id: "c".into(),
                name: "f".into(),
                input: Input::Json("{}".into()),
                signature: Some(Signature::new(Maker::Google, "Sg==")),
            }),
        ]
    );
    assert_eq!(request.messages[1].content[0], reasoning("d", None, false));
}

#[test]
fn tools_and_every_way_to_choose_among_them_are_read() {
    let request = with(
        r#","tools":[{"type":"function","function":{"name":"f","parameters":{"a": 1.0},"strict":true}},
             {"type":"custom","custom":{"name":"g","format":{"type":"text"}}},{"type":"web_search"}]"#,
    );
    let ToolInput::Schema(Some(schema)) = &request.tools[0].input else { panic!("a schema") };
    assert_eq!((schema.text(), request.tools[0].strict), (r#"{"a": 1.0}"#, Some(true)));
    assert!(matches!(request.tools[1].input, ToolInput::Text(Some(_))));
    assert_eq!(unsaid(&request), [("tools.web_search".to_owned(), false)]);
    let choice = |choice: &str| with(&format!(r#","tool_choice":{choice}"#)).tool_choice.unwrap();
    assert_eq!(choice("\"auto\""), ToolChoice::Auto);
    assert_eq!(choice("\"none\""), ToolChoice::None);
    assert_eq!(choice("\"required\""), ToolChoice::Required);
    assert_eq!(choice(r#"{"type":"function","function":{"name":"f"}}"#), ToolChoice::Named("f".into()));
    assert_eq!(choice(r#"{"type":"custom","custom":{"name":"g"}}"#), ToolChoice::Named("g".into()));
    let among = r#"{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[
        {"type":"function","function":{"name":"f"}}]}}"#;
    assert_eq!(choice(among), ToolChoice::Among { names: vec!["f".into()], required: true });
}

#[test]
fn parameters_have_one_meaning_however_they_are_said() {
    let request = with(
        r#","max_tokens":5,"stop":"x","temperature":0.1,"reasoning_effort":"high","seed":7,"n":1,"stream":null,
            "response_format":{"type":"json_schema","json_schema":{"name":"s","schema":{},"strict":true}}"#,
    );
    assert_eq!(
        (request.sampling.max_tokens, request.sampling.choices, request.stream),
        (Some(5), None, false)
    );
    assert_eq!(request.sampling.stop, ["x"]);
    assert_eq!(request.sampling.temperature.as_ref().unwrap().to_string(), "0.1");
    assert_eq!(request.reasoning.unwrap().amount, Some(Amount::Effort(Effort::High)));
    assert!(matches!(request.format, Some(Format::Schema { strict: Some(true), .. })));
    let request =
        with(r#","max_completion_tokens":6,"max_tokens":5,"stop":["x","y"],"reasoning_effort":"none""#);
    assert_eq!((request.sampling.max_tokens, request.sampling.stop.len()), (Some(6), 2));
    assert_eq!(request.reasoning.unwrap().amount, Some(Amount::Off));
}

#[test]
fn what_no_other_format_can_say_is_named_as_the_client_named_it() {
    let request = with(
        r#","modalities":["text","audio"],"audio":{},"prediction":{},"web_search_options":{},
            "stream_options":{"include_usage":true,"include_obfuscation":false},"user":"u","safety_identifier":"s",
            "enable_thinking":true,"x":null"#,
    );
    let expected = [
        ("safety_identifier", true),
        ("modalities", false),
        ("audio", false),
        ("web_search_options", false),
        ("prediction", true),
        ("stream_options.include_obfuscation", true),
        ("enable_thinking", false),
    ];
    assert_eq!(unsaid(&request), expected.map(|(name, hint)| (name.to_owned(), hint)));
    assert_eq!(unsaid(&with(r#","modalities":["text"]"#)), []);
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let part = r#"{"messages":[{"role":"user","content":[{"type":"video_url"}]}]}"#;
    assert!(refused(part).contains("`messages[0].content[0]`: a part of type `video_url`"));
    assert!(
        refused(r#"{"messages":[{"role":"user","content":3}]}"#).contains("`messages[0].content` must be")
    );
    let image = r#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":"data:png;base64,AA=="}]}]}"#;
    assert!(refused(image).contains("`messages[0].content[0].image_url` must be an address, or a `data:`"));
    assert!(refused(r#"{"messages":[{"role":"x"}]}"#).contains("`messages[0].role` must be"));
    assert!(refused(r#"{"messages":[],"temperature":"hot"}"#).contains("`temperature` must be a number"));
    assert!(refused(r#"{"messages":[],"messages":[]}"#).contains("duplicate field `messages`"));
    assert!(
        refused(r#"{"messages":[{"role":"assistant","audio":{"id":"a"}}]}"#).contains("`messages[0].audio`")
    );
}

proptest! {
    #[test]
    fn no_json_makes_it_panic(body in json()) {
        let _ = read(format!(r#"{{"messages":[{body}],"tools":{body},"tool_choice":{body}}}"#).as_bytes());
        let message = format!(r#"{{"messages":[{{"role":"assistant","content":{body},"tool_calls":{body},
            "reasoning_details":{body}}},{{"role":"tool","tool_call_id":"","content":{body}}}]}}"#);
        let _ = read(message.as_bytes());
    }
}

/// JSON out of words that the reader looks for.
fn json() -> impl Strategy<Value = String> {
    let words = ["type", "function", "name", "arguments", "text", "image_url", "url", "custom", "id", "file"];
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("-1.5".to_owned()),
        proptest::sample::select(words.to_vec()).prop_map(|word| format!("\"{word}\"")),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let member = (proptest::sample::select(words.to_vec()), inner.clone());
        prop_oneof![
            proptest::collection::vec(inner, 0..4).prop_map(|all| format!("[{}]", all.join(","))),
            proptest::collection::vec(member, 0..4).prop_map(|all| {
                let members: Vec<_> =
                    all.into_iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

#[test]
fn the_wishes_of_a_client_are_found_at_the_top_of_its_body_only() {
    let of = |more: &str| {
        let body = format!(r#"{{"messages":[]{more}}}"#);
        let Expected { wishes: Wishes { usage, functions }, custom, .. } =
            read(body.as_bytes()).unwrap().expected();
        (usage, functions, custom.len())
    };
    let functions = r#","functions":[{"name":"f"}]"#;
    assert_eq!(of(&format!(r#","stream_options":{{"include_usage":true}}{functions}"#)), (true, true, 0));
    assert_eq!(of(r#","stream_options":{"include_usage":false},"functions":null"#), (false, false, 0));
    assert_eq!(of(r#","functions":[]"#), (false, false, 0), "no tools, no calls");
    let custom = r#","tools":[{"type":"custom","custom":{"name":"f"}}]"#;
    assert_eq!(of(&format!("{functions}{custom}")), (false, false, 1));
}
