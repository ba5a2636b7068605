//! A bounded, deadlined address that outlives its actor.
//!
//! The mailboxes of `ractor` are unbounded, do not know their length, keep messages whose caller has given up, and die
//! with their actor. An [`Address`] answers each of these: a call takes a place first and is refused when there is none;
//! the place rides in the message, so places taken are the mailbox's length; every call has a deadline, after which the
//! actor skips it; and the reference inside is swapped when the supervisor starts the actor anew.
//!
//! Nothing in here knows a particular message, restarts an actor, or waits for anything but a reply.

use std::{error, fmt, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use ractor::{ActorId, ActorRef, ActorStatus, MessagingErr};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};

use crate::observe::Gauges;

/// Where to send messages of type `M`. Clones are one address.
pub struct Address<M>(Arc<Mailbox<M>>);

/// The one answer to a call. The state may answer at once, or keep it and answer later; dropping it tells the caller
/// [`Unreachable::Failed`].
#[derive(Debug)]
#[must_use = "a dropped reply is a failed call"]
pub struct Reply<R>(oneshot::Sender<R>);

/// Why a call brought no answer. Whether the actor acted on it is known only for `Full`: it did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// As many messages wait as the mailbox may hold. Nothing was sent.
    Full,
    /// The deadline passed first.
    Late,
    /// The actor ended before it answered; its supervisor starts it anew, or has been drained. A call that does no harm
    /// when it is made twice may be made again.
    Restarting,
    /// The handler panicked or dropped the reply.
    Failed,
}

/// What all clones of an address share.
pub(crate) struct Mailbox<M> {
    /// The actor that runs now. Empty before the first start; a dead one until the next start.
    actor: ArcSwapOption<ActorRef<Envelope<M>>>,
    gauges: Arc<Gauges>,
    /// How many messages may wait before calls are refused.
    limit: usize,
    /// One-way messages that found no actor wait here until the supervisor has started it anew.
    held: mpsc::UnboundedSender<Envelope<M>>,
    /// Tells the supervisor that something is held.
    wake: Box<dyn Fn() + Send + Sync>,
}

/// What travels through a `ractor` mailbox.
pub(crate) enum Envelope<M> {
    Letter(Letter<M>),
    /// It is time for [`State::tick`](crate::State::tick).
    Tick,
}

/// A message on its way.
pub(crate) struct Letter<M> {
    pub(crate) message: M,
    pub(crate) sent: Instant,
    /// When the caller stops waiting; one-way messages have none.
    pub(crate) deadline: Option<Instant>,
    pub(crate) place: Place,
}

/// A place in a mailbox, given back by `Drop`: when the letter is picked up, or lost together with its actor.
pub(crate) struct Place(Arc<Gauges>);

impl<M: Send + 'static> Address<M> {
    /// Asks, and waits for the answer `within` this time at most.
    ///
    /// # Errors
    /// [`Unreachable::Full`] at once when `mailbox_limit` messages wait already, [`Unreachable::Restarting`] at once when
    /// there is no actor; see there for the others.
    pub async fn call<R: Send + 'static>(
        &self,
        within: Duration,
        message: impl FnOnce(Reply<R>) -> M,
    ) -> Result<R, Unreachable> {
        let place = Place::below(self.0.limit, &self.0.gauges).ok_or(Unreachable::Full)?;
        let sent = Instant::now();
        let deadline = sent + within;
        let (reply, answer) = oneshot::channel();
        let message = message(Reply(reply));
        let actor = self
            .0
            .send(Envelope::Letter(Letter { message, sent, deadline: Some(deadline), place }))
            .map_err(|_| Unreachable::Restarting)?;
        match timeout_at(deadline, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(self.0.why_dropped(actor, deadline)),
            Err(_) => Err(Unreachable::Late),
        }
    }

    /// Sends one way. Never refused: a message that finds no actor is held for the next start. It is lost only after the
    /// supervisor was drained, or if the actor is killed before it was picked up.
    pub fn cast(&self, message: M) {
        let place = Place::any(&self.0.gauges);
        let letter = Letter { message, sent: Instant::now(), deadline: None, place };
        if let Err(Some(unsent)) = self.0.send(Envelope::Letter(letter)) {
            self.0.hold(unsent);
            // The actor may have been started since: then the supervisor passes it on now.
            (self.0.wake)();
        }
    }

    /// Whether nobody else has this address but the supervisor.
    pub(crate) fn is_last(&self) -> bool {
        Arc::strong_count(&self.0) <= 2
    }

    /// The actor's numbers.
    pub fn gauges(&self) -> &Arc<Gauges> {
        &self.0.gauges
    }

    pub(crate) fn new(mailbox: Arc<Mailbox<M>>) -> Self {
        Self(mailbox)
    }

    /// The actor that runs now, to be killed by a test.
    #[cfg(test)]
    pub(crate) fn actor(&self) -> ractor::ActorCell {
        self.0.actor.load_full().expect("the actor was started").get_cell()
    }
}

impl<M> Clone for Address<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M> fmt::Debug for Address<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Address").field(&self.0.gauges.name()).finish()
    }
}

impl<R> Reply<R> {
    /// Answers the call.
    ///
    /// # Errors
    /// Gives the answer back when the caller is gone, so that the state can undo what it did for it.
    pub fn send(self, answer: R) -> Result<(), R> {
        self.0.send(answer)
    }

    /// Whether the caller is gone: it hung up, or its deadline passed. Worth a look before expensive work.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the actor's mailbox is full",
            Self::Late => "the actor did not answer in time",
            Self::Restarting => "the actor is being restarted",
            Self::Failed => "the actor failed on this message",
        })
    }
}

impl error::Error for Unreachable {}

impl<M: Send + 'static> Mailbox<M> {
    /// A mailbox without an actor yet. The receiver gives what was held back; `wake` is called after each such message.
    pub(crate) fn new(
        gauges: Arc<Gauges>,
        limit: usize,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Envelope<M>>) {
        let (held, released) = mpsc::unbounded_channel();
        let mailbox = Self { actor: ArcSwapOption::empty(), gauges, limit, held, wake: Box::new(wake) };
        (Arc::new(mailbox), released)
    }

    /// From now on messages go to `actor`.
    pub(crate) fn refill(&self, actor: ActorRef<Envelope<M>>) {
        self.actor.store(Some(Arc::new(actor)));
    }

    pub(crate) fn gauges(&self) -> &Arc<Gauges> {
        &self.gauges
    }

    /// Sends to the actor that runs now, or gives the envelope back.
    /// `None` stands for errors that `ractor` knows and a typed reference cannot have.
    pub(crate) fn send(&self, envelope: Envelope<M>) -> Result<ActorId, Option<Envelope<M>>> {
        let actor = self.actor.load();
        let Some(actor) = actor.as_ref() else { return Err(Some(envelope)) };
        match actor.send_message(envelope) {
            Ok(()) => Ok(actor.get_id()),
            Err(MessagingErr::SendErr(envelope)) => Err(Some(envelope)),
            Err(MessagingErr::ChannelClosed | MessagingErr::InvalidActorType) => Err(None),
        }
    }

    /// Keeps the envelope until the next start of the actor.
    pub(crate) fn hold(&self, envelope: Envelope<M>) {
        if self.held.send(envelope).is_err() {
            tracing::debug!(actor = self.gauges.name(), "one-way message after the drain is dropped");
        }
    }

    /// The reply was dropped: skipped for its deadline, lost with its actor's queue, or dropped by the handler.
    fn why_dropped(&self, actor: ActorId, deadline: Instant) -> Unreachable {
        let current = self.actor.load();
        let lives = current
            .as_ref()
            .is_some_and(|now| now.get_id() == actor && now.get_status() < ActorStatus::Stopping);
        if Instant::now() >= deadline {
            Unreachable::Late
        } else if lives {
            Unreachable::Failed
        } else {
            Unreachable::Restarting
        }
    }
}

impl Place {
    fn below(limit: usize, gauges: &Arc<Gauges>) -> Option<Self> {
        gauges.enter_below(limit).then(|| Self(Arc::clone(gauges)))
    }

    fn any(gauges: &Arc<Gauges>) -> Self {
        gauges.enter();
        Self(Arc::clone(gauges))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.leave();
    }
}
