//! What a shard hands to the server: each message in a task of its own, which answers whoever waits, or brings the message
//! back if the server is out. So no handler awaits, and nobody waits for a server that others ask.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{
    OnError, Store,
    link::{Job, Link, Out},
    script::{self, Subject},
};
use crate::{
    observe,
    principal::ClientId,
    quota::{
        Refusal,
        account::AccountId,
        clients::{Admitted, count_decisions},
        counts::{self, Per},
        ledger::Standing,
        reservation::{Booking, Part},
        rule::Rules,
        shard::{Draw, Look, Message, Number, Reserve, Settle, Usage},
    },
};

/// A shard's way to the server.
#[derive(Debug)]
pub(in crate::quota) struct Remote {
    store: Store,
    link: Link,
    counts: counts::Own,
    numbers: observe::Own,
}

/// A message that is decided without the server.
type Back = Option<Message>;

impl Remote {
    pub(super) fn new(store: Store, link: Link, counts: counts::Own, numbers: observe::Own) -> Self {
        Self { store, link, counts, numbers }
    }

    pub(in crate::quota) fn on_error(&self) -> OnError {
        self.store.on_error()
    }

    /// Takes the message over. Gives back what is not for the server, or finds it out.
    pub(in crate::quota) fn take(self: &Arc<Self>, message: Message) -> Back {
        let home = match &message {
            Message::Reserve(Reserve { home, .. })
            | Message::Usage(Usage { home, .. })
            | Message::Look(Look { home, .. }) => home.clone(),
            Message::Draw(Draw { home, stored: true, .. }) => home.clone(),
            _ => return Some(message),
        };
        let Some(place) = self.link.place() else { return Some(Message::Unstored(Box::new(message))) };
        let this = Arc::clone(self);
        tokio::spawn(async move {
            if let Some(message) = this.ask(message).await {
                home.cast(Message::Unstored(Box::new(message)));
            }
            drop(place);
        });
        None
    }

    /// Makes a charge there final; nothing is sent when it is already.
    pub(in crate::quota) fn settle(self: &Arc<Self>, Settle { booking, target, answer, .. }: Settle) {
        let Booking { account, rules, member, booked, .. } = &*booking;
        if booked.stands(rules, &target) && answer.is_none() {
            return;
        }
        let command = self.subject(account, rules, member.as_ref()).settle(booked, &target, answer.is_some());
        // Whoever waits would do so in vain while the server is out.
        let answer = answer.filter(|_| !self.link.is_out()).map(|answer| reader(rules.clone(), answer));
        self.link.submit(Job::Settle(command, answer));
    }

    async fn ask(&self, message: Message) -> Back {
        match message {
            Message::Reserve(reserve) => self.reserve(reserve).await,
            Message::Draw(draw) => self.draw(draw).await,
            Message::Usage(usage) => self.usage(usage).await,
            Message::Look(look) => self.look(look).await,
            other => Some(other),
        }
    }

    async fn reserve(&self, reserve: Reserve) -> Back {
        if reserve.reply.is_closed() {
            return None;
        }
        let Reserve { account, rules, ask, member, .. } = &reserve;
        let subject = self.subject(account, rules, member.as_ref());
        let answer = self.link.ask(&subject.admit(ask)).await;
        let Ok((answer, kinds)) = answer.and_then(|answer| subject.admitted(ask, answer).map_err(|_| Out))
        else {
            return Some(Message::Reserve(reserve));
        };
        count_decisions(&self.counts, Per::from(account), rules, answer.is_ok(), kinds);
        self.numbers.add(Number::of(&answer) as usize, 1);
        let Reserve { account, rules, member, home, reply, .. } = reserve;
        // A part that nobody takes gives itself back.
        drop(reply.send(match answer {
            Ok(Admitted { booked, tightest }) => {
                Ok(Part::new(home, Booking { account, rules, member, booked, stored: true }, tightest))
            }
            Err(refused) => Err(Refusal::new(refused, &rules)),
        }));
        None
    }

    async fn draw(&self, draw: Draw) -> Back {
        if draw.reply.is_closed() {
            return None;
        }
        let Draw { account, rules, member, step, shadow, .. } = &draw;
        let subject = self.subject(account, rules, member.as_ref());
        let answer = self.link.ask(&subject.draw(step, *shadow)).await;
        let drawn = answer.and_then(|answer| subject.drawn(step, *shadow, answer).map_err(|_| Out));
        let Ok(drawn) = drawn else { return Some(Message::Draw(draw)) };
        let Draw { account, rules, member, home, reply, .. } = draw;
        let part = |booked| Part::new(home, Booking { account, rules, member, booked, stored: true }, None);
        drop(reply.send(drawn.map(part)));
        None
    }

    async fn usage(&self, usage: Usage) -> Back {
        let subject = self.subject(&usage.account, &usage.rules, None);
        let answer = self.link.ask(&subject.levels()).await;
        match answer.and_then(|answer| subject.stands(answer).map_err(|_| Out)) {
            // Whoever asked may be gone.
            Ok(levels) => drop(usage.reply.send(levels)),
            Err(Out) => return Some(Message::Usage(usage)),
        }
        None
    }

    async fn look(&self, look: Look) -> Back {
        let subject = self.subject(&look.account, &look.rules, look.member.as_ref());
        let answer = self.link.ask(&subject.look(&look.ask)).await;
        match answer.and_then(|answer| subject.looked(answer).map_err(|_| Out)) {
            Ok(refused) => drop(look.reply.send(refused.map(|refused| Refusal::new(refused, &look.rules)))),
            Err(Out) => return Some(Message::Look(look)),
        }
        None
    }

    fn subject<'a>(
        &'a self,
        account: &'a AccountId,
        rules: &'a Rules,
        member: Option<&'a ClientId>,
    ) -> Subject<'a> {
        let (prefix, digest) = (self.store.prefix(), self.store.digest());
        Subject { prefix, account, rules, member, now: None, hold: script::HOLD, digest }
    }
}

/// Reads the answer to a settlement for whoever waits for it.
fn reader(rules: Rules, wanted: oneshot::Sender<Option<(usize, Standing)>>) -> oneshot::Sender<redis::Value> {
    let (answer, answered) = oneshot::channel();
    tokio::spawn(async move {
        if let Some(standing) = answered.await.ok().and_then(|answer| script::settled(&rules, answer).ok()) {
            let _ = wanted.send(standing);
        }
    });
    answer
}
