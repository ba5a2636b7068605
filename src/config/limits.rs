//! Limits as they are written, and which table holds for whom. Each family resolves on its own: model + group, model,
//! provider + group, provider; the first table that exists wins, alone, with all its keys. Pure: validation, `explain` and
//! `budget` use the same walk. Amounts are in units of their kind; money and shares in billionths.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use actors::{
    Group,
    quota::{Kind, Mode, OnOutputLimit},
};

use super::quantity::write_billionths;

/// Who shares a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// `per_user`: nobody, each client has its own.
    PerUser,
    /// `per_group`: the clients of a group.
    PerGroup,
    /// `total`: all callers.
    Total,
}

/// One `rate_limits`: a table of each family.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits([Table; 3]);

/// One table of a family.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Its dotted path.
    pub path: Arc<str>,
    /// Its own limits; absent where it holds groups only.
    pub default: Option<Amounts>,
    /// `groups.*`.
    pub groups: BTreeMap<Group, Amounts>,
    /// `max_share` of a group's pool, in billionths.
    pub max_share: Option<u64>,
}

/// All limits of one table, in their order in the documentation, windows last; never empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Amounts(pub Vec<Amount>);

/// One limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Amount {
    /// What is limited.
    pub kind: Kind,
    /// How much of it; 0 = nothing is ever admitted.
    pub amount: u64,
    /// Length of the window; `None` for calls in flight.
    pub interval: Option<Interval>,
    /// Whether it refuses.
    pub mode: Mode,
    /// What becomes of a stream; `None` = what `[llm.limits]` says.
    pub on_output_limit: Option<OnOutputLimit>,
}

/// Length of a window.
#[derive(Clone, Debug, PartialEq)]
pub struct Interval {
    /// 1 s to 31 d.
    pub length: Duration,
    /// As the file writes it.
    pub written: Arc<str>,
}

/// One look of the walk.
#[derive(Clone, Debug, PartialEq)]
pub struct Step<'a> {
    /// Dotted path of the table that was looked for.
    pub path: String,
    /// What it says; `None` when it does not exist.
    pub amounts: Option<&'a Amounts>,
    /// Whether the table is the model's own: then the buckets are, too.
    pub of_model: bool,
    /// Whether it is the entry of a group.
    pub of_group: bool,
}

/// The key of each kind in a table.
pub const KEYS: [(&str, Kind); 6] = [
    ("input_token_limit", Kind::Input),
    ("output_token_limit", Kind::Output),
    ("total_token_limit", Kind::Total),
    ("request_limit", Kind::Request),
    ("cost_limit", Kind::Cost),
    ("concurrent_limit", Kind::Concurrent),
];

/// Every table of a family that is looked at for a caller, nearest first. The first that says something applies. A caller
/// of no group has no pool.
pub fn walk<'a>(
    family: Family,
    model: &'a Limits,
    provider: &'a Limits,
    group: Option<&Group>,
) -> Vec<Step<'a>> {
    let group = group.filter(|_| family != Family::Total);
    [(model.of(family), true), (provider.of(family), false)]
        .into_iter()
        .flat_map(|(table, of_model)| {
            let own = group.map(|group| Step {
                path: format!("{}.groups.{}", table.path, key(group.as_str())),
                amounts: table.groups.get(group),
                of_model,
                of_group: true,
            });
            let amounts = table.default.as_ref();
            let shared = Step { path: table.path.to_string(), amounts, of_model, of_group: false };
            own.into_iter().chain(Some(shared).filter(|_| family != Family::PerGroup))
        })
        .collect()
}

/// The key of a kind in a table.
pub fn key_of(kind: Kind) -> &'static str {
    KEYS.iter().find(|(_, known)| *known == kind).map_or("", |(name, _)| name)
}

/// A name as it stands in a dotted path: quoted where TOML wants it.
pub fn key(name: &str) -> String {
    let bare =
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if bare { name.to_owned() } else { format!("{name:?}") }
}

impl Family {
    /// Every family, in the order in which a call asks them.
    pub const ALL: [Self; 3] = [Self::PerUser, Self::PerGroup, Self::Total];

    /// The name of its tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PerUser => "per_user",
            Self::PerGroup => "per_group",
            Self::Total => "total",
        }
    }
}

impl Limits {
    /// These tables, in the order of [`Family::ALL`].
    pub const fn new(tables: [Table; 3]) -> Self {
        Self(tables)
    }

    /// The table of a family.
    pub const fn of(&self, family: Family) -> &Table {
        &self.0[family as usize]
    }
}

impl Table {
    /// A table at a path, saying nothing yet.
    pub fn at(path: String) -> Self {
        Self { path: path.into(), ..Self::default() }
    }

    /// Everything in it, whoever it is for.
    pub fn amounts(&self) -> impl Iterator<Item = &Amount> {
        self.default.iter().chain(self.groups.values()).flat_map(|amounts| &amounts.0)
    }
}

impl Amounts {
    /// Whether it limits a kind.
    pub fn limit(&self, kind: Kind) -> bool {
        self.0.iter().any(|amount| amount.kind == kind)
    }
}

impl Amount {
    /// In words: `1000 input tokens per 60s`.
    pub fn words(&self) -> String {
        let amount = self.amount;
        let what = match self.kind {
            Kind::Input => format!("{amount} input tokens"),
            Kind::Output => format!("{amount} output tokens"),
            Kind::Total => format!("{amount} tokens"),
            Kind::Request => format!("{amount} requests"),
            Kind::Cost => format!("a cost of {}", write_billionths(amount)),
            Kind::Concurrent => format!("{amount} calls in flight"),
        };
        match &self.interval {
            Some(interval) => format!("{what} per {}", interval.written),
            None => what,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::key;

    #[test]
    fn names_are_quoted_in_paths_where_toml_wants_it() {
        assert_eq!(
            [key("gpt-4o"), key("gpt-4.1"), key("a/b"), key("")],
            ["gpt-4o", "\"gpt-4.1\"", "\"a/b\"", "\"\""]
        );
    }
}
