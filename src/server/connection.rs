//! One client connection: its socket, its TLS, its HTTP version, its end. What a request means is the pipeline's matter.

use std::{
    convert::Infallible,
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::{Duration, SystemTime},
};

use actors::{gate::Place, identity::Peer};
use http::Version;
use hyper::{
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulConnection,
};
use prometheus::IntGauge;
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc::Sender,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    phase::{Phase, Phases},
    pipeline::{self, MAX_HEAD, MAX_HEADERS},
    router::Live,
    socket::{Limits, Pulse, Timed},
    stall::Streams,
    tls,
};
use crate::{chat::fault::FaultKind, protocol::openai_chat::error as openai};

/// Calls one HTTP/2 connection may have open.
const MAX_STREAMS: u32 = 256;
/// Calls one HTTP/2 connection may take back before they were begun; with one more it is closed. A client that changes
/// its mind does so between two reads of the socket a few times; one that resets all it opens (CVE-2023-44487) reaches
/// this with its first packet.
const MAX_TAKEN_BACK: usize = 20;
/// Calls one HTTP/2 connection may have refused for what is wrong with them (malformed, too large a head, beyond
/// [`MAX_STREAMS`]) in all its life; with one more it is closed. Enough for a client that opens streams before it has
/// read how many it may.
const MAX_REFUSED: usize = 1024;
/// After the calls are cut: for their last words to reach the socket.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How a client of HTTP/2 begins (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Between two looks at a preface that comes in pieces.
const PREFACE_PIECE: Duration = Duration::from_millis(5);

/// What the calls of a connection are served by, and the end of it.
struct Way {
    live: Live,
    phases: Phases,
}

/// Serves a connection until it ends, the server drains, or the cut comes.
pub(super) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    live: Live,
    place: Place,
    alive: Sender<()>,
) {
    let _alive = alive;
    let router = live.now();
    let _open = Open::count(&router.metrics.connections, place);
    let limits = Limits {
        header: router.server.header_timeout,
        idle: router.server.idle_timeout,
        write: router.server.write_timeout,
    };
    let way = Way { live, phases: router.phases.clone() };
    // Each call takes its own: a connection that lasts does not keep alive what was configured when it began.
    drop(router);
    match tls {
        None => plain(stream, peer, limits, &way).await,
        // On the heap, so that plain connections do not take the space of those over TLS.
        Some(tls) => Box::pin(secure(stream, peer, tls, limits, &way)).await,
    }
}

/// A connection in plain text.
async fn plain(stream: TcpStream, peer: SocketAddr, limits: Limits, way: &Way) {
    let version = tokio::select! {
        version = timeout(limits.idle, version(&stream)) => version,
        () = way.phases.reached(Phase::Draining) => return,
    };
    let Ok(Ok(version)) = version else { return tracing::debug!(%peer, "no request") };
    let pulse = Arc::new(Pulse::new(version));
    let stream = Timed::new(stream, Arc::clone(&pulse), limits);
    let caller = Peer { address: peer.ip(), certificate: None };
    let ended = speak(stream, version, &pulse, caller, None, limits, way).await;
    tracing::debug!(%peer, ?ended, "connection ended");
}

/// A connection over TLS. The time limits lie beneath it, where every byte counts, whatever it means.
async fn secure(stream: TcpStream, peer: SocketAddr, tls: Arc<ServerConfig>, limits: Limits, way: &Way) {
    // The version is known only after the handshake.
    let pulse = Arc::new(Pulse::new(Version::HTTP_11));
    let stream = Timed::new(stream, Arc::clone(&pulse), limits);
    let outcome = tokio::select! {
        ended = timeout(limits.header, handshake(stream, tls, &pulse)) => ended.unwrap_or_else(|late| Err(late.into())),
        () = way.phases.reached(Phase::Draining) => return,
    };
    let mut stream = match outcome {
        Ok(stream) => stream,
        Err(error) => return tracing::debug!(%peer, %error, "no TLS"),
    };
    let (socket, session) = stream.get_mut();
    let version = if session.alpn_protocol() == Some(tls::H2) { Version::HTTP_2 } else { Version::HTTP_11 };
    let begun = session.process_new_packets().is_ok_and(|read| read.plaintext_bytes_to_read() > 0);
    socket.greeted(version, begun);
    let shown = session.peer_certificates().and_then(<[_]>::first).map(tls::Shown::read);
    let until = shown.as_ref().and_then(|shown| shown.until);
    let left = until.map(|until| until.duration_since(SystemTime::now()).unwrap_or_default());
    let caller = Peer { address: peer.ip(), certificate: shown.map(|shown| Arc::new(shown.names)) };
    let ended = speak(stream, version, &pulse, caller, left, limits, way).await;
    tracing::debug!(%peer, ?ended, "connection ended");
}

/// The handshake. A client with which there is none gets to read why.
async fn handshake(stream: Timed, tls: Arc<ServerConfig>, pulse: &Pulse) -> io::Result<TlsStream<Timed>> {
    match TlsAcceptor::from(tls).accept(stream).into_fallible().await {
        Ok(stream) => Ok(stream),
        Err((error, mut stream)) => {
            pulse.leave_unread();
            let _ = stream.shutdown().await;
            Err(error)
        }
    }
}

/// Speaks HTTP until the connection ends; `left` is for how long the caller's certificate holds.
async fn speak<S>(
    stream: S,
    version: Version,
    pulse: &Arc<Pulse>,
    caller: Peer,
    left: Option<Duration>,
    limits: Limits,
    way: &Way,
) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(stream);
    let service = service_fn(|request| {
        let beat = pulse.begin(&request);
        // On the heap, since `hyper` keeps the place of a call's future as long as the connection lives.
        let call = Box::pin(pipeline::serve(way.live.now(), request, caller.clone(), beat));
        async move { Ok::<_, Infallible>(call.await) }
    });
    match version {
        // On the heap, so that the many connections of HTTP/1.1 do not take the space of one of HTTP/2.
        Version::HTTP_2 => Box::pin(drive(h2(limits).serve_connection(io, service), left, &way.phases)).await,
        _ => drive(h1(limits).serve_connection(io, service), left, &way.phases).await,
    }
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

/// Runs a connection to its end. When the server drains, or `left` is over, it ends after the calls it has; when those are
/// cut off, soon.
async fn drive<C>(connection: C, left: Option<Duration>, phases: &Phases) -> Result<(), C::Error>
where
    C: GracefulConnection,
{
    let mut connection = pin!(connection);
    let mut draining = Some(phases.awaited(Phase::Draining));
    // On the heap, for the many connections that show no certificate.
    let mut over = left.map(|left| Box::pin(sleep(left)));
    let ended = poll_fn(|cx| {
        if draining.as_mut().is_some_and(|draining| draining.is_now(cx)) {
            draining = None;
            connection.as_mut().graceful_shutdown();
        }
        if over.as_mut().is_some_and(|over| over.as_mut().poll(cx).is_ready()) {
            over = None;
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
        // Beyond it the call is refused; many times beyond it, or in frames that do not end, the connection is closed.
        .max_header_list_size(2 * MAX_HEAD as u32)
        .max_concurrent_streams(MAX_STREAMS)
        .max_pending_accept_reset_streams(MAX_TAKEN_BACK)
        .max_local_error_reset_streams(MAX_REFUSED);
    builder
}

/// Counts the connection in the metrics as long as it is open.
struct Open(IntGauge, #[allow(dead_code, reason = "held until the connection ends")] Place);

impl Open {
    fn count(connections: &IntGauge, place: Place) -> Self {
        connections.inc();
        Self(connections.clone(), place)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}
