//! A stream that is one JSON array, as Google sends it without `alt=sse`: `[{…}` `,\r\n{…}` `]`, each element a whole answer.
//!
//! Elements pass byte for byte but for the model's name, what stands between two of them with the later one; so where the
//! upstream breaks off, an `{"error":…}` element and a bracket make it an array all the same. Sizes are bytes.

use bytes::{BufMut, Bytes, BytesMut};

use super::stream::Chunks;
use crate::{
    chat::{fault::FaultKind, usage::Usage},
    protocol::{
        gemini::error,
        passing::{Dialect, Ending, Needles, Seen, raw, scrubbed},
        said, span_in,
        sse::{MAX_EVENT, TooLarge},
        translate::Frame,
    },
};

/// The machine of one stream.
#[derive(Debug)]
pub struct Stream {
    dialect: Chunks,
    /// The public model name as a JSON string.
    model: Bytes,
    /// What its own errors must not tell.
    secrets: Option<Needles>,
    seen: Seen,
    splitter: Splitter,
    /// Whether an element was passed on.
    begun: bool,
    /// What passes next, where elements are taken one by one.
    next: Option<Piece>,
}

/// Cuts an array into its elements, whatever pieces it arrives in.
#[derive(Debug, Default)]
pub struct Splitter {
    /// Bytes from behind the last element on. Invariant: `scanned <= partial.len()`.
    partial: BytesMut,
    scanned: usize,
    /// Whether the array has begun. An object that comes in its place, as errors do, is an element all the same.
    open: bool,
    /// Objects and arrays that are open within the array, and where the outermost of them begins.
    depth: u32,
    start: usize,
    in_string: bool,
    escaped: bool,
}

/// What the splitter found.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// An element, with what stands before it.
    Element {
        /// The bytes up to the element, which are no part of it.
        before: Bytes,
        /// The element.
        element: Bytes,
    },
    /// The closing bracket, with what stands before it.
    End(Bytes),
}

impl Splitter {
    /// Takes the next bytes and calls `each` for everything that is now whole.
    ///
    /// # Errors
    /// [`TooLarge`] when an element outgrew the limit; the splitter is of no use afterwards.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(Piece)) -> Result<(), TooLarge> {
        self.partial.extend_from_slice(bytes);
        while let Some(piece) = self.next()? {
            each(piece);
        }
        Ok(())
    }

    /// What is whole next of the bytes that came.
    fn next(&mut self) -> Result<Option<Piece>, TooLarge> {
        while let Some(&byte) = self.partial.get(self.scanned) {
            self.scanned += 1;
            if self.in_string {
                self.string(byte);
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'[' if !self.open && self.depth == 0 => self.open = true,
                b'{' | b'[' => {
                    if self.depth == 0 {
                        self.start = self.scanned - 1;
                    }
                    self.depth = self.depth.saturating_add(1);
                }
                b'}' | b']' if self.depth <= 1 => return Ok(Some(self.piece())),
                b'}' | b']' => self.depth -= 1,
                _ => {}
            }
        }
        if self.partial.len() > MAX_EVENT { Err(TooLarge) } else { Ok(None) }
    }

    /// A byte within a string, and all that follow it up to one that matters.
    fn string(&mut self, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' => self.escaped = true,
            b'"' => self.in_string = false,
            _ => {
                let rest = &self.partial[self.scanned..];
                self.scanned += memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
            }
        }
    }

    /// What ends with the byte that was read last.
    fn piece(&mut self) -> Piece {
        let mut bytes = self.partial.split_to(std::mem::take(&mut self.scanned)).freeze();
        if std::mem::take(&mut self.depth) == 0 {
            return Piece::End(bytes);
        }
        let before = bytes.split_to(std::mem::take(&mut self.start));
        Piece::Element { before, element: bytes }
    }

    /// Bytes behind the last whole element, when the stream is over.
    pub fn rest(&mut self) -> Bytes {
        std::mem::take(self).partial.freeze()
    }

    /// Bytes held at the moment.
    pub fn held(&self) -> usize {
        self.partial.capacity()
    }
}

impl Stream {
    /// A stream whose model becomes this JSON string. `secrets` are taken out of error elements, and of what stands between elements.
    pub fn new(model: Bytes, secrets: Option<Needles>) -> Self {
        Self {
            dialect: Chunks::default(),
            model,
            secrets,
            seen: Seen::default(),
            splitter: Splitter::default(),
            begun: false,
            next: None,
        }
    }

    /// What is known so far.
    pub fn seen(&self) -> Seen {
        self.seen
    }

    /// Bytes held while the end of an element is awaited.
    pub fn held(&self) -> usize {
        self.splitter.held()
    }

    /// Takes the next piece from the upstream; gives what goes to the client, perhaps nothing yet.
    ///
    /// # Errors
    /// [`TooLarge`] when an element has no end.
    pub fn push(&mut self, piece: Bytes) -> Result<Bytes, TooLarge> {
        let mut out = BytesMut::with_capacity(piece.len() + piece.len() / 8 + 64);
        let mut splitter = std::mem::take(&mut self.splitter);
        let pushed = splitter.push(&piece, |piece| self.piece(&piece, &mut out));
        self.splitter = splitter;
        pushed.map(|()| out.freeze())
    }

    /// See [`Dialect::may_be_cut`].
    pub fn may_be_cut(&mut self) {
        self.dialect.may_be_cut();
    }

    /// Takes the next element out of the bytes that came and those in `piece`, which it empties. Says whether there is one,
    /// or the end.
    ///
    /// # Errors
    /// See [`push`](Self::push).
    pub fn take(&mut self, piece: &mut Bytes) -> Result<bool, TooLarge> {
        self.splitter.partial.extend_from_slice(&std::mem::take(piece));
        self.next = self.splitter.next()?;
        Ok(self.next.is_some())
    }

    /// The text in the element that was taken.
    pub fn said(&self, each: &mut dyn FnMut(&str)) {
        if let Some(Piece::Element { element, .. }) = &self.next {
            said::each(element, each);
        }
    }

    /// What the client gets of what was taken.
    pub fn pass(&mut self) -> Bytes {
        let mut out = BytesMut::new();
        if let Some(piece) = self.next.take() {
            self.piece(&piece, &mut out);
        }
        out.freeze()
    }

    /// What was taken does not pass, nor does anything behind it: a last element of our own, and the bracket.
    pub fn cut(&mut self, usage: Usage) -> Bytes {
        self.next = None;
        let mut out = Vec::new();
        if !self.seen.finished && !self.seen.error && !self.seen.done {
            out.extend_from_slice(if self.begun { b",\r\n" } else { b"[" });
            self.dialect.last(raw(&self.model), usage, &mut out);
            self.seen.finished = true;
        }
        let (end, _) = self.end("", 502);
        out.extend_from_slice(&end);
        out.into()
    }

    /// The upstream ended its body properly. The line end behind the bracket is its own, too.
    pub fn finish(&mut self) -> (Bytes, Ending) {
        let rest = self.splitter.rest();
        let is_closed = self.seen.done && rest.iter().all(u8::is_ascii_whitespace);
        let (end, ending) = self.end("the provider ended the stream before the answer was complete", 502);
        (if is_closed { rest } else { end }, ending)
    }

    /// The upstream broke off or fell silent: the last words to the client.
    pub fn fail(&mut self, message: &str, status: u16) -> (Bytes, Ending) {
        self.end(message, status)
    }

    fn end(&mut self, message: &str, status: u16) -> (Bytes, Ending) {
        let ending = if self.seen.finished && !self.seen.error { Ending::Complete } else { Ending::Broken };
        let mut out = BytesMut::new();
        if !self.seen.done {
            self.seen.done = true;
            if ending == Ending::Broken && !self.seen.error {
                let error = error::body(FaultKind::of_status(status), status, message, None, None);
                out.put_slice(if self.begun { b",\r\n" } else { b"[" });
                out.put(error);
            }
            out.put_slice(b"]");
        }
        (out.freeze(), ending)
    }

    /// The bracket closes an answer that is complete, or one with an error; of any other it is withheld, since an error follows.
    fn piece(&mut self, piece: &Piece, out: &mut BytesMut) {
        match piece {
            _ if self.seen.done => {}
            Piece::Element { before, element } => {
                if !self.begun && !before.contains(&b'[') {
                    out.put_slice(b"[");
                }
                self.between(before, out);
                self.element(element, out);
                self.begun = true;
            }
            Piece::End(bytes) if self.begun && (self.seen.finished || self.seen.error) => {
                self.seen.done = true;
                self.between(bytes, out);
            }
            Piece::End(_) => {}
        }
    }

    fn element(&mut self, element: &[u8], out: &mut BytesMut) {
        let reading = self.dialect.read(Frame { name: None, data: element }, &mut self.seen);
        self.dialect.note(Frame { name: None, data: element });
        let clean = (!reading.answer).then(|| scrubbed(self.secrets.as_ref(), element)).flatten();
        let model = reading.models.first().filter(|model| model.starts_with('"'));
        match (clean, model.and_then(|model| span_in(element, model))) {
            (Some(clean), _) => out.put_slice(clean.as_bytes()),
            (None, Some(span)) => {
                out.put_slice(&element[..span.start]);
                out.put_slice(&self.model);
                out.put_slice(&element[span.end..]);
            }
            (None, None) => out.put_slice(element),
        }
    }

    /// What stands between elements: white space, unless the provider has forgotten its format.
    fn between(&self, bytes: &[u8], out: &mut BytesMut) {
        let clean = scrubbed(self.secrets.as_ref(), bytes);
        out.put_slice(clean.as_deref().map_or(bytes, str::as_bytes));
    }
}

#[cfg(test)]
mod tests;
