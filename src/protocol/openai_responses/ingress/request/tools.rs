//! The tools of a request, and whether the model must call one.
//!
//! Tools that OpenAI's servers run, or that only its models know (`web_search`, `local_shell`, `mcp`), mean nothing to
//! another provider: they are noted as `tools.web_search`.

use std::borrow::Cow;

use crate::{
    chat::request::{Tool, ToolChoice, ToolInput},
    protocol::{
        json::Malformed,
        openai_responses::ingress::names::Names,
        value::{Notes, Object, Value},
    },
};

/// The client's own tools, those of namespaces among them.
pub(super) fn read<'a>(
    body: &Object<'a, '_>,
    names: &Names,
    notes: &mut Notes<'a>,
) -> Result<Vec<Tool<'a>>, Malformed> {
    body.get("tools").map_or(Ok(Vec::new()), |tools| list(&tools, names, notes))
}

/// The same of a list, wherever it stands.
pub(super) fn list<'a>(
    list: &Value<'a, '_>,
    names: &Names,
    notes: &mut Notes<'a>,
) -> Result<Vec<Tool<'a>>, Malformed> {
    let mut tools = Vec::new();
    list.items(|_, value| {
        let item = value.object()?;
        if item.text("type")?.as_deref() != Some("namespace") {
            tools.extend(tool(&item, None, names, notes)?);
            return Ok(());
        }
        // What the tools have in common no other format has a place for.
        item.unsaid("description", true, notes);
        item.rest(&["type", "name", "description", "tools"], notes);
        let namespace = item.need("name")?.text()?;
        item.need("tools")?.items(|_, value| {
            tools.extend(tool(&value.object()?, Some(&namespace), names, notes)?);
            Ok(())
        })
    })?;
    Ok(tools)
}

fn tool<'a>(
    tool: &Object<'a, '_>,
    namespace: Option<&str>,
    names: &Names,
    notes: &mut Notes<'a>,
) -> Result<Option<Tool<'a>>, Malformed> {
    let kind = tool.text("type")?;
    let input = match kind.as_deref() {
        None | Some("function") => {
            let schema = tool.get("parameters").map(|schema| schema.object_json()).transpose()?;
            ToolInput::Schema(schema)
        }
        Some("custom") => ToolInput::Text(tool.get("format").map(|format| format.object_json()).transpose()?),
        Some(kind) => {
            notes.lose(format!("tools.{kind}"), false);
            return Ok(None);
        }
    };
    // When its definition is loaded changes no answer, and what it gives back only how well it is understood.
    for key in ["defer_loading", "output_schema", "allowed_callers", "async"] {
        tool.unsaid(key, true, notes);
    }
    let known = [
        "type",
        "name",
        "description",
        "parameters",
        "format",
        "strict",
        "defer_loading",
        "output_schema",
        "allowed_callers",
        "async",
    ];
    tool.rest(&known, notes);
    Ok(Some(Tool {
        name: names.flat(namespace, tool.need("name")?.text()?),
        description: tool.text("description")?,
        input,
        strict: tool.get("strict").map(|strict| strict.flag()).transpose()?,
        cache: None,
    }))
}

/// The choice, however it is said.
pub(super) fn choice<'a>(
    body: &Object<'a, '_>,
    names: &Names,
    notes: &mut Notes<'a>,
) -> Result<Option<ToolChoice<'a>>, Malformed> {
    let Some(value) = body.get("tool_choice") else { return Ok(None) };
    if value.is_text() {
        return word(&value).map(Some);
    }
    let choice = value.object()?;
    let kind = choice.need("type")?.text()?;
    match kind.as_ref() {
        "function" | "custom" => named(&choice, names).map(|name| Some(ToolChoice::Named(name))),
        "allowed_tools" => among(&choice, names, notes).map(Some),
        // A tool that is noted itself.
        _ => {
            body.unsaid("tool_choice", false, notes);
            Ok(None)
        }
    }
}

fn word<'a>(value: &Value<'a, '_>) -> Result<ToolChoice<'a>, Malformed> {
    match value.text()?.as_ref() {
        "auto" => Ok(ToolChoice::Auto),
        "none" => Ok(ToolChoice::None),
        "required" => Ok(ToolChoice::Required),
        _ => Err(value.wrong("`auto`, `none`, `required` or an object")),
    }
}

fn named<'a>(choice: &Object<'a, '_>, names: &Names) -> Result<Cow<'a, str>, Malformed> {
    let namespace = choice.text("namespace")?;
    Ok(names.flat(namespace.as_deref(), choice.need("name")?.text()?))
}

fn among<'a>(
    choice: &Object<'a, '_>,
    names: &Names,
    notes: &mut Notes<'a>,
) -> Result<ToolChoice<'a>, Malformed> {
    let required = match choice.get("mode") {
        None => false,
        Some(mode) => match mode.text()?.as_ref() {
            "auto" => false,
            "required" => true,
            _ => return Err(mode.wrong("`auto` or `required`")),
        },
    };
    let mut allowed = Vec::new();
    choice.need("tools")?.items(|_, value| {
        let tool = value.object()?;
        match tool.need("type")?.text()?.as_ref() {
            "function" | "custom" => allowed.push(named(&tool, names)?),
            kind => notes.lose(format!("tool_choice.tools.{kind}"), false),
        }
        Ok(())
    })?;
    // Where only hosted tools are allowed, none is left.
    Ok(if allowed.is_empty() { ToolChoice::None } else { ToolChoice::Among { names: allowed, required } })
}
