//! What a caller holds while its call is under way: tokens that are given back unless the call was sent.

use tokio::{sync::oneshot, time::timeout};

use super::{
    ANSWER_WITHIN, Limit, Scope,
    ledger::Standing,
    shard::{Message, Refund},
    tick::Tick,
};
use crate::{address::Address, principal::ClientId};

/// Tokens taken from a client's bucket for one call.
///
/// Ends in one of three ways, each exactly once: [`settle`](Self::settle), [`refund`](Self::refund), or `Drop`, which
/// settles if [`sent`](Self::sent) was called and refunds if not. So a caller that goes away at any time, even between
/// the actor's answer and its own reading of it, loses only what it used.
#[derive(Debug)]
#[must_use = "dropped, it gives the tokens back"]
pub struct Reservation {
    home: Address<Message>,
    /// `None` once it is settled or refunded.
    booking: Option<Booking>,
    limit: Limit,
    standing: Standing,
    sent: bool,
}

/// Where the tokens were booked.
#[derive(Debug)]
pub(super) struct Booking {
    pub(super) client: ClientId,
    pub(super) scope: Scope,
    pub(super) at: Tick,
    pub(super) amount: u64,
}

impl Reservation {
    pub(super) fn new(home: Address<Message>, booking: Booking, limit: Limit, standing: Standing) -> Self {
        Self { home, booking: Some(booking), limit, standing, sent: false }
    }

    /// How the limit stood right after the tokens were taken.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// The tokens taken.
    pub fn amount(&self) -> u64 {
        self.booking.as_ref().map_or(0, |booking| booking.amount)
    }

    /// From now on the tokens count as used if the reservation is dropped: the call is on its way.
    pub fn sent(&mut self) {
        self.sent = true;
    }

    /// Makes the charge final.
    pub fn settle(mut self) {
        self.sent = true;
    }

    /// Gives the tokens back, sent or not. One-way: for a stream whose head is out already.
    pub fn release(mut self) {
        self.sent = false;
    }

    /// Gives the tokens back, and tells how the limit stands then. The refund itself is sent at the first poll and
    /// cannot fail; if the actor does not answer, the standing is computed from the last one known.
    pub async fn refund(mut self) -> Standing {
        let known = self.standing;
        let amount = self.amount();
        let guess = Standing { remaining: known.limit.min(known.remaining.saturating_add(amount)), ..known };
        let Some(booking) = self.booking.take() else { return known };
        let (answer, answered) = oneshot::channel();
        let refund = Refund { booking, answer: Some((self.limit.clone(), answer)) };
        // One way, since a call whose deadline passes is skipped.
        self.home.cast(Message::Refund(refund));
        timeout(ANSWER_WITHIN, answered).await.ok().and_then(Result::ok).unwrap_or(guess)
    }

    /// Takes the booking out: nothing is sent any more.
    pub(super) fn unbook(mut self) -> Option<Booking> {
        self.booking.take()
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let Some(booking) = self.booking.take() else { return };
        self.home.cast(if self.sent {
            Message::Settle
        } else {
            Message::Refund(Refund { booking, answer: None })
        });
    }
}
