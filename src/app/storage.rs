//! Where windows are kept beside the actors that own them: the file that brings them back after a restart.

use std::time::Duration;

use actors::{
    quota::{
        Quota, Tracked,
        durable::{Durable, Keeping},
    },
    supervisor::Supervisor,
};

use super::StartError;
use crate::config::Storage;

/// For the last changes to be on the disk.
const LAST_WRITE: Duration = Duration::from_secs(5);

/// The file, and the actors whose windows are in it.
#[derive(Default)]
pub(super) struct Kept {
    file: Option<Durable>,
    quotas: Vec<(&'static str, Quota)>,
}

impl Kept {
    /// Opens the file, if one is configured.
    pub(super) async fn open(storage: &Storage) -> Result<Self, StartError> {
        let Storage::Memory { path: Some(path) } = storage else { return Ok(Self::default()) };
        let file = Durable::open(path.clone()).await.map_err(|error| StartError(error.to_string()))?;
        Ok(Self { file: Some(file), quotas: Vec::new() })
    }

    /// The clients of actors that are about to start, `most` of them.
    pub(super) fn tracked(&self, most: usize) -> Tracked {
        let tracked = Tracked::new(most);
        if self.file.is_some() { tracked.stored() } else { tracked }
    }

    /// These actors have started: they are given what is in the file under their name.
    pub(super) async fn restore(&mut self, name: &'static str, quota: &Quota) -> Result<(), StartError> {
        let Some(file) = &self.file else { return Ok(()) };
        file.restore(name, quota).await.map_err(|error| StartError(error.to_string()))?;
        self.quotas.push((name, quota.clone()));
        Ok(())
    }

    /// All have started: what changes from now on is written.
    pub(super) async fn keep(self, supervisor: &mut Supervisor) -> Option<Keeping> {
        Some(self.file?.keep(supervisor, self.quotas).await)
    }
}

/// Writes the last changes, once no call makes more of them.
pub(super) async fn write_last(keeping: Option<&Keeping>) {
    let Some(keeping) = keeping else { return };
    if let Err(error) = keeping.flush(LAST_WRITE).await {
        tracing::error!(error, "the last changes of limits are not in their file");
    }
}
