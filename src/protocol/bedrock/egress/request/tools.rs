//! The tools of a request, and whether the model must call one.

use std::{borrow::Cow, collections::HashSet};

use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    family::Family,
    messages::{self, Turn},
    wire::CachePoint,
};
use crate::{
    chat::{
        loss::{Losses, Parameter, Unsupported},
        request::{Request, Tool, ToolChoice, ToolInput},
    },
    protocol::claude::schema,
};

/// `toolConfig`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolConfig<'r> {
    tools: Vec<Entry<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice<'r>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Entry<'r> {
    ToolSpec {
        name: &'r str,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<&'r str>,
        input_schema: InputSchema<'r>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        strict: bool,
    },
    CachePoint(CachePoint),
}

#[derive(Serialize)]
struct InputSchema<'r> {
    json: &'r RawValue,
}

/// `toolChoice`; a model that may call or not is told nothing.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Choice<'r> {
    Any {},
    Tool { name: &'r str },
}

/// A tool without arguments, or with arguments that are not known.
const NOTHING: &str = r#"{"type":"object"}"#;
/// A tool that takes free text.
const TEXT: &str = r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}"#;
/// The longest name of a tool, in characters.
const LONGEST_NAME: usize = 64;

/// The tools and the choice. Out of some tools means that the others are not offered.
///
/// A conversation that has calls is refused without tools. So those of a client that wants none called are named
/// nevertheless, and where it gives none, those that were called.
pub(super) fn write<'r>(
    request: &'r Request<'_>,
    family: Family,
    thinks: bool,
    turns: &[Turn<'r>],
    losses: &mut Losses,
) -> Result<Option<ToolConfig<'r>>, Unsupported> {
    let called = || turns.iter().flat_map(Turn::calls);
    if request.tool_choice == Some(ToolChoice::None) {
        if called().next().is_none() {
            return Ok(None);
        }
        losses.lose(Parameter::ToolChoice);
    }
    let mut tools = Vec::with_capacity(request.tools.len());
    for (part, tool) in request.tools.iter().enumerate().filter(|(_, tool)| is_offered(request, tool)) {
        let name = taken(&tool.name).map_err(|why| Unsupported { message: None, part, why })?;
        tools.push(entry(tool, name, family, losses));
        tools.extend(point(tool, family, losses).map(Entry::CachePoint));
    }
    let tool_choice = choice(request, family, tools.is_empty(), thinks, losses);
    if tools.is_empty() {
        tools = of_history(called());
    }
    Ok((!tools.is_empty()).then_some(ToolConfig { tools, tool_choice }))
}

/// The name, if it is one that is taken; else why not. Another name instead would come back in the answer.
pub(super) fn taken(name: &str) -> Result<&str, Cow<'static, str>> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(fits) {
        return Ok(name);
    }
    let shown: String = name.chars().take(LONGEST_NAME).collect();
    Err(Cow::Owned(format!(
        "the tool name `{shown}` cannot be sent to a Bedrock provider: it takes 1 to {LONGEST_NAME} letters, digits, `_` and `-`"
    )))
}

fn is_offered(request: &Request<'_>, tool: &Tool<'_>) -> bool {
    match &request.tool_choice {
        Some(ToolChoice::Among { names, .. }) => names.contains(&tool.name),
        _ => true,
    }
}

fn entry<'r>(tool: &'r Tool<'_>, name: &'r str, family: Family, losses: &mut Losses) -> Entry<'r> {
    let schema = match &tool.input {
        ToolInput::Schema(schema) => schema.as_ref().filter(|schema| schema.text().trim() != "{}"),
        ToolInput::Text(_) => None,
    };
    let json = match &tool.input {
        ToolInput::Schema(_) => schema.map_or_else(|| constant(NOTHING), |schema| &*schema.0),
        ToolInput::Text(grammar) => {
            losses.lose_if(grammar.is_some(), Parameter::Grammar);
            constant(TEXT)
        }
    };
    // A schema that is only followed loosely is still the better half of a strict one.
    let wanted = tool.strict == Some(true);
    let strict = wanted && family.is_structured() && schema.is_some_and(schema::is_taken);
    losses.lose_if(strict != wanted, Parameter::Strict);
    let description = tool.description.as_deref().filter(|text| !text.trim().is_empty());
    Entry::ToolSpec { name, description, input_schema: InputSchema { json }, strict }
}

fn point(tool: &Tool<'_>, family: Family, losses: &mut Losses) -> Option<CachePoint> {
    let marker = tool.cache.as_ref()?;
    losses.lose_if(!family.caches_tools(), Parameter::CacheControl);
    family.caches_tools().then(|| messages::point(marker, family, losses)).flatten()
}

/// The tools that were called, each once.
fn of_history<'r>(called: impl Iterator<Item = &'r str>) -> Vec<Entry<'r>> {
    let mut seen = HashSet::new();
    let names = called.filter(|name| seen.insert(*name));
    let spec = |name| Entry::ToolSpec {
        name,
        description: None,
        input_schema: InputSchema { json: constant(NOTHING) },
        strict: false,
    };
    names.map(spec).collect()
}

fn choice<'r>(
    request: &'r Request<'_>,
    family: Family,
    no_tools: bool,
    thinks: bool,
    losses: &mut Losses,
) -> Option<Choice<'r>> {
    losses.lose_if(request.parallel_calls == Some(false) && !no_tools, Parameter::ParallelCalls);
    let (choice, able) = match request.tool_choice.as_ref()? {
        ToolChoice::Auto | ToolChoice::None | ToolChoice::Among { required: false, .. } => return None,
        ToolChoice::Required | ToolChoice::Among { required: true, .. } => {
            (Choice::Any {}, family.must_call())
        }
        ToolChoice::Named(name) => (Choice::Tool { name }, family.must_call_this()),
    };
    // Without tools there is no choice, and with thinking no force.
    let taken = able && !no_tools && !thinks;
    losses.lose_if(!taken, Parameter::ToolChoice);
    taken.then_some(choice)
}

/// JSON of ours.
fn constant(json: &'static str) -> &'static RawValue {
    serde_json::from_str(json).unwrap_or(RawValue::NULL)
}
