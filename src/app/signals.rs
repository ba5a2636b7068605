//! What a running server is told from outside: by signals, and by its file where that is watched. Reads the file again and
//! passes on what is good; what is not is told as `nexus check` tells it.

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::spawn_blocking,
    time::sleep,
};

use super::Told;
use crate::{
    cli,
    config::{
        Config,
        diagnostic::{Report, Severity},
        watch::Watch,
    },
    telemetry::{LogOptions, Style},
};

/// Between two looks at a watched file; what is there at two of them is taken for whole.
const LOOK: Duration = Duration::from_millis(250);

/// Where a configuration comes from.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) file: PathBuf,
    /// Where clients connect, whatever the file says.
    pub(super) listen_address: Option<SocketAddr>,
    pub(super) log: LogOptions,
}

/// The system's signals, and the file's.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    watch: Option<Watch>,
    source: Source,
}

impl Signals {
    pub(super) fn listen(source: Source, watch: bool) -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            watch: watch.then(|| Watch::new(source.file.clone())),
            source,
        })
    }

    pub(super) async fn next(&mut self) -> Told {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Told::End,
                _ = self.interrupt.recv() => return Told::End,
                _ = self.hangup.recv() => {}
                () = changed(self.watch.as_mut()) => {}
            }
            let source = self.source.clone();
            // A disk may keep its reader waiting. A panic is a bug, and its hook has told it.
            if let Ok(Some(config)) = spawn_blocking(move || source.read()).await {
                return Told::Adopt(Box::new(config));
            }
        }
    }
}

/// Returns when the file has changed; never where none is watched.
async fn changed(watch: Option<&mut Watch>) {
    let Some(watch) = watch else { return std::future::pending().await };
    loop {
        sleep(LOOK).await;
        if watch.look() {
            return;
        }
    }
}

impl Source {
    fn read(&self) -> Option<Config> {
        let read = cli::read(&self.file, self.listen_address);
        let (Ok((_, report)) | Err(report)) = &read;
        if self.log.style == Some(Style::Json) {
            tell(report);
        } else {
            cli::show(report);
        }
        if let Err(report) = &read {
            let problems =
                report.diagnostics.iter().filter(|one| one.code.severity() == Severity::Error).count();
            tracing::error!(file = %self.file.display(), problems, "configuration not reloaded: the file is refused, and what was running goes on");
        }
        Some(read.ok()?.0)
    }
}

/// The problems of a file, as lines of the log.
pub(super) fn tell(report: &Report) {
    for one in &report.diagnostics {
        let (line, column) = report.position(one.at.start);
        match one.code.severity() {
            Severity::Error => tracing::error!(line, column, code = one.code.name(), "{}", one.message),
            Severity::Warning => tracing::warn!(line, column, code = one.code.name(), "{}", one.message),
        }
    }
}
