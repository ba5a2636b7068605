//! Any OpenAI-compatible server: paths below its base URL, the key as a bearer token.

use std::fmt;

use http::{
    HeaderMap, HeaderValue, Method, Request, Uri,
    header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, InvalidHeaderValue, USER_AGENT},
    uri::InvalidUri,
};

use super::{
    REQUEST_ID,
    headers::{self, HeaderRules},
    query,
};
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
            headers.insert(AUTHORIZATION, bearer(key).map_err(AddressError::Key)?);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("nexus/", env!("CARGO_PKG_VERSION"))));
        Ok(Self { chat: at("/chat/completions")?, embeddings: at("/embeddings")?, headers })
    }

    /// The request for one call: the client's query and headers as far as they pass, our own over them.
    pub fn request(
        &self,
        call: Call,
        client: &Client<'_>,
        rules: Option<&HeaderRules>,
        body: Rope,
    ) -> Request<Rope> {
        let path = match call {
            Call::Chat => &self.chat,
            Call::Embeddings => &self.embeddings,
        };
        // A query that came in a request line fits into another one.
        let query = client.query.and_then(query::without_keys);
        let with_query = query.and_then(|query| format!("{path}?{query}").parse().ok());
        let mut own = self.headers.clone();
        if let Some(key) = client.key {
            // One that came in a header fits into another; otherwise better no key than a wrong one.
            match bearer(key) {
                Ok(value) => own.insert(AUTHORIZATION, value),
                Err(_) => own.remove(AUTHORIZATION),
            };
        }
        own.insert(REQUEST_ID, client.request_id.clone());
        headers::complete(&mut own, client.headers, rules);
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = with_query.unwrap_or_else(|| path.clone());
        *request.headers_mut() = own;
        request
    }
}

impl fmt::Debug for Client<'_> {
    /// Not the query and the headers: they hold the caller's credentials, and nothing marks those.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("request_id", &self.request_id).finish_non_exhaustive()
    }
}

/// A key as a provider reads it. Never printed.
fn bearer(key: &Secret) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", key.expose()))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, header::HOST};

    use super::*;
    use crate::config::headers::HeaderRule;

    fn request(configured: Option<&str>, forwarded: Option<&str>, query: Option<&str>) -> Request<Rope> {
        let secret = |key: &str| Secret::new(key.to_owned());
        let (configured, forwarded) = (configured.map(secret), forwarded.map(secret));
        let base = Uri::from_static("http://127.0.0.1/v1");
        let server = OpenAi::new(&base, configured.as_ref()).expect("an address");
        let caller =
            HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("Bearer of the caller"))]);
        let request_id = &HeaderValue::from_static("id");
        let client = Client { query, headers: &caller, request_id, key: forwarded.as_ref() };
        server.request(Call::Chat, &client, None, Rope::new())
    }

    #[test]
    fn the_callers_key_replaces_the_configured_one_and_is_never_printed() {
        for (configured, forwarded, sent) in [
            (Some("sk-own"), None, Some("Bearer sk-own")),
            (Some("sk-own"), Some("sk-caller"), Some("Bearer sk-caller")),
            (None, Some("sk-caller"), Some("Bearer sk-caller")),
            (None, None, None),
            (Some("sk-own"), Some("no\nkey"), None),
        ] {
            let request = request(configured, forwarded, None);
            let keys: Vec<_> = request.headers().get_all(AUTHORIZATION).iter().collect();
            assert_eq!(keys, sent.as_slice());
            assert!(keys.iter().all(|key| key.is_sensitive()));
            assert!(!request.headers().contains_key(HOST), "the connection knows it");
        }
    }

    #[test]
    fn what_goes_up_and_who_sent_it_print_no_secret() {
        let secret = Secret::new("sk-hidden-1".to_owned());
        let server =
            OpenAi::new(&Uri::from_static("http://127.0.0.1/v1"), Some(&secret)).expect("an address");
        let caller = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("Bearer hidden-2"))]);
        let mut value = HeaderValue::from_static("hidden-3");
        value.set_sensitive(true); // as the configuration marks it
        let rule = HeaderRule::Insert { name: HeaderName::from_static("api-key"), value };
        let rules = HeaderRules::new(&[rule], &[], &[]);
        for key in [None, Some(&Secret::new("sk-hidden-4".to_owned()))] {
            let request_id = &HeaderValue::from_static("id");
            let client = Client { query: Some("key=hidden-5&a=1"), headers: &caller, request_id, key };
            let request = server.request(Call::Chat, &client, rules.as_ref(), Rope::new());
            let shown = format!("{request:?} {client:?} {server:?} {rules:?}");
            assert!(
                shown.contains("api-key") && shown.contains("a=1") && !shown.contains("hidden"),
                "{shown}"
            );
        }
    }

    #[test]
    fn the_query_goes_up_without_the_callers_key() {
        for (query, target) in [
            (None, "/v1/chat/completions"),
            (Some("beta=true"), "/v1/chat/completions?beta=true"),
            (Some("a=%31&key=secret&b"), "/v1/chat/completions?a=%31&b"),
            (Some("k%65y=secret"), "/v1/chat/completions"),
        ] {
            let request = request(None, None, query);
            assert_eq!(request.uri().path_and_query().map(|target| target.as_str()), Some(target));
        }
    }
}
