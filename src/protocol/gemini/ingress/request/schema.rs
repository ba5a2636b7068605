//! Google's own schemas, a dialect of OpenAPI's, as the JSON Schema that everyone else reads: types in small letters,
//! `nullable` as a type, bounds as numbers. <https://ai.google.dev/api/caching#Schema>
//!
//! What is not different there stays, in its order.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::{chat::json::Json, protocol::gemini::ingress::spelling::camel};

/// Members of a schema that are names of the caller's, each with a schema.
const NAMED: [&str; 3] = ["properties", "$defs", "defs"];
/// Members that hold a schema, or a list of some.
const SCHEMAS: [&str; 4] = ["items", "anyOf", "prefixItems", "additionalProperties"];
/// Members that are whole numbers of 64 bits, which protocol buffers write as strings.
const COUNTS: [&str; 6] =
    ["minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"];
/// Members of more than one word: Google takes these with underscores too.
const WORDS: [&str; 9] = [
    "anyOf",
    "prefixItems",
    "additionalProperties",
    "minItems",
    "maxItems",
    "minLength",
    "maxLength",
    "minProperties",
    "maxProperties",
];

/// The schema; as it is written where nothing has to change.
pub(super) fn plain(schema: Json<'_>) -> Json<'_> {
    let Ok(mut value) = serde_json::from_str::<Value>(schema.text()) else { return schema };
    let mut changed = false;
    translate(&mut value, &mut changed);
    if !changed {
        return schema;
    }
    Json::parse(value.to_string()).unwrap_or(schema)
}

/// A schema within a schema. As deep as the body is nested, which is bounded when it is read.
fn translate(value: &mut Value, changed: &mut bool) {
    match value {
        Value::Object(members) => object(members, changed),
        Value::Array(schemas) => schemas.iter_mut().for_each(|schema| translate(schema, changed)),
        _ => {}
    }
}

fn object(members: &mut Map<String, Value>, changed: &mut bool) {
    rename(members, changed);
    for (key, value) in members.iter_mut() {
        match value {
            Value::Object(named) if NAMED.contains(&key.as_str()) => {
                named.values_mut().for_each(|schema| translate(schema, changed));
            }
            Value::String(count) if COUNTS.contains(&key.as_str()) => {
                if let Ok(count) = count.parse::<u64>() {
                    (*value, *changed) = (count.into(), true);
                }
            }
            value if SCHEMAS.contains(&key.as_str()) => translate(value, changed),
            _ => {}
        }
    }
    kind(members, changed);
    nullable(members, changed);
}

/// Names with underscores become Google's own.
fn rename(members: &mut Map<String, Value>, changed: &mut bool) {
    let is_known = |key: &str| key.contains('_') && WORDS.contains(&camel(Cow::Borrowed(key)).as_ref());
    if members.keys().any(|key| is_known(key)) {
        let old = std::mem::take(members).into_iter();
        members.extend(old.map(|(key, value)| {
            let key = if is_known(&key) { camel(Cow::Borrowed(&key)).into_owned() } else { key };
            (key, value)
        }));
        *changed = true;
    }
}

fn kind(members: &mut Map<String, Value>, changed: &mut bool) {
    let Some(Value::String(kind)) = members.get_mut("type") else { return };
    if kind == "TYPE_UNSPECIFIED" {
        members.shift_remove("type");
        *changed = true;
    } else if kind.bytes().any(|byte| byte.is_ascii_uppercase()) {
        kind.make_ascii_lowercase();
        *changed = true;
    }
}

/// `nullable: true` is one more type, one more alternative, and one more value of a list.
fn nullable(members: &mut Map<String, Value>, changed: &mut bool) {
    let Some(Value::Bool(nullable)) = members.get("nullable") else { return };
    let nullable = *nullable;
    members.shift_remove("nullable");
    *changed = true;
    if !nullable {
        return;
    }
    if let Some(kind) = members.get_mut("type") {
        if kind.is_string() {
            *kind = Value::Array(vec![kind.take(), "null".into()]);
        }
    } else if let Some(Value::Array(alternatives)) = members.get_mut("anyOf") {
        alternatives.push(serde_json::json!({ "type": "null" }));
    }
    if let Some(Value::Array(values)) = members.get_mut("enum")
        && !values.contains(&Value::Null)
    {
        values.push(Value::Null);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain_of(schema: &str) -> String {
        plain(Json::parse(schema.to_owned()).expect("JSON")).text().to_owned()
    }

    #[test]
    fn a_json_schema_passes_as_it_is_written() {
        let fine = r#"{ "type":"object", "properties":{"TYPE":{"type":"number", "enum":["STRING"], "minimum":1.0}} }"#;
        assert_eq!(plain_of(fine), fine);
    }

    #[test]
    fn googles_own_schema_becomes_one() {
        let openapi = r#"{"type":"OBJECT","properties":{"type":{"type":"STRING","nullable":true,"enum":["A"]},
            "list":{"type":"ARRAY","items":{"type":"INTEGER","format":"int32"},"min_items":"1"},
            "any":{"any_of":[{"type":"STRING"}],"nullable":true}},"required":["type"],"propertyOrdering":["type"],"nullable":false}"#;
        insta::assert_snapshot!(plain_of(openapi), @r#"{"type":"object","properties":{"type":{"type":["string","null"],"enum":["A",null]},"list":{"type":"array","items":{"type":"integer","format":"int32"},"minItems":1},"any":{"anyOf":[{"type":"string"},{"type":"null"}]}},"required":["type"],"propertyOrdering":["type"]}"#);
    }
}
