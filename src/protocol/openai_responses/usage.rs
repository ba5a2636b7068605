//! Usage as Responses report it: the arithmetic is the neutral form's, the names are not those of chat completions.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::chat::usage::Usage;

/// A report as it is read. What is no number says nothing, and does not cost the answer that it came with.
#[derive(Default, Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    input_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    input_tokens_details: Option<&'a RawValue>,
    #[serde(borrow)]
    output_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    output_tokens_details: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Details<'a> {
    #[serde(borrow)]
    cached_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    cache_write_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_tokens: Option<&'a RawValue>,
}

/// A report as it is written, whole.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    input_tokens: u64,
    input_tokens_details: InputDetails,
    output_tokens: u64,
    output_tokens_details: OutputDetails,
    total_tokens: u64,
}

#[derive(Debug, Serialize)]
struct InputDetails {
    cached_tokens: u64,
    cache_write_tokens: u64,
}

#[derive(Debug, Serialize)]
struct OutputDetails {
    reasoning_tokens: u64,
}

/// Reads a report as it stands in an answer.
pub(super) fn read(raw: &RawValue) -> Usage {
    let wire: Wire<'_> = object(Some(raw));
    let input: Details<'_> = object(wire.input_tokens_details);
    let output: Details<'_> = object(wire.output_tokens_details);
    Usage {
        input: count(wire.input_tokens),
        output: count(wire.output_tokens),
        cached: count(input.cached_tokens),
        cache_write: count(input.cache_write_tokens),
        reasoning: count(output.reasoning_tokens),
    }
}

fn object<'a, T: Default + Deserialize<'a>>(field: Option<&'a RawValue>) -> T {
    field.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

/// A whole number that is not negative.
fn count(field: Option<&RawValue>) -> Option<u64> {
    field.and_then(|raw| raw.get().parse().ok())
}

impl Report {
    /// What is not known is none.
    pub(super) fn of(usage: Usage) -> Self {
        let (input_tokens, output_tokens) = (usage.input.unwrap_or(0), usage.output.unwrap_or(0));
        Self {
            input_tokens,
            input_tokens_details: InputDetails {
                cached_tokens: usage.cached.unwrap_or(0),
                cache_write_tokens: usage.cache_write.unwrap_or(0),
            },
            output_tokens,
            output_tokens_details: OutputDetails { reasoning_tokens: usage.reasoning.unwrap_or(0) },
            total_tokens: input_tokens.saturating_add(output_tokens),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(report: &str) -> Usage {
        read(serde_json::from_str(report).unwrap())
    }

    #[test]
    fn a_report_comes_back_as_it_was() {
        let (input, output) = (Some(2066), Some(300));
        let usage = Usage { input, output, cached: Some(2048), cache_write: Some(0), reasoning: Some(256) };
        let written = serde_json::to_string(&Report::of(usage)).unwrap();
        assert_eq!(of(&written), usage);
        assert!(written.ends_with(r#""total_tokens":2366}"#), "{written}");
        let most = Usage { input: Some(u64::MAX), output: Some(1), ..Usage::default() };
        assert_eq!(Report::of(most).total_tokens, u64::MAX);
    }

    #[test]
    fn whatever_is_no_count_is_none() {
        for odd in ["3", "[{}]", r#""x""#, "1e999", "true", r#"{"input_tokens":-1,"output_tokens":2.5}"#] {
            assert_eq!(of(odd), Usage::default(), "{odd}");
            let inside = format!(r#"{{"input_tokens_details":{odd},"input_tokens":7}}"#);
            assert_eq!(of(&inside), Usage { input: Some(7), ..Usage::default() }, "{odd}");
        }
    }
}
