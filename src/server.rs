//! The listener: accepts connections while there are places, and lets them end when the server does.
//!
//! Imports no actor framework: what actors do is behind their handles.

mod admin;
mod answer;
mod ask;
mod body;
mod call;
mod charge;
mod connection;
mod counting;
pub mod credential;
pub mod edge;
mod explain;
mod listing;
mod meter;
pub mod phase;
mod pipeline;
mod relay;
mod request_id;
mod respond;
pub mod router;
mod silence;
mod socket;
mod source;
mod stall;
mod text;
mod timer;
mod tls;
mod translation;
mod usage;

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::mpsc,
    time::sleep,
};

pub use self::{
    admin::{Admin, serve_health},
    counting::Counting,
    request_id::Ids,
    tls::{Tls, TlsError},
};
use self::{phase::Phase, router::Live};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 4096;
/// After a failure to accept.
const BREATHE: Duration = Duration::from_millis(50);

/// Binds an address at once, so that a taken port is a start-up error.
///
/// # Errors
/// When the address cannot be had.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart must not wait for connections of the last run to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves clients, over TLS where it is configured, until the server drains; returns when the last connection has ended.
pub async fn serve(listener: TcpListener, tls: Option<Tls>, live: Live) {
    let phases = live.now().phases.clone();
    // Every connection holds a sender; when the last is gone, the receiver sees the end.
    let (alive, mut all_gone) = mpsc::channel::<()>(1);
    let mut drain = std::pin::pin!(phases.reached(Phase::Draining));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = drain.as_mut() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                // A socket that is gone already fails here; its task finds out.
                let _ = stream.set_nodelay(true);
                connect(stream, peer, tls.as_ref(), &live, alive.clone());
            }
            Err(error) => breathe(&error).await,
        }
    }
    drop((listener, alive));
    // Nothing is ever sent.
    let _ = all_gone.recv().await;
}

/// Gives a connection a task of its own, if there is a place for it.
fn connect(stream: TcpStream, peer: SocketAddr, tls: Option<&Tls>, live: &Live, alive: mpsc::Sender<()>) {
    match live.now().connections.enter(1) {
        Some(place) => {
            let (tls, live) = (tls.map(Tls::calls), live.clone());
            drop(tokio::spawn(connection::serve(stream, peer, tls, live, place, alive)));
        }
        // A handshake costs more than the answer is worth, and without one the client would not understand it.
        None if tls.is_some() => {}
        None => drop(tokio::spawn(connection::refuse(stream, alive))),
    }
}

/// A connection that died before it was accepted is nothing; any other failure is a lack of file descriptors or memory,
/// which needs a moment.
async fn breathe(error: &io::Error) {
    let gone =
        [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset, io::ErrorKind::ConnectionRefused];
    if !gone.contains(&error.kind()) {
        tracing::warn!(%error, "a connection was not accepted");
        sleep(BREATHE).await;
    }
}
