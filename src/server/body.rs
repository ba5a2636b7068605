//! Bodies: reading one from a client within its limits, and the kinds of body an answer can have.

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use actors::{
    gate::{Gate, Place},
    provider::Rope,
};
use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use tokio::time::Instant;

use super::{call::Call, relay::Relay, timer::Timer};
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
}

enum Kind {
    Whole { slices: smallvec::IntoIter<[Bytes; 5]>, left: u64, _memory: Option<Place> },
    Stream(Box<Relay>),
}

/// A request body and the memory it takes.
pub(super) struct Held {
    pub(super) bytes: Bytes,
    _memory: Place,
}

impl Content {
    /// One slice, perhaps empty.
    pub(super) fn one(bytes: Bytes) -> Self {
        Self::Whole(Some(bytes).into_iter().filter(|slice| !slice.is_empty()).collect(), None)
    }

    /// Puts the call behind its answer.
    pub(super) fn held_by(self, call: Call) -> Body {
        let kind = match self {
            Self::Whole(rope, _memory) => {
                let left = rope.iter().map(|slice| slice.len() as u64).sum();
                Kind::Whole { slices: rope.into_iter(), left, _memory }
            }
            Self::Stream(relay) => Kind::Stream(relay),
        };
        Body { kind, call: Box::new(call) }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Self { kind, call } = &mut *self;
        match kind {
            Kind::Whole { slices, left, .. } => {
                let slice = slices.next();
                *left -= slice.as_ref().map_or(0, |slice| slice.len() as u64);
                Poll::Ready(slice.map(|slice| Ok(Frame::data(slice))))
            }
            Kind::Stream(relay) => relay.poll_piece(cx, call).map(|piece| piece.map(|p| Ok(Frame::data(p)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.kind, Kind::Whole { left: 0, .. })
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole { left, .. } => SizeHint::with_exact(*left),
            Kind::Stream(_) => SizeHint::default(),
        }
    }
}

/// Whether the body is said to be JSON; parameters such as a charset do not matter.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// Reads a whole request body: at most `limit` bytes, each piece within `patience`, within the memory budget.
///
/// # Errors
/// 413, 408 and 503 accordingly; a client that breaks off gets a 400 nobody reads.
pub(super) async fn read(
    headers: &HeaderMap,
    mut body: Incoming,
    limit: usize,
    patience: Duration,
    memory: &Arc<Gate>,
) -> Result<Held, Error> {
    let declared =
        headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
    if declared.is_some_and(|length| length > limit as u64) {
        return Err(Caller::TooLarge(limit).into());
    }
    let mut place = memory.enter(0).ok_or(Ours::Memory)?;
    let mut timer = Timer::default();
    let mut first: Option<Bytes> = None;
    let mut gathered = BytesMut::new();
    while let Some(piece) = next_piece(&mut body, patience, &mut timer).await? {
        if place.size() + piece.len() > limit {
            return Err(Caller::TooLarge(limit).into());
        }
        if !place.grow(piece.len()) {
            return Err(Ours::Memory.into());
        }
        match first.take() {
            None if gathered.is_empty() => first = Some(piece),
            earlier => {
                gathered.extend_from_slice(earlier.as_deref().unwrap_or_default());
                gathered.extend_from_slice(&piece);
            }
        }
    }
    let bytes = first.unwrap_or_else(|| gathered.freeze());
    Ok(Held { bytes, _memory: place })
}

async fn next_piece(
    body: &mut Incoming,
    patience: Duration,
    timer: &mut Timer,
) -> Result<Option<Bytes>, Error> {
    let mut by = None;
    poll_fn(|cx| match Pin::new(&mut *body).poll_frame(cx) {
        Poll::Ready(None) => Poll::Ready(Ok(None)),
        // Trailers say nothing that is read here.
        Poll::Ready(Some(Ok(frame))) => Poll::Ready(Ok(Some(frame.into_data().unwrap_or_default()))),
        Poll::Ready(Some(Err(error))) => Poll::Ready(Err(Caller::Malformed(format!("body: {error}")).into())),
        Poll::Pending if timer.is_over(*by.get_or_insert_with(|| Instant::now() + patience), cx) => {
            Poll::Ready(Err(Caller::BodyTimeout.into()))
        }
        Poll::Pending => Poll::Pending,
    })
    .await
}
