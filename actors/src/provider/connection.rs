//! One connection to an upstream: the sending half, the driver task's life, and whether a call on it may be repeated.

use std::{
    error::Error,
    future::poll_fn,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{HeaderValue, Request, Response, Uri, header::HOST};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::AbortHandle,
    time::timeout,
};

use super::{
    payload::{Outgoing, Payload},
    socket::Socket,
};
use crate::gate::{Gate, Place};

/// Bytes read from an HTTP/1.1 connection at a time. By default `hyper` keeps 16 KiB for each, which is most of what an
/// open stream costs; a stream's events are far smaller, and a large answer only takes more reads.
const READ: usize = 2048;

/// Calls one HTTP/2 connection carries at a time before another is opened, if the server does not allow fewer.
/// The usual server allows 100 or more.
pub(super) const STREAMS: usize = 100;

/// How long a call waits for the driver of an HTTP/1.1 connection to be done with the call before: microseconds, if it
/// ever will be.
const READY_WITHIN: Duration = Duration::from_millis(50);

/// A usable connection. Dropping an HTTP/1.1 connection closes it at once, whatever it was doing. Dropping the last
/// handle on an HTTP/2 connection resets the stream of that handle, if it has one, and then closes the connection.
pub(crate) struct Connection {
    sender: Sender,
    _cutoff: Arc<Cutoff>,
}

enum Sender {
    H1 { sender: http1::SendRequest<Payload>, bytes_read: Arc<AtomicU64> },
    H2 { sender: http2::SendRequest<Payload>, room: Room, _stream: Option<Place> },
}

/// How many calls an HTTP/2 connection carries and may carry.
#[derive(Clone)]
struct Room {
    streams: Arc<Gate>,
    /// What the server allows, as far as it has said.
    allowed: Arc<AtomicUsize>,
}

/// Ends the driver task when the last holder of the connection is gone. The driver of HTTP/1.1 owns the socket. That of
/// HTTP/2 only passes requests on: `hyper` gives the socket to a task of its own, which ends after the last stream.
struct Cutoff(AbortHandle);

/// Why a request got no answer head.
pub(crate) struct SendFailure {
    /// Whether the same request may be sent again on another connection: the server has not touched it, or the
    /// connection died before any byte of an answer, as one does that the server had closed by then.
    pub(super) stale: bool,
    /// What `hyper` said, with its causes.
    pub(crate) reason: String,
}

impl Connection {
    pub(super) async fn h1<T>(socket: Socket<T>) -> hyper::Result<Self>
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let bytes_read = socket.bytes_read();
        let handshake = http1::Builder::new().read_buf_exact_size(Some(READ)).handshake(TokioIo::new(socket));
        let (mut sender, driver) = handshake.await?;
        let cutoff = Arc::new(Cutoff::drive(driver));
        sender.ready().await?;
        Ok(Self { sender: Sender::H1 { sender, bytes_read }, _cutoff: cutoff })
    }

    pub(super) async fn h2<T>(
        builder: &http2::Builder<TokioExecutor>,
        socket: Socket<T>,
    ) -> hyper::Result<Self>
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, mut driver) = builder.handshake(TokioIo::new(socket)).await?;
        let room = Room { streams: Gate::new(STREAMS), allowed: Arc::new(AtomicUsize::new(STREAMS)) };
        let allowed = Arc::clone(&room.allowed);
        // The driver wakes for each request, so what the server allows is known at the second one at the latest.
        let driver = poll_fn(move |cx| {
            allowed.store(driver.current_max_send_streams(), Relaxed);
            Pin::new(&mut driver).poll(cx)
        });
        let sender = Sender::H2 { sender, room, _stream: None };
        Ok(Self { sender, _cutoff: Arc::new(Cutoff::drive(driver)) })
    }

    /// Another handle on the same HTTP/2 connection, holding one of its places; `None` for HTTP/1.1 or without room.
    pub(super) fn share(&self) -> Option<Self> {
        let Sender::H2 { sender, room, .. } = &self.sender else { return None };
        let stream = self.has_room().then(|| room.streams.enter(1))??;
        let sender = Sender::H2 { sender: sender.clone(), room: room.clone(), _stream: Some(stream) };
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

    /// Whether an HTTP/1.1 connection takes a request now. After an answer that came before its request was taken whole
    /// it does not, and may never again; nor does it while its driver has not finished the call before.
    pub(super) fn is_ready(&self) -> bool {
        matches!(&self.sender, Sender::H1 { sender, .. } if sender.is_ready())
    }

    /// Whether an HTTP/2 connection takes another call now.
    pub(super) fn has_room(&self) -> bool {
        match &self.sender {
            Sender::H1 { .. } => false,
            Sender::H2 { sender, room, .. } => {
                !sender.is_closed() && room.streams.taken() < room.allowed.load(Relaxed)
            }
        }
    }

    /// Whether no call is on an HTTP/2 connection.
    pub(super) fn is_unused(&self) -> bool {
        matches!(&self.sender, Sender::H2 { room, .. } if room.streams.taken() == 0)
    }

    /// Sends the request and waits for the head of the answer.
    pub(crate) async fn send(
        &mut self,
        outgoing: Outgoing,
        authority: &HeaderValue,
    ) -> Result<Response<Incoming>, SendFailure> {
        match &mut self.sender {
            Sender::H1 { sender, bytes_read } => {
                match timeout(READY_WITHIN, sender.ready()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => return Err(SendFailure { stale: true, reason: describe(&error) }),
                    Err(_) => return Err(SendFailure { stale: true, reason: "not ready".to_owned() }),
                }
                let before = bytes_read.load(Relaxed);
                let sent = sender.try_send_request(origin_form(outgoing, authority)).await;
                sent.map_err(|error| SendFailure::new(error, |_| bytes_read.load(Relaxed) == before))
            }
            Sender::H2 { sender, .. } => {
                let sent = sender.try_send_request(outgoing.map(Payload::new)).await;
                sent.map_err(|error| SendFailure::new(error, is_untouched))
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

impl SendFailure {
    /// `hyper` gives a request back that it has not begun to send; of others `is_stale` judges by the error.
    fn new(failed: TrySendError<Request<Payload>>, is_stale: impl FnOnce(&hyper::Error) -> bool) -> Self {
        let stale = failed.message().is_some() || is_stale(failed.error());
        Self { stale, reason: describe(failed.error()) }
    }
}

/// Whether an HTTP/2 stream without an answer ended with its connection, or before the server looked at it (RFC 9113,
/// 8.7: refused, or above the last stream of a GOAWAY). Any other reset is the server's answer to the request.
fn is_untouched(error: &hyper::Error) -> bool {
    // The connection did not answer a ping.
    if error.is_timeout() {
        return true;
    }
    causes(error).any(|cause| match cause.downcast_ref::<h2::Error>() {
        Some(cause) if cause.is_go_away() => cause.is_remote(),
        Some(cause) => cause.reason() == Some(h2::Reason::REFUSED_STREAM),
        None => cause.is::<io::Error>(),
    })
}

/// `hyper`'s text and its causes, on one line.
fn describe(error: &hyper::Error) -> String {
    causes(error).fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn causes(error: &hyper::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

impl Cutoff {
    /// Runs a connection's driver in a task of its own.
    fn drive(driver: impl Future<Output = hyper::Result<()>> + Send + 'static) -> Self {
        let task = tokio::spawn(async move {
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
