//! The one place that turns an error into an answer: status, headers and a body in the caller's protocol.

use std::borrow::Cow;

use actors::{identity::Denied, quota::Standing};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Serialize;

use super::{body::Content, text::reset};
use crate::{
    chat::fault::FaultKind,
    config::secret::Secret,
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

/// The answer to a call that failed. `secret` is the provider's key, which no upstream's text may bring to light.
pub(super) fn error(error: &Error, secret: Option<&Secret>) -> Response<Content> {
    let status = error.status();
    let code = status.as_u16();
    let mut response = match error {
        Error::Identity(denied) => json(status, flat(denied)),
        Error::Provider(Provider::Status { status: upstream, body, headers }) => {
            let mut response = json(status, upstream_body(upstream.as_u16(), code, body, secret));
            merge(response.headers_mut(), headers);
            response
        }
        Error::Quota(Quota::Short { .. } | Quota::Oversize(_)) => {
            json(status, openai::body(FaultKind::of_status(code), code, &error.message(), Some(INPUT_LIMIT)))
        }
        _ => json(
            status,
            openai::body(FaultKind::of_status(code), code, &scrub(&error.message(), secret), None),
        ),
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
        Error::Identity(_) if error.status() == StatusCode::UNAUTHORIZED => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        Error::Caller(Caller::HeadTooLarge) => {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Error::Caller(Caller::Method(allow)) => {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        Error::Quota(Quota::Short { standing, .. }) => limit(headers, standing),
        Error::Quota(Quota::Oversize(standing)) => {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
            limit(headers, standing);
        }
        _ => {}
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
fn upstream_body(upstream: u16, status: u16, body: &Bytes, secret: Option<&Secret>) -> Bytes {
    match openai::read_upstream(body) {
        Upstream::Dialect => scrubbed(body.clone(), secret),
        Upstream::Text(text) => openai::upstream_body(upstream, status, &scrub(&text, secret)),
    }
}

/// A body without the secret in it.
pub(super) fn scrubbed(body: Bytes, secret: Option<&Secret>) -> Bytes {
    match secret.filter(|secret| secret.is_in(&body)) {
        Some(secret) => secret.scrub(&String::from_utf8_lossy(&body)).into_owned().into(),
        None => body,
    }
}

fn scrub<'a>(text: &'a str, secret: Option<&Secret>) -> Cow<'a, str> {
    secret.map_or_else(|| text.into(), |secret| secret.scrub(text))
}

/// Identification errors keep the flat shape of the original on every protocol.
fn flat(denied: &Denied) -> Bytes {
    #[derive(Serialize)]
    struct Flat<'a> {
        error: &'a str,
        error_description: &'a str,
    }
    // A struct of strings always serialises.
    serde_json::to_vec(&Flat { error: denied.error(), error_description: denied.description() })
        .unwrap_or_default()
        .into()
}
