//! The Prometheus families. Labels are configured names only: never a client id, never a name a caller made up.
//!
//! Handles of the ordinary case are resolved once, when the routes are known; recording is then atomics only.

use std::{collections::BTreeSet, fmt::Write as _, sync::Arc, time::Duration};

use actors::{
    observe::{Registry, Snapshot},
    quota::counts::Totals,
};
use prometheus::{
    Encoder as _, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntGauge, Opts, TextEncoder,
};

use crate::{protocol::Call, route::Target};

/// Seconds, as OpenTelemetry's generative-AI conventions advise for operation durations.
const SECONDS: [f64; 14] =
    [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
/// Seconds to a first token, after the same conventions, with finer low ends.
const FIRST_TOKEN: [f64; 15] =
    [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0];
/// Tokens, after the same conventions.
const TOKENS: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// All families, and the handles of every target.
#[derive(Clone)]
pub struct Metrics {
    registry: prometheus::Registry,
    duration: HistogramVec,
    tokens: HistogramVec,
    first_token: HistogramVec,
    targets: Vec<[OfTarget; Call::ALL.len()]>,
    ratios: GaugeVec,
    /// Calls whose answer is not yet whole.
    pub in_flight: IntGauge,
    /// Open client connections.
    pub connections: IntGauge,
}

/// The handles of one model under one operation.
#[derive(Clone)]
struct OfTarget {
    duration: Histogram,
    input: Histogram,
    output: Histogram,
    first_token: Histogram,
}

/// What is told of one call.
#[derive(Debug)]
pub struct Outcome<'a> {
    /// Which operation it was.
    pub call: Call,
    /// Where it went, when it got as far as a model.
    pub target: Option<&'a Target>,
    /// From the request head to the last byte.
    pub total: Duration,
    /// From the request head to the first byte of output, when there was one.
    pub first_byte: Option<Duration>,
    /// As reported, else as estimated.
    pub input_tokens: Option<u64>,
    /// As reported.
    pub output_tokens: Option<u64>,
    /// Whether the provider reported its usage.
    pub reported: bool,
    /// `Error::kind`, when it failed.
    pub error: Option<&'static str>,
}

impl Metrics {
    /// The families, without a target.
    ///
    /// # Errors
    /// When a family's definition is refused, which is a bug.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = prometheus::Registry::new();
        let model = ["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model"];
        let with = |more: &'static str| [&model[..], &[more]].concat();
        let histogram = |name: &str, text: &str, buckets: &[f64], labels: &[&str]| {
            let family = HistogramVec::new(HistogramOpts::new(name, text).buckets(buckets.to_vec()), labels)?;
            registry.register(Box::new(family.clone()))?;
            Ok::<_, prometheus::Error>(family)
        };
        let duration = histogram(
            "gen_ai_client_operation_duration_seconds",
            "From the request head to the last byte of the answer.",
            &SECONDS,
            &with("error_type"),
        )?;
        let tokens = histogram(
            "gen_ai_client_token_usage",
            "Tokens of a call: as the provider reported them, else as estimated.",
            &TOKENS,
            &with("gen_ai_token_type"),
        )?;
        let first_token = histogram(
            "gen_ai_server_time_to_first_token_seconds",
            "From the request head to the first byte of output.",
            &FIRST_TOKEN,
            &model,
        )?;
        let gauge = |name: &str, text: &str| {
            let gauge = IntGauge::new(name, text)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let in_flight = gauge("nexus_calls_in_flight", "Calls whose answer is not yet whole.")?;
        let connections = gauge("nexus_client_connections", "Open client connections.")?;
        let help = "Input tokens as estimated over those reported, as they were lately; 1 before any report.";
        let ratios = GaugeVec::new(Opts::new("nexus_estimate_ratio", help), &["provider", "model"])?;
        registry.register(Box::new(ratios.clone()))?;
        let targets = Vec::new();
        Ok(Self { registry, duration, tokens, first_token, targets, ratios, in_flight, connections })
    }

    /// The same families, with handles for these targets (in order of their index). What was counted stays.
    #[must_use]
    pub fn of(&self, targets: &[Arc<Target>]) -> Self {
        let handles = |target: &Target, call: Call| {
            let labels = [call.name(), &target.provider, &target.model];
            let and = |last: &'static str| [labels[0], labels[1], labels[2], last];
            OfTarget {
                duration: self.duration.with_label_values(&and("")),
                input: self.tokens.with_label_values(&and("input")),
                output: self.tokens.with_label_values(&and("output")),
                first_token: self.first_token.with_label_values(&labels),
            }
        };
        let targets = targets.iter().map(|t| Call::ALL.map(|call| handles(t, call))).collect();
        Self { targets, ..self.clone() }
    }

    /// Records a call that is over.
    pub fn record(&self, outcome: &Outcome<'_>) {
        let operation = outcome.call;
        let total = outcome.total.as_secs_f64();
        let Some(of) = outcome.target.and_then(|t| self.targets.get(t.index)).map(|t| &t[operation as usize])
        else {
            let error = outcome.error.unwrap_or_default();
            return self.duration.with_label_values(&[operation.name(), "", "", error]).observe(total);
        };
        match (outcome.error, outcome.target) {
            (Some(error), Some(t)) => {
                let labels = [operation.name(), &t.provider, &t.model, error];
                self.duration.with_label_values(&labels).observe(total);
            }
            _ => of.duration.observe(total),
        }
        let counted = |histogram: &Histogram, tokens: Option<u64>| {
            if let Some(tokens) = tokens {
                histogram.observe(tokens as f64);
            }
        };
        // What was refused or failed used no tokens, unless the provider says so.
        counted(&of.input, outcome.input_tokens.filter(|_| outcome.error.is_none() || outcome.reported));
        counted(&of.output, outcome.output_tokens);
        if let Some(first) = outcome.first_byte {
            of.first_token.observe(first.as_secs_f64());
        }
    }

    /// Everything in Prometheus' text format: the numbers of the limits, of the models and of the actors included.
    pub fn text(&self, actors: &Registry, limits: &Totals, models: &[Arc<Target>]) -> String {
        for target in models {
            let labels = [&*target.provider, &*target.model];
            self.ratios.with_label_values(&labels).set(f64::from(target.ratio.get()));
        }
        let mut bytes = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut bytes) {
            tracing::error!(%error, "metrics do not encode");
        }
        let mut text = String::from_utf8(bytes).unwrap_or_default();
        let actors: Vec<_> = actors.snapshots().collect();
        write_limits(&mut text, limits, &actors);
        write_actors(&mut text, &actors);
        text
    }
}

/// What the limits have decided, settled and remember.
fn write_limits(text: &mut String, limits: &Totals, actors: &[Snapshot]) {
    let Totals { decisions, settled, debt_tokens } = limits;
    let decisions = decisions.iter().map(|(scope, kind, decision, count)| {
        let [scope, kind, decision] = [scope.name(), kind.name(), decision.name()];
        (format!("{{scope=\"{scope}\",kind=\"{kind}\",decision=\"{decision}\"}}"), *count as f64)
    });
    let help = "Decisions of limits, one for each kind of limit that a call fell under.";
    write_family(text, "nexus_limit_decisions_total", "counter", help, decisions);
    let sources =
        [("reported", settled.reported), ("counted", settled.counted), ("refunded", settled.refunded)];
    let settled = sources.map(|(source, tokens)| (format!("{{source=\"{source}\"}}"), tokens as f64));
    let help = "Tokens of calls that are over, by where they were known from.";
    write_family(text, "nexus_limit_settled_tokens_total", "counter", help, settled);
    let help = "Tokens charged beyond a limit that have not entered its window yet.";
    write_family(text, "nexus_limit_debt_tokens", "gauge", help, [(String::new(), *debt_tokens as f64)]);
    let of_clients = |actor: &&Snapshot| {
        let number = actor.name.strip_prefix("quota-").unwrap_or_default();
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    let own = actors.iter().filter(of_clients).flat_map(|actor| &actor.own);
    let tracked = own
        .filter(|(name, _)| *name == "clients")
        .fold(0, |sum: i64, (_, clients)| sum.saturating_add(*clients));
    let help = "Clients whose windows are remembered.";
    write_family(text, "nexus_tracked_clients", "gauge", help, [(String::new(), tracked as f64)]);
}

/// A family of samples, each with its labels as they are written.
fn write_family(
    text: &mut String,
    name: &str,
    kind: &str,
    help: &str,
    samples: impl IntoIterator<Item = (String, f64)>,
) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (labels, value) in samples {
        let _ = writeln!(text, "{name}{labels} {value}");
    }
}

/// One number of an actor: its metric, type, help and value.
type Number = (&'static str, &'static str, &'static str, fn(&Snapshot) -> f64);

const ACTOR_NUMBERS: [Number; 8] = [
    ("mailbox", "gauge", "Messages sent and not yet picked up.", |s| s.mailbox as f64),
    ("handled_total", "counter", "Messages handled.", |s| s.handled as f64),
    ("refused_total", "counter", "Calls refused because the mailbox was full.", |s| s.refused as f64),
    ("expired_total", "counter", "Calls skipped because their deadline had passed.", |s| s.expired as f64),
    ("panics_total", "counter", "Messages whose handling panicked.", |s| s.panics as f64),
    ("restarts_total", "counter", "Starts after the first.", |s| s.restarts as f64),
    ("wait_p50_seconds", "gauge", "Median wait in the mailbox since the start.", |s| s.wait_p50_us / 1e6),
    ("wait_p99_seconds", "gauge", "99th percentile of the wait since the start.", |s| s.wait_p99_us / 1e6),
];

/// Own numbers of actors that go up and down; the others only count.
const OWN_GAUGES: [&str; 6] = ["age_seconds", "clients", "connections", "in_flight", "keys", "remembered"];

fn write_actors(text: &mut String, actors: &[Snapshot]) {
    let mut family = |name: &str, kind: &str, help: &str, values: &mut dyn Iterator<Item = (&str, f64)>| {
        let mut values = values.peekable();
        if values.peek().is_some() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "# HELP nexus_actor_{name} {help}\n# TYPE nexus_actor_{name} {kind}");
        }
        for (actor, value) in values {
            let _ = writeln!(text, "nexus_actor_{name}{{actor=\"{actor}\"}} {value}");
        }
    };
    for (name, kind, help, value) in ACTOR_NUMBERS {
        family(name, kind, help, &mut actors.iter().map(|s| (s.name.as_str(), value(s))));
    }
    let names: BTreeSet<&str> = actors.iter().flat_map(|s| s.own.iter().map(|(name, _)| *name)).collect();
    for name in names {
        let of = |s: &Snapshot| s.own.iter().find(|(own, _)| *own == name).map(|(_, value)| *value as f64);
        let mut values = actors.iter().filter_map(|s| of(s).map(|value| (s.name.as_str(), value)));
        match OWN_GAUGES.contains(&name) {
            true => family(name, "gauge", "The actor's own number.", &mut values),
            false => family(&format!("{name}_total"), "counter", "The actor's own number.", &mut values),
        }
    }
}
