//! The one place that turns an error into an answer: status, headers and a body in the caller's protocol.

use std::time::SystemTime;

use actors::{identity::Denied, quota::Standing};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Serialize;

use super::{body::Content, text};
use crate::{
    chat::fault::{Fault, FaultKind},
    config::secret::Secrets,
    error::{Caller, Error, Provider, Quota},
    protocol::{
        dialect::Client,
        openai_chat::error::{self as openai, Upstream},
    },
};

/// A limit, what remains of it, and when it is whole again.
const OPENAI_LIMIT: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
];
/// The same on Anthropic's protocol; the time is one of the calendar there.
const ANTHROPIC_LIMIT: [HeaderName; 3] = [
    HeaderName::from_static("anthropic-ratelimit-input-tokens-limit"),
    HeaderName::from_static("anthropic-ratelimit-input-tokens-remaining"),
    HeaderName::from_static("anthropic-ratelimit-input-tokens-reset"),
];
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
pub(super) fn error(error: &Error, client: Client, secrets: &Secrets) -> Response<Content> {
    let status = error.status();
    let code = status.as_u16();
    let say = |message: &str, limit: Option<&str>| {
        json(status, client.error(FaultKind::of_status(code), code, message, (limit, error.retry_after())))
    };
    let mut response = match error {
        Error::Identity(denied) => json(status, flat(denied)),
        Error::Provider(Provider::Status { status: upstream, body, headers, meaning }) => {
            let statuses = (upstream.as_u16(), code);
            let mut response =
                json(status, provider_error(client, statuses, body, meaning.as_ref(), secrets));
            merge(response.headers_mut(), headers);
            response
        }
        Error::Quota(Quota::Short { .. } | Quota::Oversize(_)) => say(&error.message(), Some(INPUT_LIMIT)),
        Error::Requests { rule, .. } => say(&error.message(), Some(rule)),
        Error::Caller(Caller::Csrf) => empty(status),
        _ => say(&secrets.scrub(&error.message()), None),
    };
    headers(error, client, response.headers_mut());
    response
}

/// The headers that go with an error.
fn headers(error: &Error, client: Client, headers: &mut HeaderMap) {
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
        Error::Quota(Quota::Short { standing, .. }) => limit(headers, client, standing),
        Error::Quota(Quota::Oversize(standing)) => {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
            limit(headers, client, standing);
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
pub(super) fn limit(headers: &mut HeaderMap, client: Client, standing: &Standing) {
    let (names, reset) = match client {
        Client::Messages => (&ANTHROPIC_LIMIT, text::at(SystemTime::now() + standing.reset_after)),
        Client::Chat | Client::Responses | Client::Gemini(_) => {
            (&OPENAI_LIMIT, text::reset(standing.reset_after))
        }
    };
    headers.insert(&names[0], standing.limit.into());
    headers.insert(&names[1], standing.remaining.into());
    if let Ok(reset) = HeaderValue::try_from(reset) {
        headers.insert(&names[2], reset);
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

/// What a client reads of a provider's error: its own words where both speak the same format, else their meaning. The body
/// holds no secret as it is written, but may have escapes.
fn provider_error(
    client: Client,
    (upstream, status): (u16, u16),
    body: &Bytes,
    meaning: Option<&Fault<'_>>,
    secrets: &Secrets,
) -> Bytes {
    if let Some(fault) = meaning {
        // A status that says nothing to the client is no word about its request.
        let kind =
            if status == 502 && fault.kind == FaultKind::Invalid { FaultKind::Other } else { fault.kind };
        return client.error(kind, status, &secrets.scrub(&fault.message), (None, None));
    }
    if client.is_error(body) {
        return body.clone();
    }
    let text = match openai::read_upstream(body) {
        Upstream::Text(text) => text,
        Upstream::Dialect => openai::read(upstream, body).message.into_owned(),
    };
    let kind = if upstream == 403 { FaultKind::Quota } else { FaultKind::of_status(status) };
    client.error(kind, status, &openai::upstream_message(upstream, &secrets.scrub(&text)), (None, None))
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
