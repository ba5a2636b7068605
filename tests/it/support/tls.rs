//! What a scripted provider needs to speak TLS, and clients of a router that does.
//!
//! The certificates are for 127.0.0.1 only, from authorities that nobody else trusts; `tls/README.md` lists them.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    version::{TLS12, TLS13},
};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

use super::{client::Connection, in_time};

/// The authority's certificate, for `ca_file`.
pub(crate) const AUTHORITY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/tls/ca.pem");

/// Accepts TLS and offers these application protocols.
pub(crate) fn acceptor(protocols: &[&str]) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("tls/server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/server.key")).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// The path of a certificate or key of the tests; an absolute one stays as it is.
pub(crate) fn file(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/it/support/tls", name].iter().collect()
}

/// The certificate in a file of the tests.
pub(crate) fn certificate(name: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(file(name)).unwrap()
}

/// An authority for clients that lives as long as a test: what it signs may be about to expire.
pub(crate) struct Brief {
    folder: TempDir,
    authority: Issuer<'static, KeyPair>,
}

impl Brief {
    /// A new one.
    pub(crate) fn new() -> Self {
        let (folder, key) = (tempfile::tempdir().unwrap(), KeyPair::generate().unwrap());
        let mut root = CertificateParams::default();
        root.distinguished_name.push(DnType::CommonName, "brief");
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.key_usages.push(KeyUsagePurpose::KeyCertSign);
        write(&folder.path().join("ca.pem"), "CERTIFICATE", root.self_signed(&key).unwrap().der());
        Self { folder, authority: Issuer::new(root, key) }
    }

    /// The path of its own certificate.
    pub(crate) fn root(&self) -> String {
        self.folder.path().join("ca.pem").display().to_string()
    }

    /// The name, for [`Client::named`], of a new client's certificate that holds until then.
    pub(crate) fn issue(&self, until: SystemTime) -> String {
        let (name, key) = (self.folder.path().join("client"), KeyPair::generate().unwrap());
        let mut client = CertificateParams::default();
        client.distinguished_name.push(DnType::CommonName, "client");
        client.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        client.not_after = until.into();
        let certificate = client.signed_by(&key, &self.authority).unwrap();
        write(&name.with_extension("pem"), "CERTIFICATE", certificate.der());
        write(&name.with_extension("key"), "PRIVATE KEY", key.serialized_der());
        name.display().to_string()
    }
}

/// Writes a file in PEM (RFC 7468).
fn write(path: &Path, what: &str, der: &[u8]) {
    let text = STANDARD.encode(der);
    fs::write(path, format!("-----BEGIN {what}-----\n{text}\n-----END {what}-----\n")).unwrap();
}

/// How a client speaks TLS to a router. Clones share the sessions that can be resumed.
#[derive(Clone)]
pub(crate) struct Client(Arc<ClientConfig>);

impl Client {
    /// One that offers these application protocols.
    pub(crate) fn new(protocols: &[&str]) -> Self {
        Self::with(protocols, &[&TLS13, &TLS12], None)
    }

    /// One that speaks this version of TLS only.
    pub(crate) fn of_version(version: &'static SupportedProtocolVersion, protocols: &[&str]) -> Self {
        Self::with(protocols, &[version], None)
    }

    /// One that shows the certificate of this name.
    pub(crate) fn showing(version: &'static SupportedProtocolVersion, name: &str) -> Self {
        Self::with(&["http/1.1"], &[version], Some(name))
    }

    /// One that shows the certificate of this name, and offers these application protocols.
    pub(crate) fn named(name: &str, protocols: &[&str]) -> Self {
        Self::with(protocols, &[&TLS13], Some(name))
    }

    fn with(protocols: &[&str], versions: &[&'static SupportedProtocolVersion], shown: Option<&str>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(certificate("edge_ca.pem")).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match shown {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let key = PrivateKeyDer::from_pem_file(file(&format!("{name}.key"))).unwrap();
                builder.with_client_auth_cert(vec![certificate(&format!("{name}.pem"))], key).unwrap()
            }
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Self(Arc::new(config))
    }

    /// Connects. Whether its own certificate was good, a client of TLS 1.3 learns only when it reads.
    pub(crate) async fn connect(&self, address: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
        let stream = in_time("a connection", TcpStream::connect(address)).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::IpAddress(address.ip().into());
        in_time("a handshake", TlsConnector::from(Arc::clone(&self.0)).connect(name, stream)).await
    }

    /// A connection that speaks HTTP/1.1.
    pub(crate) async fn http1(&self, address: SocketAddr) -> Connection {
        Connection::http1_over(self.connect(address).await.unwrap()).await
    }

    /// A connection that speaks HTTP/2.
    pub(crate) async fn http2(&self, address: SocketAddr) -> Connection {
        Connection::http2_over(self.connect(address).await.unwrap()).await
    }
}
