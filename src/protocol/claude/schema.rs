//! The schema of an answer as Anthropic takes it: without the keywords that it refuses, every object closed.
//!
//! Refused are bounds of numbers, strings, arrays and objects, and open objects; see "JSON Schema limitations" in the guide
//! on structured outputs. Everything else passes as it is written.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::chat::{
    json::Json,
    loss::{Losses, Parameter},
};

/// Bounds, which are refused.
const REFUSED: [&str; 13] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "patternProperties",
    "propertyNames",
];
/// Members of a schema that are names of the caller's, each with a schema.
const NAMED: [&str; 3] = ["properties", "$defs", "definitions"];
/// Members that are data, not schemas.
const DATA: [&str; 5] = ["enum", "const", "default", "examples", "required"];

/// The schema, and whether anything was taken out of it. As it is where nothing has to change.
pub(in crate::protocol) fn taken<'r>(schema: &'r Json<'_>, losses: &mut Losses) -> Json<'r> {
    let changed = changed(schema);
    losses.lose_if(changed.as_ref().is_some_and(|(_, dropped)| *dropped), Parameter::FormatKeyword);
    let changed = changed.and_then(|(value, _)| Json::parse(value.to_string()));
    changed.unwrap_or(Json(Cow::Borrowed(&*schema.0)))
}

/// Whether it is taken as it is.
pub(in crate::protocol) fn is_taken(schema: &Json<'_>) -> bool {
    changed(schema).is_none()
}

/// What has to be sent instead, and whether that says less.
fn changed(schema: &Json<'_>) -> Option<(Value, bool)> {
    let mut value = serde_json::from_str::<Value>(schema.text()).ok()?;
    let mut change = Change::default();
    change.schema(&mut value);
    (change.dropped || change.closed).then_some((value, change.dropped))
}

/// What was changed.
#[derive(Default)]
struct Change {
    dropped: bool,
    closed: bool,
}

impl Change {
    /// A schema within a schema. As deep as the body is nested, which is bounded when it is read.
    fn schema(&mut self, value: &mut Value) {
        match value {
            Value::Object(members) => self.object(members),
            Value::Array(schemas) => schemas.iter_mut().for_each(|schema| self.schema(schema)),
            _ => {}
        }
    }

    fn object(&mut self, members: &mut Map<String, Value>) {
        let before = members.len();
        members.retain(|key, value| {
            let few = key == "minItems" && value.as_u64().is_none_or(|least| least > 1);
            !few && !REFUSED.contains(&key.as_str())
        });
        self.dropped |= members.len() < before;
        let is_object = members.get("type").and_then(Value::as_str) == Some("object");
        if is_object && members.get("additionalProperties") != Some(&Value::Bool(false)) {
            // Closing an object that says nothing is what every caller means; an open one loses something.
            self.dropped |= members.contains_key("additionalProperties");
            self.closed = true;
            members.insert("additionalProperties".to_owned(), Value::Bool(false));
        }
        for (key, value) in members.iter_mut() {
            match value {
                Value::Object(named) if NAMED.contains(&key.as_str()) => {
                    named.values_mut().for_each(|schema| self.schema(schema));
                }
                value if !DATA.contains(&key.as_str()) => self.schema(value),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken_of(schema: &str) -> (String, bool) {
        let (schema, mut losses) = (Json::parse(schema.to_owned()).expect("JSON"), Losses::default());
        let text = taken(&schema, &mut losses).text().to_owned();
        (text, losses.iter().count() > 0)
    }

    #[test]
    fn a_schema_that_is_taken_passes_as_it_is_written() {
        let fine = r#"{ "type":"object", "properties":{"minimum":{"type":"number", "enum":[1.0]}}, "additionalProperties":false}"#;
        assert_eq!(taken_of(fine), (fine.to_owned(), false));
    }

    #[test]
    fn bounds_are_taken_out_and_objects_closed() {
        let (text, lost) = taken_of(
            r#"{"type":"object","properties":{"n":{"type":"array","items":{"type":"integer","minimum":1},"minItems":3}}}"#,
        );
        let expected = r#"{"type":"object","properties":{"n":{"type":"array","items":{"type":"integer"}}},"additionalProperties":false}"#;
        assert_eq!((text.as_str(), lost), (expected, true));
        let (text, lost) = taken_of(r#"{"anyOf":[{"type":"object"},{"const":{"minimum":1}}]}"#);
        assert_eq!(
            (text.as_str(), lost),
            (r#"{"anyOf":[{"type":"object","additionalProperties":false},{"const":{"minimum":1}}]}"#, false)
        );
    }
}
