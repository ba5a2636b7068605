//! A client of an HTTP/2 stream that takes nothing. Its socket may be busy with other streams, so the limit of the socket
//! does not see it. But the body of such a stream is not asked for more after it has handed out a piece: `hyper` gives
//! each stream a task of its own, and that task is ended when nothing has been asked for too long.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use hyper::rt::Executor;
use tokio::time::Instant;

use super::timer::Timer;

tokio::task_local! {
    /// The stall of the stream whose task this is; none on HTTP/1.1.
    static STALL: Stall;
}

/// What a body tells the task that it is sent in.
#[derive(Clone, Debug)]
pub(super) struct Stall(Option<Arc<Handed>>);

#[derive(Debug)]
struct Handed {
    born: Instant,
    /// Milliseconds after `born` at which a piece was handed out, plus one; 0 when more has been asked for since.
    at: AtomicU64,
}

/// Runs the streams of HTTP/2 connections, and ends those whose client takes nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Streams {
    /// How long a client may take nothing.
    pub(super) patience: Duration,
}

struct Watched<F> {
    stream: Pin<Box<F>>,
    stall: Stall,
    patience: Duration,
    timer: Timer,
}

impl Stall {
    fn new() -> Self {
        Self(Some(Arc::new(Handed { born: Instant::now(), at: AtomicU64::new(0) })))
    }

    /// The one of the task that runs now.
    pub(super) fn of_task() -> Self {
        STALL.try_with(Self::clone).unwrap_or(Self(None))
    }

    /// The body was asked for more.
    pub(super) fn asked(&self) {
        if let Some(handed) = &self.0 {
            handed.at.store(0, Ordering::Relaxed);
        }
    }

    /// The body has handed out a piece.
    pub(super) fn handed(&self) {
        if let Some(handed) = &self.0 {
            let millis = u64::try_from(handed.born.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
            handed.at.store(millis + 1, Ordering::Relaxed);
        }
    }

    /// Since when nothing was asked for.
    fn since(&self) -> Option<Instant> {
        let handed = self.0.as_ref()?;
        let millis = handed.at.load(Ordering::Relaxed).checked_sub(1)?;
        Some(handed.born + Duration::from_millis(millis))
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let watched = Watched {
            stream: Box::pin(stream),
            stall: Stall::new(),
            patience: self.patience,
            timer: Timer::default(),
        };
        tokio::spawn(watched);
    }
}

impl<F: Future<Output = ()>> Future for Watched<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { stream, stall, patience, timer } = &mut *self;
        if STALL.sync_scope(stall.clone(), || stream.as_mut().poll(cx)).is_ready() {
            return Poll::Ready(());
        }
        match stall.since() {
            // Dropping the stream resets it.
            Some(since) if timer.is_over(since + *patience, cx) => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::sync::oneshot;

    use super::*;

    async fn ended_after(stream: impl Future<Output = ()> + Send + 'static) -> Duration {
        let (alive, ended) = oneshot::channel::<()>();
        let start = Instant::now();
        Streams { patience: Duration::from_secs(60) }.execute(async move {
            let _alive = alive;
            stream.await;
        });
        let _ = tokio::time::timeout(Duration::from_secs(3600), ended).await;
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_whose_client_takes_nothing_is_ended() {
        let took = ended_after(async {
            let stall = Stall::of_task();
            stall.asked();
            stall.handed();
            pending::<()>().await;
        });
        assert_eq!(took.await.as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_waits_for_its_provider_is_not() {
        let took = ended_after(async {
            let stall = Stall::of_task();
            stall.handed();
            stall.asked();
            pending::<()>().await;
        });
        assert_eq!(took.await.as_secs(), 3600);
    }
}
