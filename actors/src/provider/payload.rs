//! What is sent upstream: a request whose body is a rope of shared slices, so that sending it twice copies nothing.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Request;
use hyper::body::{Body, Frame, SizeHint};
use smallvec::SmallVec;

/// The slices of one body, in order. Never empty slices.
pub type Rope = SmallVec<[Bytes; 5]>;

/// A request as every HTTP version can send it: its URI is absolute, and it has no `host`, `content-length` or
/// hop-by-hop headers. Cloning shares the body.
pub type Outgoing = Request<Rope>;

/// A rope on its way out. One pointer, since `hyper` keeps room for 32 requests in every connection.
#[derive(Debug)]
pub struct Payload(Box<Unsent>);

#[derive(Debug)]
struct Unsent {
    slices: smallvec::IntoIter<[Bytes; 5]>,
    /// Bytes in `slices`.
    left: u64,
}

impl Payload {
    pub(super) fn new(rope: Rope) -> Self {
        let left = rope.iter().map(|slice| slice.len() as u64).sum();
        Self(Box::new(Unsent { slices: rope.into_iter(), left }))
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let slice = self.0.slices.next();
        self.0.left -= slice.as_ref().map_or(0, |slice| slice.len() as u64);
        Poll::Ready(slice.map(|slice| Ok(Frame::data(slice))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.left)
    }
}
