//! The phases of a server's life, as everything that serves a call sees them.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Wake, Waker},
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
/// touched when it has called.
pub(super) struct Awaited {
    phases: Phases,
    phase: Phase,
    waiting: Option<(Arc<Bell>, Waiting)>,
}

type Waiting = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Wakes a task and remembers that it did. A wait that has called must be polled again, or it never calls again: that
/// the phase has not changed since the task last looked says nothing, for it may have looked before it was called.
struct Bell {
    rung: AtomicBool,
    task: Waker,
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

    /// For a task that is woken often and wants to know of `phase`.
    pub(super) fn awaited(&self, phase: Phase) -> Awaited {
        Awaited { phases: self.clone(), phase, waiting: None }
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
        let known = self.waiting.take().filter(|(bell, _)| bell.task.will_wake(cx.waker()));
        let (bell, waiting) = known.unwrap_or_else(|| self.begin(cx));
        let (bell, waiting) = self.waiting.insert((bell, waiting));
        if !bell.rung.swap(false, Ordering::AcqRel) {
            return false;
        }
        let waker = Waker::from(Arc::clone(bell));
        let over = waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        if over {
            // It must not be polled again.
            self.waiting = None;
        }
        over
    }

    /// A wait that asks to be polled.
    fn begin(&self, cx: &Context<'_>) -> (Arc<Bell>, Waiting) {
        let (phases, phase) = (self.phases.clone(), self.phase);
        let bell = Bell { rung: AtomicBool::new(true), task: cx.waker().clone() };
        (Arc::new(bell), Box::pin(async move { phases.reached(phase).await }))
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.task.wake_by_ref();
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
