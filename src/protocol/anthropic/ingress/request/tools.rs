//! The tools of a request, and whether the model must call one.
//!
//! Tools that Anthropic's servers run, or whose schema only its models know (`web_search_20250305`, `bash_20250124`), mean
//! nothing to another provider: they are noted as `tools.web_search`.

use super::cache;
use crate::{
    chat::request::{Tool, ToolChoice, ToolInput},
    protocol::{
        json::Malformed,
        value::{Notes, Object},
    },
};

/// The client's own tools.
pub(super) fn read<'a>(body: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<Vec<Tool<'a>>, Malformed> {
    let mut tools = Vec::new();
    let Some(list) = body.get("tools") else { return Ok(tools) };
    list.items(|_, tool| {
        let tool = tool.object()?;
        match tool.text("type")?.as_deref() {
            None | Some("custom") => tools.push(custom(&tool, notes)?),
            Some(kind) => notes.lose(format!("tools.{}", undated(kind)), false),
        }
        Ok(())
    })?;
    Ok(tools)
}

fn custom<'a>(tool: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<Tool<'a>, Malformed> {
    let known = [
        "type",
        "name",
        "description",
        "input_schema",
        "strict",
        "cache_control",
        "defer_loading",
        "eager_input_streaming",
    ];
    // When its definition is loaded and how its input is cut changes no answer.
    tool.unsaid("defer_loading", true, notes);
    tool.unsaid("eager_input_streaming", true, notes);
    tool.rest(&known, notes);
    let schema = tool.get("input_schema").map(|schema| schema.object_json()).transpose()?;
    Ok(Tool {
        name: tool.need("name")?.text()?,
        description: tool.text("description")?,
        input: ToolInput::Schema(schema),
        strict: tool.get("strict").map(|strict| strict.flag()).transpose()?,
        cache: cache(tool)?,
    })
}

/// The choice, and whether several may be called at once.
pub(super) fn choice<'a>(
    body: &Object<'a, '_>,
    notes: &mut Notes<'a>,
) -> Result<(Option<ToolChoice<'a>>, Option<bool>), Malformed> {
    let Some(choice) = body.get("tool_choice") else { return Ok((None, None)) };
    let choice = choice.object()?;
    choice.rest(&["type", "name", "disable_parallel_tool_use"], notes);
    let kind = choice.need("type")?;
    let tool = match kind.text()?.as_ref() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Named(choice.need("name")?.text()?),
        _ => return Err(kind.wrong("`auto`, `any`, `tool` or `none`")),
    };
    let disabled = choice.get("disable_parallel_tool_use").map(|value| value.flag()).transpose()?;
    Ok((Some(tool), disabled.map(|disabled| !disabled)))
}

/// The name of a kind of tool without its date.
fn undated(kind: &str) -> &str {
    match kind.rsplit_once('_') {
        Some((name, date)) if date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => kind,
    }
}
