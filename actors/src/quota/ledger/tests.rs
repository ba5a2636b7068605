//! The rule by example; against an oracle see [`oracle`].

mod oracle;

use super::*;
use crate::quota::{
    rule::{Kind, Mode, Scope},
    window::width,
};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);
const MONTH: Duration = Duration::from_secs(31 * 86_400);
const MOST: u64 = (1 << 63) - 1;

fn limit(tokens: u64, interval: Duration) -> Limit {
    limits(&[(tokens, interval)]).remove(0)
}

/// Limits that share one bucket.
fn limits(rules: &[(u64, Duration)]) -> Vec<Limit> {
    let mut horizon: Vec<_> = rules.iter().map(|(_, interval)| *interval).collect();
    horizon.sort();
    horizon.dedup();
    let horizon: std::sync::Arc<[_]> = horizon.into();
    let one = |(tokens, interval): &(u64, Duration)| Limit {
        scope: Scope(0),
        tokens: *tokens,
        interval: *interval,
        horizon: horizon.clone(),
    };
    rules.iter().map(one).collect()
}

fn bucket() -> Bucket {
    Bucket::new(Key { scope: Scope(0), kind: Kind::Input, mode: Mode::Enforce })
}

fn at(time: Duration) -> Tick {
    Tick::default().after(time)
}

fn admitted(bucket: &mut Bucket, now: Duration, limit: &Limit, amount: u64) -> bool {
    matches!(bucket.admit(at(now), limit, amount), Verdict::Admitted { .. })
}

#[test]
fn a_full_limit_may_be_spent_at_once_and_then_nothing() {
    let (mut bucket, limit) = (bucket(), limit(1_000, DAY));
    assert!(admitted(&mut bucket, SECOND, &limit, 1_000));
    assert_eq!(bucket.admit(at(SECOND), &limit, 1), Verdict::Short { retry_after: DAY });
}

#[test]
fn a_thousand_a_day_gives_nothing_back_before_the_day_is_over() {
    let (mut bucket, limit) = (bucket(), limit(1_000, DAY));
    assert!(admitted(&mut bucket, Duration::ZERO, &limit, 1_000));
    for hour in 1..24 {
        assert!(!admitted(&mut bucket, 3_600 * hour * SECOND, &limit, 1), "after {hour} h");
    }
    assert!(!admitted(&mut bucket, DAY - Duration::from_nanos(1), &limit, 1));
    assert!(admitted(&mut bucket, DAY, &limit, 1_000));
}

#[test]
fn a_minute_is_full_again_a_minute_and_a_second_after_the_last_token() {
    let (mut bucket, limit) = (bucket(), limit(600, 60 * SECOND));
    for tenth in 0..600 {
        assert!(admitted(&mut bucket, tenth * SECOND / 10, &limit, 1));
    }
    assert!(!admitted(&mut bucket, 60 * SECOND - Duration::from_nanos(1), &limit, 1));
    assert_eq!(bucket.standing(at(121 * SECOND), &limit), Standing::untouched(&limit));
    assert!(admitted(&mut bucket, 121 * SECOND, &limit, 600));
}

#[test]
fn a_token_stays_a_sixtieth_of_its_interval_too_long_at_most_and_never_more_than_a_quarter_of_an_hour() {
    let minutes = |minutes: u32| minutes * 60 * SECOND;
    assert_eq!(width(60 * SECOND), SECOND);
    assert_eq!([width(minutes(60)), width(DAY), width(MONTH)], [minutes(1), minutes(15), minutes(15)]);
    let (mut bucket, limit) = (bucket(), limit(2, MONTH));
    assert!(admitted(&mut bucket, Duration::ZERO, &limit, 1));
    assert!(admitted(&mut bucket, minutes(15), &limit, 1));
    assert!(admitted(&mut bucket, MONTH, &limit, 1), "the second token did not hold the first one back");
}

#[test]
fn room_comes_back_in_the_order_it_was_taken() {
    let (mut bucket, limit) = (bucket(), limit(10, 60 * SECOND));
    assert!(admitted(&mut bucket, Duration::ZERO, &limit, 4));
    assert!(admitted(&mut bucket, 30 * SECOND, &limit, 6));
    let short = |seconds| Verdict::Short { retry_after: seconds * SECOND };
    assert_eq!(bucket.admit(at(40 * SECOND), &limit, 4), short(20));
    assert_eq!(bucket.admit(at(40 * SECOND), &limit, 5), short(50));
    let standing = Standing { limit: 10, remaining: 0, reset_after: 50 * SECOND };
    assert_eq!(bucket.standing(at(40 * SECOND), &limit), standing);
}

#[test]
fn more_than_the_limit_is_oversize_and_a_limit_of_zero_always() {
    let mut bucket = bucket();
    assert_eq!(bucket.admit(at(SECOND), &limit(10, SECOND), 11), Verdict::Oversize);
    assert_eq!(bucket.admit(at(SECOND), &limit(0, SECOND), 1), Verdict::Oversize);
    assert_eq!(bucket.admit(at(SECOND), &limit(0, SECOND), 0), Verdict::Oversize);
    assert!(bucket.is_empty(at(SECOND)));
}

#[test]
fn nothing_is_kept_for_an_amount_of_zero() {
    let (mut bucket, limit) = (bucket(), limit(10, SECOND));
    assert!(admitted(&mut bucket, SECOND, &limit, 0));
    assert!(bucket.is_empty(at(SECOND)));
}

#[test]
fn the_largest_numbers_do_not_overflow() {
    let rules = limits(&[(MOST, SECOND), (u64::MAX, MONTH)]);
    let mut bucket = bucket();
    for second in 0..100 {
        assert!(admitted(&mut bucket, second * SECOND, &rules[0], MOST));
    }
    assert!(!admitted(&mut bucket, 100 * SECOND, &rules[1], 1));
    assert_eq!(bucket.standing(at(100 * SECOND), &rules[1]).remaining, 0);
    assert!(admitted(&mut bucket, MONTH + 98 * SECOND, &rules[1], MOST));
    assert_eq!(bucket.admit(Tick::from_nanos(u64::MAX), &rules[0], u64::MAX), Verdict::Oversize);
}

#[test]
fn a_change_of_group_changes_the_limit_and_not_the_bucket() {
    let rules = limits(&[(100, 60 * SECOND), (1_000, DAY)]);
    let mut bucket = bucket();
    assert!(admitted(&mut bucket, Duration::ZERO, &rules[1], 1_000));
    assert!(!admitted(&mut bucket, SECOND, &rules[0], 1), "the minute sees the tokens of the day's rule");
    assert!(admitted(&mut bucket, 60 * SECOND, &rules[0], 100));
    let day = bucket.admit(at(60 * SECOND), &rules[1], 1);
    assert_eq!(day, Verdict::Short { retry_after: DAY - 60 * SECOND }, "101 of 1,100 must leave");
}

#[test]
fn a_refund_goes_back_to_its_own_time() {
    let (mut bucket, limit) = (bucket(), limit(10, 60 * SECOND));
    let Verdict::Admitted { at: first } = bucket.admit(at(SECOND), &limit, 4) else { panic!("no room") };
    assert!(admitted(&mut bucket, 31 * SECOND, &limit, 6));
    bucket.refund(first, 4);
    let standing = Standing { limit: 10, remaining: 4, reset_after: 60 * SECOND };
    assert_eq!(bucket.standing(at(31 * SECOND), &limit), standing);
    bucket.refund(first, 4);
    assert_eq!(
        bucket.standing(at(31 * SECOND), &limit),
        standing,
        "the slot is gone: there is nothing to give back"
    );
}

#[test]
fn a_clock_that_fell_behind_a_refunded_admission_does_not_bring_old_room_back() {
    let (mut bucket, limit) = (bucket(), limit(10, 60 * SECOND));
    assert!(admitted(&mut bucket, Duration::ZERO, &limit, 10));
    let Verdict::Admitted { at: late } = bucket.admit(at(60 * SECOND), &limit, 10) else { panic!("no room") };
    bucket.refund(late, 10);
    let Verdict::Admitted { at: again } = bucket.admit(at(30 * SECOND), &limit, 10) else {
        panic!("no room")
    };
    assert!(again >= at(60 * SECOND));
}

#[test]
fn retry_after_is_whole_seconds_rounded_up_and_at_least_one() {
    let of = |millis| retry_after_seconds(Duration::from_millis(millis));
    assert_eq!([of(0), of(1), of(1_000), of(1_001), of(59_999)], [1, 1, 1, 2, 60]);
}

#[test]
fn a_bucket_fits_in_a_hundred_bytes_and_the_way_to_its_debt() {
    assert!(size_of::<Bucket>() <= 104, "{}", size_of::<Bucket>());
}

/// Admits one token every `step` for as long as all intervals and a bit, and returns the most slots and room used.
fn trickle(rules: &[Limit], step: impl Fn(u32) -> Duration) -> (usize, usize) {
    let (mut bucket, mut now, mut most) = (bucket(), Duration::ZERO, (0, 0));
    for turn in 0..200_000 {
        now += step(turn);
        assert!(admitted(&mut bucket, now, &rules[turn as usize % rules.len()], 1));
        let (slots, room) = bucket.window.size();
        most = (most.0.max(slots), most.1.max(room));
        if now > MONTH + DAY {
            break;
        }
    }
    assert!(now > MONTH, "the trickle has seen every interval full, at {now:?}");
    most
}

#[test]
fn a_trickle_cannot_fill_the_memory_whatever_intervals_are_mixed() {
    let hour = 3_600 * SECOND;
    let mixes: [&[Duration]; 4] =
        [&[MONTH], &[SECOND, MONTH], &[SECOND, 60 * SECOND, hour, MONTH], &[hour, 2 * hour, MONTH]];
    for mix in mixes {
        let rules = limits(&mix.iter().map(|interval| (MOST, *interval)).collect::<Vec<_>>());
        let widths = |interval: &Duration| interval.as_nanos().div_ceil(width(*interval).as_nanos()) as usize;
        let merged = mix.iter().map(|interval| 2 * widths(interval) + 2).sum::<usize>();
        // Mostly far apart, with dense bursts, so that both ends of the horizon are pressed.
        let (slots, room) =
            trickle(&rules, |turn| if turn % 4_000 < 2_000 { 17 * SECOND / 1_000 } else { 70 * SECOND });
        assert!(slots <= merged && room <= merged, "{mix:?}: {slots} slots, room for {room}, bound {merged}");
    }
}
