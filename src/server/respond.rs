//! The one place that turns an error into an answer: status, headers and a body in the caller's protocol.

use actors::{identity::Denied, quota::Standing};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Serialize;

use super::{body::Content, text::reset};
use crate::{
    config::secret::Secrets,
    error::{Caller, Error, Provider, Quota},
    protocol::openai_chat::error::{self as openai, Upstream},
};

const LIMIT_TOKENS: HeaderName = HeaderName::from_static("x-ratelimit-limit-tokens");
const REMAINING_TOKENS: HeaderName = HeaderName::from_static("x-ratelimit-remaining-tokens");
const RESET_TOKENS: HeaderName = HeaderName::from_static("x-ratelimit-reset-tokens");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// The rule that refused, as `error.limit` names it.
const INPUT_LIMIT: &str = "per_user.input_token_limit";

/// An answer with a JSON body.
pub(super) fn json(status: StatusCode, body: impl Into<Bytes>) -> Response<Content> {
    let mut response = Response::new(Content::one(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response<Content> {
    let mut response = Response::new(Content::one(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// The answer to a call that failed. `secrets` are what no upstream's text may bring to light.
pub(super) fn error(error: &Error, secrets: &Secrets) -> Response<Content> {
    let status = error.status();
    let code = status.as_u16();
    let mut response = match error {
        Error::Identity(denied) => json(status, flat(denied)),
        Error::Provider(Provider::Status { status: upstream, body, headers }) => {
            let mut response = json(status, upstream_body(upstream.as_u16(), code, body, secrets));
            merge(response.headers_mut(), headers);
            response
        }
        Error::Quota(Quota::Short { .. } | Quota::Oversize(_)) => {
            json(status, openai::body(code, &error.message(), Some(INPUT_LIMIT)))
        }
        Error::Requests { rule, .. } => json(status, openai::body(code, &error.message(), Some(rule))),
        Error::Caller(Caller::Csrf) => empty(status),
        _ => json(status, openai::body(code, &secrets.scrub(&error.message()), None)),
    };
    headers(error, response.headers_mut());
    response
}

/// The headers that go with an error.
fn headers(error: &Error, headers: &mut HeaderMap) {
    if let Some(seconds) = error.retry_after() {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    match error {
        Error::Caller(Caller::HeadTooLarge) => {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Error::Caller(Caller::Method(allow)) => {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        Error::Requests { retry_after: None, .. } => {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        Error::Quota(Quota::Short { standing, .. }) => limit(headers, standing),
        Error::Quota(Quota::Oversize(standing)) => {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
            limit(headers, standing);
        }
        _ => {}
    }
}

/// Tells a caller whose token or key was refused, or could not be verified, where to get one.
pub(super) fn challenge(error: &Error, headers: &mut HeaderMap, challenge: &HeaderValue) {
    if matches!(error, Error::Identity(denied) if denied.status() != StatusCode::BAD_REQUEST) {
        headers.insert(WWW_AUTHENTICATE, challenge.clone());
    }
}

/// How the caller stands with the limit that applied. Replaces the upstream's headers of the same name.
pub(super) fn limit(headers: &mut HeaderMap, standing: &Standing) {
    headers.insert(LIMIT_TOKENS, standing.limit.into());
    headers.insert(REMAINING_TOKENS, standing.remaining.into());
    if let Ok(reset) = HeaderValue::try_from(reset(standing.reset_after)) {
        headers.insert(RESET_TOKENS, reset);
    }
}

/// Adds an upstream's headers, but not over the ones that describe our own body.
fn merge(headers: &mut HeaderMap, upstream: &HeaderMap) {
    for (name, value) in upstream {
        if *name != CONTENT_TYPE {
            headers.append(name.clone(), value.clone());
        }
    }
}

/// An upstream's error: its own words where they are in this dialect, else its message in ours.
fn upstream_body(upstream: u16, status: u16, body: &Bytes, secrets: &Secrets) -> Bytes {
    // Before it is shortened, which might leave the half of one.
    let body = scrubbed(body.clone(), secrets);
    match openai::read_upstream(&body) {
        Upstream::Dialect => body,
        // Once more, for it had escapes.
        Upstream::Text(text) => openai::upstream_body(upstream, status, &secrets.scrub(&text)),
    }
}

/// A body without the secrets in it.
pub(super) fn scrubbed(body: Bytes, secrets: &Secrets) -> Bytes {
    if !secrets.are_in(&body) {
        return body;
    }
    secrets.scrub(&String::from_utf8_lossy(&body)).into_owned().into()
}

/// Identification errors keep the flat shape of the original on every protocol.
fn flat(denied: &Denied) -> Bytes {
    #[derive(Serialize)]
    struct Flat<'a> {
        error: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        error_description: Option<&'a str>,
    }
    // A struct of strings always serialises.
    serde_json::to_vec(&Flat { error: denied.error(), error_description: denied.description() })
        .unwrap_or_default()
        .into()
}
