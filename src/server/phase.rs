//! The phases of a server's life, as everything that serves a call sees them.

use std::{
    pin::Pin,
    task::{Context, Waker},
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

/// Tells one task when a phase has begun. Cheap to ask again: the shared list of waiting tasks, which has a lock, is only
/// touched when the answer may have changed.
pub(super) struct Awaited {
    phases: Phases,
    phase: Phase,
    seen: watch::Receiver<Phase>,
    waiting: Option<(Waker, Waiting)>,
}

type Waiting = Pin<Box<dyn Future<Output = ()> + Send>>;

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

    /// For a task that is woken often and wants to know of `phase`.
    pub(super) fn awaited(&self, phase: Phase) -> Awaited {
        Awaited { phases: self.clone(), phase, seen: self.0.clone(), waiting: None }
    }

    /// Waits until `phase` has begun.
    pub async fn reached(&self, phase: Phase) {
        // The sender lives as long as the server; without one there is nothing left to wait for.
        let _ = self.0.clone().wait_for(|now| *now >= phase).await;
    }
}

impl Awaited {
    /// Whether the phase has begun; if not, the task is woken when it has.
    pub(super) fn is_now(&mut self, cx: &mut Context<'_>) -> bool {
        let known = self.waiting.as_ref().is_some_and(|(waker, _)| waker.will_wake(cx.waker()));
        if known && !self.seen.has_changed().unwrap_or(true) {
            return false;
        }
        let now = *self.seen.borrow_and_update();
        if now >= self.phase {
            return true;
        }
        let (phases, phase) = (self.phases.clone(), self.phase);
        let mut waiting: Waiting = Box::pin(async move { phases.reached(phase).await });
        let over = waiting.as_mut().poll(cx).is_ready();
        self.waiting = Some((cx.waker().clone(), waiting));
        over
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, task::Poll};

    use super::*;

    #[tokio::test]
    async fn a_task_is_told_once_its_phase_has_begun_and_not_before() {
        let (sender, phases) = Phases::new();
        let mut cutting = phases.awaited(Phase::Cutting);
        for _ in 0..3 {
            assert!(!poll_fn(|cx| Poll::Ready(cutting.is_now(cx))).await);
        }
        sender.send_replace(Phase::Draining);
        assert!(!poll_fn(|cx| Poll::Ready(cutting.is_now(cx))).await);
        let task = tokio::spawn(async move {
            poll_fn(|cx| if cutting.is_now(cx) { Poll::Ready(()) } else { Poll::Pending }).await;
        });
        tokio::task::yield_now().await;
        assert!(!task.is_finished());
        sender.send_replace(Phase::Cutting);
        task.await.expect("woken");
    }
}
