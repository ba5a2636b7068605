//! The connections one provider actor keeps. No IO and no clock: closing a connection is dropping it.

use std::time::Duration;

use tokio::time::Instant;

use super::connection::Connection;

/// How long an unused connection is kept. Longer than most servers keep theirs; a stale one costs one replacement.
const KEEP: Duration = Duration::from_secs(90);

/// How long a connection counts as just returned: it may not be ready because its driver still winds up the last call,
/// on another thread. To skip it would open a new one each time.
const RETURNED: Duration = Duration::from_millis(10);
/// How long one that is not ready is kept. Answered before it had sent its whole request, it may never be.
const UNREADY: Duration = Duration::from_secs(5);

/// Idle HTTP/1.1 connections, most recently used last, and HTTP/2 connections that many calls share.
#[derive(Default)]
pub(super) struct Pool {
    idle: Vec<Idle>,
    shared: Vec<Idle>,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

impl Pool {
    /// A usable connection: a share of an HTTP/2 one with room, else the most recently used idle one that is ready, else
    /// one that should be in a moment.
    pub(super) fn take(&mut self, now: Instant) -> Option<Connection> {
        if let Some(share) = self.shared.iter().find_map(|shared| shared.connection.share()) {
            return Some(share);
        }
        let just_returned =
            |idle: &Idle| !idle.connection.is_closed() && now.duration_since(idle.since) < RETURNED;
        let ready = self.idle.iter().rposition(|idle| idle.connection.is_ready());
        let lent = ready.or_else(|| self.idle.iter().rposition(just_returned))?;
        Some(self.idle.remove(lent).connection)
    }

    /// Keeps a connection for later calls.
    ///
    /// Calls that come all at once to an empty pool open an HTTP/2 connection each. The first is kept; the others end with
    /// the calls that opened them.
    pub(super) fn keep(&mut self, connection: Connection, now: Instant) {
        let list = if connection.is_shared() { &mut self.shared } else { &mut self.idle };
        if connection.is_closed() || list.iter().any(|kept| kept.connection.has_room()) {
            return;
        }
        list.push(Idle { connection, since: now });
    }

    /// Closes what has been idle too long, was closed by the other side or does not get ready.
    pub(super) fn sweep(&mut self, now: Instant) {
        self.shared.retain_mut(|shared| {
            if !shared.connection.is_unused() {
                shared.since = now;
            }
            !shared.connection.is_closed() && now.duration_since(shared.since) < KEEP
        });
        self.idle.retain(|idle| {
            let keep = if idle.connection.is_ready() { KEEP } else { UNREADY };
            !idle.connection.is_closed() && now.duration_since(idle.since) < keep
        });
    }
}
