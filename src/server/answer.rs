//! Step 7: what came back from a provider, on its way to the client.

use std::time::Duration;

use actors::{gate::Place, provider::Rope};
use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE},
};

use super::{
    ask::Ask,
    body::Content,
    call::Call,
    phase::Cut,
    relay::{Failure, Relay, Silence},
    respond,
    router::Router,
    source::Source,
};
use crate::{
    error::{Error, Ours, Provider as Fault},
    protocol::{openai_chat::response, openai_chat::stream::Stream, splice},
    upstream,
};

/// As much of an error's body as is read, in bytes.
const LONGEST_ERROR: usize = 256 * 1024;

/// The head of a provider's answer.
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
}

/// A body that has been read whole, and the memory it takes.
struct Whole {
    bytes: Bytes,
    memory: Place,
}

impl Head {
    /// The head of the built-in provider's answers.
    pub(super) fn built_in(stream: bool) -> Self {
        let kind = if stream { "text/event-stream" } else { "application/json" };
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
        Self { status: StatusCode::OK, headers }
    }

    pub(super) fn is_gzipped(&self) -> bool {
        let coding = self.headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes);
        coding.is_some_and(|c| c.eq_ignore_ascii_case(b"gzip") || c.eq_ignore_ascii_case(b"x-gzip"))
    }

    fn is_event_stream(&self) -> bool {
        let kind = self.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        kind.get(..17).is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/event-stream"))
    }
}

/// Gives the client a provider's answer: a stream as it comes, anything else whole.
pub(super) async fn answer(
    router: &Router,
    ask: &Ask,
    head: Head,
    source: Source,
    call: &mut Call,
) -> Result<Response<Content>, Error> {
    if head.status.is_success() && head.is_event_stream() {
        return stream(router, ask, head, source, call).await;
    }
    let idle = router.provider(&ask.target).idle_timeout;
    if head.status.is_success() {
        let whole = read_whole(source, router, idle, usize::MAX).await?;
        return Ok(respond_whole(ask, &head, whole, call).await?);
    }
    let whole = read_whole(source, router, idle, LONGEST_ERROR).await?;
    let headers = Box::new(upstream::passing(&head.headers));
    Err(Fault::Status { status: head.status, body: whole.bytes, headers }.into())
}

async fn stream(
    router: &Router,
    ask: &Ask,
    head: Head,
    source: Source,
    call: &mut Call,
) -> Result<Response<Content>, Error> {
    let machine = Stream::new(ask.target.id_json.clone(), ask.hides_usage());
    let idle = router.provider(&ask.target).idle_timeout;
    let memory = router.memory.enter(0).ok_or(Ours::Memory)?;
    let relay = Relay::new(source, machine, idle, Cut::new(router.phases.clone()), memory);
    let relay = relay.begin().await.map_err(Fault::from)?;
    let mut response = Response::new(());
    *response.headers_mut() = upstream::passing(&head.headers);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // An error as the first event is no output: the head already says that the tokens are back.
    if relay.began_with_error()
        && let Some(reservation) = call.reservation.take()
    {
        respond::limit(response.headers_mut(), &reservation.refund().await);
    } else if let Some(reservation) = &call.reservation {
        respond::limit(response.headers_mut(), &reservation.standing());
    }
    Ok(response.map(|()| Content::Stream(Box::new(relay))))
}

async fn respond_whole(
    ask: &Ask,
    head: &Head,
    whole: Whole,
    call: &mut Call,
) -> Result<Response<Content>, Fault> {
    let read = response::Response::parse(&whole.bytes).map_err(Fault::Unreadable)?;
    let edit = read.model.map(|at| splice::Edit::bytes(at, ask.target.id_json.clone()));
    let rope: Rope = splice::splice(&whole.bytes, edit);
    let mut response = Response::new(Content::Whole(rope, Some(whole.memory)));
    *response.status_mut() = head.status;
    *response.headers_mut() = upstream::passing(&head.headers);
    if let Some(reservation) = &call.reservation {
        respond::limit(response.headers_mut(), &reservation.standing());
    }
    if read.error {
        // An error that came as a success is passed as it is, but is no output.
        call.error = Some("provider_error_body");
        if let Some(reservation) = call.reservation.take() {
            respond::limit(response.headers_mut(), &reservation.refund().await);
        }
    }
    call.answering();
    call.settle(read.usage);
    Ok(response)
}

/// Reads a body to its end or `enough` bytes of it, each piece in time, within the memory budget.
async fn read_whole(
    mut source: Source,
    router: &Router,
    idle: Duration,
    enough: usize,
) -> Result<Whole, Error> {
    let mut memory = router.memory.enter(0).ok_or(Ours::Memory)?;
    let mut silence = Silence::new(idle);
    let mut first: Option<Bytes> = None;
    let mut gathered = BytesMut::new();
    while let Some(piece) = silence.piece(&mut source).await.map_err(unreadable)? {
        if !memory.grow(piece.len()) {
            return Err(Ours::Memory.into());
        }
        if first.is_none() && gathered.is_empty() {
            first = Some(piece);
        } else {
            gathered.extend_from_slice(&first.take().unwrap_or_default());
            gathered.extend_from_slice(&piece);
        }
        if memory.size() >= enough {
            break;
        }
    }
    Ok(Whole { bytes: first.unwrap_or_else(|| gathered.freeze()), memory })
}

/// A body that broke off after its head is an answer that cannot be read.
fn unreadable(failure: Failure) -> Error {
    match failure {
        Failure::Broken(why) => Fault::Unreadable(why).into(),
        Failure::Silent => Fault::Timeout.into(),
    }
}
