//! The id of a request: the client's if it is usable, else one made here.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

use http::{HeaderMap, HeaderValue};

use crate::upstream::REQUEST_ID;

/// The longest id that is taken over, in bytes.
const LONGEST: usize = 128;

/// Makes ids that differ within a process and, with overwhelming odds, between processes.
#[derive(Debug)]
pub struct Ids {
    process: u64,
    next: AtomicU64,
    mix: RandomState,
}

impl Ids {
    /// Ids of this process.
    pub fn new() -> Self {
        Self { process: RandomState::new().hash_one(0), next: AtomicU64::new(0), mix: RandomState::new() }
    }

    /// The request's own id (1 to 128 visible ASCII characters), else a new one.
    pub(super) fn of(&self, headers: &HeaderMap) -> HeaderValue {
        let visible = |value: &HeaderValue| {
            (1..=LONGEST).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic)
        };
        headers.get(REQUEST_ID).filter(|value| visible(value)).cloned().unwrap_or_else(|| self.new_id())
    }

    /// 24 hexadecimal digits that no other call has: what ids inside of an answer are made of.
    pub(super) fn unique(&self) -> String {
        let mut id = self.digits();
        id.truncate(24);
        id
    }

    fn digits(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        format!("{:016x}{:016x}", self.mix.hash_one(number), self.process ^ number)
    }

    fn new_id(&self) -> HeaderValue {
        let id = self.digits();
        // Hexadecimal digits are a header value.
        HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("none"))
    }
}

impl Default for Ids {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &'static str) -> HeaderValue {
        Ids::new().of(&HeaderMap::from_iter([(REQUEST_ID, HeaderValue::from_static(value))]))
    }

    #[test]
    fn a_usable_id_is_taken_over_and_any_other_is_replaced() {
        assert_eq!(of("abc-1"), "abc-1");
        for unusable in ["", "a b", "caf\u{e9}"] {
            let value = HeaderValue::from_bytes(unusable.as_bytes()).expect("a header");
            let made = Ids::new().of(&HeaderMap::from_iter([(REQUEST_ID, value.clone())]));
            assert_ne!(made, value);
            assert_eq!(made.len(), 32);
        }
        let long = "a".repeat(LONGEST + 1);
        let value = HeaderValue::from_str(&long).expect("a header");
        assert_eq!(Ids::new().of(&HeaderMap::from_iter([(REQUEST_ID, value)])).len(), 32);
    }

    #[test]
    fn no_two_ids_are_alike() {
        let ids = Ids::new();
        let none = HeaderMap::new();
        let all: std::collections::HashSet<_> = (0..1000).map(|_| ids.of(&none)).collect();
        assert_eq!(all.len(), 1000);
    }
}
