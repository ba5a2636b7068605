//! Usage as OpenAI and those who speak like it report it, whole or in a stream.
//!
//! `prompt_tokens` includes what was cached and `completion_tokens` includes reasoning, so nothing is added up here.
//! Whatever a report is made of, it does not cost the answer that it came with.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::chat::usage::Usage;

/// Reads a report as it stands in an answer. A count that is absent, negative or no whole number is `None`.
pub fn read(raw: &RawValue) -> Usage {
    // Fails only on what `serde_json` cannot hold, such as `1e999`.
    let report: Report = serde_json::from_str(raw.get()).unwrap_or_default();
    let Report { mut usage, cache_hits } = report;
    // DeepSeek's spelling, beside or instead of OpenAI's.
    usage.cached = usage.cached.or(cache_hits);
    usage
}

/// A report as it stands.
#[derive(Default)]
struct Report {
    usage: Usage,
    cache_hits: Option<u64>,
}

/// A token count, leniently.
struct Count(Option<u64>);

struct ReportVisitor;
struct CountVisitor;

impl<'de> Deserialize<'de> for Report {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReportVisitor)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CountVisitor)
    }
}

/// The arms by which a visitor takes any scalar or list and makes nothing of it.
macro_rules! ignore {
    ($nothing:expr; $($visit:ident: $kind:ty),*) => {
        $(fn $visit<E>(self, _: $kind) -> Result<Self::Value, E> { Ok($nothing) })*
        fn visit_unit<E>(self) -> Result<Self::Value, E> { Ok($nothing) }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok($nothing)
        }
    };
}

impl<'de> Visitor<'de> for ReportVisitor {
    type Value = Report;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a usage report")
    }

    ignore!(Report::default(); visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Report, A::Error> {
        let mut report = Report::default();
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            let usage = &mut report.usage;
            match key.as_ref() {
                "prompt_tokens" => usage.input = map.next_value::<Count>()?.0,
                "completion_tokens" => usage.output = map.next_value::<Count>()?.0,
                "prompt_cache_hit_tokens" => report.cache_hits = map.next_value::<Count>()?.0,
                "prompt_tokens_details" => {
                    let details = details(map.next_value()?);
                    (usage.cached, usage.cache_write) = (details.cached, details.cache_write);
                }
                "completion_tokens_details" => usage.reasoning = details(map.next_value()?).reasoning,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(report)
    }
}

/// What stands in an object of details.
#[derive(Default)]
struct Details(Usage);

struct DetailsVisitor;

fn details(raw: &RawValue) -> Usage {
    serde_json::from_str::<Details>(raw.get()).unwrap_or_default().0
}

impl<'de> Deserialize<'de> for Details {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DetailsVisitor)
    }
}

impl<'de> Visitor<'de> for DetailsVisitor {
    type Value = Details;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("details of a usage report")
    }

    ignore!(Details(Usage::default()); visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Details, A::Error> {
        let mut usage = Usage::default();
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            match key.as_ref() {
                "cached_tokens" => usage.cached = map.next_value::<Count>()?.0,
                "cache_write_tokens" => usage.cache_write = map.next_value::<Count>()?.0,
                "reasoning_tokens" => usage.reasoning = map.next_value::<Count>()?.0,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Details(usage))
    }
}

impl<'de> Visitor<'de> for CountVisitor {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token count")
    }

    ignore!(Count(None); visit_bool: bool, visit_i64: i64, visit_f64: f64, visit_str: &str);

    fn visit_u64<E>(self, count: u64) -> Result<Count, E> {
        Ok(Count(Some(count)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Count, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Count(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(report: &str) -> Usage {
        read(serde_json::from_str(report).unwrap())
    }

    #[test]
    fn a_report_is_read_with_its_details() {
        let report = r#"{"prompt_tokens":20,"completion_tokens":9,"total_tokens":29,
            "prompt_tokens_details":{"cached_tokens":16,"audio_tokens":0,"cache_write_tokens":2},
            "completion_tokens_details":{"reasoning_tokens":5}}"#;
        let usage = Usage {
            input: Some(20),
            output: Some(9),
            cached: Some(16),
            cache_write: Some(2),
            reasoning: Some(5),
        };
        assert_eq!(of(report), usage);
    }

    #[test]
    fn deepseeks_cache_hits_are_cached_tokens() {
        let hits = of(r#"{"prompt_tokens":20,"prompt_cache_hit_tokens":12,"prompt_cache_miss_tokens":8}"#);
        assert_eq!((hits.input, hits.cached), (Some(20), Some(12)));
        let both = r#"{"prompt_tokens_details":{"cached_tokens":3},"prompt_cache_hit_tokens":12}"#;
        assert_eq!(of(both).cached, Some(3));
    }

    #[test]
    fn whatever_is_no_count_is_none() {
        for odd in ["null", "3", "[{}]", r#""x""#, "1e999", "true"] {
            assert_eq!(of(odd), Usage::default(), "{odd}");
            let inside = format!(r#"{{"prompt_tokens_details":{odd},"prompt_tokens":7}}"#);
            assert_eq!(of(&inside).input, Some(7), "{odd}");
        }
        assert_eq!(of(r#"{"prompt_tokens":-1,"completion_tokens":2.5}"#), Usage::default());
    }
}
