//! A child as its supervisor sees it: something that can be started, whatever its state and its messages are.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
};

use ractor::{Actor, ActorCell, ActorId, actor::messages::BoxedState};
use tokio::sync::mpsc;

use crate::{
    address::{Envelope, Mailbox},
    guarded::{Guarded, State, told},
    observe::Own,
};

pub(super) type Started<'a> = Pin<Box<dyn Future<Output = Result<ActorId, String>> + Send + 'a>>;

/// What a supervisor does with a child.
pub(super) trait Child: Send {
    fn name(&self) -> &str;

    /// Starts the actor, with the kept state if there is one, and lets its address point to it.
    fn start(&mut self, supervisor: ActorCell) -> Started<'_>;

    /// Keeps the state an actor ended with for the next start. False if it is not this child's state.
    fn keep(&mut self, state: BoxedState) -> bool;

    /// Sends what was held back while no actor ran.
    fn release(&mut self);
}

/// How to start an actor of state `S`, as often as need be.
pub(super) struct Spec<S: State, F> {
    mailbox: Arc<Mailbox<S::Message>>,
    held: mpsc::UnboundedReceiver<Envelope<S::Message>>,
    factory: F,
    kept: Option<S>,
    started_before: bool,
}

impl<S: State, F: Fn(Own) -> S> Spec<S, F> {
    pub(super) fn new(
        mailbox: Arc<Mailbox<S::Message>>,
        held: mpsc::UnboundedReceiver<Envelope<S::Message>>,
        factory: F,
    ) -> Self {
        Self { mailbox, held, factory, kept: None, started_before: false }
    }

    fn state(&mut self) -> Result<S, String> {
        if let Some(kept) = self.kept.take() {
            return Ok(kept);
        }
        let own = Own(Arc::clone(self.mailbox.gauges()));
        // Unwind safe: a factory makes a new state each time and is only read.
        catch_unwind(AssertUnwindSafe(|| (self.factory)(own)))
            .map_err(|panic| format!("its factory panicked: {}", told(&*panic)))
    }
}

impl<S: State, F: Fn(Own) -> S + Send> Child for Spec<S, F> {
    fn name(&self) -> &str {
        self.mailbox.gauges().name()
    }

    fn start(&mut self, supervisor: ActorCell) -> Started<'_> {
        Box::pin(async move {
            let state = self.state()?;
            let gauges = Arc::clone(self.mailbox.gauges());
            let (actor, _) = Actor::spawn_linked(None, Guarded::<S>::new(gauges), state, supervisor)
                .await
                .map_err(|error| error.to_string())?;
            let id = actor.get_id();
            self.mailbox.refill(actor);
            if std::mem::replace(&mut self.started_before, true) {
                self.mailbox.gauges().restarted();
            }
            self.release();
            Ok(id)
        })
    }

    fn keep(&mut self, mut state: BoxedState) -> bool {
        self.kept = state.take::<S>().ok();
        self.kept.is_some()
    }

    fn release(&mut self) {
        while let Ok(envelope) = self.held.try_recv() {
            if let Err(Some(unsent)) = self.mailbox.send(envelope) {
                // The actor has ended again: the next start releases it.
                self.mailbox.hold(unsent);
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::observe::Gauges;

    impl State for u32 {
        type Message = ();
        const TICK: Option<Duration> = None;

        fn handle(&mut self, (): ()) {}
    }

    #[test]
    fn a_start_takes_the_state_that_was_left_and_without_one_makes_a_fresh_one() {
        let (mailbox, held) = Mailbox::new(Arc::new(Gauges::new("test", &[])), 1, || {});
        let mut spec = Spec::new(mailbox, held, |_| 1u32);
        assert!(spec.keep(BoxedState::new(7u32)));
        assert_eq!(spec.state(), Ok(7));
        assert_eq!(spec.state(), Ok(1));
        assert!(!spec.keep(BoxedState::new("the state of something else")));
        assert_eq!(spec.state(), Ok(1));
    }
}
