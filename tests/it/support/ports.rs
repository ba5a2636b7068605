//! Ports of this machine that nobody else uses.
//!
//! A server under test is told its port before it binds, so the port must stay free in between. The kernel hands out
//! ports above [`HIGHEST`] to outgoing connections and to port 0; those below are walked here from a place that
//! differs for each test process, and looked at before they are given away.

use std::{
    net::{SocketAddr, TcpListener},
    sync::atomic::{AtomicU32, Ordering},
};

use socket2::{Domain, Socket, Type};

const LOWEST: u32 = 10_000;
const HIGHEST: u32 = 32_000;

static TAKEN: AtomicU32 = AtomicU32::new(0);

/// An address on the loopback interface on which nobody listens right now.
pub(crate) fn free_address() -> SocketAddr {
    // A prime stride keeps processes with neighbouring ids apart for a dozen ports each.
    let start = std::process::id().wrapping_mul(13);
    for _ in 0..1000 {
        let step = TAKEN.fetch_add(1, Ordering::Relaxed);
        let port = LOWEST + start.wrapping_add(step) % (HIGHEST - LOWEST);
        let address = SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).unwrap()));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no free port between {LOWEST} and {HIGHEST}");
}

/// A port that refuses connections for as long as this lives: bound, so that nobody else gets it, and not listening.
pub(crate) struct ClosedPort(Socket);

impl ClosedPort {
    /// Binds one.
    pub(crate) fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        Self(socket)
    }

    /// Where it refuses.
    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap().as_socket().unwrap()
    }
}
