//! Identity actors: from what a request presents to who is calling.

use std::collections::BTreeSet;

use http::HeaderName;
use ipnet::IpNet;

use crate::principal::Group;

/// How callers are identified, as configured. Never changes while the server runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Header that names the client.
    pub client_header: HeaderName,
    /// Header that names the client's group, if groups are used.
    pub group_header: Option<HeaderName>,
    /// The groups a caller may name; empty = any.
    pub groups: BTreeSet<Group>,
    /// Whether a request without a group is refused.
    pub require_group: bool,
    /// Peers whose identity headers are believed; empty = all peers.
    pub trusted_proxies: Vec<IpNet>,
}
