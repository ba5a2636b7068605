//! The address of a caller: the connection's, unless a proxy in front is configured to say. Headers count only as far as
//! they are configured, and, where proxies are named, only from them.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};

use crate::{config::edge, header::Sent};

const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Where the address is read from.
#[derive(Debug, Default)]
pub struct ClientIp(edge::ClientIp);

impl ClientIp {
    /// By `[server.client_ip]`.
    pub fn new(rules: edge::ClientIp) -> Self {
        Self(rules)
    }

    /// The address of whoever sent a request with these headers by way of `peer`. What cannot be read leaves the peer's.
    pub(super) fn of(&self, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
        // A listener for both families sees IPv4 peers as `::ffff:a.b.c.d`.
        let peer = peer.to_canonical();
        self.told(headers, peer).unwrap_or(peer)
    }

    fn told(&self, headers: &HeaderMap, peer: IpAddr) -> Option<IpAddr> {
        let edge::ClientIp { x_real_ip, trusted_hops, trusted_proxies } = &self.0;
        if !trusted_proxies.believe(peer) {
            return None;
        }
        match Sent::of(headers, &X_REAL_IP) {
            Sent::Once(told) if *x_real_ip => address(told.as_bytes()),
            // Nobody can say which one the proxy wrote.
            Sent::Repeatedly if *x_real_ip => None,
            _ => forwarded(headers).nth((*trusted_hops)?).and_then(address),
        }
    }
}

/// The entries of `X-Forwarded-For`, the last one first; several lines are one list.
fn forwarded(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
    let entries = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    // A list may have empty elements, which do not count (RFC 9110, section 5.6.1).
    entries.map(<[u8]>::trim_ascii).filter(|entry| !entry.is_empty())
}

/// An address as proxies write it: with a port or without, IPv6 in brackets or not.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry.trim_ascii()).ok()?;
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().or_else(|_| text.parse().map(|socket: SocketAddr| socket.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests;
