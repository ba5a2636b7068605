//! Who speaks what: the dialects of clients, the kinds of provider, and how each format is framed. Bedrock's frames are
//! built here, without the program's own code for them.

use std::{collections::BTreeMap, net::SocketAddr};

use http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{ID, case::Cases, layout};
use crate::support::{
    client::CHAT,
    upstream::{Call, Reply, Step},
};

/// An object whose members are not looked into.
type Members = BTreeMap<String, Box<RawValue>>;

/// A format, as cases name it.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub(super) enum Wire {
    Chat,
    Responses,
    Messages,
    Gemini,
    Converse,
}

/// A dialect of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ingress {
    Chat,
    Responses,
    Messages,
    Gemini,
}

/// A kind of provider.
pub(super) struct Kind {
    /// The provider's name.
    pub(super) name: &'static str,
    /// What it calls the model `m`.
    pub(super) model: &'static str,
    wire: Wire,
    /// Whether it speaks Responses to those who do.
    responses: bool,
}

/// Every kind; of Bedrock two, since it depends on the model's maker what can be said there.
pub(super) const KINDS: [Kind; 7] = [
    Kind::new("openai", "gpt-4o", Wire::Chat, false),
    Kind::new("responses", "gpt-5", Wire::Chat, true),
    Kind::new("azure", "deployment", Wire::Chat, true),
    Kind::new("anthropic", "claude-sonnet-4-5", Wire::Messages, false),
    Kind::new("google", "gemini-2.5-pro", Wire::Gemini, false),
    Kind::new("bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0", Wire::Converse, false),
    Kind::new("nova", "amazon.nova-pro-v1:0", Wire::Converse, false),
];

impl Ingress {
    /// Every dialect.
    pub(super) const ALL: [Self; 4] = [Self::Chat, Self::Responses, Self::Messages, Self::Gemini];

    /// Its name in snapshots.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Responses => "responses",
            Self::Messages => "messages",
            Self::Gemini => "gemini",
        }
    }

    /// Its format.
    pub(super) fn wire(self) -> Wire {
        match self {
            Self::Chat => Wire::Chat,
            Self::Responses => Wire::Responses,
            Self::Messages => Wire::Messages,
            Self::Gemini => Wire::Gemini,
        }
    }

    /// Where a call goes.
    pub(super) fn target(self, provider: &str, stream: bool) -> String {
        let verb = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
        match self {
            Self::Chat => CHAT.to_owned(),
            Self::Responses => "/llm/openai/v1/responses".to_owned(),
            Self::Messages => "/llm/anthropic/v1/messages".to_owned(),
            Self::Gemini => format!("/llm/google/v1beta/models/{provider}/m:{verb}"),
        }
    }

    /// A case's request with its model, and whether it is streamed.
    pub(super) fn body(self, request: &str, model: &str, stream: bool) -> String {
        let usage = ",\"stream_options\":{\"include_usage\":true}";
        let streamed = match self {
            Self::Gemini => return request.to_owned(),
            _ if !stream => "",
            Self::Chat => &format!(",\"stream\":true{usage}"),
            Self::Responses | Self::Messages => ",\"stream\":true",
        };
        let members = request.strip_prefix('{').expect("an object");
        let comma = if members.trim() == "}" { "" } else { "," };
        format!("{{\"model\":\"{model}\"{streamed}{comma}{members}")
    }
}

impl Kind {
    const fn new(name: &'static str, model: &'static str, wire: Wire, responses: bool) -> Self {
        Self { name, model, wire, responses }
    }

    /// What it is asked in for clients of a dialect.
    pub(super) fn wire(&self, ingress: Ingress) -> Wire {
        if self.responses && ingress == Ingress::Responses { Wire::Responses } else { self.wire }
    }
}

/// The configuration with a provider of every kind, all played by one server.
pub(super) fn configuration(upstream: SocketAddr) -> String {
    let mut text = String::new();
    for Kind { name, model, wire, .. } in &KINDS {
        let keys = match (*name, wire) {
            ("azure", _) => "type = \"azure\"\napi_key = \"azure-key\"\nbase_url = \"http://{}\"",
            // Both stand for OpenAI itself, whose address they do not have.
            ("responses", _) => {
                "type = \"openai\"\nresponses = true\nmax_tokens_field = \"max_completion_tokens\"\n\
                 base_url = \"http://{}/v1\""
            }
            (_, Wire::Chat | Wire::Responses) => {
                "type = \"openai\"\nmax_tokens_field = \"max_completion_tokens\"\nbase_url = \"http://{}/v1\""
            }
            (_, Wire::Messages) => "type = \"anthropic\"\nbase_url = \"http://{}/v1\"",
            (_, Wire::Gemini) => "type = \"google\"\nbase_url = \"http://{}/v1beta\"",
            (_, Wire::Converse) => {
                "type = \"bedrock\"\nregion = \"us-east-1\"\naccess_key_id = \"AKIDEXAMPLE\"\n\
                 secret_access_key = \"an-example-of-a-secret\"\nbase_url = \"http://{}\""
            }
        };
        let keys = keys.replace("{}", &upstream.to_string());
        text += &format!("[llm.providers.{name}]\n{keys}\n");
        text += &format!("[llm.providers.{name}.models.m]\nrename = \"{model}\"\n");
    }
    text
}

/// What the provider says to a call, by its name and path.
pub(super) fn reply(cases: &Cases, call: &Call) -> Reply {
    let id = call.header(ID).expect("the name of a call");
    let (name, stream) = (id.split('/').next().expect("a case"), id.ends_with("/true"));
    let path = call.uri.path();
    let wire = match path.rsplit(['/', ':']).next().expect("a path") {
        "completions" => Wire::Chat,
        "responses" => Wire::Responses,
        "messages" => Wire::Messages,
        "generateContent" | "streamGenerateContent" => Wire::Gemini,
        "converse" | "converse-stream" => Wire::Converse,
        _ => panic!("no such path: {path}"),
    };
    let case = &cases[name];
    let reply = match case.status(wire) {
        200 if stream && wire == Wire::Converse => {
            let frames = cases.stream(name, wire).iter().map(|event| frame(event.get()));
            frames.fold(
                Reply::status(200).header("content-type", "application/vnd.amazon.eventstream"),
                Reply::step,
            )
        }
        200 if stream => {
            let events = cases.stream(name, wire).iter();
            Reply::events(events.map(|text| event(wire, text.get()).map_or(Step::Break, Step::send)))
        }
        status => Reply::status(status)
            .header("content-type", "application/json")
            .body(cases.answer(name, wire).to_owned()),
    };
    case.headers(wire).fold(reply, |reply, (name, value)| reply.header(name, value))
}

/// An event of a stream of text; `None` where the connection breaks.
pub(super) fn event(wire: Wire, event: &str) -> Option<String> {
    let data = match serde_json::from_str::<Value>(event) {
        Ok(Value::String(text)) if text == "[break]" => return None,
        Ok(Value::String(text)) if text == "[DONE]" => text,
        Ok(Value::String(text)) => return Some(text),
        _ => layout::compact(event),
    };
    Some(match wire {
        Wire::Responses | Wire::Messages => {
            // Its other members may hold what no text can.
            let members: Members = serde_json::from_str(&data).expect("an object");
            let name = members["type"].get().trim_matches('"');
            format!("event: {name}\ndata: {data}\n\n")
        }
        Wire::Gemini => format!("data: {data}\r\n\r\n"),
        Wire::Chat | Wire::Converse => format!("data: {data}\n\n"),
    })
}

/// A message of AWS's event stream: lengths and their checksum, headers, payload, checksum of all.
fn frame(event: &str) -> Step {
    if event == "\"[break]\"" {
        return Step::Break;
    }
    let value: Members = serde_json::from_str(event).expect("one event");
    let (name, data) = value.first_key_value().expect("one event");
    let kind = if name.ends_with("Exception") { "exception" } else { "event" };
    let mut headers = Vec::new();
    for (header, text) in [
        (format!(":{kind}-type"), name.as_str()),
        (":content-type".to_owned(), "application/json"),
        (":message-type".to_owned(), kind),
    ] {
        headers.push(u8::try_from(header.len()).unwrap());
        headers.extend(header.as_bytes());
        headers.push(7); // a text
        headers.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
        headers.extend(text.as_bytes());
    }
    // Every recorded payload is padded.
    let data = layout::compact(data.get());
    let data = data.strip_suffix('}').expect("an object").to_owned();
    let data = if data == "{" { "{\"p\":\"abcdefg\"}".to_owned() } else { data + ",\"p\":\"abcdefg\"}" };
    let length = |bytes: usize| u32::try_from(bytes).unwrap().to_be_bytes();
    let mut message = [length(16 + headers.len() + data.len()), length(headers.len())].concat();
    message.extend(checksum(&message).to_be_bytes());
    message.extend(headers);
    message.extend(data.as_bytes());
    message.extend(checksum(&message).to_be_bytes());
    Step::send(message)
}

/// CRC-32 as in Ethernet and gzip, bit by bit.
fn checksum(bytes: &[u8]) -> u32 {
    let bit = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| bit(crc)))
}

/// What is told of an answer's head.
pub(super) fn head(status: u16, headers: &HeaderMap) -> String {
    let mut text = if status == 200 { String::new() } else { format!("{status}\n") };
    for name in ["retry-after", "x-should-retry"] {
        if let Some(value) = headers.get(name) {
            text += &format!("{name}: {}\n", value.to_str().expect("text"));
        }
    }
    text
}

/// What the provider was not told.
pub(super) fn dropped(headers: &HeaderMap) -> String {
    let value = headers.get("x-nexus-dropped").map(|value| value.to_str().expect("text"));
    value.map_or_else(String::new, |value| format!("dropped: {value}\n"))
}

#[test]
fn checksums_are_those_of_the_book() {
    assert_eq!(checksum(b"123456789"), 0xCBF4_3926);
}
