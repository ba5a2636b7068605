//! The JSON Schema of the file and the table of its keys as Markdown, both made from `keys`.

use serde_json::{Map, Value as Json, json};

use super::{
    keys::{FILE, Key, Section},
    kind,
};

/// The JSON Schema (draft 2020-12) of the file.
pub fn json_schema() -> Json {
    let defs: Map<_, _> = FILE.tree().into_iter().map(|section| (name(section), object(section))).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Nexus configuration",
        "$ref": format!("#/$defs/{}", name(&FILE)),
        "$defs": defs,
    })
}

/// One Markdown table for each table of the file, one row for each key.
pub fn markdown() -> String {
    let mut out = String::new();
    for section in FILE.tree() {
        out +=
            &format!("\n### `{}`\n\n| key | type | default | meaning |\n|---|---|---|---|\n", section.title);
        for key in section.keys.iter().chain(&section.names) {
            out += &row(section, key);
        }
    }
    out
}

/// The name of a table in `$defs`.
pub(super) fn name(section: &Section) -> String {
    let title = section.title.split(',').next().unwrap_or_default();
    let letters = title.replace("….", "").replace(' ', "_");
    letters.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.')).collect()
}

fn object(section: &Section) -> Json {
    let properties: Map<_, _> =
        section.keys.iter().map(|key| (key.name.to_owned(), property(section, key))).collect();
    let required: Vec<_> = section.keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    let others = section.names.as_ref().map_or(json!(false), |key| property(section, key));
    let mut object = json!({ "type": "object", "properties": properties, "additionalProperties": others });
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

fn property(section: &Section, key: &Key) -> Json {
    let mut schema = kind::schema(key.kind);
    schema["description"] = json!(meaning(section, key));
    let default = toml::from_str::<Map<String, Json>>(&format!("d = {}", key.default)).ok();
    if let Some(default) = default.and_then(|mut table| table.remove("d")) {
        schema["default"] = default;
    }
    schema
}

fn row(section: &Section, key: &Key) -> String {
    let default = if key.default.is_empty() { "–".to_owned() } else { format!("`{}`", key.default) };
    let needed = if key.required { " (required)" } else { "" };
    format!("| `{}` | {}{needed} | {default} | {} |\n", key.name, kind::noun(key.kind), meaning(section, key))
}

fn meaning(section: &Section, key: &Key) -> String {
    let mut text = key.meaning.to_owned();
    if !key.only.is_empty() && key.only.len() < super::keys::PROVIDER_TYPES.len() {
        let of_rules = section.selector().is_some_and(|key| key.name == "rule");
        let selector = if of_rules { "Rule" } else { "Type" };
        text += &format!(" {selector} {} only.", super::shape::list(key.only));
    }
    text
}
