//! The bounds of the memory, and what it forgets.

use super::*;
use crate::identity::{
    KeySource,
    tests::{key_set, policy, token},
    token::verify,
};

const NOW: u64 = 1_700_000_000;

fn digest(n: usize) -> Digest {
    Digest::of(n.to_string().as_bytes())
}

/// A set of one key of this `kid`, and the id of that key.
fn key(kid: &str) -> (KeySet, KeyId) {
    let keys = key_set(&[kid]);
    let verified = verify(&token(kid, "alice"), &keys, &policy(KeySource::File("".into())), NOW);
    (keys, verified.expect("its own token").key)
}

fn remembered(key: KeyId, until: u64) -> Remembered {
    Remembered { told: Told::default(), until, key }
}

#[test]
fn a_token_is_remembered_until_it_expires() {
    let (mut memory, (_, key)) = (Memory::new(10), key("a"));
    memory.keep(digest(1), remembered(key, NOW + 60));
    assert!(memory.recall(&digest(1), NOW + 59).is_some());
    assert!(memory.recall(&digest(2), NOW).is_none());
    assert!(memory.recall(&digest(1), NOW + 60).is_none());
    assert_eq!(memory.len(), 0, "an expired one leaves when it is asked for");
}

#[test]
fn it_never_holds_more_than_its_capacity_and_tokens_in_use_stay() {
    let (mut memory, (_, key)) = (Memory::new(100), key("a"));
    memory.keep(digest(0), remembered(key, u64::MAX));
    for n in 1..10_000 {
        memory.keep(digest(n), remembered(key, u64::MAX));
        assert!(memory.len() <= 100);
        assert!(memory.recall(&digest(0), NOW).is_some(), "after {n}");
    }
    assert!(memory.recall(&digest(9_999), NOW).is_some() && memory.recall(&digest(1), NOW).is_none());
    memory.keep(digest(9_999), remembered(key, 0));
    assert!(memory.recall(&digest(9_999), NOW).is_none(), "the newer of two memories counts");
}

#[test]
fn the_smallest_memory_still_holds_the_last_token() {
    let (mut memory, (_, key)) = (Memory::new(0), key("a"));
    for n in 0..10 {
        memory.keep(digest(n), remembered(key, u64::MAX));
        assert!(memory.recall(&digest(n), NOW).is_some() && memory.len() <= 2);
    }
}

#[test]
fn tokens_of_keys_that_left_are_forgotten_in_both_generations() {
    let (mut memory, (keys_a, a), (_, b)) = (Memory::new(8), key("a"), key("b"));
    for n in 0..8 {
        memory.keep(digest(n), remembered(if n % 2 == 0 { a } else { b }, u64::MAX));
    }
    memory.forget(&keys_a);
    let left: Vec<_> = (0..8).filter(|n| memory.recall(&digest(*n), NOW).is_some()).collect();
    assert_eq!((left, memory.len()), (vec![0, 2, 4, 6], 4));
}
