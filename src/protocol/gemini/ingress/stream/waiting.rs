//! Calls whose input is gathered, and what waits behind them. Bounded.

use std::{borrow::Cow, collections::VecDeque};

use crate::{
    chat::{
        content::{Call, Input},
        json::Json,
        response::Delta,
        signature::Signature,
    },
    protocol::translate::order::progress::Progress,
};

/// What waits, in the order in which it came.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    blocks: VecDeque<Block>,
    /// About what all of it takes, in bytes.
    held: usize,
}

/// One block that waits.
#[derive(Debug)]
pub(super) enum Block {
    /// A call, and how far its input is.
    Call { index: u32, call: Call<'static>, progress: Progress },
    /// A piece of anything else.
    Other(Delta<'static>),
}

/// More would have to wait than may.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMuch;

/// The most that waits, in bytes.
const MOST: usize = 8 << 20;
/// The most blocks that wait: among so many a call is looked for at every piece of it.
const MOST_BLOCKS: usize = 512;

impl Waiting {
    /// About what all of it takes, in bytes.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Keeps a piece.
    ///
    /// # Errors
    /// [`TooMuch`]; the answer cannot be put in order then.
    pub(super) fn hold(&mut self, delta: Delta<'_>) -> Result<(), TooMuch> {
        let block = match delta {
            Delta::Input { index, text } => return self.input(index, &text),
            Delta::Call { index, id, name, custom, signature } => {
                let input = if custom { Input::Text(Cow::default()) } else { Input::Json(Cow::default()) };
                let (id, name) = (id.into_owned().into(), name.into_owned().into());
                let call = Call { id, name, input, signature: signature.map(owned) };
                Block::Call { index, call, progress: Progress::default() }
            }
            other => Block::Other(kept(other)),
        };
        self.take(block.size())?;
        let full = self.blocks.len() == MOST_BLOCKS;
        match (self.blocks.back_mut(), block) {
            (Some(Block::Other(Delta::Text(text))), Block::Other(Delta::Text(more)))
            | (Some(Block::Other(Delta::Refusal(text))), Block::Other(Delta::Refusal(more)))
            | (Some(Block::Other(Delta::Reasoning(text))), Block::Other(Delta::Reasoning(more))) => {
                text.to_mut().push_str(&more);
            }
            (_, _) if full => return Err(TooMuch),
            (_, block) => self.blocks.push_back(block),
        }
        Ok(())
    }

    /// Input of a call that waits; of one that is over there is nothing left but blanks.
    fn input(&mut self, call: u32, more: &str) -> Result<(), TooMuch> {
        let found = self.blocks.iter_mut().rev().find_map(|block| match block {
            Block::Call { index, call: Call { input, .. }, progress } if *index == call => {
                Some((input, progress))
            }
            _ => None,
        });
        let Some((Input::Json(text) | Input::Text(text), progress)) = found else { return Ok(()) };
        text.to_mut().push_str(more);
        progress.push(more);
        self.take(more.len())
    }

    fn take(&mut self, bytes: usize) -> Result<(), TooMuch> {
        self.held = self.held.saturating_add(bytes);
        if self.held > MOST { Err(TooMuch) } else { Ok(()) }
    }

    /// The first block, unless it is a call whose input is incomplete; with `all` in any case.
    pub(super) fn next(&mut self, all: bool) -> Option<Block> {
        if !all && !self.blocks.front()?.is_complete() {
            return None;
        }
        let block = self.blocks.pop_front()?;
        self.held = self.held.saturating_sub(block.size());
        Some(block)
    }
}

impl Block {
    /// Free text tells its end by nothing.
    fn is_complete(&self) -> bool {
        match self {
            Self::Call { call: Call { input: Input::Text(_), .. }, .. } => false,
            Self::Call { progress, .. } => progress.is_complete(),
            Self::Other(_) => true,
        }
    }

    /// About the bytes it takes.
    fn size(&self) -> usize {
        let signed = |signature: &Signature<'_>| signature.value.len();
        match self {
            Self::Call { call, .. } => {
                let (Input::Json(input) | Input::Text(input)) = &call.input;
                call.id.len() + call.name.len() + input.len() + call.signature.as_ref().map_or(0, signed)
            }
            Self::Other(Delta::Text(text) | Delta::Refusal(text) | Delta::Reasoning(text)) => text.len(),
            Self::Other(Delta::Signature(signature) | Delta::Redacted(signature)) => signed(signature),
            Self::Other(Delta::Image(media)) => media.size(),
            Self::Other(Delta::Logprobs(json)) => json.text().len(),
            Self::Other(Delta::Call { .. } | Delta::Input { .. }) => 0,
        }
    }
}

/// A piece that outlives its event.
fn kept(delta: Delta<'_>) -> Delta<'static> {
    let text = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
    match delta {
        Delta::Text(said) => Delta::Text(text(said)),
        Delta::Refusal(said) => Delta::Refusal(text(said)),
        Delta::Reasoning(said) => Delta::Reasoning(text(said)),
        Delta::Signature(signature) => Delta::Signature(owned(signature)),
        Delta::Redacted(signature) => Delta::Redacted(owned(signature)),
        Delta::Image(media) => Delta::Image(media.into_owned()),
        Delta::Logprobs(Json(raw)) => Delta::Logprobs(Json(Cow::Owned(raw.into_owned()))),
        Delta::Call { index, id, name, custom, signature } => {
            Delta::Call { index, id: text(id), name: text(name), custom, signature: signature.map(owned) }
        }
        Delta::Input { index, text: more } => Delta::Input { index, text: text(more) },
    }
}

fn owned(signature: Signature<'_>) -> Signature<'static> {
    Signature { maker: signature.maker, value: Cow::Owned(signature.value.into_owned()) }
}
