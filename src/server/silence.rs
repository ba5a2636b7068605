//! The limit on the time between two pieces of a body, from either side.

use std::{
    future::poll_fn,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Instant;

use super::timer::Timer;

/// A wait that begins anew with every piece.
pub(super) struct Silence {
    limit: Duration,
    timer: Timer,
    by: Option<Instant>,
}

/// Nothing came for too long.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Silent;

impl Silence {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, timer: Timer::default(), by: None }
    }

    /// From the next wait on, this is the limit.
    pub(super) fn at_most(&mut self, limit: Duration) {
        self.limit = self.limit.min(limit);
    }

    /// A piece came.
    pub(super) fn broken(&mut self) {
        self.by = None;
    }

    /// Whether the wait for the next piece is over; if not, the task is woken when it is.
    pub(super) fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        let by = *self.by.get_or_insert_with(|| Instant::now() + self.limit);
        self.timer.is_over(by, cx)
    }

    /// The next piece, in time.
    pub(super) async fn next<T>(
        &mut self,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Result<T, Silent> {
        self.broken();
        poll_fn(|cx| match poll(cx) {
            Poll::Ready(piece) => Poll::Ready(Ok(piece)),
            Poll::Pending if self.is_over(cx) => Poll::Ready(Err(Silent)),
            Poll::Pending => Poll::Pending,
        })
        .await
    }
}
