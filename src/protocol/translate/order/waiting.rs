//! Pieces of an answer that wait for the open call to be complete, put together by block. Bounded.

use std::{borrow::Cow, collections::VecDeque};

use crate::chat::{content::Media, json::Json, response::Delta, signature::Signature};

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
    Call(Box<Call>),
    Text(String),
    Refusal(String),
    Reasoning(String),
    Signature(Signature<'static>),
    Redacted(Signature<'static>),
    Image(Media<'static>),
    /// JSON as text.
    Logprobs(String),
}

/// A call that waits, and its input as far as it came.
#[derive(Debug)]
pub(super) struct Call {
    index: u32,
    id: String,
    name: String,
    custom: bool,
    signature: Option<Signature<'static>>,
    input: String,
}

/// More would have to wait than may.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::protocol) struct TooMuch;

/// The most that waits, in bytes.
const MOST: usize = 8 << 20;
/// The most blocks that wait: among so many a call is looked for at every piece of it.
const MOST_BLOCKS: usize = 512;

impl Waiting {
    /// About what all of it takes, in bytes.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Keeps a piece.
    ///
    /// # Errors
    /// [`TooMuch`], and the piece is not kept.
    pub(super) fn hold(&mut self, delta: Delta<'_>) -> Result<(), TooMuch> {
        let block = match delta {
            Delta::Input { index, text } => return self.input(index, &text),
            Delta::Call { index, id, name, custom, signature } => Block::Call(Box::new(Call {
                index,
                id: id.into_owned(),
                name: name.into_owned(),
                custom,
                signature: signature.map(owned),
                input: String::new(),
            })),
            Delta::Logprobs(json) => Block::Logprobs(json.text().to_owned()),
            Delta::Text(text) => Block::Text(text.into_owned()),
            Delta::Refusal(text) => Block::Refusal(text.into_owned()),
            Delta::Reasoning(text) => Block::Reasoning(text.into_owned()),
            Delta::Signature(signature) => Block::Signature(owned(signature)),
            Delta::Redacted(signature) => Block::Redacted(owned(signature)),
            Delta::Image(media) => Block::Image(media.into_owned()),
        };
        self.take(block.size())?;
        let full = self.blocks.len() == MOST_BLOCKS;
        match (self.blocks.back_mut(), block) {
            (Some(Block::Text(text)), Block::Text(more))
            | (Some(Block::Refusal(text)), Block::Refusal(more))
            | (Some(Block::Reasoning(text)), Block::Reasoning(more)) => text.push_str(&more),
            (_, _) if full => return Err(TooMuch),
            (_, block) => self.blocks.push_back(block),
        }
        Ok(())
    }

    /// Input of a call that waits; of one that is over there is nothing to say.
    fn input(&mut self, call: u32, text: &str) -> Result<(), TooMuch> {
        let found = self.blocks.iter_mut().rev().find_map(|block| match block {
            Block::Call(waiting) if waiting.index == call => Some(&mut waiting.input),
            _ => None,
        });
        let Some(input) = found else { return Ok(()) };
        input.push_str(text);
        self.take(text.len())
    }

    fn take(&mut self, bytes: usize) -> Result<(), TooMuch> {
        self.held = self.held.saturating_add(bytes);
        if self.held > MOST { Err(TooMuch) } else { Ok(()) }
    }

    /// The first block that waits.
    pub(super) fn next(&mut self) -> Option<Block> {
        let block = self.blocks.pop_front()?;
        self.held = self.held.saturating_sub(block.size());
        Some(block)
    }
}

impl Block {
    /// About the bytes it takes.
    fn size(&self) -> usize {
        match self {
            Self::Call(call) => {
                let signature = call.signature.as_ref().map_or(0, |signature| signature.value.len());
                call.id.len() + call.name.len() + call.input.len() + signature
            }
            Self::Text(text) | Self::Refusal(text) | Self::Reasoning(text) | Self::Logprobs(text) => {
                text.len()
            }
            Self::Signature(signature) | Self::Redacted(signature) => signature.value.len(),
            Self::Image(media) => media.size(),
        }
    }

    /// Gives it as the pieces that it was put together from.
    pub(super) fn give(self, each: &mut dyn FnMut(Delta<'_>)) {
        match self {
            Self::Call(call) => {
                let Call { index, id, name, custom, signature, input } = *call;
                each(Delta::Call { index, id: id.into(), name: name.into(), custom, signature });
                if !input.is_empty() {
                    each(Delta::Input { index, text: input.into() });
                }
            }
            Self::Text(text) => each(Delta::Text(text.into())),
            Self::Refusal(text) => each(Delta::Refusal(text.into())),
            Self::Reasoning(text) => each(Delta::Reasoning(text.into())),
            Self::Signature(signature) => each(Delta::Signature(signature)),
            Self::Redacted(signature) => each(Delta::Redacted(signature)),
            Self::Image(media) => each(Delta::Image(media)),
            // It was JSON when it came.
            Self::Logprobs(text) => {
                Json::parse(text).into_iter().for_each(|json| each(Delta::Logprobs(json)))
            }
        }
    }
}

fn owned(signature: Signature<'_>) -> Signature<'static> {
    Signature { maker: signature.maker, value: Cow::Owned(signature.value.into_owned()) }
}
