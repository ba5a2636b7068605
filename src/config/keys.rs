//! Every key of the file, once: its type, default, meaning, and whether it is served.
//!
//! The reader, "did you mean", `nexus schema` and `config/README.md` all come from this table. It is data: no key is
//! read or judged here. Units are part of a [`Kind`].

mod limits;
mod llm;
mod server;

pub use llm::PROVIDER_TYPES;
pub(super) use server::mistaken;

/// A table of the file.
#[derive(Debug)]
pub struct Section {
    /// How it is named in the documentation, once: `[server]`. `NAME` stands for a name the author chooses.
    pub title: &'static str,
    /// The keys it may hold.
    pub keys: &'static [Key],
    /// What any other name in it stands for, when names are free.
    pub names: Option<Key>,
}

/// A key of a table.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name in the file.
    pub name: &'static str,
    /// What may be written.
    pub kind: Kind,
    /// Its default as it would be written; empty when the key is absent by default.
    pub default: &'static str,
    /// One sentence.
    pub meaning: &'static str,
    /// Whether a table without it is refused.
    pub required: bool,
    /// The values of the table's [`Section::selector`] it belongs to; empty = all.
    pub only: &'static [&'static str],
    /// Whether it is served.
    pub support: Support,
}

/// Whether Nexus does what a key says.
#[derive(Clone, Copy, Debug)]
pub enum Support {
    /// It does.
    Full,
    /// It belongs to the other program of this name: an error, with this remedy.
    Never(&'static str),
}

/// What may be written as a value.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `ip:port`.
    Address,
    /// Anything; not looked into.
    Any,
    /// `true` or `false`.
    Bool,
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// A list of these strings.
    Choices(&'static [&'static str]),
    /// A duration that may be zero.
    Delay,
    /// A duration between two bounds, in seconds; a lower bound of 0 means "more than nothing".
    Duration(u64, u64),
    /// A duration or `"off"`.
    DurationOrOff,
    /// The path of a file, relative to the configuration file.
    File,
    /// The name of an HTTP header.
    HeaderName,
    /// A whole number between two bounds.
    Integer(u64, u64),
    /// A URL as [`Kind::Url`], perhaps with a trailing `/` and a query.
    Link,
    /// A list of those.
    Links,
    /// A list of addresses and networks in CIDR notation.
    Networks,
    /// A decimal number, not negative, with at most nine decimals; as a number or in a string.
    Number,
    /// The path of a route: begins with `/`, does not end with it.
    Path,
    /// A string that is never printed.
    Secret,
    /// A size in bytes.
    Size,
    /// A table.
    Table(&'static Section),
    /// A list of tables.
    Tables(&'static Section),
    /// A string.
    Text,
    /// A list of strings.
    Texts,
    /// A string or a list of strings.
    TextOrTexts,
    /// `http://` or `https://` with a host, to which paths are added.
    Url,
}

impl Key {
    /// A key that is served.
    const fn new(name: &'static str, kind: Kind, default: &'static str, meaning: &'static str) -> Self {
        Self { name, kind, default, meaning, required: false, only: &[], support: Support::Full }
    }

    const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    const fn only(mut self, types: &'static [&'static str]) -> Self {
        self.only = types;
        self
    }

    const fn never(mut self, remedy: &'static str) -> Self {
        self.support = Support::Never(remedy);
        self
    }
}

impl Section {
    /// What a name in this table stands for.
    pub fn key(&self, name: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.name == name).or(self.names.as_ref())
    }

    /// The key whose value says which others may stand beside it.
    pub fn selector(&self) -> Option<&Key> {
        self.keys.iter().find(|key| matches!(key.name, "type" | "rule"))
    }

    /// This table and all below it, each once, in the order of the documentation.
    pub fn tree(&'static self) -> Vec<&'static Self> {
        let mut all = Vec::new();
        collect(self, &mut all);
        all
    }
}

/// The whole file.
pub static FILE: Section = Section {
    title: "top level",
    names: None,
    keys: &[
        Key::new("server", Kind::Table(&server::SERVER), "", "Listener, edge limits, identification."),
        Key::new(
            "actors",
            Kind::Table(&server::ACTORS),
            "",
            "How many actors of each kind, and their mailboxes.",
        ),
        Key::new("llm", Kind::Table(&llm::LLM), "", "Protocols, providers, models, limits."),
        Key::new("mcp", Kind::Any, "", "Not supported: MCP servers.")
            .never("Nexus routes LLM calls only: remove [mcp] and everything below it"),
        Key::new("telemetry", Kind::Any, "", "Not supported: OTLP export.")
            .never("remove [telemetry]; metrics are served at /metrics when `server.admin.listen` is set"),
    ],
};

fn collect(section: &'static Section, all: &mut Vec<&'static Section>) {
    if all.iter().any(|known| known.title == section.title) {
        return;
    }
    all.push(section);
    for key in section.keys.iter().chain(&section.names) {
        if let Kind::Table(below) | Kind::Tables(below) = key.kind {
            collect(below, all);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn titles_and_keys_are_unique_and_every_key_has_a_meaning() {
        let all = FILE.tree();
        let titles: BTreeSet<_> = all.iter().map(|section| section.title).collect();
        assert_eq!(titles.len(), all.len());
        for section in all {
            let names: BTreeSet<_> = section.keys.iter().map(|key| key.name).collect();
            assert_eq!(names.len(), section.keys.len(), "{}", section.title);
            for key in section.keys.iter().chain(&section.names) {
                assert!(key.meaning.ends_with('.'), "{} {}", section.title, key.name);
            }
        }
    }

    #[test]
    fn every_default_is_toml() {
        for section in FILE.tree() {
            for key in section.keys.iter().filter(|key| !key.default.is_empty()) {
                assert!(toml::de::DeValue::parse(key.default).is_ok(), "{} {}", section.title, key.name);
            }
        }
    }
}
