//! AWS's binary event stream, `application/vnd.amazon.eventstream`: cutting it into messages, whatever pieces it arrives
//! in.
//!
//! A message is `total length, headers length, CRC of these` (the prelude, each a big-endian `u32`), headers, payload, CRC
//! of all before it. Format: <https://smithy.io/2.0/aws/amazon-eventstream.html>. Lengths are bytes. Nothing here knows
//! what a message means.

use std::borrow::Cow;

use bytes::{Buf, Bytes};

use super::translate::{Frame, Unreadable};

/// The largest message that is held while its end is awaited, in bytes: as large as an event of the other kind of stream
/// may be, which is also the most that AWS's own format allowed at first. The largest that was recorded has 2 KB.
pub const MAX_MESSAGE: usize = super::sse::MAX_EVENT;

/// The two lengths and their checksum.
const PRELUDE: usize = 12;
/// The checksum at the end.
const CHECKSUM: usize = 4;

/// Cuts a byte stream into messages.
#[derive(Debug, Default)]
pub struct Splitter {
    /// The beginning of a message whose end has not come. Invariant: never a whole message.
    partial: Vec<u8>,
}

/// A message whose checksums are right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// What it is.
    pub kind: Kind,
    /// What it is called: `:event-type`, `:exception-type` or `:error-code`. Empty when it says none. What is no event is
    /// known by its name: one that does not end in `Exception`, `Error` or `Failure` gets the first of these.
    pub name: Cow<'a, str>,
    /// The payload; of an error that the service has no model for, the text that comes in a header.
    pub data: &'a [u8],
}

/// What a message is: `:message-type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A step of the answer.
    #[default]
    Event,
    /// An error that the service has a model for.
    Exception,
    /// Any other error.
    Error,
}

/// The headers that are read; the others are only checked.
#[derive(Default)]
struct Headers<'a> {
    kind: Kind,
    event: Option<&'a str>,
    exception: Option<&'a str>,
    code: Option<&'a str>,
    message: Option<&'a str>,
}

impl<'a> Message<'a> {
    /// Reads a whole message, whose lengths were checked.
    ///
    /// # Errors
    /// [`Unreadable`] when a checksum is wrong, or there is no sense in the headers.
    pub fn read(whole: &'a [u8]) -> Result<Self, Unreadable> {
        let (body, checksum) = whole.split_at(whole.len() - CHECKSUM);
        if number(checksum) != crc32fast::hash(body) {
            return Err(broken("the checksum of a message is wrong"));
        }
        let (headers, payload) = body[PRELUDE..].split_at(size(&body[4..]));
        let headers =
            Headers::read(headers).ok_or_else(|| broken("the headers of a message are no headers"))?;
        let (name, data) = match headers.kind {
            Kind::Event => (headers.event, payload),
            Kind::Exception => (headers.exception, payload),
            Kind::Error => (headers.code, headers.message.map_or(payload, str::as_bytes)),
        };
        let name = Cow::Borrowed(name.unwrap_or_default());
        let name = if headers.kind == Kind::Event { name } else { error_name(name) };
        Ok(Self { kind: headers.kind, name, data })
    }

    /// As a decoder takes it. Errors are told by their names; see [`Message::name`].
    pub fn frame(&self) -> Frame<'_> {
        Frame { name: Some(&self.name), data: self.data }
    }
}

impl Splitter {
    /// Takes the next piece and calls `each` for every message that is now whole.
    ///
    /// # Errors
    /// [`Unreadable`] when this is no event stream, a checksum is wrong, or a message is larger than [`MAX_MESSAGE`]; the
    /// splitter is of no use afterwards.
    pub fn push(&mut self, mut piece: &[u8], mut each: impl FnMut(Message<'_>)) -> Result<(), Unreadable> {
        // What was begun is completed first, and takes no more than it needs.
        while !self.partial.is_empty() {
            if self.complete(&mut piece)? {
                each(Message::read(&self.partial)?);
                self.partial.clear();
            } else if piece.is_empty() {
                return Ok(());
            }
        }
        while let Some((whole, rest)) = length(piece)?.and_then(|length| piece.split_at_checked(length)) {
            each(Message::read(whole)?);
            piece = rest;
        }
        self.partial.extend_from_slice(piece);
        Ok(())
    }

    /// The next message that is whole, for [`Message::read`]. Takes of `piece` what it needs, and all of it when there is
    /// none.
    ///
    /// # Errors
    /// See [`push`](Self::push); but the checksum of the message is not looked at.
    pub fn next(&mut self, piece: &mut Bytes) -> Result<Option<Bytes>, Unreadable> {
        while !self.partial.is_empty() || length(piece)?.is_none_or(|length| length > piece.len()) {
            let mut rest = &piece[..];
            let is_whole = self.complete(&mut rest)?;
            piece.advance(piece.len() - rest.len());
            if is_whole {
                return Ok(Some(std::mem::take(&mut self.partial).into()));
            }
            if piece.is_empty() {
                return Ok(None);
            }
        }
        Ok(length(piece)?.map(|length| piece.split_to(length)))
    }

    /// Goes on with the message that was begun, at first to the end of its prelude; says whether it is whole.
    fn complete(&mut self, piece: &mut &[u8]) -> Result<bool, Unreadable> {
        let missing = length(&self.partial)?.unwrap_or(PRELUDE).saturating_sub(self.partial.len());
        let (taken, rest) = piece.split_at(missing.min(piece.len()));
        self.partial.extend_from_slice(taken);
        *piece = rest;
        Ok(length(&self.partial)?.is_some_and(|length| length <= self.partial.len()))
    }

    /// Bytes held at the moment.
    pub fn held(&self) -> usize {
        self.partial.capacity()
    }
}

/// How long the message that begins here is; `None` until the prelude is there.
fn length(bytes: &[u8]) -> Result<Option<usize>, Unreadable> {
    let Some(prelude) = bytes.get(..PRELUDE) else { return Ok(None) };
    if number(&prelude[8..]) != crc32fast::hash(&prelude[..8]) {
        return Err(broken("the checksum of a prelude is wrong"));
    }
    let (total, headers) = (size(prelude), size(&prelude[4..]));
    if total > MAX_MESSAGE {
        return Err(broken("a message is too large"));
    }
    if total.checked_sub(PRELUDE + CHECKSUM).is_none_or(|rest| rest < headers) {
        return Err(broken("the lengths of a message contradict each other"));
    }
    Ok(Some(total))
}

/// A name by which an error is known as one.
fn error_name(name: Cow<'_, str>) -> Cow<'_, str> {
    let is_known = ["Exception", "Error", "Failure"].iter().any(|end| name.ends_with(end));
    if is_known { name } else { Cow::Owned(format!("{name}Exception")) }
}

impl<'a> Headers<'a> {
    fn read(mut bytes: &'a [u8]) -> Option<Self> {
        let mut headers = Self::default();
        while !bytes.is_empty() {
            let length = usize::from(take(&mut bytes, 1)?[0]);
            let name = take(&mut bytes, length)?;
            let value = value(&mut bytes)?;
            match name {
                b":message-type" => {
                    headers.kind = match value? {
                        "event" => Kind::Event,
                        "exception" => Kind::Exception,
                        _ => Kind::Error,
                    }
                }
                b":event-type" => headers.event = value,
                b":exception-type" => headers.exception = value,
                b":error-code" => headers.code = value,
                b":error-message" => headers.message = value,
                _ => {}
            }
        }
        Some(headers)
    }
}

/// The value of a header, if it is text; `None` when it is no value at all.
fn value<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a str>> {
    let kind = take(bytes, 1)?[0];
    let length = match kind {
        // true, false
        0 | 1 => 0,
        // a byte, a short, an integer, a long, bytes, a string, a time, a UUID
        2 => 1,
        3 => 2,
        4 => 4,
        5 | 8 => 8,
        6 | 7 => {
            let length = take(bytes, 2)?;
            usize::from(u16::from_be_bytes([length[0], length[1]]))
        }
        9 => 16,
        _ => return None,
    };
    let value = take(bytes, length)?;
    Some(if kind == 7 { Some(std::str::from_utf8(value).ok()?) } else { None })
}

/// Takes bytes off the front.
fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

/// The big-endian number that the bytes begin with; there are four at least.
fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// A length; one that does not fit is larger than all that are taken.
fn size(bytes: &[u8]) -> usize {
    usize::try_from(number(bytes)).unwrap_or(usize::MAX)
}

fn broken(why: &str) -> Unreadable {
    Unreadable(format!("the event stream is broken: {why}"))
}

#[cfg(test)]
pub(super) mod tests;
