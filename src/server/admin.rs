//! The operator's listener: `/live`, `/ready`, `/metrics`, `/status`, `/explain`. Serves no client and reads no body.

use std::{convert::Infallible, future::ready, sync::Arc, time::Duration};

use actors::{
    gate::{Gate, Place},
    observe::Snapshot,
};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use serde::Serialize;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::{Instant, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{
    edge::HEALTHY,
    explain,
    phase::{Phase, Phases},
    router::{Live, Router},
    tls::Tls,
};

/// Operators and load balancers at one time.
const CONNECTIONS: usize = 1024;
/// For a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What the operator's routes need; cheap to clone.
#[derive(Clone)]
pub struct Admin {
    live: Live,
    started: Instant,
    phases: Phases,
}

#[derive(Serialize)]
struct Status<'a> {
    version: &'static str,
    uptime_seconds: u64,
    phase: &'static str,
    in_flight: usize,
    connections: i64,
    memory_bytes: usize,
    actors: Vec<Actor>,
    providers: Vec<ProviderStatus<'a>>,
}

#[derive(Serialize)]
struct Actor {
    name: String,
    mailbox: usize,
    handled: u64,
    refused: u64,
    panics: u64,
    restarts: u64,
    wait_p50_us: f64,
    wait_p99_us: f64,
    busy_pct: f64,
    #[serde(flatten)]
    own: std::collections::BTreeMap<&'static str, i64>,
}

#[derive(Serialize)]
struct ProviderStatus<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    models: Vec<&'a str>,
}

impl Admin {
    /// The operator's view of a server.
    pub fn new(live: Live) -> Self {
        let phases = live.now().phases.clone();
        Self { live, started: Instant::now(), phases }
    }

    /// Serves until the very end, so that a drain can be watched.
    pub async fn serve(self, listener: TcpListener) {
        let phases = self.phases.clone();
        let answer = move |request: Request<Incoming>| {
            let admin = self.clone();
            async move { admin.answer(&request).await }
        };
        serve(listener, None, phases, answer).await;
    }

    async fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "use GET\n");
        }
        let router = self.live.now();
        match request.uri().path() {
            "/live" => text(StatusCode::OK, "live\n"),
            "/ready" => match self.phases.now() {
                Phase::Serving if !router.identity.is_ready() => {
                    text(StatusCode::SERVICE_UNAVAILABLE, "no keys to verify tokens yet\n")
                }
                Phase::Serving => text(StatusCode::OK, "ready\n"),
                _ => text(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
            },
            "/metrics" => text(StatusCode::OK, router.metrics_text()),
            "/status" => self.status(&router),
            "/explain" => {
                let query = request.uri().query().unwrap_or_default();
                let (status, body) = explain::answer(&router, query).await;
                let mut response = json(body);
                *response.status_mut() = status;
                response
            }
            _ => text(StatusCode::NOT_FOUND, "here are /live /ready /metrics /status /explain\n"),
        }
    }

    fn status(&self, router: &Router) -> Response<Full<Bytes>> {
        let status = Status {
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: self.started.elapsed().as_secs(),
            phase: self.phases.now().name(),
            in_flight: router.in_flight.taken(),
            connections: router.metrics.connections.get(),
            memory_bytes: router.memory.taken(),
            actors: router.registry.snapshots().map(Actor::from).collect(),
            providers: providers(router),
        };
        json(serde_json::to_string(&status).unwrap_or_default())
    }
}

fn providers(router: &Router) -> Vec<ProviderStatus<'_>> {
    let mut providers: Vec<ProviderStatus<'_>> = Vec::new();
    for target in router.routes.all() {
        match providers.last_mut().filter(|last| *last.name == *target.provider) {
            Some(last) => last.models.push(&target.model),
            None => {
                let kind = router.provider(target).upstream.owner();
                let models = vec![&*target.model];
                providers.push(ProviderStatus { name: &target.provider, kind, models });
            }
        }
    }
    providers
}

impl From<Snapshot> for Actor {
    fn from(snapshot: Snapshot) -> Self {
        Self {
            name: snapshot.name,
            mailbox: snapshot.mailbox,
            handled: snapshot.handled,
            refused: snapshot.refused,
            panics: snapshot.panics,
            restarts: snapshot.restarts,
            wait_p50_us: snapshot.wait_p50_us,
            wait_p99_us: snapshot.wait_p99_us,
            busy_pct: snapshot.busy_pct,
            own: snapshot.own.into_iter().collect(),
        }
    }
}

/// Serves the health route alone, over TLS where clients are.
pub async fn serve_health(listener: TcpListener, tls: Option<Tls>, phases: Phases, path: String) {
    let here = move |request: Request<Incoming>| {
        ready(match *request.method() {
            _ if request.uri().path() != path => text(StatusCode::NOT_FOUND, "not here\n"),
            Method::GET | Method::HEAD => json(HEALTHY),
            _ => text(StatusCode::METHOD_NOT_ALLOWED, "use GET\n"),
        })
    };
    serve(listener, tls, phases, here).await;
}

/// Answers every request by a function of it, until the server has ended.
async fn serve<F, A>(listener: TcpListener, tls: Option<Tls>, phases: Phases, answer: F)
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let gate = Gate::new(CONNECTIONS);
    let accept = async {
        loop {
            match (listener.accept().await, gate.enter(1)) {
                (Ok((stream, _)), Some(place)) => {
                    let tls = tls.as_ref().map(Tls::health);
                    drop(tokio::spawn(connection(stream, tls, answer.clone(), place)));
                }
                (Ok(_), None) => tracing::warn!("too many operator's connections"),
                (Err(error), _) => super::breathe(&error).await,
            }
        }
    };
    tokio::select! {
        () = phases.reached(Phase::Ended) => {}
        () = accept => {}
    }
}

async fn connection<A: Future<Output = Response<Full<Bytes>>>>(
    stream: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    answer: impl Fn(Request<Incoming>) -> A,
    _place: Place,
) {
    match tls {
        None => speak(stream, answer).await,
        Some(tls) => {
            if let Ok(Ok(stream)) = timeout(HANDSHAKE, TlsAcceptor::from(tls).accept(stream)).await {
                speak(stream, answer).await;
            }
        }
    }
}

async fn speak<A: Future<Output = Response<Full<Bytes>>>>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: impl Fn(Request<Incoming>) -> A,
) {
    let service = service_fn(|request| {
        let response = answer(request);
        async move { Ok::<_, Infallible>(response.await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new());
    // What an operator's connection dies of is the operator's to see.
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}

fn json(body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = text(StatusCode::OK, body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    response
}
