//! How to address a provider: which URL, which headers, which of the client's own. Pure; the actor that guards the
//! provider is `actors::provider`, a different thing.

pub mod bedrock;
pub mod echo;
pub mod openai;
pub mod sigv4;

use http::{HeaderMap, HeaderName, HeaderValue, header::CONNECTION};
use smallvec::SmallVec;

use crate::config::secret::Secret;

/// Client headers that go to a provider of the same protocol. Nothing else of the client's goes upstream.
const PASSED_ON: [HeaderName; 3] = [
    HeaderName::from_static("openai-beta"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
];

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

/// The id of a request, on both sides.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The upstream's own id of the request, as the caller sees it.
pub const UPSTREAM_REQUEST_ID: HeaderName = HeaderName::from_static("x-upstream-request-id");

/// The headers of an upstream's answer that pass to the caller; its request id gets a name of its own. None that holds
/// the secret.
pub fn passing(mut headers: HeaderMap, secret: Option<&Secret>) -> HeaderMap {
    let named: SmallVec<[HeaderValue; 1]> = headers.get_all(CONNECTION).iter().cloned().collect();
    for name in named.iter().filter_map(|value| value.to_str().ok()).flat_map(|names| names.split(',')) {
        headers.remove(name.trim());
    }
    let told = |value: &HeaderValue| secret.is_some_and(|secret| secret.is_in(value.as_bytes()));
    let unwanted = headers.iter().filter(|(name, value)| is_kept_back(name) || told(value));
    let unwanted: SmallVec<[HeaderName; 6]> = unwanted.map(|(name, _)| name.clone()).collect();
    for name in &unwanted {
        headers.remove(name);
    }
    if let Some(id) = headers.remove(REQUEST_ID) {
        headers.insert(UPSTREAM_REQUEST_ID, id);
    }
    headers
}

fn is_kept_back(name: &HeaderName) -> bool {
    KEPT_BACK.binary_search(&name.as_str()).is_ok() || name.as_str().starts_with("access-control-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_headers_kept_back_is_sorted_for_the_search() {
        assert!(KEPT_BACK.is_sorted());
    }

    #[test]
    fn rate_limits_pass_and_cookies_do_not() {
        let mut upstream = HeaderMap::new();
        for name in
            ["x-ratelimit-remaining-requests", "retry-after", "set-cookie", "content-length", "x-request-id"]
        {
            upstream.insert(HeaderName::from_static(name), HeaderValue::from_static("1"));
        }
        let passing = passing(upstream, None);
        let mut names: Vec<_> = passing.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["retry-after", "x-ratelimit-remaining-requests", "x-upstream-request-id"]);
    }
}
