//! Any OpenAI-compatible server: paths below its base URL, the key as a bearer token.

use http::{
    HeaderMap, HeaderValue, Method, Request, Uri,
    header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, InvalidHeaderValue, USER_AGENT},
    uri::InvalidUri,
};

use super::{PASSED_ON, REQUEST_ID};
use crate::{
    config::secret::Secret,
    protocol::{Call, splice::Rope},
};

/// Everything about the provider that does not change from call to call.
#[derive(Debug)]
pub struct OpenAi {
    chat: Uri,
    embeddings: Uri,
    headers: HeaderMap,
}

/// Why a configuration cannot be addressed. The text holds no secret.
#[derive(Debug)]
pub enum AddressError {
    /// The base URL and a path do not make a URL.
    Url(InvalidUri),
    /// The key holds bytes that no header can carry.
    Key(InvalidHeaderValue),
}

impl OpenAi {
    /// Addresses a server by its base URL, which has no trailing slash.
    ///
    /// # Errors
    /// When the parts do not make a URL or a header.
    pub fn new(base_url: &Uri, key: Option<&Secret>) -> Result<Self, AddressError> {
        let base = base_url.to_string();
        let base = base.trim_end_matches('/');
        let at = |path: &str| format!("{base}{path}").parse::<Uri>().map_err(AddressError::Url);
        let mut headers = HeaderMap::new();
        if let Some(key) = key.filter(|key| !key.expose().is_empty()) {
            let value = format!("Bearer {}", key.expose());
            let mut value = HeaderValue::try_from(value).map_err(AddressError::Key)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("nexus/", env!("CARGO_PKG_VERSION"))));
        Ok(Self { chat: at("/chat/completions")?, embeddings: at("/embeddings")?, headers })
    }

    /// The request for one call. `query` is the client's, passed on as it is.
    pub fn request(
        &self,
        call: Call,
        query: Option<&str>,
        client: &HeaderMap,
        request_id: &HeaderValue,
        body: Rope,
    ) -> Request<Rope> {
        let path = match call {
            Call::Chat => &self.chat,
            Call::Embeddings => &self.embeddings,
        };
        // A query that came in a request line fits into another one.
        let with_query = query.and_then(|query| format!("{path}?{query}").parse().ok());
        let mut headers = self.headers.clone();
        for name in &PASSED_ON {
            for value in client.get_all(name) {
                headers.append(name, value.clone());
            }
        }
        headers.insert(REQUEST_ID, request_id.clone());
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = with_query.unwrap_or_else(|| path.clone());
        *request.headers_mut() = headers;
        request
    }
}
