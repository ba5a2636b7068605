//! What the kinds of provider share: headers of their own, a key among them, and the request that is made with these.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri,
    header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, InvalidHeaderValue, USER_AGENT},
};

use super::{
    AddressError, Client, REQUEST_ID,
    headers::{self, HeaderRules},
    query,
};
use crate::{config::secret::Secret, protocol::splice::Rope};

/// A provider's own headers.
#[derive(Debug)]
pub(super) struct Keyed {
    /// Which of them is the key.
    key: HeaderName,
    /// Headers of a client that mean something to the provider where the client speaks its protocol.
    protocol: &'static [HeaderName],
    headers: HeaderMap,
}

impl Keyed {
    /// Headers with a key, unless it is empty, under the name that the provider looks for it.
    pub(super) fn new(
        name: HeaderName,
        key: Option<&Secret>,
        protocol: &'static [HeaderName],
    ) -> Result<Self, AddressError> {
        let mut headers = HeaderMap::new();
        if let Some(key) = key.filter(|key| !key.expose().is_empty()) {
            headers.insert(&name, credential(&name, key).map_err(AddressError::Key)?);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        introduce(&mut headers);
        Ok(Self { key: name, protocol, headers })
    }

    /// With one more header.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The request for one call: the client's headers as far as they pass, our own over them.
    pub(super) fn request(
        &self,
        url: Uri,
        client: &Client<'_>,
        rules: Option<&HeaderRules>,
        body: Rope,
    ) -> Request<Rope> {
        let mut own = self.headers.clone();
        let forwarded = client.key.map(|key| (&self.key, key));
        let token = || client.token().map(|token| (&AUTHORIZATION, token));
        if let Some((name, key)) = forwarded.or_else(token) {
            own.remove(&self.key);
            // One that came in a header fits into another; otherwise better no key than a wrong one.
            if let Ok(value) = credential(name, key) {
                own.insert(name, value);
            }
        }
        own.insert(REQUEST_ID, client.request_id.clone());
        headers::complete(&mut own, client, self.protocol, rules);
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url;
        *request.headers_mut() = own;
        request
    }
}

/// What Nexus says of itself to every provider.
pub(super) fn introduce(headers: &mut HeaderMap) {
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("nexus/", env!("CARGO_PKG_VERSION"))));
}

/// A base URL as text to which paths are added.
pub(super) fn base(url: &Uri) -> String {
    // The path of a URL that was written without one prints as `/`.
    url.to_string().trim_end_matches('/').to_owned()
}

/// A path with what passes of a client's query.
pub(super) fn with_query(path: &Uri, client: &Client<'_>) -> Uri {
    let query = client.passing_query();
    let whole = query.and_then(|query| query::url(&path.to_string(), Some(&query)));
    whole.unwrap_or_else(|| path.clone())
}

/// A key as a provider reads it. Never printed.
fn credential(name: &HeaderName, key: &Secret) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = if *name == AUTHORIZATION {
        HeaderValue::try_from(format!("Bearer {}", key.expose()))?
    } else {
        HeaderValue::from_str(key.expose())?
    };
    value.set_sensitive(true);
    Ok(value)
}
