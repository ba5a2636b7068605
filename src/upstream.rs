//! How to address a provider: which URL, which headers, which of the client's own. Pure; the actor that guards the
//! provider is `actors::provider`, a different thing.

pub mod anthropic;
pub mod azure;
pub mod bedrock;
pub mod echo;
pub mod google;
pub mod headers;
pub mod key;
pub mod openai;
pub mod query;
pub mod sigv4;

mod keyed;

use std::{borrow::Cow, fmt};

use http::{
    HeaderMap, HeaderName, HeaderValue, Request,
    header::{CONNECTION, InvalidHeaderValue},
    uri::InvalidUri,
};
use smallvec::SmallVec;

use self::{
    anthropic::Anthropic, azure::Azure, bedrock::Bedrock, google::Google, headers::HeaderRules,
    openai::OpenAi, sigv4::Credential,
};
use crate::{
    config::{AwsCredentials, ProviderKind, secret::Secret},
    protocol::splice::Rope,
};

/// Headers of an upstream's answer that are not the caller's business: they belong to that hop, to the bytes as they
/// were framed there, or to a browser session with someone else.
const KEPT_BACK: [&str; 19] = [
    "alt-svc",
    "connection",
    "content-encoding",
    "content-length",
    "date",
    "keep-alive",
    "location",
    "nel",
    "proxy-authenticate",
    "proxy-connection",
    "report-to",
    "server",
    "set-cookie",
    "strict-transport-security",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// Where upstreams say their own id of a request that do not say it in `x-request-id`: Anthropic, Azure, AWS. Their SDKs
/// look for it there, so it stays.
static OTHER_IDS: [HeaderName; 3] = [
    HeaderName::from_static("request-id"),
    HeaderName::from_static("apim-request-id"),
    HeaderName::from_static("x-amzn-requestid"),
];

/// The id of a request, on both sides.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The upstream's own id of the request, as the caller sees it.
pub const UPSTREAM_REQUEST_ID: HeaderName = HeaderName::from_static("x-upstream-request-id");

/// What is asked of a provider's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// OpenAI: `chat/completions`.
    Chat,
    /// OpenAI: `responses`.
    Responses,
    /// OpenAI: `embeddings`.
    Embeddings,
    /// Anthropic: `messages`.
    Messages,
    /// Anthropic: `messages/count_tokens`.
    CountMessages,
    /// Google: `generateContent`, `streamGenerateContent`.
    Generate,
    /// Google: `countTokens`.
    CountTokens,
    /// Google: `batchEmbedContents`.
    BatchEmbed,
    /// Vertex AI: `predict`, for embeddings.
    Predict,
    /// AWS Bedrock: `converse`, `converse-stream`.
    Converse,
}

/// A call as its address shows it.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// What is asked for.
    pub operation: Operation,
    /// The provider's name of the model.
    pub model: &'a str,
    /// Whether the answer is to be a stream.
    pub stream: bool,
}

/// What a client's request has to do with the one that goes upstream, its body apart.
pub struct Client<'a> {
    /// Its query, as it came.
    pub query: Option<&'a str>,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// The id of the call, the same on both sides.
    pub request_id: &'a HeaderValue,
    /// Its own key for the provider, in place of the configured one.
    pub key: Option<&'a Secret>,
    /// What opens the provider for now, where that is not one key for ever.
    pub opened: Option<Opened<'a>>,
    /// Whether it speaks the protocol that the provider is spoken to in: only then its query and that protocol's headers
    /// pass.
    pub same_protocol: bool,
}

/// What opens a provider at the time of a call.
#[derive(Clone, Copy, Debug)]
pub enum Opened<'a> {
    /// Sent as a bearer token, unless there is a key of the caller's.
    Token(&'a Secret),
    /// Signs the request, at this time in seconds since 1970.
    Keys(Credential<'a>, u64),
}

/// A provider's address: one variant for each kind that is reached over HTTP.
#[derive(Debug)]
pub enum Server {
    /// Any OpenAI-compatible server.
    OpenAi(Box<OpenAi>),
    /// Anthropic's API.
    Anthropic(Box<Anthropic>),
    /// The Gemini API, or Vertex AI.
    Google(Box<Google>),
    /// OpenAI's models on Azure.
    Azure(Box<Azure>),
    /// AWS Bedrock.
    Bedrock(Box<Bedrock>),
}

/// Why a configuration cannot be addressed. The text holds no secret.
#[derive(Debug)]
pub enum AddressError {
    /// The base URL and a path do not make a URL.
    Url(InvalidUri),
    /// The key holds bytes that no header can carry.
    Key(InvalidHeaderValue),
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(error) => write!(f, "its address and a path make no URL: {error}"),
            Self::Key(_) => f.write_str("its key holds characters that no header can carry"),
        }
    }
}

impl std::error::Error for AddressError {}

impl Server {
    /// The address of a configured provider, and of those of its `models` that have one of their own, by the provider's
    /// names; `None` for the provider that is built in.
    ///
    /// # Errors
    /// When what is configured does not make a URL or a header.
    pub fn new<'a>(
        kind: &ProviderKind,
        models: impl IntoIterator<Item = &'a str>,
    ) -> Result<Option<Self>, AddressError> {
        Ok(Some(match kind {
            ProviderKind::OpenAi { remote, responses, .. } => {
                Self::OpenAi(Box::new(OpenAi::new(&remote.base_url, remote.api_key.as_ref(), *responses)?))
            }
            ProviderKind::Anthropic { remote } => {
                Self::Anthropic(Box::new(Anthropic::new(&remote.base_url, remote.api_key.as_ref())?))
            }
            ProviderKind::Google { remote, vertex: None } => {
                Self::Google(Box::new(Google::new(&remote.base_url, remote.api_key.as_ref())?))
            }
            ProviderKind::Google { remote, vertex: Some(vertex) } => {
                Self::Google(Box::new(Google::vertex(&remote.base_url, &vertex.project, &vertex.location)?))
            }
            ProviderKind::Azure { remote, api_version, responses, .. } => {
                let (base, key, version) =
                    (&remote.base_url, remote.api_key.as_ref(), api_version.as_deref());
                Self::Azure(Box::new(Azure::new(base, key, version, *responses)?))
            }
            ProviderKind::Bedrock { remote, region, credentials } => {
                fit_into_headers(credentials)?;
                Self::Bedrock(Box::new(Bedrock::new(&remote.base_url, region, models)?))
            }
            ProviderKind::Echo { .. } => return Ok(None),
        }))
    }

    /// The request for one call: the client's query and headers as far as they pass, our own over them. What the server
    /// does not speak goes where its first operation does, to be refused there.
    pub fn request(
        &self,
        wanted: &Wanted<'_>,
        client: &Client<'_>,
        rules: Option<&HeaderRules>,
        body: Rope,
    ) -> Request<Rope> {
        match self {
            Self::OpenAi(server) => server.request(wanted, client, rules, body),
            Self::Anthropic(server) => server.request(wanted, client, rules, body),
            Self::Google(server) => server.request(wanted, client, rules, body),
            Self::Azure(server) => server.request(wanted, client, rules, body),
            Self::Bedrock(server) => server.request(wanted, client, rules, body),
        }
    }

    /// Whether it takes this.
    pub fn speaks(&self, operation: Operation) -> bool {
        match self {
            Self::OpenAi(server) => server.speaks(operation),
            Self::Anthropic(server) => server.speaks(operation),
            Self::Google(server) => server.speaks(operation),
            Self::Azure(server) => server.speaks(operation),
            Self::Bedrock(_) => operation == Operation::Converse,
        }
    }
}

impl fmt::Debug for Client<'_> {
    /// Not the query and the headers: they hold the caller's credentials, and nothing marks those.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("request_id", &self.request_id).finish_non_exhaustive()
    }
}

impl<'a> Client<'a> {
    /// What of its query goes up without being asked for.
    fn passing_query(&self) -> Option<Cow<'a, str>> {
        self.query.filter(|_| self.same_protocol).and_then(query::without_keys)
    }

    /// A token for the provider, where it is opened by one.
    fn token(&self) -> Option<&'a Secret> {
        if let Some(Opened::Token(token)) = self.opened { Some(token) } else { None }
    }
}

/// What of keys is sent as it is must be able to stand in a header; here it can still be said which is wrong.
fn fit_into_headers(credentials: &AwsCredentials) -> Result<(), AddressError> {
    let AwsCredentials::Keys { access_key_id, session_token, .. } = credentials else { return Ok(()) };
    for sent in [Some(access_key_id), session_token.as_ref()].into_iter().flatten() {
        HeaderValue::from_str(sent.expose()).map_err(AddressError::Key)?;
    }
    Ok(())
}

/// The headers of an upstream's answer that pass to the caller; its request id gets a name of its own. None whose value
/// tells a secret.
pub fn passing(mut headers: HeaderMap, tells: impl Fn(&[u8]) -> bool) -> HeaderMap {
    let of_the_hop: SmallVec<[HeaderName; 2]> = named_in_connection(&headers)
        .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
        .collect();
    for name in &of_the_hop {
        headers.remove(name);
    }
    let unwanted = headers.iter().filter(|(name, value)| is_kept_back(name) || tells(value.as_bytes()));
    let unwanted: SmallVec<[HeaderName; 6]> = unwanted.map(|(name, _)| name.clone()).collect();
    for name in &unwanted {
        headers.remove(name);
    }
    let own = headers.remove(REQUEST_ID);
    let others = || OTHER_IDS.iter().find_map(|name| headers.get(name)).cloned();
    if let Some(id) = own.or_else(others) {
        headers.insert(UPSTREAM_REQUEST_ID, id);
    }
    headers
}

/// The names in `Connection`, as they are written: what goes by them is for one hop (RFC 9110, section 7.6.1).
fn named_in_connection(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(CONNECTION).iter().map(HeaderValue::as_bytes);
    let names = lines.flat_map(|line| line.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    // What is no text is no name.
    names.filter_map(|name| str::from_utf8(name).ok()).filter(|name| !name.is_empty())
}

fn is_kept_back(name: &HeaderName) -> bool {
    KEPT_BACK.binary_search(&name.as_str()).is_ok() || name.as_str().starts_with("access-control-")
}

#[cfg(test)]
mod tests;
