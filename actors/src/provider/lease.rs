//! A lease: the right to one call, and the connection it runs on. Dropping it at any moment ends the call upstream.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::Response;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::timeout;

use super::{
    ConnectError, Connection, Counted, Endpoint, Grant, Home, Place, connection::SendFailure,
    payload::Outgoing,
};

/// One call's hold on a provider.
pub struct Lease {
    held: Held,
    endpoint: Option<Arc<Endpoint>>,
    connection: Option<Tried>,
}

/// Whether a connection has carried calls before, which decides whether it may be replaced.
enum Tried {
    Fresh(Connection),
    Reused(Connection),
}

/// What a call holds from the first byte to the last.
struct Held {
    _place: Place,
    call: Counted,
    home: Home,
}

/// Why there is no answer head.
#[derive(Debug)]
pub enum SendError {
    /// No connection came about.
    Connect(ConnectError),
    /// The connection broke before the head was whole.
    Broken(String),
    /// The first-byte timeout passed.
    FirstByteTimeout,
}

/// The body of an upstream's answer. When it ends, its connection goes home; dropped earlier, the call is cancelled.
pub struct Answer {
    body: Incoming,
    lease: Option<(Held, Connection)>,
}

impl Lease {
    pub(super) fn new(grant: Grant, endpoint: Option<Arc<Endpoint>>, home: Home) -> Self {
        let held = Held { _place: grant.place, call: grant.call, home };
        Self { held, endpoint, connection: grant.connection.map(Tried::Reused) }
    }

    /// Makes sure of a connection: the one that was idle, else a new one. Until it returns nothing has been sent.
    ///
    /// # Errors
    /// [`SendError::Connect`], which counts as a failure of the provider.
    pub async fn connect(&mut self) -> Result<(), SendError> {
        if let (None, Some(endpoint)) = (&self.connection, &self.endpoint) {
            self.connection = Some(Tried::Fresh(self.open(endpoint).await?));
        }
        Ok(())
    }

    /// Sends the call and waits for the head of the answer.
    ///
    /// A reused connection that dies before any byte of the answer, or on which the server refuses the call unseen, is
    /// replaced once; a fresh one is not. The future is one pointer: its state is needed until the head only, while the
    /// caller's own lives as long as the caller's connection.
    ///
    /// # Errors
    /// As [`SendError`] says; each counts as a failure of the provider.
    pub fn send(
        self,
        outgoing: Outgoing,
        first_byte: Duration,
    ) -> impl Future<Output = Result<Response<Answer>, SendError>> + Send + use<> {
        Box::pin(self.answered(outgoing, first_byte))
    }

    async fn answered(
        mut self,
        outgoing: Outgoing,
        first_byte: Duration,
    ) -> Result<Response<Answer>, SendError> {
        let sent = timeout(first_byte, self.send_replacing(outgoing)).await;
        let (head, connection) = sent.unwrap_or_else(|_| Err(self.failed(SendError::FirstByteTimeout)))?;
        let lease = Some((self.held, connection));
        Ok(head.map(|body| Answer { body, lease }.settled()))
    }

    async fn send_replacing(
        &mut self,
        outgoing: Outgoing,
    ) -> Result<(Response<Incoming>, Connection), SendError> {
        let Some(endpoint) = self.endpoint.clone() else {
            return Err(SendError::Broken("a built-in provider has no connection".to_owned()));
        };
        let mut fresh = match self.connection.take() {
            Some(Tried::Fresh(fresh)) => fresh,
            Some(Tried::Reused(mut reused)) => match reused.send(outgoing.clone(), &endpoint.authority).await
            {
                Ok(head) => return Ok((head, reused)),
                Err(SendFailure { stale: false, reason }) => {
                    return Err(self.failed(SendError::Broken(reason)));
                }
                Err(SendFailure { reason, .. }) => {
                    tracing::debug!(reason, "stale connection replaced");
                    drop(reused);
                    self.open(&endpoint).await?
                }
            },
            None => self.open(&endpoint).await?,
        };
        match fresh.send(outgoing, &endpoint.authority).await {
            Ok(head) => Ok((head, fresh)),
            Err(failure) => Err(self.failed(SendError::Broken(failure.reason))),
        }
    }

    /// Opens a connection; if many calls can share it, the pool gets to know of it at once.
    async fn open(&self, endpoint: &Endpoint) -> Result<Connection, SendError> {
        // Rare and large: a call on a connection that was idle does not carry the room for it.
        let opened = Box::pin(endpoint.connect(self.held.call.gauges())).await;
        let connection = opened.map_err(|error| self.failed(SendError::Connect(error)))?;
        Ok(match connection.share() {
            Some(share) => {
                self.held.home.keep(connection);
                share
            }
            None => connection,
        })
    }

    fn failed(&self, error: SendError) -> SendError {
        self.held.call.gauges().failed();
        error
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => error.fmt(f),
            Self::Broken(reason) => write!(f, "the connection broke: {reason}"),
            Self::FirstByteTimeout => f.write_str("no answer within the first-byte timeout"),
        }
    }
}

impl std::error::Error for SendError {}

impl Answer {
    /// An answer without a body is over at once.
    fn settled(mut self) -> Self {
        if self.body.is_end_stream() {
            self.go_home();
        }
        self
    }

    fn go_home(&mut self) {
        if let Some((held, connection)) = self.lease.take()
            && !connection.is_shared()
        {
            held.home.keep(connection);
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            None => self.go_home(),
            Some(Ok(_)) if self.body.is_end_stream() => self.go_home(),
            Some(Ok(_)) => {}
            Some(Err(_)) => {
                if let Some((held, _)) = self.lease.take() {
                    held.call.gauges().failed();
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
