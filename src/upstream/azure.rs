//! OpenAI's models on Azure: the older paths, which name a deployment and a version, and the newer ones, which are those
//! of OpenAI with the deployment as the model (Microsoft's "next generation v1 APIs").

use http::{HeaderName, Request, Uri};

use super::{
    AddressError, Client, Operation, Wanted,
    headers::HeaderRules,
    keyed::{self, Keyed},
    openai, query,
};
use crate::{config::secret::Secret, protocol::splice::Rope};

/// The parameter that names the version.
const API_VERSION: &str = "api-version";

/// Everything about the provider that does not change from call to call.
#[derive(Debug)]
pub struct Azure {
    base_url: Uri,
    /// The resource's endpoint and `/openai`.
    prefix: String,
    is_v1: bool,
    /// The parameter of the version, where it is sent.
    version: Option<String>,
    responses: bool,
    own: Keyed,
}

impl Azure {
    /// Addresses a resource by its endpoint, which has no trailing slash; `/openai` or `/openai/v1` at its end may be
    /// written. The paths are the newer ones without a version, or with `v1` or `preview`.
    ///
    /// # Errors
    /// When the parts do not make a URL or a header.
    pub fn new(
        base_url: &Uri,
        key: Option<&Secret>,
        version: Option<&str>,
        responses: bool,
    ) -> Result<Self, AddressError> {
        let is_v1 = matches!(version, None | Some("v1" | "preview"));
        // `v1` is what the newer paths take a call without a version for.
        let sent = version.filter(|version| *version != "v1");
        let base = keyed::base(base_url);
        let endpoint = base.strip_suffix("/openai/v1").or_else(|| base.strip_suffix("/openai"));
        let prefix = format!("{}/openai", endpoint.unwrap_or(&base));
        prefix.parse::<Uri>().map_err(AddressError::Url)?;
        Ok(Self {
            base_url: base_url.clone(),
            prefix,
            is_v1,
            version: sent.map(|version| format!("{API_VERSION}={}", query::escaped(version))),
            responses,
            own: Keyed::new(HeaderName::from_static("api-key"), key, &openai::PROTOCOL)?,
        })
    }

    /// The request for one call, as [`Server::request`](super::Server::request) describes it. The version is never the
    /// client's.
    pub fn request(
        &self,
        wanted: &Wanted<'_>,
        client: &Client<'_>,
        rules: Option<&HeaderRules>,
        body: Rope,
    ) -> Request<Rope> {
        let query = client.passing_query();
        let query = query.as_deref().and_then(|query| query::without(query, &[API_VERSION]));
        let query = match (&self.version, query) {
            (Some(version), Some(query)) => Some(format!("{version}&{query}").into()),
            (Some(version), None) => Some(version.into()),
            (None, query) => query,
        };
        // Only a deployment's name of some 60 KB makes no URL.
        let url = query::url(&self.path(wanted), query.as_deref());
        self.own.request(url.unwrap_or_else(|| self.base_url.clone()), client, rules, body)
    }

    pub(super) fn speaks(&self, operation: Operation) -> bool {
        match operation {
            Operation::Chat | Operation::Embeddings => true,
            Operation::Responses => self.responses,
            _ => false,
        }
    }

    fn path(&self, wanted: &Wanted<'_>) -> String {
        let (prefix, operation) = (&self.prefix, operation(wanted.operation));
        if self.is_v1 {
            format!("{prefix}/v1/{operation}")
        } else if wanted.operation == Operation::Responses {
            format!("{prefix}/{operation}") // its body names the deployment
        } else {
            format!("{prefix}/deployments/{}/{operation}", query::escaped(wanted.model))
        }
    }
}

fn operation(operation: Operation) -> &'static str {
    match operation {
        Operation::Embeddings => "embeddings",
        Operation::Responses => "responses",
        _ => "chat/completions",
    }
}
