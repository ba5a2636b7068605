//! The tools of a request, and whether the model must call one.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    chat::{
        json::Json,
        loss::{Losses, Parameter},
        request::{self, Request, ToolChoice, ToolInput},
    },
    protocol::{
        call::{made, quoted},
        json::Key,
    },
};

/// All functions, in one tool.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tools<'r> {
    function_declarations: Vec<Function<'r>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Function<'r> {
    name: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters_json_schema: Option<Json<'r>>,
}

/// `toolConfig`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolConfig<'r> {
    function_calling_config: Calling<'r>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Calling<'r> {
    mode: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed_function_names: Vec<&'r str>,
}

/// What a tool that takes free text takes.
const TEXT: &str = r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}"#;

/// The tools and the choice. Out of some tools without having to means that the others are not offered.
pub(super) fn write<'r>(
    request: &'r Request<'_>,
    losses: &mut Losses,
) -> (Option<Tools<'r>>, Option<ToolConfig<'r>>) {
    let offered = |name: &str| match &request.tool_choice {
        Some(ToolChoice::Among { names, required: false }) => names.iter().any(|allowed| allowed == name),
        _ => true,
    };
    let tools = request.tools.iter().filter(|tool| offered(&tool.name));
    let functions: Vec<Function<'_>> = tools.map(|tool| function(tool, losses)).collect();
    losses.lose_if(request.parallel_calls == Some(false), Parameter::ParallelCalls);
    let config = choice(request.tool_choice.as_ref(), functions.is_empty(), losses);
    let tools = (!functions.is_empty()).then_some(Tools { function_declarations: functions });
    (tools, config)
}

fn function<'r>(tool: &'r request::Tool<'_>, losses: &mut Losses) -> Function<'r> {
    let schema = match &tool.input {
        ToolInput::Schema(schema) => {
            schema.as_ref().filter(|schema| schema.text().trim() != "{}").map(undeclared)
        }
        ToolInput::Text(grammar) => {
            losses.lose_if(grammar.is_some(), Parameter::Grammar);
            Some(made(TEXT.to_owned()))
        }
    };
    losses.lose_if(tool.strict == Some(true), Parameter::Strict);
    losses.lose_if(tool.cache.is_some(), Parameter::CacheControl);
    Function { name: &tool.name, description: tool.description.as_deref(), parameters_json_schema: schema }
}

fn choice<'r>(
    choice: Option<&'r ToolChoice<'_>>,
    no_tools: bool,
    losses: &mut Losses,
) -> Option<ToolConfig<'r>> {
    let (mode, names): (_, Vec<&str>) = match choice? {
        ToolChoice::Auto | ToolChoice::Among { required: false, .. } => ("AUTO", Vec::new()),
        ToolChoice::None => ("NONE", Vec::new()),
        ToolChoice::Required => ("ANY", Vec::new()),
        ToolChoice::Named(name) => ("ANY", vec![name]),
        ToolChoice::Among { names, required: true } => ("ANY", names.iter().map(AsRef::as_ref).collect()),
    };
    // Without tools there is no choice.
    losses.lose_if(no_tools && mode == "ANY", Parameter::ToolChoice);
    let calling = Calling { mode, allowed_function_names: names };
    (!no_tools).then_some(ToolConfig { function_calling_config: calling })
}

/// A schema without its `$schema`, the one word that Google does not take; else as it is written.
pub(super) fn undeclared<'r>(schema: &'r Json<'_>) -> Json<'r> {
    let as_it_is = || Json(Cow::Borrowed(&*schema.0));
    if !schema.text().contains(r#""$schema""#) {
        return as_it_is();
    }
    match serde_json::from_str::<Members<'_>>(schema.text()) {
        Ok(Members(members)) if members.iter().any(|(key, _)| key == "$schema") => {
            let kept = members.iter().filter(|(key, _)| key != "$schema");
            let kept: Vec<String> = kept.map(|(key, value)| format!("{}:{value}", quoted(key))).collect();
            made(format!("{{{}}}", kept.join(",")))
        }
        _ => as_it_is(),
    }
}

/// The members of an object, their values as they are written.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

struct MembersVisitor;

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
            members.push((key, value));
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_declaration_of_a_schema_is_taken_out() {
        let of = |schema: &str| undeclared(&Json::parse(schema.to_owned()).expect("JSON")).text().to_owned();
        let plain = r#"{ "type":"object", "additionalProperties":false, "properties":{"$schema":{"type":"string"}} }"#;
        assert_eq!(of(plain), plain);
        let declared =
            r#"{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","minimum":1.0}"#;
        assert_eq!(of(declared), r#"{"type":"object","minimum":1.0}"#);
        assert_eq!(of(r#""$schema""#), r#""$schema""#);
    }
}
