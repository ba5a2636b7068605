//! How many tokens a request's input is: the estimate that limits are charged by.
//!
//! `3 + Σ over messages (3 + role + text)` in `cl100k_base`, and everything else that reaches the model as text as its
//! text. Pure: CPU only, no clock, no randomness, no protocol (it sees [`chat::Prompt`](crate::chat::Prompt)). Units: tokens, and bytes of the body.

use crate::{
    chat::{Part, Piece, Prompt},
    config::Counting,
};

use self::{memory::Memory, vocabulary::Vocabulary};

mod classes;
mod memory;
mod pieces;
pub mod running;
mod vocabulary;

/// Counts requests, and remembers what it has counted. Shared by all threads, without a lock.
pub struct Counter {
    vocabulary: &'static Vocabulary,
    memory: Memory,
    counting: Counting,
}

/// How far the count of one request has come.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    parts: usize,
    tokens: u64,
}

/// What [`Counter::advance`] has reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Progress {
    /// All of it, or more than the ceiling.
    Done(Estimate),
    /// The budget is spent: go on from here, where it delays nobody.
    More(Tally),
}

/// The input of a request in tokens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Estimate {
    /// The count. If not `exact`, at least so many: more than the ceiling, and that is all that is known.
    pub tokens: u64,
    /// Whether the count is within the ceiling, and so the whole one.
    pub exact: bool,
}

/// Per message: role marker and separators.
const MESSAGE_TOKENS: u64 = 3;
/// Counting what is shorter costs no more than a look-up.
const REMEMBERED_BYTES: usize = 64;
/// What one part costs beside its bytes, and how many hashed bytes cost as much as one that is counted.
const PART_COST: usize = 32;
const HASHED_PER_COUNTED: usize = 16;

impl Counter {
    /// Loads the encoding if this is the first counter (some 20 ms). `secret` must be random: it keeps clients from
    /// making two texts that are mistaken for each other.
    pub fn new(counting: &Counting, secret: [u8; 32]) -> Self {
        Self { vocabulary: Vocabulary::get(), memory: Memory::new(secret), counting: counting.clone() }
    }

    /// How many tokens a text is by itself.
    pub fn count(&self, text: &str) -> u64 {
        self.vocabulary.count(text, u64::MAX)
    }

    /// The whole count in one go. Above `ceiling` it may stop early. `body` is the one that `prompt` was parsed from.
    pub fn estimate<P: Prompt>(&self, body: &[u8], prompt: &P, ceiling: Option<u64>) -> Estimate {
        let mut tally = Tally::default();
        loop {
            match self.advance(body, prompt, tally, ceiling, usize::MAX) {
                Progress::Done(estimate) => return estimate,
                Progress::More(rest) => tally = rest,
            }
        }
    }

    /// Goes on with a count until it is done or `budget` is spent. Starts with `Tally::default()`. The answer does not depend
    /// on where it is interrupted, nor on the thread.
    ///
    /// The budget is about the number of bytes counted afresh (some 6 ns each, in the worst case 100 ns). A part that would
    /// exceed it is left for the next call, which needs a larger one; `usize::MAX` always finishes.
    pub fn advance<P: Prompt>(
        &self,
        body: &[u8],
        prompt: &P,
        mut tally: Tally,
        ceiling: Option<u64>,
        mut budget: usize,
    ) -> Progress {
        let ceiling = ceiling.unwrap_or(u64::MAX);
        if tally.parts == 0 {
            tally.tokens = prompt.fixed_tokens();
        }
        while tally.tokens <= ceiling
            && let Some(part) = prompt.part(tally.parts)
        {
            let raw = body.get(part.span.range()).unwrap_or_default();
            let Some(tokens) = self.part::<P>(part, raw, ceiling - tally.tokens, &mut budget) else {
                return Progress::More(tally);
            };
            tally = Tally { parts: tally.parts + 1, tokens: tally.tokens.saturating_add(tokens) };
        }
        Progress::Done(Estimate { tokens: tally.tokens, exact: tally.tokens <= ceiling })
    }

    /// The tokens of one part, remembered or counted; `None` if the budget does not reach.
    fn part<P: Prompt>(&self, part: Part, raw: &[u8], ceiling: u64, budget: &mut usize) -> Option<u64> {
        *budget = budget.checked_sub(PART_COST + raw.len() / HASHED_PER_COUNTED)?;
        if raw.len() < REMEMBERED_BYTES {
            return Some(self.fresh::<P>(part, raw, ceiling));
        }
        let key = self.memory.key([P::DIALECT, part.kind as u8], raw);
        if let Some(tokens) = key.and_then(|key| self.memory.recall(key)) {
            return Some(tokens);
        }
        *budget = budget.checked_sub(raw.len())?;
        let tokens = self.fresh::<P>(part, raw, ceiling);
        if tokens <= ceiling
            && let Some(key) = key
        {
            self.memory.remember(key, tokens);
        }
        Some(tokens)
    }

    /// Counts a part; what is above `ceiling` may be less than all of it.
    fn fresh<P: Prompt>(&self, part: Part, raw: &[u8], ceiling: u64) -> u64 {
        let mut tokens = 0_u64;
        // Lossy only in name: the body was UTF-8 when it was parsed, and a part ends where its JSON ends.
        let raw = String::from_utf8_lossy(raw);
        P::pieces(part.kind, &raw, &mut |piece| {
            if tokens <= ceiling {
                tokens = tokens.saturating_add(self.piece(&piece, ceiling - tokens));
            }
        });
        tokens
    }

    fn piece(&self, piece: &Piece<'_>, ceiling: u64) -> u64 {
        let tools = self.counting.count_tools;
        match piece {
            Piece::Role(role) => self.vocabulary.count(role, ceiling).saturating_add(MESSAGE_TOKENS),
            Piece::Text(text) => self.vocabulary.count(text, ceiling),
            Piece::Tokens(tokens) => *tokens,
            Piece::Tool(json) if tools => self.vocabulary.count(json, ceiling),
            Piece::Image if tools => self.counting.image_tokens,
            Piece::Data if tools => self.counting.file_tokens,
            Piece::Tool(_) | Piece::Image | Piece::Data => 0,
        }
    }
}

#[cfg(test)]
mod tests;
