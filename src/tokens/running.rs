//! The tokens of a text that comes in pieces, as it grows: what a stream has said so far.

use super::vocabulary::Vocabulary;

/// The count of one growing text.
///
/// What is counted is the text, not its pieces: `hel` and `lo` are one token. So only the end that may yet change is kept,
/// from the last blank between two words on; the count before it is exact, since no token reaches across such a blank.
/// The count never goes down: where a piece makes one token of two, the next ones are free until it has caught up.
pub struct Running {
    vocabulary: &'static Vocabulary,
    /// The end of the text, from a place on that no token reaches across.
    tail: String,
    /// Tokens before it.
    settled: u64,
    /// Tokens that were told so far.
    told: u64,
}

/// A tail without a blank is taken as it is from this length on, in bytes: the one token that may be too many does not
/// matter then.
const LONGEST_TAIL: usize = 256;
/// The rest of a longer piece, in bytes, is taken to be like its beginning: no stream holds a thread for long.
const LONGEST_PIECE: usize = 16 * 1024;

impl Default for Running {
    fn default() -> Self {
        Self { vocabulary: Vocabulary::get(), tail: String::new(), settled: 0, told: 0 }
    }
}

impl Running {
    /// Adds a piece; by how many tokens the text is longer now.
    pub fn add(&mut self, piece: &str) -> u64 {
        if piece.len() > LONGEST_PIECE {
            self.settle(self.tail.len());
            self.settled = self.settled.saturating_add(self.long(piece));
        } else {
            self.tail.push_str(piece);
            let blank =
                self.tail.as_bytes().windows(2).rposition(|two| two[0].is_ascii_graphic() && two[1] == b' ');
            self.settle(blank.map_or(0, |at| at + 1));
            if self.tail.len() > LONGEST_TAIL {
                self.settle(self.tail.len());
            }
        }
        let so_far = self.settled.saturating_add(self.count(&self.tail));
        let more = so_far.saturating_sub(self.told);
        self.told += more;
        more
    }

    fn settle(&mut self, end: usize) {
        self.settled = self.settled.saturating_add(self.count(&self.tail[..end]));
        self.tail.drain(..end);
    }

    fn count(&self, text: &str) -> u64 {
        self.vocabulary.count(text, u64::MAX)
    }

    fn long(&self, piece: &str) -> u64 {
        let end = (LONGEST_PIECE..piece.len()).find(|at| piece.is_char_boundary(*at));
        let beginning = &piece[..end.unwrap_or(piece.len())];
        let (tokens, times) = (self.count(beginning) as u128, piece.len() as u128);
        u64::try_from((tokens * times).div_ceil(beginning.len() as u128)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn added(pieces: &[&str]) -> u64 {
        let mut running = Running::default();
        pieces.iter().map(|piece| running.add(piece)).sum()
    }

    #[test]
    fn pieces_of_words_are_no_tokens_of_their_own() {
        let text = "Nobody expects the Spanish inquisition, 12345 times; isn't that so?\n\n  Well. ";
        let whole = Vocabulary::get().count(text, u64::MAX);
        let words: Vec<_> = text.split_inclusive(' ').collect();
        assert!((whole..=whole + 1).contains(&added(&words)), "{} of {whole}", added(&words));
        let letters: Vec<_> = text.split_inclusive(|_: char| true).collect();
        let counted = added(&letters);
        assert!((whole..=whole + 4).contains(&counted), "{counted} of {whole}");
        assert_eq!(added(&["word "; 100]), 101, "the last blank is a token until a word comes");
    }

    #[test]
    fn a_text_without_blanks_and_one_beyond_all_measure_are_counted_all_the_same() {
        let whole = Vocabulary::get().count(&"好".repeat(2_000), u64::MAX);
        let counted = added(&["好"; 2_000]);
        assert!((whole..=whole + whole / 10).contains(&counted), "{counted} of {whole}");
        let long = added(&[&"word ".repeat(100_000)]);
        assert!(long.abs_diff(100_000) < 50, "{long}, by its beginning");
    }

    proptest! {
        #[test]
        fn no_token_reaches_across_a_blank_between_words(pieces in prop::collection::vec("[a-z' 1.\n!é-]{0,9}", 0..40)) {
            let text = pieces.concat();
            let whole = Vocabulary::get().count(&text, u64::MAX);
            let mut running = Running::default();
            let counted: u64 = pieces.iter().map(|piece| running.add(piece)).sum();
            prop_assert!(counted >= whole);
            let last = running.settled + running.count(&running.tail);
            prop_assert!(last >= whole && last <= whole + text.len() as u64 / LONGEST_TAIL as u64);
        }
    }
}
