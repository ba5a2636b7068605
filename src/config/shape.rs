//! Whether the file has the shape of the table of keys: known keys, types, ranges. Goes on after every problem.
//!
//! What a value means together with others is `validate`.

use super::{
    diagnostic::{Code, Diagnostic, Report},
    file::{Entry, Node, Table, Value},
    keys::{FILE, Key, Kind, Section, Support, mistaken},
    kind,
    limits::key,
};

/// Reports everything in `table` that does not fit.
pub(super) fn check(table: &Table, report: &mut Report) {
    Walker { report }.table(&FILE, table, "");
}

struct Walker<'r> {
    report: &'r mut Report,
}

/// A key where it stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    key: &'a Key,
    /// As it is written; differs from the key's where names are free.
    name: &'a str,
    /// Dotted, from the top.
    path: &'a str,
}

impl Walker<'_> {
    fn table(&mut self, section: &'static Section, table: &Table, path: &str) {
        let kind = table_type(section, table);
        for (name, entry) in &table.entries {
            match section.key(name) {
                None => self.unknown(section, path, name, entry),
                Some(key) if belongs(key, kind) => {
                    self.entry(Place { key, name, path: &join(path, name) }, entry);
                }
                Some(key) => {
                    let selector = section.selector().map_or("type", |key| key.name);
                    self.of_another_type(key, selector, kind.unwrap_or_default(), entry);
                }
            }
        }
        for key in section.keys.iter().filter(|key| key.required && !table.entries.contains_key(key.name)) {
            let message = format!("`{}` is missing", key.name);
            let help = format!("write `{} = {}`", key.name, kind::example(key));
            self.report.push(Diagnostic::new(Code::MissingKey, table.span.clone(), message).help(help));
        }
    }

    fn entry(&mut self, place: Place<'_>, entry: &Entry) {
        let Place { key, name, .. } = place;
        if matches!(key.kind, Kind::Secret | Kind::Any) || kind::holds_password(key.kind, &entry.node) {
            entry.node.hide(self.report);
        }
        match key.support {
            Support::Never(remedy) => {
                let message = format!("`{name}` is not supported");
                self.report
                    .push(Diagnostic::new(Code::NotSupported, entry.key.clone(), message).help(remedy));
            }
            Support::Full => self.value(place, &entry.node),
        }
    }

    fn value(&mut self, place: Place<'_>, node: &Node) {
        match (place.key.kind, &node.value) {
            (_, Value::Unreadable) => {}
            (Kind::Table(section), Value::Table(table)) => self.table(section, table, place.path),
            (Kind::Tables(section), Value::List(nodes)) => {
                for node in nodes {
                    match &node.value {
                        Value::Table(table) => self.table(section, table, place.path),
                        _ => self.misfit(place, node),
                    }
                }
            }
            (
                Kind::Texts | Kind::TextOrTexts | Kind::Networks | Kind::Choices(_) | Kind::Links,
                Value::List(nodes),
            ) => {
                let key = element(place.key);
                nodes.iter().for_each(|node| self.misfit(Place { key: &key, ..place }, node));
            }
            _ => self.misfit(place, node),
        }
    }

    /// Reports a value that does not fit its kind, if it does not.
    fn misfit(&mut self, place: Place<'_>, node: &Node) {
        // What stands where a table belongs may be a key of one, or a secret of it.
        let for_table = matches!(place.key.kind, Kind::Table(_) | Kind::Tables(_));
        if for_table || matches!(node.value, Value::List(_) | Value::Table(_)) {
            node.hide(self.report);
        }
        if let Err(diagnostic) = kind::check(place.key, place.name, node) {
            self.report.push(diagnostic);
        }
    }

    fn of_another_type(&mut self, key: &Key, selector: &str, kind: &str, entry: &Entry) {
        entry.node.hide(self.report);
        let message = format!("`{}` does not belong to {selector} `{kind}`", key.name);
        let help = format!("remove it; it belongs to {}", list(key.only));
        self.report.push(Diagnostic::new(Code::AnotherType, entry.key.clone(), message).help(help));
    }

    fn unknown(&mut self, section: &Section, path: &str, name: &str, entry: &Entry) {
        entry.node.hide(self.report);
        let names = section.keys.iter().map(|key| key.name);
        let help = match (mistaken(section, name), nearest(name, names.clone())) {
            (Some(remedy), _) => remedy.to_owned(),
            (None, Some(near)) => format!("did you mean `{near}`?"),
            (None, None) => {
                match FILE.tree().into_iter().find(|other| other.keys.iter().any(|key| key.name == name)) {
                    Some(other) => format!("it belongs in {}", other.title),
                    None => format!("known here: {}", list(&names.collect::<Vec<_>>())),
                }
            }
        };
        let place = if path.is_empty() { "the file".to_owned() } else { format!("[{path}]") };
        let message = format!("unknown key `{name}` in {place}");
        self.report.push(Diagnostic::new(Code::UnknownKey, entry.key.clone(), message).help(help));
    }
}

/// The candidate that was probably meant.
pub(super) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = candidates.map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate)).min()?;
    (near.0 <= (name.chars().count() / 3).max(1)).then_some(near.1)
}

/// `a`, `b` or `c`.
pub(super) fn list(names: &[&str]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// The value of a table's selector, where that is known.
fn table_type<'a>(section: &'static Section, table: &'a Table) -> Option<&'a str> {
    let key = section.selector()?;
    let Kind::Choice(known) = key.kind else { return None };
    let written = table.entries.get(key.name).map(|entry| entry.node.text());
    written.unwrap_or_else(|| Some(key.default.trim_matches('"'))).filter(|kind| known.contains(kind))
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { key(name) } else { format!("{path}.{}", key(name)) }
}

fn belongs(key: &Key, kind: Option<&str>) -> bool {
    key.only.is_empty() || kind.is_none_or(|kind| key.only.contains(&kind))
}

/// A list's element has the kind of one.
fn element(key: &Key) -> Key {
    let kind = match key.kind {
        Kind::Networks => Kind::Networks,
        Kind::Choices(known) => Kind::Choice(known),
        Kind::Links => Kind::Link,
        _ => Kind::Text,
    };
    Key { kind, ..*key }
}
