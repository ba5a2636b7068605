//! Which numbers a call is charged by, for every report that a provider may give.

use std::{path::Path, sync::Arc};

use super::*;
use crate::{
    config::{Config, environment::Process},
    route::Routes,
};

const LIMITS: &str = "[llm.providers.echo.rate_limits.total]\ninput_token_limit = 100\ninterval = \"1m\"\n";

/// A model whose tokens cost 1, 0.5 cached, and 2 for output, per million.
fn target(limits: &str) -> Arc<Target> {
    let text = format!(
        "[llm.limits]\n{limits}\n[llm.providers.echo]\ntype = \"echo\"\n{LIMITS}\
         [llm.providers.echo.models.m]\nprice = {{ input = 1, cached_input = 0.5, output = 2 }}\n"
    );
    let (config, _) = Config::read(Path::new("nexus.toml"), &text, &Process::default()).unwrap();
    Arc::clone(&Routes::new(&config).all()[0])
}

fn usage(input: Option<u64>, cached: Option<u64>, output: Option<u64>) -> Usage {
    Usage { input, cached, output, ..Usage::default() }
}

const COUNTED: Counted = Counted { input: 8, output: 5 };

fn charged(limits: &str, usage: &Usage) -> (Option<u64>, Option<u64>, u64) {
    let actual = actual(&target(limits), usage, COUNTED);
    (actual.input, actual.output, actual.cost.unwrap())
}

#[test]
fn by_estimate_the_input_stands_and_output_and_money_go_by_the_report() {
    let report = usage(Some(100), Some(40), Some(7));
    assert_eq!(charged("", &report), (None, Some(7), 60 * 1_000 + 40 * 500 + 7 * 2_000));
}

#[test]
fn by_report_the_input_is_corrected_both_ways_and_what_was_cached_weighs_as_it_is_told() {
    let count = "count = \"reported\"";
    let report = usage(Some(100), Some(41), Some(7));
    assert_eq!(charged(count, &report).0, Some(100));
    assert_eq!(charged(count, &usage(Some(3), None, None)).0, Some(3));
    let weighed = |weight| charged(&format!("{count}\ncached_input_weight = {weight}"), &report).0;
    assert_eq!((weighed("0.1"), weighed("0"), weighed("0.5")), (Some(59 + 5), Some(59), Some(59 + 21)));
    let more = usage(Some(10), Some(1_000), None);
    assert_eq!(charged(&format!("{count}\ncached_input_weight = 0.5"), &more).0, Some(5));
}

#[test]
fn a_report_that_is_absent_or_of_nothing_leaves_what_was_counted() {
    for limits in ["", "count = \"reported\""] {
        for nothing in [None, Some(0)] {
            let report = usage(nothing, nothing, nothing);
            assert_eq!(charged(limits, &report), (None, None, 8 * 1_000 + 5 * 2_000), "{limits} {nothing:?}");
        }
    }
    assert_eq!(charged("", &usage(None, None, Some(9))), (None, Some(9), 8 * 1_000 + 9 * 2_000));
}

#[test]
fn a_report_of_more_than_anyone_believes_leaves_what_was_counted() {
    let of = |tokens| charged("count = \"reported\"", &usage(Some(tokens), None, Some(tokens)));
    assert_eq!((of(1 << 40).0, of(1 << 40).1), (Some(1 << 40), Some(1 << 40)));
    for tokens in [(1 << 40) + 1, 1 << 63, u64::MAX] {
        assert_eq!(of(tokens), (None, None, 8 * 1_000 + 5 * 2_000), "{tokens}");
    }
}

#[test]
fn what_is_learned_changes_what_is_taken_ahead_only_where_reports_are_charged() {
    let caller = Principal::default();
    for (limits, ahead, ceiling) in [("", 40, 100), ("count = \"reported\"", 80, 400)] {
        let target = target(limits);
        (0..200).for_each(|_| target.ratio.learn(1, Some(1_000)));
        assert_eq!(expected(&target, &caller, 40), ahead, "half of it is the least");
        assert_eq!(expected(&target, &caller, 90), if ahead == 80 { 100 } else { 90 }, "what fits may fit");
        assert_eq!(expected(&target, &caller, 101), 101, "and what does not is no larger than it was");
        assert_eq!(super::ceiling(&target, &caller), Some(ceiling));
    }
}
