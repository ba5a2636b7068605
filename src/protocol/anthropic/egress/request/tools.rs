//! The tools of a request, and whether the model must call one.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    chat::{
        json::Json,
        loss::{Losses, Parameter},
        request::{self, Request, ToolChoice, ToolInput},
    },
    protocol::claude::{model::Model, schema},
};

/// A tool.
#[derive(Serialize)]
pub(super) struct Tool<'r> {
    name: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'r str>,
    input_schema: &'r RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<&'r Json<'r>>,
}

/// `tool_choice`
#[derive(Serialize)]
pub(super) struct Choice<'r> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'r str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    disable_parallel_tool_use: bool,
}

/// A tool without arguments.
const NOTHING: &str = r#"{"type":"object"}"#;
/// A tool that takes free text.
const TEXT: &str = r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}"#;

/// The tools and the choice. Out of some tools means that the others are not offered.
pub(super) fn write<'r>(
    request: &'r Request<'_>,
    model: Model,
    thinks: bool,
    losses: &mut Losses,
) -> (Vec<Tool<'r>>, Option<Choice<'r>>) {
    let offered = |name: &str| match &request.tool_choice {
        Some(ToolChoice::Among { names, .. }) => names.iter().any(|allowed| allowed == name),
        _ => true,
    };
    let tools: Vec<Tool<'_>> = request
        .tools
        .iter()
        .filter(|tool| offered(&tool.name))
        .map(|given| tool(given, model, losses))
        .collect();
    let choice = choice(request, tools.is_empty(), thinks, losses);
    (tools, choice)
}

fn tool<'r>(tool: &'r request::Tool<'_>, model: Model, losses: &mut Losses) -> Tool<'r> {
    let input_schema = match &tool.input {
        ToolInput::Schema(Some(schema)) if schema.text().trim() != "{}" => &*schema.0,
        ToolInput::Schema(_) => constant(NOTHING),
        ToolInput::Text(grammar) => {
            losses.lose_if(grammar.is_some(), Parameter::Grammar);
            constant(TEXT)
        }
    };
    // What a strict schema may not say is worth more to the model than that it is strict.
    let fits = || matches!(&tool.input, ToolInput::Schema(Some(schema)) if schema::is_taken(schema));
    let wanted = tool.strict == Some(true);
    let strict = (wanted && model.is_strict() && fits()).then_some(true);
    losses.lose_if(wanted && strict.is_none(), Parameter::Strict);
    Tool {
        name: &tool.name,
        description: tool.description.as_deref(),
        input_schema,
        strict,
        cache_control: tool.cache.as_ref(),
    }
}

fn choice<'r>(
    request: &'r Request<'_>,
    no_tools: bool,
    thinks: bool,
    losses: &mut Losses,
) -> Option<Choice<'r>> {
    let single = request.parallel_calls == Some(false);
    let (kind, name) = match &request.tool_choice {
        None if single => ("auto", None),
        None => return None,
        Some(ToolChoice::Auto | ToolChoice::Among { required: false, .. }) => ("auto", None),
        Some(ToolChoice::None) => ("none", None),
        Some(ToolChoice::Required | ToolChoice::Among { required: true, .. }) => ("any", None),
        Some(ToolChoice::Named(name)) => ("tool", Some(name.as_ref())),
    };
    let forced = matches!(kind, "any" | "tool");
    // Without tools there is no choice, and with thinking no force.
    losses.lose_if(forced && (no_tools || thinks), Parameter::ToolChoice);
    if no_tools {
        return None;
    }
    let (kind, name) = if forced && thinks { ("auto", None) } else { (kind, name) };
    Some(Choice { kind, name, disable_parallel_tool_use: single && kind != "none" })
}

/// JSON of ours.
fn constant(json: &'static str) -> &'static RawValue {
    serde_json::from_str(json).unwrap_or(RawValue::NULL)
}
