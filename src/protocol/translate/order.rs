//! Puts the pieces of an answer into a strict order, for clients whose format has no interleaved calls: what belongs behind
//! an open call waits until the call's input is complete, or the answer is over. Bounded. Sizes are bytes.

pub(in crate::protocol) use self::waiting::TooMuch;
use self::{progress::Progress, waiting::Waiting};
use crate::chat::response::Delta;

pub(in crate::protocol) mod progress;
mod waiting;

/// The machine of one answer. What it gives is one block behind another: pieces of input are of the call that came last.
#[derive(Debug, Default)]
pub(in crate::protocol) struct Order {
    open: Option<Open>,
    waiting: Waiting,
}

/// The call that is open.
#[derive(Debug)]
struct Open {
    index: u32,
    /// Free text tells its end by nothing.
    custom: bool,
    progress: Progress,
}

impl Order {
    /// Takes the next piece, and gives what may go out now.
    ///
    /// # Errors
    /// [`TooMuch`] when more would have to wait than may.
    pub(in crate::protocol) fn push(
        &mut self,
        delta: Delta<'_>,
        each: &mut dyn FnMut(Delta<'_>),
    ) -> Result<(), TooMuch> {
        if self.blocks(&delta) {
            return self.waiting.hold(delta);
        }
        self.give(delta, each);
        while self.open.as_ref().is_none_or(Open::is_complete)
            && let Some(block) = self.waiting.next()
        {
            block.give(&mut |delta| self.give(delta, each));
        }
        Ok(())
    }

    /// About what waits, in bytes.
    pub(in crate::protocol) fn held(&self) -> usize {
        self.waiting.held()
    }

    /// The answer is over: gives all that waits.
    pub(in crate::protocol) fn finish(&mut self, each: &mut dyn FnMut(Delta<'_>)) {
        while let Some(block) = self.waiting.next() {
            block.give(&mut |delta| self.give(delta, each));
        }
    }

    /// Whether a piece must wait for the open call.
    fn blocks(&self, delta: &Delta<'_>) -> bool {
        let Some(open) = &self.open else { return false };
        !matches!(delta, Delta::Input { index, .. } if *index == open.index) && !open.is_complete()
    }

    /// Gives a piece. Of a call that is over, nothing is left to say but blanks.
    fn give(&mut self, delta: Delta<'_>, each: &mut dyn FnMut(Delta<'_>)) {
        match &delta {
            Delta::Call { index, custom, .. } => {
                self.open = Some(Open { index: *index, custom: *custom, progress: Progress::default() });
            }
            Delta::Input { index, text } => match &mut self.open {
                Some(open) if open.index == *index => open.progress.push(text),
                _ => return,
            },
            Delta::Logprobs(_) => {}
            _ => self.open = None,
        }
        each(delta);
    }
}

impl Open {
    fn is_complete(&self) -> bool {
        !self.custom && self.progress.is_complete()
    }
}

#[cfg(test)]
mod tests;
