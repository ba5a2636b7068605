//! One client connection: its socket, its HTTP version, its end. What a request means is the pipeline's matter.

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc};

use actors::gate::Place;
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    time::{sleep, timeout},
};

use super::{
    io::{Limits, Pulse, Timed},
    phase::Phase,
    pipeline::{self, MAX_HEADERS},
    router::Router,
};
use crate::protocol::openai_chat::error as openai;

/// The largest request head, in bytes.
const MAX_HEAD: usize = 64 * 1024;
/// Calls one HTTP/2 connection may have open.
const MAX_STREAMS: u32 = 256;
/// After the calls are cut: for their last words to reach the socket.
const LAST_WORDS: std::time::Duration = std::time::Duration::from_millis(500);

/// Serves a connection until it ends, the server drains, or the cut comes.
pub(super) async fn serve(stream: TcpStream, peer: SocketAddr, router: Arc<Router>, place: Place) {
    let _place = place;
    let _open = Open::count(&router);
    let pulse = Arc::new(Pulse::default());
    let limits = Limits {
        header: router.server.header_timeout,
        idle: router.server.idle_timeout,
        write: router.server.write_timeout,
    };
    let io = TokioIo::new(Timed::new(stream, Arc::clone(&pulse), limits));
    let service = service_fn(|request| {
        let beat = pulse.begin();
        let router = Arc::clone(&router);
        async move { Ok::<_, Infallible>(pipeline::serve(router, request, peer, beat).await) }
    });
    let builder = builder(&limits);
    let mut connection = pin!(builder.serve_connection(io, service));
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = router.phases.reached(Phase::Draining) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = cut(&router) => return tracing::debug!(%peer, "connection cut off"),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "connection ended");
    }
}

/// The cut, and the time for the last words.
async fn cut(router: &Router) {
    router.phases.reached(Phase::Cutting).await;
    sleep(LAST_WORDS).await;
}

/// Tells a client for which there is no place, and closes.
pub(super) async fn refuse(mut stream: TcpStream) {
    let body = openai::body(503, "The router has too many connections. Please try again later.", None);
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let answer = [head.as_bytes(), &body].concat();
    // Whoever does not take these few bytes at once does not get them.
    let _ = timeout(LAST_WORDS, stream.write_all(&answer)).await;
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // The socket has the true limits, and tells a trickling head from an idle connection. But only with a limit of
        // its own does `hyper` look at the socket again after an answer, which is when the idle time begins.
        .header_read_timeout(limits.idle + limits.header)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_HEAD as u32)
        .max_concurrent_streams(MAX_STREAMS);
    builder
}

/// Counts the connection in the metrics as long as it is open.
struct Open(Arc<Router>);

impl Open {
    fn count(router: &Arc<Router>) -> Self {
        router.metrics.connections.inc();
        Self(Arc::clone(router))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.metrics.connections.dec();
    }
}
