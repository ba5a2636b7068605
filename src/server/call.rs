//! One call from its head to its last byte: what it holds, and the one line and the metrics that are told of it.

use std::{sync::Arc, time::Duration};

use actors::{Principal, gate::Place, quota::Reservation};
use http::{HeaderValue, StatusCode};
use tokio::time::Instant;

use super::{
    charge::{self, Counted},
    socket::Beat,
    text::Plain,
};
use crate::{
    chat::usage::Usage,
    config::secret::{Secret, Secrets},
    protocol::{self, Protocol},
    route::Target,
    telemetry::metrics::{Metrics, Outcome},
};

/// What is logged as the status when the client went away before there was one.
const GONE: u16 = 499;

/// A call in progress. Dropping it is the end of the call, however it comes about: the record is written then.
pub(super) struct Call {
    pub(super) metrics: Arc<Metrics>,
    pub(super) started: Instant,
    pub(super) request_id: HeaderValue,
    /// The protocol of the route; `None` until there is one.
    pub(super) protocol: Option<Protocol>,
    /// The protocol in which errors are told; OpenAI's outside of all.
    pub(super) spoken: Protocol,
    pub(super) operation: Option<protocol::Call>,
    pub(super) principal: Principal,
    pub(super) target: Option<Arc<Target>>,
    /// The caller's own key for the provider, where that is taken.
    pub(super) key: Option<Secret>,
    /// What opens its provider for this call alone or for a while: that key, or a credential that expires. What is
    /// configured is not among them.
    own: Secrets,
    /// The status of the answer, once there is one.
    pub(super) status: Option<StatusCode>,
    pub(super) error: Option<&'static str>,
    /// Input tokens as estimated.
    pub(super) estimate: Option<u64>,
    pub(super) usage: Option<Usage>,
    pub(super) first_byte: Option<Instant>,
    /// What the call took from its limit, until it is settled or given back.
    pub(super) reservation: Option<Reservation>,
    /// Its place among the calls in flight.
    place: Option<Place>,
    /// Whether a record is written: not for health checks.
    pub(super) recorded: bool,
    /// Whether the answer is whole, or its last words are said. If not when it is dropped, the client went away.
    pub(super) ended: bool,
    pub(super) beat: Beat,
}

impl Call {
    pub(super) fn new(metrics: Arc<Metrics>, request_id: HeaderValue, beat: Beat) -> Box<Self> {
        Box::new(Self {
            metrics,
            started: Instant::now(),
            request_id,
            protocol: None,
            spoken: Protocol::OpenAi,
            operation: None,
            principal: Principal::default(),
            target: None,
            key: None,
            own: Secrets::default(),
            status: None,
            error: None,
            estimate: None,
            usage: None,
            first_byte: None,
            reservation: None,
            place: None,
            recorded: true,
            ended: false,
            beat,
        })
    }

    /// The model it goes to is known, and the caller's own key to its provider, where that is taken.
    pub(super) fn goes_to(&mut self, target: &Arc<Target>, key: Option<Secret>) {
        self.target = Some(Arc::clone(target));
        self.own = Secrets::new(&key);
        self.key = key;
    }

    /// Its provider is opened by these, which nobody is told either.
    pub(super) fn opened_by(&mut self, secrets: Secrets) {
        self.own = secrets;
    }

    /// What none of its errors may tell: the secrets of every provider, and its own.
    pub(super) fn secrets(&self) -> Secrets {
        self.target.as_ref().map_or_else(|| self.own.clone(), |target| target.configured.and(&self.own))
    }

    /// Whether a header of its provider tells what opens it.
    pub(super) fn is_told(&self, value: &[u8]) -> bool {
        self.own.are_in(value) || self.target.as_ref().is_some_and(|target| target.secrets.are_in(value))
    }

    /// The call takes its place in flight.
    pub(super) fn enter(&mut self, place: Place) {
        self.place = Some(place);
        self.metrics.in_flight.inc();
    }

    /// The first byte of output goes to the client.
    pub(super) fn answering(&mut self) {
        self.first_byte.get_or_insert_with(Instant::now);
    }

    /// The answer is whole: what it cost is final. Step 7; one-way, never awaited.
    pub(super) fn settle(&mut self, usage: Option<Usage>) {
        self.usage = usage.or(self.usage);
        let usage = self.usage.unwrap_or_default();
        let (Some(target), Some(estimate)) = (&self.target, self.estimate) else { return };
        target.ratio.learn(estimate, usage.input);
        if let Some(reservation) = self.reservation.take() {
            let counted = Counted { input: estimate, output: reservation.produced() };
            reservation.settle_as(&charge::actual(target, &usage, counted));
        }
    }

    /// The client went away before the end of a stream, of which so much was reported. What was counted stands where the
    /// report is behind it.
    pub(super) fn left(&mut self, usage: Option<Usage>) {
        if self.ended {
            return;
        }
        let produced = self.reservation.as_ref().map_or(0, Reservation::produced);
        self.settle(usage.map(|usage| so_far(usage, produced)));
    }

    /// What a reservation that is about to be away is to be settled by, if the client goes meanwhile.
    pub(super) fn reported(&self, usage: Option<Usage>, reservation: &mut Reservation) {
        if let (Some(target), Some(input), Some(usage)) = (&self.target, self.estimate, usage) {
            let counted = Counted { input, output: reservation.produced() };
            reservation.reported(charge::actual(target, &so_far(usage, counted.output), counted));
        }
    }

    /// No output reached the client: its tokens go back. One-way, for streams whose head is out.
    pub(super) fn give_back(&mut self, usage: Option<Usage>) {
        self.usage = usage.or(self.usage);
        if let Some(reservation) = self.reservation.take() {
            reservation.release();
        }
    }

    fn since_start(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.started)
    }

    fn record(&self) {
        let total = self.started.elapsed();
        let first_byte = self.first_byte.map(|at| self.since_start(at));
        let input_tokens = self.usage.and_then(|usage| usage.input).or(self.estimate);
        let output_tokens = self.usage.and_then(|usage| usage.output);
        let reported = self.usage.is_some();
        if let Some(call) = self.operation {
            let (target, error) = (self.target.as_deref(), self.error);
            let outcome =
                Outcome { call, target, total, first_byte, input_tokens, output_tokens, reported, error };
            self.metrics.record(&outcome);
        }
        tracing::info!(
            request_id = %Plain(self.request_id.to_str().unwrap_or_default()),
            client = %Plain(self.principal.client.as_ref().map_or("", |client| client.as_str())),
            group = %Plain(self.principal.group.as_ref().map_or("", |group| group.as_str())),
            protocol = %self.protocol.map_or("", Protocol::name),
            provider = %Plain(self.target.as_deref().map_or("", |target| &target.provider)),
            model = %Plain(self.target.as_deref().map_or("", |target| &target.model)),
            status = self.status.map_or(GONE, |status| status.as_u16()),
            input_tokens = input_tokens.unwrap_or_default(),
            output_tokens = output_tokens.unwrap_or_default(),
            first_byte_ms = millis(first_byte.unwrap_or(total)),
            total_ms = millis(total),
            error = %self.error.unwrap_or_default(),
            "call"
        );
    }
}

/// A report in the middle of an answer: what it says of the output is of no use once more was counted.
fn so_far(usage: Usage, produced: u64) -> Usage {
    Usage { output: usage.output.filter(|output| *output >= produced), ..usage }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.ended {
            self.error = Some("client_gone");
        }
        if self.recorded {
            self.record();
        }
        if self.place.take().is_some() {
            self.metrics.in_flight.dec();
        }
    }
}

/// Milliseconds with three decimals.
fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}
