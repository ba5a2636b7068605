//! The limits on requests, `[server.rate_limits]` `global` and `per_ip`: windows like those of tokens, a request being one.
//! Who counts is a quota actor; here is only who is asked, in which order, and that a refused request costs nothing.

use std::{
    io::Write as _,
    net::{IpAddr, Ipv6Addr},
};

use actors::{
    ClientId,
    quota::{AccountId, Demand, Kind, Limit, Quota, Refusal, Reservation, Rule, Rules, Scope},
};
use http::HeaderMap;

use super::ClientIp;
use crate::{
    config::edge::RequestLimit,
    error::{self, Error},
};

/// The limits on requests; by default there are none.
#[derive(Debug, Default)]
pub struct RequestLimits {
    /// On all callers together.
    pub global: Option<Limited>,
    /// On each address.
    pub per_ip: Option<Limited>,
    /// Whose address that is.
    pub client_ip: ClientIp,
}

/// A limit, and the actors that hold its windows.
#[derive(Debug)]
pub struct Limited {
    /// The rule, as `error.limit` names it.
    rule: &'static str,
    rules: Rules,
    quota: Quota,
    /// The name under which all callers are one.
    everybody: ClientId,
}

/// A request that the limits admitted. Dropped, it gives back what it took.
#[derive(Debug)]
#[must_use = "dropped, it was not admitted"]
pub struct Admitted([Option<Reservation>; 2]);

impl RequestLimits {
    /// Takes one request: from the global limit, then from that of the caller's address. Both or none; who is refused is
    /// told the longer of the two waits.
    pub(super) async fn admit(&self, headers: &HeaderMap, peer: IpAddr) -> Result<Admitted, Error> {
        let global = match &self.global {
            Some(limited) => match limited.take(&limited.everybody).await {
                Ok(global) => Some(global),
                Err(refusal) => return Err(self.longer(refusal, headers, peer).await),
            },
            None => None,
        };
        let Some(limited) = &self.per_ip else { return Ok(Admitted([global, None])) };
        let counted = counted(self.client_ip.of(headers, peer));
        match limited.take(&counted).await {
            Ok(per_ip) => Ok(Admitted([global, Some(per_ip)])),
            Err(refusal) => {
                if let Some(global) = global {
                    // Awaited, so that whoever reads the refusal finds the unit back.
                    global.refund().await;
                }
                Err(refusal)
            }
        }
    }

    /// The refusal of the global limit, or that of the caller's address if it holds for longer.
    async fn longer(&self, global: Error, headers: &HeaderMap, peer: IpAddr) -> Error {
        let (Some(limited), Error::Requests { .. }) = (&self.per_ip, &global) else { return global };
        match limited.take(&counted(self.client_ip.of(headers, peer))).await {
            Ok(per_ip) => {
                per_ip.refund().await;
                global
            }
            Err(per_ip) if wait(&per_ip) > wait(&global) => per_ip,
            Err(_) => global,
        }
    }
}

/// How long a refusal of a limit holds, in seconds; nothing for other errors, most for a limit of nothing.
fn wait(error: &Error) -> u64 {
    match error {
        Error::Requests { retry_after, .. } => retry_after.unwrap_or(u64::MAX),
        _ => 0,
    }
}

/// The name under which an address is counted. IPv6 goes by its /64, the least that one network is given (RFC 7421): who
/// has one has all 2^64 addresses in it.
fn counted(address: IpAddr) -> ClientId {
    const HOST: u128 = u64::MAX as u128;
    /// Eight groups of four digits, with colons between.
    const LONGEST: usize = 39;
    let network = match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !HOST).into(),
    };
    let mut text = [0; LONGEST];
    let mut rest = &mut text[..];
    let _ = write!(rest, "{network}");
    let written = LONGEST - rest.len();
    ClientId::new(str::from_utf8(&text[..written]).unwrap_or_default())
}

impl Limited {
    /// A limit on all callers together.
    pub fn global(limit: RequestLimit, quota: Quota) -> Self {
        Self::new("server.rate_limits.global", limit, quota)
    }

    /// A limit on each address.
    pub fn per_ip(limit: RequestLimit, quota: Quota) -> Self {
        Self::new("server.rate_limits.per_ip", limit, quota)
    }

    fn new(rule: &'static str, RequestLimit { limit, interval }: RequestLimit, quota: Quota) -> Self {
        let limit = Limit { scope: Scope(0), tokens: limit, interval, horizon: [interval].into() };
        let rules = Rules::new([Rule::new(Kind::Request, limit, rule)]);
        Self { rule, rules, quota, everybody: ClientId::new("") }
    }

    /// Takes one request of `client`.
    async fn take(&self, client: &ClientId) -> Result<Reservation, Error> {
        let accounts = [(AccountId::Client(client.clone()), &self.rules)];
        let reserved = self.quota.reserve(&Demand::of_input(&accounts, 0)).await;
        reserved.map_err(|refusal| match refusal {
            Refusal::Short { .. } | Refusal::Oversize { .. } => {
                Error::Requests { rule: self.rule, retry_after: refusal.retry_after_seconds() }
            }
            Refusal::Crowded => error::Quota::Crowded.into(),
            Refusal::Unreachable(gone) => gone.into(),
        })
    }
}

impl Admitted {
    /// The request is taken on: what it took is spent.
    pub(in crate::server) fn settle(self) {
        self.0.into_iter().flatten().for_each(Reservation::settle);
    }
}

#[cfg(test)]
mod tests;
