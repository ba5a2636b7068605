//! Logs and metrics: where lines go, in which form, and which families exist. Decides nothing about a call.

pub mod metrics;

use std::io::IsTerminal as _;

use clap::{Args, ValueEnum};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// How logs are written.
#[derive(Clone, Copy, Debug, Args)]
pub struct LogOptions {
    /// The least that is worth a line
    #[arg(long = "log", global = true, value_enum, default_value_t, env = "NEXUS_LOG")]
    pub level: Level,
    /// How a line looks [default: color on a terminal, else text]
    #[arg(long = "log-style", global = true, value_enum, env = "NEXUS_LOG_STYLE")]
    pub style: Option<Style>,
}

/// The least that is worth a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// Nothing
    Off,
    /// What failed
    Error,
    /// What should be looked at
    Warn,
    /// One line a call
    #[default]
    Info,
    /// What happens to a call
    Debug,
    /// Everything
    Trace,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Style {
    /// Text with colours
    Color,
    /// Text
    Text,
    /// One JSON object a line
    Json,
}

/// Lines waiting for a slow reader of the log. Beyond it lines are lost: a log must not stall calls or fill memory.
const WAITING_LINES: usize = 16_384;

/// Starts logging to standard output. Lines are written by a thread of their own, until the guard is dropped.
///
/// Other crates log at `warn` at most, so that no library prints headers or bodies.
pub fn start(options: LogOptions) -> WorkerGuard {
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(WAITING_LINES)
        .finish(std::io::stdout());
    let plain = || if std::io::stdout().is_terminal() { Style::Color } else { Style::Text };
    let style = options.style.unwrap_or_else(plain);
    let layer = fmt::layer().with_writer(writer).with_ansi(style == Style::Color);
    let registry = tracing_subscriber::registry().with(options.level.filter());
    // Only a second start in one process fails; the first subscriber then stays.
    let _ = match style {
        Style::Json => registry.with(layer.json().flatten_event(true)).try_init(),
        Style::Color | Style::Text => registry.with(layer).try_init(),
    };
    guard
}

impl Level {
    fn filter(self) -> EnvFilter {
        let own = match self {
            Self::Off => return EnvFilter::new("off"),
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        };
        let others = if self == Self::Error { "error" } else { "warn" };
        EnvFilter::new(format!("{others},nexus={own},actors={own}"))
    }
}
