//! `rate_limits` as it was written: which table says what, and what makes no sense about it.

use std::{collections::BTreeSet, ops::Range};

use actors::{Group, identity::Tokens};

use super::{Check, identification::Callers};
use crate::config::{
    diagnostic::{Code, Diagnostic},
    file::{Entry, View},
    limits::{Amount, Table, key, walk},
    quantity::write_duration,
    shape::nearest,
};

/// Where limits name a group.
const LIMITS: &str = "limits";

/// A `per_user` table and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Written<'a> {
    view: View<'a>,
    pub(super) table: Table,
}

/// Who may use something: `allow` and `deny` of a provider and its model together.
#[derive(Clone, Debug, Default)]
pub(super) struct Lists {
    pub(super) allow: Option<BTreeSet<Group>>,
    pub(super) deny: BTreeSet<Group>,
}

impl<'a> Written<'a> {
    /// Reads the `per_user` of a `rate_limits` table at a dotted path.
    pub(super) fn read(rate_limits: View<'a>, path: &str, callers: &Callers, check: &mut Check<'_>) -> Self {
        let view = rate_limits.table("per_user");
        let mut table = Table::at(format!("{path}.per_user"));
        if view.exists() {
            let groups_only = view.table("groups").named().next().is_some();
            table.default = amount(view, groups_only, check);
        }
        for (name, entry, group) in view.table("groups").named() {
            known_group(name, &format!("group `{name}`"), &entry.key, LIMITS, callers, check);
            if let Some(amount) = amount(group, false, check).filter(|_| group.exists()) {
                table.groups.insert(Group::new(name), amount);
            }
        }
        Self { view, table }
    }

    /// Where the table is written; empty at 0 when it is not.
    pub(super) fn span(&self) -> Range<usize> {
        self.view.span()
    }

    /// Whether it limits groups.
    pub(super) fn has_groups(&self) -> bool {
        !self.table.groups.is_empty()
    }

    /// Warns of limits no caller can reach: `lists` are those of every model the table may hold for.
    pub(super) fn reach(&self, lists: &[Lists], callers: &Callers, check: &mut Check<'_>) {
        for (name, entry, _) in self.view.table("groups").named() {
            let group = Group::new(name);
            if callers.groups.contains(&group) && !lists.iter().any(|lists| lists.admit(Some(&group))) {
                let message = format!("no caller can reach this limit: group `{name}` may not use the model");
                let help = "remove it, or change `allow` and `deny`";
                check.at_key(entry, Code::UnreachableLimit, message, help);
            }
        }
        let anyone = |lists: &Lists| {
            callers.groups.iter().any(|group| lists.admit(Some(group)))
                || !callers.require_group && lists.admit(None)
        };
        if self.table.default.is_some() && !lists.iter().any(anyone) {
            let message = "no caller can reach this limit: nobody may use the model";
            let problem = Diagnostic::new(Code::UnreachableLimit, self.span(), message)
                .help("remove it, or change `allow` and `deny`");
            check.report.push(problem);
        }
    }

    /// Warns of listed groups that this table forgets while it names others. `farther` is the provider's table.
    pub(super) fn gaps(&self, farther: &Table, lists: &[Lists], callers: &Callers, check: &mut Check<'_>) {
        let Some(entry) = self.view.entry("groups").filter(|_| self.has_groups()) else { return };
        let forgotten = callers.groups.iter().filter(|group| !self.table.groups.contains_key(*group));
        for group in forgotten.filter(|group| lists.iter().any(|lists| lists.admit(Some(group)))) {
            let steps = walk(&self.table, farther, Some(group));
            let applies = steps.iter().find(|step| step.amount.is_some());
            let then = applies.map_or_else(
                || "no limit applies to it".to_owned(),
                |step| format!("`{}` applies", step.path),
            );
            let message = format!("group `{group}` has no limit of its own here: {then}");
            let help =
                format!("add `{}.groups.{}`, if that is not meant", self.table.path, key(group.as_str()));
            check.at_key(entry, Code::GroupWithoutLimit, message, help);
        }
    }
}

impl Lists {
    /// Reads `allow` and `deny` of a table.
    pub(super) fn read(view: View<'_>, callers: &Callers, check: &mut Check<'_>) -> Self {
        for name in ["allow", "deny"] {
            for node in view.items(name) {
                let place = format!("`{name}`");
                if let Some(group) = node.text() {
                    known_group(group, &node.quoted(), &node.span, &place, callers, check);
                }
            }
        }
        let groups = |names: Vec<String>| names.iter().map(|name| Group::new(name)).collect();
        Self { allow: view.get("allow").map(groups), deny: groups(view.value("deny")) }
    }

    /// Both lists hold: a caller must be allowed by each and denied by none.
    pub(super) fn and(&self, other: &Self) -> Self {
        let allow = match (&self.allow, &other.allow) {
            (Some(a), Some(b)) => Some(a.intersection(b).cloned().collect()),
            (a, b) => a.clone().or_else(|| b.clone()),
        };
        Self { allow, deny: self.deny.union(&other.deny).cloned().collect() }
    }

    fn admit(&self, group: Option<&Group>) -> bool {
        match group {
            Some(group) => {
                !self.deny.contains(group) && self.allow.as_ref().is_none_or(|allow| allow.contains(group))
            }
            None => self.allow.is_none(),
        }
    }
}

/// The limit of one table. `optional`: it may have none.
fn amount(view: View<'_>, optional: bool, check: &mut Check<'_>) -> Option<Amount> {
    let (tokens, interval) = (view.entry("input_token_limit"), view.entry("interval"));
    let missing = |name: &str| Diagnostic::new(Code::MissingKey, view.span(), format!("`{name}` is missing"));
    match (tokens, interval) {
        (Some(_), Some(interval)) => {
            let (tokens, length) = (view.get("input_token_limit")?, view.get("interval")?);
            let written = interval.node.text().map_or_else(|| write_duration(length), str::to_owned);
            return Some(Amount { tokens, interval: length, written: written.into() });
        }
        (Some(_), None) => check.report.push(missing("interval").help("write `interval = \"60s\"`")),
        (None, Some(_)) if !others(view) => {
            check.report.push(missing("input_token_limit").help("write `input_token_limit = 1000`"));
        }
        (None, None) if !optional && view.exists() && !others(view) => check.report.push(
            missing("input_token_limit").help("write `input_token_limit = 1000` and `interval = \"60s\"`"),
        ),
        _ => {}
    }
    None
}

/// Whether a limit of another kind is written, which is reported as not in this version.
fn others(view: View<'_>) -> bool {
    ["output_token_limit", "total_token_limit", "request_limit", "cost_limit", "concurrent_limit", "windows"]
        .iter()
        .any(|name| view.entry(name).is_some())
}

/// Reports a group that no caller can be in. `quoted` is its name as it may be printed.
fn known_group(
    name: &str,
    quoted: &str,
    at: &Range<usize>,
    place: &str,
    callers: &Callers,
    check: &mut Check<'_>,
) {
    let known = callers.groups.contains(&Group::new(name)) || callers.groups_unknown;
    let problem = if callers.group_id.is_none() {
        if !callers.named && place == LIMITS {
            return; // reported once for all limits
        }
        let why = if callers.named {
            "nothing names the group of a caller"
        } else {
            "identification is not enabled"
        };
        let message = format!("{place} for {quoted}, but {why}");
        Diagnostic::new(Code::MissingGroupId, at.clone(), message).help(callers.group_remedy)
    } else if known || callers.groups.is_empty() && place == LIMITS {
        return; // an empty list beside limits is reported once
    } else {
        let message = format!("{quoted} is not in `group_values`");
        let near = nearest(name, callers.groups.iter().map(Group::as_str));
        let help = near.map_or_else(
            || "add it to `group_values` in [server.client_identification.validation]".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        Diagnostic::new(Code::UnknownGroup, at.clone(), message).help(help)
    };
    check.report.push(problem);
}

/// The conditions all limits share: somebody must be identified, and groups must be listed.
pub(super) fn preconditions(first: Option<&Entry>, callers: &Callers, check: &mut Check<'_>) {
    let Some(first) = first else { return };
    if !callers.named {
        let message = "limits per user need client identification, which is not enabled";
        let tokens = callers.rules.as_ref().is_some_and(|rules| rules.tokens != Tokens::Ignored);
        let claim = if tokens { "`client_id.jwt_claim = \"sub\"` or " } else { "" };
        let help = format!(
            "write in [server.client_identification]: `enabled = true` and {claim}`client_id.http_header = \"X-User-Id\"`"
        );
        check.at_key(first, Code::LimitWithoutIdentity, message, help);
    } else if let Some(group_id) = callers.group_id.clone().filter(|_| callers.groups.is_empty()) {
        let message = "`group_id` is configured and limits exist, but `group_values` is empty";
        let problem = Diagnostic::new(Code::MissingGroupValues, group_id, message).help(
            "write `group_values = [\"premium\", \"basic\"]` in [server.client_identification.validation]",
        );
        check.report.push(problem);
    }
}
