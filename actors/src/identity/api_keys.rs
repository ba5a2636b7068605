//! Keys handed out to callers, found by their hashes. Must not see a key itself.

use aws_lc_rs::constant_time::verify_slices_are_equal;

use super::{digest::Digest, rules::ApiKey};

/// The keys that are handed out. A look-up compares with every one, some ten nanoseconds each: these are for teams, not
/// for users.
#[derive(Clone, Debug)]
pub(super) struct ApiKeys(Box<[ApiKey]>);

impl ApiKeys {
    /// These keys. The configuration has checked that no hash stands twice.
    pub(super) fn new(keys: &[ApiKey]) -> Self {
        Self(keys.into())
    }

    /// Whether none are handed out.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key with this hash. How long it takes tells nothing about the hashes that are here, nor which one was met.
    pub(super) fn find(&self, presented: &Digest) -> Option<&ApiKey> {
        let equal = |key: &&ApiKey| verify_slices_are_equal(&key.sha256, presented.bytes()).is_ok();
        // The last one, by walking all of them: `find` would stop at the first.
        self.0.iter().filter(equal).fold(None, |_, key| Some(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::principal::{ClientId, Group};

    fn keys(names: &[&str]) -> ApiKeys {
        let key = |name: &&str| ApiKey {
            client: ClientId::new(name),
            group: Some(Group::new("premium")),
            sha256: *Digest::of(format!("key of {name}").as_bytes()).bytes(),
        };
        ApiKeys::new(&names.iter().map(key).collect::<Vec<_>>())
    }

    #[test]
    fn a_key_is_found_by_its_hash_wherever_it_stands_and_no_other_is() {
        let keys = keys(&["a", "b", "c"]);
        for name in ["a", "b", "c"] {
            let found = keys.find(&Digest::of(format!("key of {name}").as_bytes()));
            assert_eq!(found.map(|key| key.client.as_str()), Some(name));
        }
        for wrong in ["key of d", "key of ", "key of a ", "KEY OF A", ""] {
            assert!(keys.find(&Digest::of(wrong.as_bytes())).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn one_bit_makes_another_key() {
        let keys = keys(&["a"]);
        let right = keys.0[0].sha256;
        for bit in 0..256 {
            let mut keys = keys.clone();
            keys.0[0].sha256[bit / 8] ^= 1 << (bit % 8);
            assert!(keys.find(&Digest::of(b"key of a")).is_none(), "bit {bit} of {right:?}");
        }
    }

    #[test]
    fn no_keys_find_nothing_and_debug_prints_no_hash() {
        assert!(keys(&[]).is_empty() && keys(&[]).find(&Digest::of(b"")).is_none());
        let keys = keys(&["a"]);
        let shown = format!("{keys:?} {keys:#?}");
        assert!(shown.contains("premium"), "{shown}");
        // In decimals, as a list of bytes prints itself, in hexadecimal digits, or raw.
        let numbers: Vec<&str> = shown.split(|c: char| !c.is_ascii_hexdigit()).collect();
        for bytes in keys.0[0].sha256.windows(3) {
            let decimal: Vec<_> = bytes.iter().map(u8::to_string).collect();
            assert!(!numbers.windows(3).any(|three| three == decimal), "{shown}");
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            assert!(!shown.to_ascii_lowercase().contains(&hex), "{shown}");
        }
    }
}
