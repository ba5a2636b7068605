//! A request that has been read: its body, what is known of it, the model it goes to, and in which wire format.

use std::sync::Arc;

use actors::provider::{Outgoing, credential::Opened};
use bytes::Bytes;
use http::request::Parts;

use super::{
    body::Held,
    call,
    counting::Counting,
    credential,
    router::Upstream,
    translation::{self, Translation},
};
use crate::{
    error::{Caller, Error, Ours},
    protocol::{
        Call, anthropic,
        dialect::Client as Format,
        gemini::{self, egress::Api, ingress::stream::Framing},
        json::Malformed,
        machine::Machine,
        openai_chat, openai_embeddings, openai_responses,
        passing::{Needles, Whole},
        splice::{Rope, splice},
        translated::{self, Translated},
    },
    route::Target,
    tokens::Counter,
    upstream::{Client, Operation, Server, Wanted, echo},
};

/// A request on its way to a provider.
pub(super) struct Ask<'a> {
    pub(super) target: Arc<Target>,
    operation: Call,
    head: &'a Parts,
    held: Held,
    read: Read,
    counted_here: bool,
    /// Where the provider speaks another format than the client.
    pub(super) translation: Option<Box<Translation>>,
}

/// What was read of the body.
enum Read {
    Chat(Arc<openai_chat::passing::request::Request>),
    Embeddings(Arc<openai_embeddings::passing::request::Request>),
    Responses(Arc<openai_responses::passing::request::Request>),
    Messages(Arc<anthropic::passing::request::Request>),
    Gemini(Arc<gemini::passing::request::Request>, String, Option<Framing>),
}

impl Read {
    /// `model` and `framing` are for the format that has them in the address.
    fn of(
        operation: Call,
        body: &[u8],
        model: Option<String>,
        framing: Option<Framing>,
    ) -> Result<Self, Malformed> {
        Ok(match operation {
            Call::Generate | Call::StreamGenerate => {
                let request = gemini::passing::request::Request::parse(body)?;
                Self::Gemini(Arc::new(request), model.unwrap_or_default(), framing)
            }
            Call::CountGenerate => {
                let request = gemini::passing::request::Request::parse_count(body)?;
                Self::Gemini(Arc::new(request), model.unwrap_or_default(), None)
            }
            Call::Chat => Self::Chat(Arc::new(openai_chat::passing::request::Request::parse(body)?)),
            Call::Embeddings => {
                Self::Embeddings(Arc::new(openai_embeddings::passing::request::Request::parse(body)?))
            }
            Call::Responses => {
                Self::Responses(Arc::new(openai_responses::passing::request::Request::parse(body)?))
            }
            Call::Messages | Call::CountMessages => {
                Self::Messages(Arc::new(anthropic::passing::request::Request::parse(body)?))
            }
        })
    }

    fn model(&self) -> &str {
        match self {
            Self::Chat(request) => request.model(),
            Self::Embeddings(request) => request.model(),
            Self::Responses(request) => request.model(),
            Self::Messages(request) => request.model(),
            Self::Gemini(_, model, _) => model,
        }
    }

    /// The client's format; `None` for what has only one.
    fn dialect(&self) -> Option<Format> {
        match self {
            Self::Chat(_) => Some(Format::Chat),
            Self::Responses(_) => Some(Format::Responses),
            Self::Messages(_) => Some(Format::Messages),
            Self::Gemini(.., framing) => Some(Format::Gemini(*framing)),
            Self::Embeddings(_) => None,
        }
    }
}

impl<'a> Ask<'a> {
    /// Reads the body of an operation and looks up the model that it names.
    pub(super) fn read(
        (operation, model): (Call, Option<String>),
        head: &'a Parts,
        held: Held,
        find: impl FnOnce(&str) -> Result<Arc<Target>, Caller>,
    ) -> Result<Self, Error> {
        let malformed = |error: Malformed| Caller::Malformed(error.to_string());
        let framing = (operation == Call::StreamGenerate).then(|| framing(head.uri.query()));
        let read = Read::of(operation, &held.bytes, model, framing).map_err(malformed)?;
        let target = find(read.model())?;
        Ok(Self { target, operation, head, held, read, counted_here: false, translation: None })
    }

    /// Writes the request anew where the provider speaks another format.
    ///
    /// # Errors
    /// The client's fault: what cannot be read as a whole, what the provider cannot be told, and what a strict client
    /// would not have dropped. Ours, when the memory budget has no room for the request as it is written anew.
    pub(super) async fn translate(
        &mut self,
        upstream: &Upstream,
        unique: String,
        counting: &Counting,
    ) -> Result<(), Error> {
        if upstream.speaks(operation(self.operation)) {
            return Ok(());
        }
        let Some(client) = self.read.dialect() else { return self.translate_embeddings(upstream, unique) };
        let (body, target) = (self.held.bytes.clone(), Arc::clone(&self.target));
        let is_strict = translation::is_strict(&self.head.headers);
        let between = (client, upstream.spoken());
        let (size, asked) = (body.len(), upstream.counting().filter(|_| self.is_count()));
        if self.is_count() && asked.is_none() {
            self.counted_here = true;
            return Ok(());
        }
        let write = move || match asked {
            Some(counting) => Translation::of_count(between, counting, &body, &target, is_strict, unique),
            None => Translation::new(between, &body, &target, is_strict, unique),
        };
        let written = counting.write(size, write).await?;
        self.hold(written?)
    }

    /// Keeps a translation, whose body counts as memory like the client's.
    fn hold(&mut self, translation: Translation) -> Result<(), Error> {
        if !self.held.memory.grow(translation.body.len()) {
            return Err(Ours::Memory.into());
        }
        self.translation = Some(Box::new(translation));
        Ok(())
    }

    fn translate_embeddings(&mut self, upstream: &Upstream, unique: String) -> Result<(), Error> {
        let apis = [(Operation::BatchEmbed, Api::Gemini), (Operation::Predict, Api::Vertex)];
        let Some((_, api)) = apis.into_iter().find(|(operation, _)| upstream.speaks(*operation)) else {
            return Err(Caller::Malformed(format!(
                "provider '{}' has no embeddings; ask for a model of another one",
                self.target.provider
            ))
            .into());
        };
        let is_strict = translation::is_strict(&self.head.headers);
        self.hold(Translation::of_embeddings(api, &self.held.bytes, &self.target, is_strict, unique)?)
    }

    /// Whether nothing but the number of its tokens is asked for.
    pub(super) fn is_count(&self) -> bool {
        matches!(self.operation, Call::CountMessages | Call::CountGenerate)
    }

    /// Whether the answer is made of tokens that cost something.
    pub(super) fn has_output(&self) -> bool {
        !matches!(self.read, Read::Embeddings(_))
    }

    /// Whether that number is the estimate, since the provider does not count.
    pub(super) fn is_counted_here(&self) -> bool {
        self.counted_here
    }

    pub(super) fn is_stream(&self) -> bool {
        match &self.read {
            Read::Chat(request) => request.stream(),
            Read::Responses(request) => request.stream(),
            // A request whose tokens are counted may say that it would be one.
            Read::Messages(request) => request.stream() && !self.is_count(),
            Read::Gemini(.., framing) => framing.is_some(),
            Read::Embeddings(_) => false,
        }
    }

    /// The body as the client sent it.
    pub(super) fn body(&self) -> &Bytes {
        &self.held.bytes
    }

    /// Input tokens; above `ceiling` any number above it.
    pub(super) async fn estimate(&self, counting: &Counting, ceiling: Option<u64>) -> u64 {
        match &self.read {
            Read::Chat(request) => counting.estimate(&self.held.bytes, request, ceiling).await,
            Read::Embeddings(request) => counting.estimate(&self.held.bytes, request, ceiling).await,
            Read::Responses(request) => counting.estimate(&self.held.bytes, request, ceiling).await,
            Read::Messages(request) => counting.estimate(&self.held.bytes, request, ceiling).await,
            Read::Gemini(request, ..) => counting.estimate(&self.held.bytes, request, ceiling).await,
        }
    }

    /// The request as it goes upstream, to a provider that is `opened` by this where one key is not enough.
    pub(super) fn outgoing(
        &self,
        server: &Server,
        stream_usage: bool,
        opened: Option<&Opened>,
        of: &call::Call,
    ) -> Outgoing {
        let client = Client {
            query: self.head.uri.query().filter(|_| self.translation.is_none()),
            headers: &self.head.headers,
            request_id: &of.request_id,
            key: of.key.as_ref(),
            opened: opened.map(credential::opens),
            same_protocol: self.translation.is_none(),
        };
        let wanted =
            Wanted { operation: self.asked(), model: &self.target.upstream_name, stream: self.is_stream() };
        server.request(&wanted, &client, self.target.headers.as_ref(), self.outgoing_body(stream_usage))
    }

    /// What the provider is asked for.
    fn asked(&self) -> Operation {
        match (&self.translation, self.operation) {
            (Some(translation), _) => translation.operation(),
            (None, call) => operation(call),
        }
    }

    /// Translated, or as it came with the model renamed and usage asked for.
    fn outgoing_body(&self, stream_usage: bool) -> Rope {
        if let Some(translation) = &self.translation {
            return Rope::from_iter([translation.body.clone()]);
        }
        let model = &self.target.upstream_name;
        match &self.read {
            Read::Chat(request) => {
                let usage = request.ask_for_usage().filter(|_| stream_usage);
                splice(&self.held.bytes, [request.rename(model)].into_iter().chain(usage))
            }
            Read::Embeddings(request) => splice(&self.held.bytes, [request.rename(model)]),
            Read::Responses(request) => splice(&self.held.bytes, [request.rename(model)]),
            Read::Messages(request) => splice(&self.held.bytes, [request.rename(model)]),
            Read::Gemini(request, ..) => splice(&self.held.bytes, request.rename(model)),
        }
    }

    /// The machine through which the answer's stream goes. `framing` is how a provider of another format cuts it; what
    /// passes is cut in one way only. `secrets` are kept out of its errors.
    pub(super) fn machine(&self, framing: translated::Framing, secrets: Option<Needles>) -> Machine {
        let model = self.target.id_json.clone();
        match (&self.translation, &self.read) {
            (Some(translation), _) => {
                let machines = translation.machines(&self.held.bytes, &self.target.id);
                Machine::Translated(Box::new(Translated::new(framing, machines, secrets)))
            }
            (None, Read::Responses(_)) => {
                Machine::Responses(openai_responses::passing::stream::Stream::new(model, secrets))
            }
            (None, Read::Messages(_)) => {
                Machine::Messages(anthropic::passing::stream::Stream::new(model, secrets))
            }
            (None, Read::Gemini(.., Some(Framing::Array))) => {
                Machine::GeminiArray(gemini::passing::array::Stream::new(model, secrets))
            }
            (None, Read::Gemini(..)) => Machine::Gemini(gemini::passing::stream::Stream::new(model, secrets)),
            (None, Read::Chat(request)) => {
                let hide = !request.include_usage();
                Machine::Chat(openai_chat::passing::stream::Stream::new(model, hide, secrets))
            }
            (None, Read::Embeddings(_)) => {
                Machine::Chat(openai_chat::passing::stream::Stream::new(model, false, secrets))
            }
        }
    }

    /// Reads a whole answer that passes.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn whole(&self, answer: &[u8]) -> Result<Whole, String> {
        match &self.read {
            Read::Chat(_) | Read::Embeddings(_) => openai_chat::passing::response::parse(answer),
            Read::Responses(_) => openai_responses::passing::response::parse(answer),
            Read::Messages(_) => anthropic::passing::response::parse(answer),
            Read::Gemini(..) => gemini::passing::response::parse(answer),
        }
    }

    /// Whether the answer is a stream that passes as a JSON array, by whose content type it is told from no other.
    pub(super) fn is_array(&self) -> bool {
        self.translation.is_none() && matches!(self.read, Read::Gemini(.., Some(Framing::Array)))
    }

    /// The content type of the answer, as the client expects it.
    pub(super) fn content_type(&self) -> &'static str {
        match &self.read {
            Read::Gemini(.., Some(Framing::Array)) => "application/json",
            _ if self.is_stream() => "text/event-stream",
            _ => "application/json",
        }
    }

    /// What the built-in provider answers.
    pub(super) fn echo(&self, counter: &Counter, prompt_tokens: u64) -> Vec<Bytes> {
        let model = self.target.upstream_name.as_ref();
        if matches!(self.read, Read::Embeddings(_)) {
            return vec![echo::embeddings(&self.held.bytes, model, prompt_tokens)];
        }
        let text = match (&self.translation, &self.read) {
            (None, Read::Chat(request)) => {
                echo::last_user_text(request.messages().iter().map(|span| &self.held.bytes[span.range()]))
            }
            _ => self.translated_words(),
        };
        let completion_tokens = counter.count(&text);
        let chat = echo::Chat { model, text: &text, prompt_tokens, completion_tokens };
        if self.is_stream() { chat.events() } else { vec![chat.whole()] }
    }

    /// The last words of the user in a request that was written anew as chat completions.
    fn translated_words(&self) -> String {
        let Some(translation) = &self.translation else { return String::new() };
        let Ok(request) = openai_chat::passing::request::Request::parse(&translation.body) else {
            return String::new();
        };
        echo::last_user_text(request.messages().iter().map(|span| &translation.body[span.range()]))
    }
}

/// How Google's clients want a stream framed: they say so in the query.
fn framing(query: Option<&str>) -> Framing {
    let sse = query.is_some_and(|query| query.split('&').any(|pair| pair == "alt=sse"));
    if sse { Framing::Sse } else { Framing::Array }
}

/// A call as a provider that takes it as it comes knows it.
fn operation(call: Call) -> Operation {
    match call {
        Call::Chat => Operation::Chat,
        Call::Embeddings => Operation::Embeddings,
        Call::Responses => Operation::Responses,
        Call::Messages => Operation::Messages,
        Call::CountMessages => Operation::CountMessages,
        Call::Generate | Call::StreamGenerate => Operation::Generate,
        Call::CountGenerate => Operation::CountTokens,
    }
}
