//! What every connection shares: never changes while the server runs, and holds no state but atomics.

use std::{sync::Arc, time::Duration};

use actors::{gate::Gate, identity::Identity, provider, quota::Quota};
use http::{HeaderValue, Method, Response, StatusCode, request::Parts};

use super::{body::Content, counting::Counting, phase::Phases, request_id::Ids, respond};
use crate::{
    config::{self, secret::Secret},
    route::{Routes, Target},
    telemetry::metrics::Metrics,
    tokens::Counter,
    upstream::openai::OpenAi,
};

/// The shared part of a server.
pub struct Router {
    /// Limits of the edge.
    pub server: config::Server,
    /// Path prefixes of the OpenAI routes; `None` when they are switched off.
    pub prefixes: Option<Vec<String>>,
    /// Models and their targets.
    pub routes: Routes,
    /// In order of [`Target::provider_index`].
    pub providers: Vec<Provider>,
    /// The identity actors.
    pub identity: Identity,
    /// What `WWW-Authenticate` says to callers without a good token.
    pub challenge: HeaderValue,
    /// The quota actors.
    pub quota: Quota,
    /// Where tokens are counted.
    pub counting: Counting,
    /// Calls in flight.
    pub in_flight: Arc<Gate>,
    /// Bytes of bodies.
    pub memory: Arc<Gate>,
    /// Families and handles.
    pub metrics: Arc<Metrics>,
    /// The server's life.
    pub phases: Phases,
    /// Makes request ids.
    pub ids: Ids,
    /// The health route of the main listener.
    pub health: Health,
}

/// A provider as the pipeline sees it.
pub struct Provider {
    /// The actors that hold its pools.
    pub actor: provider::Provider,
    /// How it is addressed.
    pub upstream: Upstream,
    /// Until the response head.
    pub first_byte_timeout: Duration,
    /// Between two pieces of a body.
    pub idle_timeout: Duration,
}

/// The kinds of upstream.
pub enum Upstream {
    /// An OpenAI-compatible server.
    OpenAi {
        /// Its URLs and headers.
        server: Box<OpenAi>,
        /// Its key, to be kept out of every text.
        secret: Option<Secret>,
        /// Whether streams are asked for their usage.
        stream_usage: bool,
    },
    /// The built-in provider.
    Echo {
        /// Counts what it says.
        counter: Arc<Counter>,
        /// Before the head.
        first_byte_delay: Duration,
        /// Before each piece of a stream but the first.
        token_delay: Duration,
    },
}

/// What a healthy server says.
pub(super) const HEALTHY: &str = r#"{"status":"healthy"}"#;

/// The health route; without a path it is not served here.
#[derive(Clone, Debug)]
pub struct Health(pub Option<String>);

impl Router {
    /// The provider of a target.
    pub(super) fn provider(&self, target: &Target) -> &Provider {
        &self.providers[target.provider_index]
    }
}

impl Provider {
    /// The secret that its texts might hold.
    pub(super) fn secret(&self) -> Option<&Secret> {
        match &self.upstream {
            Upstream::OpenAi { secret, .. } => secret.as_ref(),
            Upstream::Echo { .. } => None,
        }
    }
}

impl Upstream {
    /// Who owns its models, as listings say: the kind of provider.
    pub(super) fn owner(&self) -> &'static str {
        match self {
            Self::OpenAi { .. } => "openai",
            Self::Echo { .. } => "echo",
        }
    }
}

impl Health {
    /// The answer, if the request is for the health route.
    pub(super) fn answer(&self, head: &Parts) -> Option<Response<Content>> {
        self.0.as_deref().filter(|path| *path == head.uri.path())?;
        let get = matches!(head.method, Method::GET | Method::HEAD);
        Some(if get {
            respond::json(StatusCode::OK, HEALTHY)
        } else {
            respond::error(&crate::error::Caller::Method("GET, HEAD").into(), None)
        })
    }
}
