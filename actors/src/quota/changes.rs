//! Which accounts of a shard have changed since a store was last told. Costs a flag for each change and an entry for each
//! account and round. Nothing here stores.

use std::hash::RandomState;

use indexmap::IndexMap;

use super::{
    account::{Account, AccountId, Kept},
    moving::Moved,
    tick::Tick,
};

/// What a store is told of one account.
#[derive(Clone, Debug)]
pub struct Change {
    /// Whose.
    pub id: AccountId,
    /// What is to be stored; `None`: nothing of it.
    pub account: Option<Moved>,
}

/// The accounts of which a store is to be told.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Each of them once, flagged as such. Some may have gone since.
    changed: Vec<AccountId>,
    /// Stored ones that were found empty.
    gone: Vec<AccountId>,
}

impl Changes {
    /// An account has changed.
    pub(super) fn note(&mut self, id: &AccountId, kept: &mut Kept) {
        if !kept.changed {
            kept.changed = true;
            self.changed.push(id.clone());
        }
    }

    /// A stored account was found empty, and is forgotten.
    pub(super) fn forget(&mut self, id: AccountId) {
        self.gone.push(id);
    }

    /// Takes up to `most`: those that are gone before those that changed, since one may have come back.
    pub(super) fn take(
        &mut self,
        all: &mut IndexMap<AccountId, Account, RandomState>,
        now: Tick,
        most: usize,
    ) -> Vec<Change> {
        let gone = self.gone.drain(self.gone.len().saturating_sub(most)..);
        let gone = gone.filter(|id| !all.contains_key(id)).map(|id| Change { id, account: None });
        let mut changes: Vec<_> = gone.collect();
        let rest = most.saturating_sub(changes.len());
        for id in self.changed.drain(self.changed.len().saturating_sub(rest)..) {
            // One that has left for another shard is told of there.
            let Some(account) = all.get_mut(&id) else { continue };
            let moved = account.moved(&id, now).kept();
            let was = std::mem::replace(&mut account.kept, Kept { stored: moved.is_some(), changed: false });
            if was.stored || moved.is_some() {
                changes.push(Change { id, account: moved });
            }
        }
        changes
    }

    /// Of these nobody was told after all.
    pub(super) fn untold(
        &mut self,
        all: &mut IndexMap<AccountId, Account, RandomState>,
        changes: Vec<Change>,
    ) {
        for Change { id, .. } in changes {
            match all.get_mut(&id) {
                Some(account) => {
                    account.kept.stored = true;
                    self.note(&id, &mut account.kept);
                }
                None => self.gone.push(id),
            }
        }
    }
}
