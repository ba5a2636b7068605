//! The tools of a request, and whether the model must call one.
//!
//! Tools that Google's servers run (`googleSearch`, `codeExecution`) mean nothing to another provider: they are noted as
//! `tools.googleSearch`.

use super::schema;
use crate::{
    chat::{
        json::Json,
        request::{Tool, ToolChoice, ToolInput},
    },
    protocol::{
        gemini::ingress::spelling::{items_or_one, object, word},
        json::Malformed,
        value::{Notes, Object},
    },
};

/// The client's own functions, out of one tool or several.
pub(super) fn read<'a>(body: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<Vec<Tool<'a>>, Malformed> {
    let mut tools = Vec::new();
    let Some(list) = body.get("tools") else { return Ok(tools) };
    items_or_one(&list, |_, tool| {
        let tool = object(&tool)?;
        tool.rest(&["functionDeclarations"], notes);
        match tool.get("functionDeclarations") {
            Some(functions) => items_or_one(&functions, |_, function| {
                tools.push(self::function(&object(&function)?, notes)?);
                Ok(())
            }),
            None => Ok(()),
        }
    })?;
    Ok(tools)
}

fn function<'a>(function: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<Tool<'a>, Malformed> {
    function.rest(&["name", "description", "parameters", "parametersJsonSchema"], notes);
    Ok(Tool {
        name: function.need("name")?.text()?,
        description: function.text("description")?,
        input: ToolInput::Schema(parameters(function)?),
        strict: None,
        cache: None,
    })
}

/// What a function takes, in one of the two languages that Google has for it.
fn parameters<'a>(function: &Object<'a, '_>) -> Result<Option<Json<'a>>, Malformed> {
    if let Some(schema) = function.get("parametersJsonSchema") {
        return schema.object_json().map(Some);
    }
    let schema = function.get("parameters").map(|schema| schema.object_json()).transpose()?;
    Ok(schema.map(schema::plain))
}

/// The choice. A mode that Google adds is as good as none.
pub(super) fn choice<'a>(
    body: &Object<'a, '_>,
    notes: &mut Notes<'a>,
) -> Result<Option<ToolChoice<'a>>, Malformed> {
    let Some(config) = body.get("toolConfig") else { return Ok(None) };
    let config = object(&config)?;
    config.rest(&["functionCallingConfig"], notes);
    let Some(calling) = config.get("functionCallingConfig") else { return Ok(None) };
    let calling = object(&calling)?;
    calling.rest(&["mode", "allowedFunctionNames"], notes);
    let mut names = Vec::new();
    if let Some(allowed) = calling.get("allowedFunctionNames") {
        allowed.items(|_, name| {
            names.push(name.text()?);
            Ok(())
        })?;
    }
    let mode = calling.get("mode").map(|mode| word(&mode)).transpose()?;
    Ok(match (mode.as_deref(), names.len()) {
        (Some("NONE"), _) => Some(ToolChoice::None),
        (Some("ANY"), 0) => Some(ToolChoice::Required),
        (Some("ANY"), 1) => names.pop().map(ToolChoice::Named),
        (Some("ANY"), _) => Some(ToolChoice::Among { names, required: true }),
        // Calls that follow their schema, as everyone's do as far as they can.
        (Some("AUTO" | "VALIDATED"), 0) => Some(ToolChoice::Auto),
        (Some("AUTO" | "VALIDATED"), _) => Some(ToolChoice::Among { names, required: false }),
        (None | Some("MODE_UNSPECIFIED"), _) => None,
        (Some(_), _) => {
            calling.unsaid("mode", false, notes);
            None
        }
    })
}
