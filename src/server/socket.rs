//! A client's socket with its time limits: a request head that does not arrive, a connection without a request, a client
//! that takes nothing. Body pieces have their own limit (`server::body`); nothing here knows HTTP but its version.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Request, Version};
use hyper::body::Body;
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
#[derive(Debug)]
pub(super) struct Pulse {
    /// Calls whose answer is not yet whole.
    open: AtomicUsize,
    /// Calls ever begun.
    begun: AtomicU64,
    /// Whether the connection speaks HTTP/2, which over TLS is known only after the handshake.
    http2: AtomicBool,
    /// The last answer went out before its request was read to the end.
    unread: AtomicBool,
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
    /// The end of the wait for a client that is still sending.
    linger_by: Option<Instant>,
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

/// A client that is still sending when its answer is out gets so long to read it. Closing at once would make the
/// system answer the rest with a reset, and the client would never see why it was refused.
const LINGER: Duration = Duration::from_secs(2);

impl Pulse {
    pub(super) fn new(version: Version) -> Self {
        let (open, begun, unread) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicBool::new(false));
        Self { open, begun, http2: AtomicBool::new(version == Version::HTTP_2), unread }
    }

    /// The connection ends without reading what the client still sends.
    pub(super) fn leave_unread(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    /// A request head is whole and its call begins.
    pub(super) fn begin<B: Body>(self: &Arc<Self>, request: &Request<B>) -> Beat {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.unread.store(!request.body().is_end_stream(), Ordering::Relaxed);
        Beat(Arc::clone(self))
    }
}

impl Beat {
    /// The request has been read to its end.
    pub(super) fn read(&self) {
        self.0.unread.store(false, Ordering::Relaxed);
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
            linger_by: None,
        }
    }

    /// The TLS handshake is over, and what comes from now on are requests; the first may have `begun` to come with the
    /// last of the handshake.
    pub(super) fn greeted(&mut self, version: Version, begun: bool) {
        let http2 = version == Version::HTTP_2;
        self.pulse.http2.store(http2, Ordering::Relaxed);
        let head = begun && !http2;
        self.begin_wait(head, if head { self.limits.header } else { self.limits.idle });
    }

    /// Bytes came. On HTTP/1.1 the first ones after a call are the beginning of a head; HTTP/2 has frames that are none,
    /// so there only the time without a request counts.
    fn arrived(&mut self) {
        let idle = self.pulse.open.load(Ordering::Relaxed) == 0 && !self.pulse.http2.load(Ordering::Relaxed);
        if idle && !self.is_within_head() {
            self.begin_wait(true, self.limits.header);
        }
    }

    /// No bytes yet: is there a limit to the wait, and is it over?
    fn waited_too_long(&mut self, cx: &mut Context<'_>) -> bool {
        // An answer that is still being taken is no wait for a request.
        if self.pulse.open.load(Ordering::Relaxed) > 0 || self.write_by.is_some() {
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

    /// A head has begun to come and no call has begun: at the end of a connection, `hyper` itself has refused it.
    fn is_within_head(&self) -> bool {
        self.present_wait().is_some_and(|wait| wait.head)
    }

    fn begin_wait(&mut self, head: bool, limit: Duration) -> Instant {
        let by = Instant::now() + limit;
        self.wait = Some(Wait { after: self.pulse.begun.load(Ordering::Relaxed), head, by });
        by
    }

    /// Reads and throws away what the client still sends, until it has seen the end or [`LINGER`] is over.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let by = *self.linger_by.get_or_insert_with(|| Instant::now() + LINGER);
        let mut scratch = [MaybeUninit::uninit(); 4096];
        loop {
            if self.reading.is_over(by, cx) {
                return Poll::Ready(Ok(()));
            }
            let mut buf = ReadBuf::uninit(&mut scratch);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
            if buf.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
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
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if polled.is_ready() {
            self.arrived();
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
        if self.linger_by.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            if !self.pulse.unread.load(Ordering::Relaxed) && !self.is_within_head() {
                return Poll::Ready(Ok(()));
            }
        }
        self.poll_linger(cx)
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
