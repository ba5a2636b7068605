//! Anthropic's API: two paths below its base URL, the key in a header of its own, the version in another.

use http::{HeaderName, HeaderValue, Request, Uri};

use super::{
    AddressError, Client, Operation, Wanted,
    headers::{ANTHROPIC_VERSION, HeaderRules},
    keyed::{self, Keyed},
};
use crate::{config::secret::Secret, protocol::splice::Rope};

/// The only version there is, where a client of the same protocol does not name one.
const VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");

/// Headers of a client of this protocol that pass.
static PROTOCOL: [HeaderName; 2] = [ANTHROPIC_VERSION, HeaderName::from_static("anthropic-beta")];

/// Everything about the provider that does not change from call to call.
#[derive(Debug)]
pub struct Anthropic {
    messages: Uri,
    count: Uri,
    own: Keyed,
}

impl Anthropic {
    /// Addresses the API by its base URL, which has no trailing slash.
    ///
    /// # Errors
    /// When the parts do not make a URL or a header.
    pub fn new(base_url: &Uri, key: Option<&Secret>) -> Result<Self, AddressError> {
        let base = keyed::base(base_url);
        let at = |path: &str| format!("{base}/{path}").parse::<Uri>().map_err(AddressError::Url);
        let own = Keyed::new(HeaderName::from_static("x-api-key"), key, &PROTOCOL)?;
        Ok(Self {
            messages: at("messages")?,
            count: at("messages/count_tokens")?,
            own: own.with(ANTHROPIC_VERSION, VERSION),
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
        let path = if wanted.operation == Operation::CountMessages { &self.count } else { &self.messages };
        self.own.request(keyed::with_query(path, client), client, rules, body)
    }

    pub(super) fn speaks(&self, operation: Operation) -> bool {
        matches!(operation, Operation::Messages | Operation::CountMessages)
    }
}
