//! Actors that come and go together, and run as long as anything needs them: whoever leads calls to them has a hold.

use std::{sync::Arc, time::Duration};

use actors::{observe::Gauges, supervisor::Supervisor};
use tokio::sync::mpsc;

/// For actors to finish what waits in their mailboxes; microseconds of work each.
const ACTORS_FINISH: Duration = Duration::from_secs(5);

/// Dropped, its actors run until the last hold is given back, and then end.
pub(super) struct Crew<T> {
    /// The way to the actors.
    pub(super) lead: T,
    /// Nothing is ever sent: when the last of them is gone, the receiver sees the end.
    hold: mpsc::Sender<()>,
    /// `None` once it is drained.
    keeper: Option<Keeper>,
}

struct Keeper {
    supervisor: Supervisor,
    gone: mpsc::Receiver<()>,
}

impl<T> Crew<T> {
    pub(super) fn new(supervisor: Supervisor, lead: T) -> Self {
        let (hold, gone) = mpsc::channel(1);
        Self { lead, hold, keeper: Some(Keeper { supervisor, gone }) }
    }

    /// As long as it is held, the actors run.
    pub(super) fn hold(&self) -> mpsc::Sender<()> {
        self.hold.clone()
    }

    /// The numbers of its actors.
    pub(super) fn gauges(&self) -> impl Iterator<Item = &Arc<Gauges>> {
        self.keeper.iter().flat_map(|keeper| keeper.supervisor.gauges())
    }

    /// For more actors of the crew.
    pub(super) fn enlarge(&mut self) -> Option<(&mut T, &mut Supervisor)> {
        Some((&mut self.lead, &mut self.keeper.as_mut()?.supervisor))
    }

    /// Lets the actors finish what they have, whoever holds them, and ends them.
    pub(super) async fn drain(mut self) {
        if let Some(keeper) = self.keeper.take() {
            keeper.supervisor.drain(ACTORS_FINISH).await;
        }
    }
}

impl<T> Drop for Crew<T> {
    fn drop(&mut self) {
        if let Some(Keeper { supervisor, mut gone }) = self.keeper.take() {
            tokio::spawn(async move {
                let _ = gone.recv().await;
                supervisor.drain(ACTORS_FINISH).await;
            });
        }
    }
}
