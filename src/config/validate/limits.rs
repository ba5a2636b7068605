//! `rate_limits` as it was written: which table says what, and what makes no sense about it.

mod amounts;
mod reach;

use std::{collections::BTreeMap, ops::Range};

use actors::{Group, identity::Tokens, quota::Kind};

use self::amounts::amounts;
pub(super) use self::amounts::on_output_limit;
use super::{
    Check,
    access::{LIMITS, Lists, known_group},
    identification::Callers,
};
use crate::config::{
    diagnostic::{Code, Diagnostic},
    file::{Billionths, Entry, View},
    limits::{Amounts, Family, Limits, Step, Table, walk},
    shape::list,
};

/// The tables of a `rate_limits` and where they stand.
#[derive(Clone, Debug)]
pub(super) struct Written<'a> {
    views: [View<'a>; 3],
    pub(super) limits: Limits,
}

/// Where models want a price: for each `cost_limit`, by where it is, the models it holds for.
pub(super) type Unpriced<'a> = BTreeMap<usize, (&'a Entry, Vec<&'a str>)>;

impl<'a> Written<'a> {
    /// Reads the tables that `place` finds, each with its dotted path.
    pub(super) fn read(
        place: impl Fn(Family) -> (View<'a>, String),
        callers: &Callers,
        check: &mut Check<'_>,
    ) -> Self {
        let places = Family::ALL.map(place);
        let views = places.clone().map(|(view, _)| view);
        let [per_user, per_group, total] = places;
        let limits = Limits::new([
            per_user_table(per_user, callers, check),
            pools(per_group, callers, check),
            Table { default: amounts(total.0, false, check), ..Table::at(total.1) },
        ]);
        Self { views, limits }
    }

    /// Warns of kinds that a nearer table takes away from a farther one. `farther` is the provider's, `None` its own look.
    pub(super) fn hides(
        &self,
        farther: Option<&Limits>,
        lists: &[Lists],
        callers: &Callers,
        check: &mut Check<'_>,
    ) {
        let nothing = Limits::default();
        let (model, provider) = farther.map_or((&nothing, &self.limits), |farther| (&self.limits, farther));
        for (family, group) in cases(callers).filter(|(_, group)| reaches(lists, group.as_ref(), callers)) {
            let mut written = walk(family, model, provider, group.as_ref()).into_iter();
            let mut written = written.by_ref().filter_map(|step| Some((step.amounts?, step)));
            let Some((nearest, winner)) = written.next() else { continue };
            if farther.is_some() && !winner.of_model {
                continue; // said of the provider already
            }
            let mut hidden = written.map(|(amounts, step)| (kinds_beyond(nearest, amounts), step));
            if let Some((kinds, step)) = hidden.find(|(kinds, _)| !kinds.is_empty()) {
                let keys = list(&kinds).replace(" or ", " and ");
                let message =
                    format!("this table hides {keys} of `{}`: the nearest table holds alone", step.path);
                let help = format!("repeat {keys} here, if that is not meant");
                let at = self.place(family, &winner, group.as_ref());
                check.report.push(Diagnostic::new(Code::OverriddenLimit, at, message).help(help));
            }
        }
    }

    /// Notes where a model without a price falls under a `cost_limit`. `provider` is that of its provider.
    pub(super) fn unpriced(
        &self,
        model: &'a str,
        provider: &Self,
        callers: &Callers,
        found: &mut Unpriced<'a>,
    ) {
        for (family, group) in cases(callers) {
            let steps = walk(family, &self.limits, &provider.limits, group.as_ref());
            let Some((amounts, step)) = steps.iter().find_map(|step| Some((step.amounts?, step))) else {
                continue;
            };
            let owner = if step.of_model { self } else { provider };
            let table = owner.view(family, step, group.as_ref());
            let entry = table.entry("cost_limit").or_else(|| {
                let mut windows = table.tables("windows");
                windows.find_map(|window| window.entry("cost_limit"))
            });
            if let Some(entry) = entry.filter(|_| amounts.limit(Kind::Cost)) {
                let (_, models) = found.entry(entry.key.start).or_insert((entry, Vec::new()));
                if !models.contains(&model) {
                    models.push(model);
                }
            }
        }
    }

    /// The table of a step.
    fn view(&self, family: Family, step: &Step<'_>, group: Option<&Group>) -> View<'a> {
        let view = self.views[family as usize];
        match group.filter(|_| step.of_group) {
            Some(group) => view.table("groups").table(group.as_str()),
            None => view,
        }
    }

    /// Where problems of the table of a step are shown.
    fn place(&self, family: Family, step: &Step<'_>, group: Option<&Group>) -> Range<usize> {
        let view = self.views[family as usize];
        let group = group.filter(|_| step.of_group);
        let entry = group.and_then(|group| view.table("groups").entry(group.as_str()));
        entry.map_or_else(|| view.span(), |entry| entry.key.clone())
    }
}

/// Reports every `cost_limit` that holds where nobody knows the price.
pub(super) fn report_unpriced(found: Unpriced<'_>, check: &mut Check<'_>) {
    for (entry, models) in found.into_values() {
        let (holds, have) = if models.len() == 1 { ("model", "has") } else { ("models", "have") };
        let names = list(&models).replace(" or ", " and ");
        let message = format!("the limit holds for {holds} {names}, which {have} no price");
        let help =
            "write `price = { input = 2.50, output = 10.00 }` in the table of each: money per million tokens";
        check.at_key(entry, Code::CostWithoutPrice, message, help);
    }
}

/// The conditions limits of clients and groups share: somebody must be identified, and groups must be listed.
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

fn per_user_table((view, path): (View<'_>, String), callers: &Callers, check: &mut Check<'_>) -> Table {
    let groups_only = view.table("groups").named().next().is_some();
    let default = amounts(view, groups_only, check);
    Table { default, groups: groups(view, callers, check), ..Table::at(path) }
}

fn pools((view, path): (View<'_>, String), callers: &Callers, check: &mut Check<'_>) -> Table {
    let groups = groups(view, callers, check);
    let table = Table { groups, ..Table::at(path) };
    let Some((entry, share)) = view.entry("max_share").zip(view.get::<Billionths>("max_share")) else {
        return table;
    };
    if !(1..=1_000_000_000).contains(&share.0) {
        let message = "`max_share` must be above 0 and at most 1";
        check.at_value(entry, Code::OutOfRange, message, "for example `max_share = 0.5`: half of the pool");
    } else if !table.amounts().any(|amount| amount.interval.is_some()) {
        let message = "`max_share` changes nothing: no group has a pool over an interval here";
        check.at_key(entry, Code::NoEffect, message, "remove it, or write the pools under `groups`");
    } else if table.amounts().any(|amount| amount.kind == Kind::Concurrent) {
        let message =
            "`max_share` does not hold for `concurrent_limit`: one client may hold all calls of a pool";
        check.at_key(
            entry,
            Code::NoEffect,
            message,
            "bound each client with a `concurrent_limit` of `per_user`",
        );
    }
    Table { max_share: Some(share.0), ..table }
}

fn groups(view: View<'_>, callers: &Callers, check: &mut Check<'_>) -> BTreeMap<Group, Amounts> {
    let mut groups = BTreeMap::new();
    for (name, entry, group) in view.table("groups").named() {
        known_group(name, &format!("group `{name}`"), &entry.key, LIMITS, callers, check);
        if let Some(amounts) = amounts(group, false, check) {
            groups.insert(Group::new(name), amounts);
        }
    }
    groups
}

/// Every family with every caller there may be: of each listed group, and of none.
fn cases(callers: &Callers) -> impl Iterator<Item = (Family, Option<Group>)> {
    let groups = || callers.groups.iter().cloned().map(Some).chain([None]);
    Family::ALL.into_iter().flat_map(move |family| groups().map(move |group| (family, group)))
}

/// Whether a caller of this group may use one of the models whose lists these are.
fn reaches(lists: &[Lists], group: Option<&Group>, callers: &Callers) -> bool {
    (group.is_some() || !callers.require_group) && lists.iter().any(|lists| lists.admit(group))
}

/// The keys of the kinds that a table limits and the nearer one does not.
fn kinds_beyond(nearer: &Amounts, farther: &Amounts) -> Vec<&'static str> {
    let keys = crate::config::limits::KEYS.into_iter();
    keys.filter(|(_, kind)| farther.limit(*kind) && !nearer.limit(*kind)).map(|(name, _)| name).collect()
}
