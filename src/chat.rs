//! The neutral vocabulary between the wire formats and everything that is not a wire format.
//!
//! Two things are said here. What a request holds that is counted: [`Prompt`], over spans of a body that passes as it is.
//! And what a request, an answer and a stream mean, for calls that change their wire format on the way: [`request`],
//! [`response`], [`content`]. It knows no protocol, no tokeniser and no HTTP. Spans are bytes of the request's body.

pub mod content;
pub mod fault;
pub mod json;
pub mod loss;
pub mod request;
pub mod response;
pub mod signature;
pub mod usage;

use std::{borrow::Cow, ops::Range};

/// A range of bytes of a body. Half the size of a `Range<usize>`: a body of `{},{},…` has ten million of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// Behind the last byte.
    pub end: u32,
}

/// What a [`Part`] of a request is, which decides how its JSON is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// The input of an embedding.
    Input,
    /// One message of a conversation.
    Message,
    /// The format that the answer must have.
    Schema,
    /// The list of tool or function definitions.
    Tools,
}

/// One countable element of a request: a JSON value of the body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Part {
    /// How it is read.
    pub kind: Kind,
    /// Where it stands.
    pub span: Span,
}

/// What a part is made of, as far as counting is concerned.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece<'a> {
    /// Base64 data that is no image.
    Data,
    /// An image, inline or by address.
    Image,
    /// The head of a message: its role.
    Role(Cow<'a, str>),
    /// Text of the conversation.
    Text(Cow<'a, str>),
    /// Tokens that were sent as such.
    Tokens(u64),
    /// A tool definition, tool call, or schema, as compact JSON.
    Tool(Cow<'a, str>),
}

/// A parsed request whose input can be counted.
pub trait Prompt {
    /// Tells the readings of different protocols apart where counts are remembered: the same JSON may mean different
    /// things in two of them.
    const DIALECT: u8;

    /// Tokens that do not depend on any part: the frame of a conversation.
    fn fixed_tokens(&self) -> u64;

    /// The parts in order, by number from 0; `None` behind the last.
    fn part(&self, index: usize) -> Option<Part>;

    /// Gives the pieces of a part to `each`, `raw` being its JSON. Whatever `raw` is, nothing of it is free that a model
    /// would read: what is not understood is given as the text of its JSON.
    fn pieces<'a>(kind: Kind, raw: &'a str, each: &mut dyn FnMut(Piece<'a>));
}

impl Span {
    /// The span of `part`, which must be a slice of `whole`; `None` for another slice, or beyond 4 GiB.
    pub fn of(whole: &str, part: &str) -> Option<Self> {
        let start = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
        let end = start.checked_add(part.len()).filter(|&end| end <= whole.len())?;
        Some(Self { start: u32::try_from(start).ok()?, end: u32::try_from(end).ok()? })
    }

    /// As a range, to slice with.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Number of bytes.
    pub fn len(self) -> usize {
        self.range().len()
    }

    /// Whether it is no byte long.
    pub fn is_empty(self) -> bool {
        self.range().is_empty()
    }
}
