//! Where an answer's bytes come from: an upstream connection, or the built-in provider; plain or gzipped.

use std::{
    collections::VecDeque,
    io::{self, Write as _},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use actors::provider::{Answer, Lease};
use bytes::Bytes;
use flate2::write::GzDecoder;
use hyper::body::Body as _;
use tokio::time::{Sleep, sleep};

use super::silence::{Silence, Silent};
use crate::error::Provider as Fault;

/// The body of an answer.
pub(super) struct Source {
    from: From,
    inflate: Option<Box<GzDecoder<Inflated>>>,
}

enum From {
    Upstream(Answer),
    BuiltIn(Paced),
    Closed,
}

/// What one piece becomes when it is decoded: at most [`LARGEST_PIECE`] bytes, since a few bytes can stand for very many.
#[derive(Default)]
struct Inflated(Vec<u8>);

const LARGEST_PIECE: usize = 8 << 20;

/// Pieces that come one by one, each after a delay. Holds the provider's lease meanwhile.
pub(super) struct Paced {
    pieces: VecDeque<Bytes>,
    delay: Duration,
    next: Option<Pin<Box<Sleep>>>,
    _lease: Lease,
}

impl Source {
    /// An upstream's body, gzipped or not.
    pub(super) fn upstream(answer: Answer, gzipped: bool) -> Self {
        let inflate = gzipped.then(|| Box::new(GzDecoder::new(Inflated::default())));
        Self { from: From::Upstream(answer), inflate }
    }

    /// The pieces of the built-in provider, with a delay before each but the first.
    pub(super) fn built_in(pieces: Vec<Bytes>, delay: Duration, lease: Lease) -> Self {
        let paced = Paced { pieces: pieces.into(), delay, next: None, _lease: lease };
        Self { from: From::BuiltIn(paced), inflate: None }
    }

    /// The next piece; `None` at the proper end, an error when the body broke off or cannot be decoded.
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, String>>> {
        let piece = match &mut self.from {
            From::Upstream(answer) => match ready!(Pin::new(answer).poll_frame(cx)) {
                Some(Ok(frame)) => Some(Ok(frame.into_data().unwrap_or_default())),
                Some(Err(error)) => Some(Err(error.to_string())),
                None => None,
            },
            From::BuiltIn(paced) => ready!(paced.poll_piece(cx)).map(Ok),
            From::Closed => None,
        };
        Poll::Ready(match (piece, &mut self.inflate) {
            (Some(Ok(piece)), Some(inflate)) => Some(inflated(inflate, &piece)),
            (piece, _) => piece,
        })
    }

    /// The next piece, in time; `None` at the proper end.
    ///
    /// # Errors
    /// [`Fault::Unreadable`] when the body broke off or cannot be decoded, [`Fault::Timeout`] when nothing came.
    pub(super) async fn next_piece(&mut self, silence: &mut Silence) -> Result<Option<Bytes>, Fault> {
        let piece = silence.next(|cx| self.poll_piece(cx)).await;
        piece.map_err(|Silent| Fault::Timeout)?.transpose().map_err(Fault::Unreadable)
    }

    /// Lets go of the upstream at once.
    pub(super) fn close(&mut self) {
        self.from = From::Closed;
    }
}

fn inflated(decoder: &mut GzDecoder<Inflated>, piece: &[u8]) -> Result<Bytes, String> {
    let decoded = decoder.write_all(piece).and_then(|()| decoder.flush());
    decoded.map_err(|error| format!("gzip: {error}"))?;
    Ok(std::mem::take(&mut decoder.get_mut().0).into())
}

impl io::Write for Inflated {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LARGEST_PIECE {
            return Err(io::Error::other("too many bytes out of one piece"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Paced {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(next) = &mut self.next {
            ready!(next.as_mut().poll(cx));
        }
        let piece = self.pieces.pop_front();
        self.next = (!self.delay.is_zero() && !self.pieces.is_empty()).then(|| Box::pin(sleep(self.delay)));
        Poll::Ready(piece)
    }
}
