//! `cl100k_base`, counting only: how many tokens a text is.
//!
//! "Ordinary" encoding: the text of a special token is text. Exact, and linear in the length of the text. Most pieces of
//! a text are one token, which one look-up in a flat table tells; the rest goes through the linear byte-pair encoder of `bpe`.

use std::{ops::Range, sync::LazyLock};

use bpe_openai::byte_pair_encoding::BytePairEncoding;

use super::{classes::Classes, pieces::Pieces};

/// The tables of the encoding. About 20 MB and 20 ms to load; there is one, shared by everybody.
pub(super) struct Vocabulary {
    classes: Classes,
    ranks: Ranks,
    bpe: &'static BytePairEncoding,
}

/// The tokens of up to [`KEY_BYTES`] bytes with their ranks: open addressing, at most two fifths full.
struct Ranks {
    keys: Box<[u128]>,
    /// The rank of the key in the same place.
    ranks: Box<[u32]>,
}

/// Longer tokens (fewer than 1 % of them, and rare in text) are left to the encoder.
const KEY_BYTES: usize = 15;
/// 100,256 tokens.
const SLOTS: usize = 1 << 18;
/// More tokens than the encoder ever takes back: the longest token has 128 bytes.
const BACKTRACK: usize = 1024;
/// No rank.
const NO_TOKEN: u32 = u32::MAX;

impl Vocabulary {
    /// The one instance; the first call loads it.
    pub(super) fn get() -> &'static Self {
        static VOCABULARY: LazyLock<Vocabulary> = LazyLock::new(|| {
            let bpe = &bpe_openai::cl100k_base().bpe;
            Vocabulary { classes: Classes::new(), ranks: Ranks::new(bpe), bpe }
        });
        &VOCABULARY
    }

    /// How many tokens a text is. Above `ceiling` it may stop, with any number above `ceiling`.
    pub(super) fn count(&self, text: &str, ceiling: u64) -> u64 {
        let mut tokens = 0_u64;
        for piece in Pieces::new(&self.classes, text) {
            if tokens > ceiling {
                break;
            }
            tokens = tokens.saturating_add(self.piece(text.as_bytes(), piece, ceiling - tokens));
        }
        tokens
    }

    fn piece(&self, text: &[u8], piece: Range<usize>, ceiling: u64) -> u64 {
        let (start, length) = (piece.start, piece.len());
        match length {
            1 => 1,
            2..=KEY_BYTES if self.ranks.get(text, start, length) != NO_TOKEN => 1,
            2..=KEY_BYTES => self.merge(text, start, length),
            _ => {
                // The encoder goes back a few tokens at times, so at the ceiling itself it could stop wrongly.
                let limit = usize::try_from(ceiling).unwrap_or(usize::MAX).saturating_add(BACKTRACK);
                let counted = self.bpe.count_till_limit(&text[piece], limit);
                counted.map_or(ceiling.saturating_add(1), |tokens| tokens as u64)
            }
        }
    }

    /// Byte-pair encoding by its definition, for a short piece: from single bytes, the pair of neighbours that makes the token
    /// of the lowest rank is merged, the first of equals first, until no pair makes a token.
    fn merge(&self, text: &[u8], start: usize, length: usize) -> u64 {
        // Where each part begins, and the end; the rank of each part joined with the next one.
        let mut begins: [usize; KEY_BYTES + 1] = std::array::from_fn(|n| start + n);
        let mut joined = [NO_TOKEN; KEY_BYTES];
        let mut parts = length;
        for at in 0..parts - 1 {
            joined[at] = self.ranks.get(text, begins[at], 2);
        }
        while let Some((at, _)) = joined[..parts - 1]
            .iter()
            .enumerate()
            .filter(|(_, rank)| **rank != NO_TOKEN)
            .min_by_key(|(_, rank)| **rank)
        {
            begins.copy_within(at + 2..=parts, at + 1);
            joined.copy_within(at + 1..parts, at);
            parts -= 1;
            joined[parts - 1] = NO_TOKEN;
            for left in at.saturating_sub(1)..=at {
                if left + 1 < parts {
                    joined[left] = self.ranks.get(text, begins[left], begins[left + 2] - begins[left]);
                }
            }
        }
        parts as u64
    }
}

impl Ranks {
    fn new(bpe: &BytePairEncoding) -> Self {
        let mut table = Self { keys: vec![0; SLOTS].into(), ranks: vec![NO_TOKEN; SLOTS].into() };
        for rank in 0..bpe.num_tokens() as u32 {
            let bytes = bpe.token_bytes(rank);
            if bytes.len() <= KEY_BYTES {
                let key = key(bytes, 0, bytes.len());
                let slot = table.slot(key);
                table.keys[slot] = key;
                table.ranks[slot] = rank;
            }
        }
        table
    }

    /// The rank of the token that is the `length` bytes of `text` from `start`, at most [`KEY_BYTES`]; else [`NO_TOKEN`].
    #[inline]
    fn get(&self, text: &[u8], start: usize, length: usize) -> u32 {
        self.ranks[self.slot(key(text, start, length))]
    }

    /// Where a key stands, or the empty slot where it would. Ends: more than half of the slots are empty. A folded
    /// multiplication chooses the first; the keys are fixed, so nobody can make them collide.
    #[inline]
    fn slot(&self, key: u128) -> usize {
        let (low, high) = (key as u64, (key >> 64) as u64);
        let product = u128::from(low ^ 0x9E37_79B9_7F4A_7C15) * u128::from(high ^ 0xD6E8_FEB8_6659_FD93);
        let mut at = ((product >> 64) as u64 ^ product as u64) as usize % SLOTS;
        while self.keys[at] != key && self.keys[at] != 0 {
            at = (at + 1) % SLOTS;
        }
        at
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
