//! Windows that outlive the process: one file, written behind the calls' backs.
//!
//! ```text
//!   shard ──what has changed──▶ writer (an actor; four times a second) ──one synced transaction──▶ file
//!   start: file ──every account──▶ shard, before the first call
//! ```
//!
//! No call waits for the file. A clean stop loses nothing, a killed process what changed since the last write: a second at
//! most while the disk keeps up. Windows of a minute or less, and what calls under way hold, are not stored. Units:
//! nanoseconds of the wall clock.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{task::spawn_blocking, time::timeout};

use self::{
    file::File,
    writer::{Message, Quotas, Source, Writer},
};
use super::Quota;
use crate::{address::Address, supervisor::Supervisor};

mod file;
mod writer;

/// The file of a process, open and held against others. Clones are the same file.
#[derive(Clone)]
pub struct Durable {
    file: Arc<File>,
    path: Arc<Path>,
}

/// The way to the actor that writes the file, and whose changes it writes. Clones are the same.
#[derive(Clone)]
pub struct Keeping {
    writer: Address<Message>,
    quotas: Arc<Quotas>,
}

/// Why the file cannot be used; for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    path: PathBuf,
    why: String,
}

/// The writer is asked by few.
const MAILBOX: usize = 16;

impl Durable {
    /// Opens the file, or makes it, and checks that it is whole. Blocks for as long as that takes: it is read once.
    ///
    /// # Errors
    /// It is damaged, of another version, held by another process, or cannot be read and written.
    pub async fn open(path: PathBuf) -> Result<Self, Unusable> {
        let opened = path.clone();
        let file = spawn_blocking(move || File::open(&opened)).await;
        let file = file.unwrap_or_else(|_| Err("the file is damaged".to_owned()));
        match file {
            Ok(file) => Ok(Self { file: Arc::new(file), path: path.into() }),
            Err(why) => Err(Unusable { path, why }),
        }
    }

    /// Hands everything that is stored under this name to the actors, ahead of whatever is asked of them later.
    ///
    /// # Errors
    /// The file is damaged.
    pub async fn restore(&self, name: &'static str, quota: &Quota) -> Result<(), Unusable> {
        let (file, quota) = (Arc::clone(&self.file), quota.clone());
        let read = spawn_blocking(move || file.read(name, |accounts| quota.restore(accounts))).await;
        let read = read.unwrap_or_else(|_| Err("the file is damaged".to_owned()));
        read.map_err(|why| Unusable { path: self.path.to_path_buf(), why })
    }

    /// Starts the actor that writes to the file what changes in the quotas that it is told to [`follow`](Keeping::follow).
    pub async fn keep(&self, supervisor: &mut Supervisor) -> Keeping {
        let (home, quotas) = (Arc::new(OnceLock::new()), Arc::<Quotas>::default());
        let source =
            Source { file: Arc::clone(&self.file), quotas: Arc::clone(&quotas), home: Arc::clone(&home) };
        let source = Arc::new(source);
        let writer =
            supervisor.spawn("quota-file", MAILBOX, move |own| Writer::new(Arc::clone(&source), own)).await;
        // It is set nowhere else.
        let _ = home.set(writer.clone());
        Keeping { writer, quotas }
    }
}

impl Keeping {
    /// From now on what changes in `quota` is written under this name, in place of what had the name before: that has
    /// handed over all it had.
    pub fn follow(&self, name: &'static str, quota: &Quota) {
        self.quotas.rcu(|quotas| {
            let others = quotas.iter().filter(|(other, _)| *other != name).cloned();
            others.chain([(name, quota.clone())]).collect::<Vec<_>>()
        });
    }

    /// Writes what has changed until now. For the end, when no call is under way.
    ///
    /// # Errors
    /// It is not all written `within` this time.
    pub async fn flush(&self, within: Duration) -> Result<(), String> {
        match timeout(within, self.writer.call(within, Message::Flush)).await {
            Ok(Ok(flushed)) => flushed,
            Ok(Err(gone)) => Err(gone.to_string()),
            Err(_) => Err("not written in time".to_owned()),
        }
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' cannot be used as storage: {}", self.path.display(), self.why)
    }
}

#[cfg(test)]
mod tests;
