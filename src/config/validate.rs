//! From what was written to what is meant. Reports what makes no sense together and goes on; where something cannot be
//! read, a stand-in takes its place (the file is refused anyway). Types and ranges are not looked at here: `shape` did.

mod identification;
mod limits;
mod llm;
mod provider;
mod server;

use std::path::Path;

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
    Config {
        server: server::server(server, &protocols, &mut check),
        identification: callers.rules.clone(),
        actors: server::actors(root.table("actors")),
        protocols,
        counting: llm::counting(root.table("llm").table("limits")),
        providers: provider::providers(root, &callers, &mut check),
    }
}

impl Check<'_> {
    /// Reports a problem at a key.
    fn at_key(&mut self, entry: &Entry, code: Code, message: impl Into<String>, help: impl Into<String>) {
        self.report.push(Diagnostic::new(code, entry.key.clone(), message).help(help));
    }

    /// Reports a problem at a value.
    fn at_value(&mut self, entry: &Entry, code: Code, message: impl Into<String>, help: impl Into<String>) {
        self.report.push(Diagnostic::new(code, entry.node.span.clone(), message).help(help));
    }
}
