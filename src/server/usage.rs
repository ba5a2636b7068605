//! What a caller has used of its limits, as JSON: its own, each bucket once, in the order of the models. Takes nothing.
//! Units: those of each kind, money as a decimal; seconds, rounded up.

use std::{collections::HashMap, time::Duration};

use actors::{
    Principal, Unreachable,
    quota::{AccountId, Kind, Level, Mode, Rule, Rules},
};
use serde::Serialize;
use serde_json::Number;

use super::router::Router;
use crate::{
    config::{budget::Applied, limits::Family, quantity::write_billionths},
    route::Target,
};

/// The answer.
#[derive(Serialize)]
pub(super) struct Limits<'a> {
    client: Option<&'a str>,
    group: Option<&'a str>,
    limits: Vec<Row>,
}

/// One limit and how it stands.
#[derive(Serialize)]
pub(super) struct Row {
    scope: String,
    limit: Amount,
    kind: &'static str,
    interval_seconds: Option<Number>,
    used: Amount,
    remaining: Amount,
    reset_seconds: u64,
    mode: &'static str,
}

/// So much of a kind.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Amount {
    Whole(u64),
    Money(String),
}

/// The caller's own limits.
///
/// # Errors
/// Nobody knows at the moment.
pub(super) async fn of<'a>(router: &Router, caller: &'a Principal) -> Result<Limits<'a>, Unreachable> {
    let client = caller.client.as_ref();
    let limits = match client {
        Some(client) => own(router, caller, &AccountId::Client(client.clone())).await?,
        None => Vec::new(),
    };
    let group = caller.group.as_ref().map(|group| group.as_str());
    Ok(Limits { client: client.map(|client| client.as_str()), group, limits })
}

/// All of them are asked for at once, since one actor has them all.
async fn own(router: &Router, caller: &Principal, account: &AccountId) -> Result<Vec<Row>, Unreachable> {
    let mut scopes = HashMap::new();
    let mut all = Vec::new();
    for target in router.routes.open_to(caller) {
        let Some(applied) = &target.budget(caller).per_user else { continue };
        let place = scopes.len();
        scopes.entry(applied.scope).or_insert_with(|| {
            all.extend(applied.rules.iter().cloned());
            (place, scope(target, applied, Family::PerUser))
        });
    }
    let rules = Rules::new(all);
    let levels = router.quota.usage(account, &rules).await?;
    let rows = rules.iter().zip(&levels).filter_map(|(rule, level)| {
        let (place, scope) = scopes.get(&rule.limit.scope)?;
        Some((*place, Row::new(scope.clone(), rule, level)))
    });
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by_key(|(place, _)| *place);
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

/// Whose buckets a table's are, and for whom: `openai/gpt-4o.per_user`, `openai.total`.
pub(super) fn scope(target: &Target, applied: &Applied, family: Family) -> String {
    let owner = if applied.of_model { &*target.id } else { &*target.provider };
    format!("{owner}.{}", family.name())
}

impl Row {
    /// A rule of an account as it stands.
    pub(super) fn new(scope: String, rule: &Rule, level: &Level) -> Self {
        let amount = |amount| Amount::of(rule.kind, amount);
        let interval = Some(rule.limit.interval).filter(|_| rule.kind != Kind::Concurrent);
        Self {
            scope,
            limit: amount(rule.limit.tokens),
            kind: rule.kind.name(),
            interval_seconds: interval.and_then(exactly),
            used: amount(level.used),
            remaining: amount(level.remaining),
            reset_seconds: seconds(level.reset_after),
            mode: mode(rule.mode),
        }
    }
}

impl Amount {
    /// So much of this kind.
    pub(super) fn of(kind: Kind, amount: u64) -> Self {
        if kind == Kind::Cost { Self::Money(write_billionths(amount)) } else { Self::Whole(amount) }
    }
}

/// As the configuration writes it.
pub(super) const fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "enforce",
        Mode::Shadow => "shadow",
    }
}

/// Seconds as the configuration means them, which need not be whole.
fn exactly(interval: Duration) -> Option<Number> {
    match interval.subsec_nanos() {
        0 => Some(interval.as_secs().into()),
        _ => Number::from_f64(interval.as_secs_f64()),
    }
}

/// Whole seconds, rounded up, so that a promise is kept.
pub(super) fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
