//! The tools of a request, and whether the model must call one. `functions` and `function_call`, from before there were
//! tools, mean the same.

use crate::{
    chat::request::{Tool, ToolChoice, ToolInput},
    protocol::{
        json::Malformed,
        value::{Notes, Object, Value},
    },
};

/// The client's own tools. Tools that OpenAI's servers run are noted as `tools.web_search`.
pub(super) fn read<'a>(body: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<Vec<Tool<'a>>, Malformed> {
    let mut tools = Vec::new();
    if let Some(list) = body.get("tools") {
        list.items(|_, value| {
            let tool = value.object()?;
            match tool.text("type")?.as_deref() {
                None | Some("function") => tools.push(function_tool(&tool, notes)?),
                Some("custom") => tools.push(custom(&tool, notes)?),
                Some(kind) => notes.lose(format!("tools.{kind}"), false),
            }
            Ok(())
        })?;
    }
    if let Some(list) = body.get("functions") {
        list.items(|_, value| {
            tools.push(function(&value.object()?, notes)?);
            Ok(())
        })?;
    }
    Ok(tools)
}

fn function_tool<'a>(tool: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<Tool<'a>, Malformed> {
    tool.rest(&["type", "function", "cache_control"], notes);
    let read = function(&tool.need("function")?.object()?, notes)?;
    Ok(Tool { cache: tool.json("cache_control")?, ..read })
}

fn function<'a>(function: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<Tool<'a>, Malformed> {
    function.rest(&["name", "description", "parameters", "strict"], notes);
    Ok(Tool {
        name: function.need("name")?.text()?,
        description: function.text("description")?,
        input: ToolInput::Schema(function.get("parameters").map(|value| value.object_json()).transpose()?),
        strict: function.get("strict").map(|value| value.flag()).transpose()?,
        cache: None,
    })
}

fn custom<'a>(tool: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<Tool<'a>, Malformed> {
    tool.rest(&["type", "custom", "cache_control"], notes);
    let inner = tool.need("custom")?;
    let inner = inner.object()?;
    inner.rest(&["name", "description", "format"], notes);
    Ok(Tool {
        name: inner.need("name")?.text()?,
        description: inner.text("description")?,
        input: ToolInput::Text(inner.json("format")?),
        strict: None,
        cache: tool.json("cache_control")?,
    })
}

/// The choice, however it is said.
pub(super) fn choice<'a>(
    body: &Object<'a, '_>,
    notes: &mut Notes<'a>,
) -> Result<Option<ToolChoice<'a>>, Malformed> {
    if let Some(value) = body.get("tool_choice") {
        return if value.is_text() { word(&value) } else { object(&value, notes) }.map(Some);
    }
    let Some(value) = body.get("function_call") else { return Ok(None) };
    if value.is_text() {
        return word(&value).map(Some);
    }
    let name = value.object()?.need("name")?.text()?;
    Ok(Some(ToolChoice::Named(name)))
}

fn word<'a>(value: &Value<'a, '_>) -> Result<ToolChoice<'a>, Malformed> {
    match value.text()?.as_ref() {
        "auto" => Ok(ToolChoice::Auto),
        "none" => Ok(ToolChoice::None),
        "required" | "any" => Ok(ToolChoice::Required),
        _ => Err(value.wrong("`auto`, `none`, `required` or an object")),
    }
}

fn object<'a>(value: &Value<'a, '_>, notes: &mut Notes<'a>) -> Result<ToolChoice<'a>, Malformed> {
    let choice = value.object()?;
    let kind = choice.need("type")?;
    if kind.text()? != "allowed_tools" {
        return named(&choice).map(ToolChoice::Named);
    }
    let allowed = choice.need("allowed_tools")?;
    let allowed = allowed.object()?;
    let required = match allowed.text("mode")?.as_deref() {
        None | Some("auto") => false,
        Some("required") => true,
        Some(_) => return Err(allowed.need("mode")?.wrong("`auto` or `required`")),
    };
    let mut names = Vec::new();
    allowed.need("tools")?.items(|_, value| {
        let tool = value.object()?;
        match tool.need("type")?.text()?.as_ref() {
            "function" | "custom" => names.push(named(&tool)?),
            kind => notes.lose(format!("tool_choice.allowed_tools.{kind}"), false),
        }
        Ok(())
    })?;
    Ok(ToolChoice::Among { names, required })
}

/// `{"type":"function","function":{"name"}}`, and the same with `custom`.
fn named<'a>(choice: &Object<'a, '_>) -> Result<std::borrow::Cow<'a, str>, Malformed> {
    let kind = choice.need("type")?;
    match kind.text()?.as_ref() {
        "function" => choice.need("function")?.object()?.need("name")?.text(),
        "custom" => choice.need("custom")?.object()?.need("name")?.text(),
        _ => Err(kind.wrong("`function`, `custom` or `allowed_tools`")),
    }
}
