//! Header rules: what of a caller's headers goes to a provider, and what is added. Values only; `upstream::headers`
//! applies them.

use http::{HeaderName, HeaderValue};
use regex::bytes::Regex;

/// One `[[llm.providers.NAME.headers]]`. Values from the file are marked sensitive.
#[derive(Clone, Debug, PartialEq)]
pub enum HeaderRule {
    /// The caller's header goes upstream.
    Forward {
        /// Which.
        from: Names,
        /// When the caller sent none; only with one name.
        default: Option<HeaderValue>,
        /// Under this name instead.
        rename: Option<HeaderName>,
    },
    /// A header is set.
    Insert {
        /// Its name.
        name: HeaderName,
        /// Its value.
        value: HeaderValue,
    },
    /// A header that would go upstream does not.
    Remove(Names),
    /// The caller's header goes upstream under both names.
    RenameDuplicate {
        /// Its own name.
        name: HeaderName,
        /// The other one.
        rename: HeaderName,
        /// When the caller sent none.
        default: Option<HeaderValue>,
    },
}

/// Which headers a rule is about.
#[derive(Clone, Debug, PartialEq)]
pub enum Names {
    /// The one of this name.
    One(HeaderName),
    /// Those whose names match.
    Matching(Pattern),
}

/// A regular expression on the names of headers, whatever their case.
#[derive(Clone, Debug)]
pub struct Pattern(pub Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}
