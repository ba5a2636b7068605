//! Who may use something: `allow` and `deny`, and whether the groups that are named anywhere exist.

use std::{collections::BTreeSet, ops::Range};

use actors::Group;

use super::{Check, identification::Callers};
use crate::config::{
    diagnostic::{Code, Diagnostic},
    file::View,
    shape::nearest,
};

/// Where limits name a group.
pub(super) const LIMITS: &str = "limits";

/// Who may use something: `allow` and `deny` of a provider and its model together.
#[derive(Clone, Debug, Default)]
pub(super) struct Lists {
    pub(super) allow: Option<BTreeSet<Group>>,
    pub(super) deny: BTreeSet<Group>,
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

    /// Whether they let a caller of this group in.
    pub(super) fn admit(&self, group: Option<&Group>) -> bool {
        match group {
            Some(group) => {
                !self.deny.contains(group) && self.allow.as_ref().is_none_or(|allow| allow.contains(group))
            }
            None => self.allow.is_none(),
        }
    }
}

/// Reports a group that no caller can be in. `quoted` is its name as it may be printed.
pub(super) fn known_group(
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
