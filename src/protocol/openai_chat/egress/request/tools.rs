//! The tools of a request as OpenAI defines them, and the choice among them.

use std::borrow::Cow;

use serde::Serialize;

use crate::chat::{
    json::Json,
    loss::{Losses, Parameter},
    request::{Request, Tool, ToolChoice, ToolInput},
};

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum OutTool<'a> {
    Function { function: Function<'a> },
    Custom { custom: Custom<'a> },
}

#[derive(Serialize)]
pub(super) struct Function<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<&'a Json<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

#[derive(Serialize)]
pub(super) struct Custom<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Cow<'a, Json<'a>>>,
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Choice<'a> {
    Word(&'static str),
    Named(Named<'a>),
    Among {
        #[serde(rename = "type")]
        kind: &'static str,
        allowed_tools: Allowed<'a>,
    },
}

#[derive(Serialize)]
pub(super) struct Allowed<'a> {
    mode: &'static str,
    tools: Vec<Named<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Named<'a> {
    Function { function: Name<'a> },
    Custom { custom: Name<'a> },
}

#[derive(Serialize)]
pub(super) struct Name<'a> {
    name: &'a str,
}

/// The definitions, schemas as they are written.
pub(super) fn tools<'a>(tools: &'a [Tool<'_>], losses: &mut Losses) -> Vec<OutTool<'a>> {
    losses.lose_if(tools.iter().any(|tool| tool.cache.is_some()), Parameter::CacheControl);
    tools.iter().map(tool).collect()
}

fn tool<'a>(tool: &'a Tool<'_>) -> OutTool<'a> {
    let (name, description) = (tool.name.as_ref(), tool.description.as_deref());
    match &tool.input {
        ToolInput::Schema(parameters) => OutTool::Function {
            function: Function { name, description, parameters: parameters.as_ref(), strict: tool.strict },
        },
        ToolInput::Text(grammar) => {
            OutTool::Custom { custom: Custom { name, description, format: grammar.as_ref().map(format) } }
        }
    }
}

/// The grammar of a custom tool has an object of its own here; Responses write its members beside the type.
fn format<'a>(written: &'a Json<'_>) -> Cow<'a, Json<'a>> {
    #[derive(serde::Deserialize)]
    struct Flat {
        #[serde(rename = "type")]
        kind: String,
        syntax: String,
        definition: String,
    }
    let nested = serde_json::from_str::<Flat>(written.text()).ok().and_then(|flat| {
        let grammar = serde_json::json!({"syntax": flat.syntax, "definition": flat.definition});
        Json::parse(serde_json::json!({"type": flat.kind, "grammar": grammar}).to_string())
    });
    nested.map_or_else(|| Cow::Owned(written.clone()), Cow::Owned)
}

/// The choice. Whether a name is a function's or a custom tool's, its definition says.
pub(super) fn choice<'a>(choice: &'a ToolChoice<'_>, request: &Request<'_>) -> Choice<'a> {
    let named = |name: &'a str| {
        let custom = |tool: &Tool<'_>| tool.name == name && matches!(tool.input, ToolInput::Text(_));
        if request.tools.iter().any(custom) {
            Named::Custom { custom: Name { name } }
        } else {
            Named::Function { function: Name { name } }
        }
    };
    match choice {
        ToolChoice::Auto => Choice::Word("auto"),
        ToolChoice::None => Choice::Word("none"),
        ToolChoice::Required => Choice::Word("required"),
        ToolChoice::Named(name) => Choice::Named(named(name)),
        ToolChoice::Among { names, required } => Choice::Among {
            kind: "allowed_tools",
            allowed_tools: Allowed {
                mode: if *required { "required" } else { "auto" },
                tools: names.iter().map(|name| named(name)).collect(),
            },
        },
    }
}
