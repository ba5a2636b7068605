//! Every way in which files can be unusable, and what is said of it.

use std::{fs, path::PathBuf};

use rustls::crypto::aws_lc_rs;
use tempfile::TempDir;

use super::*;

/// The certificates that all tests share.
fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/tls").join(name)
}

fn pair(certificate: &str, key: &str) -> edge::Tls {
    edge::Tls { certificate: sample(certificate), key: sample(key), client_ca: None }
}

/// A file with this content.
fn written(content: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file.pem");
    fs::write(&path, content).expect("written");
    (folder, path)
}

/// What is said of a set, without the folders.
fn problem(paths: &edge::Tls) -> String {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let used = Files::read(Arc::new(paths.clone()));
    let used = used.and_then(|files| files.certified(&provider).and_then(|_| files.roots()));
    let text = used.map(drop).expect_err("unusable").to_string();
    text.split_whitespace().map(|word| word.rsplit('/').next().unwrap_or(word)).collect::<Vec<_>>().join(" ")
}

#[test]
fn keys_are_read_in_all_three_forms() {
    let provider = Arc::new(aws_lc_rs::default_provider());
    for name in ["server", "edge_rsa", "edge_ec"] {
        let paths = pair(&format!("{name}.pem"), &format!("{name}.key"));
        let files = Files::read(Arc::new(paths)).expect("read");
        assert_eq!(files.certified(&provider).expect("usable").cert.len(), 1, "{name}");
    }
}

#[test]
fn a_problem_names_its_file() {
    let (_folder, nothing) = written(b"");
    let (_other, torn) = written(b"-----BEGIN CERTIFICATE-----\nMIIB");
    let (_third, wrong) = written(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let good = pair("edge_ec.pem", "edge_ec.key");
    assert_eq!(problem(&pair("none.pem", "edge_ec.key")), "none.pem: No such file or directory (os error 2)");
    assert_eq!(
        problem(&pair("edge_ec.pem", "edge_rsa.key")),
        "edge_rsa.key: is not the key of the first certificate in edge_ec.pem"
    );
    assert_eq!(problem(&pair("edge_ec.key", "edge_ec.key")), "edge_ec.key: holds no certificate in PEM");
    assert_eq!(
        problem(&pair("edge_ec.pem", "edge_ec.pem")),
        "edge_ec.pem: holds no private key in PEM (PKCS#8, PKCS#1 or SEC1, not encrypted)"
    );
    let with = |certificate: &PathBuf| edge::Tls { certificate: certificate.clone(), ..good.clone() };
    assert_eq!(problem(&with(&nothing)), "file.pem: holds no certificate in PEM");
    assert_eq!(problem(&with(&torn)), "file.pem: is no PEM");
    assert!(problem(&with(&wrong)).starts_with("file.pem: the first certificate: "));
    for roots in [&nothing, &torn, &wrong] {
        let paths = edge::Tls { client_ca: Some(roots.clone()), ..good.clone() };
        assert!(problem(&paths).starts_with("file.pem: "), "{}", problem(&paths));
    }
}

#[test]
fn what_cannot_be_parsed_of_a_key_is_not_quoted() {
    let secrets = ["-----BEGIN PRIVATE KEY-----\nsecret!\n-----END PRIVATE KEY-----\n", "-----BEGIN secret"];
    for content in secrets {
        let (_folder, key) = written(content.as_bytes());
        let paths = edge::Tls { key, ..pair("edge_ec.pem", "edge_ec.key") };
        assert!(!problem(&paths).contains("secret"), "{}", problem(&paths));
    }
}

#[test]
fn a_file_without_end_is_not_read_to_it() {
    let paths = edge::Tls { certificate: "/dev/zero".into(), ..pair("edge_ec.pem", "edge_ec.key") };
    assert_eq!(problem(&paths), "zero: larger than 1 MiB");
}

#[test]
fn any_change_of_any_file_changes_the_mark() {
    let mark = |paths: &edge::Tls| Files::read(Arc::new(paths.clone())).expect("read").mark();
    let first = pair("edge_ec.pem", "edge_ec.key");
    let with_roots = edge::Tls { client_ca: Some(sample("client_ca.pem")), ..first.clone() };
    let other_roots = edge::Tls { client_ca: Some(sample("foreign_ca.pem")), ..first.clone() };
    let sets = [
        first,
        pair("edge_rsa.pem", "edge_ec.key"),
        pair("edge_ec.pem", "edge_rsa.key"),
        with_roots,
        other_roots,
    ];
    for (index, set) in sets.iter().enumerate() {
        assert!(sets[..index].iter().all(|other| mark(other) != mark(set)), "{index}");
        assert_eq!(mark(set), mark(&set.clone()));
    }
}
