//! Byte-pair encoding by its definition: from single bytes, the two neighbours that make the token of the lowest rank are
//! merged, the leftmost of equals first, until no two neighbours make a token.

use std::ops::Range;

use smallvec::SmallVec;

use super::ranks::{NO_TOKEN, Ranks};

/// A text cut into its tokens.
pub(super) struct Split {
    /// Where each token begins, and where the last one ends.
    begins: SmallVec<[usize; 16]>,
}

impl Split {
    /// Encodes a part of `text` that is not empty. Takes as many passes over it as different tokens are made on the way, so
    /// it is for short parts.
    pub(super) fn of(ranks: &Ranks, text: &[u8], part: Range<usize>) -> Self {
        let mut begins: SmallVec<[usize; 16]> = (part.start..=part.end).collect();
        let mut joined: SmallVec<[u32; 16]> =
            text[part].windows(2).map(|pair| ranks.of_pair([pair[0], pair[1]])).collect();
        joined.push(NO_TOKEN);
        while let Some(lowest) = joined.iter().copied().min().filter(|&rank| rank != NO_TOKEN) {
            let parts = pass(ranks, text, &mut begins, &mut joined, lowest);
            begins.truncate(parts + 1);
            joined.truncate(parts);
        }
        Self { begins }
    }

    /// How many there are.
    pub(super) fn tokens(&self) -> u64 {
        self.begins.len() as u64 - 1
    }

    /// Where token `index` begins, or the last one ends.
    pub(super) fn begin(&self, index: usize) -> usize {
        self.begins[index]
    }

    /// Where the last one ends.
    pub(super) fn end(&self) -> usize {
        self.begins[self.begins.len() - 1]
    }

    /// The last token that begins at `at` or before, but not the first.
    pub(super) fn last_before(&self, at: usize) -> usize {
        self.begins.partition_point(|&begin| begin <= at).saturating_sub(1).max(1)
    }
}

/// Merges every two neighbours that make the token of rank `lowest`, from left to right, closes the gaps, and returns how many
/// parts are left. Stops merging if that makes neighbours of a still lower rank, since those come first then.
///
/// `begins` holds where each part begins and where the last one ends, `joined` what rank each makes with the next.
fn pass(ranks: &Ranks, text: &[u8], begins: &mut [usize], joined: &mut [u32], lowest: u32) -> usize {
    let parts = joined.len();
    let first = joined.iter().position(|&rank| rank == lowest).unwrap_or(parts);
    let (mut at, mut kept, mut merge) = (first, first, true);
    while at < parts {
        begins[kept] = begins[at];
        joined[kept] = joined[at];
        at += 1;
        if merge && joined[kept] == lowest {
            at += 1;
            joined[kept] = begins.get(at + 1).map_or(NO_TOKEN, |&end| ranks.of(text, begins[kept]..end));
            merge = joined[kept] >= lowest;
            if kept > 0 {
                joined[kept - 1] = ranks.of(text, begins[kept - 1]..begins[at]);
                merge &= joined[kept - 1] >= lowest;
            }
        }
        kept += 1;
    }
    begins[kept] = begins[parts];
    kept
}
