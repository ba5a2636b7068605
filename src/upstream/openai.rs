//! Any OpenAI-compatible server: paths below its base URL, the key as a bearer token.

use http::{HeaderName, Request, Uri, header::AUTHORIZATION};

use super::{
    AddressError, Client, Operation, Wanted,
    headers::HeaderRules,
    keyed::{self, Keyed},
};
use crate::{config::secret::Secret, protocol::splice::Rope};

/// Headers of a client of this protocol that pass.
pub(super) static PROTOCOL: [HeaderName; 1] = [HeaderName::from_static("openai-beta")];

/// Everything about the provider that does not change from call to call.
#[derive(Debug)]
pub struct OpenAi {
    chat: Uri,
    embeddings: Uri,
    /// Where it speaks that.
    responses: Option<Uri>,
    own: Keyed,
}

impl OpenAi {
    /// Addresses a server by its base URL, which has no trailing slash.
    ///
    /// # Errors
    /// When the parts do not make a URL or a header.
    pub fn new(base_url: &Uri, key: Option<&Secret>, responses: bool) -> Result<Self, AddressError> {
        let base = keyed::base(base_url);
        let at = |path: &str| format!("{base}/{path}").parse::<Uri>().map_err(AddressError::Url);
        Ok(Self {
            chat: at("chat/completions")?,
            embeddings: at("embeddings")?,
            responses: responses.then(|| at("responses")).transpose()?,
            own: Keyed::new(AUTHORIZATION, key, &PROTOCOL)?,
        })
    }

    /// The request for one call, as [`Server::request`](super::Server::request) describes it.
    pub fn request(
        &self,
        wanted: &Wanted<'_>,
        client: &Client<'_>,
        rules: Option<&HeaderRules>,
        body: Rope,
    ) -> Request<Rope> {
        let path = match wanted.operation {
            Operation::Embeddings => &self.embeddings,
            Operation::Responses => self.responses.as_ref().unwrap_or(&self.chat),
            _ => &self.chat,
        };
        self.own.request(keyed::with_query(path, client), client, rules, body)
    }

    pub(super) fn speaks(&self, operation: Operation) -> bool {
        match operation {
            Operation::Chat | Operation::Embeddings => true,
            Operation::Responses => self.responses.is_some(),
            _ => false,
        }
    }
}
