//! Which token limit holds for whom: the walk model + group, model, provider + group, provider. The first table that
//! exists wins, alone. Pure: validation and `explain` use the same walk.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use actors::{
    Group,
    quota::{self, Kind, Limit, Rules, Scope},
};

use super::{PerUser, Rule};

/// One `rate_limits.per_user` table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Its dotted path.
    pub path: Arc<str>,
    /// Its own limit; absent where it holds groups only.
    pub default: Option<Amount>,
    /// `groups.*`.
    pub groups: BTreeMap<Group, Amount>,
}

/// Tokens in an interval.
#[derive(Clone, Debug, PartialEq)]
pub struct Amount {
    /// Input tokens; 0 = nothing is ever admitted.
    pub tokens: u64,
    /// Length of the window.
    pub interval: Duration,
    /// The interval as the file writes it.
    pub written: Arc<str>,
}

/// One look of the walk.
#[derive(Clone, Debug, PartialEq)]
pub struct Step<'a> {
    /// Dotted path of the table that was looked for.
    pub path: String,
    /// What it says; `None` when it does not exist.
    pub amount: Option<&'a Amount>,
    /// Whether the table is the model's own: then the bucket is, too.
    pub of_model: bool,
}

/// The tables of a model and of its provider, with the scopes of their buckets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owners<'a> {
    pub(super) model: (&'a Table, Scope),
    pub(super) provider: (&'a Table, Scope),
}

/// Every table that is looked at for a caller, nearest first. The first with an amount applies.
pub fn walk<'a>(model: &'a Table, provider: &'a Table, group: Option<&Group>) -> Vec<Step<'a>> {
    [(model, true), (provider, false)]
        .into_iter()
        .flat_map(|(table, of_model)| {
            let own = group.map(|group| Step {
                path: format!("{}.groups.{}", table.path, key(group.as_str())),
                amount: table.groups.get(group),
                of_model,
            });
            let default = Step { path: table.path.to_string(), amount: table.default.as_ref(), of_model };
            own.into_iter().chain([default])
        })
        .collect()
}

/// A name as it stands in a dotted path: quoted where TOML wants it.
pub fn key(name: &str) -> String {
    let bare =
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if bare { name.to_owned() } else { format!("{name:?}") }
}

impl Table {
    /// A table at a path, saying nothing yet.
    pub fn at(path: String) -> Self {
        Self { path: path.into(), ..Self::default() }
    }

    /// The distinct intervals of its amounts, ascending.
    fn horizon(&self) -> Arc<[Duration]> {
        let mut all: Vec<_> =
            self.default.iter().chain(self.groups.values()).map(|amount| amount.interval).collect();
        all.sort_unstable();
        all.dedup();
        all.into()
    }
}

impl Owners<'_> {
    /// What holds for every caller of the model.
    pub(super) fn resolve(self) -> PerUser {
        let named: std::collections::BTreeSet<_> =
            self.model.0.groups.keys().chain(self.provider.0.groups.keys()).collect();
        let groups = named.into_iter().map(|group| (group.clone(), self.rule(Some(group)))).collect();
        PerUser { default: self.rule(None), groups }
    }

    fn rule(self, group: Option<&Group>) -> Option<Rule> {
        let steps = walk(self.model.0, self.provider.0, group);
        let step = steps.into_iter().find(|step| step.amount.is_some())?;
        let amount = step.amount?;
        let (owner, scope) = if step.of_model { self.model } else { self.provider };
        let limit =
            Limit { scope, tokens: amount.tokens, interval: amount.interval, horizon: owner.horizon() };
        let rule = quota::Rule::new(Kind::Input, limit.clone(), "per_user.input_token_limit");
        Some(Rule { limit, rules: Rules::new([rule]), table: step.path.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(tokens: u64, seconds: u64) -> Amount {
        Amount { tokens, interval: Duration::from_secs(seconds), written: format!("{seconds}s").into() }
    }

    fn table(path: &str, default: Option<Amount>, groups: &[(&str, Amount)]) -> Table {
        let groups = groups.iter().map(|(group, amount)| (Group::new(group), amount.clone())).collect();
        Table { path: path.into(), default, groups }
    }

    #[test]
    fn the_first_of_four_tables_wins_alone() {
        let model = table("m", Some(amount(300, 60)), &[("premium", amount(400, 60))]);
        let provider =
            table("p", Some(amount(100, 60)), &[("premium", amount(200, 60)), ("basic", amount(50, 3600))]);
        let owners = Owners { model: (&model, Scope(1)), provider: (&provider, Scope(0)) };
        let resolved = owners.resolve();
        let tokens = |rule: &Option<Rule>| rule.as_ref().map(|rule| (rule.limit.tokens, rule.limit.scope.0));
        assert_eq!(tokens(&resolved.default), Some((300, 1)));
        let groups: Vec<_> = resolved.groups.iter().map(|(g, rule)| (g.as_str(), tokens(rule))).collect();
        assert_eq!(groups, [("basic", Some((300, 1))), ("premium", Some((400, 1)))]);
    }

    #[test]
    fn a_model_table_with_groups_only_leaves_other_callers_to_the_provider() {
        let model = table("m", None, &[("premium", amount(400, 60))]);
        let provider = table("p", Some(amount(100, 60)), &[("basic", amount(50, 3600))]);
        let owners = Owners { model: (&model, Scope(1)), provider: (&provider, Scope(0)) };
        let resolved = owners.resolve();
        let default = resolved.default.unwrap();
        assert_eq!((default.limit.tokens, default.limit.scope, &*default.table), (100, Scope(0), "p"));
        assert_eq!(*default.limit.horizon, [Duration::from_secs(60), Duration::from_secs(3600)]);
        let basic = resolved.groups[0].1.as_ref().unwrap();
        assert_eq!((basic.limit.tokens, &*basic.table), (50, "p.groups.basic"));
    }

    #[test]
    fn names_are_quoted_in_paths_where_toml_wants_it() {
        assert_eq!(
            [key("gpt-4o"), key("gpt-4.1"), key("a/b"), key("")],
            ["gpt-4o", "\"gpt-4.1\"", "\"a/b\"", "\"\""]
        );
    }
}
