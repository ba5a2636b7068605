//! Which accounts of a shard have changed since a store was last told. Costs a flag for each change and an entry for each
//! account and round. Nothing here stores.

use std::{collections::VecDeque, hash::RandomState};

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
    changed: VecDeque<AccountId>,
    /// Stored ones that were found empty.
    gone: VecDeque<AccountId>,
}

impl Changes {
    /// An account has changed.
    pub(super) fn note(&mut self, id: &AccountId, kept: &mut Kept) {
        if !kept.changed {
            kept.changed = true;
            self.changed.push_back(id.clone());
        }
    }

    /// A stored account was found empty, and is forgotten.
    pub(super) fn forget(&mut self, id: AccountId) {
        self.gone.push_back(id);
    }

    /// Looks at up to `most`, the oldest first: at those that are gone before those that changed, since one may have come
    /// back. Says whether there are more.
    pub(super) fn take(
        &mut self,
        all: &mut IndexMap<AccountId, Account, RandomState>,
        now: Tick,
        most: usize,
    ) -> (Vec<Change>, bool) {
        let looked_at = self.gone.len().min(most);
        let gone = self.gone.drain(..looked_at);
        let gone = gone.filter(|id| !all.contains_key(id)).map(|id| Change { id, account: None });
        let mut changes: Vec<_> = gone.collect();
        let rest = self.changed.len().min(most - looked_at);
        for id in self.changed.drain(..rest) {
            // One that has left for another shard is told of there.
            let Some(account) = all.get_mut(&id) else { continue };
            let moved = account.moved(&id, now).kept();
            let was = std::mem::replace(&mut account.kept, Kept { stored: moved.is_some(), changed: false });
            if was.stored || moved.is_some() {
                changes.push(Change { id, account: moved });
            }
        }
        (changes, !self.changed.is_empty() || !self.gone.is_empty())
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
                None => self.gone.push_back(id),
            }
        }
    }
}
