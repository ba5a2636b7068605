//! What is sent upstream: a request whose body is a rope of shared slices, so that sending it twice copies nothing.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri};
use hyper::body::{Body, Frame, SizeHint};
use smallvec::SmallVec;

/// The slices of one body, in order. Never empty slices.
pub type Rope = SmallVec<[Bytes; 5]>;

/// A request as every HTTP version can send it. Cloning shares the body.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The method.
    pub method: Method,
    /// Absolute: scheme, authority, path and query.
    pub uri: Uri,
    /// Without `host`, `content-length` and hop-by-hop headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Rope,
}

/// A rope on its way out.
#[derive(Debug)]
pub struct Payload {
    slices: smallvec::IntoIter<[Bytes; 5]>,
    left: u64,
}

impl Outgoing {
    pub(super) fn into_request(self) -> Request<Payload> {
        let mut request = Request::new(Payload::new(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.headers_mut() = self.headers;
        request
    }
}

impl Payload {
    fn new(rope: Rope) -> Self {
        let left = rope.iter().map(|slice| slice.len() as u64).sum();
        Self { slices: rope.into_iter(), left }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let slice = self.slices.next();
        self.left -= slice.as_ref().map_or(0, |slice| slice.len() as u64);
        Poll::Ready(slice.map(|slice| Ok(Frame::data(slice))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
