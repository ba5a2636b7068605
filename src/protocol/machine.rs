//! The machine of any stream: one that keeps its wire format, or one that changes it. One call an arm.

use bytes::Bytes;

use super::{
    anthropic, gemini, openai_chat, openai_responses,
    passing::{Ending, Seen},
    sse::TooLarge,
    translated::Translated,
};

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

    /// Bytes held while the end of an event is awaited, and what a translation holds back.
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

    /// The upstream ended its body properly: the last words to the client.
    pub fn finish(&mut self) -> (Bytes, Ending) {
        ask!(self, stream => stream.finish())
    }

    /// The upstream broke off or fell silent: the last words to the client.
    pub fn fail(&mut self, message: &str, status: u16) -> (Bytes, Ending) {
        ask!(self, stream => stream.fail(message, status))
    }
}
