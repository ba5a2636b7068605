//! A provider with its actors, and the server it calls.

use std::{
    net::SocketAddr,
    num::NonZeroUsize,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, yield_now},
    time::advance,
};

use super::*;
use crate::Supervisor;

pub(super) struct Rig {
    pub(super) provider: Provider,
    supervisor: Supervisor,
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    server: JoinHandle<()>,
}

impl Rig {
    /// One worker, calling a server that runs `serve` for each connection; they are numbered from 0.
    pub(super) async fn new<F>(serve: impl Fn(usize, TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener");
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(count.fetch_add(1, SeqCst), stream));
            }
        });
        let (supervisor, provider) = start(1, 1000, endpoint(address)).await;
        Self { provider, supervisor, address, accepted, server }
    }

    /// The same server, over HTTP/2 without TLS.
    pub(super) async fn h2(self) -> Self {
        let endpoint = endpoint(self.address).plain_h2();
        self.with(1, 1000, endpoint).await
    }

    pub(super) async fn over_tls(self, connect_timeout: Duration) -> Self {
        let url = format!("https://{}", self.address).parse().expect("a URL");
        let endpoint = Endpoint::new(&url, None, connect_timeout).expect("an endpoint");
        self.with(1, 1000, endpoint).await
    }

    pub(super) async fn limited(self, workers: usize, max_in_flight: usize) -> Self {
        let endpoint = endpoint(self.address);
        self.with(workers, max_in_flight, endpoint).await
    }

    async fn with(mut self, workers: usize, max_in_flight: usize, endpoint: Endpoint) -> Self {
        (self.supervisor, self.provider) = start(workers, max_in_flight, endpoint).await;
        self
    }

    /// The server stops listening.
    pub(super) async fn gone(mut self) -> Self {
        self.server.abort();
        let _ = (&mut self.server).await;
        self
    }

    /// Connections that the server has accepted.
    pub(super) fn accepted(&self) -> usize {
        self.accepted.load(SeqCst)
    }

    /// One of the actors' own numbers, summed over the workers.
    pub(super) fn number(&self, name: &str) -> i64 {
        let index = gauges::NAMES.iter().position(|known| *known == name).expect("a known number");
        self.supervisor.gauges().iter().map(|gauges| Own(Arc::clone(gauges)).get(index)).sum()
    }

    /// Lets everything run until something is so. Counts turns, not time, which may be paused.
    pub(super) async fn until(&self, what: &str, so: impl Fn(&Self) -> bool) {
        for _ in 0..2_000_000 {
            if so(self) {
                return;
            }
            yield_now().await;
        }
        panic!("never: {what}");
    }

    /// Lets time pass once every connection has come home.
    pub(super) async fn pass(&self, time: Duration) {
        self.until("the mailboxes are empty", |rig| {
            rig.supervisor.gauges().iter().all(|gauges| gauges.mailbox() == 0)
        })
        .await;
        advance(time).await;
    }

    /// A call until the head of its answer.
    pub(super) async fn begin(&self, body: &str) -> Result<http::Response<Answer>, SendError> {
        let mut lease = self.provider.acquire().await.expect("a lease");
        lease.connect().await?;
        lease.send(outgoing(body), FIRST_BYTE).await
    }

    /// A whole call.
    pub(super) async fn call(&self, body: &str) -> Result<(StatusCode, Bytes), SendError> {
        let (head, body) = self.begin(body).await?.into_parts();
        let body = body.collect().await.map_err(|error| SendError::Broken(error.to_string()))?;
        Ok((head.status, body.to_bytes()))
    }
}

fn endpoint(address: SocketAddr) -> Endpoint {
    let url = format!("http://{address}").parse().expect("a URL");
    Endpoint::new(&url, None, Duration::from_secs(10)).expect("an endpoint")
}

async fn start(workers: usize, max_in_flight: usize, endpoint: Endpoint) -> (Supervisor, Provider) {
    let mut supervisor = Supervisor::start("providers").await;
    let gate = Gate::new(max_in_flight);
    let workers = NonZeroUsize::new(workers).expect("at least one");
    let make = move |own| Worker::new(Arc::clone(&gate), own);
    let workers = supervisor.spawn_shards("provider", workers, 10_000, make).await;
    (supervisor, Provider::new(workers, Some(Arc::new(endpoint))))
}

pub(super) fn outgoing(body: &str) -> Outgoing {
    let body = Rope::from_iter([Bytes::copy_from_slice(body.as_bytes())]);
    Request::post("http://upstream/v1/chat/completions").body(body).expect("a request")
}
