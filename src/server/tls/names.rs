//! What a client's certificate says that rustls has verified, read once a connection: names for the identity actors, and
//! until when they hold.

use std::time::{Duration, SystemTime};

use actors::identity::Certificate;
use rustls_pki_types::CertificateDer;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, parse_x509_certificate};

/// A client's certificate, as far as it matters here. One that cannot be read names nobody.
#[derive(Debug, Default)]
pub(in crate::server) struct Shown {
    /// Its names. A name that is there twice is no name: which of them is meant, nobody can say.
    pub(in crate::server) names: Certificate,
    /// Its last moment; `None` where there is none to read.
    pub(in crate::server) until: Option<SystemTime>,
}

impl Shown {
    /// What `der` says.
    pub(in crate::server) fn read(der: &CertificateDer<'_>) -> Self {
        let Ok((_, certificate)) = parse_x509_certificate(der) else { return Self::default() };
        let (san_uri, subject_cn) = (san_uri(&certificate), subject_cn(&certificate));
        let names = Certificate::new(san_uri.as_deref(), subject_cn.as_deref());
        let seconds = u64::try_from(certificate.validity().not_after.timestamp());
        let until = seconds.ok().and_then(|at| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(at)));
        Self { names, until }
    }
}

/// RFC 5280, section 4.2.1.6.
fn san_uri(certificate: &X509Certificate<'_>) -> Option<Box<str>> {
    let names = certificate.subject_alternative_name().ok()??;
    only(names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(Some(*uri)),
        _ => None,
    }))
}

fn subject_cn(certificate: &X509Certificate<'_>) -> Option<Box<str>> {
    only(certificate.subject().iter_common_name().map(|name| name.as_str().ok()))
}

/// The one name, if it is one, can be read, and is not empty.
fn only<'a>(mut names: impl Iterator<Item = Option<&'a str>>) -> Option<Box<str>> {
    match (names.next(), names.next()) {
        (Some(Some(name)), None) if !name.is_empty() => Some(name.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::pem::PemObject;

    use super::*;

    fn names(pem: &[u8]) -> Certificate {
        Shown::read(&CertificateDer::from_pem_slice(pem).expect("a certificate")).names
    }

    #[test]
    fn the_one_uri_and_the_one_common_name_are_read() {
        let alice = names(include_bytes!("../../../tests/it/support/tls/alice.pem"));
        assert_eq!(alice, Certificate::new(Some("spiffe://acme.test/alice"), Some("alice")));
    }

    #[test]
    fn of_several_names_none_is_taken() {
        let many = names(include_bytes!("../../../tests/it/support/tls/many.pem"));
        assert_eq!(many, Certificate::default());
    }

    #[test]
    fn an_address_is_no_uri() {
        let server = names(include_bytes!("../../../tests/it/support/tls/server.pem"));
        assert_eq!(server, Certificate::new(None, Some("upstream")));
    }

    #[test]
    fn what_is_no_certificate_has_no_names() {
        let shown = Shown::read(&CertificateDer::from_slice(b"\x30\x03abc"));
        assert_eq!((shown.names, shown.until), (Certificate::default(), None));
    }

    #[test]
    fn a_certificate_holds_until_its_last_moment() {
        for (pem, seconds) in [
            (&include_bytes!("../../../tests/it/support/tls/alice.pem")[..], 4_733_510_400),
            (include_bytes!("../../../tests/it/support/tls/expired.pem"), 1_609_459_200),
        ] {
            let der = CertificateDer::from_pem_slice(pem).expect("a certificate");
            let until = Shown::read(&der).until.expect("a time");
            assert_eq!(until.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs(), seconds);
        }
    }
}
