//! The rule against an oracle that remembers every admission: random limits that share a bucket, bursts and trickles,
//! refunds, and a clock that stands still, steps back and lands on every edge.

use proptest::{prelude::*, sample::Index};

use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// Time moves by a hundredth part or so of some interval, or around one of its edges; or stands; or steps back.
    Wait(Wait),
    Admit {
        rule: Index,
        share: u64,
    },
    Refund(Index),
}

#[derive(Clone, Copy, Debug)]
enum Wait {
    Back(u64),
    Edge(Index, i64),
    Part(Index, u64),
    Width(Index, i64),
}

/// Remembers every admission: when, and how much of it was not refunded.
#[derive(Default)]
struct Oracle {
    now: Tick,
    admissions: Vec<(Tick, u64)>,
}

impl Oracle {
    /// Tokens that a window of `span` ending at `now` holds.
    fn used(&self, now: Tick, span: Duration) -> u128 {
        self.admissions
            .iter()
            .filter(|(then, _)| then.after(span) > now)
            .map(|(_, amount)| u128::from(*amount))
            .sum()
    }

    /// The first instant from `now` on at which `amount` more fits, with tokens that leave a window `span` long.
    fn fits_at(&self, now: Tick, tokens: u64, span: Duration, amount: u64) -> Tick {
        let fits = |time: Tick| self.used(time, span) + u128::from(amount) <= u128::from(tokens);
        let edges = self.admissions.iter().map(|(then, _)| then.after(span)).filter(|edge| *edge > now);
        iter::once(now)
            .chain(edges)
            .find(|time| fits(*time))
            .expect("an amount within the limit fits at last")
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let nudge = -2_i64..=2;
    let wait = prop_oneof![
        1 => (0_u64..100).prop_map(Wait::Back),
        2 => (any::<Index>(), nudge.clone()).prop_map(|(rule, nudge)| Wait::Edge(rule, nudge)),
        6 => (any::<Index>(), 0_u64..100).prop_map(|(rule, part)| Wait::Part(rule, part)),
        2 => (any::<Index>(), nudge).prop_map(|(rule, nudge)| Wait::Width(rule, nudge)),
    ];
    let share = prop_oneof![8 => 0_u64..=200, 2 => 200_u64..=1_000, 1 => 1_000_u64..=1_001];
    let step = prop_oneof![
        4 => wait.prop_map(Step::Wait),
        5 => (any::<Index>(), share).prop_map(|(rule, share)| Step::Admit { rule, share }),
        1 => any::<Index>().prop_map(Step::Refund),
    ];
    prop::collection::vec(step, 1..250)
}

fn rules() -> impl Strategy<Value = Vec<Limit>> {
    let tokens = prop_oneof![1_u64..=20, 1_000_u64..=100_000, Just(MOST), 1_u64..=MOST];
    let interval = prop_oneof![
        Just(SECOND),
        Just(60 * SECOND),
        Just(DAY),
        Just(MONTH),
        (1_000_u64..=31 * 86_400_000).prop_map(Duration::from_millis),
    ];
    prop::collection::vec((tokens, interval), 1..=3).prop_map(|rules| limits(&rules))
}

fn wait(now: Tick, wait: Wait, rules: &[Limit]) -> Tick {
    let nudged = |span: Duration, nudge: i64| {
        let later = now.after(span).as_nanos();
        Tick::from_nanos(later.saturating_add_signed(nudge))
    };
    match wait {
        Wait::Back(part) => Tick::from_nanos(now.as_nanos() - now.as_nanos() / 10_000 * part),
        Wait::Edge(rule, nudge) => nudged(rule.get(rules).interval, nudge),
        Wait::Part(rule, part) => now.after(rule.get(rules).interval / 1_000 * part as u32),
        Wait::Width(rule, nudge) => nudged(width(rule.get(rules).interval), nudge),
    }
}

/// One admission against the oracle.
fn compare(
    bucket: &mut Bucket,
    oracle: &mut Oracle,
    clock: Tick,
    limit: &Limit,
    amount: u64,
) -> Result<(), TestCaseError> {
    let now = clock.max(oracle.now);
    let late = limit.interval + (limit.interval / 60).min(900 * SECOND);
    let exact = oracle.used(now, limit.interval);
    let standing = bucket.standing(clock, limit);
    prop_assert!(u128::from(standing.remaining) <= u128::from(limit.tokens).saturating_sub(exact));
    prop_assert!(
        u128::from(standing.remaining) >= u128::from(limit.tokens).saturating_sub(oracle.used(now, late))
    );
    let before = bucket.clone();
    match bucket.admit(clock, limit, amount) {
        Verdict::Oversize => prop_assert!(amount > limit.tokens),
        Verdict::Admitted { at } => {
            prop_assert_eq!(at, now);
            prop_assert!(amount <= standing.remaining);
            prop_assert!(
                exact + u128::from(amount) <= u128::from(limit.tokens),
                "more than the limit in a window"
            );
            if amount > 0 {
                oracle.now = now;
                oracle.admissions.push((at, amount));
            }
        }
        Verdict::Short { retry_after } => {
            prop_assert!(amount > standing.remaining || standing.remaining == 0);
            let promised = clock.after(retry_after);
            prop_assert!(promised >= oracle.fits_at(now, limit.tokens, limit.interval, amount));
            prop_assert!(
                promised <= oracle.fits_at(now, limit.tokens, late, amount),
                "room is back too late"
            );
            let early = Tick::from_nanos(promised.as_nanos() - 1);
            let fits = |time| matches!(before.clone().admit(time, limit, amount), Verdict::Admitted { .. });
            prop_assert!(!fits(early), "retry_after is later than it must be");
            prop_assert!(fits(promised), "retry_after is not true");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_ledger_agrees_with_an_oracle_that_remembers_everything(rules in rules(), steps in steps()) {
        let (mut bucket, mut oracle) = (bucket(), Oracle::default());
        let mut clock = at(SECOND);
        for step in steps {
            match step {
                Step::Wait(by) => clock = wait(clock, by, &rules),
                Step::Admit { rule, share } => {
                    let limit = rule.get(&rules);
                    let amount = (u128::from(limit.tokens) * u128::from(share)).div_ceil(1_000) as u64;
                    compare(&mut bucket, &mut oracle, clock, limit, amount)?;
                }
                Step::Refund(which) if !oracle.admissions.is_empty() => {
                    let (then, amount) = oracle.admissions.remove(which.index(oracle.admissions.len()));
                    bucket.refund(then, amount);
                }
                Step::Refund(_) => {}
            }
        }
        for (then, amount) in oracle.admissions.drain(..) {
            bucket.refund(then, amount);
        }
        prop_assert!(bucket.window.newest().is_none_or(|_| bucket.is_empty(clock)), "refunds are exact");
    }

    #[test]
    fn a_bucket_is_empty_exactly_when_no_rule_sees_a_token(rules in rules(), steps in steps()) {
        let (mut bucket, mut last) = (bucket(), None);
        let mut clock = at(SECOND);
        let longest = rules[0].longest();
        for step in steps {
            if let Step::Wait(by) = step {
                clock = wait(clock, by, &rules);
            }
            if let Step::Admit { rule, share } = step {
                let limit = rule.get(&rules);
                let amount = share.clamp(1, limit.tokens);
                if let Verdict::Admitted { at } = bucket.admit(clock, limit, amount) { last = Some(at) }
            }
            let seen = last.is_some_and(|last: Tick| last.after(longest) > clock);
            let rounding = Duration::from_millis(1);
            prop_assert!(!(seen && bucket.is_empty(clock)));
            prop_assert!(seen || bucket.is_empty(clock.after(rounding)));
        }
    }
}
