//! The quota actor: one shard of all clients.
//!
//! State: the windows of its clients ([`Clients`]). Callers: [`Quota`](super::Quota) and
//! [`Reservation`](super::Reservation), nobody else. A restart keeps everything that `ractor` gives back, a panic in a
//! handler keeps everything. A message costs well under a microsecond, a worst case few; a tick well under a
//! millisecond with a million clients over the default number of shards.

use std::time::Duration;

use tokio::sync::oneshot;

use super::{
    Limit, Refusal,
    clients::{Clients, Crowded, Tracked},
    ledger::{Standing, Verdict},
    reservation::{Booking, Reservation},
    tick::Clock,
};
use crate::{
    address::{Address, Reply},
    guarded::State,
    observe::Own,
    principal::ClientId,
};

/// What a quota actor understands. Only this room makes them.
#[derive(Debug)]
pub enum Message {
    /// Take tokens, or say why not.
    Reserve(Reserve),
    /// Give tokens back.
    Refund(Refund),
    /// A reservation became final.
    Settle,
    /// Fail in the middle of a handler.
    #[cfg(test)]
    Panic(Reply<()>),
}

/// A request for tokens.
#[derive(Debug)]
pub struct Reserve {
    pub(super) client: ClientId,
    pub(super) limit: Limit,
    pub(super) amount: u64,
    /// The shard's own address, for the reservation.
    pub(super) home: Address<Message>,
    pub(super) reply: Reply<Result<Reservation, Refusal>>,
}

/// Tokens that come back; and whoever wants to know how the limit stands then.
#[derive(Debug)]
pub struct Refund {
    pub(super) booking: Booking,
    pub(super) answer: Option<(Limit, oneshot::Sender<Standing>)>,
}

/// One shard's state.
#[derive(Debug)]
pub struct Shard {
    clients: Clients,
    clock: Clock,
    own: Own,
}

/// Positions in [`State::OWN`] of a shard.
#[derive(Clone, Copy)]
enum Number {
    Clients,
    Admitted,
    Short,
    Oversize,
    Crowded,
    Settled,
    Refunded,
}

/// A round of the sweep takes 240 ticks, 12 s. Two rounds are the longest an empty client stays: under 30 s, with some
/// room for a busy actor's late ticks.
const SLICES: usize = 240;

impl Shard {
    /// An empty shard. All shards of a server share `clock` and `tracked`.
    pub fn new(clock: Clock, tracked: Tracked, own: Own) -> Self {
        Self { clients: Clients::new(tracked), clock, own }
    }

    fn reserve(&mut self, reserve: Reserve) {
        if reserve.reply.is_closed() {
            return;
        }
        let Reserve { client, limit, amount, home, reply } = reserve;
        let decision = self.decide(client, limit, amount, home);
        if let Err(Ok(reservation)) = reply.send(decision) {
            // Nobody is there to use it.
            reservation.unbook().inspect(|booking| self.give_back(booking));
        }
    }

    fn decide(
        &mut self,
        client: ClientId,
        limit: Limit,
        amount: u64,
        home: Address<Message>,
    ) -> Result<Reservation, Refusal> {
        let (number, decision) = match self.clients.admit(self.clock.now(), &client, &limit, amount) {
            Ok((Verdict::Admitted { at }, standing)) => {
                let booking = Booking { client, scope: limit.scope, at, amount };
                (Number::Admitted, Ok(Reservation::new(home, booking, limit, standing)))
            }
            Ok((Verdict::Short { retry_after }, standing)) => {
                (Number::Short, Err(Refusal::Short { retry_after, standing }))
            }
            Ok((Verdict::Oversize, standing)) => (Number::Oversize, Err(Refusal::Oversize { standing })),
            Err(Crowded) => (Number::Crowded, Err(Refusal::Crowded)),
        };
        self.count(number);
        self.own.set(Number::Clients as usize, i64::try_from(self.clients.len()).unwrap_or(i64::MAX));
        decision
    }

    fn refund(&mut self, Refund { booking, answer }: Refund) {
        self.give_back(&booking);
        if let Some((limit, answer)) = answer {
            let standing = self.clients.standing(self.clock.now(), &booking.client, &limit);
            // Refunded all the same if nobody waits for the answer.
            let _ = answer.send(standing);
        }
    }

    fn give_back(&mut self, booking: &Booking) {
        self.clients.refund(&booking.client, booking.scope, booking.at, booking.amount);
        self.count(Number::Refunded);
    }

    fn count(&self, number: Number) {
        self.own.add(number as usize, 1);
    }
}

impl State for Shard {
    type Message = Message;

    const TICK: Option<Duration> = Some(Duration::from_millis(50));

    const OWN: &'static [&'static str] =
        &["clients", "admitted", "short", "oversize", "crowded", "settled", "refunded"];

    fn handle(&mut self, message: Message) {
        match message {
            Message::Reserve(reserve) => self.reserve(reserve),
            Message::Refund(refund) => self.refund(refund),
            Message::Settle => self.count(Number::Settled),
            #[cfg(test)]
            Message::Panic(_reply) => panic!("injected"),
        }
    }

    fn tick(&mut self) {
        self.clients.sweep(self.clock.now(), SLICES);
        self.own.set(Number::Clients as usize, i64::try_from(self.clients.len()).unwrap_or(i64::MAX));
    }
}
