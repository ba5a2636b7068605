//! What an answer repeats of its request, as the client wrote it but for blanks (an event has one line): SDKs demand it.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{IgnoredAny, MapAccess, Visitor},
    ser::SerializeMap,
};
use serde_json::value::RawValue;

use super::names::{Names, added};
use crate::protocol::json::{Key, compact};

/// The members, and what stands for each that the client did not send. `store` is what is true here: nothing is kept.
const MEMBERS: [(&str, &str); 19] = [
    ("background", "false"),
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("prompt_cache_key", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("safety_identifier", "null"),
    ("store", "false"),
    ("temperature", "null"),
    ("text", r#"{"format":{"type":"text"}}"#),
    ("tool_choice", r#""auto""#),
    ("tools", "[]"),
    ("top_logprobs", "0"),
    ("top_p", "null"),
    ("truncation", r#""disabled""#),
    ("user", "null"),
];

/// What a client sent of [`MEMBERS`].
#[derive(Debug, Default)]
pub(super) struct Repeated {
    members: [Option<Box<RawValue>>; MEMBERS.len()],
    /// The lists of tools in its input, which are not repeated.
    added: Vec<Box<RawValue>>,
}

struct RepeatedVisitor;

impl Repeated {
    /// Reads a body that was read before.
    pub(super) fn of(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }

    /// The names of its tools.
    pub(super) fn names(&self) -> Names {
        let tools = MEMBERS.iter().position(|(name, _)| *name == "tools");
        let tools = tools.and_then(|index| self.members[index].as_ref());
        Names::read(tools.into_iter().chain(&self.added).map(|tools| tools.get()))
    }
}

impl Serialize for Repeated {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(MEMBERS.len()))?;
        for (sent, (name, default)) in self.members.iter().zip(MEMBERS) {
            match sent {
                Some(sent) => map.serialize_entry(name, sent)?,
                None => map.serialize_entry(name, &serde_json::from_str::<&RawValue>(default).ok())?,
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Repeated {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RepeatedVisitor)
    }
}

impl<'de> Visitor<'de> for RepeatedVisitor {
    type Value = Repeated;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Repeated, A::Error> {
        let mut repeated = Repeated::default();
        while let Some(Key(key)) = map.next_key()? {
            match MEMBERS.iter().position(|(name, _)| *name == key) {
                Some(index) => {
                    repeated.members[index] = map.next_value::<Option<&RawValue>>()?.and_then(on_one_line)
                }
                None if key == "input" => {
                    let input: &RawValue = map.next_value()?;
                    repeated.added = added(input.get()).into_iter().map(ToOwned::to_owned).collect();
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(repeated)
    }
}

fn on_one_line(raw: &RawValue) -> Option<Box<RawValue>> {
    // JSON without its blanks is JSON.
    RawValue::from_string(compact(raw.get()).into_owned()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_is_written_as_it_was_sent_or_by_its_default() {
        for (name, default) in MEMBERS {
            assert!(serde_json::from_str::<&RawValue>(default).is_ok(), "{name}");
        }
        let body = br#"{"model":"m","temperature": 0.70,"tools":[{"type":"function",
            "name":"f"}],"text":null,"x":1}"#;
        let written = serde_json::to_string(&Repeated::of(body)).unwrap();
        assert!(written.contains(r#""temperature":0.70,"text":{"format":{"type":"text"}}"#), "{written}");
        assert!(written.contains(r#""tools":[{"type":"function","name":"f"}]"#), "{written}");
        assert!(!written.contains("\"x\"") && Repeated::of(body).names().of("f").is_some());
    }
    #[test]
    fn tools_that_the_input_adds_are_known_and_not_repeated() {
        let body = br#"{"input":[{"type":"message"},{"type":"additional_tools","tools":[
            {"type":"namespace","name":"functions","tools":[{"type":"custom","name":"exec"}]}]}]}"#;
        let repeated = Repeated::of(body);
        assert!(repeated.names().of("functions__exec").is_some_and(|name| name.custom));
        assert!(serde_json::to_string(&repeated).unwrap().contains(r#""tools":[]"#));
    }
}
