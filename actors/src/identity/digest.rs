//! The hash of a credential: what is remembered and compared in its place. Must not keep or print the credential.

use std::fmt;

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};

/// SHA-256 of a credential. Two are compared in no constant time: see [`ApiKeys`](super::api_keys::ApiKeys) for that.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Digest([u8; SHA256_OUTPUT_LEN]);

impl Digest {
    /// The hash of a credential as it was presented.
    pub(super) fn of(credential: &[u8]) -> Self {
        let mut bytes = [0; SHA256_OUTPUT_LEN];
        // Of the same length, by the constant's definition.
        bytes.copy_from_slice(digest(&SHA256, credential).as_ref());
        Self(bytes)
    }

    /// The bytes of the hash.
    pub(super) fn bytes(&self) -> &[u8; SHA256_OUTPUT_LEN] {
        &self.0
    }
}

impl fmt::Debug for Digest {
    /// Not the bytes: of a weak credential they are as good as the credential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digest").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_sha_256_and_does_not_print_itself() {
        // FIPS 180-4, the example "abc".
        let digest = Digest::of(b"abc");
        assert_eq!(digest.bytes()[..4], [0xba, 0x78, 0x16, 0xbf]);
        assert_eq!(digest.bytes()[28..], [0xf2, 0x00, 0x15, 0xad]);
        assert_eq!(format!("{digest:?}"), "Digest { .. }");
    }
}
