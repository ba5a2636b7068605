//! A timer that is cheap to move: on the request path a limit is set anew for every event, and almost never passes.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::time::{Instant, Sleep, sleep_until};

/// Wakes its task when an instant has passed. The runtime's timer is only touched when it fires or must fire earlier;
/// a limit that moves on costs nothing.
#[derive(Default)]
pub(super) struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Whether `by` has passed; if not, the task is woken when it has.
    pub(super) fn is_over(&mut self, by: Instant, cx: &mut Context<'_>) -> bool {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(by)));
        if by < sleep.deadline() {
            sleep.as_mut().reset(by);
        }
        while let Poll::Ready(()) = sleep.as_mut().poll(cx) {
            if Instant::now() >= by {
                return true;
            }
            sleep.as_mut().reset(by);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use super::*;

    async fn over(timer: &mut Timer, by: Instant) {
        poll_fn(|cx| if timer.is_over(by, cx) { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_may_move_both_ways() {
        let start = Instant::now();
        let mut timer = Timer::default();
        let far = start + Duration::from_secs(10);
        let later = start + Duration::from_secs(30);
        assert!(!poll_fn(|cx| Poll::Ready(timer.is_over(far, cx) || timer.is_over(later, cx))).await);
        over(&mut timer, later).await;
        assert_eq!(Instant::now(), later);
        let near = later + Duration::from_secs(1);
        assert!(!poll_fn(|cx| Poll::Ready(timer.is_over(later + Duration::from_secs(60), cx))).await);
        over(&mut timer, near).await;
        assert_eq!(Instant::now(), near);
    }
}
