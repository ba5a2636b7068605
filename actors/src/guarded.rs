//! The one `ractor` actor that runs every state machine of this crate.
//!
//! A handler is a synchronous method. It runs under `catch_unwind`, so a panic is logged and its caller told, and the
//! state stays where it is with all it holds; no lock is needed anywhere. Nothing here awaits.

use std::{
    any::Any,
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::Instant;

use crate::{
    address::{Envelope, Letter},
    observe::Gauges,
};

/// The state machine an actor is.
///
/// `handle` and `tick` check first and mutate last: a panic in them ends that message only, and whatever they had
/// changed by then stays changed.
pub trait State: Send + 'static {
    /// What the actor understands; usually a private enum behind a typed handle.
    type Message: Send + 'static;

    /// How often [`tick`](Self::tick) is called, counted from the end of the last one; never when `None`.
    const TICK: Option<Duration>;

    /// Names of the actor's own numbers in logs and metrics; the state writes them through [`Own`](crate::observe::Own).
    const OWN: &'static [&'static str] = &[];

    /// Acts on one message. Must not block: the next message of this actor waits for it. A call whose deadline has
    /// passed does not come here; one whose caller hung up may, see [`Reply::is_closed`](crate::Reply::is_closed).
    fn handle(&mut self, message: Self::Message);

    /// Time has passed.
    fn tick(&mut self) {}
}

/// Runs `S` as a `ractor` actor.
pub(crate) struct Guarded<S> {
    gauges: Arc<Gauges>,
    state: PhantomData<fn() -> S>,
}

impl<S: State> Guarded<S> {
    pub(crate) fn new(gauges: Arc<Gauges>) -> Self {
        Self { gauges, state: PhantomData }
    }

    fn deliver(&self, letter: Letter<S::Message>, state: &mut S) {
        let Letter { message, sent, deadline, place } = letter;
        drop(place);
        let picked = Instant::now();
        self.gauges.waited(picked.duration_since(sent));
        if deadline.is_some_and(|deadline| deadline <= picked) {
            self.gauges.expired();
            return self.run(picked, || drop(message));
        }
        self.gauges.handled();
        self.run(picked, || state.handle(message));
    }

    fn run(&self, since: Instant, handler: impl FnOnce()) {
        // Unwind safe by the contract of `State`: it checks first and mutates last.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(handler)) {
            self.gauges.panicked();
            tracing::error!(
                actor = self.gauges.name(),
                panic = told(&*panic),
                "handler panicked; its state stays"
            );
        }
        self.gauges.busy(since.elapsed());
    }
}

impl<S: State> Actor for Guarded<S> {
    type Msg = Envelope<S::Message>;
    type State = S;
    type Arguments = S;

    async fn pre_start(&self, myself: ActorRef<Self::Msg>, state: S) -> Result<S, ActorProcessingErr> {
        tick_later::<S>(&myself);
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        envelope: Self::Msg,
        state: &mut S,
    ) -> Result<(), ActorProcessingErr> {
        match envelope {
            Envelope::Letter(letter) => self.deliver(letter, state),
            Envelope::Tick => {
                self.run(Instant::now(), || state.tick());
                tick_later::<S>(&myself);
            }
        }
        Ok(())
    }
}

/// One tick at a time: the next is set when the last was handled, so that a busy actor does not collect them.
fn tick_later<S: State>(myself: &ActorRef<Envelope<S::Message>>) {
    if let Some(every) = S::TICK {
        myself.send_after(every, || Envelope::Tick);
    }
}

/// What a panic said; `panic!` gives a `&str` or a `String`.
pub(crate) fn told(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without words")
}
