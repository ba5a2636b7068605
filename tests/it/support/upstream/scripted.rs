//! An answer that follows its script, step by step.

use std::{
    future::{Future, pending},
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::sync::{mpsc, watch};

use super::{Seen, Step};

/// A body that follows its steps.
pub(super) struct Scripted {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    /// Bytes that are still to come, where that is known: such a body is not asked for its end.
    left: Option<usize>,
    open: Option<OpenCall>,
    closing: Option<watch::Sender<bool>>,
}

impl Scripted {
    pub(super) fn new(
        steps: Vec<Step>,
        length: Option<usize>,
        gate: watch::Sender<bool>,
        open: OpenCall,
        closing: Option<watch::Sender<bool>>,
    ) -> Self {
        let (sender, pieces) = mpsc::channel(1);
        tokio::spawn(async move {
            tokio::select! {
                () = play(steps, &gate, &sender) => {}
                () = sender.closed() => {}
            }
        });
        let mut body = Self { pieces, left: length, open: Some(open), closing };
        body.count(0);
        body
    }

    /// Notes that `sent` more bytes have left.
    fn count(&mut self, sent: usize) {
        self.left = self.left.map(|left| left - sent);
        if self.left == Some(0) {
            self.end();
        }
    }

    fn end(&mut self) {
        if let Some(open) = self.open.take() {
            open.ends();
        }
    }
}

impl Body for Scripted {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let piece = std::task::ready!(self.pieces.poll_recv(cx));
        match &piece {
            Some(Ok(bytes)) => self.count(bytes.len()),
            _ => self.end(),
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        let runtime = tokio::runtime::Handle::try_current();
        if let (Some(closing), Ok(runtime)) = (self.closing.take(), runtime) {
            // The last bytes are on their way to the socket; the connection closes behind them.
            runtime.spawn(async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                closing.send_replace(true);
            });
        }
    }
}

async fn play(steps: Vec<Step>, gate: &watch::Sender<bool>, sender: &mpsc::Sender<io::Result<Bytes>>) {
    for step in steps {
        match step {
            Step::Send(bytes) => send(sender, Ok(bytes)).await,
            Step::Wait(delay) => tokio::time::sleep(delay).await,
            Step::Gate => opened(gate).await,
            Step::Hang => pending().await,
            Step::Break => send(sender, Err(io::Error::other("as the script says"))).await,
            Step::Forever(bytes) => loop {
                send(sender, Ok(bytes.clone())).await;
            },
        }
    }
}

async fn send(sender: &mpsc::Sender<io::Result<Bytes>>, piece: io::Result<Bytes>) {
    // A body that is gone ends the play through `closed`.
    let _ = sender.send(piece).await;
    // Lets hyper take the piece and flush it before the next one comes.
    tokio::task::yield_now().await;
}

pub(super) fn opened(gate: &watch::Sender<bool>) -> impl Future<Output = ()> + use<> {
    let mut gate = gate.subscribe();
    async move {
        // The gate cannot go away before its upstream.
        let _ = gate.wait_for(|open| *open).await;
    }
}

/// Counts a call from its first byte to the last of its answer; dropped before [`OpenCall::ends`], the client has
/// hung up.
pub(super) struct OpenCall {
    seen: watch::Sender<Seen>,
    ended: bool,
}

impl OpenCall {
    pub(super) fn new(seen: watch::Sender<Seen>) -> Self {
        seen.send_modify(|seen| {
            seen.open += 1;
            seen.most_open = seen.most_open.max(seen.open);
        });
        Self { seen, ended: false }
    }

    pub(super) fn ends(mut self) {
        self.ended = true;
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        let hung_up = usize::from(!self.ended);
        self.seen.send_modify(|seen| {
            seen.open -= 1;
            seen.hung_up += hung_up;
        });
    }
}
