//! One request, seven steps, in order; with `answer` and `relay` the only place where protocols and actors meet.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
};

use actors::{
    Principal,
    identity::Peer,
    provider::{ConnectError, Lease, Refused, SendError, credential::Opened},
    quota::{Demand, Refusal},
};
use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH},
    request::Parts,
};
use hyper::body::Incoming;
use tokio::time::sleep;

use super::{
    answer::{self, Head},
    ask::Ask,
    body::{self, Body, Content},
    call::Call,
    charge, listing,
    phase::Phase,
    respond,
    router::{Provider, Router, Upstream},
    socket::Beat,
    source::Source,
};
use crate::{
    error::{Caller, Error, Ours, Provider as Fault, Quota},
    protocol::{self, NoRoute, Operation, Protocol},
    upstream::REQUEST_ID,
};

/// The most headers a request may have, in every version of HTTP.
pub(super) const MAX_HEADERS: usize = 128;
/// The largest request head, in bytes.
pub(super) const MAX_HEAD: usize = 64 * 1024;

/// Answers one request, whatever becomes of it.
pub(super) async fn serve(
    router: Arc<Router>,
    request: Request<Incoming>,
    peer: Peer,
    beat: Beat,
) -> Response<Body> {
    let (head, mut body) = request.into_parts();
    let id = router.ids.of(&head.headers);
    let mut call = Call::new(Arc::clone(&router.metrics), id.clone(), beat);
    let outcome = if is_too_large(&head) {
        Err(Caller::HeadTooLarge.into())
    } else if let Some(answer) = router.edge.answer(&head) {
        call.recorded = answer.is_err();
        answer
    } else {
        let steps = pin!(steps(&router, &head, &mut body, &peer, &mut call));
        unless_cut(&router, steps).await
    };
    let mut response = match outcome {
        Ok(response) => response,
        Err(error) => refuse(&router, &error, &mut call).await,
    };
    router.edge.share(&head, response.headers_mut());
    if body::is_left(&head.headers, &mut body).await {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    } else {
        call.beat.read();
    }
    if head.method == Method::HEAD {
        // HTTP/2 would send it, and the client would take that for a broken stream.
        let length = std::mem::replace(response.body_mut(), Content::one(Bytes::new())).len();
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    call.status = Some(response.status());
    response.headers_mut().insert(REQUEST_ID, id);
    response.map(|content| content.held_by(call))
}

/// A call that has no answer yet when the server cuts off what is left gets that as its answer.
async fn unless_cut<T>(
    router: &Router,
    mut steps: Pin<&mut impl Future<Output = Result<T, Error>>>,
) -> Result<T, Error> {
    let mut cut = router.phases.awaited(Phase::Cutting);
    poll_fn(|cx| match steps.as_mut().poll(cx) {
        Poll::Pending if cut.is_now(cx) => Poll::Ready(Err(Ours::Draining.into())),
        polled => polled,
    })
    .await
}

/// The seven steps. Each may end the call; what was taken until then is given back by [`refuse`].
#[rustfmt::skip] // the steps are a table
async fn steps(
    router: &Router,
    head: &Parts,
    body: &mut Incoming,
    peer: &Peer,
    call: &mut Call,
) -> Result<Response<Content>, Error> {
    let (protocol, operation) = accept(router, head, peer, call).await?; // 1 a route, the limits on requests, a place
    call.principal = identify(router, head, peer, &operation).await?;  // 2 who is calling
    let Operation::Call(operation, model) = operation else { return listing::answer(router, protocol, &operation, &call.principal).await };
    let ask = route(router, head, body, (operation, model), call).await?; // 3 the body, and the model it names
    estimate(router, &ask, call).await;                                // 4 what it will cost
    if ask.is_counted_here() { return Ok(listing::count(protocol, call.estimate.unwrap_or_default())) }
    reserve(router, &ask, call).await?;                                // 5 whether that may be spent
    let (answer, source) = dispatch(router, &ask, call).await?;        // 6 to the provider
    answer::answer(router, ask, answer, source, call).await            // 7 back to the client, and settled
}

/// Step 1: nothing is read of a call for which there is no route or no place, or that the limits on requests refuse.
async fn accept(
    router: &Router,
    head: &Parts,
    peer: &Peer,
    call: &mut Call,
) -> Result<(Protocol, Operation), Error> {
    let models = whose_models(head);
    let routed = protocol::route(&router.prefixes, &head.method, head.uri.path(), models);
    let (protocol, operation) = routed.map_err(|(protocol, no)| {
        call.spoken = protocol;
        match no {
            NoRoute::Unknown => Caller::NoRoute,
            NoRoute::Method(allow) => Caller::Method(allow),
        }
    })?;
    (call.spoken, call.protocol) = (protocol, Some(protocol));
    call.operation = if let Operation::Call(operation, _) = operation { Some(operation) } else { None };
    let admitted = router.edge.admit(&head.headers, peer.address).await?;
    call.enter(router.in_flight.enter(1).ok_or(Ours::Overloaded)?);
    admitted.settle();
    Ok((protocol, operation))
}

/// Whose list of models is meant at the root, where all protocols have theirs: by what only its clients send.
fn whose_models(head: &Parts) -> Protocol {
    let google = ["x-goog-api-key", "x-goog-api-client"].iter().any(|name| head.headers.contains_key(*name));
    let key = |query: &str| query.split('&').any(|pair| pair.starts_with("key="));
    if head.headers.contains_key("anthropic-version") {
        Protocol::Anthropic
    } else if google || head.uri.query().is_some_and(key) {
        Protocol::Google
    } else {
        Protocol::OpenAi
    }
}

/// Whether a request head has too many headers, or too many bytes as HTTP/1.1 writes it.
fn is_too_large(head: &Parts) -> bool {
    let line = head.uri.path_and_query().map_or(0, |path| path.as_str().len());
    let lines = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    head.headers.len() > MAX_HEADERS || line + lines.sum::<usize>() > MAX_HEAD
}

/// Step 2: asks an identity actor. A probe names nobody.
async fn identify(
    router: &Router,
    head: &Parts,
    peer: &Peer,
    operation: &Operation,
) -> Result<Principal, Error> {
    if *operation == Operation::Probe {
        return Ok(Principal::default());
    }
    Ok(router.identity.identify(&head.headers, peer).await?)
}

/// Step 3: reads the body within its limits, finds the target of its model, and the key to it if the caller has it.
async fn route<'a>(
    router: &Router,
    head: &'a Parts,
    body: &mut Incoming,
    operation: (protocol::Call, Option<String>),
    call: &mut Call,
) -> Result<Ask<'a>, Error> {
    if !body::is_json(&head.headers) {
        return Err(Caller::MediaType.into());
    }
    let (limit, patience) = (router.server.request_body_limit, router.server.body_timeout);
    let held = body::read(&head.headers, body, limit, patience, &router.memory).await?;
    let mut ask =
        Ask::read(operation, head, held, |model| router.routes.find(model, &call.principal).cloned())?;
    let provider = router.provider(&ask.target);
    call.goes_to(&ask.target, provider.forwarded_key(&head.headers)?);
    ask.translate(&provider.upstream, router.ids.unique(), &router.counting).await?;
    Ok(ask)
}

/// Step 4: counts; what is long is counted where it delays nobody.
async fn estimate(router: &Router, ask: &Ask<'_>, call: &mut Call) {
    // Beyond the limit it does not matter how far, unless the number itself is the answer.
    let ceiling = charge::ceiling(&ask.target, &call.principal).filter(|_| !ask.is_count());
    call.estimate = Some(ask.estimate(&router.counting, ceiling).await);
}

/// Step 5: asks the quota actors that own the limits which apply.
async fn reserve(router: &Router, ask: &Ask<'_>, call: &mut Call) -> Result<(), Error> {
    let accounts = ask.target.accounts(&call.principal);
    // A count of tokens costs nothing.
    if accounts.is_empty() || ask.is_count() {
        return Ok(());
    }
    let estimate = call.estimate.unwrap_or_default();
    let demand = Demand {
        accounts: &accounts,
        member: call.principal.client.as_ref(),
        input: charge::expected(&ask.target, &call.principal, estimate),
        output: ask.has_output(),
        price: ask.target.price,
    };
    let mut reservation = router.quota.reserve(&demand).await.map_err(refused)?;
    reservation.counted(estimate);
    call.reservation = Some(reservation);
    Ok(())
}

fn refused(refusal: Refusal) -> Error {
    let seconds = refusal.retry_after_seconds();
    match refusal {
        Refusal::Short { rule, standing, .. } => {
            Quota::Short { retry_after: seconds.unwrap_or(1), rule, standing }.into()
        }
        Refusal::Oversize { rule, standing } => Quota::Oversize { rule, standing }.into(),
        Refusal::Crowded => Quota::Crowded.into(),
        Refusal::Unreachable(gone) => gone.into(),
    }
}

/// Step 6: takes a lease from the provider's actor, and sends the call on it.
async fn dispatch(router: &Router, ask: &Ask<'_>, call: &mut Call) -> Result<(Head, Source), Error> {
    let provider = router.provider(&ask.target);
    let mut lease = provider.actor.acquire().await.map_err(|refused| match refused {
        Refused::Busy => Fault::Busy(ask.target.provider.to_string()).into(),
        Refused::Unreachable(gone) => Error::from(gone),
    })?;
    let opened = provider.open(&ask.target.provider, call).await?;
    lease.connect().await.map_err(|error| unsent(&error, &ask.target.provider))?;
    if let Some(reservation) = &mut call.reservation {
        reservation.sent();
    }
    send(provider, lease, ask, opened, call).await
}

async fn send(
    provider: &Provider,
    lease: Lease,
    ask: &Ask<'_>,
    opened: Option<Arc<Opened>>,
    call: &Call,
) -> Result<(Head, Source), Error> {
    match &provider.upstream {
        Upstream::Remote { server, stream_usage, .. } => {
            let outgoing = ask.outgoing(server, *stream_usage, opened.as_deref(), call);
            let sent = lease.send(outgoing, provider.first_byte_timeout).await;
            let (head, body) = sent.map_err(|error| unsent(&error, &ask.target.provider))?.into_parts();
            let head = Head { status: head.status, headers: head.headers };
            let source = Source::upstream(body, head.is_gzipped()?);
            Ok((head, source))
        }
        Upstream::Echo { counter, first_byte_delay, token_delay } => {
            let pieces = ask.echo(counter, call.estimate.unwrap_or_default());
            sleep(*first_byte_delay).await;
            Ok((Head::built_in(ask.is_stream()), Source::built_in(pieces, *token_delay, lease)))
        }
    }
}

/// The operator reads why; the caller reads which provider.
fn unsent(error: &SendError, provider: &str) -> Error {
    tracing::warn!(provider, %error, "no answer from the provider");
    match error {
        SendError::FirstByteTimeout => Fault::Timeout,
        SendError::Connect(ConnectError::TimedOut) => {
            Fault::Connection(format!("Connecting to provider '{provider}' took too long"))
        }
        SendError::Connect(ConnectError::Failed(_)) => {
            Fault::Connection(format!("Failed to connect to provider '{provider}'"))
        }
        SendError::Broken(_) => {
            Fault::Connection(format!("The connection to provider '{provider}' broke before it answered"))
        }
    }
    .into()
}

/// The end of a call that failed: what it took goes back, and the answer says how the caller stands then.
async fn refuse(router: &Router, error: &Error, call: &mut Call) -> Response<Content> {
    call.error = Some(error.kind());
    let mut response = respond::error(error, call.spoken.errors(), &call.secrets());
    respond::challenge(error, response.headers_mut(), &router.challenge);
    if let Some(reservation) = call.reservation.take() {
        let tightest = match is_the_callers(error) {
            true => reservation.refund_but_request().await,
            false => reservation.refund().await,
        };
        if let Some((kind, standing)) = tightest {
            respond::limit(response.headers_mut(), call.spoken.errors(), (kind, &standing));
        }
    }
    response
}

/// Whether the provider found fault with the request: then it was one, though it brought nothing.
fn is_the_callers(error: &Error) -> bool {
    let Error::Provider(Fault::Status { status, .. }) = error else { return false };
    status.is_client_error() && *status != StatusCode::TOO_MANY_REQUESTS
}
