//! One kind of actor, several of them: which one to talk to.
//!
//! State that belongs to a key is found [`of`](Shards::of) the key, by a hash that every process computes alike; workers
//! that are interchangeable are taken in turn. Callers talk to the actor itself: there is no router in between.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use crate::address::Address;

/// The addresses of one kind of actor, at least one. Clones share the turn that [`next`](Self::next) takes.
pub struct Shards<M>(Arc<Ring<M>>);

struct Ring<M> {
    addresses: Box<[Address<M>]>,
    turn: AtomicUsize,
}

impl<M: Send + 'static> Shards<M> {
    /// Whether nobody else has the address of any of them but their supervisor: no message can come any more.
    pub(crate) fn is_last(&self) -> bool {
        Arc::strong_count(&self.0) == 1 && self.iter().all(Address::is_last)
    }
}

impl<M> Shards<M> {
    /// These addresses, in the order that placement counts in. `None` when there is none.
    pub fn new(addresses: impl IntoIterator<Item = Address<M>>) -> Option<Self> {
        let addresses: Box<[_]> = addresses.into_iter().collect();
        (!addresses.is_empty()).then(|| Self(Arc::new(Ring { addresses, turn: AtomicUsize::new(0) })))
    }

    /// The actor that owns `key`. Depends on the key and on the number of shards only.
    pub fn of(&self, key: &[u8]) -> &Address<M> {
        &self.0.addresses[place(key, self.0.addresses.len())]
    }

    /// Any actor: each in turn.
    pub fn next(&self) -> &Address<M> {
        let turn = self.0.turn.fetch_add(1, Relaxed);
        &self.0.addresses[turn % self.0.addresses.len()]
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Address<M>> {
        self.0.addresses.iter()
    }

    /// How many; never zero.
    #[allow(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.0.addresses.len()
    }
}

impl<M> Clone for Shards<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M> fmt::Debug for Shards<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The shard of `key` among `count` ≥ 1: the hash scaled to `0..count`, so that any count spreads evenly.
///
/// Part of the outside behaviour: processes that share a store, and a process before and after a restart, agree on it.
fn place(key: &[u8], count: usize) -> usize {
    ((u128::from(hash(key)) * count as u128) >> 64) as usize
}

/// 64-bit FNV-1a (offset basis and prime of the published algorithm), then the finaliser of MurmurHash3, since
/// [`place`] needs good high bits and FNV's are poor for short keys. Not meant to resist keys chosen to collide: such
/// keys share one actor, which stays bounded.
fn hash(key: &[u8]) -> u64 {
    let fnv = fnv1a(key);
    let mixed = (fnv ^ (fnv >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ (mixed >> 33)
}

fn fnv1a(key: &[u8]) -> u64 {
    key.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn placement_never_changes() {
        let places: Vec<_> =
            ["", "a", "alice", "bob", "team-a/42", "Zoë"].map(|key| place(key.as_bytes(), 8)).into();
        assert_eq!(places, PLACES_OF_8);
        assert!(["", "a", "alice"].iter().all(|key| place(key.as_bytes(), 1) == 0));
    }

    const PLACES_OF_8: [usize; 6] = [7, 4, 1, 7, 6, 1];

    #[test]
    fn similar_keys_spread_evenly_over_any_count() {
        for count in [2, 3, 7, 8, 100] {
            let mut load = vec![0u32; count];
            for client in 0..100_000 {
                load[place(format!("user-{client}").as_bytes(), count)] += 1;
            }
            let fair = 100_000.0 / count as f64;
            assert!(load.iter().all(|&n| (f64::from(n) - fair).abs() < fair * 0.2), "{count}: {load:?}");
        }
    }
}
