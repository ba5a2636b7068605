//! Output as it flows: counted by its text, drawn from the call's limits in blocks, and told when there is no more of it.
//!
//! Only for calls under a limit on output, total or money; all others are not looked at. What is counted stands until the
//! provider's report corrects it. Units: tokens.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use actors::quota::{Drawn, Reservation};
use bytes::Bytes;
use tokio::time::{Sleep, sleep};

use super::call::Call;
use crate::{
    chat::usage::Usage,
    protocol::{self, machine::Machine, said, sse::TooLarge},
    tokens::running::Running,
};

/// The meter of one stream, whose events it takes one by one: at most one of them is ever beyond a limit.
pub(super) struct Meter {
    running: Running,
    /// Tokens of the largest block.
    lease: u64,
    /// Tokens of the next block: small at first, so that many short streams do not hold what one of them could use.
    block: u64,
    /// When output is charged that no block has charged until then.
    due: Option<Pin<Box<Sleep>>>,
    /// The rest of the upstream's last piece.
    piece: Bytes,
    /// The next block is asked for. The reservation is away meanwhile, so that a client that goes away settles it.
    drawing: Option<Drawing>,
}

/// Tokens of a stream's first block; each is twice as large as the one before.
const FIRST_BLOCK: u64 = 16;
/// No output is charged later than this, however slowly a stream flows: others see what is spent, and a file has it.
const CHARGED_WITHIN: Duration = Duration::from_millis(500);

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
        let new = || Self {
            running: Running::default(),
            lease,
            block: FIRST_BLOCK.min(lease),
            due: None,
            piece: Bytes::new(),
            drawing: None,
        };
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
            let event = machine.take(&mut self.piece)?;
            if event {
                self.count(machine, call);
            } else {
                self.charge_if_due(cx, machine, call);
            }
            if self.drawing.is_none() {
                return Poll::Ready(Ok(if event { Next::Passes } else { Next::IsAwaited }));
            }
        }
        let Some(drawing) = &mut self.drawing else { return Poll::Ready(Ok(Next::Passes)) };
        let (reservation, drawn) = ready!(drawing.as_mut().poll(cx));
        (self.drawing, call.reservation) = (None, Some(reservation));
        Poll::Ready(Ok(match drawn {
            Drawn::Granted => Next::Passes,
            Drawn::Over(_) => Next::IsCut,
        }))
    }

    /// Counts the event that was taken; asks for the next block where the last does not cover it.
    fn count(&mut self, machine: &Machine, call: &mut Call) {
        let mut tokens = 0;
        machine.said(&mut |text| tokens += self.running.add(text));
        let Some(mut reservation) = call.reservation.take_if(|taken| taken.produce(tokens) > 0) else {
            return;
        };
        call.reported(machine.seen().usage, &mut reservation);
        let block = self.block;
        self.block = block.saturating_mul(2).min(self.lease);
        self.due = None;
        self.drawing = Some(Box::pin(async move {
            let drawn = reservation.draw(block).await;
            (reservation, drawn)
        }));
    }

    /// Charges what has flowed, if it has waited for its block long enough.
    fn charge_if_due(&mut self, cx: &mut Context<'_>, machine: &Machine, call: &mut Call) {
        let waits = call.reservation.as_ref().is_some_and(|reservation| reservation.uncharged() > 0);
        if !waits {
            self.due = None;
            return;
        }
        let due = self.due.get_or_insert_with(|| Box::pin(sleep(CHARGED_WITHIN)));
        if due.as_mut().poll(cx).is_pending() {
            return;
        }
        self.due = None;
        let Some(mut reservation) = call.reservation.take() else { return };
        call.reported(machine.seen().usage, &mut reservation);
        self.drawing = Some(Box::pin(async move {
            reservation.charge().await;
            (reservation, Drawn::Granted)
        }));
    }
}

/// Counts the text of a whole answer, where output is limited and nothing is reported of it.
pub(super) fn count_whole(usage: Option<Usage>, body: &[u8], call: &mut Call) {
    let reported = usage.and_then(|usage| usage.output).is_some_and(|tokens| tokens > 0);
    // Vectors are no text.
    let says = call.operation.is_some_and(|operation| operation != protocol::Call::Embeddings);
    if !reported
        && says
        && let Some(reservation) = call.reservation.as_mut().filter(|taken| taken.flows())
    {
        let (mut running, mut tokens) = (Running::default(), 0);
        said::each(body, &mut |text| tokens += running.add(text));
        reservation.produce(tokens);
    }
}
