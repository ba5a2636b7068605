//! Converse's usage reports. There `inputTokens` leaves out what was read from and written into a cache; in [`Usage`] the
//! input is all three. Output includes reasoning on both sides, which no report counts apart.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::chat::usage::Usage;

/// Reads a report as it stands in an answer, whatever it is. A count that is no whole number is as if it were absent.
pub(super) fn read(raw: &RawValue) -> Usage {
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Report<'a> {
        #[serde(borrow)]
        input_tokens: Option<&'a RawValue>,
        #[serde(borrow)]
        output_tokens: Option<&'a RawValue>,
        // Each stands there a second time, as `…TokenCount`.
        #[serde(borrow)]
        cache_read_input_tokens: Option<&'a RawValue>,
        #[serde(borrow)]
        cache_write_input_tokens: Option<&'a RawValue>,
    }
    let report: Report<'_> = serde_json::from_str(raw.get()).unwrap_or_default();
    let count = |raw: Option<&RawValue>| raw.and_then(|raw| serde_json::from_str::<u64>(raw.get()).ok());
    let cached = count(report.cache_read_input_tokens);
    let cache_write = count(report.cache_write_input_tokens);
    let cache = cached.unwrap_or(0).saturating_add(cache_write.unwrap_or(0));
    Usage {
        input: count(report.input_tokens).map(|input| input.saturating_add(cache)),
        output: count(report.output_tokens),
        cached,
        cache_write,
        reasoning: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(json: &str) -> Usage {
        read(serde_json::from_str(json).expect("JSON"))
    }

    #[test]
    fn the_input_is_the_sum_of_three() {
        // Wire facts §6: total = input + output + read + written.
        let report = r#"{"cacheReadInputTokenCount":1712,"cacheReadInputTokens":1712,"cacheWriteInputTokenCount":236,
            "cacheWriteInputTokens":236,"inputTokens":3,"outputTokens":121,"serverToolUsage":{},"totalTokens":2072}"#;
        let expected = Usage {
            input: Some(1951),
            output: Some(121),
            cached: Some(1712),
            cache_write: Some(236),
            reasoning: None,
        };
        assert_eq!(usage(report), expected);
        let plain = usage(r#"{"inputTokens":45,"outputTokens":10,"totalTokens":55}"#);
        assert_eq!(plain, Usage { input: Some(45), output: Some(10), ..Usage::default() });
    }

    #[test]
    fn no_report_is_no_count_and_none_can_overflow() {
        for odd in
            ["null", "3", "[]", "{}", r#"{"inputTokens":-1,"outputTokens":"x"}"#, r#"{"inputTokens":1.5}"#]
        {
            assert_eq!(usage(odd), Usage::default(), "{odd}");
        }
        let huge = format!(r#"{{"inputTokens":{0},"cacheReadInputTokens":{0}}}"#, u64::MAX);
        assert_eq!(usage(&huge).input, Some(u64::MAX));
    }
}
