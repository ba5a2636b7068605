//! The names in a client's certificate that rustls has verified: read once a connection, for the identity actors.

use actors::identity::Certificate;
use rustls_pki_types::CertificateDer;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, parse_x509_certificate};

/// The names in `der`. A name that is there twice is no name: which of them is meant, nobody can say.
pub(in crate::server) fn certificate(der: &CertificateDer<'_>) -> Certificate {
    let Ok((_, certificate)) = parse_x509_certificate(der) else { return Certificate::default() };
    Certificate { san_uri: san_uri(&certificate), subject_cn: subject_cn(&certificate) }
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

    fn names(pem: &[u8]) -> (Option<String>, Option<String>) {
        let der = CertificateDer::from_pem_slice(pem).expect("a certificate");
        let Certificate { san_uri, subject_cn } = certificate(&der);
        (san_uri.map(String::from), subject_cn.map(String::from))
    }

    #[test]
    fn the_one_uri_and_the_one_common_name_are_read() {
        let (uri, name) = names(include_bytes!("../../../tests/it/support/tls/alice.pem"));
        assert_eq!((uri.as_deref(), name.as_deref()), (Some("spiffe://acme.test/alice"), Some("alice")));
    }

    #[test]
    fn of_several_names_none_is_taken() {
        assert_eq!(names(include_bytes!("../../../tests/it/support/tls/many.pem")), (None, None));
    }

    #[test]
    fn an_address_is_no_uri() {
        let (uri, name) = names(include_bytes!("../../../tests/it/support/tls/server.pem"));
        assert_eq!((uri, name.as_deref()), (None, Some("upstream")));
    }

    #[test]
    fn what_is_no_certificate_has_no_names() {
        assert_eq!(certificate(&CertificateDer::from_slice(b"\x30\x03abc")), Certificate::default());
    }
}
