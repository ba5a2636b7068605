//! `[server]` and `[actors]`.

use std::{net::SocketAddr, thread, time::Duration};

use super::{Check, cors::cors, edge, oauth::protected_resource, storage::storage};
use crate::config::{
    Actors, Health, Protocols, Server,
    diagnostic::{Code, Diagnostic},
    edge::METADATA,
    file::{Size, View},
};

/// The listener and its limits.
pub(super) fn server(root: View<'_>, protocols: &Protocols, check: &mut Check<'_>) -> Server {
    let view = root.table("server");
    let limits = view.table("rate_limits");
    let limited = [root.table("llm").entry("providers"), view.entry("rate_limits")];
    let server = Server {
        listen_address: view.value("listen_address"),
        max_in_flight: view.value("max_in_flight"),
        max_connections: view.value("max_connections"),
        memory_budget: view.value::<Size>("memory_budget").0,
        request_body_limit: view.value::<Size>("request_body_limit").0,
        header_timeout: view.value("header_timeout"),
        body_timeout: view.value("body_timeout"),
        write_timeout: view.value("write_timeout"),
        idle_timeout: view.value("idle_timeout"),
        drain_delay: view.value("drain_delay"),
        shutdown_timeout: view.value("shutdown_timeout"),
        health: health(view.table("health")),
        admin: view.table("admin").get("listen"),
        max_clients: limits.value("max_clients"),
        storage: storage(limits.table("storage"), limited.as_slice(), check),
        tls: edge::tls(view.table("tls"), check),
        cors: cors(view.table("cors"), check),
        csrf: edge::csrf(view.table("csrf"), check),
        client_ip: edge::client_ip(view, check),
        request_limits: edge::request_limits(limits),
        protected_resource: protected_resource(view.table("oauth").table("protected_resource"), check),
    };
    health_path(view, &server.health, protocols, check);
    listeners(view, &server, check);
    server
}

/// The actors. Counts that depend on the machine are taken from it.
pub(super) fn actors(view: View<'_>) -> Actors {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    Actors {
        identity_workers: view.get("identity_workers").unwrap_or(cores),
        quota_shards: view.get("quota_shards").unwrap_or(4 * cores),
        provider_workers: view.value("provider_workers"),
        mailbox_limit: view.value("mailbox_limit"),
        metrics_interval: view.get::<String>("metrics_interval").filter(|text| text != "off").and_then(
            |_| {
                view.get::<Duration>("metrics_interval") // the default is a duration
            },
        ),
    }
}

fn health(view: View<'_>) -> Health {
    Health { enabled: view.value("enabled"), path: view.value("path"), listen: view.get("listen") }
}

/// On the main listener the health route must not hide another.
fn health_path(view: View<'_>, health: &Health, protocols: &Protocols, check: &mut Check<'_>) {
    if !health.enabled || health.listen.is_some() {
        return;
    }
    let others = ["/v1", "/v1beta", METADATA];
    let all = [&protocols.openai, &protocols.anthropic, &protocols.google];
    let mut taken = all.into_iter().flatten().flatten().map(String::as_str).chain(others);
    let under = |base: &str| {
        health.path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if let (Some(base), Some(entry)) = (taken.find(|base| under(base)), view.table("health").entry("path")) {
        let message = format!("the health route lies under `{base}`, where something else is served");
        check.at_value(entry, Code::DuplicatePath, message, "for example `path = \"/health\"`");
    }
}

/// Every listener needs an address of its own.
fn listeners(view: View<'_>, server: &Server, check: &mut Check<'_>) {
    let places: [(Option<SocketAddr>, _); 3] = [
        (Some(server.listen_address), view.entry("listen_address")),
        (server.health.listen.filter(|_| server.health.enabled), view.table("health").entry("listen")),
        (server.admin, view.table("admin").entry("listen")),
    ];
    for (index, (address, entry)) in places.iter().enumerate() {
        let (Some(address), Some(entry)) = (address.filter(|address| address.port() != 0), entry) else {
            continue;
        };
        let other = places[..index].iter().find(|(other, _)| *other == Some(address));
        if let Some((_, first)) = other {
            let message = "two listeners have the same address";
            let mut problem = Diagnostic::new(Code::DuplicateAddress, entry.node.span.clone(), message)
                .help("give each listener a port of its own");
            if let Some(first) = first {
                problem = problem.label(first.node.span.clone(), "the other one");
            }
            check.report.push(problem);
        }
    }
}
