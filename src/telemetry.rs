//! Logs and metrics: where lines go, in which form, and which families exist. Decides nothing about a call.

pub mod metrics;

use std::io::IsTerminal as _;

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// How much is logged, and how it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// The most detailed level of our own lines.
    pub level: Level,
    /// `None`: colour on a terminal, else plain text.
    pub style: Option<Style>,
}

/// Log levels, `Off` being none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Level {
    /// Nothing at all.
    Off,
    /// Faults of ours.
    Error,
    /// What an operator should look at.
    Warn,
    /// One line per call, one per actor and interval.
    Info,
    /// Why things went as they did.
    Debug,
    /// Everything.
    Trace,
}

/// Log styles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Style {
    /// Text with colours.
    Color,
    /// Text.
    Text,
    /// One JSON object per line.
    Json,
}

/// Lines waiting for a slow reader of the log. Beyond it lines are lost: a log must not stall calls or fill memory.
const WAITING_LINES: usize = 16_384;

/// Starts logging to standard output. Lines are written by a thread of their own, until the guard is dropped.
///
/// Other crates log at `warn` at most, so that no library prints headers or bodies.
pub fn start(options: LogOptions) -> WorkerGuard {
    let (writer, guard) =
        NonBlockingBuilder::default().lossy(true).buffered_lines_limit(WAITING_LINES).finish(std::io::stdout());
    let style = options.style.unwrap_or(if std::io::stdout().is_terminal() { Style::Color } else { Style::Text });
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
