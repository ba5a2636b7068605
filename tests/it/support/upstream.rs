//! A provider that follows a script: an OpenAI-like server in the test's own process.
//!
//! The script is a function from the call to the [`Reply`]. Everything that happens is counted in [`Seen`], which a
//! test can look at or wait for.

mod scripted;

use std::{
    future::{Future, pending},
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};
use http_body_util::BodyExt;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use self::scripted::{OpenCall, Scripted, opened};
use super::{PATIENCE, tls};

/// The server; it ends when dropped.
pub(crate) struct Upstream {
    address: SocketAddr,
    seen: watch::Sender<Seen>,
    gate: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

/// What has happened so far.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    /// Connections accepted.
    pub(crate) connections: usize,
    /// Every request, in the order in which they were complete.
    pub(crate) calls: Vec<Call>,
    /// Calls whose answer has not ended.
    pub(crate) open: usize,
    /// The most of those at one time.
    pub(crate) most_open: usize,
    /// Calls whose answer ended because the client went away.
    pub(crate) hung_up: usize,
}

/// One request, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// Which connection brought it, from 1.
    pub(crate) connection: usize,
    /// Which call on its connection, from 1.
    pub(crate) turn: usize,
    pub(crate) method: Method,
    pub(crate) version: Version,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What the script says to one call.
pub(crate) struct Reply {
    status: u16,
    headers: HeaderMap,
    before_head: Before,
    steps: Vec<Step>,
    close_after: bool,
}

/// What happens before the first byte of an answer.
enum Before {
    Nothing,
    Wait(Duration),
    Gate,
    Hang,
    Close,
}

/// A piece of a body.
#[derive(Clone)]
pub(crate) enum Step {
    /// These bytes, in a write of their own.
    Send(Bytes),
    /// A pause.
    Wait(Duration),
    /// A pause until [`Upstream::open_gate`].
    Gate,
    /// Nothing more, ever.
    Hang,
    /// The connection breaks.
    Break,
    /// These bytes again and again until the client goes away.
    Forever(Bytes),
}

type Script = dyn Fn(&Call) -> Reply + Send + Sync;

impl Upstream {
    /// Starts a server whose script is `script`.
    pub(crate) async fn start(script: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen(script, None).await
    }

    /// The same over TLS, offering these application protocols (`h2`, `http/1.1`), with the certificate of
    /// [`tls::acceptor`].
    pub(crate) async fn start_tls(
        protocols: &[&str],
        script: impl Fn(&Call) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::listen(script, Some(tls::acceptor(protocols))).await
    }

    async fn listen(
        script: impl Fn(&Call) -> Reply + Send + Sync + 'static,
        tls: Option<TlsAcceptor>,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, gate) = (watch::Sender::new(Seen::default()), watch::Sender::new(false));
        let world = World { script: Arc::new(script), seen: seen.clone(), gate: gate.clone(), tls };
        let accepting = tokio::spawn(async move {
            // Connections live in this task and end with it.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                world.seen.send_modify(|seen| seen.connections += 1);
                let number = world.seen.borrow().connections;
                connections.spawn(world.clone().serve(socket, number));
            }
        });
        Self { address, seen, gate, accepting }
    }

    /// One that answers every call with the same reply.
    pub(crate) async fn always(reply: impl Fn() -> Reply + Send + Sync + 'static) -> Self {
        Self::start(move |_| reply()).await
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What has happened so far.
    pub(crate) fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// The latest call.
    pub(crate) fn last(&self) -> Call {
        self.seen.borrow().calls.last().expect("a call").clone()
    }

    /// Waits until what has happened satisfies `wanted`.
    pub(crate) async fn until(&self, what: &str, wanted: impl FnMut(&Seen) -> bool) {
        let mut seen = self.seen.subscribe();
        let came = tokio::time::timeout(PATIENCE, seen.wait_for(wanted)).await.is_ok();
        assert!(came, "waited {PATIENCE:?} in vain for the upstream to see: {what}");
    }

    /// Lets everything that waits at a gate go on, now and later.
    pub(crate) fn open_gate(&self) {
        self.gate.send_replace(true);
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Step {
    /// These bytes, in a write of their own.
    pub(crate) fn send(bytes: impl Into<Bytes>) -> Self {
        Self::Send(bytes.into())
    }

    fn length(&self) -> usize {
        if let Self::Send(bytes) = self { bytes.len() } else { 0 }
    }
}

impl Call {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl Reply {
    /// An answer with this status and nothing else.
    pub(crate) fn status(status: u16) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            before_head: Before::Nothing,
            steps: Vec::new(),
            close_after: false,
        }
    }

    /// A JSON answer, as it is written here.
    pub(crate) fn json(body: impl Into<String>) -> Self {
        Self::status(200).header("content-type", "application/json").body(body.into())
    }

    /// An ordinary chat answer.
    pub(crate) fn completion(text: &str) -> Self {
        let usage = json!({"prompt_tokens": 8, "completion_tokens": 2, "total_tokens": 10});
        let message = json!({"role": "assistant", "content": text});
        let choices = json!([{"index": 0, "message": message, "finish_reason": "stop"}]);
        let body = json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1719475200, "model": "gpt-4o-0123",
            "choices": choices, "usage": usage,
        });
        Self::json(body.to_string())
    }

    /// An event stream.
    pub(crate) fn events(steps: impl IntoIterator<Item = Step>) -> Self {
        let mut reply = Self::status(200).header("content-type", "text/event-stream");
        reply.steps = steps.into_iter().collect();
        reply
    }

    /// One more header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        self.headers.append(name, HeaderValue::from_str(value).unwrap());
        self
    }

    /// A body in one piece.
    pub(crate) fn body(self, body: impl Into<Bytes>) -> Self {
        self.step(Step::Send(body.into()))
    }

    /// One more piece of the body.
    pub(crate) fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Waits before the head.
    pub(crate) fn after(mut self, delay: Duration) -> Self {
        self.before_head = Before::Wait(delay);
        self
    }

    /// Waits for [`Upstream::open_gate`] before the head.
    pub(crate) fn gated(mut self) -> Self {
        self.before_head = Before::Gate;
        self
    }

    /// Never answers.
    pub(crate) fn hang() -> Self {
        Self { before_head: Before::Hang, ..Self::status(200) }
    }

    /// Closes the connection instead of answering.
    pub(crate) fn close() -> Self {
        Self { before_head: Before::Close, ..Self::status(200) }
    }

    /// Closes the connection after the answer, without having said so.
    pub(crate) fn then_close(mut self) -> Self {
        self.close_after = true;
        self
    }
}

/// What all connections of one upstream share.
#[derive(Clone)]
struct World {
    script: Arc<Script>,
    seen: watch::Sender<Seen>,
    gate: watch::Sender<bool>,
    tls: Option<TlsAcceptor>,
}

impl World {
    async fn serve(self, socket: TcpStream, connection: usize) {
        socket.set_nodelay(true).unwrap();
        let Some(tls) = &self.tls else {
            return self.serve_http(socket, connection, false).await;
        };
        // A client that does not like the certificate shows in its own answer.
        if let Ok(stream) = tls.accept(socket).await {
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            self.serve_http(stream, connection, http2).await;
        }
    }

    async fn serve_http(
        self,
        socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        connection: usize,
        http2: bool,
    ) {
        let (closing, turns) = (watch::Sender::new(false), Arc::new(AtomicUsize::new(0)));
        let mut close = closing.subscribe();
        let service = service_fn(move |request| {
            let turn = turns.fetch_add(1, Ordering::Relaxed) + 1;
            self.clone().answer(request, connection, turn, closing.clone())
        });
        let io = TokioIo::new(socket);
        // A client that goes away is no failure of the upstream; it is counted where it is noticed. A connection that
        // is to close does so between calls, as a server's would: what it has begun to answer it answers whole.
        if http2 {
            let serving = pin!(http2::Builder::new(TokioExecutor::new()).serve_connection(io, service));
            closed_between_calls(serving, &mut close, |serving| serving.graceful_shutdown()).await;
        } else {
            let serving = pin!(http1::Builder::new().serve_connection(io, service));
            closed_between_calls(serving, &mut close, |serving| serving.graceful_shutdown()).await;
        }
    }

    async fn answer(
        self,
        request: http::Request<Incoming>,
        connection: usize,
        turn: usize,
        closing: watch::Sender<bool>,
    ) -> io::Result<http::Response<Scripted>> {
        let open = OpenCall::new(self.seen.clone());
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let http::request::Parts { method, version, uri, headers, .. } = head;
        let call = Call { connection, turn, method, version, uri, headers, body };
        let reply = (self.script)(&call);
        self.seen.send_modify(|seen| seen.calls.push(call));
        match reply.before_head {
            Before::Nothing => {}
            Before::Wait(delay) => tokio::time::sleep(delay).await,
            Before::Gate => opened(&self.gate).await,
            Before::Hang => pending().await,
            Before::Close => {
                open.ends();
                return Err(io::Error::other("as the script says"));
            }
        }
        let fixed = reply.steps.iter().all(|step| matches!(step, Step::Send(_)));
        let event_stream = reply.headers.get("content-type").is_some_and(|kind| kind == "text/event-stream");
        let length = (fixed && !event_stream).then(|| reply.steps.iter().map(Step::length).sum());
        let closing = reply.close_after.then_some(closing);
        let mut response = http::Response::new(Scripted::new(reply.steps, length, self.gate, open, closing));
        *response.status_mut() = reply.status.try_into().unwrap();
        *response.headers_mut() = reply.headers;
        if let Some(length) = length {
            response.headers_mut().entry("content-length").or_insert(length.into());
        }
        Ok(response)
    }
}

/// Serves a connection to its end; from the moment `close` is true it takes no further call.
async fn closed_between_calls<C: Future>(
    mut serving: Pin<&mut C>,
    close: &mut watch::Receiver<bool>,
    shutdown: impl FnOnce(Pin<&mut C>),
) {
    tokio::select! {
        _ = &mut serving => return,
        _ = close.wait_for(|closing| *closing) => {}
    }
    shutdown(serving.as_mut());
    let _ = serving.await;
}
