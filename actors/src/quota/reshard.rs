//! Another number of quota actors while calls go on: new ones start, the old ones hand over what they have.
//!
//! At every moment an account is in one place, and whoever asks for it finds that place:
//! - an old shard answers for the accounts it still has, and passes on what is about any other;
//! - it hands over and passes on through the same mailbox, so that a message comes behind the account it is about;
//! - [`Quota::reshard`] returns the way to the new shards only when the old ones have nothing left.
//!
//! Reservations know the shard that admitted them. So an old shard goes on passing on until the last of them has ended
//! ([`Quota::unused`]). Both share a clock and the counts: nothing is rounded, no token is lost or there twice.

use std::{num::NonZeroUsize, time::Duration};

use tokio::time::sleep;

use super::{
    ANSWER_WITHIN, AccountId, Quota, home,
    shard::{Draw, HandOver, Look, Message, Reserve, Settle, Shard, TakeOver, Usage},
    spawn,
};
use crate::supervisor::Supervisor;

/// Accounts that are handed over by one message: well under a millisecond of work. Few in tests, which then see a shard
/// that has some of its accounts still and others no more.
const SLICE: usize = if cfg!(test) { 8 } else { 1_024 };
/// After a shard did not answer, which has more to do at the moment.
const BREATHE: Duration = Duration::from_millis(10);
/// Between two looks whether old shards are still in use.
const LOOK: Duration = Duration::from_secs(1);

impl Quota {
    /// Moves all accounts to `count` new actors. Calls go on meanwhile, over the old way as well as over the new. One move
    /// at a time; dropped before its end, the old way still leads everywhere, and nothing can be moved from it again.
    pub async fn reshard(
        &self,
        supervisor: &mut Supervisor,
        name: &str,
        count: NonZeroUsize,
        mailbox_limit: usize,
    ) -> Self {
        let shards = spawn(supervisor, name, count, mailbox_limit, &self.common).await;
        for old in self.shards.iter() {
            let slice =
                || old.call(ANSWER_WITHIN, |reply| Message::HandOver(HandOver { to: shards.clone(), reply }));
            loop {
                match slice().await {
                    Ok(true) => break,
                    Ok(false) => {}
                    Err(_) => sleep(BREATHE).await,
                }
            }
        }
        Self { shards, ..self.clone() }
    }

    /// How many actors there are.
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Waits until nobody else can reach these actors: there is no other handle, and every reservation has ended.
    pub async fn unused(self) {
        while !self.shards.is_last() {
            sleep(LOOK).await;
        }
    }
}

impl Shard {
    pub(super) fn hand_over(&mut self, HandOver { to, reply }: HandOver) {
        for (account, state) in self.clients.hand_over(SLICE) {
            home(&to, &account).cast(Message::TakeOver(Box::new(TakeOver { account, state })));
        }
        self.next = Some(to);
        self.show_clients();
        // Whoever moves the accounts asks again until it hears that all are gone.
        let _ = reply.send(self.clients.is_empty());
    }

    pub(super) fn take_over(&mut self, TakeOver { account, state }: TakeOver) {
        self.clients.take_over([(account, state)]);
        self.show_clients();
    }

    /// Sends a message after the account it is about, if that has moved. Else the message is for this shard.
    pub(super) fn pass_on(&self, mut message: Message) -> Option<Message> {
        let Some(next) = &self.next else { return Some(message) };
        let Some(account) = account(&message).filter(|account| !self.clients.has(account)) else {
            return Some(message);
        };
        let there = home(next, account).clone();
        // What is booked there is given back there.
        if let Message::Reserve(Reserve { home, .. })
        | Message::Draw(Draw { home, .. })
        | Message::Usage(Usage { home, .. })
        | Message::Look(Look { home, .. }) = &mut message
        {
            *home = there.clone();
        }
        there.cast(message);
        None
    }
}

/// The account that a message is about.
fn account(message: &Message) -> Option<&AccountId> {
    match message {
        Message::Reserve(Reserve { account, .. })
        | Message::Draw(Draw { account, .. })
        | Message::Usage(Usage { account, .. })
        | Message::Look(Look { account, .. }) => Some(account),
        Message::Settle(Settle { booking, .. }) => Some(&booking.account),
        Message::TakeOver(parcel) => Some(&parcel.account),
        Message::Unstored(message) => account(message),
        Message::HandOver(_) | Message::Restore(_) | Message::Changes(..) => None,
        #[cfg(test)]
        Message::Panic(_) => None,
    }
}
