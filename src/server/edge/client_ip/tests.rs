//! Whose address a request is counted under.

use actors::identity::Networks;
use http::HeaderValue;
use proptest::{collection::vec, prelude::*};

use super::*;

const PEER: &str = "10.0.0.9";

fn read(rules: edge::ClientIp, trusted: &[&str], headers: &[(&str, &[u8])]) -> String {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value).unwrap());
    }
    let trusted_proxies = Networks::new(trusted.iter().map(|net| net.parse().unwrap()).collect());
    ClientIp::new(edge::ClientIp { trusted_proxies, ..rules }).of(&map, PEER.parse().unwrap()).to_string()
}

fn hops(hops: usize) -> edge::ClientIp {
    edge::ClientIp { trusted_hops: Some(hops), ..edge::ClientIp::default() }
}

fn real_ip() -> edge::ClientIp {
    edge::ClientIp { x_real_ip: true, ..edge::ClientIp::default() }
}

#[test]
fn headers_that_are_not_configured_say_nothing() {
    let both: [(&str, &[u8]); 2] = [("x-real-ip", b"1.1.1.1"), ("x-forwarded-for", b"2.2.2.2, 3.3.3.3")];
    assert_eq!(read(edge::ClientIp::default(), &[], &both), PEER);
    assert_eq!(read(real_ip(), &[], &both), "1.1.1.1");
    assert_eq!(read(hops(0), &[], &both), "3.3.3.3");
    let either = edge::ClientIp { x_real_ip: true, ..hops(1) };
    assert_eq!(read(either.clone(), &[], &both), "1.1.1.1");
    assert_eq!(read(either, &[], &both[1..]), "2.2.2.2");
}

#[test]
fn the_entry_is_counted_from_the_right_over_all_lines() {
    let lines: [(&str, &[u8]); 2] =
        [("x-forwarded-for", b"6.6.6.6, 1.1.1.1"), ("x-forwarded-for", b"2.2.2.2")];
    for (count, expected) in [(0, "2.2.2.2"), (1, "1.1.1.1"), (2, "6.6.6.6"), (3, PEER), (usize::MAX, PEER)] {
        assert_eq!(read(hops(count), &[], &lines), expected, "{count} hops");
    }
}

#[test]
fn an_entry_is_read_as_proxies_write_it() {
    for (entry, expected) in [
        ("1.1.1.1:8080", "1.1.1.1"),
        (" 1.1.1.1\t", "1.1.1.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("2001:0DB8:0:0::1", "2001:db8::1"),
        ("::ffff:1.1.1.1", "1.1.1.1"),
        ("1.1.1.1, , ", "1.1.1.1"),
        ("unknown", PEER),
        ("1.1.1", PEER),
        ("01.1.1.1", PEER),
        ("[1.1.1.1", PEER),
        ("1.1.1.1:99999", PEER),
        ("\"1.1.1.1\"", PEER),
        ("", PEER),
    ] {
        assert_eq!(read(hops(0), &[], &[("x-forwarded-for", entry.as_bytes())]), expected, "{entry}");
    }
}

#[test]
fn two_real_addresses_are_none() {
    let line: (&str, &[u8]) = ("x-real-ip", b"1.1.1.1");
    assert_eq!(read(real_ip(), &[], &[line, line]), PEER);
    let rules = edge::ClientIp { x_real_ip: true, ..hops(0) };
    assert_eq!(read(rules, &[], &[("x-real-ip", b"?"), ("x-forwarded-for", b"2.2.2.2")]), PEER);
}

#[test]
fn where_proxies_are_named_only_they_are_believed() {
    let line: [(&str, &[u8]); 1] = [("x-real-ip", b"1.1.1.1")];
    assert_eq!(read(real_ip(), &["10.0.0.0/8"], &line), "1.1.1.1");
    assert_eq!(read(real_ip(), &["192.168.0.0/16"], &line), PEER);
}

#[test]
fn a_peer_of_either_family_is_one_address() {
    let told = ClientIp::default().of(&HeaderMap::new(), "::ffff:10.0.0.9".parse().unwrap());
    assert_eq!(told.to_string(), PEER);
    let trusted_proxies = Networks::new(vec!["10.0.0.0/8".parse().unwrap()]);
    let trusting = ClientIp::new(edge::ClientIp { trusted_proxies, ..real_ip() });
    let headers = HeaderMap::from_iter([(X_REAL_IP, HeaderValue::from_static("1.1.1.1"))]);
    assert_eq!(trusting.of(&headers, "::ffff:10.0.0.9".parse().unwrap()).to_string(), "1.1.1.1");
}

proptest! {
    #[test]
    fn no_bytes_are_too_much_for_it(
        lines in vec(vec(any::<u8>(), 0..40), 0..4), entries in "[0-9a-f.:\\[\\], %]{0,60}", count in 0..6_usize,
    ) {
        let mut headers = HeaderMap::new();
        for line in lines.iter().map(Vec::as_slice).chain([entries.as_bytes()]) {
            if let Ok(value) = HeaderValue::from_bytes(line) {
                headers.append(X_FORWARDED_FOR, value.clone());
                headers.append(X_REAL_IP, value);
            }
        }
        for x_real_ip in [false, true] {
            let rules = edge::ClientIp { x_real_ip, ..hops(count) };
            let told = ClientIp::new(rules).of(&headers, PEER.parse().unwrap());
            prop_assert_eq!(told, told.to_canonical());
        }
    }

    #[test]
    fn what_a_client_writes_to_the_left_changes_nothing(forged in "[0-9., a-z]{0,40}") {
        let value = format!("{forged}, 1.1.1.1, 10.0.0.8");
        let line: (&str, &[u8]) = ("x-forwarded-for", value.as_bytes());
        prop_assert_eq!(read(hops(1), &[], &[line]), "1.1.1.1");
    }
}
