//! The actor that writes what has changed. Its state is what could not be written yet; the disk is a task's business, one
//! at a time, which reports back. A restart loses what the task held.

use std::{
    mem,
    sync::{Arc, OnceLock},
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::task::spawn_blocking;

use super::file::{Entry, File, entry};
use crate::{
    address::{Address, Reply},
    guarded::State,
    observe::Own,
    quota::Quota,
};

/// What the actor understands.
pub(super) enum Message {
    /// Write what has changed until now, and answer then.
    Flush(Reply<Result<(), String>>),
    /// A task has ended.
    Wrote(Result<Wrote, Failed>),
}

/// Whose changes are written, each under its name.
pub(super) type Quotas = ArcSwap<Vec<(&'static str, Quota)>>;

/// What is kept where.
pub(super) struct Source {
    pub(super) file: Arc<File>,
    pub(super) quotas: Arc<Quotas>,
    /// The actor's own address, once it is known.
    pub(super) home: Arc<OnceLock<Address<Message>>>,
}

/// What is to be written, by table: of each account the newest last.
type Batch = Vec<(&'static str, Vec<Entry>)>;

/// What a task has done.
pub(super) struct Wrote {
    entries: usize,
    /// There may be more.
    more: bool,
}

/// What it has not done, and why.
pub(super) struct Failed {
    why: String,
    /// `None`: as before.
    unwritten: Option<Arc<Batch>>,
}

pub(super) struct Writer {
    source: Arc<Source>,
    own: Own,
    /// Whether a task runs.
    running: bool,
    /// What a task could not write. Nothing new is asked for until it is written.
    unwritten: Arc<Batch>,
    /// Who waits for the task that runs.
    waiting: Vec<Reply<Result<(), String>>>,
    /// Who waits for the one after it.
    next: Vec<Reply<Result<(), String>>>,
    failing: bool,
}

/// Of each shard and task, so that neither a handler takes long nor a batch grows large.
const AT_ONCE: usize = 2_048;
/// Positions in [`State::OWN`].
const WRITTEN: usize = 0;
const FAILURES: usize = 1;

// === impl Writer ===

impl Writer {
    pub(super) fn new(source: Arc<Source>, own: Own) -> Self {
        let (unwritten, waiting, next) = Default::default();
        Self { source, own, running: false, unwritten, waiting, next, failing: false }
    }

    fn on_flush(&mut self, reply: Reply<Result<(), String>>) {
        self.next.push(reply);
        self.begin();
    }

    /// Starts a task, unless one runs.
    fn begin(&mut self) {
        // Before the address is known there would be nobody to report to.
        let Some(home) = self.source.home.get().cloned().filter(|_| !self.running) else { return };
        self.running = true;
        self.waiting.append(&mut self.next);
        let (source, unwritten) = (Arc::clone(&self.source), Arc::clone(&self.unwritten));
        let task = tokio::spawn(async move { source.round(unwritten).await });
        tokio::spawn(async move {
            let failed =
                |_| Err(Failed { why: "the task that writes has failed".to_owned(), unwritten: None });
            home.cast(Message::Wrote(task.await.unwrap_or_else(failed)));
        });
    }

    fn on_wrote(&mut self, wrote: Result<Wrote, Failed>) {
        self.running = false;
        match wrote {
            Ok(Wrote { entries, more }) => self.on_success(entries, more),
            Err(failed) => self.on_failure(failed),
        }
    }

    fn on_success(&mut self, entries: usize, more: bool) {
        self.unwritten = Arc::default();
        self.own.add(WRITTEN, i64::try_from(entries).unwrap_or(i64::MAX));
        if mem::take(&mut self.failing) {
            tracing::info!("limits are written to their file again");
        }
        if !more {
            self.waiting.drain(..).for_each(|reply| drop(reply.send(Ok(()))));
        }
        if more || !self.next.is_empty() {
            self.begin();
        }
    }

    /// The next tick tries again.
    fn on_failure(&mut self, Failed { why, unwritten }: Failed) {
        self.own.add(FAILURES, 1);
        if !mem::replace(&mut self.failing, true) {
            tracing::error!(
                error = why,
                "limits cannot be written to their file: a restart would forget them"
            );
        }
        if let Some(unwritten) = unwritten {
            self.unwritten = unwritten;
        }
        self.waiting.drain(..).for_each(|reply| drop(reply.send(Err(why.clone()))));
    }
}

impl State for Writer {
    type Message = Message;
    const TICK: Option<Duration> = Some(Duration::from_millis(250));
    const OWN: &'static [&'static str] = &["written", "failures"];

    fn handle(&mut self, message: Message) {
        match message {
            Message::Flush(reply) => self.on_flush(reply),
            Message::Wrote(wrote) => self.on_wrote(wrote),
        }
    }

    fn tick(&mut self) {
        self.begin();
    }
}

// === impl Source ===

impl Source {
    /// Writes what was left over, and then what has changed.
    async fn round(&self, left: Arc<Batch>) -> Result<Wrote, Failed> {
        let before = self.write(left).await?;
        let (mut batch, mut more, mut gone) = (Batch::new(), false, None);
        for (table, quota) in self.quotas.load_full().iter() {
            let mut changes = Vec::new();
            match quota.changes(AT_ONCE, &mut changes).await {
                Ok(rest) => more |= rest,
                Err(unreachable) => gone = Some(unreachable),
            }
            batch.push((table, changes.into_iter().map(entry).collect()));
        }
        let entries = before + self.write(Arc::new(batch)).await?;
        match gone {
            Some(gone) => Err(Failed { why: gone.to_string(), unwritten: Some(Arc::default()) }),
            None => Ok(Wrote { entries, more }),
        }
    }

    /// Writes entries, and tells how many.
    async fn write(&self, batch: Arc<Batch>) -> Result<usize, Failed> {
        let count = batch.iter().map(|(_, entries)| entries.len()).sum();
        if count == 0 {
            return Ok(0);
        }
        let (file, theirs) = (Arc::clone(&self.file), Arc::clone(&batch));
        let why = match spawn_blocking(move || file.write(&theirs)).await {
            Ok(Ok(())) => return Ok(count),
            Ok(Err(error)) => error.to_string(),
            Err(panic) => panic.to_string(),
        };
        Err(Failed { why, unwritten: Some(batch) })
    }
}
