//! From what was written to what is meant. Reports what makes no sense together and goes on; where something cannot be
//! read, a stand-in takes its place (the file is refused anyway). Types and ranges are not looked at here: `shape` did.

mod access;
mod api_keys;
mod cors;
mod edge;
mod headers;
mod identification;
mod limits;
mod llm;
mod oauth;
mod provider;
mod remote;
mod server;
mod storage;

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use http::Uri;

use super::{
    Config,
    diagnostic::{Code, Diagnostic, Report},
    environment::Environment,
    file::{Entry, Table, View},
    keys::FILE,
};

/// What every part of the validation needs.
struct Check<'a> {
    report: &'a mut Report,
    environment: &'a dyn Environment,
    /// Where the configuration file lies.
    folder: &'a Path,
}

/// The meaning of a file.
pub(super) fn config(
    root: &Table,
    report: &mut Report,
    environment: &dyn Environment,
    folder: &Path,
) -> Config {
    let root = View::new(&FILE, Some(root));
    let mut check = Check { report, environment, folder };
    let server = root.table("server");
    let callers = identification::callers(server, &mut check);
    let protocols = llm::protocols(root.table("llm"), &mut check);
    let limits = root.table("llm").table("limits");
    let charging = llm::charging(limits, &mut check);
    let providers = provider::providers(root, &callers, charging.on_output_limit, &mut check);
    Config {
        server: server::server(root, &protocols, &mut check),
        identification: callers.rules.clone(),
        actors: server::actors(root.table("actors")),
        protocols,
        counting: llm::counting(limits),
        charging,
        providers,
    }
}

/// Whether a URL leads to this machine, by its name (RFC 6761, section 6.3) or its address.
fn is_of_this_machine(url: &Uri) -> bool {
    let host = url.host().unwrap_or_default().to_ascii_lowercase();
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

impl Check<'_> {
    /// The bytes of a file the configuration names; reports one that cannot be read.
    fn bytes(&mut self, entry: &Entry) -> Option<Vec<u8>> {
        match self.environment.file(&self.folder.join(entry.node.text()?)) {
            Ok(bytes) => Some(bytes),
            Err(_) if self.environment.lenient() => None,
            Err(error) => {
                let message = format!("{} cannot be read: {error}", entry.node.quoted());
                let help = "paths are relative to the configuration file";
                self.at_value(entry, Code::MissingFile, message, help);
                None
            }
        }
    }

    /// The path of a file that is read again while serving; reports one that cannot be read now.
    fn path(&mut self, entry: &Entry) -> Option<PathBuf> {
        self.bytes(entry);
        entry.node.text().map(|path| self.folder.join(path))
    }

    /// Reports a problem at a key.
    fn at_key(&mut self, entry: &Entry, code: Code, message: impl Into<String>, help: impl Into<String>) {
        self.report.push(Diagnostic::new(code, entry.key.clone(), message).help(help));
    }

    /// Reports a problem at a value.
    fn at_value(&mut self, entry: &Entry, code: Code, message: impl Into<String>, help: impl Into<String>) {
        self.report.push(Diagnostic::new(code, entry.node.span.clone(), message).help(help));
    }
}
