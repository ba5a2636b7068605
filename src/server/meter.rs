//! Output as it flows: counted by its text, drawn from the call's limits in blocks, and told when there is no more of it.
//!
//! Only for calls under a limit on output, total or money; all others are not looked at. What is counted stands until the
//! provider's report corrects it. Units: tokens.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use actors::quota::{Drawn, Reservation};
use bytes::Bytes;

use super::call::Call;
use crate::{
    chat::usage::Usage,
    protocol::{machine::Machine, said, sse::TooLarge},
    tokens::running::Running,
};

/// The meter of one stream, whose events it takes one by one: at most one of them is ever beyond a limit.
pub(super) struct Meter {
    running: Running,
    /// Tokens of a block.
    lease: u64,
    /// The rest of the upstream's last piece.
    piece: Bytes,
    /// The next block is asked for. The reservation is away meanwhile, so that a client that goes away settles it.
    drawing: Option<Drawing>,
}

type Drawing = Pin<Box<dyn Future<Output = (Reservation, Drawn)> + Send>>;

/// What becomes of the next event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It goes to the client.
    Passes,
    /// It does not, and nothing behind it does: a limit is used up.
    IsCut,
    /// There is none before the upstream's next piece.
    IsAwaited,
}

impl Meter {
    /// A meter, where the call's output is limited.
    pub(super) fn of(call: &Call, lease: u64) -> Option<Box<Self>> {
        let flows = call.reservation.as_ref().is_some_and(Reservation::flows);
        let new = || Self { running: Running::default(), lease, piece: Bytes::new(), drawing: None };
        flows.then(|| Box::new(new()))
    }

    /// Takes the upstream's next piece. The one before is used up.
    pub(super) fn take(&mut self, piece: Bytes) {
        self.piece = piece;
    }

    /// Bytes held.
    pub(super) fn held(&self) -> usize {
        self.piece.len()
    }

    /// Takes the next event into the machine, charges it, and says what becomes of it.
    ///
    /// # Errors
    /// [`TooLarge`] when an event has no end.
    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        machine: &mut Machine,
        call: &mut Call,
    ) -> Poll<Result<Next, TooLarge>> {
        if self.drawing.is_none() {
            if !machine.take(&mut self.piece)? {
                return Poll::Ready(Ok(Next::IsAwaited));
            }
            let mut tokens = 0;
            machine.said(&mut |text| tokens += self.running.add(text));
            let Some(mut reservation) = call.reservation.take_if(|taken| taken.produce(tokens) > 0) else {
                return Poll::Ready(Ok(Next::Passes));
            };
            let lease = self.lease;
            self.drawing = Some(Box::pin(async move {
                let drawn = reservation.draw(lease).await;
                (reservation, drawn)
            }));
        }
        let Some(drawing) = &mut self.drawing else { return Poll::Ready(Ok(Next::Passes)) };
        let (reservation, drawn) = ready!(drawing.as_mut().poll(cx));
        (self.drawing, call.reservation) = (None, Some(reservation));
        Poll::Ready(Ok(match drawn {
            Drawn::Granted => Next::Passes,
            Drawn::Over(_) => Next::IsCut,
        }))
    }
}

/// Counts the text of a whole answer, where output is limited and nothing is reported of it.
pub(super) fn count_whole(usage: Option<Usage>, body: &[u8], call: &mut Call) {
    let reported = usage.and_then(|usage| usage.output).is_some_and(|tokens| tokens > 0);
    if !reported && let Some(reservation) = call.reservation.as_mut().filter(|taken| taken.flows()) {
        let (mut running, mut tokens) = (Running::default(), 0);
        said::each(body, &mut |text| tokens += running.add(text));
        reservation.produce(tokens);
    }
}
