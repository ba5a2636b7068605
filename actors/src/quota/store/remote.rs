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

/// Brings the message back, to be decided without the server.
type Asked = Result<(), Message>;

impl Remote {
    pub(super) fn new(store: Store, link: Link, counts: counts::Own, numbers: observe::Own) -> Self {
        Self { store, link, counts, numbers }
    }

    pub(in crate::quota) fn on_error(&self) -> OnError {
        self.store.on_error()
    }

    /// Takes the message over, if it is for the server.
    ///
    /// # Errors
    /// Gives back what is not, or what finds the server out.
    pub(in crate::quota) fn take(self: &Arc<Self>, message: Message) -> Asked {
        let home = match &message {
            Message::Reserve(Reserve { home, .. })
            | Message::Usage(Usage { home, .. })
            | Message::Look(Look { home, .. }) => home.clone(),
            Message::Draw(Draw { home, stored: true, .. }) => home.clone(),
            _ => return Err(message),
        };
        let Some(place) = self.link.place() else { return Err(Message::Unstored(Box::new(message))) };
        let this = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(message) = this.ask(message).await {
                home.cast(Message::Unstored(Box::new(message)));
            }
            drop(place);
        });
        Ok(())
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

    async fn ask(&self, message: Message) -> Asked {
        match message {
            Message::Reserve(reserve) => self.reserve(reserve).await,
            Message::Draw(draw) => self.draw(draw).await,
            Message::Usage(usage) => self.usage(usage).await,
            Message::Look(look) => self.look(look).await,
            other => Err(other),
        }
    }

    async fn reserve(&self, reserve: Reserve) -> Asked {
        if reserve.reply.is_closed() {
            return Ok(());
        }
        let Reserve { account, rules, ask, member, .. } = &reserve;
        let subject = self.subject(account, rules, member.as_ref());
        let answer = self.link.ask(&subject.admit(ask)).await;
        let Ok((answer, kinds)) = answer.and_then(|answer| subject.admitted(ask, answer).map_err(|_| Out))
        else {
            return Err(Message::Reserve(reserve));
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
        Ok(())
    }

    async fn draw(&self, draw: Draw) -> Asked {
        if draw.reply.is_closed() {
            return Ok(());
        }
        let Draw { account, rules, member, step, shadow, .. } = &draw;
        let subject = self.subject(account, rules, member.as_ref());
        let answer = self.link.ask(&subject.draw(step, *shadow)).await;
        let drawn = answer.and_then(|answer| subject.drawn(step, *shadow, answer).map_err(|_| Out));
        let Ok(drawn) = drawn else { return Err(Message::Draw(draw)) };
        let Draw { account, rules, member, home, reply, .. } = draw;
        let part = |booked| Part::new(home, Booking { account, rules, member, booked, stored: true }, None);
        drop(reply.send(drawn.map(part)));
        Ok(())
    }

    async fn usage(&self, usage: Usage) -> Asked {
        let subject = self.subject(&usage.account, &usage.rules, None);
        let answer = self.link.ask(&subject.levels()).await;
        match answer.and_then(|answer| subject.stands(answer).map_err(|_| Out)) {
            // Whoever asked may be gone.
            Ok(levels) => drop(usage.reply.send(levels)),
            Err(Out) => return Err(Message::Usage(usage)),
        }
        Ok(())
    }

    async fn look(&self, look: Look) -> Asked {
        let subject = self.subject(&look.account, &look.rules, look.member.as_ref());
        let answer = self.link.ask(&subject.look(&look.ask)).await;
        match answer.and_then(|answer| subject.looked(answer).map_err(|_| Out)) {
            Ok(refused) => drop(look.reply.send(refused.map(|refused| Refusal::new(refused, &look.rules)))),
            Err(Out) => return Err(Message::Look(look)),
        }
        Ok(())
    }

    fn subject<'a>(
        &'a self,
        account: &'a AccountId,
        rules: &'a Rules,
        member: Option<&'a ClientId>,
    ) -> Subject<'a> {
        Subject {
            prefix: self.store.prefix(),
            account,
            rules,
            member,
            now: None,
            digest: self.store.digest(),
        }
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
