//! What holds for each caller of a model, as the quota actors want it: prepared once, so that a call looks it up and no
//! more. Pure.
//!
//! A bucket's scope is its owner's, a provider or a model, and is a number made of the owner's name: the same after a
//! reload and in the next process. Only where two names have one number (one pair in 2^32) does it depend on the file.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};

use actors::{
    Group,
    quota::{self, Kind, Limit, Mode, OnOutputLimit, Rules, Scope},
};

use super::limits::{Amount, Family, Limits, Table, key_of, walk};

/// The outcome of the walks for one model, for every caller.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Budgets {
    /// For a caller of a group that no table names, or of no group.
    pub default: Budget,
    /// For callers of these groups, sorted by name.
    pub groups: Vec<(Group, Budget)>,
}

/// What one caller's calls fall under.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Budget {
    /// The client's own limits.
    pub per_user: Option<Applied>,
    /// Those of its group's pool.
    pub per_group: Option<Applied>,
    /// Those of all callers together.
    pub total: Option<Applied>,
    /// The most input tokens that all limits could ever admit in one call; `None` = any number. Counting further is in
    /// vain.
    pub ceiling: Option<u64>,
}

/// The table of a family that applies.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// The owner of its buckets.
    pub scope: Scope,
    /// Whether that is the model, and not its provider.
    pub of_model: bool,
    /// Its limits. Never empty.
    pub rules: Rules,
    /// Its dotted path, as `explain` prints it.
    pub table: Arc<str>,
}

/// The limits of a model and of its provider, with the scopes of their buckets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owners<'a> {
    pub(super) model: (&'a Limits, Scope),
    pub(super) provider: (&'a Limits, Scope),
    /// What becomes of a stream where no table says it.
    pub(super) on_output_limit: OnOutputLimit,
}

/// Gives every owner its number.
#[derive(Debug, Default)]
pub(super) struct Scopes(HashSet<u32>);

impl Budgets {
    /// What holds for a caller of this group.
    pub fn of(&self, group: Option<&Group>) -> &Budget {
        let own = |group: &Group| self.groups.iter().find(|(name, _)| name == group);
        group.and_then(own).map_or(&self.default, |(_, budget)| budget)
    }
}

impl Budget {
    /// The table of a family that applies.
    pub fn of(&self, family: Family) -> Option<&Applied> {
        match family {
            Family::PerUser => self.per_user.as_ref(),
            Family::PerGroup => self.per_group.as_ref(),
            Family::Total => self.total.as_ref(),
        }
    }
}

impl Owners<'_> {
    /// What holds for every caller of the model.
    pub(super) fn resolve(self) -> Budgets {
        let tables = Family::ALL.map(|family| [self.model.0.of(family), self.provider.0.of(family)]);
        let named: BTreeSet<_> = tables.into_iter().flatten().flat_map(|table| table.groups.keys()).collect();
        let groups = named.into_iter().map(|group| (group.clone(), self.budget(Some(group)))).collect();
        Budgets { default: self.budget(None), groups }
    }

    fn budget(self, group: Option<&Group>) -> Budget {
        let [per_user, per_group, total] = Family::ALL.map(|family| self.applied(family, group));
        let rules =
            [&per_user, &per_group, &total].into_iter().flatten().flat_map(|applied| applied.rules.iter());
        let bounds = |rule: &&quota::Rule| {
            rule.mode == Mode::Enforce && matches!(rule.kind, Kind::Input | Kind::Total)
        };
        let ceiling = rules.filter(bounds).map(|rule| rule.limit.tokens).min();
        Budget { per_user, per_group, total, ceiling }
    }

    fn applied(self, family: Family, group: Option<&Group>) -> Option<Applied> {
        let steps = walk(family, self.model.0, self.provider.0, group);
        let step = steps.into_iter().find(|step| step.amounts.is_some())?;
        let (limits, scope) = if step.of_model { self.model } else { self.provider };
        let amounts = &step.amounts?.0;
        let table = limits.of(family);
        // A group's pool is an account of its own; of the clients of a table's groups, each keeps its buckets when it
        // changes from one group to another.
        let sharing = |amount: &Amount| match family {
            Family::PerGroup => horizon(amounts.iter(), amount),
            Family::PerUser | Family::Total => horizon(table.amounts(), amount),
        };
        let rules = amounts.iter().map(|amount| self.rule(family, table, scope, amount, sharing(amount)));
        Some(Applied { scope, of_model: step.of_model, rules: rules.collect(), table: step.path.into() })
    }

    fn rule(
        self,
        family: Family,
        table: &Table,
        scope: Scope,
        amount: &Amount,
        horizon: Arc<[Duration]>,
    ) -> quota::Rule {
        // Calls in flight have no window, and nobody reads one.
        let interval = amount.interval.as_ref().map_or(Duration::from_secs(1), |interval| interval.length);
        let limit = Limit { scope, tokens: amount.amount, interval, horizon };
        let id = format!("{}.{}", family.name(), key_of(amount.kind));
        let share = table.max_share.filter(|_| amount.kind != Kind::Concurrent);
        quota::Rule {
            mode: amount.mode,
            on_output_limit: amount.on_output_limit.unwrap_or(self.on_output_limit),
            per_member: share.map(|share| share_of(amount.amount, share)),
            ..quota::Rule::new(amount.kind, limit, id)
        }
    }
}

impl Scopes {
    /// The number of a provider, or of one of its models: a hash of its public name. Two names with one hash get
    /// different numbers, by the order in which they come.
    pub(super) fn of(&mut self, provider: &str, model: Option<&str>) -> Scope {
        // No name of a provider holds `/`.
        let name = model.map_or_else(|| provider.to_owned(), |model| format!("{provider}/{model}"));
        let mut number = fnv1a(name.as_bytes());
        while !self.0.insert(number) {
            number = number.wrapping_add(1);
        }
        Scope(number)
    }
}

/// The distinct intervals of the amounts that share a bucket with this one, ascending.
fn horizon<'a>(all: impl Iterator<Item = &'a Amount>, one: &Amount) -> Arc<[Duration]> {
    let sharing = all.filter(|amount| (amount.kind, amount.mode) == (one.kind, one.mode));
    let lengths: BTreeSet<_> = sharing.filter_map(|amount| Some(amount.interval.as_ref()?.length)).collect();
    lengths.into_iter().collect()
}

/// So many billionths of a limit, rounded down; something of a limit that is not 0.
fn share_of(amount: u64, share: u64) -> u64 {
    let part = u128::from(amount) * u128::from(share) / 1_000_000_000;
    u64::try_from(part).unwrap_or(amount).clamp(amount.min(1), amount)
}

/// FNV-1a of 32 bits (the reference of Fowler, Noll and Vo): small, and the same in every version.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests;
