//! Writes a request for a provider that speaks Google's generateContent.
//!
//! What the format cannot say is named as lost; content that it cannot carry is refused. The model and whether the answer
//! is streamed stand in the URL.

use serde::Serialize;

use self::{config::Config, tools::ToolConfig};
use crate::{
    chat::{
        loss::{Losses, Parameter, Unsupported},
        request::{Hints, Request},
    },
    protocol::{
        gemini::{egress::Api, wire::Content},
        translate::Target,
    },
};

mod config;
mod contents;
mod model;
mod tools;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'r> {
    contents: Vec<Content<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<Content<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<[tools::Tools<'r>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<ToolConfig<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation_config: Option<Config<'r>>,
}

/// A body of `countTokens` as the Gemini API takes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Count<'r> {
    generate_content_request: Named<'r>,
}

#[derive(Serialize)]
struct Named<'r> {
    model: String,
    #[serde(flatten)]
    body: Body<'r>,
}

/// The body of a request.
///
/// # Errors
/// [`Unsupported`] names content that the format cannot carry.
pub fn write(
    request: &Request<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Vec<u8>, Unsupported> {
    // Strings, numbers and JSON that was read before always serialise.
    Ok(serde_json::to_vec(&body(request, target, losses)?).unwrap_or_default())
}

/// The body of a request to `countTokens`, which takes nothing that does not change the count. Nothing is lost by that.
///
/// # Errors
/// See [`write`].
pub fn write_count(request: &Request<'_>, target: &Target<'_>, api: Api) -> Result<Vec<u8>, Unsupported> {
    let body =
        Body { tool_config: None, generation_config: None, ..body(request, target, &mut Losses::default())? };
    let written = match api {
        Api::Vertex => serde_json::to_vec(&body),
        Api::Gemini => {
            let model = Api::model(target.model);
            serde_json::to_vec(&Count { generate_content_request: Named { model, body } })
        }
    };
    Ok(written.unwrap_or_default())
}

fn body<'r>(
    request: &'r Request<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Body<'r>, Unsupported> {
    let model = model::Model::named(target.model);
    let (system_instruction, contents) = contents::write(request, model, losses)?;
    let (tools, tool_config) = tools::write(request, losses);
    lose_hints(&request.hints, losses);
    Ok(Body {
        contents,
        system_instruction,
        tools: tools.map(|tools| [tools]),
        tool_config,
        generation_config: config::write(request, model, losses),
    })
}

fn lose_hints(hints: &Hints<'_>, losses: &mut Losses) {
    losses.lose_if(hints.user.is_some(), Parameter::User);
    losses.lose_if(hints.metadata.is_some(), Parameter::Metadata);
    losses.lose_if(hints.service_tier.is_some(), Parameter::ServiceTier);
    losses.lose_if(hints.prompt_cache_key.is_some(), Parameter::PromptCacheKey);
    losses.lose_if(hints.store.is_some(), Parameter::Store);
}

#[cfg(test)]
mod tests;
