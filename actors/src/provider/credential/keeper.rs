//! The state of the actor: the standing credential, the try that renews it, and who waits.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::time::{Instant, timeout};

use super::{
    Failed, Got, MAILBOX, Opened, Source, Standing, Unavailable,
    files::Files,
    schedule::{self, Schedule},
};
use crate::{
    address::{Address, Reply},
    guarded::State,
    observe::Own,
    supervisor::{Supervisor, chance},
};

/// The most callers that wait.
const WAITING: usize = 1024;

/// What a caller is told.
type Current = Result<Arc<Opened>, Unavailable>;

/// What the actor understands.
pub(super) enum Message {
    /// A good credential is needed: the standing one, or what the try brings that runs or is due.
    Current(Reply<Current>),
    /// What the try brought that was begun at this time.
    Tried(Instant, Result<Got, Failed>),
    /// Begin, rather than wait for the first tick.
    Begin,
}

/// What never changes.
struct Fixed {
    source: Source,
    files: Files,
    /// What calls read; written by this actor only.
    standing: Arc<ArcSwapOption<Standing>>,
    /// Where the task that gets credentials reports to: this very actor.
    home: OnceLock<Address<Message>>,
}

pub(super) struct Keeper {
    fixed: Arc<Fixed>,
    schedule: Schedule,
    /// Why the last try failed.
    reason: Option<Arc<str>>,
    waiting: Vec<Reply<Current>>,
    own: Own,
}

/// Names of the actor's own numbers, in the order of the constants below.
const NAMES: &[&str] = &["age_seconds", "refreshes", "failures"];
/// How old the standing credential is; 0 without one.
const AGE: usize = 0;
/// Tries begun.
const REFRESHES: usize = 1;
/// Tries that brought nothing.
const FAILURES: usize = 2;

/// Starts the actor, and its first try.
pub(super) async fn spawn(
    supervisor: &mut Supervisor,
    name: &str,
    source: Source,
    files: Files,
    standing: Arc<ArcSwapOption<Standing>>,
) -> Address<Message> {
    let fixed = Arc::new(Fixed { source, files, standing, home: OnceLock::new() });
    let theirs = Arc::clone(&fixed);
    let actor = supervisor.spawn(name, MAILBOX, move |own| Keeper::new(Arc::clone(&theirs), own)).await;
    // It is set nowhere else.
    let _ = fixed.home.set(actor.clone());
    actor.cast(Message::Begin);
    actor
}

// === impl Keeper ===

impl Keeper {
    fn new(fixed: Arc<Fixed>, own: Own) -> Self {
        let schedule = Schedule::new(Instant::now());
        Self { fixed, schedule, reason: None, waiting: Vec::new(), own }
    }

    /// The credential that stands and has not expired.
    fn good(&self, now: Instant) -> Option<Arc<Opened>> {
        let standing = self.fixed.standing.load();
        let good = standing.as_ref().filter(|standing| standing.is_good(now));
        good.map(|standing| Arc::clone(&standing.opened))
    }

    fn on_current(&mut self, reply: Reply<Current>) {
        if let Some(opened) = self.good(Instant::now()) {
            return drop(reply.send(Ok(opened)));
        }
        self.try_if_due();
        match self.schedule.running() {
            Some(_) => self.wait(reply),
            None => drop(reply.send(Err(self.refusal()))),
        }
    }

    fn wait(&mut self, reply: Reply<Current>) {
        if self.waiting.len() >= WAITING {
            self.waiting.retain(|reply| !reply.is_closed());
        }
        if self.waiting.len() >= WAITING {
            drop(reply.send(Err(Unavailable::Crowded)));
        } else {
            self.waiting.push(reply);
        }
    }

    fn refusal(&self) -> Unavailable {
        let reason = self.reason.clone();
        Unavailable::Failed(reason.unwrap_or_else(|| "the credential has expired".into()))
    }

    fn on_tried(&mut self, begun: Instant, tried: Result<Got, Failed>) {
        // One that was given up reports after all: what it says is old.
        if self.schedule.running() != Some(begun) {
            return;
        }
        match tried {
            Ok(got) => self.adopt(begun, got),
            Err(failed) => self.on_failed(&failed),
        }
    }

    fn adopt(&mut self, begun: Instant, Got { opened, life }: Got) {
        let now = Instant::now();
        let until = life.and_then(|life| begun.checked_add(life));
        if until.is_some_and(|until| until <= now) {
            return self.on_failed(&Failed::new("the credential that was given has expired already"));
        }
        let opened = Arc::new(opened);
        let standing = Standing { opened: Arc::clone(&opened), since: begun, until };
        self.fixed.standing.store(Some(Arc::new(standing)));
        self.schedule.on_got(now, until, chance());
        self.reason = None;
        self.note_age(now);
        tracing::debug!(actor = self.own.0.name(), expires_in = ?life, "credential renewed");
        for reply in self.waiting.drain(..) {
            // Who is gone needs no answer.
            let _ = reply.send(Ok(Arc::clone(&opened)));
        }
    }

    fn on_failed(&mut self, failed: &Failed) {
        let now = Instant::now();
        let again = self.schedule.on_failed(now, chance());
        let kept = self.good(now).is_some();
        self.own.add(FAILURES, 1);
        self.reason = Some(failed.to_string().into());
        tracing::warn!(actor = self.own.0.name(), error = %failed, kept, ?again, "the credential could not be renewed");
        let refusal = self.refusal();
        for reply in self.waiting.drain(..) {
            let _ = reply.send(Err(refusal.clone()));
        }
    }

    /// Starts the task that gets a credential, if it is time. It reports in any case, and in time.
    fn try_if_due(&mut self) {
        let now = Instant::now();
        if self.schedule.is_lost(now) {
            self.on_failed(&Failed::new("nothing was heard of the try to get a credential"));
        }
        // Before the address is known there would be nobody to report to.
        let Some(home) = self.fixed.home.get().cloned() else { return };
        if !self.schedule.is_due(now) {
            return;
        }
        self.own.add(REFRESHES, 1);
        let fixed = Arc::clone(&self.fixed);
        let tried = tokio::spawn(async move {
            let opened = timeout(schedule::TRY, fixed.source.open(&fixed.files)).await;
            opened.unwrap_or_else(|_| Err(Failed::new("no credential in time")))
        });
        tokio::spawn(async move {
            let tried = tried.await.unwrap_or_else(|_| Err(Failed::new("getting a credential failed")));
            home.cast(Message::Tried(now, tried));
        });
    }

    fn note_age(&self, now: Instant) {
        let standing = self.fixed.standing.load();
        let age = standing.as_ref().map_or(Duration::ZERO, |standing| now.duration_since(standing.since));
        self.own.set(AGE, i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
    }
}

impl State for Keeper {
    type Message = Message;
    /// How exactly the time ahead of an expiry is kept.
    const TICK: Option<Duration> = Some(Duration::from_millis(250));
    const OWN: &'static [&'static str] = NAMES;

    fn handle(&mut self, message: Message) {
        match message {
            Message::Current(reply) => self.on_current(reply),
            Message::Tried(begun, tried) => self.on_tried(begun, tried),
            Message::Begin => self.try_if_due(),
        }
    }

    fn tick(&mut self) {
        self.try_if_due();
        self.note_age(Instant::now());
    }
}
