//! The file as it was written: a tree of tables and values with their positions, references already replaced.
//!
//! It knows TOML, not meaning: which keys exist is `keys`, whether a value fits is `shape`, what it all means is
//! `validate`. Positions are byte ranges of the file.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, SocketAddr},
    ops::Range,
    str::FromStr,
    time::Duration,
};

use http::{HeaderName, Uri};
use ipnet::IpNet;
use toml::de::{DeTable, DeValue};

use super::{
    broken,
    diagnostic::{Code, Diagnostic, Report},
    keys::Section,
    quantity,
    reference::References,
};

/// A table.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Its head, or the whole of an inline one.
    pub span: Range<usize>,
    /// By name.
    pub entries: BTreeMap<String, Entry>,
}

/// A key with its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where the key is written.
    pub key: Range<usize>,
    /// Its value.
    pub node: Node,
}

/// A value.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it is written.
    pub span: Range<usize>,
    /// What it is.
    pub value: Value,
    /// Whether messages may quote it: not when it came from a reference.
    pub quotable: bool,
}

/// What a value is.
#[derive(Clone)]
pub enum Value {
    /// `true`, `false`.
    Bool(bool),
    /// A date or time; no key takes one.
    Date,
    /// With a point or an exponent: as it is written, without `_`.
    Float(String),
    /// `None` beyond 64 bits.
    Integer(Option<i64>),
    /// In brackets, or a list of tables.
    List(Vec<Node>),
    /// A string.
    Text(String),
    /// A table.
    Table(Table),
    /// A string whose reference could not be read; reported already, or taken for granted.
    Unreadable,
}

/// A table together with what may stand in it.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    section: &'static Section,
    table: Option<&'a Table>,
}

/// Values of the configuration. `None` when the value is of another type or malformed; `shape` has reported that.
pub trait Read: Sized {
    /// Reads the value.
    fn read(node: &Node) -> Option<Self>;
}

/// Reads the text of `report` as TOML, replaces the references in it, and reports what is not TOML.
pub fn parse(report: &mut Report, references: &References<'_>) -> Table {
    let text = report.text.clone();
    let (root, errors) = DeTable::parse_recoverable(&text);
    for error in errors {
        let at = error.span().unwrap_or_default();
        let problem = Diagnostic::new(Code::Syntax, at, error.message());
        report.push(match broken::remedy(error.message()) {
            Some(remedy) => problem.help(remedy),
            None => problem,
        });
    }
    table(root.get_ref(), root.span(), report, references)
}

/// Puts the problems of TOML itself, `first`, before those that follow: one a line, and without echoes of them.
pub(super) fn reconcile(report: &mut Report, first: Vec<Diagnostic>) {
    let (mut syntax, references): (Vec<_>, Vec<_>) = first.into_iter().partition(|d| d.code == Code::Syntax);
    syntax.sort_by_key(|d| d.at.start);
    syntax.dedup_by_key(|d| report.position(d.at.start).0);
    for problem in &syntax {
        broken::hide(report, problem.at.start);
    }
    let lines: Vec<_> = syntax.iter().map(|d| report.position(d.at.start).0).collect();
    let torn = syntax.iter().filter(|d| broken::tears(&d.message)).map(|d| d.at.start).min();
    let others = std::mem::take(&mut report.diagnostics).into_iter().chain(references);
    let others: Vec<_> = others
        .filter(|d| !lines.contains(&report.position(d.at.start).0))
        .filter(|d| torn.is_none_or(|torn| d.at.start < torn && !broken::of_absence(d.code)))
        .collect();
    report.diagnostics = syntax.into_iter().chain(others).collect();
}

impl Node {
    /// The value in a message: quoted, or hidden.
    pub fn quoted(&self) -> String {
        match &self.value {
            Value::Text(text) if self.quotable => format!("`{}`", text.escape_debug()),
            _ => "the value".to_owned(),
        }
    }

    /// The string, if it is one.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether it is a list, and an empty one.
    pub const fn is_empty_list(&self) -> bool {
        matches!(&self.value, Value::List(nodes) if nodes.is_empty())
    }

    /// The table, if it is one.
    pub fn table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// Adds every string in here to what is never printed.
    pub fn hide(&self, report: &mut Report) {
        match &self.value {
            Value::Text(_) | Value::Unreadable => report.hidden.push(self.span.clone()),
            Value::List(nodes) => nodes.iter().for_each(|node| node.hide(report)),
            Value::Table(table) => table.entries.values().for_each(|entry| entry.node.hide(report)),
            Value::Bool(_) | Value::Date | Value::Float(_) | Value::Integer(_) => {}
        }
    }
}

impl<'a> View<'a> {
    /// A table that may be absent.
    pub const fn new(section: &'static Section, table: Option<&'a Table>) -> Self {
        Self { section, table }
    }

    /// Where the table is written; empty at 0 when it is not.
    pub fn span(self) -> Range<usize> {
        self.table.map(|table| table.span.clone()).unwrap_or_default()
    }

    /// Whether the table is written.
    pub const fn exists(self) -> bool {
        self.table.is_some()
    }

    /// What is written under a name.
    pub fn entry(self, name: &str) -> Option<&'a Entry> {
        self.table?.entries.get(name)
    }

    /// What is written under a name, else its default, else nothing.
    pub fn get<T: Read>(self, name: &str) -> Option<T> {
        self.entry(name).and_then(|entry| T::read(&entry.node)).or_else(|| self.default(name))
    }

    /// What is written under a name that has a default, else that.
    pub fn value<T: Read>(self, name: &str) -> T {
        #[allow(clippy::expect_used)] // a test reads the default of every key by its kind
        self.get(name).expect("the table of keys has a default of this type")
    }

    /// The elements of a list.
    pub fn items(self, name: &str) -> &'a [Node] {
        match self.entry(name).map(|entry| &entry.node.value) {
            Some(Value::List(nodes)) => nodes,
            _ => &[],
        }
    }

    /// A table in this one.
    pub fn table(self, name: &str) -> Self {
        let table = self.entry(name).and_then(|entry| entry.node.table());
        Self { section: self.below(name), table }
    }

    /// The tables of a list, each with where it is written.
    pub fn tables(self, name: &str) -> impl Iterator<Item = Self> {
        let section = self.below(name);
        self.items(name).iter().filter_map(Node::table).map(move |table| Self { section, table: Some(table) })
    }

    /// The tables under free names.
    pub fn named(self) -> impl Iterator<Item = (&'a str, &'a Entry, Self)> {
        let entries = self.table.into_iter().flat_map(|table| &table.entries);
        entries.filter(move |(name, _)| self.section.keys.iter().all(|key| key.name != name.as_str())).map(
            move |(name, entry)| {
                (name.as_str(), entry, Self { section: self.below(name), table: entry.node.table() })
            },
        )
    }

    fn below(self, name: &str) -> &'static Section {
        use super::keys::Kind;
        match self.section.key(name).map(|key| key.kind) {
            Some(Kind::Table(section) | Kind::Tables(section)) => section,
            _ => self.section, // no table: nothing will be found in it
        }
    }

    fn default<T: Read>(self, name: &str) -> Option<T> {
        let key = self.section.key(name).filter(|key| !key.default.is_empty())?;
        T::read(&fragment(key.default)?)
    }
}

/// Any string may be a secret.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Date => f.write_str("date"),
            Self::Float(number) => f.write_str(number),
            Self::Integer(number) => number.fmt(f),
            Self::List(nodes) => nodes.fmt(f),
            Self::Table(table) => table.fmt(f),
            Self::Text(_) | Self::Unreadable => f.write_str("\"…\""),
        }
    }
}

/// A value on its own, as the table of keys writes its defaults.
pub(super) fn fragment(text: &str) -> Option<Node> {
    let value = DeValue::parse(text).ok()?;
    Some(node(value.get_ref(), value.span(), &mut Report::default(), &References::none()))
}

fn table(table: &DeTable<'_>, span: Range<usize>, report: &mut Report, references: &References<'_>) -> Table {
    let entries = table.iter().map(|(key, value)| {
        let entry = Entry { key: key.span(), node: node(value.get_ref(), value.span(), report, references) };
        (key.get_ref().to_string(), entry)
    });
    Table { span, entries: entries.collect() }
}

fn node(value: &DeValue<'_>, span: Range<usize>, report: &mut Report, references: &References<'_>) -> Node {
    let mut quotable = true;
    let value = match value {
        DeValue::String(text) => {
            let had = report.hidden.len();
            if holds_password(text) {
                report.hidden.push(span.clone());
            }
            let text = references.replace(text, &span, report);
            quotable = report.hidden.len() == had;
            text.map_or(Value::Unreadable, Value::Text)
        }
        DeValue::Integer(number) => Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok()),
        DeValue::Float(number) => Value::Float(number.as_str().to_owned()),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(_) => Value::Date,
        DeValue::Array(items) => Value::List(
            items.iter().map(|item| node(item.get_ref(), item.span(), report, references)).collect(),
        ),
        DeValue::Table(entries) => Value::Table(table(entries, span.clone(), report, references)),
    };
    Node { span, value, quotable }
}

/// Whether a string looks like `scheme://user:password@host`, under whatever key it stands.
pub(super) fn holds_password(text: &str) -> bool {
    text.split_once('@').is_some_and(|(before, _)| before.contains(':'))
}

// === impl Read ===

impl Read for bool {
    fn read(node: &Node) -> Option<Self> {
        if let Value::Bool(value) = node.value { Some(value) } else { None }
    }
}

impl Read for u64 {
    fn read(node: &Node) -> Option<Self> {
        if let Value::Integer(value) = node.value { Self::try_from(value?).ok() } else { None }
    }
}

impl Read for usize {
    fn read(node: &Node) -> Option<Self> {
        u64::read(node).and_then(|value| Self::try_from(value).ok())
    }
}

impl Read for String {
    fn read(node: &Node) -> Option<Self> {
        node.text().map(str::to_owned)
    }
}

/// Durations may be zero here; `shape` refuses zero where the kind does.
impl Read for Duration {
    fn read(node: &Node) -> Option<Self> {
        quantity::delay(node.text()?)
    }
}

impl Read for SocketAddr {
    fn read(node: &Node) -> Option<Self> {
        node.text()?.parse().ok()
    }
}

impl Read for HeaderName {
    fn read(node: &Node) -> Option<Self> {
        Self::from_str(node.text()?).ok()
    }
}

impl Read for Uri {
    fn read(node: &Node) -> Option<Self> {
        node.text()?.parse().ok()
    }
}

/// A bare address is the network of that address alone. One within `::ffff:0:0/96` is the IPv4 network it stands for, since
/// that is how peers are known.
impl Read for IpNet {
    fn read(node: &Node) -> Option<Self> {
        let text = node.text()?;
        let written: Self =
            text.parse().or_else(|_| text.parse().map(|address: IpAddr| address.into())).ok()?;
        let (address, length) = (written.addr(), written.prefix_len());
        match (address.to_canonical(), length.checked_sub(96)) {
            (IpAddr::V4(v4), Some(length)) if address.is_ipv6() => Self::new(v4.into(), length).ok(),
            _ => Some(written),
        }
    }
}

/// A size in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub usize);

impl Read for Size {
    fn read(node: &Node) -> Option<Self> {
        quantity::size(node.text()?).map(Self)
    }
}

/// An exact decimal number, in billionths: money, a share, a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Billionths(pub u64);

impl Read for Billionths {
    fn read(node: &Node) -> Option<Self> {
        let number = match &node.value {
            Value::Text(text) | Value::Float(text) => quantity::billionths(text),
            Value::Integer(number) => quantity::billionths(&(*number)?.to_string()),
            _ => None,
        };
        number.map(Self)
    }
}

/// Unreadable elements are left out; they are reported.
impl<T: Read> Read for Vec<T> {
    fn read(node: &Node) -> Option<Self> {
        if let Value::List(nodes) = &node.value {
            Some(nodes.iter().filter_map(T::read).collect())
        } else {
            None
        }
    }
}
