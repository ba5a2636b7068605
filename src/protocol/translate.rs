//! The words that the protocol folders share, for calls that change their wire format on the way.
//!
//! ```text
//!   client ──body──▶ ingress::request::read ──▶ chat::Request ──▶ egress::request::write ──body──▶ provider
//!   client ◀──body── ingress::response::write ◀── chat::Response ◀── egress::response::read ◀──body── provider
//!   client ◀─events─ ingress::stream::Encoder ◀── chat events ◀── egress::stream::Decoder ◀─events── provider
//! ```
//!
//! Every folder has these six under the same names, as far as it has that side; `passing` is the third side, for calls
//! whose format stays. Nothing here knows a wire format.

use std::fmt;

use crate::chat::response::Event;

pub(in crate::protocol) mod order;

/// What a reader or writer needs to know that no body says. Everything random or timely in what is made comes from here,
/// so that the same call gives the same bytes.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The model as the client named it: what the answer calls it.
    pub model: &'a str,
    /// 24 characters `0-9a-f`, different for every call: what ids are made of (`chatcmpl-…`, `msg_…`, `call_…`).
    pub unique: &'a str,
    /// Seconds since 1970.
    pub now: u64,
    /// The client's body, for what an answer repeats of its request.
    pub body: &'a [u8],
}

/// What a request is written for.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The provider's name of the model.
    pub model: &'a str,
    /// The length of an answer where the format demands one and the client gave none, in tokens.
    pub max_tokens: u64,
    /// Whether the usage of a stream is asked for where that takes asking.
    pub stream_usage: bool,
    /// Whether chat completions tell the length of an answer as `max_completion_tokens`, as OpenAI's own do; else as
    /// `max_tokens`, which everybody else knows.
    pub max_completion_tokens: bool,
    /// Whether a provider of chat completions may be sent `reasoning_details`, which OpenAI itself refuses.
    pub reasoning_details: bool,
}

/// An event of a provider's stream, out of its framing.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The event's name, if it has one.
    pub name: Option<&'a str>,
    /// Its data.
    pub data: &'a [u8],
}

/// An answer, or an event of one, that cannot be read; says what is wrong. For operators, and callers may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable(pub String);

/// A provider's stream, read into events: a state machine.
pub trait Decoder {
    /// Takes one event of the provider's and gives what it means, perhaps nothing.
    ///
    /// # Errors
    /// [`Unreadable`]; the stream is over then.
    fn push(&mut self, frame: Frame<'_>, each: &mut dyn FnMut(Event<'_>)) -> Result<(), Unreadable>;

    /// Whether the provider's terminator came, so that the answer is told to its end without waiting for that of the body.
    /// Never, in a format that has none.
    fn is_over(&self) -> bool {
        false
    }

    /// About how many bytes are held back, or kept until the end: they count as memory.
    fn held(&self) -> usize {
        0
    }

    /// The provider ended its body: gives what was still held back, and says whether the answer is complete.
    fn finish(&mut self, each: &mut dyn FnMut(Event<'_>)) -> bool;
}

/// A client's stream, written from events: a state machine. What it writes is framed as the client expects it.
pub trait Encoder {
    /// Writes what an event means to this client, perhaps nothing yet.
    fn push(&mut self, event: Event<'_>, out: &mut Vec<u8>);

    /// About how many bytes are held back, or kept until the end: they count as memory.
    fn held(&self) -> usize {
        0
    }

    /// The answer is complete: closes what is open, and writes the terminator.
    fn finish(&mut self, out: &mut Vec<u8>);

    /// The answer broke off: an error event in the client's format, and no terminator. Nothing may follow.
    fn fail(&mut self, status: u16, message: &str, out: &mut Vec<u8>);
}

impl Unreadable {
    /// What was to be `what` ("a Messages answer") and is none: no JSON, which is told with its place, or JSON of another
    /// shape. What the parser says of shapes names our own types, and so helps nobody.
    pub(in crate::protocol) fn not(what: &str, error: &serde_json::Error) -> Self {
        Self(if error.is_data() { format!("it is no {what}") } else { format!("it is no JSON: {error}") })
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreadable {}
