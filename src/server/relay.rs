//! A stream on its way to the client: upstream pieces in, edited events out, each as it arrives.
//!
//! Nothing passes a mailbox and nothing is spawned: the client's connection pulls, so a slow client slows the upstream.
//! However the stream ends, the call is settled or given back exactly once. Where its output is limited, events go one by one,
//! each when it is charged ([`super::meter`]).

use std::{
    future::poll_fn,
    task::{Context, Poll, ready},
    time::Duration,
};

use actors::{gate::Place, quota::Reservation};
use bytes::Bytes;

use super::{
    call::Call,
    meter::{Meter, Next},
    phase::Awaited,
    silence::Silence,
    source::Source,
};
use crate::{
    chat::usage::Usage,
    error::{Error, Ours, Provider as Fault},
    protocol::{machine::Machine, passing::Ending, sse::TooLarge},
};

/// A stream in progress.
pub(super) struct Relay {
    source: Source,
    machine: Machine,
    /// Where output is limited.
    meter: Option<Box<Meter>>,
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
        (machine, meter): (Machine, Option<Box<Meter>>),
        silence: Silence,
        cut: Awaited,
        memory: Place,
    ) -> Self {
        Self { source, machine, meter, first: None, silence, cut, memory, over: false }
    }

    /// Waits for the first events, so that an upstream that fails before any can be answered with a status of its own.
    /// An upstream that ends without any is told in the stream's own words.
    ///
    /// # Errors
    /// When it breaks off, sends nothing for too long, or there is no memory for what it sends.
    pub(super) async fn begin(mut self, call: &mut Call) -> Result<Self, Error> {
        while let Some(events) = self.first_events(call).await? {
            if !self.hold() {
                return Err(Ours::Memory.into());
            }
            if !events.is_empty() {
                self.first = Some(events);
                break;
            }
        }
        Ok(self)
    }

    /// What the upstream's next piece comes to; `None` at its end.
    async fn first_events(&mut self, call: &mut Call) -> Result<Option<Bytes>, Error> {
        let endless = |_: TooLarge| Fault::Unreadable(ENDLESS.0.to_owned());
        if let Some(meter) = &mut self.meter {
            match poll_fn(|cx| meter.poll_next(cx, &mut self.machine, call)).await.map_err(endless)? {
                Next::Passes => return Ok(Some(self.machine.pass())),
                Next::IsCut => return Ok(Some(self.cut_off(call))),
                Next::IsAwaited => {}
            }
        }
        let Some(piece) = self.source.next_piece(&mut self.silence).await? else { return Ok(None) };
        Ok(Some(self.push(piece).map_err(endless)?))
    }

    /// What a piece of the upstream's comes to; nothing yet, where its events go one by one.
    fn push(&mut self, piece: Bytes) -> Result<Bytes, TooLarge> {
        match &mut self.meter {
            Some(meter) => {
                meter.take(piece);
                Ok(Bytes::new())
            }
            None => self.machine.push(piece),
        }
    }

    /// Accounts for what is held back; says whether there is room for it.
    fn hold(&mut self) -> bool {
        self.memory.resize(self.machine.held() + self.meter.as_ref().map_or(0, |meter| meter.held()))
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
        if let Some(meter) = &mut self.meter {
            let next = match meter.poll_next(cx, &mut self.machine, call) {
                Poll::Ready(next) => next,
                // Its last words are said all the same.
                Poll::Pending if self.cut.is_now(cx) => return Poll::Ready(self.fail(CUT, call)),
                Poll::Pending => return Poll::Pending,
            };
            match next {
                Ok(Next::Passes) => {
                    let events = self.machine.pass();
                    return Poll::Ready(self.passed(Ok(events), call));
                }
                Ok(Next::IsCut) => return Poll::Ready(self.cut_off(call)),
                Ok(Next::IsAwaited) => {}
                Err(endless) => return Poll::Ready(self.passed(Err(endless), call)),
            }
        }
        match self.source.poll_piece(cx) {
            Poll::Ready(Some(Ok(piece))) => {
                self.silence.broken();
                let events = self.push(piece);
                Poll::Ready(self.passed(events, call))
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

    fn passed(&mut self, events: Result<Bytes, TooLarge>, call: &mut Call) -> Bytes {
        match events {
            Ok(events) if self.hold() => {
                self.hurry_to_the_end();
                events
            }
            Ok(_) => self.fail(FULL, call),
            Err(TooLarge) => self.fail(ENDLESS, call),
        }
    }

    /// A limit on output is used up: the stream ends as if the model had come to its own limit, and the upstream may stop. It
    /// costs what went out.
    fn cut_off(&mut self, call: &mut Call) -> Bytes {
        let reported = self.machine.seen().usage.unwrap_or_default();
        let produced = call.reservation.as_ref().map(Reservation::produced);
        let usage =
            Usage { input: reported.input.or(call.estimate), output: produced, reasoning: None, ..reported };
        let last = self.machine.cut(usage);
        self.close(call);
        call.error = Some("output_limit");
        call.settle(Some(Usage { output: None, reasoning: None, ..reported }));
        call.usage = Some(usage);
        last
    }

    fn close(&mut self, call: &mut Call) {
        self.over = true;
        self.source.close();
        call.ended = true;
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
        self.close(call);
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
