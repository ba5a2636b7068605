//! The listener: accepts connections while there are places, and lets them end when the server does.
//!
//! Imports no actor framework: what actors do is behind their handles.

mod admin;
mod answer;
mod ask;
mod body;
mod call;
mod connection;
mod counting;
mod io;
mod listing;
pub mod phase;
mod pipeline;
mod relay;
mod request_id;
mod respond;
pub mod router;
mod source;
mod text;
mod timer;

use std::{future::Future, io as std_io, net::SocketAddr, sync::Arc, time::Duration};

use actors::gate::Gate;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::mpsc,
    time::sleep,
};

pub use self::{
    admin::{Admin, serve_health},
    counting::Counting,
    request_id::Ids,
};
use self::{phase::Phase, router::Router};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 4096;
/// After a failure to accept, which is a lack of file descriptors: until some are free.
const BREATHE: Duration = Duration::from_millis(50);

/// Binds an address at once, so that a taken port is a start-up error.
///
/// # Errors
/// When the address cannot be had.
pub fn bind(address: SocketAddr) -> std_io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart must not wait for connections of the last run to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves clients until the server drains; returns when the last connection has ended.
pub async fn serve(listener: TcpListener, router: Arc<Router>) {
    let gate = Gate::new(router.server.max_connections);
    accept(listener, &router.phases, |stream, peer| {
        let router = Arc::clone(&router);
        let place = gate.enter(1);
        async move {
            match place {
                Some(place) => connection::serve(stream, peer, router, place).await,
                None => connection::refuse(stream).await,
            }
        }
    })
    .await;
}

/// Accepts until the drain, gives each connection a task, and waits for all of them.
async fn accept<F>(listener: TcpListener, phases: &phase::Phases, serve: impl Fn(TcpStream, SocketAddr) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    // Every task holds a sender; when the last is gone, the receiver sees the end.
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
                let (serving, alive) = (serve(stream, peer), alive.clone());
                tokio::spawn(async move {
                    let _alive = alive;
                    serving.await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                sleep(BREATHE).await;
            }
        }
    }
    drop((listener, alive));
    // Nothing is ever sent.
    let _ = all_gone.recv().await;
}
