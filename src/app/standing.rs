//! The actors that stand behind the server, each with what it was started for; and the way from one configuration to the
//! next. New calls get the new router as a whole, or nothing changes: whatever can fail is done first.

use std::{collections::BTreeMap, num::NonZeroUsize, sync::Arc};

use actors::{
    gate::Gate,
    identity::{Identity, Room},
    observe::Registry,
    quota::Quota,
    supervisor::Supervisor,
};
use http::HeaderValue;
use tokio::sync::watch;

use super::{StartError, crew::Crew, providers::Running, storage::Kept};
use crate::{
    config::{self, Config},
    protocol::Prefixes,
    route::Routes,
    server::{
        Counting, Ids,
        edge::{ClientIp, Edge, Limited, RequestLimits, challenge},
        phase::{Phase, Phases},
        router::{Live, Provider, Router},
    },
    telemetry::metrics::Metrics,
    tokens::Counter,
};

/// The name of the actors of callers' limits.
const QUOTA: &str = "quota";
/// The most quota actors that share the addresses of callers.
const ADDRESS_SHARDS: usize = 4;
/// Of the calls in flight, one in so many may wait for keys that verify its token, up to [`MOST_WAITING`].
const WAITING_SHARE: usize = 8;
/// Whoever has a good token waits for one fetch only: more than this is no crowd but an attack.
const MOST_WAITING: usize = 512;

/// What stays from the start to the end.
pub(super) struct Fixed {
    connections: Arc<Gate>,
    in_flight: Arc<Gate>,
    memory: Arc<Gate>,
    metrics: Metrics,
    phases: Phases,
    ids: Arc<Ids>,
    /// Under which counted messages are remembered.
    secret: [u8; 32],
}

/// What stands now.
pub(super) struct Standing {
    config: Arc<Config>,
    fixed: Fixed,
    counting: Counting,
    counter: Arc<Counter>,
    identity: Crew<Identity>,
    kept: Kept,
    quota: Crew<Quota>,
    edge: Crew<Requests>,
    providers: BTreeMap<Arc<str>, Crew<Running>>,
}

/// Actors apart from those of clients, so that a flood of addresses crowds out nobody; as many addresses as clients are
/// remembered. Once started, they stay.
#[derive(Default)]
struct Requests {
    global: Option<Quota>,
    per_ip: Option<Quota>,
}

// === impl Fixed ===

impl Fixed {
    pub(super) fn new(server: &config::Server) -> Result<(Self, watch::Sender<Phase>), StartError> {
        let mut secret = [0; 32];
        aws_lc_rs::rand::fill(&mut secret).map_err(|_| StartError("no random numbers".to_owned()))?;
        let (phase, phases) = Phases::new();
        let fixed = Self {
            connections: Gate::new(server.max_connections),
            in_flight: Gate::new(server.max_in_flight),
            memory: Gate::new(server.memory_budget),
            metrics: Metrics::new().map_err(|error| StartError(format!("metrics: {error}")))?,
            phases,
            ids: Arc::new(Ids::new()),
            secret,
        };
        Ok((fixed, phase))
    }

    /// Takes as long as all the rest: the vocabulary is loaded.
    async fn counter(&self, config: &Config) -> Result<Arc<Counter>, StartError> {
        let (counting, secret) = (config.counting.clone(), self.secret);
        let counter = tokio::task::spawn_blocking(move || Counter::new(&counting, secret)).await;
        Ok(Arc::new(counter.map_err(|error| StartError(format!("token counter: {error}")))?))
    }

    fn resize(&self, server: &config::Server) {
        self.connections.set_limit(server.max_connections);
        self.in_flight.set_limit(server.max_in_flight);
        self.memory.set_limit(server.memory_budget);
    }
}

// === impl Standing ===

impl Standing {
    /// Starts all actors that `config` needs, and gives what leads to them.
    pub(super) async fn start(fixed: Fixed, config: Config) -> Result<(Self, Router), StartError> {
        let counter = fixed.counter(&config).await?;
        let identity = identity(&config).await?;
        let kept = Kept::open(&config).await?;
        let mut supervisor = Supervisor::start("quota").await;
        let (count, room) = (at_least_one(config.actors.quota_shards), config.actors.mailbox_limit);
        let most = config.server.max_clients;
        let quota = kept.start(&mut supervisor, (QUOTA, count), room, most).await?;
        let quota = Crew::new(supervisor, quota);
        let mut edge = Crew::new(Supervisor::start("quota-edge").await, Requests::default());
        edge.serve(&config, &kept).await?;
        let mut providers = BTreeMap::new();
        for provider in &config.providers {
            let running = Running::start(provider, &config.actors).await?;
            providers.insert(Arc::clone(&provider.name), running);
        }
        let counting = Counting::new(Arc::clone(&counter));
        let config = Arc::new(config);
        let standing = Self { config, fixed, counting, counter, identity, kept, quota, edge, providers };
        let ways = Ways::new(&standing.config, &standing.counter, &[&standing.providers])?;
        let router = standing.router(ways, None);
        Ok((standing, router))
    }

    /// What holds now.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// Goes over to another configuration, or says why not and leaves everything as it is. Calls under way keep what they
    /// began with, and its actors run until they have ended.
    pub(super) async fn adopt(&mut self, mut config: Config, live: &Live) {
        let changes = config.follow(&self.config);
        let has_changed = config != *self.config;
        if has_changed && let Err(StartError(error)) = self.go_over(config, live).await {
            return tracing::error!("configuration not reloaded: {error}");
        }
        let (added, changed, removed) =
            (changes.added.join(" "), changes.changed.join(" "), changes.removed.join(" "));
        let needs_restart = changes.needs_restart.join(" ");
        if !has_changed && needs_restart.is_empty() {
            tracing::info!("configuration reloaded: nothing has changed");
        } else if needs_restart.is_empty() {
            tracing::info!(added, changed, removed, "configuration reloaded");
        } else {
            tracing::warn!(added, changed, removed, needs_restart, "configuration reloaded");
        }
    }

    /// What can fail comes first, and touches nothing; crews that were started for it end with it.
    async fn go_over(&mut self, config: Config, live: &Live) -> Result<(), StartError> {
        let counter = match config.counting == self.config.counting {
            true => Arc::clone(&self.counter),
            false => self.fixed.counter(&config).await?,
        };
        let same_callers = config.identification == self.config.identification
            && config.actors.identity_workers == self.config.actors.identity_workers;
        let identity = if same_callers { None } else { Some(identity(&config).await?) };
        let mut started = BTreeMap::new();
        for provider in config.providers.iter().filter(|provider| !self.keeps(provider, &config)) {
            let running = Running::start(provider, &config.actors).await?;
            started.insert(Arc::clone(&provider.name), running);
        }
        let ways = Ways::new(&config, &counter, &[&started, &self.providers])?;
        self.edge.serve(&config, &self.kept).await?;
        self.reshard(&config).await;
        if !Arc::ptr_eq(&counter, &self.counter) {
            self.counting = Counting::new(Arc::clone(&counter));
            self.counter = counter;
        }
        if let Some(identity) = identity {
            self.identity = identity;
        }
        for provider in &config.providers {
            let running = started.remove(&provider.name).or_else(|| self.providers.remove(&provider.name));
            let running = running.inspect(|running| running.lead.gate.set_limit(provider.max_in_flight));
            started.extend(running.map(|running| (Arc::clone(&provider.name), running)));
        }
        self.providers = started;
        self.config = Arc::new(config);
        self.fixed.resize(&self.config.server);
        live.swap(self.router(ways, Some(&live.now().routes)));
        Ok(())
    }

    /// Whether the provider's actors serve on: it is reached as before.
    fn keeps(&self, provider: &config::Provider, config: &Config) -> bool {
        let before = self.config.providers.iter().find(|before| before.name == provider.name);
        before.is_some_and(|before| {
            before.kind == provider.kind
                && before.connect_timeout == provider.connect_timeout
                && self.config.actors.provider_workers == config.actors.provider_workers
        })
    }

    /// Buckets stay; to another number of shards they move, while calls go on.
    async fn reshard(&mut self, config: &Config) {
        let count = at_least_one(config.actors.quota_shards);
        self.quota.lead.tracked().set_most(config.server.max_clients);
        if count.get() == self.quota.lead.shards() {
            return;
        }
        let mut supervisor = Supervisor::start("quota").await;
        let old = self.quota.lead.clone();
        let next = old.reshard(&mut supervisor, QUOTA, count, config.actors.mailbox_limit).await;
        self.kept.follow(QUOTA, &next).await;
        // Those before pass on what reservations still have to say to them.
        let hold = self.quota.hold();
        self.quota = Crew::new(supervisor, next);
        tokio::spawn(async move {
            old.unused().await;
            drop(hold);
        });
    }

    /// What new calls find.
    fn router(&self, Ways { challenge, providers }: Ways, before: Option<&Routes>) -> Router {
        let (config, fixed) = (&self.config, &self.fixed);
        let routes = Routes::after(config, before);
        let crews = self.providers.values().map(Crew::hold);
        let limits = self.edge.lead.limits(&config.server);
        Router {
            config: Arc::clone(config),
            server: config.server.clone(),
            prefixes: Prefixes {
                openai: config.protocols.openai.clone(),
                anthropic: config.protocols.anthropic.clone(),
                google: config.protocols.google.clone(),
            },
            metrics: Arc::new(fixed.metrics.of(routes.all())),
            routes,
            providers,
            identity: self.identity.lead.clone(),
            challenge,
            quota: self.quota.lead.clone(),
            counting: self.counting.clone(),
            connections: Arc::clone(&fixed.connections),
            in_flight: Arc::clone(&fixed.in_flight),
            memory: Arc::clone(&fixed.memory),
            phases: fixed.phases.clone(),
            ids: Arc::clone(&fixed.ids),
            edge: Edge::new(&config.server, limits),
            registry: self.registry(),
            holds: crews.chain([self.identity.hold()]).collect(),
        }
    }

    fn registry(&self) -> Registry {
        let providers = self.providers.values().flat_map(Crew::gauges);
        let others = self.identity.gauges().chain(self.quota.gauges()).chain(self.edge.gauges());
        others.chain(self.kept.gauges()).chain(providers).cloned().collect()
    }

    /// What is kept beside the actors is whole then.
    pub(super) async fn write_last(&self) {
        self.kept.write_last().await;
    }

    /// Leaf first: who is asked last ends last.
    pub(super) async fn drain(self) {
        let providers: Vec<_> =
            self.providers.into_values().map(|provider| tokio::spawn(provider.drain())).collect();
        for provider in providers {
            // A panic is told by its hook.
            let _ = provider.await;
        }
        self.edge.drain().await;
        self.quota.drain().await;
        self.kept.settle_last().await;
        self.identity.drain().await;
    }
}

/// The parts of a router that may fail to be made.
struct Ways {
    challenge: HeaderValue,
    providers: Vec<Provider>,
}

impl Ways {
    fn new(
        config: &Config,
        counter: &Arc<Counter>,
        running: &[&BTreeMap<Arc<str>, Crew<Running>>],
    ) -> Result<Self, StartError> {
        let challenge = challenge(config.server.protected_resource.as_ref());
        let challenge = challenge.map_err(|error| StartError(format!("protected_resource: {error}")))?;
        let mut providers = Vec::with_capacity(config.providers.len());
        for provider in &config.providers {
            let running = running.iter().find_map(|crews| crews.get(&provider.name));
            let running =
                running.ok_or_else(|| StartError(format!("provider '{}' is gone", provider.name)))?;
            providers.push(running.lead.serve(provider, counter)?);
        }
        Ok(Self { challenge, providers })
    }
}

async fn identity(config: &Config) -> Result<Crew<Identity>, StartError> {
    let rules = config.identification.clone().map(Arc::new);
    let room = Room {
        workers: at_least_one(config.actors.identity_workers),
        mailbox_limit: config.actors.mailbox_limit,
        waiting: (config.server.max_in_flight / WAITING_SHARE).clamp(1, MOST_WAITING),
    };
    let mut supervisor = Supervisor::start("identity").await;
    let identity = Identity::spawn(&mut supervisor, room, rules).await;
    Ok(Crew::new(supervisor, identity.map_err(|error| StartError(error.to_string()))?))
}

// === impl Requests ===

impl Crew<Requests> {
    /// Starts what `config` needs and is not there yet.
    async fn serve(&mut self, config: &Config, kept: &Kept) -> Result<(), StartError> {
        let config::Server { request_limits: written, max_clients, .. } = &config.server;
        let room = config.actors.mailbox_limit;
        let Some((lead, supervisor)) = self.enlarge() else { return Ok(()) };
        if written.global.is_some() && lead.global.is_none() {
            let one = ("quota-edge-global", NonZeroUsize::MIN);
            lead.global = Some(kept.start(supervisor, one, room, 1).await?);
        }
        if written.per_ip.is_some() && lead.per_ip.is_none() {
            let count = at_least_one(config.actors.quota_shards.min(ADDRESS_SHARDS));
            lead.per_ip = Some(kept.start(supervisor, ("quota-edge", count), room, *max_clients).await?);
        }
        if let Some(quota) = &lead.per_ip {
            quota.tracked().set_most(*max_clients);
        }
        Ok(())
    }
}

impl Requests {
    fn limits(&self, server: &config::Server) -> RequestLimits {
        let written = &server.request_limits;
        let limited = |limit, quota: &Option<Quota>, with: fn(_, _) -> _| Some(with(limit?, quota.clone()?));
        RequestLimits {
            global: limited(written.global, &self.global, Limited::global),
            per_ip: limited(written.per_ip, &self.per_ip, Limited::per_ip),
            client_ip: ClientIp::new(server.client_ip.clone()),
        }
    }
}

/// The configuration has refused zero.
pub(super) fn at_least_one(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN)
}
