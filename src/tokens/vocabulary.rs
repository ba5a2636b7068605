//! `cl100k_base`, counting only: how many tokens a text is.
//!
//! "Ordinary" encoding: the text of a special token is text. Exact. Most pieces of a text are one token, which one look-up
//! tells; the rest is merged by the definition of byte-pair encoding (`merge`), long pieces in windows (`long`).

use std::{ops::Range, sync::LazyLock};

use self::{
    merge::Split,
    ranks::{LONGEST, NO_TOKEN, Ranks},
};
use super::{classes::Classes, pieces::Pieces};

mod merge;
mod ranks;

/// The tables of the encoding: 6 MB, a few milliseconds to load. There is one, shared by everybody.
pub(super) struct Vocabulary {
    classes: Classes,
    ranks: Ranks,
}

/// Bytes of a long piece that are merged at a time: twice the longest token, and cheap to pass over. A quarter of it is more
/// than the longest chain of letters in which every merge waits for the next one.
const WINDOW: usize = 256;

impl Vocabulary {
    /// The one instance; the first call loads it.
    pub(super) fn get() -> &'static Self {
        static VOCABULARY: LazyLock<Vocabulary> =
            LazyLock::new(|| Vocabulary { classes: Classes::new(), ranks: Ranks::load() });
        &VOCABULARY
    }

    /// How many tokens a text is. Above `ceiling` it may stop, with any number above `ceiling` and not above the true one.
    pub(super) fn count(&self, text: &str, ceiling: u64) -> u64 {
        let mut tokens = 0_u64;
        for piece in Pieces::new(&self.classes, text) {
            if tokens > ceiling {
                break;
            }
            tokens += self.piece(text.as_bytes(), piece, ceiling - tokens);
        }
        tokens
    }

    #[inline]
    fn piece(&self, text: &[u8], piece: Range<usize>, ceiling: u64) -> u64 {
        if piece.len() == 1 || self.ranks.of(text, piece.clone()) != NO_TOKEN {
            1
        } else if piece.len() <= WINDOW {
            Split::of(&self.ranks, text, piece).tokens()
        } else {
            self.long(text, piece, ceiling)
        }
    }

    /// A long piece, window by window. Where the windows meet is checked; if that fails the windows were too short.
    fn long(&self, text: &[u8], piece: Range<usize>, ceiling: u64) -> u64 {
        let at_least = (piece.len() / LONGEST) as u64;
        if at_least > ceiling {
            return at_least;
        }
        let mut window = WINDOW;
        loop {
            if let Some(tokens) = self.windows(text, piece.clone(), window, ceiling) {
                return tokens;
            }
            window *= 4;
        }
    }

    /// Byte-pair encoding is local: a sequence of tokens is the encoding of its text if and only if every two neighbours
    /// are the encoding of theirs (shown by the authors of the crate `bpe`). So the tokens of overlapping windows are put
    /// together: a window begins with a token of the one before, a quarter before its end, where what comes behind hardly
    /// ever matters, and the two tokens that meet there are encoded together. `None` if they come out differently; a window
    /// as long as the piece never does.
    fn windows(&self, text: &[u8], piece: Range<usize>, window: usize, ceiling: u64) -> Option<u64> {
        let split = |from: usize| Split::of(&self.ranks, text, from..piece.end.min(from + window));
        let (mut tokens, mut head) = (0, split(piece.start));
        // In long runs it is the same two tokens again and again.
        let mut proven: (&[u8], usize) = (&[], 0);
        while head.end() < piece.end && tokens <= ceiling {
            let cut = head.last_before(head.end() - window / 4);
            let next = split(head.begin(cut));
            let meeting = head.begin(cut - 1)..next.begin(1);
            let seam = (&text[meeting.clone()], head.begin(cut) - meeting.start);
            if seam != proven && !self.is_split_at(text, meeting, head.begin(cut)) {
                return None;
            }
            proven = seam;
            tokens += cut as u64;
            head = next;
        }
        Some(if head.end() == piece.end { tokens + head.tokens() } else { tokens })
    }

    /// Whether the encoding of a part of `text` is two tokens that meet at `seam`.
    fn is_split_at(&self, text: &[u8], part: Range<usize>, seam: usize) -> bool {
        let split = Split::of(&self.ranks, text, part);
        split.tokens() == 2 && split.begin(1) == seam
    }
}

#[cfg(test)]
mod tests;
