//! One client connection: its socket, its HTTP version, its end. What a request means is the pipeline's matter.

use std::{
    convert::Infallible, future::poll_fn, io, net::SocketAddr, pin::pin, sync::Arc, task::Poll,
    time::Duration,
};

use actors::gate::Place;
use http::Version;
use hyper::{
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulConnection,
};
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    sync::mpsc::Sender,
    time::{sleep, timeout},
};

use super::{
    phase::{Phase, Phases},
    pipeline::{self, MAX_HEAD, MAX_HEADERS},
    router::Router,
    socket::{Limits, Pulse, Timed},
    stall::Streams,
};
use crate::{chat::fault::FaultKind, protocol::openai_chat::error as openai};

/// Calls one HTTP/2 connection may have open.
const MAX_STREAMS: u32 = 256;
/// After the calls are cut: for their last words to reach the socket.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How a client of HTTP/2 begins (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Between two looks at a preface that comes in pieces.
const PREFACE_PIECE: Duration = Duration::from_millis(5);

/// Serves a connection until it ends, the server drains, or the cut comes.
pub(super) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    router: Arc<Router>,
    place: Place,
    alive: Sender<()>,
) {
    let _alive = alive;
    let _open = Open::count(&router, place);
    let limits = Limits {
        header: router.server.header_timeout,
        idle: router.server.idle_timeout,
        write: router.server.write_timeout,
    };
    let version = tokio::select! {
        version = timeout(limits.idle, version(&stream)) => version,
        () = router.phases.reached(Phase::Draining) => return,
    };
    let Ok(Ok(version)) = version else { return tracing::debug!(%peer, "no request") };
    let pulse = Arc::new(Pulse::new(version));
    let io = TokioIo::new(Timed::new(stream, Arc::clone(&pulse), limits));
    let service = service_fn(|request| {
        let beat = pulse.begin(&request);
        // On the heap, since `hyper` keeps the place of a call's future as long as the connection lives.
        let call = Box::pin(pipeline::serve(Arc::clone(&router), request, peer, beat));
        async move { Ok::<_, Infallible>(call.await) }
    });
    let ended = match version {
        // On the heap, so that the many connections of HTTP/1.1 do not take the space of one of HTTP/2.
        Version::HTTP_2 => Box::pin(drive(h2(limits).serve_connection(io, service), &router.phases)).await,
        _ => drive(h1(limits).serve_connection(io, service), &router.phases).await,
    };
    tracing::debug!(%peer, ?ended, "connection ended");
}

/// Which version of HTTP the client speaks: by its first bytes, which are looked at and not taken.
async fn version(stream: &TcpStream) -> io::Result<Version> {
    let mut seen = [0; PREFACE.len()];
    loop {
        let length = stream.peek(&mut seen).await?;
        match PREFACE.strip_prefix(&seen[..length]) {
            Some([]) => return Ok(Version::HTTP_2),
            // As far as it goes: nothing tells when there are more bytes behind those that are not taken.
            Some(_) if length > 0 => sleep(PREFACE_PIECE).await,
            _ => return Ok(Version::HTTP_11),
        }
    }
}

/// Runs a connection to its end. When the server drains, it ends after the calls it has; when those are cut off, soon.
async fn drive<C: GracefulConnection>(connection: C, phases: &Phases) -> Result<(), C::Error> {
    let mut connection = pin!(connection);
    let mut draining = Some(phases.awaited(Phase::Draining));
    let ended = poll_fn(|cx| {
        if draining.as_mut().is_some_and(|draining| draining.is_now(cx)) {
            draining = None;
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(cx)
    });
    tokio::select! {
        ended = ended => ended,
        () = cut(phases) => Ok(()),
    }
}

/// The cut, and the time for the last words.
async fn cut(phases: &Phases) {
    let mut cutting = phases.awaited(Phase::Cutting);
    poll_fn(|cx| if cutting.is_now(cx) { Poll::Ready(()) } else { Poll::Pending }).await;
    sleep(LAST_WORDS).await;
}

/// Tells a client for which there is no place, and closes.
pub(super) async fn refuse(mut stream: TcpStream, alive: Sender<()>) {
    let _alive = alive;
    let body = openai::body(
        FaultKind::Overloaded,
        503,
        "The router has too many connections. Please try again later.",
        None,
    );
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let answer = [head.as_bytes(), &body].concat();
    // Whoever does not take these few bytes at once does not get them. What the client has sent is read, since a socket
    // that is closed with unread bytes is reset, and the answer lost.
    let _ = timeout(LAST_WORDS, async {
        stream.write_all(&answer).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
    })
    .await;
}

fn h1(limits: Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // The socket has the true limits, and tells a trickling head from an idle connection. But only with a limit of
        // its own does `hyper` look at the socket again after an answer, which is when the idle time begins.
        .header_read_timeout(limits.idle + limits.header)
        // Twice what is accepted, so that what is a little too large is answered in words by the pipeline. Beyond that
        // `hyper` answers with the bare status.
        .max_headers(2 * MAX_HEADERS)
        .max_buf_size(2 * MAX_HEAD);
    builder
}

fn h2(limits: Limits) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(Streams { patience: limits.write });
    builder
        .timer(TokioTimer::new())
        .max_header_list_size(2 * MAX_HEAD as u32)
        .max_concurrent_streams(MAX_STREAMS);
    builder
}

/// Counts the connection in the metrics as long as it is open.
struct Open(Arc<Router>, #[allow(dead_code, reason = "held until the connection ends")] Place);

impl Open {
    fn count(router: &Arc<Router>, place: Place) -> Self {
        router.metrics.connections.inc();
        Self(Arc::clone(router), place)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.metrics.connections.dec();
    }
}
