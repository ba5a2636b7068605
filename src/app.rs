//! The whole process: from a valid configuration to an exit code. The only place that constructs actors and listeners.

mod providers;

use std::{io, net::SocketAddr, num::NonZeroUsize, process::ExitCode, sync::Arc, time::Duration};

use actors::{
    gate::Gate,
    identity::{Identity, Room},
    observe::{Registry, Reporter},
    quota::{Quota, Store},
    supervisor::Supervisor,
};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    time::{interval, timeout},
};

use crate::{
    cli::{CUT_OFF, Serve},
    config::{self, Config},
    protocol::Prefixes,
    route::Routes,
    server::{
        self, Admin, Counting, Ids, Tls,
        edge::{ClientIp, Edge, Limited, RequestLimits, challenge},
        phase::{Phase, Phases},
        router::Router,
    },
    telemetry::{self, LogOptions, Style, metrics::Metrics},
    tokens::Counter,
};

/// For actors to finish what waits in their mailboxes; microseconds of work each.
const ACTORS_FINISH: Duration = Duration::from_secs(5);
/// The most quota actors that share the addresses of callers.
const ADDRESS_SHARDS: usize = 4;
/// Of the calls in flight, one in so many may wait for keys that verify its token, up to [`MOST_WAITING`].
const WAITING_SHARE: usize = 8;
/// Whoever has a good token waits for one fetch only: more than this is no crowd but an attack.
const MOST_WAITING: usize = 512;
/// For connections to end after their calls were cut.
const CONNECTIONS_END: Duration = Duration::from_secs(2);

/// A server that listens, and everything behind it: built, then run to its end.
pub struct App {
    config: Arc<Config>,
    router: Arc<Router>,
    listeners: Listeners,
    tls: Option<Tls>,
    supervisors: Supervisors,
    phase: watch::Sender<Phase>,
    registry: Registry,
}

struct Listeners {
    main: TcpListener,
    admin: Option<TcpListener>,
    health: Option<TcpListener>,
}

struct Supervisors {
    providers: Supervisor,
    quota: Supervisor,
    identity: Supervisor,
    /// What quota actors keep elsewhere.
    store: Option<Store>,
}

/// Why the server does not start; for the operator.
#[derive(Debug)]
pub struct StartError(String);

/// Runs the server until it is told to stop. Exit codes: 0 clean, 1 not started, 3 calls cut off.
pub fn serve(Serve { config, file, log, warnings }: Serve) -> ExitCode {
    let _log = telemetry::start(log);
    tracing::info!("Nexus {}", env!("CARGO_PKG_VERSION"));
    tracing::info!(file = %file.display(), "configuration read");
    if log.style == Some(Style::Json) {
        // Otherwise they are on the screen already, with the lines they are about.
        for warning in &warnings.diagnostics {
            let (line, column) = warnings.position(warning.at.start);
            tracing::warn!(line, column, code = warning.code.name(), "{}", warning.message);
        }
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return not_started(&StartError(format!("no runtime: {error}")), log),
    };
    let code = runtime.block_on(async {
        let started = async {
            let signals = Signals::listen().map_err(|error| StartError(format!("signals: {error}")))?;
            Ok((App::build(config).await?, signals))
        };
        match started.await {
            Ok((app, mut signals)) => match app.run(async || signals.next().await).await {
                0 => ExitCode::SUCCESS,
                _ => ExitCode::from(CUT_OFF),
            },
            Err(error) => not_started(&error, log),
        }
    });
    // Whatever still runs by then was cut off already.
    runtime.shutdown_background();
    code
}

fn not_started(error: &StartError, log: LogOptions) -> ExitCode {
    tracing::error!("Server failed to start: {}", error.0);
    // Logs may go elsewhere, or nowhere.
    if log.style != Some(Style::Json) {
        eprintln!("Error: server failed to start: {}", error.0);
    }
    ExitCode::FAILURE
}

// === impl App ===

impl App {
    /// Binds the listeners and starts the actors.
    ///
    /// # Errors
    /// When an address cannot be had, a certificate cannot be used, or a provider cannot be addressed.
    pub async fn build(config: Config) -> Result<Self, StartError> {
        let mut secret = [0; 32];
        aws_lc_rs::rand::fill(&mut secret).map_err(|_| StartError("no random numbers".to_owned()))?;
        let counting = config.counting.clone();
        // Loading the encoding takes longer than all the rest, and needs nothing of it.
        let counter = tokio::task::spawn_blocking(move || Counter::new(&counting, secret));
        let tls = config.server.tls.clone().map(Tls::load).transpose();
        let tls =
            tls.map_err(|error| StartError(format!("Failed to load TLS certificate and key: {error}")))?;
        let listeners = Listeners::bind(&config.server)?;
        let (mut supervisors, routes) = (Supervisors::start().await, Routes::new(&config));
        let metrics = Metrics::new(routes.all()).map_err(|error| StartError(format!("metrics: {error}")))?;
        let challenge = challenge(config.server.protected_resource.as_ref());
        let challenge = challenge.map_err(|error| StartError(format!("protected_resource: {error}")))?;
        let counter = Arc::new(counter.await.map_err(|error| StartError(format!("token counter: {error}")))?);
        let identity = supervisors.identity(&config).await?;
        supervisors.store(&config).await?;
        let quota = supervisors.quota(&config).await;
        let limits = supervisors.request_limits(&config).await;
        let mut providers = Vec::with_capacity(config.providers.len());
        for provider in &config.providers {
            providers.push(supervisors.provider(provider, &config.actors, &counter).await?);
        }
        let (phase, phases) = Phases::new();
        let router = Arc::new(Router {
            server: config.server.clone(),
            prefixes: Prefixes {
                openai: config.protocols.openai.clone(),
                anthropic: config.protocols.anthropic.clone(),
                google: config.protocols.google.clone(),
            },
            routes,
            providers,
            identity,
            challenge,
            quota,
            counting: Counting::new(counter),
            in_flight: Gate::new(config.server.max_in_flight),
            memory: Gate::new(config.server.memory_budget),
            metrics: Arc::new(metrics),
            phases,
            ids: Ids::new(),
            edge: Edge::new(&config.server, limits),
        });
        let registry = supervisors.registry();
        Ok(Self { config: Arc::new(config), router, listeners, tls, supervisors, phase, registry })
    }

    /// Where clients connect.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listeners.main.local_addr()
    }

    /// Serves until `signal` returns: then drains, or ends at once when it returns a second time. Says how many calls
    /// were cut off.
    pub async fn run(self, mut signal: impl AsyncFnMut()) -> usize {
        let Self { config, router, listeners, tls, supervisors, phase, registry } = self;
        announce(&config, &listeners);
        if let Some(listener) = listeners.admin {
            tokio::spawn(Admin::new(Arc::clone(&router), registry.clone()).serve(listener));
        }
        if let Some(listener) = listeners.health {
            tokio::spawn(server::serve_health(
                listener,
                tls.clone(),
                router.phases.clone(),
                config.server.health.path.clone(),
            ));
        }
        if let Some(every) = config.actors.metrics_interval {
            tokio::spawn(report(registry, every));
        }
        if let Some(tls) = tls.clone() {
            tokio::spawn(tls.follow(router.phases.clone()));
        }
        let mut serving = tokio::spawn(server::serve(listeners.main, tls, Arc::clone(&router)));
        tokio::select! {
            () = signal() => {}
            // It ends by itself only by a bug. Without a listener there is nothing left to do here.
            ended = &mut serving => {
                tracing::error!(?ended, "the listener has failed");
                return router.in_flight.taken().max(1);
            }
        }
        let cut = tokio::select! {
            cut = drain(&config.server, &phase, serving, &router) => cut,
            () = signal() => {
                tracing::warn!("second signal: ending at once");
                router.in_flight.taken()
            }
        };
        if cut == 0 {
            supervisors.drain().await;
        }
        phase.send_replace(Phase::Ended);
        tracing::info!(cut, "stopped");
        cut
    }
}

/// From the first signal to the last connection; says how many calls were cut off.
async fn drain(
    server: &config::Server,
    phase: &watch::Sender<Phase>,
    mut serving: tokio::task::JoinHandle<()>,
    router: &Router,
) -> usize {
    tracing::info!(in_flight = router.in_flight.taken(), "signal received: draining");
    phase.send_replace(Phase::Leaving);
    tokio::time::sleep(server.drain_delay).await;
    phase.send_replace(Phase::Draining);
    if timeout(server.shutdown_timeout, &mut serving).await.is_ok() {
        return 0;
    }
    let cut = router.in_flight.taken();
    tracing::warn!(calls = cut, "shutdown timeout: cutting off what is left");
    phase.send_replace(Phase::Cutting);
    if timeout(CONNECTIONS_END, serving).await.is_err() {
        tracing::warn!("connections are still open at the end");
    }
    cut
}

/// The end of a process' life as the system tells it.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// One log line per actor and interval.
async fn report(registry: Registry, every: Duration) {
    let mut reporter = Reporter::new(registry);
    let mut interval = interval(every);
    interval.tick().await;
    loop {
        interval.tick().await;
        reporter.report();
    }
}

fn announce(config: &Config, listeners: &Listeners) {
    let address = listeners.main.local_addr().unwrap_or(config.server.listen_address);
    let scheme = if config.server.tls.is_some() { "https" } else { "http" };
    let protocols = &config.protocols;
    for (name, paths) in
        [("OpenAI", &protocols.openai), ("Anthropic", &protocols.anthropic), ("Google", &protocols.google)]
    {
        for path in paths.iter().flatten() {
            tracing::info!("{name} LLM endpoint: {scheme}://{address}{path}");
        }
    }
    if let Some(admin) = listeners.admin.as_ref().and_then(|admin| admin.local_addr().ok()) {
        tracing::info!("admin endpoint: http://{admin}");
    }
    if config.identification.is_none() {
        tracing::warn!("Client identification is disabled");
    }
}

// === impl Listeners ===

impl Listeners {
    fn bind(server: &config::Server) -> Result<Self, StartError> {
        let bind = |address: SocketAddr| {
            server::bind(address).map_err(|error| StartError(format!("cannot listen on {address}: {error}")))
        };
        let health = server.health.listen.filter(|_| server.health.enabled);
        Ok(Self {
            main: bind(server.listen_address)?,
            admin: server.admin.map(bind).transpose()?,
            health: health.map(bind).transpose()?,
        })
    }
}

// === impl Supervisors ===

impl Supervisors {
    async fn start() -> Self {
        Self {
            providers: Supervisor::start("providers").await,
            quota: Supervisor::start("quota").await,
            identity: Supervisor::start("identity").await,
            store: None,
        }
    }

    async fn identity(&mut self, config: &Config) -> Result<Identity, StartError> {
        let rules = config.identification.clone().map(Arc::new);
        let room = Room {
            workers: at_least_one(config.actors.identity_workers),
            mailbox_limit: config.actors.mailbox_limit,
            waiting: (config.server.max_in_flight / WAITING_SHARE).clamp(1, MOST_WAITING),
        };
        let identity = Identity::spawn(&mut self.identity, room, rules).await;
        identity.map_err(|error| StartError(error.to_string()))
    }

    /// Connects to the server that keeps windows, if one does.
    async fn store(&mut self, config: &Config) -> Result<(), StartError> {
        if let config::Storage::Redis(redis) = &config.server.storage {
            let store = Store::start(redis, config.actors.quota_shards).await;
            self.store = Some(store.map_err(StartError)?);
        }
        Ok(())
    }

    async fn quota(&mut self, config: &Config) -> Quota {
        let count = at_least_one(config.actors.quota_shards);
        self.quota_actors("quota", count, config, config.server.max_clients).await
    }

    /// Actors apart from those of clients, so that a flood of addresses crowds out nobody; as many addresses as clients
    /// are remembered.
    async fn request_limits(&mut self, config: &Config) -> RequestLimits {
        let config::Server { request_limits: written, max_clients, .. } = &config.server;
        let mut limits = RequestLimits::default();
        if let Some(limit) = written.global {
            let quota = self.quota_actors("quota-edge-global", NonZeroUsize::MIN, config, 1).await;
            limits.global = Some(Limited::global(limit, quota));
        }
        if let Some(limit) = written.per_ip {
            let count = at_least_one(config.actors.quota_shards.min(ADDRESS_SHARDS));
            let quota = self.quota_actors("quota-edge", count, config, *max_clients).await;
            limits.per_ip = Some(Limited::per_ip(limit, quota));
        }
        limits.client_ip = ClientIp::new(config.server.client_ip.clone());
        limits
    }

    async fn quota_actors(
        &mut self,
        name: &str,
        count: NonZeroUsize,
        config: &Config,
        max_clients: usize,
    ) -> Quota {
        let mailbox_limit = config.actors.mailbox_limit;
        match self.store.as_ref().map(|store| store.apart(name)) {
            Some(store) => {
                Quota::start_stored(&mut self.quota, name, count, mailbox_limit, max_clients, store).await
            }
            None => Quota::start(&mut self.quota, name, count, mailbox_limit, max_clients).await,
        }
    }

    fn registry(&self) -> Registry {
        let all = [&self.identity, &self.quota, &self.providers];
        all.iter().flat_map(|supervisor| supervisor.gauges()).cloned().collect()
    }

    /// Leaf first: who is asked last ends last.
    async fn drain(self) {
        for supervisor in [self.providers, self.quota, self.identity] {
            supervisor.drain(ACTORS_FINISH).await;
        }
        if let Some(store) = self.store {
            store.flush(ACTORS_FINISH).await;
        }
    }
}

/// The configuration has refused zero.
fn at_least_one(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN)
}
