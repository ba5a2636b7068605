//! A keeper that is not one.

use super::*;
use crate::identity::tests::key_set;

/// Answers everyone with another set than the last.
struct Endless;

impl State for Endless {
    type Message = Message;
    const TICK: Option<Duration> = None;

    fn handle(&mut self, message: Message) {
        if let Message::Newer(_, reply) = message {
            drop(reply.send(Ok(Some(Arc::new(key_set(&["another"]))))));
        }
    }
}

/// Keys of which there are always newer ones.
pub(in crate::identity) async fn ever_newer(supervisor: &mut Supervisor) -> Keys {
    Keys { actor: supervisor.spawn("endless", 64, |_| Endless).await, ready: Arc::default() }
}
