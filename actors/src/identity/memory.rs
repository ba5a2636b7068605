//! Tokens that were verified, by their hash: what they say, until when, and by which key. Bounded, in two generations: a
//! full young one becomes the old one, and what the old one still holds then is forgotten. So a token in use stays, and
//! nothing is ever searched for room. Pure: time is an argument, in Unix seconds.

use std::collections::HashMap;

use super::{
    digest::Digest,
    key_set::{KeyId, KeySet},
    presented::Told,
};

/// Tokens remembered by one worker.
#[derive(Debug)]
pub(super) struct Memory {
    young: HashMap<Digest, Remembered>,
    old: HashMap<Digest, Remembered>,
    /// Tokens in one generation.
    generation: usize,
}

/// What is kept of a verified token; never the token.
#[derive(Clone, Debug)]
pub(super) struct Remembered {
    /// What it says of its bearer.
    pub(super) told: Told,
    /// From this second on it has expired, leeway included.
    pub(super) until: u64,
    /// The key that verified it.
    pub(super) key: KeyId,
}

impl Memory {
    /// Room for `capacity` tokens, at least two.
    pub(super) fn new(capacity: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), generation: (capacity / 2).max(1) }
    }

    /// What the token of this hash says, if it is remembered and has not expired.
    pub(super) fn recall(&mut self, digest: &Digest, now: u64) -> Option<Told> {
        if let Some(found) = self.young.get(digest) {
            if now < found.until {
                return Some(found.told.clone());
            }
            self.young.remove(digest);
            return None;
        }
        let found = self.old.remove(digest).filter(|found| now < found.until)?;
        let told = found.told.clone();
        self.keep(*digest, found);
        Some(told)
    }

    /// Remembers a token. What was known of it is replaced.
    pub(super) fn keep(&mut self, digest: Digest, remembered: Remembered) {
        if self.young.len() >= self.generation && !self.young.contains_key(&digest) {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&digest);
        self.young.insert(digest, remembered);
    }

    /// Forgets what was verified by keys that are not in this set.
    pub(super) fn forget(&mut self, keys: &KeySet) {
        for generation in [&mut self.young, &mut self.old] {
            generation.retain(|_, remembered| keys.holds(&remembered.key));
        }
    }

    /// Tokens remembered, expired ones among them.
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests;
