//! What stands before the seven steps, outermost first: CORS, the routes that are open to everybody, CSRF. And what the
//! first step asks of the edge: the limits on requests. Everything is built once; nothing here knows a protocol.

mod client_ip;
mod cors;
mod csrf;
mod request_limits;

use std::net::IpAddr;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode, header::InvalidHeaderValue, request::Parts,
};
use serde::Serialize;

pub use self::{
    client_ip::ClientIp,
    request_limits::{Admitted, Limited, RequestLimits},
};
use self::{cors::Cors, csrf::Csrf};
use super::{body::Content, respond};
use crate::{
    config::{
        self,
        edge::{METADATA, ProtectedResource},
        secret::Secrets,
    },
    error::{Caller, Error},
    protocol::dialect::Client,
};

/// What a healthy server says.
pub(super) const HEALTHY: &str = r#"{"status":"healthy"}"#;

/// The edge as configured. What is not configured is absent, and costs nothing.
pub struct Edge {
    cors: Option<Cors>,
    csrf: Option<Csrf>,
    /// Unless it is off, or has a listener of its own.
    health: Option<Page>,
    metadata: Option<Page>,
    limits: RequestLimits,
}

/// A JSON document that never changes.
struct Page {
    paths: Vec<String>,
    body: Bytes,
}

impl Edge {
    /// By these tables; `limits` are the ones on requests, with their actors.
    pub fn new(server: &config::Server, limits: RequestLimits) -> Self {
        let health = Some(&server.health).filter(|health| health.enabled && health.listen.is_none());
        Self {
            cors: server.cors.as_ref().map(Cors::new),
            csrf: server.csrf.clone().map(Csrf::new),
            health: health.map(|health| Page { paths: vec![health.path.clone()], body: HEALTHY.into() }),
            metadata: server.protected_resource.as_ref().map(Page::metadata),
            limits,
        }
    }

    /// The answer to a request that needs none of the seven steps. Health checks come before CSRF: they always answer.
    pub(super) fn answer(&self, head: &Parts) -> Option<Result<Response<Content>, Error>> {
        let preflight = self.cors.as_ref().and_then(|cors| cors.preflight(head));
        let open = preflight.or_else(|| self.health.as_ref()?.answer(head));
        open.map(Ok)
            .or_else(|| self.csrf.as_ref()?.refusal(head).map(Err))
            .or_else(|| self.metadata.as_ref()?.answer(head).map(Ok))
    }

    /// Lets browsers read an answer, whatever it says.
    pub(super) fn share(&self, head: &Parts, answer: &mut HeaderMap) {
        if let Some(cors) = &self.cors {
            cors.share(head, answer);
        }
    }

    /// Takes a request from the limits on requests.
    ///
    /// # Errors
    /// When one of them does not admit it, or nobody answers for it.
    pub(super) async fn admit(&self, headers: &HeaderMap, peer: IpAddr) -> Result<Admitted, Error> {
        self.limits.admit(headers, peer).await
    }
}

impl Page {
    /// The metadata of this server as a protected resource (RFC 9728, section 2).
    fn metadata(of: &ProtectedResource) -> Self {
        #[derive(Serialize)]
        struct Metadata<'a> {
            resource: &'a str,
            authorization_servers: &'a [String],
        }
        let metadata = Metadata { resource: &of.resource, authorization_servers: &of.authorization_servers };
        // A struct of strings always serialises.
        let body = serde_json::to_vec(&metadata).unwrap_or_default();
        Self { paths: places(&of.resource), body: body.into() }
    }

    /// The document, if the request is for it.
    fn answer(&self, head: &Parts) -> Option<Response<Content>> {
        self.paths.iter().any(|path| path == head.uri.path()).then(|| match head.method {
            Method::GET | Method::HEAD => respond::json(StatusCode::OK, self.body.clone()),
            _ => respond::error(&Caller::Method("GET, HEAD").into(), Client::Chat, &Secrets::default()),
        })
    }
}

/// What `WWW-Authenticate` says (RFC 6750, section 3; `resource_metadata`: RFC 9728, section 5.1).
///
/// # Errors
/// When the URL of the resource cannot be in a header.
pub fn challenge(resource: Option<&ProtectedResource>) -> Result<HeaderValue, InvalidHeaderValue> {
    let Some(ProtectedResource { resource, .. }) = resource else {
        return Ok(HeaderValue::from_static("Bearer"));
    };
    let resource = resource.strip_suffix('/').unwrap_or(resource);
    HeaderValue::try_from(format!("Bearer resource_metadata=\"{resource}{METADATA}\""))
}

/// The paths of a resource's metadata. Where the resource has a path, clients look behind it (that is what the challenge
/// says) and before it (RFC 9728, section 3.1); a proxy that has taken it off leaves neither.
fn places(resource: &str) -> Vec<String> {
    let path = resource.splitn(4, '/').nth(3).unwrap_or_default();
    let mut places = vec![METADATA.to_owned()];
    if !path.is_empty() {
        places.push(format!("{METADATA}/{path}"));
        places.push(format!("/{}{METADATA}", path.strip_suffix('/').unwrap_or(path)));
    }
    places
}

#[cfg(test)]
mod tests;
