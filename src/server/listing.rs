//! The routes that no provider is asked for: the list of models, one model, the caller's limits, and the probe of a base
//! path.

use actors::Principal;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;

use super::{body::Content, respond, router::Router, usage};
use crate::{
    error::Error,
    protocol::{Operation, Protocol},
    route::Target,
};

/// The seconds since 1970 at which every model is said to have been created; a constant of the original.
const CREATED: u64 = 1_719_475_200;
/// The same as Anthropic writes it.
const CREATED_AT: &str = "2024-06-27T08:00:00Z";

/// A count that is not the provider's own.
const ESTIMATE: HeaderName = HeaderName::from_static("x-nexus-estimate");

#[derive(Serialize)]
struct OpenAiList<'a> {
    object: &'static str,
    data: Vec<OpenAiModel<'a>>,
}

#[derive(Serialize)]
struct OpenAiModel<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    owned_by: &'a str,
}

#[derive(Serialize)]
struct AnthropicList<'a> {
    data: Vec<AnthropicModel<'a>>,
    has_more: bool,
    first_id: Option<&'a str>,
    last_id: Option<&'a str>,
}

#[derive(Serialize)]
struct AnthropicModel<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    display_name: &'a str,
    created_at: &'static str,
}

#[derive(Serialize)]
struct GoogleList<'a> {
    models: Vec<GoogleModel<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GoogleModel<'a> {
    name: String,
    display_name: &'a str,
    supported_generation_methods: [&'static str; 3],
}

/// Answers an operation that goes to no provider, in the words of the protocol.
pub(super) async fn answer(
    router: &Router,
    protocol: Protocol,
    operation: &Operation,
    caller: &Principal,
) -> Result<Response<Content>, Error> {
    Ok(match (operation, protocol) {
        (Operation::ListModels, Protocol::OpenAi) => {
            let data = router.routes.open_to(caller).map(|target| openai(router, target)).collect();
            json(&OpenAiList { object: "list", data })
        }
        (Operation::ListModels, Protocol::Anthropic) => {
            let data: Vec<_> = router.routes.open_to(caller).map(|target| claude(target)).collect();
            let (first_id, last_id) = (data.first().map(|model| model.id), data.last().map(|model| model.id));
            json(&AnthropicList { data, has_more: false, first_id, last_id })
        }
        (Operation::ShowModel(id), Protocol::OpenAi) => {
            json(&openai(router, router.routes.find(id, caller)?))
        }
        (Operation::ShowModel(id), Protocol::Anthropic) => json(&claude(router.routes.find(id, caller)?)),
        (Operation::ListModels, Protocol::Google) => {
            json(&GoogleList { models: router.routes.open_to(caller).map(|target| google(target)).collect() })
        }
        (Operation::ShowModel(id), Protocol::Google) => json(&google(router.routes.find(id, caller)?)),
        (Operation::Usage, _) => json(&usage::of(router, caller).await?),
        (Operation::Probe | Operation::Call(..), _) => Response::new(Content::one(bytes::Bytes::new())),
    })
}

/// The estimate of a request's tokens, marked as one.
pub(super) fn count(protocol: Protocol, estimate: u64) -> Response<Content> {
    let mut response = respond::json(StatusCode::OK, protocol.errors().count(estimate));
    response.headers_mut().insert(ESTIMATE, HeaderValue::from_static("true"));
    response
}

fn openai<'a>(router: &Router, target: &'a Target) -> OpenAiModel<'a> {
    let owned_by = router.provider(target).upstream.owner();
    OpenAiModel { id: &target.id, object: "model", created: CREATED, owned_by }
}

fn google(target: &Target) -> GoogleModel<'_> {
    GoogleModel {
        name: format!("models/{}", target.id),
        display_name: &target.id,
        supported_generation_methods: ["generateContent", "streamGenerateContent", "countTokens"],
    }
}

fn claude(target: &Target) -> AnthropicModel<'_> {
    AnthropicModel { kind: "model", id: &target.id, display_name: &target.id, created_at: CREATED_AT }
}

fn json(value: &impl Serialize) -> Response<Content> {
    // Structs of strings and numbers always serialise.
    respond::json(StatusCode::OK, serde_json::to_vec(value).unwrap_or_default())
}
