//! Whether the file has the shape of the table of keys: known keys, types, ranges, versions. Goes on after every problem.
//!
//! What a value means together with others is `validate`.

use super::{
    diagnostic::{Code, Diagnostic, Report},
    file::{Entry, Node, Table, Value},
    keys::{FILE, Key, Kind, Section, Support},
    kind,
};

/// Reports everything in `table` that does not fit.
pub(super) fn check(table: &Table, report: &mut Report) {
    Walker { report }.table(&FILE, table, false);
}

struct Walker<'r> {
    report: &'r mut Report,
}

impl Walker<'_> {
    /// `later`: an enclosing table is reported as not in this version, so its keys need not be.
    fn table(&mut self, section: &'static Section, table: &Table, later: bool) {
        let kind = table_type(section, table);
        for (name, entry) in &table.entries {
            match section.key(name) {
                None => self.unknown(section, name, entry),
                Some(key) if belongs(key, kind) => self.entry(key, name, entry, later),
                Some(key) => self.of_another_type(key, kind.unwrap_or_default(), entry),
            }
        }
        for key in section.keys.iter().filter(|key| key.required && !table.entries.contains_key(key.name)) {
            let message = format!("`{}` is missing", key.name);
            let help = format!("write `{} = {}`", key.name, kind::example(key));
            self.report.push(Diagnostic::new(Code::MissingKey, table.span.clone(), message).help(help));
        }
    }

    fn entry(&mut self, key: &Key, name: &str, entry: &Entry, later: bool) {
        if matches!(key.kind, Kind::Secret | Kind::Any) || kind::holds_password(key.kind, &entry.node) {
            entry.node.hide(self.report);
        }
        match key.support {
            Support::Later { except, remedy } if !later && !self.harmless(key, except, &entry.node) => {
                self.report.push(not_in_this_version(name, &entry.node, entry, remedy));
                self.value(key, &entry.node, true);
            }
            Support::Never(remedy) => {
                let message = format!("`{name}` is not supported");
                self.report
                    .push(Diagnostic::new(Code::NotSupported, entry.key.clone(), message).help(remedy));
            }
            _ => self.value(key, &entry.node, later),
        }
    }

    fn value(&mut self, key: &Key, node: &Node, later: bool) {
        match (key.kind, &node.value) {
            (_, Value::Unreadable) => {}
            (Kind::Table(section), Value::Table(table)) => self.table(section, table, later),
            (Kind::Tables(section), Value::List(nodes)) => {
                for node in nodes {
                    match &node.value {
                        Value::Table(table) => self.table(section, table, later),
                        _ => self.misfit(key, node),
                    }
                }
            }
            (Kind::Texts | Kind::TextOrTexts | Kind::Networks, Value::List(nodes)) => {
                nodes.iter().for_each(|node| self.misfit(&element(key), node));
            }
            _ => self.misfit(key, node),
        }
    }

    /// Reports a value that does not fit its kind, if it does not.
    fn misfit(&mut self, key: &Key, node: &Node) {
        if matches!(node.value, Value::List(_) | Value::Table(_)) {
            node.hide(self.report);
        }
        if let Err(diagnostic) = kind::check(key, node) {
            self.report.push(diagnostic);
        }
    }

    /// Whether a value of a later key changes nothing, or is reported as no value of that key at all.
    fn harmless(&self, key: &Key, except: &[&str], node: &Node) -> bool {
        match &node.value {
            Value::Unreadable => true,
            Value::Table(_) | Value::List(_) => false,
            Value::Text(text) => except.contains(&text.as_str()) || kind::check(key, node).is_err(),
            _ => {
                let source = self.report.text.get(node.span.clone()).unwrap_or_default();
                except.contains(&source) || kind::check(key, node).is_err()
            }
        }
    }

    fn of_another_type(&mut self, key: &Key, kind: &str, entry: &Entry) {
        entry.node.hide(self.report);
        let message = format!("`{}` does not belong to type `{kind}`", key.name);
        let help = format!("remove it; it belongs to {}", list(key.only));
        self.report.push(Diagnostic::new(Code::AnotherType, entry.key.clone(), message).help(help));
    }

    fn unknown(&mut self, section: &Section, name: &str, entry: &Entry) {
        entry.node.hide(self.report);
        let names = section.keys.iter().map(|key| key.name);
        let help = match nearest(name, names.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => match FILE.tree().into_iter().find(|other| other.keys.iter().any(|key| key.name == name))
            {
                Some(other) => format!("it belongs in {}", other.title),
                None => format!("known here: {}", list(&names.collect::<Vec<_>>())),
            },
        };
        let place = if section.title.starts_with('[') { section.title } else { "the file" };
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

/// The `type` of a table, where that is known.
fn table_type<'a>(section: &'static Section, table: &'a Table) -> Option<&'a str> {
    let key = section.keys.iter().find(|key| key.name == "type")?;
    let Kind::Choice(known) = key.kind else { return None };
    let written = table.entries.get("type").map(|entry| entry.node.text());
    written.unwrap_or_else(|| Some(key.default.trim_matches('"'))).filter(|kind| known.contains(kind))
}

fn belongs(key: &Key, kind: Option<&str>) -> bool {
    key.only.is_empty() || kind.is_none_or(|kind| key.only.contains(&kind))
}

fn not_in_this_version(name: &str, node: &Node, entry: &Entry, remedy: &str) -> Diagnostic {
    let scalar = !matches!(node.value, Value::Table(_) | Value::List(_));
    let what = match node.text().filter(|_| node.quotable) {
        Some(text) if name == "type" => format!("`{name} = \"{text}\"`"),
        _ => format!("`{name}`"),
    };
    let at = if scalar { node.span.clone() } else { entry.key.clone() };
    Diagnostic::new(Code::NotInThisVersion, at, format!("{what} is not in this version")).help(remedy)
}

/// A list's element has the kind of one.
fn element(key: &Key) -> Key {
    let kind = if matches!(key.kind, Kind::Networks) { Kind::Networks } else { Kind::Text };
    Key { kind, ..*key }
}
