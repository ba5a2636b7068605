//! The names in a client's certificate that rustls has verified: read once a connection, for the identity actors.

use actors::identity::Certificate;
use rustls_pki_types::CertificateDer;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, parse_x509_certificate};

/// The names in `der`. A name that is there twice is no name: which of them is meant, nobody can say.
pub(in crate::server) fn certificate(der: &CertificateDer<'_>) -> Certificate {
    let Ok((_, certificate)) = parse_x509_certificate(der) else { return Certificate::default() };
    Certificate::new(san_uri(&certificate).as_deref(), subject_cn(&certificate).as_deref())
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
        certificate(&CertificateDer::from_pem_slice(pem).expect("a certificate"))
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
        assert_eq!(certificate(&CertificateDer::from_slice(b"\x30\x03abc")), Certificate::default());
    }
}
