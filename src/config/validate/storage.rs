//! `[server.rate_limits] storage`: where windows are kept.

use actors::quota::{OnError, Redis, RedisTls};
use http::Uri;

use super::Check;
use crate::config::{
    Storage,
    diagnostic::{Code, Diagnostic},
    file::{Billionths, Entry, Read as _, Table, Value, View},
    limits::KEYS,
    quantity::write_billionths,
    secret::Secret,
};

/// Up to here a number of Redis' scripts is exact.
const MOST: u64 = 1 << 53;
/// Stands in for an address that could not be read; the file is refused then, or nothing is called.
const NOWHERE: &str = "redis://unknown.invalid";

/// Where windows are kept. `limits` are the tables that may hold any.
pub(super) fn storage(view: View<'_>, limits: &[Option<&Entry>], check: &mut Check<'_>) -> Storage {
    if view.value::<String>("type") != "redis" {
        let path = view.get::<String>("path").map(|path| check.folder.join(path));
        return Storage::Memory { path };
    }
    limits.iter().flatten().filter_map(|entry| entry.node.table()).for_each(|table| exact(table, check));
    let url = url(view, check);
    let encrypted = url.starts_with("rediss:") || url.starts_with("valkeys:");
    Storage::Redis(Redis {
        key_prefix: view.value("key_prefix"),
        on_error: match view.value::<String>("on_error").as_str() {
            "deny" => OnError::Deny,
            "allow" => OnError::Allow,
            _ => OnError::Local,
        },
        required: view.entry("on_error").is_none() || view.value::<String>("on_error") == "deny",
        response_timeout: view.value("response_timeout"),
        connection_timeout: view.value("connection_timeout"),
        connections: view.table("pool").value("max_size"),
        tls: tls(view.table("tls"), encrypted, check),
        url: Secret::new(url),
    })
}

fn url(view: View<'_>, check: &mut Check<'_>) -> String {
    let Some(entry) = view.entry("url") else {
        let help = "write the server's address: `url = \"redis://127.0.0.1:6379\"`";
        check.report.push(Diagnostic::new(Code::MissingKey, view.span(), "`url` is missing").help(help));
        return NOWHERE.to_owned();
    };
    let Some(url) = entry.node.text() else { return NOWHERE.to_owned() };
    if let Some(fault) = fault(url) {
        let help = "write `redis://` or `rediss://`, a user and a password where there are any, host, port and number \
                    of the database, special characters as `%XX`: `url = \"redis://:{{ env.PASSWORD }}@127.0.0.1:6379/0\"`";
        check.at_value(entry, Code::InvalidUrl, format!("the URL {fault}"), help);
        return NOWHERE.to_owned();
    }
    url.to_owned()
}

fn fault(url: &str) -> Option<&'static str> {
    let Ok(url) = url.parse::<Uri>() else { return Some("cannot be read") };
    let database = url.path().strip_prefix('/').unwrap_or_default();
    match url.scheme_str() {
        Some("redis" | "rediss" | "valkey" | "valkeys") => {}
        _ => return Some("must begin with `redis://` or `rediss://`"),
    }
    match url.host() {
        None | Some("") => Some("has no host"),
        Some(_) if !database.is_empty() && database.parse::<u32>().is_err() => {
            Some("must end with the number of a database, or with none")
        }
        Some(_) => None,
    }
}

fn tls(view: View<'_>, encrypted: bool, check: &mut Check<'_>) -> Option<RedisTls> {
    let mut file = |name| view.entry(name).and_then(|entry| Some((entry, check.bytes(entry)?)));
    let [ca, certificate, key] = ["ca_cert_path", "client_cert_path", "client_key_path"].map(&mut file);
    if let Some(entry) = view.entry("enabled").filter(|_| encrypted && view.get("enabled") == Some(false)) {
        let message = "TLS is switched off, but the address asks for it";
        check.at_value(entry, Code::Conflict, message, "write `redis://` in `url`, or `enabled = true`");
    }
    for (this, other, missing) in
        [(&certificate, &key, "client_key_path"), (&key, &certificate, "client_cert_path")]
    {
        if let (Some((entry, _)), None, None) = (this, other, view.entry(missing)) {
            let message = format!("`{missing}` is missing: a certificate is shown with its key");
            check.at_key(entry, Code::MissingKey, message, "write both, or none");
        }
    }
    let client = certificate.zip(key).map(|((_, certificate), (_, key))| {
        (certificate.into(), Secret::new(String::from_utf8_lossy(&key).into_owned()))
    });
    let on = encrypted || view.value("enabled");
    on.then(|| RedisTls { insecure: view.value("insecure"), ca_pem: ca.map(|(_, pem)| pem.into()), client })
}

/// Reports every limit that Redis could not count exactly.
fn exact(table: &Table, check: &mut Check<'_>) {
    for (name, entry) in &table.entries {
        match &entry.node.value {
            Value::Table(table) => exact(table, check),
            Value::List(nodes) => {
                nodes.iter().filter_map(|node| node.table()).for_each(|one| exact(one, check))
            }
            _ if !KEYS.iter().any(|(key, _)| key == name) && name != "limit" => {}
            _ => {
                let money = name == "cost_limit";
                let amount =
                    if money { Billionths::read(&entry.node).map(|it| it.0) } else { u64::read(&entry.node) };
                if amount.is_some_and(|amount| amount > MOST) {
                    let most = if money { write_billionths(MOST) } else { MOST.to_string() };
                    let message = format!("`{name}` must be at most {most} where Redis keeps the windows");
                    check.at_value(
                        entry,
                        Code::OutOfRange,
                        message,
                        "a limit that nobody reaches needs no number",
                    );
                }
            }
        }
    }
}
