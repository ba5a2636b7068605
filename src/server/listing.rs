//! The routes that no provider is asked for: the list of models, one model, and the probe of a base path.

use actors::Principal;
use http::{Response, StatusCode};
use serde::Serialize;

use super::{body::Content, respond, router::Router};
use crate::{error::Error, protocol::Operation, route::Target};

/// The seconds since 1970 at which every model is said to have been created; a constant of the original.
const CREATED: u64 = 1_719_475_200;

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Model<'a>>,
}

#[derive(Serialize)]
struct Model<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    owned_by: &'a str,
}

/// Answers an operation that goes to no provider.
pub(super) fn answer(
    router: &Router,
    operation: &Operation,
    caller: &Principal,
) -> Result<Response<Content>, Error> {
    match operation {
        Operation::ListModels => {
            let data = router.routes.open_to(caller).map(|target| model(router, target)).collect();
            Ok(json(&List { object: "list", data }))
        }
        Operation::ShowModel(id) => Ok(json(&model(router, router.routes.find(id, caller)?))),
        Operation::Probe | Operation::Call(_) => Ok(Response::new(Content::one(bytes::Bytes::new()))),
    }
}

fn model<'a>(router: &Router, target: &'a Target) -> Model<'a> {
    Model {
        id: &target.id,
        object: "model",
        created: CREATED,
        owned_by: router.provider(target).upstream.owner(),
    }
}

fn json(value: &impl Serialize) -> Response<Content> {
    // Structs of strings and numbers always serialise.
    respond::json(StatusCode::OK, serde_json::to_vec(value).unwrap_or_default())
}
