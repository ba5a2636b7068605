//! Durations (`"1m30s"`) and sizes (`"32MiB"`) as people write them. Pure; no units are guessed beyond those written here.

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

    proptest! {
        #[test]
        fn a_written_duration_reads_back_as_itself(nanos in 1_u64..) {
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(super::duration(&write_duration(duration)), Some(duration));
        }

        #[test]
        fn no_text_panics(text in ".{0,20}") {
            let _ = (duration(&text), size(&text));
        }
    }
}
