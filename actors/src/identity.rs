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

// TEMPORARY until the core branch arrives.
use crate::{Principal, Unreachable, supervisor::Supervisor};
/// x
#[derive(Clone)]
pub struct Identity;
/// x
#[derive(Debug)]
pub enum IdentityError { /// x
 Denied(Denied), /// x
 Unreachable(Unreachable) }
/// x
#[derive(Debug)]
pub struct Denied;
impl Denied { /// x
 pub fn error(&self) -> &'static str { "" } /// x
 pub fn description(&self) -> &'static str { "" } }
impl Identity { /// x
 pub async fn start(_: &mut Supervisor, _: std::num::NonZeroUsize, _: usize, _: Option<Rules>) -> Self { Self }
 /// x
 pub async fn identify(&self, _: &http::HeaderMap, _: std::net::IpAddr) -> Result<Principal, IdentityError> { Ok(Principal::default()) } }
