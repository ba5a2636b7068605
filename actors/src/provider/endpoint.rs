//! Where a provider listens, and how a connection to it is made: name resolution, TCP, TLS, HTTP version.
//!
//! Runs in the calling connection's task, never in an actor: it awaits the network.

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use http::{HeaderValue, Uri, uri::Scheme};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_rustls::TlsConnector;

use super::{
    connection::{Connection, STREAMS},
    gauges::Gauges,
    socket::Socket,
};

/// How long a connection is silent before the other side is probed: by TCP, and by HTTP/2 while calls are on it. Without
/// that a connection through a dead path would be used until the kernel gives it up.
const PROBE: Duration = Duration::from_secs(20);
/// How long an HTTP/2 ping may take, and the time between TCP's probes.
const PROBE_WAIT: Duration = Duration::from_secs(10);
/// Bytes of one HTTP/2 answer that may be on their way unread. The connection has room for all its streams, so that a
/// slow reader holds up itself only.
const STREAM_WINDOW: u32 = 256 * 1024;

/// One upstream server, resolved from the configuration once.
pub struct Endpoint {
    host: String,
    port: u16,
    /// The `host` header of HTTP/1.1 requests.
    pub(crate) authority: HeaderValue,
    transport: Transport,
    connect_timeout: Duration,
}

/// What runs over TCP. It decides the HTTP version: over TLS the server chooses, else it is HTTP/1.1.
enum Transport {
    Plain,
    Tls(Tls),
    /// HTTP/2 without TLS, as the tests' own servers speak it.
    #[cfg(test)]
    PlainH2,
}

struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

/// Why an endpoint cannot be made from a configuration.
#[derive(Debug)]
pub enum EndpointError {
    /// The base URL has no host, or its scheme is neither http nor https.
    Url,
    /// The extra root certificates are not PEM certificates.
    Roots(String),
}

/// Why no connection came about. The text names the host, never a path, a key or a query.
#[derive(Debug)]
pub enum ConnectError {
    /// The connect timeout passed.
    TimedOut,
    /// Resolution, TCP, TLS or the HTTP handshake failed.
    Failed(String),
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url => f.write_str("the base URL is not an http or https URL with a host"),
            Self::Roots(reason) => write!(f, "the extra root certificates cannot be used: {reason}"),
        }
    }
}

impl std::error::Error for EndpointError {}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("connecting took longer than the connect timeout"),
            Self::Failed(reason) => write!(f, "connecting failed: {reason}"),
        }
    }
}

impl std::error::Error for ConnectError {}

impl Endpoint {
    /// An endpoint for `base_url`; `roots` are extra PEM certificates trusted beside the public ones.
    ///
    /// # Errors
    /// When the URL has no host, or `roots` holds no readable certificate.
    pub fn new(
        base_url: &Uri,
        roots: Option<&[u8]>,
        connect_timeout: Duration,
    ) -> Result<Self, EndpointError> {
        let secure = match base_url.scheme() {
            Some(s) if *s == Scheme::HTTPS => true,
            Some(s) if *s == Scheme::HTTP => false,
            _ => return Err(EndpointError::Url),
        };
        let host = base_url.host().ok_or(EndpointError::Url)?.trim_matches(['[', ']']).to_owned();
        let port = base_url.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let authority = base_url.authority().ok_or(EndpointError::Url)?;
        let authority = HeaderValue::from_str(authority.as_str()).map_err(|_| EndpointError::Url)?;
        let transport = if secure { Transport::Tls(Tls::new(&host, roots)?) } else { Transport::Plain };
        Ok(Self { host, port, authority, transport, connect_timeout })
    }

    /// The same server, known to speak HTTP/2 without TLS.
    #[cfg(test)]
    pub(super) fn plain_h2(self) -> Self {
        Self { transport: Transport::PlainH2, ..self }
    }

    /// Opens a connection within the connect timeout and starts its driver task.
    pub(super) async fn connect(&self, gauges: &Gauges) -> Result<Connection, ConnectError> {
        let deadline = Instant::now() + self.connect_timeout;
        match timeout_at(deadline, self.open(deadline, gauges)).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => Err(ConnectError::TimedOut),
            Ok(Err(error)) => Err(ConnectError::Failed(format!("{}:{}: {error}", self.host, self.port))),
            Err(_) => Err(ConnectError::TimedOut),
        }
    }

    /// Opens a connection that no provider counts.
    pub(crate) async fn connect_alone(&self) -> Result<Connection, ConnectError> {
        self.connect(&Gauges::uncounted()).await
    }

    async fn open(&self, deadline: Instant, gauges: &Gauges) -> io::Result<Connection> {
        let tcp = self.tcp(deadline).await?;
        tcp.set_nodelay(true)?;
        SockRef::from(&tcp)
            .set_tcp_keepalive(&TcpKeepalive::new().with_time(PROBE).with_interval(PROBE_WAIT))?;
        let opened = match &self.transport {
            Transport::Plain => Connection::h1(Socket::new(tcp, gauges)).await,
            Transport::Tls(tls) => {
                let stream = tls.connector.connect(tls.name.clone(), tcp).await?;
                let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let socket = Socket::new(stream, gauges);
                if is_h2 { Connection::h2(&h2(), socket).await } else { Connection::h1(socket).await }
            }
            #[cfg(test)]
            Transport::PlainH2 => Connection::h2(&h2(), Socket::new(tcp, gauges)).await,
        };
        opened.map_err(io::Error::other)
    }

    /// Tries each address in turn; each gets an even share of the time left, so that one black hole does not eat it all.
    async fn tcp(&self, deadline: Instant) -> io::Result<TcpStream> {
        let addresses: Vec<SocketAddr> =
            tokio::net::lookup_host((self.host.as_str(), self.port)).await?.collect();
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for (tried, address) in addresses.iter().enumerate() {
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
            match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(last)
    }
}

/// How every HTTP/2 connection is set up.
fn h2() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(PROBE)
        .keep_alive_timeout(PROBE_WAIT)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(STREAM_WINDOW * STREAMS as u32);
    builder
}

impl Tls {
    fn new(host: &str, roots: Option<&[u8]>) -> Result<Self, EndpointError> {
        let mut store = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        if let Some(pem) = roots {
            add_roots(&mut store, pem)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| EndpointError::Roots(error.to_string()))?
            .with_root_certificates(store)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let name = ServerName::try_from(host.to_owned()).map_err(|_| EndpointError::Url)?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }
}

fn add_roots(store: &mut RootCertStore, pem: &[u8]) -> Result<(), EndpointError> {
    let wrong = |text: String| EndpointError::Roots(text);
    let mut found = false;
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        store.add(certificate).map_err(|error| wrong(error.to_string()))?;
        found = true;
    }
    found.then_some(()).ok_or_else(|| wrong("no certificate in it".to_owned()))
}
