//! Networks whose machines are believed in what they say of others. Pure.

use std::net::IpAddr;

use ipnet::IpNet;

/// Peers that are believed: those in one of these networks, or all peers where none is named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Box<[IpNet]>);

impl Networks {
    /// These networks, each by its first address.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks.iter().map(IpNet::trunc).collect())
    }

    /// Whether this peer is believed.
    pub fn believe(&self, peer: IpAddr) -> bool {
        // A listener for both families sees IPv4 peers as `::ffff:a.b.c.d`: they are in IPv4 networks all the same.
        let peer = peer.to_canonical();
        self.0.is_empty() || self.0.iter().any(|network| network.contains(&peer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_believed_in_either_spelling_of_its_address_and_everyone_where_none_is_named() {
        let networks = Networks::new(vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()]);
        for (peer, believed) in [
            ("10.255.0.1", true),
            ("::ffff:10.0.0.1", true),
            ("2001:db8::1", true),
            ("11.0.0.1", false),
            ("::ffff:11.0.0.1", false),
            ("2001:db9::1", false),
        ] {
            let peer = peer.parse().unwrap();
            assert_eq!(networks.believe(peer), believed, "{peer}");
            assert!(Networks::default().believe(peer), "{peer}");
        }
    }
}
