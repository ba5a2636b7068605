//! What every call shares: made once for each configuration, never changed, with no state but atomics. Only [`Live`]
//! changes: it leads new calls to the router of the newest configuration.

use std::{sync::Arc, time::Duration};

use actors::{gate::Gate, identity::Identity, observe::Registry, provider, quota::Quota};
use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderValue};
use tokio::sync::mpsc;

use super::{counting::Counting, credential::Opener, edge::Edge, phase::Phases, request_id::Ids};
use crate::{
    config::{self, secret::Secret},
    error::Caller,
    protocol::{
        Prefixes,
        dialect::{self, Spoken},
        gemini::egress::Api,
    },
    route::{Routes, Target},
    telemetry::metrics::Metrics,
    tokens::Counter,
    upstream::{Operation, Server, key},
};

/// The way to the router that serves new calls. A call keeps the one it began with; clones are one way.
#[derive(Clone)]
pub struct Live(Arc<ArcSwap<Router>>);

/// The shared part of a server.
pub struct Router {
    /// What all the rest was made of.
    pub config: Arc<config::Config>,
    /// Limits of the edge.
    pub server: config::Server,
    /// Where each protocol is served.
    pub prefixes: Prefixes,
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
    /// Client connections.
    pub connections: Arc<Gate>,
    /// Calls in flight.
    pub in_flight: Arc<Gate>,
    /// Bytes of bodies.
    pub memory: Arc<Gate>,
    /// Families and handles.
    pub metrics: Arc<Metrics>,
    /// The server's life.
    pub phases: Phases,
    /// Makes request ids.
    pub ids: Arc<Ids>,
    /// What stands before the steps.
    pub edge: Edge,
    /// The numbers of all actors.
    pub registry: Registry,
    /// As long as these are held, the actors above run.
    pub holds: Vec<mpsc::Sender<()>>,
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
    /// A provider that is reached over HTTP.
    Remote {
        /// Its URLs and headers.
        server: Server,
        /// Its own key.
        key: Option<Secret>,
        /// What opens it in place of a key, where that expires or signs.
        credential: Option<Opener>,
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

impl Live {
    /// To this router, for now.
    pub fn new(router: Router) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(router)))
    }

    /// What serves a call that begins now.
    pub fn now(&self) -> Arc<Router> {
        self.0.load_full()
    }

    /// From now on new calls are served by this one.
    pub fn swap(&self, router: Router) {
        self.0.store(Arc::new(router));
    }
}

impl Router {
    /// What Prometheus reads.
    pub(super) fn metrics_text(&self) -> String {
        self.metrics.text(&self.registry, &self.quota.counts().totals(), self.routes.all())
    }

    /// The provider of a target.
    pub(super) fn provider(&self, target: &Target) -> &Provider {
        &self.providers[target.provider_index]
    }
}

impl Provider {
    /// The key that a caller brings along for it; `None` where its own serves, or it needs none.
    pub(super) fn forwarded_key(&self, caller: &HeaderMap) -> Result<Option<Secret>, Caller> {
        match &self.upstream {
            Upstream::Remote { forward_token: true, key, .. } => key::forwarded(caller, key.as_ref()),
            Upstream::Remote { .. } | Upstream::Echo { .. } => Ok(None),
        }
    }
}

impl Upstream {
    /// Whether it takes this as it comes, in the client's own format.
    pub(super) fn speaks(&self, operation: Operation) -> bool {
        match self {
            Self::Remote { server, .. } => server.speaks(operation),
            Self::Echo { .. } => matches!(operation, Operation::Chat | Operation::Embeddings),
        }
    }

    /// The format in which it is asked for clients of another one.
    pub(super) fn spoken(&self) -> Spoken {
        match self {
            Self::Remote { server: Server::OpenAi(_) | Server::Azure(_), .. } | Self::Echo { .. } => {
                Spoken::Chat
            }
            Self::Remote { server: Server::Anthropic(_), .. } => Spoken::Messages,
            Self::Remote { server: Server::Google(_), .. } => Spoken::Gemini,
            Self::Remote { server: Server::Bedrock(_), .. } => Spoken::Converse,
        }
    }

    /// How it is asked for the tokens of a request of another format; `None` where it does not count.
    pub(super) fn counting(&self) -> Option<dialect::Counting> {
        match self {
            Self::Remote { server: Server::Anthropic(_), .. } => Some(dialect::Counting::Messages),
            // Only Vertex AI has `predict`.
            Self::Remote { server: server @ Server::Google(_), .. } => {
                let is_vertex = server.speaks(Operation::Predict);
                Some(dialect::Counting::Gemini(if is_vertex { Api::Vertex } else { Api::Gemini }))
            }
            Self::Remote { .. } | Self::Echo { .. } => None,
        }
    }

    /// Who owns its models, as listings say: the kind of provider.
    pub(super) fn owner(&self) -> &'static str {
        match self {
            Self::Remote { server, .. } => match server {
                Server::OpenAi(_) => "openai",
                Server::Anthropic(_) => "anthropic",
                Server::Google(_) => "google",
                Server::Azure(_) => "azure",
                Server::Bedrock(_) => "bedrock",
            },
            Self::Echo { .. } => "echo",
        }
    }
}
