//! Values from outside in log lines and headers, so that one value stays one value.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

/// A value as it is, or quoted when it is empty or holds anything that would end it in a line of `key=value` pairs.
pub(super) struct Plain<'a>(pub(super) &'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = self.0.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'=');
        if plain { f.write_str(self.0) } else { fmt::Debug::fmt(self.0, f) }
    }
}

/// A duration as OpenAI's rate-limit headers write it: `120ms`, `12s`, `6m0s`, `1h0m0s`. Rounded up, so that it is true.
pub(super) fn reset(duration: Duration) -> String {
    let millis = duration.as_nanos().div_ceil(1_000_000);
    if millis < 1000 {
        return format!("{millis}ms");
    }
    let seconds = millis.div_ceil(1000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// The last second that RFC 3339 can write, since 1970: 9999-12-31T23:59:59Z.
const LAST: Duration = Duration::from_secs(253_402_300_799);

/// A moment some time after now, as Anthropic's rate-limit headers write it (RFC 3339): rounded up to whole seconds, the
/// last that can be written at most.
pub(super) fn at(now: SystemTime, after: Duration) -> String {
    let last = SystemTime::UNIX_EPOCH + LAST;
    let moment =
        after.checked_add(Duration::from_nanos(999_999_999)).and_then(|after| now.checked_add(after));
    humantime::format_rfc3339_seconds(moment.map_or(last, |moment| moment.min(last))).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resets_look_like_openais_and_never_promise_too_much() {
        let cases =
            [(0, "0ms"), (119_200, "120ms"), (6_000_000, "6s"), (6_000_001, "7s"), (360_000_000, "6m0s")];
        for (micros, text) in cases {
            assert_eq!(reset(Duration::from_micros(micros)), text);
        }
        assert_eq!(reset(Duration::from_secs(3600 * 25 + 61)), "25h1m1s");
    }

    #[test]
    fn a_moment_beyond_what_can_be_written_is_the_last_that_can() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        assert_eq!(at(now, Duration::from_millis(1)), "2023-11-14T22:13:21Z");
        for after in [LAST, Duration::from_hours(24 * 31 * 1_000_000), Duration::MAX] {
            assert_eq!(at(now, after), "9999-12-31T23:59:59Z");
        }
    }

    #[test]
    fn a_value_with_blanks_is_quoted() {
        assert_eq!(Plain("user@a/b:1").to_string(), "user@a/b:1");
        assert_eq!(Plain("a b=\"c\"").to_string(), "\"a b=\\\"c\\\"\"");
        assert_eq!(Plain("").to_string(), "");
    }
}
