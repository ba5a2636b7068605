//! Where tokens are counted and bodies are written anew: short work at once, long work on the threads for blocking work, few at a time, so that one
//! client's novel does not delay another client's word.

use std::sync::Arc;

use bytes::Bytes;
use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::{
    chat::Prompt,
    error::Ours,
    tokens::{Counter, Progress, Tally},
};

/// Bytes that are counted at once on the connection's thread: about 0.1 ms of work.
const AT_ONCE: usize = 8 * 1024;

/// Bytes that are written anew at once: as long as that.
const WRITTEN_AT_ONCE: usize = 64 * 1024;

/// The counter, and how many long counts run at a time.
#[derive(Clone)]
pub struct Counting {
    counter: Arc<Counter>,
    long: Arc<Semaphore>,
}

impl Counting {
    /// Long counts take at most as many threads as there are cores.
    pub fn new(counter: Arc<Counter>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { counter, long: Arc::new(Semaphore::new(cores)) }
    }

    /// The input tokens of a request; above `ceiling` any number above it.
    pub(super) async fn estimate<P>(&self, body: &Bytes, prompt: &Arc<P>, ceiling: Option<u64>) -> u64
    where
        P: Prompt + Send + Sync + 'static,
    {
        match self.counter.advance(body, prompt.as_ref(), Tally::default(), ceiling, AT_ONCE) {
            Progress::Done(estimate) => estimate.tokens,
            Progress::More(rest) => self.long(body.clone(), Arc::clone(prompt), rest, ceiling).await,
        }
    }

    /// Writes a body of `size` bytes anew.
    ///
    /// # Errors
    /// [`Ours::Internal`] when that panicked.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        size: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Ours> {
        if size <= WRITTEN_AT_ONCE {
            return Ok(work());
        }
        let permit = Arc::clone(&self.long).acquire_owned().await;
        let written = spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        written.await.map_err(|_| Ours::Internal)
    }

    async fn long<P>(&self, body: Bytes, prompt: Arc<P>, rest: Tally, ceiling: Option<u64>) -> u64
    where
        P: Prompt + Send + Sync + 'static,
    {
        // The semaphore is never closed; without a permit the count would only be less orderly.
        let permit = Arc::clone(&self.long).acquire_owned().await;
        let counter = Arc::clone(&self.counter);
        let counted = spawn_blocking(move || {
            let _permit = permit;
            counter.advance(&body, prompt.as_ref(), rest, ceiling, usize::MAX)
        });
        match counted.await {
            Ok(Progress::Done(estimate)) => estimate.tokens,
            // The count panicked (a bug, logged by the panic hook): nobody may spend what cannot be counted.
            Ok(Progress::More(_)) | Err(_) => u64::MAX,
        }
    }
}
