//! Server-sent events as bytes: cutting a stream into events, whatever pieces it arrives in.
//!
//! An event is handed out with every byte it came with, the blank line included, so that forwarding it changes nothing.
//! Grammar: <https://html.spec.whatwg.org/multipage/server-sent-events.html>. Nothing here knows what an event means.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

/// The largest event that is held while its end is awaited, in bytes. The largest recorded one has 48 KB; images as base64 are larger.
pub const MAX_EVENT: usize = 16 << 20;

/// Cuts a byte stream into events.
#[derive(Debug, Default)]
pub struct Splitter {
    /// Bytes of an event whose end has not come. Invariant: `scanned <= partial.len()`, and no event ends before `scanned`.
    partial: BytesMut,
    scanned: usize,
}

/// An event grew beyond [`MAX_EVENT`].
#[derive(Debug, PartialEq, Eq)]
pub struct TooLarge;

impl Splitter {
    /// Takes the next piece and calls `each` for every event that is now whole.
    ///
    /// # Errors
    /// [`TooLarge`] when the unfinished event outgrew the limit; the splitter is of no use afterwards.
    pub fn push(&mut self, mut piece: Bytes, mut each: impl FnMut(Bytes)) -> Result<(), TooLarge> {
        while let Some(event) = self.next(&mut piece)? {
            each(event);
        }
        Ok(())
    }

    /// The next event that is whole. Takes of `piece` what it needs, and all of it when there is none.
    ///
    /// # Errors
    /// See [`push`](Self::push).
    pub fn next(&mut self, piece: &mut Bytes) -> Result<Option<Bytes>, TooLarge> {
        let event = if self.partial.is_empty() {
            event_end(piece, 0).map(|end| piece.split_to(end))
        } else {
            self.partial.extend_from_slice(&std::mem::take(piece));
            event_end(&self.partial, self.scanned).map(|end| self.partial.split_to(end).freeze())
        };
        if event.is_some() {
            self.scanned = 0;
            return Ok(event);
        }
        self.partial.extend_from_slice(&std::mem::take(piece));
        // A line end at the very end may be the first half of the blank line.
        self.scanned = self.partial.len().saturating_sub(3);
        if self.partial.len() > MAX_EVENT { Err(TooLarge) } else { Ok(None) }
    }

    /// Bytes of an event without its end, when the stream is over.
    pub fn rest(&mut self) -> Bytes {
        self.scanned = 0;
        self.partial.split().freeze()
    }

    /// Bytes held at the moment.
    pub fn held(&self) -> usize {
        self.partial.capacity()
    }
}

/// Where the first event ends: just after the first blank line at or after `from`. Line ends are LF, CR LF or CR.
///
/// A CR as the last byte ends nothing yet, since an LF may follow.
fn event_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let line_end = at + memchr::memchr2(b'\n', b'\r', bytes.get(at..)?)?;
        let next = after_line_end(bytes, line_end)?;
        match bytes.get(next)? {
            b'\n' => return Some(next + 1),
            b'\r' => return after_line_end(bytes, next),
            _ => at = next,
        }
    }
}

/// The index after the line end at `at`; `None` while it is not decided.
fn after_line_end(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes[at] == b'\n' {
        return Some(at + 1);
    }
    bytes.get(at + 1).map(|next| if *next == b'\n' { at + 2 } else { at + 1 })
}

/// What an event says.
#[derive(Debug, PartialEq, Eq)]
pub struct Fields<'a> {
    /// Its name, if it has one that is text.
    pub name: Option<&'a str>,
    /// Its `data` lines, joined by line feeds. `None` for comments and events without data.
    pub data: Option<Cow<'a, [u8]>>,
}

/// Reads the lines of an event. Of several names the last counts.
pub fn fields(event: &[u8]) -> Fields<'_> {
    let mut fields = Fields { name: None, data: None };
    // A stream may begin with a byte order mark.
    let mut rest = event.strip_prefix(b"\xef\xbb\xbf").unwrap_or(event);
    while !rest.is_empty() {
        let end = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        if let Some(value) = value(line, b"data") {
            fields.data = Some(match fields.data {
                None => Cow::Borrowed(value),
                Some(lines) => Cow::Owned([&lines, b"\n".as_slice(), value].concat()),
            });
        } else if let Some(value) = value(line, b"event") {
            fields.name = std::str::from_utf8(value).ok();
        }
    }
    fields
}

/// The payload of an event; see [`Fields::data`].
pub fn data(event: &[u8]) -> Option<Cow<'_, [u8]>> {
    fields(event).data
}

/// The value of a line, if it is one of this field.
fn value<'a>(line: &'a [u8], field: &[u8]) -> Option<&'a [u8]> {
    let value = line.strip_prefix(field)?;
    match value.strip_prefix(b":") {
        Some(value) => Some(value.strip_prefix(b" ").unwrap_or(value)),
        None => value.is_empty().then_some(value),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, Vec<u8>) {
        let mut splitter = Splitter::default();
        let mut events = Vec::new();
        for piece in pieces {
            splitter.push(Bytes::copy_from_slice(piece), |event| events.push(event.to_vec())).expect("small");
        }
        (events, splitter.rest().to_vec())
    }

    #[test]
    fn every_kind_of_line_end_ends_an_event() {
        let (events, rest) = split(&[b"data: a\n\ndata: b\r\n\r\ndata: c\r\rdata: d"]);
        assert_eq!(events, [&b"data: a\n\n"[..], b"data: b\r\n\r\n", b"data: c\r\r"]);
        assert_eq!(rest, b"data: d");
    }

    #[test]
    fn data_lines_are_joined_and_comments_are_none() {
        assert_eq!(data(b"data: {\"a\":1}\n\n").as_deref(), Some(&b"{\"a\":1}"[..]));
        assert_eq!(data(b"event: x\ndata:1\ndata: 2\n\n").as_deref(), Some(&b"1\n2"[..]));
        assert_eq!(data(b"\xef\xbb\xbfdata: 1\n\n").as_deref(), Some(&b"1"[..]));
        assert_eq!(data(b": PROCESSING\n\n"), None);
        assert_eq!(data(b"database: 1\n\n"), None);
        assert_eq!(data(b"data\n\n").as_deref(), Some(&b""[..]));
    }

    #[test]
    fn the_name_may_stand_before_or_behind_the_data() {
        for event in [&b"event: x\ndata: 1\n\n"[..], b"data: 1\r\nevent:x\r\n\r\n"] {
            let fields = fields(event);
            assert_eq!((fields.name, fields.data.as_deref()), (Some("x"), Some(&b"1"[..])));
        }
        assert_eq!(fields(b"data: 1\n\n").name, None);
        assert_eq!(fields(b"event: \xff\n\n").name, None);
        assert_eq!(fields(b"events: x\n\n").name, None);
    }

    #[test]
    fn an_event_without_end_is_not_held_for_ever() {
        let mut splitter = Splitter::default();
        let piece = Bytes::from(vec![b'a'; MAX_EVENT / 2 + 1]);
        assert_eq!(splitter.push(piece.clone(), |_| ()), Ok(()));
        assert_eq!(splitter.push(piece, |_| ()), Err(TooLarge));
    }

    proptest! {
        #[test]
        fn any_cut_of_the_bytes_gives_the_same_events(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'd'), any::<u8>()], 0..80),
            cuts in proptest::collection::vec(0usize..80, 0..6),
        ) {
            let whole = split(&[&bytes]);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts { pieces.push(&bytes[from..cut]); from = cut; }
            pieces.push(&bytes[from..]);
            prop_assert_eq!(&whole, &split(&pieces));
            let joined: Vec<u8> = whole.0.concat().into_iter().chain(whole.1).collect();
            prop_assert_eq!(joined, bytes);
        }
    }
}
