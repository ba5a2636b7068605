//! The clients of one shard and their buckets: found by id, counted against the cap, swept when empty. Pure but for
//! the count, which all shards share; time is an argument.
//!
//! Invariants: a client is here only while one of its buckets was not seen empty; `tracked` counts exactly the clients
//! of all shards, so that the cap is exact; nothing but the sweep forgets a client.

use std::{
    hash::RandomState,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use indexmap::IndexMap;
use smallvec::{SmallVec, smallvec};

use super::{
    Limit, Scope,
    ledger::{Bucket, Standing, Verdict},
    tick::Tick,
};
use crate::principal::ClientId;

/// How many clients all shards together remember, and the most they may. Clones are one count.
#[derive(Clone, Debug)]
pub struct Tracked {
    count: Arc<AtomicUsize>,
    most: usize,
}

/// One shard's clients. The hash is keyed at random, since ids are chosen by clients.
#[derive(Debug)]
pub struct Clients {
    all: IndexMap<ClientId, Buckets, RandomState>,
    tracked: Tracked,
    sweep: Sweep,
}

/// The client is new, and as many as may be are remembered already. Nothing was consumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crowded;

/// Most clients use one scope.
type Buckets = SmallVec<[Bucket; 1]>;

/// Where the sweep is. A round goes down from the last position to the first; a removed client's place is taken by the
/// then last one, which the round has passed, or which came after it began. So positions still ahead never change, and
/// whoever is empty when a round begins is gone when it ends.
#[derive(Debug, Default)]
struct Sweep {
    /// Positions below this one are still to be looked at in this round.
    ahead: usize,
    /// How many of them at a time.
    slice: usize,
}

impl Tracked {
    /// No clients yet, of at most `most`.
    pub fn new(most: usize) -> Self {
        Self { count: Arc::default(), most }
    }

    /// Clients remembered now.
    pub fn count(&self) -> usize {
        self.count.load(Relaxed)
    }

    fn enter(&self) -> bool {
        let one_more = |count| (count < self.most).then_some(count + 1);
        self.count.fetch_update(Relaxed, Relaxed, one_more).is_ok()
    }

    fn leave(&self, clients: usize) {
        self.count.fetch_sub(clients, Relaxed);
    }
}

impl Clients {
    /// No clients yet.
    pub fn new(tracked: Tracked) -> Self {
        Self { all: IndexMap::default(), tracked, sweep: Sweep::default() }
    }

    /// Clients remembered by this shard.
    #[allow(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// See [`Bucket::admit`]; and how the limit stands afterwards.
    ///
    /// # Errors
    /// [`Crowded`]: the client is new, there is room for its tokens, but none for itself.
    pub fn admit(
        &mut self,
        now: Tick,
        client: &ClientId,
        limit: &Limit,
        amount: u64,
    ) -> Result<(Verdict, Standing), Crowded> {
        let mut known = self.all.get_mut(client);
        if let Some(bucket) = known.as_deref_mut().and_then(|buckets| find(buckets, limit.scope)) {
            return Ok((bucket.admit(now, limit, amount), bucket.standing(now, limit)));
        }
        let mut bucket = Bucket::new(limit.scope);
        let answer = (bucket.admit(now, limit, amount), bucket.standing(now, limit));
        if bucket.is_empty(now) {
            return Ok(answer);
        }
        match known {
            Some(buckets) => buckets.push(bucket),
            None if self.tracked.enter() => {
                self.all.insert(client.clone(), smallvec![bucket]);
            }
            None => return Err(Crowded),
        }
        Ok(answer)
    }

    /// See [`Bucket::refund`].
    pub fn refund(&mut self, client: &ClientId, scope: Scope, at: Tick, amount: u64) {
        if let Some(bucket) = self.all.get_mut(client).and_then(|buckets| find(buckets, scope)) {
            bucket.refund(at, amount);
        }
    }

    /// See [`Bucket::standing`].
    pub fn standing(&self, now: Tick, client: &ClientId, limit: &Limit) -> Standing {
        let buckets = self.all.get(client).map_or(&[][..], |buckets| buckets);
        let bucket = buckets.iter().find(|bucket| bucket.scope() == limit.scope);
        bucket.map_or_else(|| Standing::untouched(limit), |bucket| bucket.standing(now, limit))
    }

    /// Looks at the next of `slices` equal parts of the clients and forgets those that have nothing left. A round takes
    /// so many calls; who becomes empty during one is gone at the end of the next.
    pub fn sweep(&mut self, now: Tick, slices: usize) {
        if self.sweep.ahead == 0 {
            self.shrink();
            let len = self.all.len();
            self.sweep = Sweep { ahead: len, slice: len.div_ceil(slices) };
        }
        let stop = self.sweep.ahead.saturating_sub(self.sweep.slice);
        for position in (stop..self.sweep.ahead).rev() {
            self.look(now, position);
        }
        self.sweep.ahead = stop;
    }

    fn look(&mut self, now: Tick, position: usize) {
        let Some((_, buckets)) = self.all.get_index_mut(position) else { return };
        if buckets.iter().any(|bucket| bucket.is_empty(now)) {
            buckets.retain(|bucket| !bucket.is_empty(now));
        }
        if buckets.is_empty() {
            self.all.swap_remove_index(position);
            self.tracked.leave(1);
        }
    }

    /// Gives memory back after a flood. Few are left then, so moving them is cheap.
    fn shrink(&mut self) {
        const KEPT: usize = 1_024;
        let len = self.all.len();
        if self.all.capacity() > KEPT.max(len * 16) {
            self.all.shrink_to(len * 2);
        }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.tracked.leave(self.all.len());
    }
}

fn find(buckets: &mut Buckets, scope: Scope) -> Option<&mut Bucket> {
    buckets.iter_mut().find(|bucket| bucket.scope() == scope)
}

#[cfg(test)]
mod tests;
