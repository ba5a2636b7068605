//! One client connection: its socket, its HTTP version, its end. What a request means is the pipeline's matter.

use std::{convert::Infallible, future::poll_fn, net::SocketAddr, pin::pin, sync::Arc, task::Poll};

use actors::gate::Place;
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto::Builder,
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
use crate::protocol::openai_chat::error as openai;

/// Calls one HTTP/2 connection may have open.
const MAX_STREAMS: u32 = 256;
/// After the calls are cut: for their last words to reach the socket.
const LAST_WORDS: std::time::Duration = std::time::Duration::from_millis(500);

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
    let pulse = Arc::new(Pulse::default());
    let limits = Limits {
        header: router.server.header_timeout,
        idle: router.server.idle_timeout,
        write: router.server.write_timeout,
    };
    let io = TokioIo::new(Timed::new(stream, Arc::clone(&pulse), limits));
    let service = service_fn(|request| {
        let beat = pulse.begin(&request);
        let router = Arc::clone(&router);
        async move { Ok::<_, Infallible>(pipeline::serve(router, request, peer, beat).await) }
    });
    let builder = builder(&limits);
    let mut connection = pin!(builder.serve_connection(io, service));
    let mut draining = Some(router.phases.awaited(Phase::Draining));
    let ended = poll_fn(|cx| {
        if draining.as_mut().is_some_and(|draining| draining.is_now(cx)) {
            draining = None;
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(cx)
    });
    tokio::select! {
        ended = ended => if let Err(error) = ended {
            tracing::debug!(%peer, %error, "connection ended");
        },
        () = cut(&router.phases) => tracing::debug!(%peer, "connection cut off"),
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
    let body = openai::body(503, "The router has too many connections. Please try again later.", None);
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

fn builder(limits: &Limits) -> Builder<Streams> {
    let mut builder = Builder::new(Streams { patience: limits.write });
    builder
        .http1()
        .timer(TokioTimer::new())
        // The socket has the true limits, and tells a trickling head from an idle connection. But only with a limit of
        // its own does `hyper` look at the socket again after an answer, which is when the idle time begins.
        .header_read_timeout(limits.idle + limits.header)
        // Twice what is accepted, so that what is a little too large is answered in words by the pipeline. Beyond that
        // `hyper` answers with the bare status.
        .max_headers(2 * MAX_HEADERS)
        .max_buf_size(2 * MAX_HEAD);
    builder
        .http2()
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
