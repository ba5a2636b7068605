//! `cl100k_base`, counting only: how many tokens a text is.
//!
//! "Ordinary" encoding: the text of a special token is text. Exact, and linear in the length of the text. Most pieces of
//! a text are one token, which one look-up in a flat table tells; the rest goes through the linear byte-pair encoder of `bpe`.

use std::sync::LazyLock;

use bpe_openai::byte_pair_encoding::BytePairEncoding;

use super::{classes::Classes, pieces::Pieces};

/// The tables of the encoding. About 20 MB and 20 ms to load; there is one, shared by everybody.
pub(super) struct Vocabulary {
    classes: Classes,
    single: Single,
    bpe: &'static BytePairEncoding,
}

/// The set of the tokens of up to [`KEY_BYTES`] bytes: open addressing, at most two fifths full.
struct Single {
    slots: Box<[u128]>,
}

/// Longer tokens (fewer than 1 % of them, and rare in text) are left to the encoder.
const KEY_BYTES: usize = 15;
/// 100,256 tokens.
const SLOTS: usize = 1 << 18;

impl Vocabulary {
    /// The one instance; the first call loads it.
    pub(super) fn get() -> &'static Self {
        static VOCABULARY: LazyLock<Vocabulary> = LazyLock::new(|| {
            let bpe = &bpe_openai::cl100k_base().bpe;
            Vocabulary { classes: Classes::new(), single: Single::new(bpe), bpe }
        });
        &VOCABULARY
    }

    /// How many tokens `text` is.
    pub(super) fn count(&self, text: &str) -> u64 {
        Pieces::new(&self.classes, text)
            .map(|piece| {
                if self.single.contains(text.as_bytes(), piece.start, piece.len()) {
                    1
                } else {
                    self.bpe.count(&text.as_bytes()[piece]) as u64
                }
            })
            .sum()
    }
}

impl Single {
    fn new(bpe: &BytePairEncoding) -> Self {
        let mut slots = vec![0; SLOTS].into_boxed_slice();
        for token in 0..bpe.num_tokens() as u32 {
            let bytes = bpe.token_bytes(token);
            if bytes.len() <= KEY_BYTES {
                let key = key(bytes, 0, bytes.len());
                let mut at = slot(key);
                while slots[at] != 0 {
                    at = (at + 1) % SLOTS;
                }
                slots[at] = key;
            }
        }
        Self { slots }
    }

    /// Whether the `length` bytes of `text` from `start` are one token.
    #[inline]
    fn contains(&self, text: &[u8], start: usize, length: usize) -> bool {
        if length > KEY_BYTES {
            return false;
        }
        let key = key(text, start, length);
        let mut at = slot(key);
        // Ends: more than half of the slots are empty.
        while self.slots[at] != key {
            if self.slots[at] == 0 {
                return false;
            }
            at = (at + 1) % SLOTS;
        }
        true
    }
}

/// Up to 15 bytes and, in the highest byte, their number: never 0, which marks an empty slot.
#[inline]
fn key(text: &[u8], start: usize, length: usize) -> u128 {
    let bytes = match text.get(start..).and_then(|rest| rest.first_chunk::<16>()) {
        Some(chunk) => *chunk,
        None => {
            let mut chunk = [0; 16];
            chunk[..length].copy_from_slice(&text[start..start + length]);
            chunk
        }
    };
    let mask = (1_u128 << (8 * length)) - 1;
    (u128::from_le_bytes(bytes) & mask) | ((length as u128) << 120)
}

/// Where a key is looked for first: a folded multiplication. The keys are fixed, so nobody can make them collide.
#[inline]
fn slot(key: u128) -> usize {
    let (low, high) = (key as u64, (key >> 64) as u64);
    let product = u128::from(low ^ 0x9E37_79B9_7F4A_7C15) * u128::from(high ^ 0xD6E8_FEB8_6659_FD93);
    ((product >> 64) as u64 ^ product as u64) as usize % SLOTS
}
