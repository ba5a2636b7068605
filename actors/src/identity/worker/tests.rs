//! What a worker does with keys, without its actor.

use super::*;
use crate::{
    identity::{
        KeySource, Networks, Tokens,
        tests::{key_set, policy, token},
        token::verify,
    },
    observe::Gauges,
};

fn worker() -> Worker {
    let rules = Rules {
        client: None,
        group: None,
        groups: [].into(),
        require_group: false,
        trusted_proxies: Networks::default(),
        tokens: Tokens::Ignored,
        api_keys: Vec::new(),
    };
    let fixed = Fixed { rules: Arc::new(rules), api_keys: ApiKeys::new(&[]), capacity: 8 };
    Worker::new(Arc::new(fixed), Own(Arc::new(Gauges::new("identity-0", NAMES))))
}

/// A token of the key of this name, as it is remembered.
fn remembered(kid: &str) -> (Digest, Remembered) {
    let token = token(kid, "alice");
    let verified = verify(&token, &key_set(&[kid]), &policy(KeySource::File("".into())), 0).unwrap();
    let remembered = Remembered { told: Told::default(), until: verified.until, key: verified.key };
    (Digest::of(token.as_bytes()), remembered)
}

#[test]
fn the_memory_is_searched_only_when_a_key_has_left() {
    let mut worker = worker();
    worker.on_adopt(Arc::new(key_set(&["a", "b"])));
    // It could not be here, and so tells whether anybody has looked.
    let (stray, remembered) = remembered("stray");
    worker.memory.keep(stray, remembered);
    for unchanged in [&["a", "b"][..], &["b", "a"], &["a", "b", "c"]] {
        worker.on_adopt(Arc::new(key_set(unchanged)));
        assert!(worker.memory.recall(&stray, 0).is_some(), "{unchanged:?}");
    }
    worker.on_adopt(Arc::new(key_set(&["a", "b"])));
    assert!(worker.memory.recall(&stray, 0).is_none(), "c has left");
}

#[test]
fn what_was_verified_while_its_key_left_is_not_remembered() {
    let mut worker = worker();
    let (digest, token) = remembered("a");
    worker.on_remember(digest, token.clone());
    assert_eq!(worker.memory.len(), 0, "there are no keys at all");
    worker.on_adopt(Arc::new(key_set(&["b"])));
    worker.on_remember(digest, token.clone());
    assert!(matches!(worker.recall(&digest, 0), Recalled::New(Some(_))));
    worker.on_adopt(Arc::new(key_set(&["a"])));
    worker.on_remember(digest, token);
    assert!(matches!(worker.recall(&digest, 0), Recalled::Known(_)));
}
