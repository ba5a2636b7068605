//! `[server.tls]`, `[server.csrf]`, `[server.client_ip]` and the limits on requests.

use http::HeaderName;

use super::Check;
use crate::config::{
    edge::{ClientIp, RequestLimit, RequestLimits, Tls},
    file::View,
};

/// The files of the listener. What is in them is its matter.
pub(super) fn tls(view: View<'_>, check: &mut Check<'_>) -> Option<Tls> {
    let mut file = |name| view.entry(name).and_then(|entry| check.path(entry));
    let (certificate, key, client_ca) = (file("certificate"), file("key"), file("client_ca"));
    Some(Tls { certificate: certificate?, key: key?, client_ca })
}

/// The header every request must carry.
pub(super) fn csrf(view: View<'_>) -> Option<HeaderName> {
    view.value::<bool>("enabled").then(|| view.get("header_name")).flatten()
}

/// Where the address of a caller is read from.
pub(super) fn client_ip(view: View<'_>) -> ClientIp {
    ClientIp { x_real_ip: view.value("x_real_ip"), trusted_hops: view.get("x_forwarded_for_trusted_hops") }
}

/// `global` and `per_ip`, unless they are switched off.
pub(super) fn request_limits(view: View<'_>) -> RequestLimits {
    if view.get("enabled") == Some(false) {
        return RequestLimits::default();
    }
    let limit = |name| {
        let view = view.table(name);
        Some(RequestLimit { limit: view.get("limit")?, interval: view.get("interval")? })
    };
    RequestLimits { global: limit("global"), per_ip: limit("per_ip") }
}
