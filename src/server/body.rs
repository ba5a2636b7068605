//! Bodies: reading one from a client within its limits, and the kinds of body an answer can have.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use actors::{
    gate::{Gate, Place},
    provider::Rope,
};
use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap,
    header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT},
};
use hyper::body::{Body as _, Frame, Incoming, SizeHint};

use super::{
    call::Call,
    relay::Relay,
    silence::{Silence, Silent},
    stall::Stall,
};
use crate::error::{Caller, Error, Ours};

/// What an answer holds, before its call is put behind it.
pub(super) enum Content {
    /// Slices that are there already, none of them empty, and the memory they take.
    Whole(Rope, Option<Place>),
    /// A stream that goes on.
    Stream(Box<Relay>),
}

/// An answer's body, with the call that it belongs to: the call ends when the last byte is taken or the client is gone.
pub(super) struct Body {
    kind: Kind,
    call: Box<Call>,
    stall: Stall,
}

enum Kind {
    Whole(Box<Slices>),
    Stream(Box<Relay>),
}

/// Slices on their way out, a frame at a time.
struct Slices {
    rest: smallvec::IntoIter<[Bytes; 5]>,
    front: Bytes,
    left: u64,
    _memory: Option<Place>,
}

/// The most that is handed to `hyper` at once. What it has been handed it holds for as long as the client takes, and
/// that has to be counted here: as memory, as a call in flight, as a client that takes nothing.
const FRAME: usize = 64 * 1024;

/// As much of a request as is thrown away to keep its connection, in bytes.
const LEFT_OVER: usize = 4 << 20;
/// How long is waited for each piece of it.
const LEFT_OVER_WITHIN: Duration = Duration::from_millis(500);

impl Content {
    /// One slice, perhaps empty.
    pub(super) fn one(bytes: Bytes) -> Self {
        Self::Whole(Some(bytes).into_iter().filter(|slice| !slice.is_empty()).collect(), None)
    }

    /// Bytes that are there already.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Whole(rope, _) => rope.iter().map(Bytes::len).sum(),
            Self::Stream(_) => 0,
        }
    }

    /// Puts the call behind its answer.
    pub(super) fn held_by(self, mut call: Box<Call>) -> Body {
        let kind = match self {
            Self::Whole(rope, memory) => {
                let slices = Slices::new(rope, memory);
                // A body of nothing is never asked for.
                call.ended = slices.left == 0;
                Kind::Whole(Box::new(slices))
            }
            Self::Stream(relay) => Kind::Stream(relay),
        };
        Body { kind, call, stall: Stall::of_task() }
    }
}

impl Slices {
    fn new(rope: Rope, memory: Option<Place>) -> Self {
        let left = rope.iter().map(|slice| slice.len() as u64).sum();
        Self { rest: rope.into_iter(), front: Bytes::new(), left, _memory: memory }
    }

    fn next_frame(&mut self) -> Option<Bytes> {
        if self.front.is_empty() {
            self.front = self.rest.next()?;
        }
        let frame = self.front.split_to(self.front.len().min(FRAME));
        self.left = self.left.saturating_sub(frame.len() as u64);
        Some(frame)
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Self { kind, call, stall } = &mut *self;
        stall.asked();
        let piece = match kind {
            Kind::Whole(slices) => {
                let frame = slices.next_frame();
                call.ended |= slices.left == 0;
                frame
            }
            Kind::Stream(relay) => ready!(relay.poll_piece(cx, call)),
        };
        if piece.is_some() {
            stall.handed();
        }
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.kind, Kind::Whole(slices) if slices.left == 0)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole(slices) => SizeHint::with_exact(slices.left),
            Kind::Stream(_) => SizeHint::default(),
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Kind::Stream(relay) = &self.kind {
            relay.abandoned(&mut self.call);
        }
    }
}

/// Whether the body is said to be JSON; parameters such as a charset do not matter.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// A request body and the memory it takes.
pub(super) struct Held {
    pub(super) bytes: Bytes,
    pub(super) memory: Place,
}

/// A body as it comes in, within the memory budget. A single piece is shared, several are copied together.
pub(super) struct Gathered {
    memory: Place,
    first: Option<Bytes>,
    rest: BytesMut,
}

impl Gathered {
    /// Nothing yet.
    pub(super) fn new(memory: &Arc<Gate>) -> Result<Self, Ours> {
        let memory = memory.enter(0).ok_or(Ours::Memory)?;
        Ok(Self { memory, first: None, rest: BytesMut::new() })
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> usize {
        self.memory.size()
    }

    /// Adds a piece.
    ///
    /// # Errors
    /// When the memory budget has no room for it.
    pub(super) fn push(&mut self, piece: Bytes) -> Result<(), Ours> {
        if !self.memory.grow(piece.len()) {
            return Err(Ours::Memory);
        }
        if self.first.is_none() && self.rest.is_empty() {
            self.first = Some(piece);
        } else {
            self.rest.extend_from_slice(&self.first.take().unwrap_or_default());
            self.rest.extend_from_slice(&piece);
        }
        Ok(())
    }

    /// The whole body.
    pub(super) fn finish(self) -> Held {
        Held { bytes: self.first.unwrap_or_else(|| self.rest.freeze()), memory: self.memory }
    }
}

/// Reads a whole request body: at most `limit` bytes, each piece within `patience`, within the memory budget.
///
/// # Errors
/// 413, 408 and 503 accordingly; a client that breaks off gets a 400 nobody reads.
pub(super) async fn read(
    headers: &HeaderMap,
    body: &mut Incoming,
    limit: usize,
    patience: Duration,
    memory: &Arc<Gate>,
) -> Result<Held, Error> {
    let declared =
        headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
    if declared.is_some_and(|length| length > limit as u64) {
        return Err(Caller::TooLarge(limit).into());
    }
    let mut gathered = Gathered::new(memory)?;
    let mut silence = Silence::new(patience);
    while let Some(piece) = next_piece(body, &mut silence).await? {
        if gathered.len() + piece.len() > limit {
            return Err(Caller::TooLarge(limit).into());
        }
        gathered.push(piece)?;
    }
    Ok(gathered.finish())
}

async fn next_piece(body: &mut Incoming, silence: &mut Silence) -> Result<Option<Bytes>, Error> {
    let frame = silence.next(|cx| Pin::new(&mut *body).poll_frame(cx)).await;
    match frame.map_err(|Silent| Caller::BodyTimeout)? {
        None => Ok(None),
        // Trailers say nothing that is read here.
        Some(Ok(frame)) => Ok(Some(frame.into_data().unwrap_or_default())),
        Some(Err(error)) => Err(Caller::Malformed(format!("body: {error}")).into()),
    }
}

/// Reads and throws away what is left of a request that is answered already, so that its connection can carry the next
/// one. Whether too much is left for that.
pub(super) async fn is_left(headers: &HeaderMap, body: &mut Incoming) -> bool {
    // A client that waits to be told to go on is not told to.
    if body.is_end_stream() || headers.contains_key(EXPECT) {
        return !body.is_end_stream();
    }
    let mut silence = Silence::new(LEFT_OVER_WITHIN);
    let mut budget = LEFT_OVER;
    loop {
        match next_piece(body, &mut silence).await {
            Ok(Some(piece)) if piece.len() <= budget => budget -= piece.len(),
            Ok(None) => return false,
            Ok(Some(_)) | Err(_) => return true,
        }
    }
}
