//! A request that has been read: its body, what is known of it, and the model it goes to.

use std::sync::Arc;

use actors::provider::Outgoing;
use bytes::Bytes;
use http::request::Parts;

use super::{body::Held, call, counting::Counting};
use crate::{
    error::{Caller, Error},
    protocol::{Call, json::Malformed, openai_chat, openai_embeddings, splice::splice},
    route::Target,
    tokens::Counter,
    upstream::{Client, Operation, Wanted, echo, openai::OpenAi},
};

/// A request on its way to a provider.
pub(super) struct Ask<'a> {
    pub(super) target: Arc<Target>,
    head: &'a Parts,
    held: Held,
    read: Read,
}

/// What was read of the body.
enum Read {
    Chat(Arc<openai_chat::passing::request::Request>),
    Embeddings(Arc<openai_embeddings::passing::request::Request>),
}

impl<'a> Ask<'a> {
    /// Reads the body of an operation and looks up the model that it names.
    pub(super) fn read(
        operation: Call,
        head: &'a Parts,
        held: Held,
        find: impl FnOnce(&str) -> Result<Arc<Target>, Caller>,
    ) -> Result<Self, Error> {
        let malformed = |error: Malformed| Caller::Malformed(error.to_string());
        let (read, target) = match operation {
            Call::Chat => {
                let request =
                    openai_chat::passing::request::Request::parse(&held.bytes).map_err(malformed)?;
                let target = find(request.model())?;
                (Read::Chat(Arc::new(request)), target)
            }
            Call::Embeddings => {
                let request =
                    openai_embeddings::passing::request::Request::parse(&held.bytes).map_err(malformed)?;
                let target = find(request.model())?;
                (Read::Embeddings(Arc::new(request)), target)
            }
        };
        Ok(Self { target, head, held, read })
    }

    pub(super) fn is_stream(&self) -> bool {
        matches!(&self.read, Read::Chat(request) if request.stream())
    }

    /// Whether the usage chunk of the stream was asked for by us alone.
    pub(super) fn hides_usage(&self) -> bool {
        matches!(&self.read, Read::Chat(request) if !request.include_usage())
    }

    /// Input tokens; above `ceiling` any number above it.
    pub(super) async fn estimate(&self, counting: &Counting, ceiling: Option<u64>) -> u64 {
        match &self.read {
            Read::Chat(request) => counting.estimate(&self.held.bytes, request, ceiling).await,
            Read::Embeddings(request) => counting.estimate(&self.held.bytes, request, ceiling).await,
        }
    }

    /// The request as it goes upstream: the model renamed, usage asked for, all else as it came.
    pub(super) fn outgoing(&self, server: &OpenAi, stream_usage: bool, of: &call::Call) -> Outgoing {
        let model = &self.target.upstream_name;
        let (operation, body) = match &self.read {
            Read::Chat(request) => {
                let usage = request.ask_for_usage().filter(|_| stream_usage);
                let edits = [request.rename(model)].into_iter().chain(usage);
                (Operation::Chat, splice(&self.held.bytes, edits))
            }
            Read::Embeddings(request) => {
                (Operation::Embeddings, splice(&self.held.bytes, [request.rename(model)]))
            }
        };
        let client = Client {
            query: self.head.uri.query(),
            headers: &self.head.headers,
            request_id: &of.request_id,
            key: of.key.as_ref(),
            token: None,
            same_protocol: true,
        };
        let wanted = Wanted { operation, model, stream: self.is_stream() };
        server.request(&wanted, &client, self.target.headers.as_ref(), body)
    }

    /// What the built-in provider answers.
    pub(super) fn echo(&self, counter: &Counter, prompt_tokens: u64) -> Vec<Bytes> {
        let model = self.target.upstream_name.as_ref();
        let Read::Chat(request) = &self.read else {
            return vec![echo::embeddings(&self.held.bytes, model, prompt_tokens)];
        };
        let messages = request.messages().iter().map(|span| &self.held.bytes[span.range()]);
        let text = echo::last_user_text(messages);
        let completion_tokens = counter.count(&text);
        let chat = echo::Chat { model, text: &text, prompt_tokens, completion_tokens };
        if request.stream() { chat.events() } else { vec![chat.whole()] }
    }
}
