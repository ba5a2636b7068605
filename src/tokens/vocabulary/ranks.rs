//! The rank of every token of `cl100k_base`, by its bytes.
//!
//! Must not know how ranks are used.

use std::ops::Range;

/// The tokens and their ranks.
pub(super) struct Ranks {
    /// Tokens of up to [`KEY_BYTES`] bytes, nearly all: open addressing, at most two fifths full, 0 where empty.
    keys: Box<[u128]>,
    /// The rank of the key in the same place, [`NO_TOKEN`] where empty.
    ranks: Box<[u32]>,
    /// The longer ones, likewise.
    long: Box<[(&'static [u8], u32)]>,
    /// Those of two bytes again, directly: the first look at every byte of a piece.
    pairs: Box<[u32]>,
}

/// No rank.
pub(super) const NO_TOKEN: u32 = u32::MAX;
/// Bytes of the longest token.
pub(super) const LONGEST: usize = 128;

const KEY_BYTES: usize = 15;
const SLOTS: usize = 1 << 18;
const LONG_SLOTS: usize = 1 << 13;
/// Made by the build script: one byte of length and the bytes of each token, by rank.
static VOCABULARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/cl100k_base.tokens"));

impl Ranks {
    /// Fills the tables; takes a few milliseconds.
    pub(super) fn load() -> Self {
        let mut table = Self {
            keys: vec![0; SLOTS].into(),
            ranks: vec![NO_TOKEN; SLOTS].into(),
            long: vec![(&VOCABULARY[..0], NO_TOKEN); LONG_SLOTS].into(),
            pairs: vec![NO_TOKEN; 1 << 16].into(),
        };
        let mut rest = VOCABULARY;
        let mut rank = 0;
        while let Some((&length, tokens)) = rest.split_first() {
            let (token, others) = tokens.split_at(usize::from(length));
            table.insert(token, rank);
            rest = others;
            rank += 1;
        }
        table
    }

    fn insert(&mut self, token: &'static [u8], rank: u32) {
        if let [a, b] = *token {
            self.pairs[usize::from(u16::from_be_bytes([a, b]))] = rank;
        }
        if token.len() > KEY_BYTES {
            let slot = self.long_slot(token);
            self.long[slot] = (token, rank);
        } else {
            let key = key(token, 0..token.len());
            let slot = self.slot(key);
            self.keys[slot] = key;
            self.ranks[slot] = rank;
        }
    }

    /// The rank of the token that is this part of `text`, else [`NO_TOKEN`], which is above all ranks.
    #[inline]
    pub(super) fn of(&self, text: &[u8], part: Range<usize>) -> u32 {
        if part.len() <= KEY_BYTES {
            self.ranks[self.slot(key(text, part))]
        } else if part.len() <= LONGEST {
            self.long[self.long_slot(&text[part])].1
        } else {
            NO_TOKEN
        }
    }

    /// [`of`](Self::of) two bytes.
    #[inline]
    pub(super) fn of_pair(&self, pair: [u8; 2]) -> u32 {
        self.pairs[usize::from(u16::from_be_bytes(pair))]
    }

    /// Where a token of 16 bytes or more stands, or the empty slot where it would.
    fn long_slot(&self, token: &[u8]) -> usize {
        let (head, tail) = (&token[..8], &token[token.len() - 8..]);
        let ends: [u8; 16] = std::array::from_fn(|at| if at < 8 { head[at] } else { tail[at - 8] });
        let mut at = fold(u128::from_le_bytes(ends) ^ ((token.len() as u128) << 60)) % LONG_SLOTS;
        while self.long[at].0 != token && !self.long[at].0.is_empty() {
            at = (at + 1) % LONG_SLOTS;
        }
        at
    }

    /// Where a key stands, or the empty slot where it would. Ends: more than half of the slots are empty.
    #[inline]
    fn slot(&self, key: u128) -> usize {
        let mut at = fold(key) % SLOTS;
        while self.keys[at] != key && self.keys[at] != 0 {
            at = (at + 1) % SLOTS;
        }
        at
    }
}

/// A folded multiplication. The keys in the tables are fixed, so nobody can make them collide.
#[inline]
fn fold(key: u128) -> usize {
    let (low, high) = (key as u64, (key >> 64) as u64);
    let product = u128::from(low ^ 0x9E37_79B9_7F4A_7C15) * u128::from(high ^ 0xD6E8_FEB8_6659_FD93);
    ((product >> 64) as u64 ^ product as u64) as usize
}

/// Up to 15 bytes and, in the highest byte, their number: never 0.
#[inline]
fn key(text: &[u8], part: Range<usize>) -> u128 {
    let bytes = match text.get(part.start..).and_then(|rest| rest.first_chunk::<16>()) {
        Some(chunk) => *chunk,
        None => {
            let mut chunk = [0; 16];
            chunk[..part.len()].copy_from_slice(&text[part.clone()]);
            chunk
        }
    };
    let mask = (1_u128 << (8 * part.len())) - 1;
    (u128::from_le_bytes(bytes) & mask) | ((part.len() as u128) << 120)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_of_the_reference_is_found_under_its_rank_and_nothing_else_is() {
        let (ranks, reference) = (Ranks::load(), tiktoken_rs::cl100k_base_singleton());
        let mut longest = 0;
        for rank in 0..100_256 {
            let token = reference.decode_bytes(&[rank]).unwrap();
            assert_eq!(ranks.of(&token, 0..token.len()), rank);
            longest = longest.max(token.len());
        }
        assert_eq!(longest, LONGEST);
        let short = ranks.ranks.iter().filter(|rank| **rank != NO_TOKEN).count();
        let long = ranks.long.iter().filter(|(_, rank)| *rank != NO_TOKEN).count();
        assert_eq!(short + long, 100_256);
        assert!(short < SLOTS / 2 && long < LONG_SLOTS / 2, "searches end soon: {short}, {long}");
        for pair in 0..=u16::MAX {
            let pair = pair.to_be_bytes();
            assert_eq!(ranks.of_pair(pair), ranks.of(&pair, 0..2));
        }
        assert_eq!(ranks.of(b"\xff\xff\xff", 0..3), NO_TOKEN);
        assert_eq!(ranks.of(&[b'q'; 300], 0..300), NO_TOKEN);
    }
}
