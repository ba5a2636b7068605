//! Durations (`"1m30s"`), sizes (`"32MiB"`) and exact decimal numbers (`"2.50"`) as people write them. Pure; no units are
//! guessed beyond those written here, and no number passes through floating point.

use std::time::Duration;

/// Suffixes of a duration and their length in nanoseconds.
const TIMES: &[(&[&str], u64)] = &[
    (&["ns", "nanosecond", "nanoseconds"], 1),
    (&["us", "µs", "microsecond", "microseconds"], 1_000),
    (&["ms", "msec", "millisecond", "milliseconds"], 1_000_000),
    (&["", "s", "sec", "secs", "second", "seconds"], 1_000_000_000),
    (&["m", "min", "mins", "minute", "minutes"], 60 * 1_000_000_000),
    (&["h", "hr", "hrs", "hour", "hours"], 3_600 * 1_000_000_000),
    (&["d", "day", "days"], 86_400 * 1_000_000_000),
    (&["w", "week", "weeks"], 604_800 * 1_000_000_000),
];

/// Suffixes of a size and their length in bytes.
const SIZES: &[(&[&str], u64)] = &[
    (&["", "B"], 1),
    (&["kB", "KB"], 1_000),
    (&["MB"], 1_000_000),
    (&["GB"], 1_000_000_000),
    (&["KiB"], 1 << 10),
    (&["MiB"], 1 << 20),
    (&["GiB"], 1 << 30),
    (&["TiB"], 1 << 40),
];

/// A duration: numbers with units, summed, blanks anywhere between (`"1m 30s"`, `"1 minute"`); a number alone is seconds.
/// `None` when it is none, and for zero or more than 584 years.
pub fn duration(text: &str) -> Option<Duration> {
    let nanos = sum(text, TIMES)?;
    (nanos > 0).then(|| Duration::from_nanos(nanos))
}

/// A duration that may be zero.
pub fn delay(text: &str) -> Option<Duration> {
    sum(text, TIMES).map(Duration::from_nanos)
}

/// A size in bytes (`"32MiB"`, `"64 KiB"`, `"1000"`). `None` when it is none, for zero, and beyond `usize`.
pub fn size(text: &str) -> Option<usize> {
    let (bytes, rest) = term(text.trim(), SIZES)?;
    (rest.is_empty() && bytes > 0).then(|| usize::try_from(bytes).ok())?
}

/// A decimal number in billionths, exactly: `"2.50"` is 2,500,000,000. `None` when it is none, or has a sign, and when it is
/// finer than a billionth or beyond [`i64::MAX`] of them.
pub fn billionths(text: &str) -> Option<u64> {
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.parse::<i16>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = match number.split_once('.') {
        Some((_, "")) => return None,
        Some((whole, fraction)) => (whole, fraction),
        None => (number, ""),
    };
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let digits = whole.bytes().chain(fraction.bytes()).map(|b| u128::from(b - b'0'));
    let mut value =
        digits.into_iter().try_fold(0_u128, |sum, digit| sum.checked_mul(10)?.checked_add(digit))?;
    let mut places = 9 + i64::from(exponent) - i64::try_from(fraction.len()).ok()?;
    while value > 0 && places != 0 {
        if places > 0 {
            (value, places) = (value.checked_mul(10)?, places - 1);
        } else if value % 10 == 0 {
            (value, places) = (value / 10, places + 1);
        } else {
            return None;
        }
    }
    u64::try_from(value).ok().filter(|value| i64::try_from(*value).is_ok())
}

/// The shortest way to write so many billionths: 2,500,000,000 is `2.5`.
pub fn write_billionths(value: u64) -> String {
    let text = format!("{}.{:09}", value / 1_000_000_000, value % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The shortest way to write a duration: `90s` is `1m30s`.
pub fn write_duration(duration: Duration) -> String {
    let mut rest = duration.as_nanos();
    let mut text = String::new();
    for (unit, nanos) in [
        ("d", 86_400_000_000_000),
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
        ("ns", 1_u128),
    ] {
        if rest >= nanos {
            text += &format!("{}{unit}", rest / nanos);
            rest %= nanos;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

fn sum(text: &str, units: &[(&[&str], u64)]) -> Option<u64> {
    let mut rest = text.trim();
    let (mut total, mut terms) = (0_u64, 0);
    while !rest.is_empty() {
        let bare = rest.bytes().all(|b| b.is_ascii_digit());
        if bare && terms > 0 {
            return None; // "1m 30": of what?
        }
        let (value, after) = term(rest, units)?;
        total = total.checked_add(value)?;
        terms += 1;
        rest = after;
    }
    (terms > 0).then_some(total)
}

/// One number with its unit, and what follows it.
fn term<'a>(text: &'a str, units: &[(&[&str], u64)]) -> Option<(u64, &'a str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text.get(..digits)?.parse().ok()?;
    let rest = text.get(digits..)?.trim_start();
    let letters = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(letters);
    let (_, factor) = units.iter().find(|(names, _)| names.contains(&unit))?;
    Some((number.checked_mul(*factor)?, rest.trim_start()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, millis) in [
            ("60s", 60_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("500ms", 500),
            ("1m30s", 90_000),
            ("1m 30s", 90_000),
            ("1 minute", 60_000),
            ("1d", 86_400_000),
            ("60", 60_000),
            (" 2 hours 1 min ", 7_260_000),
        ] {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", " ", "0s", "0", "abc", "60x", "1m 30", "1 2", "-1s", "1.5s", "s", "99999999999999d"]
        {
            assert_eq!(duration(text), None, "{text}");
        }
        assert_eq!(delay("0s"), Some(Duration::ZERO));
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("32MiB", 32 << 20),
            ("1GiB", 1 << 30),
            ("64 KiB", 64 << 10),
            ("1000", 1000),
            ("1kB", 1000),
            ("7B", 7),
        ] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "0", "0MiB", "1.5MiB", "MiB", "1 MiB 2", "1QB", "-1", "99999999999999999999"] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn decimal_numbers_are_read_to_the_last_digit() {
        for (text, value) in [
            ("0", 0),
            ("0.000", 0),
            ("2.50", 2_500_000_000),
            ("10", 10_000_000_000),
            ("0.1", 100_000_000),
            ("0.000000001", 1),
            ("1.000000000000000000000000000000000000000000", 1_000_000_000),
            ("0.3000000000", 300_000_000),
            ("007.5", 7_500_000_000),
            ("1e3", 1_000_000_000_000),
            ("25E-1", 2_500_000_000),
            ("1e-9", 1),
            ("100e-11", 1),
            ("0e999", 0),
            ("9223372036.854775807", i64::MAX as u64),
        ] {
            assert_eq!(billionths(text), Some(value), "{text}");
        }
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "-0",
            "+1",
            "1,5",
            "1 ",
            "0x1",
            "nan",
            "inf",
            "1e",
            "e3",
            "1e-10",
            "0.0000000001",
            "9223372036.854775808",
            "1e11",
            "1e99999",
            "1_000",
            "1.2.3",
            "١",
        ] {
            assert_eq!(billionths(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_written_decimal_reads_back_as_itself_however_many_zeros_follow(value in 0..=i64::MAX as u64, zeros in 0_usize..30) {
            let text = write_billionths(value);
            prop_assert_eq!(billionths(&text), Some(value));
            let point = if text.contains('.') { "" } else { "." };
            prop_assert_eq!(billionths(&format!("{text}{point}0{}", "0".repeat(zeros))), Some(value));
        }

        #[test]
        fn whole_and_fraction_are_added_and_nothing_is_rounded(whole in 0_u64..9_000_000_000, fraction in 0_u64..1_000_000_000) {
            let text = format!("{whole}.{fraction:09}");
            prop_assert_eq!(billionths(&text), Some(whole * 1_000_000_000 + fraction));
            prop_assert_eq!(billionths(&format!("{text}1")), None, "a tenth of a billionth is not lost, but refused");
        }

        #[test]
        fn a_written_duration_reads_back_as_itself(nanos in 1_u64..) {
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(super::duration(&write_duration(duration)), Some(duration));
        }

        #[test]
        fn no_text_panics(text in ".{0,20}") {
            let _ = (duration(&text), size(&text), billionths(&text));
        }
    }
}
