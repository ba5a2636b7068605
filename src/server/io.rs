//! A client's socket with its time limits: a request head that does not arrive, a connection without a request, a client
//! that takes nothing. Body pieces have their own limit (`server::body`); nothing here knows HTTP but its first bytes.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Instant,
};

use super::timer::Timer;

/// The limits of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// From the first byte of a request head to its last.
    pub(super) header: Duration,
    /// Between two requests.
    pub(super) idle: Duration,
    /// A write that makes no progress.
    pub(super) write: Duration,
}

/// What the calls of a connection tell its socket.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// Calls whose answer is not yet whole.
    open: AtomicUsize,
    /// Calls ever begun.
    begun: AtomicU64,
}

/// One call in progress, as long as it lives.
#[derive(Debug)]
pub(super) struct Beat(Arc<Pulse>);

/// The socket.
pub(super) struct Timed {
    stream: TcpStream,
    pulse: Arc<Pulse>,
    limits: Limits,
    reading: Timer,
    writing: Timer,
    /// The present wait for a request.
    wait: Option<Wait>,
    write_by: Option<Instant>,
    version: Version,
}

/// A wait for a request, or for the rest of its head. It is over when another call has begun.
#[derive(Clone, Copy)]
struct Wait {
    /// Calls that had begun when it began.
    after: u64,
    /// Whether the head has begun to arrive.
    head: bool,
    by: Instant,
}

#[derive(Clone, Copy, PartialEq)]
enum Version {
    Unknown,
    H1,
    H2,
}

impl Pulse {
    /// A request head is whole and its call begins.
    pub(super) fn begin(self: &Arc<Self>) -> Beat {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
        Beat(Arc::clone(self))
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Timed {
    pub(super) fn new(stream: TcpStream, pulse: Arc<Pulse>, limits: Limits) -> Self {
        Self {
            stream,
            pulse,
            limits,
            reading: Timer::default(),
            writing: Timer::default(),
            wait: None,
            write_by: None,
            version: Version::Unknown,
        }
    }

    /// Bytes came. On HTTP/1.1 the first ones after a call are the beginning of a head; HTTP/2 has frames that are none,
    /// so there only the time without a request counts.
    fn arrived(&mut self, bytes: &[u8]) {
        if self.version == Version::Unknown {
            self.version = if bytes.starts_with(b"PRI") { Version::H2 } else { Version::H1 };
        }
        let idle = self.pulse.open.load(Ordering::Relaxed) == 0;
        if self.version == Version::H1 && idle && !self.present_wait().is_some_and(|wait| wait.head) {
            self.begin_wait(true, self.limits.header);
        }
    }

    /// No bytes yet: is there a limit to the wait, and is it over?
    fn waited_too_long(&mut self, cx: &mut Context<'_>) -> bool {
        if self.pulse.open.load(Ordering::Relaxed) > 0 {
            self.wait = None;
            return false;
        }
        let by = match self.present_wait() {
            Some(wait) => wait.by,
            None => self.begin_wait(false, self.limits.idle),
        };
        self.reading.is_over(by, cx)
    }

    fn present_wait(&self) -> Option<Wait> {
        self.wait.filter(|wait| wait.after == self.pulse.begun.load(Ordering::Relaxed))
    }

    fn begin_wait(&mut self, head: bool, limit: Duration) -> Instant {
        let by = Instant::now() + limit;
        self.wait = Some(Wait { after: self.pulse.begun.load(Ordering::Relaxed), head, by });
        by
    }

    fn written<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.write_by = None;
            return polled;
        }
        let by = *self.write_by.get_or_insert_with(|| Instant::now() + self.limits.write);
        if self.writing.is_over(by, cx) {
            Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
        } else {
            Poll::Pending
        }
    }
}

impl AsyncRead for Timed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if polled.is_ready() {
            self.arrived(&buf.filled()[before..]);
            return polled;
        }
        if self.waited_too_long(cx) {
            Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
        } else {
            Poll::Pending
        }
    }
}

impl AsyncWrite for Timed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.written(cx, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.written(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
