//! Which table wins for whom, what becomes of its limits, and that buckets keep their owners.

use std::collections::BTreeMap;

use super::*;
use crate::config::limits::{Amounts, Interval};

const SECOND: Duration = Duration::from_secs(1);

fn amount(kind: Kind, amount: u64, seconds: u32) -> Amount {
    let interval = Interval { length: seconds * SECOND, written: format!("{seconds}s").into() };
    Amount {
        kind,
        amount,
        interval: Some(interval).filter(|_| seconds > 0),
        mode: Mode::Enforce,
        on_output_limit: None,
    }
}

fn input(tokens: u64, seconds: u32) -> Option<Amounts> {
    Some(Amounts(vec![amount(Kind::Input, tokens, seconds)]))
}

fn table(path: &str, default: Option<Amounts>, groups: &[(&str, Option<Amounts>)]) -> Table {
    let groups = groups.iter().map(|(group, amounts)| (Group::new(group), amounts.clone().unwrap()));
    Table { path: path.into(), default, groups: groups.collect::<BTreeMap<_, _>>(), max_share: None }
}

fn per_user(table: Table) -> Limits {
    Limits::new([table, Table::default(), Table::default()])
}

fn resolve(model: &Limits, provider: &Limits) -> Budgets {
    let on_output_limit = OnOutputLimit::Cut;
    Owners { model: (model, Scope(1)), provider: (provider, Scope(0)), on_output_limit }.resolve()
}

fn first(applied: Option<&Applied>) -> (u64, u32, &str) {
    let applied = applied.unwrap();
    (applied.rules.position(0).unwrap().limit.tokens, applied.scope.0, &applied.table)
}

#[test]
fn the_first_of_four_tables_wins_alone() {
    let model = per_user(table("m", input(300, 60), &[("premium", input(400, 60))]));
    let provider =
        per_user(table("p", input(100, 60), &[("premium", input(200, 60)), ("basic", input(50, 3600))]));
    let budgets = resolve(&model, &provider);
    let of = |group: &str| first(budgets.of(Some(&Group::new(group))).per_user.as_ref());
    assert_eq!(first(budgets.of(None).per_user.as_ref()), (300, 1, "m"));
    assert_eq!(of("basic"), (300, 1, "m"));
    assert_eq!(of("premium"), (400, 1, "m.groups.premium"));
    assert_eq!(of("another"), (300, 1, "m"));
}

#[test]
fn a_model_table_with_groups_only_leaves_other_callers_to_the_provider() {
    let model = per_user(table("m", None, &[("premium", input(400, 60))]));
    let provider = per_user(table("p", input(100, 60), &[("basic", input(50, 3600))]));
    let budgets = resolve(&model, &provider);
    let default = budgets.default.per_user.as_ref();
    assert_eq!(first(default), (100, 0, "p"));
    assert_eq!(
        *default.unwrap().rules.position(0).unwrap().limit.horizon,
        [60 * SECOND, 3600 * SECOND],
        "a change of group changes the limit, not the bucket"
    );
    let basic = budgets.of(Some(&Group::new("basic")));
    assert_eq!(first(basic.per_user.as_ref()), (50, 0, "p.groups.basic"));
}

#[test]
fn families_resolve_each_on_its_own() {
    let model = Limits::new([Table::default(), Table::default(), table("mt", input(9, 60), &[])]);
    let pools = Table { max_share: Some(500_000_000), ..table("pg", None, &[("premium", input(7, 60))]) };
    let provider = Limits::new([table("pu", input(5, 60), &[]), pools, table("pt", input(8, 60), &[])]);
    let budgets = resolve(&model, &provider);
    let premium = budgets.of(Some(&Group::new("premium")));
    assert_eq!(first(premium.per_user.as_ref()), (5, 0, "pu"));
    assert_eq!(first(premium.per_group.as_ref()), (7, 0, "pg.groups.premium"));
    assert_eq!(first(premium.total.as_ref()), (9, 1, "mt"));
    assert_eq!(premium.ceiling, Some(5));
    assert_eq!(budgets.of(Some(&Group::new("basic"))).per_group, None, "a group without a pool");
    let ids: Vec<_> = Family::ALL.map(|family| premium.of(family).unwrap().rules.position(0).unwrap()).into();
    let named: Vec<_> = ids.iter().map(|rule| (&*rule.id, rule.per_member)).collect();
    assert_eq!(
        named,
        [
            ("per_user.input_token_limit", None),
            ("per_group.input_token_limit", Some(3)),
            ("total.input_token_limit", None)
        ]
    );
}

#[test]
fn a_table_holds_with_all_its_keys_and_windows_of_a_kind_share_a_bucket() {
    let shadow = Amount { mode: Mode::Shadow, ..amount(Kind::Input, 1, 5) };
    let finish = Some(OnOutputLimit::Finish);
    let amounts = Amounts(vec![
        amount(Kind::Output, 10, 60),
        amount(Kind::Concurrent, 2, 0),
        Amount { on_output_limit: finish, ..amount(Kind::Output, 100, 3600) },
        shadow,
    ]);
    let model = per_user(table("m", Some(amounts), &[]));
    let provider = per_user(table("p", input(100, 60), &[]));
    let budgets = resolve(&model, &provider);
    assert_eq!(
        budgets.default.ceiling, None,
        "the provider's input limit is hidden, and the shadow refuses nothing"
    );
    let rules = &budgets.default.per_user.as_ref().unwrap().rules;
    let seen: Vec<_> = rules
        .iter()
        .map(|rule| (rule.kind, rule.mode, rule.on_output_limit, rule.limit.horizon.len()))
        .collect();
    assert_eq!(
        seen,
        [
            (Kind::Input, Mode::Shadow, OnOutputLimit::Cut, 1),
            (Kind::Output, Mode::Enforce, OnOutputLimit::Cut, 2),
            (Kind::Output, Mode::Enforce, OnOutputLimit::Finish, 2),
            (Kind::Concurrent, Mode::Enforce, OnOutputLimit::Cut, 1)
        ]
    );
}

#[test]
fn a_share_is_rounded_down_but_never_to_nothing() {
    for (amount, share, expected) in [
        (10, 500_000_000, 5),
        (3, 500_000_000, 1),
        (1, 1, 1),
        (0, 500_000_000, 0),
        (u64::MAX, 1_000_000_000, u64::MAX),
    ] {
        assert_eq!(share_of(amount, share), expected, "{amount} {share}");
    }
}

#[test]
fn scopes_follow_from_names_alone_and_are_never_shared() {
    let mut scopes = Scopes::default();
    let (provider, model) = (scopes.of("openai", None), scopes.of("openai", Some("gpt-4o")));
    let mut others = Scopes::default();
    others.of("azure", None);
    assert_eq!((others.of("openai", Some("gpt-4o")), others.of("openai", None)), (model, provider));
    assert_eq!(provider, Scope(fnv1a(b"openai")));
    assert_ne!(others.of("openai", None), provider, "a hash that is taken");
    // From the table of the reference.
    assert_eq!((fnv1a(b""), fnv1a(b"a"), fnv1a(b"foobar")), (0x811c_9dc5, 0xe40c_292c, 0xbf9c_f968));
}
