//! What went wrong at a provider, by meaning; every wire format has its own words for it.

use std::borrow::Cow;

/// An error of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault<'a> {
    /// What it means.
    pub kind: FaultKind,
    /// The provider's words.
    pub message: Cow<'a, str>,
}

/// What an error means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The request is wrong.
    Invalid,
    /// Nobody known.
    Authentication,
    /// Somebody known who may not.
    Permission,
    /// No money left.
    Quota,
    /// No such thing.
    NotFound,
    /// Too many bytes or tokens.
    TooLarge,
    /// Too many calls.
    RateLimit,
    /// Too many calls of everybody's.
    Overloaded,
    /// Too slow.
    Timeout,
    /// Broken inside.
    Internal,
    /// Anything else.
    Other,
}

/// As much of a provider's message as a person reads; of an empty one, that it is.
pub fn short<'t>(text: impl Into<Cow<'t, str>>) -> String {
    const CHARACTERS: usize = 2000;
    let text = text.into();
    if text.is_empty() {
        return "the provider gave no reason".to_owned();
    }
    match text.char_indices().nth(CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

impl FaultKind {
    /// The meaning of a status.
    pub fn of_status(status: u16) -> Self {
        match status {
            401 => Self::Authentication,
            402 => Self::Quota,
            403 => Self::Permission,
            404 => Self::NotFound,
            408 | 504 => Self::Timeout,
            413 => Self::TooLarge,
            429 => Self::RateLimit,
            500 => Self::Internal,
            503 | 529 => Self::Overloaded,
            400..=499 => Self::Invalid,
            _ => Self::Other,
        }
    }

    /// The status that says it, where none came with it.
    pub fn status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::Authentication => 401,
            Self::Quota => 402,
            Self::Permission => 403,
            Self::NotFound => 404,
            Self::TooLarge => 413,
            Self::RateLimit => 429,
            Self::Overloaded => 529,
            Self::Timeout => 504,
            Self::Internal => 500,
            Self::Other => 502,
        }
    }
}
