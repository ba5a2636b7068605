//! The words in an answer or in an event of one: what its tokens are counted by while no usage report has come.
//!
//! All formats are read alike, whole answers and steps of a stream: in the members that hold an answer, the strings that
//! are text (said, thought, declined, or a tool's name and input), by the names that the formats have for them. What is
//! no text is not read: ids, signatures, data, log probabilities, and what an event repeats of those before it.

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::json::{self, Key};

/// Gives every piece of text in a body or the data of an event to `each`. What is no JSON has none.
pub fn each(data: &[u8], each: &mut dyn FnMut(&str)) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut json = serde_json::Deserializer::from_str(text);
    // Whatever is wrong behind the last text is nothing that was said.
    let _ = Reader { place: Place::Top, depth: 0, each }.deserialize(&mut json);
}

/// What a value is to the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A body, or the data of an event.
    Top,
    /// Within an answer, where strings are no text.
    Within,
    /// Within an answer, where strings are text.
    Text,
}

/// Deeper than any answer goes.
const DEEPEST: usize = 32;

struct Reader<'f> {
    place: Place,
    depth: usize,
    each: &'f mut dyn FnMut(&str),
}

impl Reader<'_> {
    fn inner(&mut self, place: Place) -> Reader<'_> {
        Reader { place, depth: self.depth + 1, each: self.each }
    }

    fn text(&mut self, text: &str) {
        if self.place == Place::Text && !text.is_empty() {
            (self.each)(text);
        }
    }

    /// The value of a member of an object.
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        let place = match (self.place, name) {
            (
                Place::Top,
                "choices" | "candidates" | "content" | "content_block" | "output" | "delta" | "start",
            ) => Place::Text,
            (Place::Top, _)
            | (_, "logprobs" | "logprobsResult" | "reasoning_details" | "annotations" | "citations") => {
                return map.next_value::<IgnoredAny>().map(|_| ());
            }
            // Text in some formats, JSON in others.
            (_, "arguments" | "args" | "input") => {
                let raw = map.next_value::<&RawValue>()?.get();
                match json::text(raw) {
                    Some(text) => self.inner(Place::Text).text(&text),
                    None if matches!(raw, "null" | "{}") => {}
                    None => self.inner(Place::Text).text(raw),
                }
                return Ok(());
            }
            (_, "text" | "content" | "reasoning_content" | "reasoning" | "refusal" | "thinking" | "name") => {
                Place::Text
            }
            (_, "transcript" | "partial_json" | "code" | "output") => Place::Text,
            _ => Place::Within,
        };
        map.next_value_seed(self.inner(place))
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.depth > DEEPEST {
            return Err(D::Error::custom("it is nested too deeply"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(name)) = map.next_key()? {
            self.member(&name, &mut map)?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element_seed(self.inner(self.place))?.is_some() {}
        Ok(())
    }

    fn visit_str<E>(mut self, text: &str) -> Result<(), E> {
        self.text(text);
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(data: &str) -> String {
        let mut all = Vec::new();
        each(data.as_bytes(), &mut |text| all.push(text.to_owned()));
        all.join("|")
    }

    #[test]
    fn an_event_of_each_format_says_what_it_says() {
        for (event, expected) in [
            (
                r#"{"id":"x","choices":[{"index":0,"delta":{"role":"assistant","content":"a\n"},"logprobs":{"content":[{"token":"a","text":"t"}]}}]}"#,
                "a\n",
            ),
            (
                r#"{"choices":[{"delta":{"reasoning_content":"r","refusal":"n","tool_calls":[{"id":"i","type":"function","function":{"name":"f","arguments":"{\"a"}}]}}]}"#,
                "r|n|f|{\"a",
            ),
            (
                r#"{"choices":[{"delta":{"reasoning":"r","reasoning_details":[{"text":"r"}],"tool_calls":[{"custom":{"input":"s"}}]}}]}"#,
                "r|s",
            ),
            (r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}"#, "a"),
            (
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"s"}}"#,
                "",
            ),
            (
                r#"{"type":"content_block_start","content_block":{"type":"tool_use","id":"i","name":"f","input":{}}}"#,
                "f",
            ),
            (r#"{"type":"content_block_delta","delta":{"partial_json":"{"}}"#, "{"),
            (r#"{"type":"message_start","message":{"id":"i","content":[]}}"#, ""),
            (r#"{"type":"response.output_text.delta","item_id":"i","delta":"a"}"#, "a"),
            (r#"{"type":"response.output_text.done","text":"a"}"#, ""),
            (r#"{"type":"response.completed","response":{"output":[{"content":[{"text":"a"}]}]}}"#, ""),
            (
                r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"t","thought":true,"thoughtSignature":"s"},{"functionCall":{"name":"f","args":{"a": 1}}},{"inlineData":{"data":"d"}}]}}]}"#,
                "t|f|{\"a\": 1}",
            ),
            (r#"{"contentBlockIndex":0,"delta":{"toolUse":{"input":"{"}}}"#, "{"),
            (r#"{"contentBlockIndex":0,"start":{"toolUse":{"toolUseId":"i","name":"f"}}}"#, "f"),
            (r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"r"}}}"#, "r"),
            ("[DONE]", ""),
        ] {
            assert_eq!(said(event), expected, "{event}");
        }
    }

    #[test]
    fn a_whole_answer_of_each_format_says_what_it_says() {
        for (answer, expected) in [
            (
                r#"{"choices":[{"message":{"role":"assistant","content":"a","tool_calls":[{"function":{"name":"f","arguments":"{}"}}]},"finish_reason":"stop"}],"error":{"message":"e"}}"#,
                "a|f|{}",
            ),
            (
                r#"{"content":[{"type":"thinking","thinking":"t","signature":"s"},{"type":"text","text":"a"},{"type":"tool_use","name":"f","input":{"a":1}}]}"#,
                "t|a|f|{\"a\":1}",
            ),
            (
                r#"{"instructions":"i","text":{"format":{"name":"n"}},"output":[{"type":"reasoning","summary":[{"text":"r"}]},{"type":"message","content":[{"type":"output_text","text":"a"}]},{"type":"function_call","name":"f","arguments":"{}"}]}"#,
                "r|a|f|{}",
            ),
            (
                r#"{"output":{"message":{"role":"assistant","content":[{"text":"a"}]}},"stopReason":"end_turn"}"#,
                "a",
            ),
            (r#"{"data":[{"embedding":[0.5,-1]}]}"#, ""),
        ] {
            assert_eq!(said(answer), expected, "{answer}");
        }
    }

    #[test]
    fn what_is_no_answer_says_nothing_and_depth_has_an_end() {
        assert_eq!(said("\u{1}"), "");
        assert_eq!(said(&format!(r#"{{"choices":[{{"content":"a"}}, {}]}}"#, "[".repeat(100_000))), "a");
    }
}
