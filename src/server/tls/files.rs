//! The files of `[server.tls]`: read, compared, and made into what rustls needs. Errors name the file and never show
//! what is in a key.

use std::{fmt, path::Path, sync::Arc};

use actors::file;
use aws_lc_rs::digest::{Context, SHA256};
use rustls::{Error, InconsistentKeys, RootCertStore, crypto::CryptoProvider, sign::CertifiedKey};
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject},
};

use crate::config::edge;

/// Why files cannot be used; for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsError(String);

/// The files as they were read.
pub(super) struct Files {
    paths: Arc<edge::Tls>,
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// Tells one set of contents from another, and does not tell what they are: SHA-256 of all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark([u8; 32]);

impl TlsError {
    pub(super) fn new(what: String) -> Self {
        Self(what)
    }

    fn of(path: &Path, what: impl fmt::Display) -> Self {
        Self(format!("{}: {what}", path.display()))
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsError {}

impl Files {
    /// Reads them. Blocks.
    pub(super) fn read(paths: Arc<edge::Tls>) -> Result<Self, TlsError> {
        let read = |path: &Path| file::read(path).map_err(|error| TlsError::of(path, error));
        let client_ca = paths.client_ca.as_deref().map(read).transpose()?;
        let (certificate, key) = (read(&paths.certificate)?, read(&paths.key)?);
        Ok(Self { paths, certificate, key, client_ca })
    }

    pub(super) fn mark(&self) -> Mark {
        let mut hash = Context::new(&SHA256);
        for content in
            [Some(&self.certificate), Some(&self.key), self.client_ca.as_ref()].into_iter().flatten()
        {
            hash.update(&content.len().to_le_bytes());
            hash.update(content);
        }
        let mut mark = [0; 32];
        mark.copy_from_slice(hash.finish().as_ref());
        Mark(mark)
    }

    /// The certificate with its chain and its key. A new certificate beside its predecessor's key, as it is seen when the
    /// files are written one after the other, is an error.
    pub(super) fn certified(&self, provider: &Arc<CryptoProvider>) -> Result<CertifiedKey, TlsError> {
        let edge::Tls { certificate, key, .. } = &*self.paths;
        let chain = certificates(certificate, &self.certificate)?;
        // An error of the parser may quote what it could not parse.
        let parsed = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| match error {
            pem::Error::NoItemsFound => {
                TlsError::of(key, "holds no private key in PEM (PKCS#8, PKCS#1 or SEC1, not encrypted)")
            }
            _ => TlsError::of(key, "is no PEM"),
        })?;
        let signing = provider.key_provider.load_private_key(parsed).map_err(|_| {
            TlsError::of(key, "is no key that can be used: RSA from 2048 bits, ECDSA, Ed25519")
        })?;
        let certified = CertifiedKey::new(chain, signing);
        match certified.keys_match() {
            // Some keys do not know their public half.
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
            Err(Error::InconsistentKeys(_)) => {
                let what = format!("is not the key of the first certificate in {}", certificate.display());
                Err(TlsError::of(key, what))
            }
            Err(error) => Err(TlsError::of(certificate, format!("the first certificate: {error}"))),
        }
    }

    /// Roots of the clients' certificates, where these are demanded.
    pub(super) fn roots(&self) -> Result<Option<RootCertStore>, TlsError> {
        let (Some(path), Some(content)) = (&self.paths.client_ca, &self.client_ca) else { return Ok(None) };
        let mut roots = RootCertStore::empty();
        for root in certificates(path, content)? {
            roots.add(root).map_err(|error| TlsError::of(path, error))?;
        }
        Ok(Some(roots))
    }
}

/// All certificates of a PEM file, at least one.
fn certificates(path: &Path, content: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(content).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(TlsError::of(path, "holds no certificate in PEM")),
        Ok(certificates) => Ok(certificates),
        // Someone may have given the key here.
        Err(_) => Err(TlsError::of(path, "is no PEM")),
    }
}

#[cfg(test)]
mod tests;
