//! Clients' requests on their way to providers of every format, their own and the others.

use nexus::{
    chat::{loss::Losses, request::Request},
    protocol::{
        anthropic,
        dialect::{Client, Spoken},
        gemini::{self, ingress::stream::Framing},
        openai_chat, openai_responses,
        passing::Ending,
        translate::{Asked, Target},
        translated::{self, Translated},
    },
};
use serde_json::Value;

use crate::{
    NAME, edited, renamed,
    request::count,
    tell::{ASKED, SPOKEN},
    told,
};

pub const TARGET: Target<'_> =
    Target { model: "up", max_tokens: 4096, stream_usage: true, max_completion_tokens: true, reasoning_details: true };

/// What is answered: some of everything.
const ANSWER: &str = r#"{"id":"i","model":"m","choices":[{"index":0,"finish_reason":"tool_calls","MESSAGE":{"role":"assistant",
"content":"t","reasoning_content":"r","tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]}}]}"#;

/// A chat request; how it passes is the target `chat`'s to say.
pub fn request_chat(body: &[u8]) {
    let passing = openai_chat::passing::request::Request::parse(body);
    if let (Some(request), Ok(passing)) = (ask(Client::Chat, body), passing) {
        assert_eq!(request.stream, passing.stream());
    }
}

/// A request of Responses.
pub fn request_responses(body: &[u8]) {
    let request = ask(Client::Responses, body);
    let Ok(passing) = openai_responses::passing::request::Request::parse(body) else { return };
    count(body, &passing);
    let with_name = edited(body, [passing.rename(NAME)]);
    names(renamed(body, &with_name), passing.model());
    if let Some(request) = request {
        assert_eq!(request.stream, passing.stream());
    }
}

/// A request of Messages.
pub fn request_messages(body: &[u8]) {
    let request = ask(Client::Messages, body);
    let Ok(passing) = anthropic::passing::request::Request::parse(body) else { return };
    count(body, &passing);
    let with_name = edited(body, [passing.rename(NAME)]);
    names(renamed(body, &with_name), passing.model());
    if let Some(request) = request {
        assert_eq!(request.stream, passing.stream());
    }
}

/// A request of generateContent, or of countTokens.
pub fn request_gemini(body: &[u8]) {
    ask(Client::Gemini(None), body);
    let streamed = ask(Client::Gemini(Some(Framing::Sse)), body);
    assert!(streamed.is_none_or(|request| request.stream));
    let parse = gemini::passing::request::Request::parse;
    let (asked, counted) = (parse(body), gemini::passing::request::Request::parse_count(body));
    if let Ok(passing) = &counted {
        count(body, passing);
        let with_name = edited(body, passing.rename(NAME));
        let again = gemini::passing::request::Request::parse_count(&with_name).expect("still a request");
        assert_eq!(again.contents().len(), passing.contents().len());
    }
    let holds_another = |plain: &Value| {
        ["generateContentRequest", "generate_content_request"].iter().any(|key| plain.get(key).is_some())
    };
    if serde_json::from_slice(body).is_ok_and(|plain| !holds_another(&plain)) {
        assert_eq!(asked, counted, "a count is asked for as the answer is");
        let read = gemini::ingress::request::read;
        assert_eq!(read(body, false), gemini::ingress::request::read_count(body));
    }
}

/// A request is refused with a reason, or told to every provider; and its answer is told to the client.
fn ask(client: Client, body: &[u8]) -> Option<Request<'_>> {
    let request = match client.read(body) {
        Ok(request) => request,
        Err(malformed) => {
            assert!(malformed.to_string().len() > 10, "{malformed}");
            return None;
        }
    };
    for spoken in SPOKEN {
        let mut losses = Losses::default();
        match spoken.write(&request, &TARGET, &mut losses) {
            Ok(written) => understood(spoken, &written),
            Err(unsupported) => {
                assert!(!unsupported.why.is_empty());
                assert!(unsupported.message.is_none() || !client.place(&unsupported).is_empty());
            }
        }
        losses.iter().for_each(|loss| assert!(!client.parameter(loss, body).is_empty()));
    }
    answered(client, &request, body);
    Some(request)
}

/// What a provider is asked is JSON, and a request for whoever else reads its format.
fn understood(spoken: Spoken, written: &[u8]) {
    told::json(written);
    let (read, again) = match spoken {
        Spoken::Chat => {
            let read = openai_chat::passing::request::Request::parse(written);
            (read.map(|request| count(written, &request)), Some(Client::Chat))
        }
        Spoken::Messages => {
            let read = anthropic::passing::request::Request::parse(written);
            (read.map(|request| count(written, &request)), Some(Client::Messages))
        }
        // A client's may not hold all that Google takes, for others would not take it.
        Spoken::Gemini => {
            let read = gemini::passing::request::Request::parse(written);
            (read.map(|request| count(written, &request)), None)
        }
        Spoken::Converse => return,
    };
    let read = read.and_then(|()| again.map_or(Ok(()), |client| client.read(written).map(drop)));
    assert!(read.is_ok(), "{read:?}: {}", String::from_utf8_lossy(written));
}

/// Whatever an answer repeats of its request, it is JSON, and its stream ends well.
fn answered(client: Client, request: &Request<'_>, body: &[u8]) {
    let asked = Asked { body, ..ASKED };
    let whole = ANSWER.replace("MESSAGE", "message");
    let answer = Spoken::Chat.read(whole.as_bytes(), ASKED.unique).expect("an answer");
    told::json(&client.write(&answer, request.expected(), &asked));
    let sides = (Spoken::Chat.decoder(ASKED.unique), client.encoder(request.expected(), &asked));
    let mut machine = Translated::new(translated::Framing::Sse, sides, None);
    let event = format!("data: {}\n\n", ANSWER.replace("MESSAGE", "delta").replace('\n', ""));
    let mut out = machine.push(event.into()).expect("small").to_vec();
    let (last, ending) = machine.finish();
    out.extend(last);
    assert_eq!(ending, Ending::Complete);
    told::stream(client, &out, ending);
}

/// What stood in the place of the name was the model.
fn names(old: Option<&[u8]>, model: &str) {
    let old = old.expect("nothing but the model is another");
    assert_eq!(serde_json::from_slice::<String>(old).ok().as_deref(), Some(model));
}
