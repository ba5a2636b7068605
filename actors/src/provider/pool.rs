//! The connections one provider actor keeps. No IO and no clock: closing a connection is dropping it.

use std::time::Duration;

use tokio::time::Instant;

use super::connection::Connection;

/// How long an unused connection is kept. Longer than most servers keep theirs; a stale one costs one replacement.
const KEEP: Duration = Duration::from_secs(90);

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
    /// A usable connection: a share of an HTTP/2 one with room, else the most recently used idle one.
    pub(super) fn take(&mut self) -> Option<Connection> {
        self.shared.retain(|shared| !shared.connection.is_closed());
        if let Some(share) = self.shared.iter().find_map(|shared| shared.connection.share()) {
            return Some(share);
        }
        while let Some(Idle { connection, .. }) = self.idle.pop() {
            if !connection.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection for later calls.
    pub(super) fn keep(&mut self, connection: Connection, now: Instant) {
        if connection.is_closed() {
            return;
        }
        let list = if connection.is_shared() { &mut self.shared } else { &mut self.idle };
        list.push(Idle { connection, since: now });
    }

    /// Closes what has been idle too long or was closed by the other side.
    pub(super) fn sweep(&mut self, now: Instant) {
        self.shared.retain(|shared| !shared.connection.is_closed());
        self.idle.retain(|idle| !idle.connection.is_closed() && now.duration_since(idle.since) < KEEP);
    }
}
