//! The machine of any stream: one that keeps its wire format, or one that changes it. One call an arm.

use bytes::Bytes;

use super::{
    anthropic, gemini, openai_chat, openai_responses,
    passing::{Ending, Seen},
    sse::TooLarge,
    translated::Translated,
};
use crate::chat::usage::Usage;

/// A stream on its way to a client.
pub enum Machine {
    /// Chat completions that pass.
    Chat(openai_chat::passing::stream::Stream),
    /// Responses that pass.
    Responses(openai_responses::passing::stream::Stream),
    /// Messages that pass.
    Messages(anthropic::passing::stream::Stream),
    /// Google's events that pass.
    Gemini(gemini::passing::stream::Stream),
    /// The same as a JSON array.
    GeminiArray(gemini::passing::array::Stream),
    /// From one format to another.
    Translated(Box<Translated>),
}

/// Asks the machine, whichever it is.
macro_rules! ask {
    ($machine:expr, $stream:ident => $what:expr) => {
        match $machine {
            Self::Chat($stream) => $what,
            Self::Responses($stream) => $what,
            Self::Messages($stream) => $what,
            Self::Gemini($stream) => $what,
            Self::GeminiArray($stream) => $what,
            Self::Translated($stream) => $what,
        }
    };
}

impl Machine {
    /// What is known of the stream so far.
    pub fn seen(&self) -> Seen {
        ask!(self, stream => stream.seen())
    }

    /// Bytes held: the beginning of an event, what a translation holds back, and what is kept for an end of our own.
    pub fn held(&self) -> usize {
        ask!(self, stream => stream.held())
    }

    /// Takes the next piece from the upstream; gives what goes to the client, perhaps nothing yet.
    ///
    /// # Errors
    /// [`TooLarge`] when an event has no end.
    pub fn push(&mut self, piece: Bytes) -> Result<Bytes, TooLarge> {
        ask!(self, stream => stream.push(piece))
    }

    /// The stream may have to be [`cut`](Self::cut): from now on what that needs is kept. To be said before the first event.
    pub fn may_be_cut(&mut self) {
        ask!(self, stream => stream.may_be_cut());
    }

    /// In place of [`push`](Self::push), for events one by one: takes the next off the front of `piece`, and all of that if
    /// none is whole. Says whether there is one, for [`pass`](Self::pass) or [`cut`](Self::cut).
    ///
    /// # Errors
    /// [`TooLarge`] when an event has no end.
    pub fn take(&mut self, piece: &mut Bytes) -> Result<bool, TooLarge> {
        ask!(self, stream => stream.take(piece))
    }

    /// The text in the event that was taken.
    pub fn said(&self, each: &mut dyn FnMut(&str)) {
        ask!(self, stream => stream.said(each));
    }

    /// The event that was taken goes to the client: what that gets, perhaps nothing yet.
    pub fn pass(&mut self) -> Bytes {
        ask!(self, stream => stream.pass())
    }

    /// The event that was taken does not go to the client, nor does any behind it: the proper end of the answer as the client
    /// has it, with the reason that it is as long as it may be.
    pub fn cut(&mut self, usage: Usage) -> Bytes {
        ask!(self, stream => stream.cut(usage))
    }

    /// The upstream ended its body properly: the last words to the client.
    pub fn finish(&mut self) -> (Bytes, Ending) {
        ask!(self, stream => stream.finish())
    }

    /// The upstream broke off or fell silent: the last words to the client.
    pub fn fail(&mut self, message: &str, status: u16) -> (Bytes, Ending) {
        ask!(self, stream => stream.fail(message, status))
    }
}
