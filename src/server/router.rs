//! What every connection shares: never changes while the server runs, and holds no state but atomics.

use std::{sync::Arc, time::Duration};

use actors::{gate::Gate, identity::Identity, provider, quota::Quota};
use http::{HeaderMap, HeaderValue};

use super::{counting::Counting, edge::Edge, phase::Phases, request_id::Ids};
use crate::{
    config::{self, secret::Secret},
    error::Caller,
    route::{Routes, Target},
    telemetry::metrics::Metrics,
    tokens::Counter,
    upstream::{key, openai::OpenAi},
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
    /// What stands before the steps.
    pub edge: Edge,
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
        /// Its own key.
        key: Option<Secret>,
        /// Whether a caller's own key is taken in its place.
        forward_token: bool,
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

impl Router {
    /// The provider of a target.
    pub(super) fn provider(&self, target: &Target) -> &Provider {
        &self.providers[target.provider_index]
    }
}

impl Provider {
    /// The key that a caller brings along for it; `None` where its own serves, or it needs none.
    pub(super) fn forwarded_key(&self, caller: &HeaderMap) -> Result<Option<Secret>, Caller> {
        match &self.upstream {
            Upstream::OpenAi { forward_token: true, key, .. } => key::forwarded(caller, key.as_ref()),
            Upstream::OpenAi { .. } | Upstream::Echo { .. } => Ok(None),
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
