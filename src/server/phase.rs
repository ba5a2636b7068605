//! The phases of a server's life, as everything that serves a call sees them.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::sync::watch;

/// Where the server is on its way from start to end. Only ever moves on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Open.
    Serving,
    /// `/ready` says no; still accepting.
    Leaving,
    /// No new connections; calls finish.
    Draining,
    /// What is left is cut off.
    Cutting,
    /// Over.
    Ended,
}

impl Phase {
    /// For the operator.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Leaving => "leaving",
            Self::Draining => "draining",
            Self::Cutting => "cutting",
            Self::Ended => "ended",
        }
    }
}

/// Sees the phase change. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Phases(watch::Receiver<Phase>);

/// Tells one stream that it is being cut off.
pub(super) struct Cut {
    phases: Phases,
    waiting: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Phases {
    /// A life that begins in [`Phase::Serving`], and the way to move it on.
    pub fn new() -> (watch::Sender<Phase>, Self) {
        let (sender, receiver) = watch::channel(Phase::Serving);
        (sender, Self(receiver))
    }

    /// The phase now.
    pub fn now(&self) -> Phase {
        *self.0.borrow()
    }

    /// Waits until `phase` has begun.
    pub async fn reached(&self, phase: Phase) {
        // The sender lives as long as the server; without one there is nothing left to wait for.
        let _ = self.0.clone().wait_for(|now| *now >= phase).await;
    }
}

impl Cut {
    pub(super) fn new(phases: Phases) -> Self {
        Self { phases, waiting: None }
    }

    /// Whether calls are being cut off; if not, the task is woken when they are.
    pub(super) fn is_now(&mut self, cx: &mut Context<'_>) -> bool {
        let phases = &self.phases;
        let waiting = self.waiting.get_or_insert_with(|| {
            let phases = phases.clone();
            Box::pin(async move { phases.reached(Phase::Cutting).await })
        });
        matches!(waiting.as_mut().poll(cx), Poll::Ready(()))
    }
}
