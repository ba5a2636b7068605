//! The quota actor: one shard of all accounts.
//!
//! State: the windows of its accounts ([`Clients`]). Callers: [`Quota`](super::Quota) and
//! [`Reservation`](super::Reservation), nobody else. A restart keeps everything that `ractor` gives back, a panic in a
//! handler keeps everything. A message costs well under a microsecond, a worst case few; a tick well under a
//! millisecond with a million clients over the default number of shards.

use std::{sync::Arc, time::Duration};

use tokio::sync::oneshot;

use super::{
    Refusal,
    account::{Account, AccountId},
    booked::{Ask, Booked, Step, Target},
    changes::Change,
    clients::{Admitted, Clients, Refused, Tracked},
    counts::{Counts, Settled},
    ledger::{Level, Standing},
    moving::Moved,
    reservation::{Booking, Part},
    rule::Rules,
    store::{OnError, Store, remote::Remote},
    tick::Clock,
};
use crate::{
    address::{Address, Reply, Unreachable},
    guarded::State,
    observe::Own,
    principal::ClientId,
    shards::Shards,
};

/// What a quota actor understands. Only this room makes them.
#[derive(Debug)]
pub enum Message {
    /// Take what a call asks for, or say why not.
    Reserve(Reserve),
    /// A stream goes on.
    Draw(Draw),
    /// A call, or a step of one, has ended.
    Settle(Settle),
    /// How does an account stand?
    Usage(Usage),
    /// Would it be admitted?
    Look(Look),
    /// Accounts out of a store: there before any call.
    Restore(Vec<Moved>),
    /// What has changed? So many accounts at most; and are there more?
    Changes(usize, Reply<(Vec<Change>, bool)>),
    /// Hand over the next accounts to other shards, and from now on whatever is about accounts that are not here.
    HandOver(HandOver),
    /// An account that another shard has handed over.
    TakeOver(Box<TakeOver>),
    /// The server that keeps the windows is out: what becomes of this one?
    Unstored(Box<Self>),
    /// Fail in the middle of a handler.
    #[cfg(test)]
    Panic(Reply<()>),
}

/// A call that wants to be admitted.
#[derive(Debug)]
pub struct Reserve {
    pub(super) account: AccountId,
    pub(super) rules: Rules,
    pub(super) ask: Ask,
    pub(super) member: Option<ClientId>,
    /// The shard's own address, for the reservation.
    pub(super) home: Address<Message>,
    pub(super) reply: Reply<Result<Part, Refusal>>,
}

/// A stream that wants its next block.
#[derive(Debug)]
pub struct Draw {
    pub(super) account: AccountId,
    pub(super) rules: Rules,
    pub(super) member: Option<ClientId>,
    pub(super) step: Step,
    /// Whether the call is charged to the shadow rules.
    pub(super) shadow: bool,
    /// Whether the call was admitted by the server that several routers share.
    pub(super) stored: bool,
    pub(super) home: Address<Message>,
    /// What was booked, or the position of the rule that cuts.
    pub(super) reply: Reply<Result<Part, usize>>,
}

/// What a call is charged in the end; and whoever wants to know how the account stands then.
#[derive(Debug)]
pub struct Settle {
    pub(super) booking: Box<Booking>,
    pub(super) target: Target,
    pub(super) ending: Ending,
    /// What the call as a whole has settled; told to one of its accounts.
    pub(super) settled: Settled,
    pub(super) answer: Option<oneshot::Sender<Option<(usize, Standing)>>>,
}

/// A question for levels.
#[derive(Debug)]
pub struct Usage {
    pub(super) account: AccountId,
    pub(super) rules: Rules,
    pub(super) home: Address<Message>,
    pub(super) reply: Reply<Vec<Level>>,
}

/// A call that might want to be admitted.
#[derive(Debug)]
pub struct Look {
    pub(super) account: AccountId,
    pub(super) rules: Rules,
    pub(super) ask: Ask,
    pub(super) member: Option<ClientId>,
    pub(super) home: Address<Message>,
    pub(super) reply: Reply<Option<Refusal>>,
}

/// Where accounts move to.
#[derive(Debug)]
pub struct HandOver {
    pub(super) to: Shards<Message>,
    /// Whether all are gone.
    pub(super) reply: Reply<bool>,
}

/// An account on its way.
#[derive(Debug)]
pub struct TakeOver {
    pub(super) account: AccountId,
    pub(super) state: Account,
}

/// How something ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Settled,
    Refunded,
    /// A step that nobody waited for.
    Undone,
}

/// One shard's state.
#[derive(Debug)]
pub struct Shard {
    pub(super) clients: Clients,
    clock: Clock,
    own: Own,
    /// Where the accounts live that are not here, once they have begun to move.
    pub(super) next: Option<Shards<Message>>,
    /// Who is asked instead of `clients`, if windows are kept elsewhere.
    remote: Option<Arc<Remote>>,
}

/// Positions in [`State::OWN`] of a shard.
#[derive(Clone, Copy)]
pub(super) enum Number {
    Clients,
    Admitted,
    Short,
    Oversize,
    Crowded,
    Settled,
    Refunded,
}

/// A round of the sweep takes 240 ticks, 12 s. Two rounds are the longest an empty account stays: under 30 s, with some
/// room for a busy actor's late ticks.
const SLICES: usize = 240;

impl Shard {
    /// An empty shard. All shards of a server share `clock`, `tracked` and `counts`.
    pub fn new(clock: Clock, tracked: Tracked, counts: &Counts, own: Own) -> Self {
        Self { clients: Clients::new(tracked, counts), clock, own, next: None, remote: None }
    }

    /// The same, with windows that are kept by a server.
    #[must_use]
    pub fn stored(self, store: &Store, counts: &Counts) -> Self {
        let remote = store.remote(counts.own(), self.own.clone());
        Self { remote: Some(Arc::new(remote)), ..self }
    }

    fn reserve(&mut self, reserve: Reserve) {
        if reserve.reply.is_closed() {
            return;
        }
        let Reserve { account, rules, ask, member, home, reply } = reserve;
        let answer = self.clients.admit(self.clock.now(), &account, &rules, &ask, member.as_ref());
        self.count(Number::of(&answer));
        self.show_clients();
        let decision = match answer {
            Ok(Admitted { booked, tightest }) => {
                Ok(Part::new(home, Booking { account, rules, member, booked, stored: false }, tightest))
            }
            Err(refused) => Err(Refusal::new(refused, &rules)),
        };
        if let Err(Ok(part)) = reply.send(decision) {
            // Nobody is there to use it.
            part.unbook().into_iter().for_each(|booking| self.give_back(booking, Ending::Refunded));
        }
    }

    fn draw(&mut self, draw: Draw) {
        if draw.reply.is_closed() {
            return;
        }
        let Draw { account, rules, member, step, shadow, home, reply, .. } = draw;
        let drawn = self.clients.draw(self.clock.now(), &account, &rules, (&step, shadow), member.as_ref());
        let booking = |booked| Booking { account, rules, member, booked, stored: false };
        let drawn = drawn.map(|booked| Part::new(home, booking(booked), None));
        if let Err(Ok(part)) = reply.send(drawn) {
            part.unbook().into_iter().for_each(|booking| self.give_back(booking, Ending::Undone));
        }
    }

    fn settle(&mut self, settle: Settle) {
        self.clients.count_settled(&settle.settled);
        match settle.ending {
            Ending::Settled => self.count(Number::Settled),
            Ending::Refunded => self.count(Number::Refunded),
            Ending::Undone => {}
        }
        if let Some(remote) = self.remote.as_ref().filter(|_| settle.booking.stored) {
            return remote.settle(settle);
        }
        let Settle { booking, target, answer, .. } = settle;
        let Booking { account, rules, member, booked, .. } = *booking;
        let now = self.clock.now();
        self.clients.settle(now, &account, &rules, (booked, &target), member.as_ref());
        if let Some(answer) = answer {
            // Settled all the same if nobody waits for the answer.
            let _ = answer.send(self.clients.tightest(now, &account, &rules));
        }
    }

    fn give_back(&mut self, booking: Box<Booking>, ending: Ending) {
        let (target, settled) = (Target::default(), Settled::default());
        self.settle(Settle { booking, target, ending, settled, answer: None });
    }

    fn usage(&mut self, Usage { account, rules, reply, .. }: Usage) {
        let levels = self.clients.levels(self.clock.now(), &account, &rules);
        // Whoever asked may be gone.
        let _ = reply.send(levels);
    }

    fn look(&mut self, Look { account, rules, ask, member, reply, .. }: Look) {
        let refused = self.clients.look(self.clock.now(), &account, &rules, &ask, member.as_ref());
        let _ = reply.send(refused.map(|refused| Refusal::new(refused, &rules)));
    }

    fn changes(&mut self, most: usize, reply: Reply<(Vec<Change>, bool)>) {
        if !reply.is_closed()
            && let Err((changes, _)) = reply.send(self.clients.changes(self.clock.now(), most))
        {
            // Nobody stores them: they are told again.
            self.clients.untold(changes);
        }
    }

    /// Decides with the windows of this process.
    fn decide(&mut self, message: Message) {
        match message {
            Message::Reserve(reserve) => self.reserve(reserve),
            Message::Draw(draw) => self.draw(draw),
            Message::Settle(settle) => self.settle(settle),
            Message::Usage(usage) => self.usage(usage),
            Message::Look(look) => self.look(look),
            Message::Restore(accounts) => self.clients.restore(self.clock.now(), accounts),
            Message::Changes(most, reply) => self.changes(most, reply),
            Message::HandOver(hand_over) => self.hand_over(hand_over),
            Message::TakeOver(parcel) => self.take_over(*parcel),
            Message::Unstored(message) => self.unstored(*message),
            #[cfg(test)]
            Message::Panic(_reply) => panic!("injected"),
        }
    }

    /// Decides while the server is out. A block of a call that was admitted there is not drawn: it is charged at the end.
    fn unstored(&mut self, message: Message) {
        let on_error = self.remote.as_ref().map_or(OnError::Local, |remote| remote.on_error());
        // Who is gone needs no answer.
        match (on_error, message) {
            (_, Message::Draw(_)) => {}
            (OnError::Deny, Message::Reserve(Reserve { reply, .. })) => {
                drop(reply.send(Err(Refusal::Unreachable(Unreachable::Late))));
            }
            (OnError::Deny, Message::Look(Look { reply, .. })) => {
                drop(reply.send(Some(Refusal::Unreachable(Unreachable::Late))));
            }
            (OnError::Allow, Message::Reserve(Reserve { account, home, reply, .. })) => {
                let (rules, booked) = (Rules::default(), Booked::default());
                let booking = Booking { account, rules, member: None, booked, stored: false };
                drop(reply.send(Ok(Part::new(home, booking, None))));
            }
            (OnError::Allow, Message::Look(Look { reply, .. })) => drop(reply.send(None)),
            (_, message) => self.decide(message),
        }
    }

    fn count(&self, number: Number) {
        self.own.add(number as usize, 1);
    }

    pub(super) fn show_clients(&self) {
        self.own.set(Number::Clients as usize, i64::try_from(self.clients.len()).unwrap_or(i64::MAX));
    }
}

impl Number {
    /// What an admission came to.
    pub(super) fn of(answer: &Result<Admitted, Refused>) -> Self {
        match answer {
            Ok(_) => Self::Admitted,
            Err(Refused::Short { .. }) => Self::Short,
            Err(Refused::Oversize { .. }) => Self::Oversize,
            Err(Refused::Crowded) => Self::Crowded,
        }
    }
}

impl State for Shard {
    type Message = Message;

    const TICK: Option<Duration> = Some(Duration::from_millis(50));

    const OWN: &'static [&'static str] =
        &["clients", "admitted", "short", "oversize", "crowded", "settled", "refunded"];

    fn handle(&mut self, message: Message) {
        let Some(message) = self.pass_on(message) else { return };
        let kept = match &self.remote {
            Some(remote) => remote.take(message),
            None => Some(message),
        };
        if let Some(message) = kept {
            self.decide(message);
        }
    }

    fn tick(&mut self) {
        self.clients.sweep(self.clock.now(), SLICES);
        self.show_clients();
    }
}
