//! The wire formats clients speak, and which route belongs to which. Pure: no IO, no clock, no actor.
//!
//! A format's folder holds what only it knows, on three sides: `passing` for calls whose format stays, `ingress` for clients
//! that speak it to another provider, `egress` for providers that speak it to another client. What they share stands in
//! [`translate`] and [`passing`]; [`dialect`] and [`machine`] find the folder of a format.

pub mod anthropic;
pub mod bedrock;
mod call;
mod claude;
pub mod dialect;
pub mod event_stream;
pub mod gemini;
pub mod json;
pub mod machine;
mod media;
pub mod openai_chat;
pub mod openai_embeddings;
pub mod openai_responses;
pub mod passing;
pub mod said;
mod signature;
pub mod splice;
pub mod sse;
pub mod translate;
pub mod translated;
mod value;

use std::ops::Range;

use http::Method;

/// An ingress protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// OpenAI's: chat completions, embeddings, models.
    OpenAi,
    /// Anthropic's: messages, their count, models.
    Anthropic,
    /// Google's: generateContent, streamed and not, countTokens, models.
    Google,
}

/// Where each protocol is served besides the root; `None` = switched off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefixes {
    /// OpenAI's, the configured path first.
    pub openai: Option<Vec<String>>,
    /// Anthropic's.
    pub anthropic: Option<Vec<String>>,
    /// Google's.
    pub google: Option<Vec<String>>,
}

/// What a route asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `HEAD` on a base path: clients use it to see whether anyone is there.
    Probe,
    /// The models this caller may use.
    ListModels,
    /// One of them, by public id.
    ShowModel(String),
    /// What this caller has used of its limits.
    Usage,
    /// Something that is sent on to a provider; with the model's public id where the path names it.
    Call(Call, Option<String>),
}

/// The operations that go upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// OpenAI's `/v1/chat/completions`
    Chat,
    /// OpenAI's `/v1/embeddings`
    Embeddings,
    /// OpenAI's `/v1/responses`
    Responses,
    /// Anthropic's `/v1/messages`
    Messages,
    /// Anthropic's `/v1/messages/count_tokens`
    CountMessages,
    /// Google's `/v1beta/models/{model}:generateContent`
    Generate,
    /// Google's `/v1beta/models/{model}:streamGenerateContent`
    StreamGenerate,
    /// Google's `/v1beta/models/{model}:countTokens`
    CountGenerate,
}

/// Why a path and method have no operation.
#[derive(Debug, PartialEq, Eq)]
pub enum NoRoute {
    /// Nothing lives at the path.
    Unknown,
    /// Something does, for other methods: the `Allow` value.
    Method(&'static str),
}

impl Protocol {
    /// All, in the order in which the root is searched.
    const ALL: [Self; 3] = [Self::OpenAi, Self::Anthropic, Self::Google];

    /// Its name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Google => "google",
        }
    }

    /// The format in which its errors are told.
    pub fn errors(self) -> dialect::Client {
        match self {
            Self::OpenAi => dialect::Client::Chat,
            Self::Anthropic => dialect::Client::Messages,
            Self::Google => dialect::Client::Gemini(None),
        }
    }

    fn route(self, method: &Method, path: &str) -> Result<Operation, NoRoute> {
        if matches!(path, "" | "/" | "/v1" | "/v1beta") && *method == Method::HEAD {
            return Ok(Operation::Probe);
        }
        if path == "/v1/usage" || self == Self::Google && path == "/v1beta/usage" {
            return get(method).map(|()| Operation::Usage);
        }
        let Some(below) = self.models(path) else {
            let call = self.call(path).ok_or(NoRoute::Unknown)?;
            return post(method, call, None);
        };
        if below.is_empty() {
            return get(method).map(|()| Operation::ListModels);
        }
        let id = below.strip_prefix('/').and_then(decode).ok_or(NoRoute::Unknown)?;
        match self.call_of(&id) {
            Some((model, call)) => post(method, call, Some(model.to_owned())),
            // What is asked of a model and is not here (`:embedContent`) is no route; a model may have a colon in its name.
            None if self == Self::Google && *method == Method::POST && id.contains(':') => {
                Err(NoRoute::Unknown)
            }
            None => get(method).map(|()| Operation::ShowModel(id)),
        }
    }

    /// The rest of a path behind the list of models.
    fn models(self, path: &str) -> Option<&str> {
        match self {
            Self::OpenAi | Self::Anthropic => below(path, "/v1/models"),
            Self::Google => below(path, "/v1beta/models").or_else(|| below(path, "/v1/models")),
        }
    }

    /// Google names what is asked of a model behind its id.
    fn call_of(self, id: &str) -> Option<(&str, Call)> {
        let (model, verb) = id.rsplit_once(':').filter(|_| self == Self::Google)?;
        let call = match verb {
            "generateContent" => Call::Generate,
            "streamGenerateContent" => Call::StreamGenerate,
            "countTokens" => Call::CountGenerate,
            _ => return None,
        };
        Some((model, call))
    }

    fn call(self, path: &str) -> Option<Call> {
        match (self, path) {
            (Self::OpenAi, "/v1/chat/completions") => Some(Call::Chat),
            (Self::OpenAi, "/v1/embeddings") => Some(Call::Embeddings),
            (Self::OpenAi, "/v1/responses") => Some(Call::Responses),
            (Self::Anthropic, "/v1/messages") => Some(Call::Messages),
            (Self::Anthropic, "/v1/messages/count_tokens") => Some(Call::CountMessages),
            _ => None,
        }
    }
}

impl Call {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Chat,
        Self::Embeddings,
        Self::Responses,
        Self::Messages,
        Self::CountMessages,
        Self::Generate,
        Self::StreamGenerate,
        Self::CountGenerate,
    ];

    /// The operation's name in metrics, after the OpenTelemetry `gen_ai.operation.name` values.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chat | Self::Responses | Self::Messages | Self::Generate | Self::StreamGenerate => "chat",
            Self::Embeddings => "embeddings",
            Self::CountMessages | Self::CountGenerate => "count_tokens",
        }
    }
}

impl Prefixes {
    fn of(&self, protocol: Protocol) -> Option<&[String]> {
        match protocol {
            Protocol::OpenAi => self.openai.as_deref(),
            Protocol::Anthropic => self.anthropic.as_deref(),
            Protocol::Google => self.google.as_deref(),
        }
    }

    /// The protocol under whose path this one lies, and the rest below it; of several the longest, since `/llm` is a path of
    /// OpenAI's and `/llm/anthropic` one of another.
    fn split<'p>(&self, path: &'p str) -> Option<(Protocol, &'p str)> {
        let under = |protocol| {
            let prefixes = self.of(protocol).unwrap_or_default().iter();
            prefixes.filter_map(move |prefix| Some((protocol, below(path, prefix)?)))
        };
        Protocol::ALL.into_iter().flat_map(under).min_by_key(|(_, rest)| rest.len())
    }
}

/// Finds the protocol and operation of a request. At the root, where all protocols are, `models` says whose list of models
/// is meant.
///
/// # Errors
/// [`NoRoute`] when nothing is there, or nothing for this method, and the protocol in which to say so.
pub fn route(
    prefixes: &Prefixes,
    method: &Method,
    path: &str,
    models: Protocol,
) -> Result<(Protocol, Operation), (Protocol, NoRoute)> {
    if let Some((protocol, rest)) = prefixes.split(path) {
        return match protocol.route(method, rest) {
            Ok(operation) => Ok((protocol, operation)),
            Err(no) => Err((protocol, no)),
        };
    }
    let mut no = None;
    let first = Protocol::ALL.into_iter().filter(|protocol| *protocol == models);
    let others = Protocol::ALL.into_iter().filter(|protocol| *protocol != models);
    for protocol in first.chain(others).filter(|protocol| prefixes.of(*protocol).is_some()) {
        match protocol.route(method, path) {
            Ok(operation) => return Ok((protocol, operation)),
            Err(NoRoute::Unknown) if protocol.models(path).is_none() => {}
            // Where several have something, the one that is meant says why not.
            Err(why) => no = no.or(Some((protocol, why))),
        }
    }
    Err(no.unwrap_or((Protocol::OpenAi, NoRoute::Unknown)))
}

/// The rest of `path` below `prefix`, which must end at a segment's end.
fn below<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    path.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn post(method: &Method, call: Call, model: Option<String>) -> Result<Operation, NoRoute> {
    if *method == Method::POST { Ok(Operation::Call(call, model)) } else { Err(NoRoute::Method("POST")) }
}

fn get(method: &Method) -> Result<(), NoRoute> {
    if *method == Method::GET || *method == Method::HEAD { Ok(()) } else { Err(NoRoute::Method("GET, HEAD")) }
}

/// A model id out of a path, where its `/` may be written raw or as `%2F`. Empty, ending in `/`, or not UTF-8: none.
fn decode(segment: &str) -> Option<String> {
    unescaped(segment).filter(|id| !id.is_empty() && !id.ends_with('/'))
}

/// A part of a URL without its `%` escapes (RFC 3986 §2.1); `None` if one is broken, or it is not UTF-8.
pub fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let hex = |byte: Option<u8>| {
            byte.and_then(|b| char::from(b).to_digit(16)).and_then(|d| u8::try_from(d).ok())
        };
        bytes.push(if byte == b'%' { hex(rest.next())? << 4 | hex(rest.next())? } else { byte });
    }
    String::from_utf8(bytes).ok()
}

/// Where `part`, a slice of `whole`, stands in it; `None` for any other slice.
fn span_in(whole: &[u8], part: &str) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    let end = start.checked_add(part.len()).filter(|end| *end <= whole.len())?;
    Some(start..end)
}

#[cfg(test)]
mod tests {
    mod any_json;
    mod any_split;
    mod cut;
    mod there_and_back;

    use super::*;

    fn prefixes() -> Prefixes {
        let paths = |paths: &[&str]| Some(paths.iter().map(|path| (*path).to_owned()).collect());
        Prefixes {
            openai: paths(&["/llm/openai", "/llm"]),
            anthropic: paths(&["/llm/anthropic"]),
            google: paths(&["/llm/google"]),
        }
    }

    fn routed(method: Method, path: &str) -> Result<(Protocol, Operation), (Protocol, NoRoute)> {
        route(&prefixes(), &method, path, Protocol::OpenAi)
    }

    fn at(method: Method, path: &str) -> Result<Operation, NoRoute> {
        routed(method, path).map(|(_, operation)| operation).map_err(|(_, no)| no)
    }

    #[test]
    fn every_route_is_served_under_each_prefix_and_at_the_root() {
        for base in ["", "/llm", "/llm/openai"] {
            assert_eq!(
                at(Method::POST, &format!("{base}/v1/chat/completions")),
                Ok(Operation::Call(Call::Chat, None))
            );
            assert_eq!(
                at(Method::POST, &format!("{base}/v1/embeddings")),
                Ok(Operation::Call(Call::Embeddings, None))
            );
            assert_eq!(at(Method::GET, &format!("{base}/v1/models")), Ok(Operation::ListModels));
            assert_eq!(at(Method::HEAD, base), Ok(Operation::Probe));
            assert_eq!(at(Method::GET, &format!("{base}/v1/usage")), Ok(Operation::Usage));
        }
    }

    #[test]
    fn a_prefix_ends_where_a_segment_ends() {
        assert_eq!(at(Method::GET, "/llmx/v1/models"), Err(NoRoute::Unknown));
        assert_eq!(at(Method::GET, "/llm/openai/v1/models/"), Err(NoRoute::Unknown));
        assert_eq!(at(Method::POST, "/llm/openai/v1/chat/completions/"), Err(NoRoute::Unknown));
    }

    #[test]
    fn a_model_id_may_be_written_raw_or_escaped() {
        let shown = Ok(Operation::ShowModel("a/b/c:1".to_owned()));
        assert_eq!(at(Method::GET, "/v1/models/a/b/c:1"), shown);
        assert_eq!(at(Method::GET, "/v1/models/a%2Fb%2fc%3A1"), shown);
        for broken in ["%2", "%", "%zz", "a%ff"] {
            assert_eq!(at(Method::GET, &format!("/v1/models/{broken}")), Err(NoRoute::Unknown), "{broken}");
        }
    }

    #[test]
    fn a_wrong_method_names_the_right_ones() {
        assert_eq!(at(Method::GET, "/v1/chat/completions"), Err(NoRoute::Method("POST")));
        assert_eq!(at(Method::DELETE, "/v1/models"), Err(NoRoute::Method("GET, HEAD")));
        assert_eq!(at(Method::GET, "/llm"), Err(NoRoute::Unknown));
        let google = "/llm/google/v1beta/models/g/m";
        assert_eq!(at(Method::POST, google), Err(NoRoute::Method("GET, HEAD")));
        assert_eq!(at(Method::GET, &format!("{google}:countTokens")), Err(NoRoute::Method("POST")));
    }

    #[test]
    fn what_is_not_asked_of_a_model_here_is_no_route_of_googles() {
        for base in ["/llm/google", ""] {
            let path = format!("{base}/v1beta/models/g/m:embedContent");
            assert_eq!(routed(Method::POST, &path), Err((Protocol::Google, NoRoute::Unknown)), "{path}");
        }
    }

    #[test]
    fn at_the_root_the_protocol_that_is_meant_says_why_not() {
        for method in [Method::POST, Method::DELETE] {
            for models in Protocol::ALL {
                let no = route(&prefixes(), &method, "/v1/models", models);
                assert_eq!(no, Err((models, NoRoute::Method("GET, HEAD"))), "{method}");
            }
        }
        let no = route(&prefixes(), &Method::POST, "/v1/models/g/m:embedContent", Protocol::Google);
        assert_eq!(no, Err((Protocol::Google, NoRoute::Unknown)));
        let no = route(&prefixes(), &Method::GET, "/v1/nothing", Protocol::Google);
        assert_eq!(no, Err((Protocol::OpenAi, NoRoute::Unknown)));
    }
}
