//! Where windows are kept beside the actors that own them, or in their place: a file that brings them back after a
//! restart, or a server that several routers share.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use actors::{
    observe::Gauges,
    quota::{
        Quota, Store, Tracked,
        durable::{Durable, Keeping},
    },
    supervisor::Supervisor,
};

use super::{StartError, crew::Crew};
use crate::config::{Config, Storage};

/// For the last changes to be on the disk or on the server.
const LAST_WRITE: Duration = Duration::from_secs(5);

/// What windows are kept in.
pub(super) enum Kept {
    /// The actors alone.
    Nowhere,
    /// The actors, and a file that its writer keeps in step.
    File(Crew<(Durable, Keeping)>),
    /// A server; the actors while it is out.
    Server(Store),
}

impl Kept {
    /// Opens the file, or connects to the server.
    pub(super) async fn open(config: &Config) -> Result<Self, StartError> {
        let path = match &config.server.storage {
            Storage::Memory { path: None } => return Ok(Self::Nowhere),
            Storage::Memory { path: Some(path) } => path.clone(),
            Storage::Redis(redis) => {
                let store = Store::start(redis, config.actors.quota_shards).await;
                return Ok(Self::Server(store.map_err(StartError)?));
            }
        };
        let file = Durable::open(path).await.map_err(|error| StartError(error.to_string()))?;
        let mut supervisor = Supervisor::start("storage").await;
        let keeping = file.keep(&mut supervisor).await;
        Ok(Self::File(Crew::new(supervisor, (file, keeping))))
    }

    /// Starts actors whose windows are what is kept under their name.
    pub(super) async fn start(
        &self,
        supervisor: &mut Supervisor,
        (name, count): (&'static str, NonZeroUsize),
        mailbox_limit: usize,
        max_clients: usize,
    ) -> Result<Quota, StartError> {
        let tracked = Tracked::new(max_clients);
        Ok(match self {
            Self::Nowhere => Quota::start(supervisor, name, count, mailbox_limit, tracked).await,
            Self::Server(store) => {
                let store = store.apart(name);
                Quota::start_stored(supervisor, name, count, mailbox_limit, tracked, store).await
            }
            Self::File(Crew { lead: (file, keeping), .. }) => {
                let quota = Quota::start(supervisor, name, count, mailbox_limit, tracked.stored()).await;
                file.restore(name, &quota).await.map_err(|error| StartError(error.to_string()))?;
                keeping.follow(name, &quota);
                quota
            }
        })
    }

    /// The actors of this name have handed over what they had to these. What they were still to tell is written first.
    pub(super) async fn follow(&self, name: &'static str, quota: &Quota) {
        if let Self::File(Crew { lead: (_, keeping), .. }) = self {
            if let Err(error) = keeping.flush(LAST_WRITE).await {
                tracing::warn!(error, "limits that end while they move may stay in their file");
            }
            keeping.follow(name, quota);
        }
    }

    /// The writer's numbers.
    pub(super) fn gauges(&self) -> impl Iterator<Item = &Arc<Gauges>> {
        let crew = if let Self::File(crew) = self { Some(crew) } else { None };
        crew.into_iter().flat_map(Crew::gauges)
    }

    /// Writes the last changes to the file, once no call makes more of them and while the actors still know them.
    pub(super) async fn write_last(&self) {
        if let Self::File(Crew { lead: (_, keeping), .. }) = self
            && let Err(error) = keeping.flush(LAST_WRITE).await
        {
            tracing::error!(error, "the last changes of limits are not in their file");
        }
    }

    /// Waits until the server has what the actors, which are gone, have left for it.
    pub(super) async fn settle_last(&self) {
        if let Self::Server(store) = self {
            store.flush(LAST_WRITE).await;
        }
    }
}
