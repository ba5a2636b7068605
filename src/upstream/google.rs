//! The Gemini API and Vertex AI: the model and what is asked of it stand in the URL, the key never does.

use http::{HeaderName, Request, Uri, header::AUTHORIZATION};

use super::{
    AddressError, Client, Operation, Wanted,
    headers::HeaderRules,
    keyed::{self, Keyed},
    query,
};
use crate::{config::secret::Secret, protocol::splice::Rope};

/// Everything about the provider that does not change from call to call.
#[derive(Debug)]
pub struct Google {
    base_url: Uri,
    /// The base URL and what comes before a collection of models.
    prefix: String,
    is_vertex: bool,
    own: Keyed,
}

impl Google {
    /// Addresses the Gemini API by its base URL, which has no trailing slash.
    ///
    /// # Errors
    /// When the key does not make a header.
    pub fn new(base_url: &Uri, key: Option<&Secret>) -> Result<Self, AddressError> {
        let own = Keyed::new(HeaderName::from_static("x-goog-api-key"), key, &[])?;
        Ok(Self { base_url: base_url.clone(), prefix: keyed::base(base_url), is_vertex: false, own })
    }

    /// Addresses Vertex AI, which has no key: what opens it expires, and comes with each call.
    ///
    /// # Errors
    /// When project and location do not make a URL.
    pub fn vertex(base_url: &Uri, project: &str, location: &str) -> Result<Self, AddressError> {
        let (base, project, location) =
            (keyed::base(base_url), query::escaped(project), query::escaped(location));
        let prefix = format!("{base}/projects/{project}/locations/{location}/publishers/google");
        prefix.parse::<Uri>().map_err(AddressError::Url)?;
        let own = Keyed::new(AUTHORIZATION, None, &[])?;
        Ok(Self { base_url: base_url.clone(), prefix, is_vertex: true, own })
    }

    /// The request for one call, as [`Server::request`](super::Server::request) describes it. A client of the same
    /// protocol says itself how a stream is framed (`alt`); for another it is server-sent events.
    pub fn request(
        &self,
        wanted: &Wanted<'_>,
        client: &Client<'_>,
        rules: Option<&HeaderRules>,
        body: Rope,
    ) -> Request<Rope> {
        let verb = match wanted.operation {
            Operation::CountTokens => "countTokens",
            Operation::BatchEmbed => "batchEmbedContents",
            Operation::Predict => "predict",
            _ if wanted.stream => "streamGenerateContent",
            _ => "generateContent",
        };
        let sse = !client.same_protocol && verb == "streamGenerateContent";
        let query = if sse { Some("alt=sse".into()) } else { client.passing_query() };
        let (collection, model) = named(wanted.model);
        let path = format!("{}/{collection}/{}:{verb}", self.prefix, query::escaped(model));
        // Only a model's name of some 60 KB makes no URL.
        let url = query::url(&path, query.as_deref()).unwrap_or_else(|| self.base_url.clone());
        self.own.request(url, client, rules, body)
    }

    /// Vertex AI has embeddings in another format.
    pub(super) fn speaks(&self, operation: Operation) -> bool {
        match operation {
            Operation::Generate | Operation::CountTokens => true,
            Operation::BatchEmbed => !self.is_vertex,
            Operation::Predict => self.is_vertex,
            _ => false,
        }
    }
}

/// A model's collection and its name in that: Google's own names may be written out (`models/…`, `tunedModels/…`).
fn named(model: &str) -> (&'static str, &str) {
    let tuned = model.strip_prefix("tunedModels/").map(|name| ("tunedModels", name));
    tuned.unwrap_or_else(|| ("models", model.strip_prefix("models/").unwrap_or(model)))
}
