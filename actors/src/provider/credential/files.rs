//! Files with credentials in them, read off the runtime's threads.

use std::{io::ErrorKind, path::Path, sync::Arc};

use tokio::{task::spawn_blocking, time::timeout};

use super::Failed;
use crate::{fetch, file, gate::Gate};

/// Reads files, one at a time: a disk that hangs takes one thread, not one more at each try.
#[derive(Clone, Debug)]
pub(super) struct Files(Arc<Gate>);

impl Files {
    pub(super) fn new() -> Self {
        Self(Gate::new(1))
    }

    /// What is in the file, or `None` if there is none.
    ///
    /// # Errors
    /// When it cannot be read, is larger than 1 MiB, no text, or not read within 5 s.
    pub(super) async fn read_if_any(&self, path: &Path) -> Result<Option<String>, Failed> {
        let failed = |reason: &str| Failed::new(reason).at(path.display());
        let place = self.0.enter(1).ok_or_else(|| failed("another file is still being read"))?;
        let owned = path.to_owned();
        let read = spawn_blocking(move || {
            let _place = place;
            file::read(&owned)
        });
        let read = timeout(fetch::WITHIN, read).await.map_err(|_| failed("not read in time"))?;
        match read.map_err(|_| failed("reading it failed"))? {
            Ok(content) => String::from_utf8(content).map(Some).map_err(|_| failed("it is no text in UTF-8")),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&format!("cannot be read: {error}"))),
        }
    }

    /// What is in the file.
    ///
    /// # Errors
    /// As [`read_if_any`](Self::read_if_any), and when there is no such file.
    pub(super) async fn read(&self, path: &Path) -> Result<String, Failed> {
        let content = self.read_if_any(path).await?;
        content.ok_or_else(|| Failed::new("there is no such file").at(path.display()))
    }
}
