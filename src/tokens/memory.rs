//! Counts that are remembered: a conversation is sent again with every turn, and counted only once.
//!
//! A table of fixed size that all threads share without a lock. What is stored under a key is small and can be had again,
//! so losing an entry costs time and never changes an answer. Must not know what is counted.
//!
//! **Torn writes.** An entry is two words, `check = fingerprint ⊕ payload` and `payload`. Two threads that write one entry
//! at a time, or a reader in between, can pair the words of different writes; such a pair gives `check ⊕ payload` of
//! neither key and reads as a miss.
//!
//! **Collisions.** A key is a 128-bit AES-GMAC tag under a secret random key; 96 bits of it are compared. GMAC is an
//! almost universal hash (NIST SP 800-38D; McGrew and Viega 2004): two texts that are chosen without the secret and
//! without any tag agree in 96 bits with probability at most n · 2⁻⁹⁶, n being their length in 16-byte blocks: 2⁻⁹⁰ for a
//! message of 1 KB, 2⁻⁷⁵ for one of 32 MB. Tags never leave this module, so choosing cleverly does not help, and using a
//! nonce twice, which would give tags away to one who sees them, does no harm. It hashes several times faster than
//! BLAKE3, whose parallel lanes stay empty on messages of a kilobyte.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

/// The remembered counts. See the module's head.
pub(super) struct Memory {
    secret: LessSafeKey,
    sets: Box<[Set]>,
}

/// Under which a count is remembered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Key {
    fingerprint: u64,
    /// The lower half is compared, the upper chooses set and victim.
    rest: u64,
}

/// One cache line.
#[derive(Default)]
#[repr(align(64))]
struct Set([Entry; WAYS]);

#[derive(Default)]
struct Entry {
    /// `fingerprint ⊕ payload`.
    check: AtomicU64,
    /// The lower half of `rest` above, the count below.
    payload: AtomicU64,
}

const WAYS: usize = 4;
/// 4 MiB: 262,144 counts.
const SETS: usize = 1 << 16;

impl Memory {
    /// An empty memory whose keys are made under `secret`, which must be random and stay in this process.
    pub(super) fn new(secret: [u8; 32]) -> Self {
        // 32 bytes are the length of an AES-256 key, which is all that is checked.
        #[allow(clippy::expect_used)]
        let secret = UnboundKey::new(&AES_256_GCM, &secret).expect("a key of the right length");
        let sets = std::iter::repeat_with(Set::default).take(SETS).collect();
        Self { secret: LessSafeKey::new(secret), sets }
    }

    /// The key of `bytes` read as `domain`: the same bytes in another domain have another key. `None` only if the bytes are
    /// more than AES-GCM may authenticate, 2⁶¹.
    pub(super) fn key(&self, [dialect, kind]: [u8; 2], bytes: &[u8]) -> Option<Key> {
        let nonce = Nonce::assume_unique_for_key([dialect, kind, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let tag = self.secret.seal_in_place_separate_tag(nonce, Aad::from(bytes), &mut []).ok()?;
        match tag.as_ref().as_chunks::<8>().0 {
            [a, b] => Some(Key { fingerprint: u64::from_le_bytes(*a), rest: u64::from_le_bytes(*b) }),
            _ => None,
        }
    }

    /// The count remembered under `key`.
    pub(super) fn recall(&self, key: Key) -> Option<u64> {
        self.set(key).0.iter().find_map(|entry| {
            let payload = entry.payload.load(Relaxed);
            let known = entry.check.load(Relaxed) ^ payload == key.fingerprint;
            (known && payload >> 32 == key.rest & u64::from(u32::MAX))
                .then_some(payload & u64::from(u32::MAX))
        })
    }

    /// Remembers `count` under `key`, in a free entry of its set or in place of any. Counts of 2³² and more are not kept.
    pub(super) fn remember(&self, key: Key, count: u64) {
        if count > u64::from(u32::MAX) {
            return;
        }
        let set = &self.set(key).0;
        let free = set.iter().find(|entry| entry.payload.load(Relaxed) == 0);
        let entry = free.unwrap_or_else(|| &set[(key.rest >> 62) as usize % WAYS]);
        let payload = key.rest << 32 | count;
        entry.payload.store(payload, Relaxed);
        entry.check.store(key.fingerprint ^ payload, Relaxed);
    }

    fn set(&self, key: Key) -> &Set {
        &self.sets[(key.rest >> 32) as usize % SETS]
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread};

    use super::*;

    #[test]
    fn a_count_comes_back_under_its_key_only() {
        let memory = Memory::new([7; 32]);
        let key = memory.key([0, 0], b"text").unwrap();
        assert_eq!(memory.recall(key), None);
        memory.remember(key, 42);
        assert_eq!(memory.recall(key), Some(42));
        assert_eq!(memory.recall(memory.key([0, 1], b"text").unwrap()), None);
        assert_eq!(memory.recall(memory.key([1, 0], b"text").unwrap()), None);
        assert_eq!(memory.recall(memory.key([0, 0], b"texu").unwrap()), None);
        assert_ne!(Memory::new([8; 32]).key([0, 0], b"text").unwrap(), key, "the secret matters");
    }

    #[test]
    fn the_largest_count_that_fits_is_kept_and_a_larger_one_is_not() {
        let memory = Memory::new([7; 32]);
        let key = memory.key([0, 0], b"text").unwrap();
        memory.remember(key, 1 << 32);
        assert_eq!(memory.recall(key), None);
        memory.remember(key, (1 << 32) - 1);
        assert_eq!(memory.recall(key), Some((1 << 32) - 1));
    }

    #[test]
    fn a_full_set_forgets_and_stays_right() {
        let memory = Memory::new([7; 32]);
        let same_set = |n: u64| Key { fingerprint: n.wrapping_mul(0x9E37_79B9_7F4A_7C15), rest: n << 62 | n };
        for n in 1..=64 {
            memory.remember(same_set(n), n);
            assert_eq!(memory.recall(same_set(n)), Some(n), "the newest is kept");
        }
        let kept = (1..=64).filter_map(|n| memory.recall(same_set(n)).inspect(|&count| assert_eq!(count, n)));
        assert_eq!(kept.count(), WAYS);
    }

    #[test]
    fn words_of_two_writes_read_as_a_miss() {
        let memory = Memory::new([7; 32]);
        let (a, b) = (Key { fingerprint: 1, rest: 10 }, Key { fingerprint: 2, rest: 20 });
        memory.remember(a, 5);
        let entry = &memory.set(a).0[0];
        entry.payload.store(b.rest << 32 | 6, Relaxed);
        assert_eq!((memory.recall(a), memory.recall(b)), (None, None));
    }

    #[test]
    fn hammered_by_threads_it_never_gives_the_count_of_another_key() {
        let memory = Arc::new(Memory::new([7; 32]));
        // 32 keys in one set of four: nearly every write evicts, nearly every read races.
        let key = |n: u64| Key { fingerprint: n.wrapping_mul(0x9E37_79B9_7F4A_7C15), rest: n << 62 | n };
        let threads: Vec<_> = (0..4)
            .map(|seed| {
                let memory = Arc::clone(&memory);
                thread::spawn(move || {
                    let mut hits = 0;
                    for step in 0..200_000_u64 {
                        let n = 1 + (step * 7 + seed * 13) % 32;
                        match memory.recall(key(n)) {
                            Some(count) => {
                                assert_eq!(count, n * 1000);
                                hits += 1;
                            }
                            None => memory.remember(key(n), n * 1000),
                        }
                    }
                    hits
                })
            })
            .collect();
        let hits: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert!(hits > 0, "something was remembered");
    }
}
