//! The limits of one table and of its windows.

use std::ops::Range;

use actors::quota::{Kind, Mode, OnOutputLimit};

use crate::config::{
    diagnostic::{Code, Diagnostic},
    file::{Billionths, Entry, View},
    limits::{Amount, Amounts, Interval, KEYS},
    quantity::write_duration,
    validate::Check,
};

/// What a table says of all its limits.
#[derive(Clone, Copy, Default)]
struct Manner {
    mode: Mode,
    on_output_limit: Option<OnOutputLimit>,
}

/// A limit and where it is written.
type Placed = (Amount, Range<usize>);

/// The limits of one table; `None` when it has none. `optional`: it need not have any.
pub(super) fn amounts(view: View<'_>, optional: bool, check: &mut Check<'_>) -> Option<Amounts> {
    if !view.exists() {
        return None;
    }
    let windows: Vec<_> = view.tables("windows").collect();
    let manner = Manner::read(view, Manner::default());
    let mut all = own(view, manner, optional || !windows.is_empty(), check);
    for window in &windows {
        let inherited = Manner::read(*window, manner);
        let own = own(*window, inherited, false, check);
        no_stream(*window, &own, check);
        all.extend(own);
    }
    idle(view, &all, check);
    no_stream(view, &all, check);
    duplicates(&all, check);
    let amounts: Vec<_> = all.into_iter().map(|(amount, _)| amount).collect();
    Some(Amounts(amounts)).filter(|amounts| !amounts.0.is_empty())
}

impl Manner {
    fn read(view: View<'_>, above: Self) -> Self {
        let mode = view.get::<String>("mode").filter(|_| view.entry("mode").is_some());
        Self {
            mode: match mode.as_deref() {
                Some("shadow") => Mode::Shadow,
                Some(_) => Mode::Enforce,
                None => above.mode,
            },
            on_output_limit: on_output_limit(view).or(above.on_output_limit),
        }
    }
}

/// `on_output_limit` of a table.
pub(in crate::config::validate) fn on_output_limit(view: View<'_>) -> Option<OnOutputLimit> {
    match view.get::<String>("on_output_limit").as_deref() {
        Some("cut") => Some(OnOutputLimit::Cut),
        Some(_) => Some(OnOutputLimit::Finish),
        None => None,
    }
}

/// The limits that stand in the table itself.
fn own(view: View<'_>, manner: Manner, optional: bool, check: &mut Check<'_>) -> Vec<Placed> {
    let written = || KEYS.into_iter().filter_map(|(name, kind)| Some((name, kind, view.entry(name)?)));
    interval_fits(view, written().map(|(_, kind, _)| kind), optional, check);
    let interval = interval(view);
    let limit = |(name, kind, entry): (&str, Kind, &Entry)| {
        let amount = match kind {
            Kind::Cost => view.get::<Billionths>(name)?.0,
            _ => view.get(name)?,
        };
        let interval = match kind {
            Kind::Concurrent => None,
            _ => Some(interval.clone()?),
        };
        let Manner { mode, on_output_limit } = manner;
        Some((Amount { kind, amount, interval, mode, on_output_limit }, entry.key.clone()))
    };
    written().filter_map(limit).collect()
}

fn interval(view: View<'_>) -> Option<Interval> {
    let length = view.get("interval")?;
    let text = view.entry("interval").and_then(|entry| entry.node.text());
    let written = text.map_or_else(|| write_duration(length), str::to_owned);
    Some(Interval { length, written: written.into() })
}

/// Reports an interval without a limit, and a limit without an interval.
fn interval_fits(
    view: View<'_>,
    mut written: impl Iterator<Item = Kind> + Clone,
    optional: bool,
    check: &mut Check<'_>,
) {
    let nothing = written.clone().next().is_none();
    let windowed = written.any(|kind| kind != Kind::Concurrent);
    let missing = |name: &str| Diagnostic::new(Code::MissingKey, view.span(), format!("`{name}` is missing"));
    match view.entry("interval") {
        None if windowed => check.report.push(missing("interval").help("write `interval = \"60s\"`")),
        None if nothing && !optional => check.report.push(
            missing("input_token_limit").help("write `input_token_limit = 1000` and `interval = \"60s\"`"),
        ),
        Some(_) if nothing && view.entry("windows").is_none() => {
            check.report.push(missing("input_token_limit").help("write `input_token_limit = 1000`"));
        }
        Some(entry) if !windowed => {
            let message = "`interval` changes nothing: no limit beside it has a window";
            check.at_key(entry, Code::NoEffect, message, "remove it: each of `windows` has its own");
        }
        _ => {}
    }
}

/// Warns of what is said of limits where there are none.
fn idle(view: View<'_>, all: &[Placed], check: &mut Check<'_>) {
    let Some(entry) = view.entry("mode").filter(|_| all.is_empty()) else { return };
    let message = "`mode` changes nothing: this table has no limit of its own";
    check.at_key(entry, Code::NoEffect, message, "write it in the table of each group");
}

/// Warns of `on_output_limit` beside limits that no stream uses up.
fn no_stream(view: View<'_>, all: &[Placed], check: &mut Check<'_>) {
    let flows = |kind| matches!(kind, Kind::Output | Kind::Total | Kind::Cost);
    if all.iter().any(|(amount, _)| flows(amount.kind)) {
        return;
    }
    if let Some(entry) = view.entry("on_output_limit") {
        let message = "`on_output_limit` changes nothing: output, total or cost is not limited here";
        let help = "remove it, or write `output_token_limit`, `total_token_limit` or `cost_limit`";
        check.at_key(entry, Code::NoEffect, message, help);
    }
}

/// Reports the second of two limits that differ in nothing but their number.
fn duplicates(all: &[Placed], check: &mut Check<'_>) {
    let of = |amount: &Amount| {
        (amount.kind, amount.mode, amount.interval.as_ref().map(|interval| interval.length))
    };
    for (index, (second, at)) in all.iter().enumerate() {
        let Some((_, first)) = all[..index].iter().find(|(first, _)| of(first) == of(second)) else {
            continue;
        };
        let message = "the same kind is limited twice over the same interval";
        let problem = Diagnostic::new(Code::LimitTwice, at.clone(), message)
            .label(first.clone(), "the other one")
            .help("keep the smaller one, or give one of them another `interval`");
        check.report.push(problem);
    }
}
