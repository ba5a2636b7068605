//! Debt: it enters exactly when there is room, in its order, under one rule or several; promises take it into account.

use proptest::prelude::*;

use super::*;
use crate::quota::{
    ledger::{Bucket, limits},
    tick::Tick,
};

const SECOND: Duration = Duration::from_secs(1);

fn rules(all: &[(u64, u64)]) -> Rules {
    let rule = |(tokens, seconds): &(u64, u64)| {
        Rule::new(Kind::Output, limit(*tokens, Duration::from_secs(*seconds)), "output")
    };
    all.iter().map(rule).collect()
}

fn bucket() -> Bucket {
    Bucket::new(key())
}

fn key() -> Key {
    Key { scope: Scope(0), kind: Kind::Output, mode: Mode::Enforce }
}

fn at(seconds: u64) -> Tick {
    Tick::default().after(Duration::from_secs(seconds))
}

fn level(bucket: &Bucket, now: Tick, rules: &Rules, which: usize) -> Level {
    let lane = rules.lane(key());
    bucket.level(now, limits(lane), &lane[which].limit)
}

#[test]
fn debt_enters_when_slots_leave_and_is_never_forgiven() {
    let (mut bucket, rules) = (bucket(), rules(&[(10, 60)]));
    assert_eq!(bucket.charge(at(0), 4, &rules), 0);
    assert_eq!(bucket.charge(at(30), 25, &rules), 19, "6 fit");
    let said = Level { used: 10, remaining: 0, reset_after: 180 * SECOND, debt: 19 };
    assert_eq!(
        level(&bucket, at(30), &rules, 0),
        said,
        "4 enter at 60, 6 at 90, 4 at 120, 5 at 150, and leave at 210"
    );
    for (second, debt) in [(59, 19), (60, 15), (89, 15), (90, 9), (120, 5), (149, 5), (150, 0)] {
        bucket.advance(at(second), Some(&rules));
        assert_eq!(level(&bucket, at(second), &rules, 0).debt, debt, "at {second} s");
    }
    let said = Level { used: 9, remaining: 1, reset_after: 60 * SECOND, debt: 0 };
    assert_eq!(level(&bucket, at(150), &rules, 0), said);
}

#[test]
fn ten_thousand_windows_of_debt_are_promised_and_paid_at_once() {
    let (mut bucket, rules) = (bucket(), rules(&[(10, 60)]));
    bucket.charge(at(0), 3, &rules);
    bucket.charge(at(10), 100_007, &rules);
    let short = bucket.check(at(11), limits(rules.lane(key())), 10).unwrap_err();
    assert_eq!(short.until, Some(at(600_070)), "the last 10 enter at 600,000 and 600,010");
    bucket.advance(at(300_000), None);
    assert_eq!(level(&bucket, at(300_000), &rules, 0).debt, 50_007);
    bucket.advance(at(600_070), None);
    assert!(bucket.check(at(600_070), limits(rules.lane(key())), 10).is_ok());
}

#[test]
fn a_limit_that_is_raised_lets_debt_in_at_once_and_one_that_is_lowered_keeps_it_out() {
    let (mut bucket, low, high) = (bucket(), rules(&[(10, 60)]), rules(&[(25, 60)]));
    bucket.charge(at(0), 30, &low);
    bucket.advance(at(10), Some(&high));
    assert_eq!(level(&bucket, at(10), &high, 0).debt, 5);
    bucket.advance(at(20), Some(&low));
    assert_eq!(level(&bucket, at(20), &low, 0).used, 25);
    bucket.advance(at(60), Some(&low));
    assert_eq!(level(&bucket, at(60), &low, 0).debt, 5, "15 of the 25 are still there: no room under 10");
    bucket.advance(at(70), Some(&low));
    assert_eq!(level(&bucket, at(70), &low, 0).debt, 0);
}

#[test]
fn what_was_not_used_after_all_leaves_the_debt_first() {
    let (mut bucket, rules) = (bucket(), rules(&[(10, 60)]));
    let owed = bucket.charge(at(0), 12, &rules);
    bucket.give_back(at(1), at(0), 5, owed, &rules);
    let said = Level { used: 7, remaining: 3, reset_after: 59 * SECOND, debt: 0 };
    assert_eq!(level(&bucket, at(1), &rules, 0), said);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Under any mix of intervals: what a promise says is what happens, however often anybody looks meanwhile; and no
    /// window ever holds more than its limit.
    #[test]
    fn promises_are_exact_whatever_waits(
        all in prop::collection::vec((1_u64..=50, prop_oneof![Just(1_u64), 2_u64..=60, 3_000_u64..=4_000, Just(86_400)]), 1..=3),
        charges in prop::collection::vec((0_u64..=30_000_000_000, 1_u64..=120), 1..12),
        need in 1_u64..=50,
        looks in prop::collection::vec(0_u64..=1_000, 0..6),
    ) {
        let (mut bucket, rules) = (bucket(), rules(&all));
        let lane = rules.lane(key());
        let mut now = at(10);
        for (wait, amount) in charges {
            now = now.after(Duration::from_nanos(wait));
            bucket.advance(now, Some(&rules));
            bucket.charge(now, amount, &rules);
            for rule in lane {
                prop_assert!(bucket.used(now, rule.limit.interval) <= u128::from(rule.limit.tokens));
            }
        }
        let Err(short) = bucket.check(now, limits(lane), need) else { return Ok(()) };
        let Some(until) = short.until else { return Ok(()) };
        let fits = |at: Tick, looks: &[u64]| {
            let mut bucket = bucket.clone();
            for look in looks {
                bucket.advance(at.min(now.after(until.since(now) / 1_000 * *look as u32)), None);
            }
            bucket.advance(at, None);
            let full = lane.iter().any(|rule| bucket.used(at, rule.limit.interval) > u128::from(rule.limit.tokens));
            (bucket.check(at, limits(lane), need).is_ok(), full)
        };
        let mut looks = looks;
        looks.sort_unstable();
        prop_assert_eq!(fits(until, &[]), (true, false));
        prop_assert_eq!(fits(until, &looks), (true, false), "looking puts nothing off");
        prop_assert_eq!(fits(Tick::from_nanos(until.as_nanos() - 1), &looks), (false, false));
    }
}
