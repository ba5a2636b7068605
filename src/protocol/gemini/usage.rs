//! Google's usage reports. There `candidatesTokenCount` leaves out what was thought, and the prompts of Google's own tools
//! are counted apart; in [`Usage`] the output includes reasoning and the input everything read. What was cached is part
//! of the prompt on both sides.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::chat::usage::Usage;

/// A report as an answer shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown {
    prompt_token_count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    candidates_token_count: Option<u64>,
    total_token_count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cached_content_token_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thoughts_token_count: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Report<'a> {
    #[serde(borrow)]
    prompt_token_count: Option<&'a RawValue>,
    #[serde(borrow)]
    candidates_token_count: Option<&'a RawValue>,
    #[serde(borrow)]
    total_token_count: Option<&'a RawValue>,
    #[serde(borrow)]
    cached_content_token_count: Option<&'a RawValue>,
    #[serde(borrow)]
    thoughts_token_count: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_use_prompt_token_count: Option<&'a RawValue>,
}

/// Reads a report as it stands in an answer, whatever it is. A count that is no whole number is as if it were absent.
pub(super) fn read(raw: &RawValue) -> Usage {
    let report: Report<'_> = serde_json::from_str(raw.get()).unwrap_or_default();
    let count = |raw: Option<&RawValue>| raw.and_then(|raw| serde_json::from_str::<u64>(raw.get()).ok());
    let tools = count(report.tool_use_prompt_token_count).unwrap_or(0);
    let input = count(report.prompt_token_count).map(|prompt| prompt.saturating_add(tools));
    let thoughts = count(report.thoughts_token_count);
    let said = match (count(report.candidates_token_count), thoughts) {
        (None, None) => None,
        (said, thoughts) => Some(said.unwrap_or(0).saturating_add(thoughts.unwrap_or(0))),
    };
    // Where nothing was produced the count is missing; the total tells that from a report without one.
    let rest = || Some(count(report.total_token_count)?.saturating_sub(input?));
    Usage {
        input,
        output: said.or_else(rest),
        cached: count(report.cached_content_token_count),
        cache_write: None,
        reasoning: thoughts,
    }
}

impl Shown {
    /// A report in Google's arithmetic. What is zero is left out, as Google does, the prompt and the total apart.
    pub(super) fn new(usage: Usage) -> Self {
        let (input, output) = (usage.input.unwrap_or(0), usage.output.unwrap_or(0));
        let thoughts = usage.reasoning.unwrap_or(0).min(output);
        Self {
            prompt_token_count: input,
            candidates_token_count: usage.output.map(|output| output - thoughts),
            total_token_count: input.saturating_add(output),
            cached_content_token_count: usage.cached.filter(|cached| *cached > 0),
            thoughts_token_count: (thoughts > 0).then_some(thoughts),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> Usage {
        read(serde_json::from_str(json).expect("JSON"))
    }

    #[test]
    fn thoughts_are_added_to_the_output_and_taken_out_again() {
        // Wire facts §5: total = prompt + candidates + thoughts + toolUsePrompt.
        let usage = of(
            r#"{"promptTokenCount":60,"candidatesTokenCount":16,"totalTokenCount":108,"thoughtsTokenCount":32,
            "cachedContentTokenCount":10}"#,
        );
        assert_eq!((usage.input, usage.output, usage.reasoning), (Some(60), Some(48), Some(32)));
        insta::assert_snapshot!(
            serde_json::to_string(&Shown::new(usage)).expect("JSON"),
            @r#"{"promptTokenCount":60,"candidatesTokenCount":16,"totalTokenCount":108,"cachedContentTokenCount":10,"thoughtsTokenCount":32}"#
        );
    }

    #[test]
    fn the_prompts_of_tools_are_input() {
        let usage = of(
            r#"{"promptTokenCount":5,"toolUsePromptTokenCount":7,"candidatesTokenCount":1,"totalTokenCount":13}"#,
        );
        assert_eq!((usage.input, usage.output), (Some(12), Some(1)));
    }

    #[test]
    fn a_report_without_output_is_told_from_none_by_its_total() {
        assert_eq!(of(r#"{"promptTokenCount":5,"totalTokenCount":5}"#).output, Some(0));
        assert_eq!(of(r#"{"promptTokenCount":5}"#).output, None);
    }

    #[test]
    fn no_report_is_no_count_and_none_can_overflow() {
        for odd in ["null", "3", "[]", "{}", r#"{"promptTokenCount":-1,"totalTokenCount":"x"}"#] {
            assert_eq!(of(odd), Usage::default(), "{odd}");
        }
        let huge = format!(r#"{{"candidatesTokenCount":{0},"thoughtsTokenCount":{0}}}"#, u64::MAX);
        assert_eq!(of(&huge).output, Some(u64::MAX));
        let odd = Usage { output: Some(1), reasoning: Some(9), ..Usage::default() };
        assert!(
            serde_json::to_string(&Shown::new(odd)).expect("JSON").contains(r#""candidatesTokenCount":0,"#)
        );
    }
}
