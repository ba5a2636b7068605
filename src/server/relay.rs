//! A stream on its way to the client: upstream pieces in, edited events out, each as it arrives.
//!
//! Nothing passes a mailbox and nothing is spawned: the client's connection pulls, so a slow client slows the upstream.
//! However the stream ends, the call is settled or given back exactly once.

use std::{
    task::{Context, Poll, ready},
    time::Duration,
};

use actors::gate::Place;
use bytes::Bytes;

use super::{call::Call, phase::Awaited, silence::Silence, source::Source};
use crate::{
    error::{Error, Ours, Provider as Fault},
    protocol::{machine::Machine, passing::Ending},
};

/// A stream in progress.
pub(super) struct Relay {
    source: Source,
    machine: Machine,
    /// Events that were read before the head went out.
    first: Option<Bytes>,
    silence: Silence,
    cut: Awaited,
    /// What the machine holds back counts as memory.
    memory: Place,
    over: bool,
}

/// The last words of a stream that broke, by cause.
const SILENT: (&str, u16) = ("the provider sent nothing for too long", 504);
const CUT: (&str, u16) = ("the router is shutting down", 503);
/// For the end of a body whose stream has ended.
const AFTER_DONE: Duration = Duration::from_secs(1);

const ENDLESS: (&str, u16) = ("the provider sent an event without end", 502);
const FULL: (&str, u16) = ("the router has no memory left for this stream", 503);

impl Relay {
    /// A stream whose call is handed in with each poll.
    pub(super) fn new(
        source: Source,
        machine: Machine,
        silence: Silence,
        cut: Awaited,
        memory: Place,
    ) -> Self {
        Self { source, machine, first: None, silence, cut, memory, over: false }
    }

    /// Waits for the first events, so that an upstream that fails before any can be answered with a status of its own.
    /// An upstream that ends without any is told in the stream's own words.
    ///
    /// # Errors
    /// When it breaks off, sends nothing for too long, or there is no memory for what it sends.
    pub(super) async fn begin(mut self) -> Result<Self, Error> {
        while let Some(piece) = self.source.next_piece(&mut self.silence).await? {
            let events = self.machine.push(piece).map_err(|_| Fault::Unreadable(ENDLESS.0.to_owned()))?;
            if !self.memory.resize(self.machine.held()) {
                return Err(Ours::Memory.into());
            }
            if !events.is_empty() {
                self.first = Some(events);
                break;
            }
        }
        Ok(self)
    }

    /// Whether the first events were an error and nothing else.
    pub(super) fn began_with_error(&self) -> bool {
        let seen = self.machine.seen();
        seen.error && !seen.output
    }

    /// The next bytes for the client; `None` at the end.
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>, call: &mut Call) -> Poll<Option<Bytes>> {
        if let Some(first) = self.first.take() {
            call.answering();
            return Poll::Ready(Some(first));
        }
        while !self.over {
            let events = ready!(self.poll_events(cx, call));
            if !events.is_empty() {
                call.answering();
                return Poll::Ready(Some(events));
            }
        }
        Poll::Ready(None)
    }

    fn poll_events(&mut self, cx: &mut Context<'_>, call: &mut Call) -> Poll<Bytes> {
        match self.source.poll_piece(cx) {
            Poll::Ready(Some(Ok(piece))) => {
                self.silence.broken();
                Poll::Ready(match self.machine.push(piece) {
                    Ok(events) if self.memory.resize(self.machine.held()) => {
                        self.hurry_to_the_end();
                        events
                    }
                    Ok(_) => self.fail(FULL, call),
                    Err(_) => self.fail(ENDLESS, call),
                })
            }
            Poll::Ready(Some(Err(error))) => {
                tracing::debug!(error, "the upstream broke off in the middle of a stream");
                Poll::Ready(
                    self.fail(("the provider's connection broke in the middle of the answer", 502), call),
                )
            }
            Poll::Ready(None) => {
                let end = self.machine.finish();
                Poll::Ready(self.end(end, call))
            }
            Poll::Pending if self.silence.is_over(cx) => Poll::Ready(self.fail(SILENT, call)),
            Poll::Pending if self.cut.is_now(cx) => Poll::Ready(self.fail(CUT, call)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Behind the terminator comes nothing but the end of the body, which frees the connection for the next call. It is
    /// not waited for as long as an answer.
    fn hurry_to_the_end(&mut self) {
        if self.machine.seen().done {
            self.silence.at_most(AFTER_DONE);
        }
    }

    fn fail(&mut self, (message, status): (&str, u16), call: &mut Call) -> Bytes {
        let end = self.machine.fail(message, status);
        self.end(end, call)
    }

    /// The client is gone before the end.
    pub(super) fn abandoned(&self, call: &mut Call) {
        call.left(self.machine.seen().usage);
    }

    /// The stream is over: its last words, and the call's account.
    fn end(&mut self, (last, ending): (Bytes, Ending), call: &mut Call) -> Bytes {
        self.over = true;
        self.source.close();
        call.ended = true;
        let seen = self.machine.seen();
        match ending {
            Ending::Complete if seen.output || seen.finished => call.settle(seen.usage),
            // Nothing but a terminator.
            Ending::Complete => call.give_back(seen.usage),
            Ending::Broken => {
                call.error = Some("stream_broken");
                if seen.output { call.settle(seen.usage) } else { call.give_back(seen.usage) }
            }
        }
        last
    }
}
