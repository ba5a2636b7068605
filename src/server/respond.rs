//! The one place that turns an error into an answer: status, headers and a body in the caller's protocol.

use std::time::SystemTime;

use actors::{
    identity::Denied,
    quota::{Kind, Standing},
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Serialize;

use super::{body::Content, text};
use crate::{
    chat::fault::{Fault, FaultKind},
    config::{quantity::write_billionths, secret::Secrets},
    error::{Caller, Error, Provider, Quota},
    protocol::{
        dialect::Client,
        openai_chat::error::{self as openai, Upstream},
    },
};

/// A limit, what remains of it, and when it is whole again.
type Names = [HeaderName; 3];

const OPENAI_TOKENS: Names =
    names(["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"]);
const OPENAI_REQUESTS: Names =
    names(["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"]);
/// Nobody's but ours: amounts of money as decimals.
const OPENAI_COST: Names =
    names(["x-ratelimit-limit-cost", "x-ratelimit-remaining-cost", "x-ratelimit-reset-cost"]);
/// The same on Anthropic's protocol; the time is one of the calendar there.
const ANTHROPIC_INPUT: Names = names([
    "anthropic-ratelimit-input-tokens-limit",
    "anthropic-ratelimit-input-tokens-remaining",
    "anthropic-ratelimit-input-tokens-reset",
]);
const ANTHROPIC_OUTPUT: Names = names([
    "anthropic-ratelimit-output-tokens-limit",
    "anthropic-ratelimit-output-tokens-remaining",
    "anthropic-ratelimit-output-tokens-reset",
]);
const ANTHROPIC_TOKENS: Names = names([
    "anthropic-ratelimit-tokens-limit",
    "anthropic-ratelimit-tokens-remaining",
    "anthropic-ratelimit-tokens-reset",
]);
const ANTHROPIC_REQUESTS: Names = names([
    "anthropic-ratelimit-requests-limit",
    "anthropic-ratelimit-requests-remaining",
    "anthropic-ratelimit-requests-reset",
]);
const ANTHROPIC_COST: Names = names([
    "anthropic-ratelimit-cost-limit",
    "anthropic-ratelimit-cost-remaining",
    "anthropic-ratelimit-cost-reset",
]);
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

const fn names([limit, remaining, reset]: [&'static str; 3]) -> Names {
    [HeaderName::from_static(limit), HeaderName::from_static(remaining), HeaderName::from_static(reset)]
}

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
        Error::Quota(Quota::Short { rule, .. } | Quota::Oversize { rule, .. }) => {
            say(&error.message(), Some(&rule.id))
        }
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
        Error::Quota(Quota::Short { rule, standing, .. }) => limit(headers, client, (rule.kind, standing)),
        Error::Quota(Quota::Oversize { rule, standing }) => {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
            limit(headers, client, (rule.kind, standing));
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

/// How the caller stands with the limit that applied. Replaces the upstream's headers of the same name. Calls in flight
/// are nobody's to plan with, and have none.
pub(super) fn limit(headers: &mut HeaderMap, client: Client, (kind, standing): (Kind, &Standing)) {
    let anthropic = matches!(client, Client::Messages);
    let names = match (kind, anthropic) {
        (Kind::Input | Kind::Output | Kind::Total, false) => &OPENAI_TOKENS,
        (Kind::Request, false) => &OPENAI_REQUESTS,
        (Kind::Cost, false) => &OPENAI_COST,
        (Kind::Input, true) => &ANTHROPIC_INPUT,
        (Kind::Output, true) => &ANTHROPIC_OUTPUT,
        (Kind::Total, true) => &ANTHROPIC_TOKENS,
        (Kind::Request, true) => &ANTHROPIC_REQUESTS,
        (Kind::Cost, true) => &ANTHROPIC_COST,
        (Kind::Concurrent, _) => return,
    };
    let amount = |amount: u64| match kind {
        Kind::Cost => HeaderValue::try_from(write_billionths(amount)).ok(),
        _ => Some(amount.into()),
    };
    let reset = match anthropic {
        true => text::at(SystemTime::now(), standing.reset_after),
        false => text::reset(standing.reset_after),
    };
    let values = [amount(standing.limit), amount(standing.remaining), HeaderValue::try_from(reset).ok()];
    for (name, value) in names.iter().zip(values) {
        if let Some(value) = value {
            headers.insert(name, value);
        }
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
