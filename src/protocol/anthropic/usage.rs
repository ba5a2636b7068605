//! Anthropic's usage reports. There `input_tokens` leaves out what was read from and written into a cache; in
//! [`Usage`] the input is all three. Output includes thinking on both sides.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::chat::usage::Usage;

/// A report, as far as it is read. A count that is no whole number is as if it were absent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Report {
    input: Option<u64>,
    output: Option<u64>,
    cache_read: Option<u64>,
    cache_creation: Option<u64>,
    thinking: Option<u64>,
}

/// A report as an answer shows it.
#[derive(Serialize)]
pub(super) struct Shown {
    #[serde(skip_serializing_if = "Option::is_none")]
    input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_creation_input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_read_input_tokens: Option<u64>,
    output_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_tokens_details: Option<Details>,
}

#[derive(Serialize)]
struct Details {
    thinking_tokens: u64,
}

impl Report {
    /// Reads a report as it stands in an answer, whatever it is.
    pub(super) fn read(raw: &RawValue) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Wire<'a> {
            #[serde(borrow)]
            input_tokens: Option<&'a RawValue>,
            #[serde(borrow)]
            output_tokens: Option<&'a RawValue>,
            #[serde(borrow)]
            cache_read_input_tokens: Option<&'a RawValue>,
            #[serde(borrow)]
            cache_creation_input_tokens: Option<&'a RawValue>,
            #[serde(borrow)]
            output_tokens_details: Option<&'a RawValue>,
            #[serde(borrow)]
            thinking_tokens: Option<&'a RawValue>,
        }
        let wire: Wire<'_> = serde_json::from_str(raw.get()).unwrap_or_default();
        let count = |raw: Option<&RawValue>| raw.and_then(|raw| serde_json::from_str(raw.get()).ok());
        let details: Wire<'_> = wire
            .output_tokens_details
            .and_then(|raw| serde_json::from_str(raw.get()).ok())
            .unwrap_or_default();
        Self {
            input: count(wire.input_tokens),
            output: count(wire.output_tokens),
            cache_read: count(wire.cache_read_input_tokens),
            cache_creation: count(wire.cache_creation_input_tokens),
            thinking: count(details.thinking_tokens),
        }
    }

    /// Takes a later report: what it says replaces what was said before, what it leaves out stays.
    pub(super) fn update(&mut self, later: Self) {
        self.input = later.input.or(self.input);
        self.output = later.output.or(self.output);
        self.cache_read = later.cache_read.or(self.cache_read);
        self.cache_creation = later.cache_creation.or(self.cache_creation);
        self.thinking = later.thinking.or(self.thinking);
    }

    /// Without the output: `message_start` has a provisional count of it, which must not stand for the real one.
    pub(super) fn input_only(self) -> Self {
        Self { output: None, thinking: None, ..self }
    }

    /// In the neutral arithmetic.
    pub(super) fn usage(self) -> Usage {
        let cache = self.cache_read.unwrap_or(0).saturating_add(self.cache_creation.unwrap_or(0));
        Usage {
            input: self.input.map(|input| input.saturating_add(cache)),
            output: self.output,
            cached: self.cache_read,
            cache_write: self.cache_creation,
            reasoning: self.thinking,
        }
    }
}

impl Shown {
    /// A whole report: what is not known is 0.
    pub(super) fn whole(usage: Option<Usage>) -> Self {
        let usage = usage.unwrap_or_default();
        Self::later(Some(Usage { input: usage.input.or(Some(0)), ..usage }))
    }

    /// What the end of a stream adds: the input only if it is known, so that nothing known before is overwritten.
    pub(super) fn later(usage: Option<Usage>) -> Self {
        let usage = usage.unwrap_or_default();
        let (read, written) = (usage.cached.unwrap_or(0), usage.cache_write.unwrap_or(0));
        let uncached = |input: u64| input.saturating_sub(read).saturating_sub(written);
        Self {
            input_tokens: usage.input.map(uncached),
            cache_creation_input_tokens: usage.input.map(|_| written),
            cache_read_input_tokens: usage.input.map(|_| read),
            output_tokens: usage.output.unwrap_or(0),
            output_tokens_details: usage.reasoning.map(|thinking_tokens| Details { thinking_tokens }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Report {
        Report::read(serde_json::from_str(json).expect("JSON"))
    }

    #[test]
    fn the_input_is_the_sum_of_three_and_comes_apart_again() {
        // Wire facts §4: input 11, read 2055.
        let usage = read(r#"{"input_tokens":11,"cache_read_input_tokens":2055,"cache_creation_input_tokens":0,"output_tokens":3}"#).usage();
        assert_eq!((usage.input, usage.cached, usage.cache_write), (Some(2066), Some(2055), Some(0)));
        insta::assert_snapshot!(
            serde_json::to_string(&Shown::whole(Some(usage))).expect("JSON"),
            @r#"{"input_tokens":11,"cache_creation_input_tokens":0,"cache_read_input_tokens":2055,"output_tokens":3}"#
        );
    }

    #[test]
    fn of_two_reports_the_later_counts_where_it_says_something() {
        let mut report = read(r#"{"input_tokens":2039,"output_tokens":1}"#).input_only();
        report.update(read(r#"{"output_tokens":50}"#));
        assert_eq!((report.usage().input, report.usage().output), (Some(2039), Some(50)));
        report.update(read(
            r#"{"input_tokens":10423,"output_tokens":60,"output_tokens_details":{"thinking_tokens":7}}"#,
        ));
        let usage = report.usage();
        assert_eq!((usage.input, usage.output, usage.reasoning), (Some(10423), Some(60), Some(7)));
    }

    #[test]
    fn no_report_is_no_count_and_none_can_overflow() {
        for odd in
            ["null", "3", "[]", "{}", r#"{"input_tokens":-1,"output_tokens":"x"}"#, r#"{"input_tokens":1.5}"#]
        {
            assert_eq!(read(odd).usage(), Usage::default(), "{odd}");
        }
        let huge = format!(r#"{{"input_tokens":{0},"cache_read_input_tokens":{0}}}"#, u64::MAX);
        assert_eq!(read(&huge).usage().input, Some(u64::MAX));
        let odd = Usage { input: Some(1), cached: Some(5), ..Usage::default() };
        assert!(
            serde_json::to_string(&Shown::later(Some(odd)))
                .expect("JSON")
                .starts_with(r#"{"input_tokens":0,"#)
        );
        insta::assert_snapshot!(serde_json::to_string(&Shown::later(None)).expect("JSON"), @r#"{"output_tokens":0}"#);
    }
}
