//! The whole process: from a valid configuration to an exit code. The only place that constructs actors and listeners.

mod crew;
mod providers;
mod signals;
mod standing;
mod storage;

use std::{io, net::SocketAddr, process::ExitCode, time::Duration};

use actors::observe::Reporter;
use tokio::{
    net::TcpListener,
    sync::watch,
    time::{interval, timeout},
};

use self::{
    signals::Signals,
    standing::{Fixed, Standing},
};
use crate::{
    cli::{CUT_OFF, Serve},
    config::{self, Config},
    server::{self, Admin, Tls, phase::Phase, router::Live},
    telemetry::{self, LogOptions, Style},
};

/// For connections to end after their calls were cut.
const CONNECTIONS_END: Duration = Duration::from_secs(2);

/// A server that listens, and everything behind it: built, then run to its end.
pub struct App {
    standing: Standing,
    live: Live,
    listeners: Listeners,
    tls: Option<Tls>,
    phase: watch::Sender<Phase>,
}

/// What a running server is told from outside.
pub enum Told {
    /// Drain and end.
    End,
    /// From now on this holds.
    Adopt(Box<Config>),
}

struct Listeners {
    main: TcpListener,
    admin: Option<TcpListener>,
    health: Option<TcpListener>,
}

/// Why the server does not start; for the operator.
#[derive(Debug)]
pub struct StartError(String);

/// Runs the server until it is told to stop. Exit codes: 0 clean, 1 not started, 3 calls cut off.
pub fn serve(Serve { config, file, listen_address, watch, log, warnings }: Serve) -> ExitCode {
    let _log = telemetry::start(log);
    tracing::info!("Nexus {}", env!("CARGO_PKG_VERSION"));
    tracing::info!(file = %file.display(), "configuration read");
    if log.style == Some(Style::Json) {
        // Otherwise they are on the screen already, with the lines they are about.
        signals::tell(&warnings);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return not_started(&StartError(format!("no runtime: {error}")), log),
    };
    let code = runtime.block_on(async {
        let started = async {
            let source = signals::Source { file, listen_address, log };
            let signals =
                Signals::listen(source, watch).map_err(|error| StartError(format!("signals: {error}")))?;
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
        let tls = config.server.tls.clone().map(Tls::load).transpose();
        let tls =
            tls.map_err(|error| StartError(format!("Failed to load TLS certificate and key: {error}")))?;
        let listeners = Listeners::bind(&config.server)?;
        let (fixed, phase) = Fixed::new(&config.server)?;
        let (standing, router) = Standing::start(fixed, config).await?;
        Ok(Self { standing, live: Live::new(router), listeners, tls, phase })
    }

    /// Where clients connect.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listeners.main.local_addr()
    }

    /// Serves until `told` says that it is over: then drains, or ends at once when it says so a second time. Says how many
    /// calls were cut off.
    pub async fn run(self, mut told: impl AsyncFnMut() -> Told) -> usize {
        let Self { mut standing, live, listeners, tls, phase } = self;
        announce(standing.config(), &listeners);
        let mut serving = spawn_all(standing.config(), listeners, tls, &live);
        loop {
            tokio::select! {
                next = told() => match next {
                    Told::End => break,
                    Told::Adopt(config) => standing.adopt(*config, &live).await,
                },
                // It ends by itself only by a bug. Without a listener there is nothing left to do here.
                ended = &mut serving => {
                    tracing::error!(?ended, "the listener has failed");
                    return live.now().in_flight.taken().max(1);
                }
            }
        }
        let again = async { while !matches!(told().await, Told::End) {} };
        let cut = tokio::select! {
            cut = drain(&standing.config().server, &phase, serving, &live) => cut,
            () = again => {
                tracing::warn!("second signal: ending at once");
                live.now().in_flight.taken()
            }
        };
        standing.write_last().await;
        if cut == 0 {
            standing.drain().await;
        }
        phase.send_replace(Phase::Ended);
        tracing::info!(cut, "stopped");
        cut
    }
}

/// Starts whatever listens, looks after files and reports; gives the one that serves clients.
fn spawn_all(
    config: &Config,
    listeners: Listeners,
    tls: Option<Tls>,
    live: &Live,
) -> tokio::task::JoinHandle<()> {
    let phases = live.now().phases.clone();
    if let Some(listener) = listeners.admin {
        tokio::spawn(Admin::new(live.clone()).serve(listener));
    }
    if let Some(listener) = listeners.health {
        let path = config.server.health.path.clone();
        tokio::spawn(server::serve_health(listener, tls.clone(), phases.clone(), path));
    }
    if let Some(every) = config.actors.metrics_interval {
        tokio::spawn(report(live.clone(), every));
    }
    if let Some(tls) = tls.clone() {
        tokio::spawn(tls.follow(phases));
    }
    tokio::spawn(server::serve(listeners.main, tls, live.clone()))
}

/// From the first signal to the last connection; says how many calls were cut off.
async fn drain(
    server: &config::Server,
    phase: &watch::Sender<Phase>,
    mut serving: tokio::task::JoinHandle<()>,
    live: &Live,
) -> usize {
    tracing::info!(in_flight = live.now().in_flight.taken(), "signal received: draining");
    phase.send_replace(Phase::Leaving);
    tokio::time::sleep(server.drain_delay).await;
    phase.send_replace(Phase::Draining);
    if timeout(server.shutdown_timeout, &mut serving).await.is_ok() {
        return 0;
    }
    let cut = live.now().in_flight.taken();
    tracing::warn!(calls = cut, "shutdown timeout: cutting off what is left");
    phase.send_replace(Phase::Cutting);
    if timeout(CONNECTIONS_END, serving).await.is_err() {
        tracing::warn!("connections are still open at the end");
    }
    cut
}

/// One log line per actor and interval.
async fn report(live: Live, every: Duration) {
    let mut registry = live.now().registry.clone();
    let mut reporter = Reporter::new(registry.clone());
    let mut interval = interval(every);
    interval.tick().await;
    loop {
        interval.tick().await;
        reporter.report();
        let now = live.now().registry.clone();
        if !now.is(&registry) {
            // Other actors: rates begin anew.
            registry = now.clone();
            reporter = Reporter::new(now);
        }
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
