//! Why there is no principal: statuses and words, as callers read them. The JSON around the words is the server's.

use std::{error, fmt};

use http::StatusCode;

use crate::address::Unreachable;

/// Why there is no principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityError {
    /// The request does not say who calls, or says what cannot be believed.
    Denied(Denied),
    /// Ours: no worker answered.
    Unreachable(Unreachable),
}

/// What is wrong with the identity that was presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// No client id, or a header that is not ASCII text.
    MissingClientId,
    /// A client id that cannot be used.
    InvalidClientId(InvalidClientId),
    /// No group, or a header that is not ASCII text, where one is required.
    MissingGroup,
    /// A group that is not listed.
    UnlistedGroup,
    /// A group over [`Group::MAX_BYTES`](crate::Group::MAX_BYTES).
    GroupTooLong,
    /// Several group headers.
    RepeatedGroup,
    /// Several `Authorization` headers: which one another proxy would believe is anyone's guess.
    RepeatedAuthorization,
    /// Several `x-api-key` or `x-goog-api-key` headers.
    RepeatedKey,
    /// Neither a token nor a key, where one is demanded.
    MissingToken,
    /// An `Authorization` of another scheme, where a token or key is demanded.
    NotBearer,
    /// A token that is none.
    MalformedToken,
    /// A token or key that is refused. The caller is not told why.
    Unauthorized,
    /// Ours: there have not been any keys to verify a token with.
    NoKeys,
}

/// Why a client id cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidClientId {
    /// Several client id headers.
    Repeated,
    /// Over [`ClientId::MAX_BYTES`](crate::ClientId::MAX_BYTES).
    TooLong,
}

impl Denied {
    /// 400 for an identity that is not sound, 401 for a token or key that does not prove one, 500 without keys.
    pub fn status(self) -> StatusCode {
        match self {
            Self::MissingClientId
            | Self::InvalidClientId(_)
            | Self::MissingGroup
            | Self::UnlistedGroup
            | Self::GroupTooLong
            | Self::RepeatedGroup => StatusCode::BAD_REQUEST,
            Self::RepeatedAuthorization
            | Self::RepeatedKey
            | Self::MissingToken
            | Self::NotBearer
            | Self::MalformedToken
            | Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::NoKeys => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The `error` of the answer's body.
    pub fn error(self) -> &'static str {
        match self {
            Self::MissingClientId => "missing_client_id",
            Self::InvalidClientId(_) => "invalid_client_id",
            Self::MissingGroup => "missing_group_id",
            Self::UnlistedGroup | Self::GroupTooLong | Self::RepeatedGroup => "invalid_group",
            Self::RepeatedAuthorization
            | Self::RepeatedKey
            | Self::MissingToken
            | Self::NotBearer
            | Self::MalformedToken => "invalid_token",
            Self::Unauthorized => "unauthorized",
            Self::NoKeys => "internal_server_error",
        }
    }

    /// The `error_description` of the answer's body; a refused token has none.
    pub fn description(self) -> Option<&'static str> {
        Some(match self {
            Self::MissingClientId => "Client identification is required",
            Self::InvalidClientId(InvalidClientId::Repeated) => {
                "The client id header must be sent exactly once"
            }
            Self::InvalidClientId(InvalidClientId::TooLong) => "The client id is longer than 1024 bytes",
            Self::MissingGroup => "Group identification is required",
            Self::UnlistedGroup => "The specified group is not valid",
            Self::GroupTooLong => "The group is longer than 1024 bytes",
            Self::RepeatedGroup => "The group header must be sent exactly once",
            Self::RepeatedAuthorization => "The Authorization header must be sent at most once",
            Self::RepeatedKey => "The API key header must be sent at most once",
            Self::MissingToken => "missing token",
            Self::NotBearer => "token must be prefixed with Bearer",
            Self::MalformedToken => "invalid token",
            Self::Unauthorized => return None,
            Self::NoKeys => "An internal error occurred",
        })
    }
}

impl From<Denied> for IdentityError {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

impl From<Unreachable> for IdentityError {
    fn from(unreachable: Unreachable) -> Self {
        Self::Unreachable(unreachable)
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.description().unwrap_or_else(|| self.error()))
    }
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(denied) => denied.fmt(f),
            Self::Unreachable(unreachable) => unreachable.fmt(f),
        }
    }
}

impl error::Error for Denied {}
impl error::Error for IdentityError {}
