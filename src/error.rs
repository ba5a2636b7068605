//! What can go wrong with a call, sorted by whose fault it is. The texts are for callers: they say what to change and
//! hold no secret. Which JSON shape they take is decided in `server::respond`, not here.

use std::time::Duration;

use actors::{
    Unreachable,
    identity::{Denied, IdentityError},
    quota::{Kind, Refusing, Standing},
};
use http::{HeaderMap, StatusCode};

use crate::chat::fault::{Fault, FaultKind};

/// Why a call has no ordinary answer.
#[derive(Debug)]
pub enum Error {
    /// The caller did not say who they are, or said it wrongly, or there are no keys yet to verify it with.
    Identity(Denied),
    /// The request cannot be understood or is not allowed.
    Caller(Caller),
    /// A limit on requests refused the call.
    Requests {
        /// Which one, by its table.
        rule: &'static str,
        /// Whole seconds, at least 1, after which it is admitted; `None` = never.
        retry_after: Option<u64>,
    },
    /// The caller's budget does not admit the call.
    Quota(Quota),
    /// The upstream did not answer as it should.
    Provider(Provider),
    /// Nexus has no room or made a mistake.
    Ours(Ours),
}

/// Faults of the request.
#[derive(Debug)]
pub enum Caller {
    /// The body is not what the route takes; says where and why.
    Malformed(String),
    /// The content type is missing or not JSON.
    MediaType,
    /// The body is larger than the limit, in bytes.
    TooLarge(usize),
    /// The body stopped coming.
    BodyTimeout,
    /// More headers, or more bytes of them, than are accepted.
    HeadTooLarge,
    /// The header that guards against forged requests is missing.
    Csrf,
    /// No such route.
    NoRoute,
    /// The route takes other methods (the `Allow` value).
    Method(&'static str),
    /// The model's name has no provider part.
    ModelFormat(String),
    /// No provider of that name.
    NoProvider(String),
    /// The provider lists no such model.
    NoModel(String),
    /// The caller's group may not use this model.
    Forbidden(String),
    /// The provider takes the caller's own key, and there is none that can be sent; says why.
    Key(&'static str),
}

/// Refusals of the quota actor.
#[derive(Debug)]
pub enum Quota {
    /// Not now; admitted after so many whole seconds.
    Short {
        /// Whole seconds, at least 1.
        retry_after: u64,
        /// The limit that refused.
        rule: Refusing,
        /// Its level.
        standing: Standing,
    },
    /// Never: the call is larger than the limit.
    Oversize {
        /// The limit that refused.
        rule: Refusing,
        /// Its level.
        standing: Standing,
    },
    /// No room for another client's window.
    Crowded,
}

/// Faults of the upstream, after which the caller's tokens are given back.
#[derive(Debug)]
pub enum Provider {
    /// An error status; its body, already decoded, and the headers that pass.
    Status {
        /// As the upstream sent it.
        status: StatusCode,
        /// The whole body.
        body: bytes::Bytes,
        /// Headers that pass to the caller.
        headers: Box<HeaderMap>,
        /// What it means, where its words are of another format than the client's.
        meaning: Option<Fault<'static>>,
    },
    /// No connection, or it broke before the answer began.
    Connection(String),
    /// No answer, or no piece of it, in time.
    Timeout,
    /// An answer that cannot be read.
    Unreadable(String),
    /// `max_in_flight` of this provider.
    Busy(String),
    /// What opens this provider is not to be had.
    Locked(String),
}

/// Our own limits and faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ours {
    /// `max_in_flight` or a full mailbox.
    Overloaded,
    /// `memory_budget`.
    Memory,
    /// Shutting down.
    Draining,
    /// A bug: logged where it happened.
    Internal,
}

/// How long an overloaded router asks callers to wait, in seconds.
pub const OVERLOAD_RETRY: Duration = Duration::from_secs(1);

impl Error {
    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Identity(denied) => denied.status(),
            Self::Caller(fault) => fault.status(),
            Self::Quota(Quota::Crowded) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Quota(_) | Self::Requests { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Provider(fault) => fault.status(),
            Self::Ours(Ours::Internal) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Ours(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The kind as metrics and logs name it: a fixed set of words.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Identity(_) => "identity",
            Self::Caller(Caller::NoModel(_) | Caller::NoProvider(_) | Caller::ModelFormat(_)) => {
                "unknown_model"
            }
            Self::Caller(Caller::Forbidden(_)) => "forbidden",
            Self::Caller(Caller::Csrf) => "csrf",
            Self::Caller(Caller::Key(_)) => "provider_key",
            Self::Caller(_) => "invalid_request",
            Self::Quota(Quota::Crowded) => "too_many_clients",
            Self::Quota(_) => "rate_limit",
            Self::Requests { .. } => "request_limit",
            Self::Provider(Provider::Status { .. }) => "provider_status",
            Self::Provider(Provider::Connection(_)) => "provider_connection",
            Self::Provider(Provider::Timeout) => "provider_timeout",
            Self::Provider(Provider::Unreadable(_)) => "provider_unreadable",
            Self::Provider(Provider::Busy(_)) => "provider_busy",
            Self::Provider(Provider::Locked(_)) => "provider_locked",
            Self::Ours(Ours::Overloaded) => "overloaded",
            Self::Ours(Ours::Memory) => "memory",
            Self::Ours(Ours::Draining) => "draining",
            Self::Ours(Ours::Internal) => "internal",
        }
    }

    /// Whether the same call may succeed if it is only repeated.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Quota(Quota::Short { retry_after, .. }) => Some(*retry_after),
            Self::Requests { retry_after, .. } => *retry_after,
            Self::Quota(Quota::Crowded) | Self::Provider(Provider::Busy(_)) => Some(OVERLOAD_RETRY.as_secs()),
            Self::Ours(ours) if *ours != Ours::Internal => Some(OVERLOAD_RETRY.as_secs()),
            _ => None,
        }
    }

    /// What the caller reads.
    pub fn message(&self) -> String {
        match self {
            Self::Identity(denied) => denied.to_string(),
            Self::Caller(fault) => fault.message(),
            Self::Requests { .. } => "Rate limit exceeded".to_owned(),
            Self::Quota(fault) => fault.message(),
            Self::Provider(fault) => fault.message(),
            Self::Ours(fault) => fault.message().to_owned(),
        }
    }
}

impl Caller {
    fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) | Self::ModelFormat(_) => StatusCode::BAD_REQUEST,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::NoRoute | Self::NoProvider(_) | Self::NoModel(_) => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Forbidden(_) | Self::Csrf => StatusCode::FORBIDDEN,
            Self::Key(_) => StatusCode::UNAUTHORIZED,
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Malformed(why) => why.clone(),
            Self::MediaType => "Expected request with `Content-Type: application/json`".to_owned(),
            Self::TooLarge(limit) => format!("Request body is too large, the limit is {limit} bytes"),
            Self::BodyTimeout => "The request body did not arrive in time".to_owned(),
            Self::HeadTooLarge => "The request head has more than 128 headers or 64 KiB".to_owned(),
            Self::Csrf => "The header that every request must carry is missing".to_owned(),
            Self::NoRoute => "No such route".to_owned(),
            Self::Method(allow) => format!("Method not allowed here, use {allow}"),
            Self::ModelFormat(name) => {
                format!("Invalid model format: expected 'provider/model', got '{name}'")
            }
            Self::NoProvider(name) => format!("Provider '{name}' not found"),
            Self::NoModel(id) => format!("Model '{id}' is not configured"),
            Self::Forbidden(id) => format!("Model '{id}' is not available to your group"),
            Self::Key(why) => format!("Authentication failed: {why}"),
        }
    }
}

impl Quota {
    fn message(&self) -> String {
        match self {
            Self::Short { rule, .. } => {
                format!("Rate limit exceeded: {} exceeded. Please try again later.", what(rule.kind))
            }
            Self::Oversize { rule, standing } => {
                let why = match rule.kind {
                    Kind::Input | Kind::Total => {
                        "Request requires more tokens than the configured limit allows and cannot be fulfilled."
                    }
                    Kind::Cost if standing.limit > 0 => {
                        "Request costs more than the configured limit allows and cannot be fulfilled."
                    }
                    Kind::Output | Kind::Request | Kind::Cost | Kind::Concurrent => {
                        "The configured limit allows no requests; this one cannot be fulfilled."
                    }
                };
                format!("Rate limit exceeded: {} exceeded. {why}", what(rule.kind))
            }
            Self::Crowded => "Too many clients at the moment. Please try again later.".to_owned(),
        }
    }
}

/// A limit by its kind. That of input was the only one once, and is called as it was.
fn what(kind: Kind) -> &'static str {
    match kind {
        Kind::Input => "Token rate limit",
        Kind::Output => "Output token rate limit",
        Kind::Total => "Total token rate limit",
        Kind::Request => "Request rate limit",
        Kind::Cost => "Cost limit",
        Kind::Concurrent => "Concurrent request limit",
    }
}

impl Provider {
    /// Statuses with a meaning of their own pass; trouble on the way is 502, silence 504.
    fn status(&self) -> StatusCode {
        match self {
            // Some say a wrong key with the status of a wrong request, or of one that is not allowed.
            Self::Status { status, meaning: Some(Fault { kind: FaultKind::Authentication, .. }), .. }
                if matches!(status.as_u16(), 400 | 403) =>
            {
                StatusCode::UNAUTHORIZED
            }
            Self::Status { status, .. } => match status.as_u16() {
                400 | 401 | 403 | 404 | 408 | 409 | 413 | 422 | 429 | 500 | 503 | 529 => *status,
                _ => StatusCode::BAD_GATEWAY,
            },
            Self::Connection(_) | Self::Unreadable(_) | Self::Locked(_) => StatusCode::BAD_GATEWAY,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Status { status, .. } => format!("Provider API error ({})", status.as_u16()),
            Self::Connection(why) => format!("Connection error: {why}"),
            Self::Timeout => "The provider did not answer in time".to_owned(),
            Self::Locked(name) => format!("Credentials of provider '{name}' are not available"),
            Self::Unreadable(why) => format!("The provider's answer cannot be read: {why}"),
            Self::Busy(name) => {
                format!("Provider '{name}' has too many calls in flight. Please try again later.")
            }
        }
    }
}

impl Ours {
    fn message(self) -> &'static str {
        match self {
            Self::Overloaded => "The router is overloaded. Please try again later.",
            Self::Memory => "The router has no memory left for this call. Please try again later.",
            Self::Draining => "The router is shutting down. Please try again later.",
            Self::Internal => "Internal server error",
        }
    }
}

impl From<Unreachable> for Error {
    fn from(unreachable: Unreachable) -> Self {
        match unreachable {
            Unreachable::Failed => Self::Ours(Ours::Internal),
            Unreachable::Full | Unreachable::Late | Unreachable::Restarting => Self::Ours(Ours::Overloaded),
        }
    }
}

impl From<Caller> for Error {
    fn from(fault: Caller) -> Self {
        Self::Caller(fault)
    }
}

impl From<Quota> for Error {
    fn from(fault: Quota) -> Self {
        Self::Quota(fault)
    }
}

impl From<Provider> for Error {
    fn from(fault: Provider) -> Self {
        Self::Provider(fault)
    }
}

impl From<Ours> for Error {
    fn from(fault: Ours) -> Self {
        Self::Ours(fault)
    }
}

impl From<IdentityError> for Error {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::Denied(denied) => Self::Identity(denied),
            IdentityError::Unreachable(gone) => gone.into(),
        }
    }
}
