//! CSRF: a header that a page of another site cannot send without asking first. Its value does not matter.

use http::{HeaderName, Method, request::Parts};

use crate::error::{Caller, Error};

/// The header that every request must carry.
pub(super) struct Csrf(HeaderName);

impl Csrf {
    pub(super) fn new(header: HeaderName) -> Self {
        Self(header)
    }

    /// Why the request is refused, if it is. `OPTIONS` changes nothing, and asks for others.
    pub(super) fn refusal(&self, head: &Parts) -> Option<Error> {
        let passes = head.method == Method::OPTIONS || head.headers.contains_key(&self.0);
        (!passes).then(|| Caller::Csrf.into())
    }
}
