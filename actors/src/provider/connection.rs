//! One connection to an upstream: the sending half, the driver task's life, and whether an answer has begun.

use std::{
    error::Error as _,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use http::{HeaderValue, Request, Response, Uri, header::HOST};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::AbortHandle,
};

use super::{
    gauges::Gauges,
    payload::{Outgoing, Payload},
};
use crate::gate::{Gate, Place};

/// Calls one HTTP/2 connection carries at a time before another is opened.
/// The usual server allows 100 or more; `hyper` queues what exceeds the server's own number.
const STREAMS: usize = 100;

/// A usable connection. Dropping an HTTP/1.1 connection closes it at once, whatever it was doing.
pub(super) struct Connection {
    sender: Sender,
    _cutoff: Arc<Cutoff>,
}

enum Sender {
    H1 { sender: http1::SendRequest<Payload>, bytes_read: Arc<AtomicU64> },
    H2 { sender: http2::SendRequest<Payload>, streams: Arc<Gate>, _stream: Option<Place> },
}

/// Ends the driver task (and so the socket) when the last holder of the connection is gone.
pub(super) struct Cutoff(AbortHandle);

/// Why a request got no answer head.
pub(super) struct SendFailure {
    /// Whether any byte came back before the end.
    pub(super) answered: bool,
    /// What `hyper` said, with its causes.
    pub(super) reason: String,
}

impl Connection {
    pub(super) fn h1(
        sender: http1::SendRequest<Payload>,
        bytes_read: Arc<AtomicU64>,
        cutoff: Cutoff,
    ) -> Self {
        Self { sender: Sender::H1 { sender, bytes_read }, _cutoff: Arc::new(cutoff) }
    }

    pub(super) fn h2(sender: http2::SendRequest<Payload>, cutoff: Cutoff) -> Self {
        let sender = Sender::H2 { sender, streams: Gate::new(STREAMS), _stream: None };
        Self { sender, _cutoff: Arc::new(cutoff) }
    }

    /// Another handle on the same HTTP/2 connection, holding one of its places; `None` for HTTP/1.1 or when it is full.
    pub(super) fn share(&self) -> Option<Self> {
        let Sender::H2 { sender, streams, .. } = &self.sender else { return None };
        let stream = streams.enter(1)?;
        let sender =
            Sender::H2 { sender: sender.clone(), streams: Arc::clone(streams), _stream: Some(stream) };
        Some(Self { sender, _cutoff: Arc::clone(&self._cutoff) })
    }

    pub(super) fn is_shared(&self) -> bool {
        matches!(self.sender, Sender::H2 { .. })
    }

    pub(super) fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::H1 { sender, .. } => sender.is_closed(),
            Sender::H2 { sender, .. } => sender.is_closed(),
        }
    }

    /// Sends the request and waits for the head of the answer.
    pub(super) async fn send(
        &mut self,
        outgoing: Outgoing,
        authority: &HeaderValue,
    ) -> Result<Response<Incoming>, SendFailure> {
        match &mut self.sender {
            Sender::H1 { sender, bytes_read } => {
                let before = bytes_read.load(Ordering::Relaxed);
                let sent = async {
                    sender.ready().await?;
                    sender.send_request(origin_form(outgoing, authority)).await
                };
                sent.await.map_err(|error| SendFailure {
                    answered: bytes_read.load(Ordering::Relaxed) != before,
                    reason: describe(&error),
                })
            }
            Sender::H2 { sender, .. } => {
                let sent = async {
                    sender.ready().await?;
                    sender.send_request(outgoing.map(Payload::new)).await
                };
                // A stream of its own may fail on a connection that lives on: only a dead connection is worth replacing.
                sent.await
                    .map_err(|error| SendFailure { answered: !sender.is_closed(), reason: describe(&error) })
            }
        }
    }
}

/// HTTP/1.1 wants the path alone in the request line and the authority in `host`.
fn origin_form(outgoing: Outgoing, authority: &HeaderValue) -> Request<Payload> {
    let mut request = outgoing.map(Payload::new);
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.map_or_else(|| Uri::from_static("/"), Uri::from);
    request.headers_mut().insert(HOST, authority.clone());
    request
}

/// `hyper`'s text and its causes, on one line.
fn describe(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

impl Cutoff {
    /// Runs a connection's driver in a task of its own and counts it as open meanwhile.
    pub(super) fn drive<F>(driver: F, gauges: &Gauges) -> Self
    where
        F: Future<Output = hyper::Result<()>> + Send + 'static,
    {
        let open = gauges.connection();
        let task = tokio::spawn(async move {
            let _open = open;
            if let Err(error) = driver.await {
                tracing::debug!(error = %describe(&error), "upstream connection ended");
            }
        });
        Self(task.abort_handle())
    }
}

impl Drop for Cutoff {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A stream that counts the bytes read from it, so that "died before any byte of the answer" is a fact.
pub(super) struct Counted<T> {
    inner: T,
    bytes_read: Arc<AtomicU64>,
}

impl<T> Counted<T> {
    pub(super) fn new(inner: T) -> (Self, Arc<AtomicU64>) {
        let bytes_read = Arc::new(AtomicU64::new(0));
        (Self { inner, bytes_read: Arc::clone(&bytes_read) }, bytes_read)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Counted<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        let read = buf.filled().len().saturating_sub(before);
        self.bytes_read.fetch_add(read as u64, Ordering::Relaxed);
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Counted<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
