//! Keeps actors running and, at the end, lets them finish.
//!
//! One supervisor for each kind of actor. It starts an actor again when it ends for whatever reason but a drain: with
//! the state it ended with if `ractor` gives that back (after stop, drain and kill), with a fresh one otherwise. It never
//! fails itself: a start that fails is tried again later. The address stays the same throughout.
//!
//! Nothing but [`Supervisor::drain`] may stop a supervisor, since `ractor` kills the children of an actor that stops.

mod child;
use std::{
    hash::{BuildHasher, RandomState},
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use ractor::{
    Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent, actor::messages::BoxedState,
};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};

use self::child::{Child, Spec};
use crate::{
    address::{Address, Mailbox},
    backoff::{Backoff, Restarts},
    guarded::State,
    observe::{Gauges, Own},
    shards::Shards,
};

/// How long a supervisor that does nothing else is waited for.
const GRACE: Duration = Duration::from_millis(100);

/// The supervisor of one kind of actor. Dropping the handle leaves everything running:
/// end it by [`drain`](Self::drain).
#[derive(Debug)]
#[must_use = "end it by `drain`"]
pub struct Supervisor {
    name: &'static str,
    actor: ActorRef<Command>,
    gauges: Vec<Arc<Gauges>>,
}

/// What the supervising actor is told.
enum Command {
    /// Start this child now and for ever; answer when the first start was tried. Its index is the number before it.
    Adopt(Box<dyn Child>, oneshot::Sender<()>),
    /// It is time to start the child of this index.
    Start(usize),
    /// The child of this index has one-way messages held back.
    Release(usize),
    /// From now on start nothing but what must still finish.
    Drain(oneshot::Sender<()>),
}

/// The supervising actor; all it knows is its state.
struct Watcher;

#[derive(Default)]
struct Children {
    all: Vec<Supervised>,
    draining: bool,
}

struct Supervised {
    child: Box<dyn Child>,
    /// The actor that runs now.
    running: Option<ActorId>,
    restarts: Restarts,
}

impl Supervisor {
    /// A supervisor without children. `name` is for the log.
    pub async fn start(name: &'static str) -> Self {
        // An actor fails to start when its name is taken or its `pre_start` fails: it has no name, and that cannot fail.
        #[allow(clippy::expect_used)]
        let (actor, _) = Actor::spawn(None, Watcher, ()).await.expect("an unnamed actor starts");
        Self { name, actor, gauges: Vec::new() }
    }

    /// Starts an actor and gives its address.
    ///
    /// `name` is for logs and metrics only. Calls are refused while `mailbox_limit` messages wait. `factory` makes the
    /// state, at first and whenever an actor ended without leaving one; it is handed the actor's own numbers. If it
    /// panics it is asked again later, and calls are answered by
    /// [`Unreachable::Restarting`](crate::Unreachable::Restarting) until then.
    pub async fn spawn<S: State>(
        &mut self,
        name: &str,
        mailbox_limit: usize,
        factory: impl Fn(Own) -> S + Send + 'static,
    ) -> Address<S::Message> {
        let gauges = Arc::new(Gauges::new(name, S::OWN));
        let index = self.gauges.len();
        self.gauges.push(Arc::clone(&gauges));
        let supervisor = self.actor.clone();
        let wake = move || drop(supervisor.send_message(Command::Release(index)));
        let (mailbox, held) = Mailbox::new(gauges, mailbox_limit, wake);
        let address = Address::new(Arc::clone(&mailbox));
        let (tried, first_start) = oneshot::channel();
        // A failure of either would mean that the supervisor is gone; the address then says `Restarting`.
        let _ = self.actor.send_message(Command::Adopt(Box::new(Spec::new(mailbox, held, factory)), tried));
        let _ = first_start.await;
        address
    }

    /// Starts `count` actors named `prefix-0`, `prefix-1`, …
    pub async fn spawn_shards<S: State>(
        &mut self,
        prefix: &str,
        count: NonZeroUsize,
        mailbox_limit: usize,
        factory: impl Fn(Own) -> S + Clone + Send + 'static,
    ) -> Shards<S::Message> {
        let mut shards = Vec::with_capacity(count.get());
        for shard in 0..count.get() {
            shards.push(self.spawn(&format!("{prefix}-{shard}"), mailbox_limit, factory.clone()).await);
        }
        // The count is not zero.
        #[allow(clippy::expect_used)]
        Shards::new(shards).expect("at least one shard")
    }

    /// The numbers of its actors, in the order of their start: for the [`Registry`](crate::observe::Registry).
    pub fn gauges(&self) -> &[Arc<Gauges>] {
        &self.gauges
    }

    /// Refuses new messages, lets every actor finish what waits in its mailbox, and ends. What is not finished `within`
    /// this time is cut off and said in the log. Call it when nobody sends any more.
    ///
    /// Returns whether everything was finished. Takes at most 200 ms longer than `within`, also when a handler blocks the
    /// thread that the supervisor is to run on.
    pub async fn drain(self, within: Duration) -> bool {
        let (noted, answer) = oneshot::channel();
        // If the supervisor were gone there would be nothing to wait for; the children are asked all the same.
        let _ = self.actor.send_message(Command::Drain(noted));
        let _ = timeout(GRACE, answer).await;
        self.actor.drain_children_and_wait(Some(within)).await;
        let cut = self.actor.get_children().len();
        let waiting: usize = self.gauges.iter().map(|gauges| gauges.mailbox()).sum();
        if cut > 0 || waiting > 0 {
            tracing::warn!(supervisor = self.name, actors = cut, messages = waiting, "drain cut short");
        }
        #[allow(
            clippy::disallowed_methods,
            reason = "this is the drain: the children have ended or had their time"
        )]
        self.actor.stop(None);
        let _ = self.actor.wait(Some(GRACE)).await;
        cut == 0 && waiting == 0
    }
}

impl Actor for Watcher {
    type Msg = Command;
    type State = Children;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Command>, (): ()) -> Result<Children, ActorProcessingErr> {
        Ok(Children::default())
    }

    async fn handle(
        &self,
        myself: ActorRef<Command>,
        command: Command,
        children: &mut Children,
    ) -> Result<(), ActorProcessingErr> {
        match command {
            Command::Adopt(child, tried) => {
                children.all.push(Supervised { child, running: None, restarts: Restarts::default() });
                children.start(children.all.len() - 1, &myself).await;
                let _ = tried.send(());
            }
            Command::Start(index) if !children.draining => children.start(index, &myself).await,
            // It would start too late to be drained, and be killed.
            Command::Start(_) => {}
            Command::Release(index) => children.release(index),
            Command::Drain(noted) => {
                children.start_all(&myself).await;
                children.draining = true;
                let _ = noted.send(());
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Command>,
        event: SupervisionEvent,
        children: &mut Children,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorTerminated(who, state, reason) => {
                children.ended(&who, state, reason.as_deref().unwrap_or("stopped"), &myself);
            }
            SupervisionEvent::ActorFailed(who, error) => {
                children.ended(&who, None, &error.to_string(), &myself)
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }
}

impl Children {
    /// Starts the child unless it runs; if that fails, sets a time for the next try.
    async fn start(&mut self, index: usize, myself: &ActorRef<Command>) {
        let Some(one) = self.all.get_mut(index).filter(|one| one.running.is_none()) else { return };
        match one.child.start(myself.get_cell()).await {
            Ok(id) => one.running = Some(id),
            Err(error) => {
                tracing::error!(actor = one.child.name(), %error, "actor did not start");
                one.start_later(index, myself);
            }
        }
    }

    /// Starts whatever waits for its next start, so that what is held for it can be finished.
    async fn start_all(&mut self, myself: &ActorRef<Command>) {
        for index in 0..self.all.len() {
            self.start(index, myself).await;
        }
    }

    fn release(&mut self, index: usize) {
        if let Some(one) = self.all.get_mut(index).filter(|one| one.running.is_some()) {
            one.child.release();
        }
    }

    fn ended(
        &mut self,
        who: &ActorCell,
        state: Option<BoxedState>,
        reason: &str,
        myself: &ActorRef<Command>,
    ) {
        let id = Some(who.get_id());
        let Some((index, one)) = self.all.iter_mut().enumerate().find(|(_, one)| one.running == id) else {
            return;
        };
        one.running = None;
        if self.draining {
            return;
        }
        let kept = state.is_some_and(|state| one.child.keep(state));
        tracing::error!(
            actor = one.child.name(),
            reason,
            state_kept = kept,
            "actor ended and is started again"
        );
        one.start_later(index, myself);
    }
}

impl Supervised {
    fn start_later(&mut self, index: usize, myself: &ActorRef<Command>) {
        let delay = self.restarts.delay(Backoff::default(), Instant::now(), chance());
        if delay.is_zero() {
            // Fails only when this very actor has ended.
            let _ = myself.send_message(Command::Start(index));
        } else {
            myself.send_after(delay, move || Command::Start(index));
        }
    }
}

/// A number from 0 to 1 that differs from call to call: the standard library seeds its hashers at random.
pub(crate) fn chance() -> f64 {
    f64::from(RandomState::new().hash_one(()) as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests;
