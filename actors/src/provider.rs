//! Provider actors: each owns the idle connections of one upstream and leases them out.
//!
//! State: idle HTTP/1.1 connections and shared HTTP/2 connections. Called by the dispatch step; a handler takes
//! microseconds and never awaits: connecting, sending and reading happen in the caller's task, and a body never passes
//! a mailbox. A panic keeps the pool; a restart from nothing loses only idle connections, which are opened again.

mod connection;
pub mod credential;
mod endpoint;
mod gauges;
mod lease;
mod payload;
mod pool;
mod socket;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use self::{
    connection::Connection,
    gauges::{Counted, Gauges},
    pool::Pool,
};
pub use self::{
    endpoint::{ConnectError, Endpoint, EndpointError},
    lease::{Answer, Lease, SendError},
    payload::{Outgoing, Payload, Rope},
};
use crate::{
    address::{Address, Reply, Unreachable},
    gate::{Gate, Place},
    guarded::State,
    observe::Own,
    shards::Shards,
};

/// How long a caller waits for a lease before the call is given up.
const ACQUIRE_WITHIN: Duration = Duration::from_secs(5);
/// How often connections that were idle too long are closed.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// The way to one provider: hand out leases, whichever worker owns them. Cloning shares the workers.
#[derive(Clone)]
pub struct Provider {
    workers: Shards<Message>,
    endpoint: Option<Arc<Endpoint>>,
}

/// Why there is no lease.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// The provider has `max_in_flight` calls in flight.
    Busy,
    /// The actor did not answer.
    Unreachable(Unreachable),
}

/// What a provider actor is asked; nobody outside names it.
pub struct Message(Ask);

enum Ask {
    Acquire(Reply<Option<Grant>>),
    /// A connection comes home, or a fresh HTTP/2 connection is offered to all.
    Keep(Connection),
}

/// A place in flight, with a connection if one was idle.
struct Grant {
    place: Place,
    call: Counted,
    connection: Option<Connection>,
}

/// The state of one provider actor.
pub struct Worker {
    pool: Pool,
    gate: Arc<Gate>,
    gauges: Gauges,
}

// === impl Provider ===

impl Provider {
    /// A provider served by `workers`; without an `endpoint` (a built-in provider) leases carry no connection.
    pub fn new(workers: Shards<Message>, endpoint: Option<Arc<Endpoint>>) -> Self {
        Self { workers, endpoint }
    }

    /// Takes a place in flight and, if there is one, an idle connection.
    ///
    /// # Errors
    /// [`Refused::Busy`] at `max_in_flight`; [`Refused::Unreachable`] when the actor is full, gone or late.
    pub async fn acquire(&self) -> Result<Lease, Refused> {
        let worker = self.workers.next();
        let asked = worker.call(ACQUIRE_WITHIN, |reply| Message(Ask::Acquire(reply))).await;
        let grant = asked.map_err(Refused::Unreachable)?.ok_or(Refused::Busy)?;
        Ok(Lease::new(grant, self.endpoint.clone(), Home(worker.clone())))
    }
}

/// Where a lease brings its connection back to.
#[derive(Clone)]
struct Home(Address<Message>);

impl Home {
    fn keep(&self, connection: Connection) {
        self.0.cast(Message(Ask::Keep(connection)));
    }
}

// === impl Worker ===

impl Worker {
    /// A worker with an empty pool. `gate` counts the calls of all workers of the provider.
    pub fn new(gate: Arc<Gate>, own: Own) -> Self {
        Self { pool: Pool::default(), gate, gauges: Gauges::new(own) }
    }

    fn on_acquire(&mut self, reply: Reply<Option<Grant>>) {
        let grant = self.gate.enter(1).map(|place| Grant {
            place,
            call: self.gauges.call(),
            connection: self.pool.take(Instant::now()),
        });
        // The caller may be gone by now: its place falls back by itself, its connection goes back to the pool. If it goes
        // after this the grant is dropped in its channel, and an HTTP/1.1 connection with it: it is opened again if needed.
        if let Err(Some(Grant { connection: Some(connection), .. })) = reply.send(grant) {
            self.pool.keep(connection, Instant::now());
        }
    }
}

impl State for Worker {
    type Message = Message;
    const TICK: Option<Duration> = Some(SWEEP_EVERY);
    const OWN: &'static [&'static str] = gauges::NAMES;

    fn handle(&mut self, message: Message) {
        match message.0 {
            Ask::Acquire(reply) => self.on_acquire(reply),
            Ask::Keep(connection) => self.pool.keep(connection, Instant::now()),
        }
    }

    fn tick(&mut self) {
        self.pool.sweep(Instant::now());
    }
}
