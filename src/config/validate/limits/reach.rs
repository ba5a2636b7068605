//! Limits that no caller can reach, and callers that a table forgets.

use actors::Group;

use super::Written;
use crate::config::{
    diagnostic::{Code, Diagnostic},
    limits::{Family, Limits, key, walk},
    validate::{Check, access::Lists, identification::Callers},
};

impl Written<'_> {
    /// Warns of limits no caller can reach: `lists` are those of every model the tables may hold for.
    pub(in crate::config::validate) fn reach(
        &self,
        lists: &[Lists],
        callers: &Callers,
        check: &mut Check<'_>,
    ) {
        let anyone = |lists: &Lists| {
            callers.groups.iter().any(|group| lists.admit(Some(group)))
                || !callers.require_group && lists.admit(None)
        };
        for (family, view) in Family::ALL.into_iter().zip(self.views) {
            for (name, entry, _) in view.table("groups").named() {
                let group = Group::new(name);
                if callers.groups.contains(&group) && !lists.iter().any(|lists| lists.admit(Some(&group))) {
                    let message =
                        format!("no caller can reach this limit: group `{name}` may not use the model");
                    let help = "remove it, or change `allow` and `deny`";
                    check.at_key(entry, Code::UnreachableLimit, message, help);
                }
            }
            if self.limits.of(family).default.is_some() && !lists.iter().any(anyone) {
                let message = "no caller can reach this limit: nobody may use the model";
                let problem = Diagnostic::new(Code::UnreachableLimit, view.span(), message)
                    .help("remove it, or change `allow` and `deny`");
                check.report.push(problem);
            }
        }
    }

    /// Warns of listed groups that `per_user` forgets while it names others. `farther` is the provider's.
    pub(in crate::config::validate) fn gaps(
        &self,
        farther: &Limits,
        lists: &[Lists],
        callers: &Callers,
        check: &mut Check<'_>,
    ) {
        let table = self.limits.of(Family::PerUser);
        let Some(entry) = self.views[0].entry("groups").filter(|_| !table.groups.is_empty()) else { return };
        let forgotten = callers.groups.iter().filter(|group| !table.groups.contains_key(*group));
        for group in forgotten.filter(|group| lists.iter().any(|lists| lists.admit(Some(group)))) {
            let steps = walk(Family::PerUser, &self.limits, farther, Some(group));
            let applies = steps.iter().find(|step| step.amounts.is_some());
            let then = applies.map_or_else(
                || "no limit applies to it".to_owned(),
                |step| format!("`{}` applies", step.path),
            );
            let message = format!("group `{group}` has no limit of its own here: {then}");
            let help = format!("add `{}.groups.{}`, if that is not meant", table.path, key(group.as_str()));
            check.at_key(entry, Code::GroupWithoutLimit, message, help);
        }
    }
}
