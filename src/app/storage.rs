//! Where windows are kept beside the actors that own them: the file that brings them back after a restart.

use std::{num::NonZeroUsize, time::Duration};

use actors::{
    quota::{
        Quota, Tracked,
        durable::{Durable, Keeping},
    },
    supervisor::Supervisor,
};

use super::{StartError, crew::Crew};
use crate::config::Storage;

/// For the last changes to be on the disk.
const LAST_WRITE: Duration = Duration::from_secs(5);

/// The file and its writer, if windows are kept in one.
pub(super) struct Kept(Option<Crew<(Durable, Keeping)>>);

impl Kept {
    /// Opens the file, if one is configured.
    pub(super) async fn open(storage: &Storage) -> Result<Self, StartError> {
        let Storage::Memory { path: Some(path) } = storage else { return Ok(Self(None)) };
        let file = Durable::open(path.clone()).await.map_err(|error| StartError(error.to_string()))?;
        let mut supervisor = Supervisor::start("storage").await;
        let keeping = file.keep(&mut supervisor).await;
        Ok(Self(Some(Crew::new(supervisor, (file, keeping)))))
    }

    /// Starts actors whose windows are what the file has under their name, and are written to it from now on.
    pub(super) async fn start(
        &self,
        supervisor: &mut Supervisor,
        (name, count): (&'static str, NonZeroUsize),
        mailbox_limit: usize,
        max_clients: usize,
    ) -> Result<Quota, StartError> {
        let tracked = Tracked::new(max_clients);
        let Some(Crew { lead: (file, keeping), .. }) = &self.0 else {
            return Ok(Quota::start(supervisor, name, count, mailbox_limit, tracked).await);
        };
        let quota = Quota::start(supervisor, name, count, mailbox_limit, tracked.stored()).await;
        file.restore(name, &quota).await.map_err(|error| StartError(error.to_string()))?;
        keeping.follow(name, &quota);
        Ok(quota)
    }

    /// The actors of this name have handed over what they had.
    pub(super) fn follow(&self, name: &'static str, quota: &Quota) {
        if let Some(crew) = &self.0 {
            crew.lead.1.follow(name, quota);
        }
    }

    /// The writer's numbers.
    pub(super) fn gauges(&self) -> impl Iterator<Item = &std::sync::Arc<actors::observe::Gauges>> {
        self.0.iter().flat_map(Crew::gauges)
    }

    /// Writes the last changes, once no call makes more of them.
    pub(super) async fn write_last(&self) {
        let Some(crew) = &self.0 else { return };
        if let Err(error) = crew.lead.1.flush(LAST_WRITE).await {
            tracing::error!(error, "the last changes of limits are not in their file");
        }
    }
}
