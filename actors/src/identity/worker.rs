//! An identity worker: decides by headers at once, knows the holders of API keys, and remembers verified tokens.
//!
//! It never verifies a token, which takes as long as dozens of its other answers: the caller does, with the keys that the
//! worker hands out, and tells the worker what came of it. So new tokens delay no known one. A panic keeps what is
//! remembered; a restart from nothing loses only that, and tokens are verified once more.

use std::{sync::Arc, time::Duration};

use super::{
    Denied, Rules,
    api_keys::ApiKeys,
    digest::Digest,
    key_set::KeySet,
    memory::{Memory, Remembered},
    presented::{Presented, Told},
};
use crate::{
    address::{Address, Reply},
    guarded::State,
    observe::Own,
    principal::Principal,
};

/// Verified tokens remembered by all workers together: some 20 MB with ids and groups of ordinary length,
/// 150 MB if all were of the longest.
pub(super) const REMEMBERED: usize = 64 * 1024;

/// What an identity worker understands.
#[derive(Debug)]
pub(super) enum Message {
    /// Who presents this? It holds nothing that has to be verified.
    Decide(Presented, Reply<Result<Principal, Denied>>),
    /// Who presents the token or key of this hash, at this Unix second?
    Recall(Digest, u64, Reply<Recalled>),
    /// A token of this hash was verified.
    Remember(Digest, Box<Remembered>),
    /// These keys hold from now on.
    Adopt(Arc<KeySet>),
    /// Be as after a restart that found no state.
    #[cfg(test)]
    Forget,
}

/// What a worker knows of a token or key.
#[derive(Debug)]
pub(super) enum Recalled {
    /// It is an API key of this holder.
    Holder(Principal),
    /// It is a verified token that says this.
    Known(Told),
    /// It is not known. Here are the keys that may verify it, if there are any yet.
    New(Option<Arc<KeySet>>),
}

/// What never changes, shared by all workers.
#[derive(Debug)]
pub(super) struct Fixed {
    pub(super) rules: Arc<Rules>,
    pub(super) api_keys: ApiKeys,
    /// Tokens that one worker remembers.
    pub(super) capacity: usize,
}

/// The state of an identity worker.
#[derive(Debug)]
pub(super) struct Worker {
    fixed: Arc<Fixed>,
    /// What new tokens are verified with. While a worker has none its callers ask `identity-keys`, which then hands them
    /// to the worker: after a restart from nothing, what the start has found may be long out of date.
    keys: Option<Arc<KeySet>>,
    memory: Memory,
    own: Own,
}

/// Names of a worker's own numbers, in the order of the constants below.
const NAMES: &[&str] = &["remembered", "known", "new", "denied"];
/// Tokens in its memory.
const TOKENS: usize = 0;
/// Tokens and keys that were known when they came.
const KNOWN: usize = 1;
/// Those that were not.
const NEW: usize = 2;
/// Calls refused with 400, 401 or, for want of keys, 500.
const DENIED: usize = 3;

/// Notes a call that was refused, by the worker or on the way to it.
pub(super) fn denied(worker: &Address<Message>) {
    worker.gauges().add(DENIED, 1);
}

impl Worker {
    pub(super) fn new(fixed: Arc<Fixed>, own: Own) -> Self {
        let memory = Memory::new(fixed.capacity);
        Self { fixed, keys: None, memory, own }
    }

    fn recall(&mut self, digest: &Digest, now: u64) -> Recalled {
        if let Some(key) = self.fixed.api_keys.find(digest) {
            return Recalled::Holder(Principal {
                client: Some(key.client.clone()),
                group: key.group.clone(),
            });
        }
        match self.memory.recall(digest, now) {
            Some(told) => Recalled::Known(told),
            None => Recalled::New(self.keys.clone()),
        }
    }

    fn on_recall(&mut self, digest: &Digest, now: u64, reply: Reply<Recalled>) {
        let recalled = self.recall(digest, now);
        self.own.add(if matches!(recalled, Recalled::New(_)) { NEW } else { KNOWN }, 1);
        // A caller that hung up meanwhile leaves nothing to undo; so below.
        let _ = reply.send(recalled);
    }

    /// A key may have left the set while its caller was verifying.
    fn on_remember(&mut self, digest: Digest, remembered: Remembered) {
        if self.keys.as_ref().is_some_and(|keys| keys.holds(&remembered.key)) {
            self.memory.keep(digest, remembered);
        }
    }

    fn on_adopt(&mut self, keys: Arc<KeySet>) {
        // Most polls bring the same keys again, and the memory is large.
        if self.keys.as_ref().is_some_and(|old| !keys.holds_all_of(old)) {
            self.memory.forget(&keys);
        }
        self.keys = Some(keys);
    }
}

impl State for Worker {
    type Message = Message;
    const TICK: Option<Duration> = None;
    const OWN: &'static [&'static str] = NAMES;

    fn handle(&mut self, message: Message) {
        match message {
            Message::Decide(presented, reply) => drop(reply.send(presented.decide(&self.fixed.rules))),
            Message::Recall(digest, now, reply) => self.on_recall(&digest, now, reply),
            Message::Remember(digest, remembered) => self.on_remember(digest, *remembered),
            Message::Adopt(keys) => self.on_adopt(keys),
            #[cfg(test)]
            Message::Forget => *self = Self::new(Arc::clone(&self.fixed), self.own.clone()),
        }
        self.own.set(TOKENS, i64::try_from(self.memory.len()).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests;
