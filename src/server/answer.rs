//! Step 7: what came back from a provider, on its way to the client.

use actors::{provider::Rope, quota::Reservation};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER},
};

use super::{
    ask::Ask,
    body::{Content, Gathered, Held},
    call::Call,
    meter::{self, Meter},
    phase::Phase,
    relay::Relay,
    respond,
    router::Router,
    silence::Silence,
    source::Source,
    translation::{DROPPED, Translation},
};
use crate::{
    error::{Error, Ours, Provider as Fault},
    protocol::{machine::Machine, splice, translated::Framing},
    upstream,
};

/// As much of an error's body as is read, in bytes.
const LONGEST_ERROR: usize = 256 * 1024;

/// The head of a provider's answer.
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
}

impl Head {
    /// The head of the built-in provider's answers.
    pub(super) fn built_in(stream: bool) -> Self {
        let kind = if stream { "text/event-stream" } else { "application/json" };
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
        Self { status: StatusCode::OK, headers }
    }

    /// Whether the body is gzipped.
    ///
    /// # Errors
    /// When it is coded in another way, which was not asked for.
    pub(super) fn is_gzipped(&self) -> Result<bool, Fault> {
        match self.headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
            None | Some(b"" | b"identity") => Ok(false),
            Some(c) if c.eq_ignore_ascii_case(b"gzip") || c.eq_ignore_ascii_case(b"x-gzip") => Ok(true),
            Some(_) => Err(Fault::Unreadable("it is encoded, which was not asked for".to_owned())),
        }
    }

    /// How the body is framed, if it is a stream.
    fn framing(&self) -> Option<Framing> {
        let kind = self.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        let is = |of: &[u8]| kind.get(..of.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(of));
        if is(b"text/event-stream") {
            Some(Framing::Sse)
        } else {
            is(b"application/vnd.amazon.eventstream").then_some(Framing::EventStream)
        }
    }
}

/// Gives the client a provider's answer: a stream as it comes, anything else whole.
pub(super) async fn answer(
    router: &Router,
    ask: Ask<'_>,
    head: Head,
    source: Source,
    call: &mut Call,
) -> Result<Response<Content>, Error> {
    let mut silence = Silence::new(router.provider(&ask.target).idle_timeout);
    if !head.status.is_success() {
        return Err(refused(router, &ask, head, source, &mut silence, call).await?.into());
    }
    // An array of Google's that passes is cut by its own machine, whatever it is called.
    if let Some(framing) = head.framing().or_else(|| ask.is_array().then_some(Framing::Sse)) {
        if ask.translation.is_some() && !ask.is_stream() {
            return Err(Fault::Unreadable("it is a stream, which was not asked for".to_owned()).into());
        }
        let machine = ask.machine(framing, call.secrets().needles());
        return stream(router, &ask, head, (source, machine), silence, call).await;
    }
    let mut source = source;
    let mut gathered = Gathered::new(&router.memory)?;
    while let Some(piece) = source.next_piece(&mut silence).await? {
        gathered.push(piece)?;
    }
    whole(&ask, head, gathered.finish(), call).await
}

/// An error of the upstream, with as much of its body as came: its status counts, however the body ends.
async fn refused(
    router: &Router,
    ask: &Ask<'_>,
    head: Head,
    mut source: Source,
    silence: &mut Silence,
    call: &Call,
) -> Result<Fault, Ours> {
    let mut gathered = Gathered::new(&router.memory)?;
    while gathered.len() < LONGEST_ERROR
        && let Ok(Some(piece)) = source.next_piece(silence).await
        && gathered.push(piece).is_ok()
    {}
    // Before it is shortened, which might leave the half of one.
    let (status, body) = (head.status, respond::scrubbed(gathered.finish().bytes, &call.secrets()));
    let translation = ask.translation.as_ref();
    let meaning = translation.map(|translation| translation.fault(status.as_u16(), &head.headers, &body));
    let mut headers = Box::new(upstream::passing(head.headers, |value| call.is_told(value)));
    if let Some(seconds) = translation.and_then(|translation| translation.retry_after(&body)) {
        headers.entry(RETRY_AFTER).or_insert_with(|| seconds.into());
    }
    Ok(Fault::Status { status, body, headers, meaning })
}

async fn stream(
    router: &Router,
    ask: &Ask<'_>,
    head: Head,
    (source, mut machine): (Source, Machine),
    silence: Silence,
    call: &mut Call,
) -> Result<Response<Content>, Error> {
    let memory = router.memory.enter(0).ok_or(Ours::Memory)?;
    let cut = router.phases.awaited(Phase::Cutting);
    let meter = Meter::of(call, ask.target.charging.output_lease);
    if call.reservation.as_ref().is_some_and(Reservation::may_be_cut) {
        machine.may_be_cut();
    }
    let relay = Relay::new(source, (machine, meter), silence, cut, memory).begin(call).await?;
    // An error as the first event is no output: the head already says that the tokens are back.
    let failed = relay.began_with_error();
    let mut response = respond(head, Content::Stream(Box::new(relay)), call);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if ask.translation.is_some() {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(ask.content_type()));
    }
    name_dropped(&mut response, ask);
    state_limit(&mut response, call, failed).await;
    Ok(response)
}

async fn whole(ask: &Ask<'_>, head: Head, held: Held, call: &mut Call) -> Result<Response<Content>, Error> {
    let Held { mut bytes, memory } = held;
    if let Some(translation) = &ask.translation {
        return translated(translation, ask, head, Held { bytes, memory }, call).await;
    }
    let mut read = ask.whole(&bytes).map_err(Fault::Unreadable)?;
    if read.error {
        // An error that came as a success passes, but is no output.
        call.error = Some("provider_error_body");
    }
    // What is no answer is an error in one shape or another, and may tell a secret.
    if read.error || !read.answer {
        bytes = respond::scrubbed(bytes, &call.secrets());
        read = ask.whole(&bytes).map_err(Fault::Unreadable)?;
    }
    let edit = read.model.map(|at| splice::Edit::bytes(at, ask.target.id_json.clone()));
    let rope: Rope = splice::splice(&bytes, edit);
    let mut response = respond(head, Content::Whole(rope, Some(memory)), call);
    state_limit(&mut response, call, read.error).await;
    call.answering();
    meter::count_whole(read.usage, &bytes, call);
    call.settle(read.usage);
    Ok(response)
}

/// An answer in another format than it came in.
async fn translated(
    translation: &Translation,
    ask: &Ask<'_>,
    head: Head,
    Held { bytes, mut memory }: Held,
    call: &mut Call,
) -> Result<Response<Content>, Error> {
    if ask.is_stream() {
        return Err(no_stream(translation, &head.headers, respond::scrubbed(bytes, &call.secrets())).into());
    }
    let estimate = call.estimate.unwrap_or_default();
    let read = |bytes: &[u8]| translation.answer(bytes, ask.body(), &ask.target.id, estimate);
    // What is no answer is read again without the secrets in it, since what it says is shortened.
    let answer = read(&bytes).or_else(|_| read(&respond::scrubbed(bytes.clone(), &call.secrets())));
    let (body, usage) = answer.map_err(|unreadable| Fault::Unreadable(unreadable.0))?;
    meter::count_whole(usage, &bytes, call);
    drop(bytes);
    if !memory.resize(body.len()) {
        return Err(Ours::Memory.into());
    }
    let content = Content::Whole(Rope::from_iter([body]), Some(memory));
    let mut response = respond(head, content, call);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    name_dropped(&mut response, ask);
    state_limit(&mut response, call, false).await;
    call.answering();
    call.settle(usage);
    Ok(response)
}

/// What came whole with a good status where a stream was asked for: an error by its meaning, else nothing of use.
fn no_stream(translation: &Translation, headers: &HeaderMap, body: Bytes) -> Fault {
    let Some(meaning) = translation.error_in(headers, &body) else {
        return Fault::Unreadable("it is no stream".to_owned());
    };
    let status = StatusCode::from_u16(meaning.kind.status()).unwrap_or(StatusCode::BAD_GATEWAY);
    Fault::Status { status, body, headers: Box::default(), meaning: Some(meaning) }
}

/// Tells the client what its provider was not told.
fn name_dropped(response: &mut Response<Content>, ask: &Ask<'_>) {
    if let Some(dropped) = ask.translation.as_ref().and_then(|translation| translation.dropped.clone()) {
        response.headers_mut().insert(DROPPED, dropped);
    }
}

fn respond(head: Head, content: Content, call: &Call) -> Response<Content> {
    let mut response = Response::new(content);
    *response.status_mut() = head.status;
    *response.headers_mut() = upstream::passing(head.headers, |value| call.is_told(value));
    response
}

/// Says how the caller stands with its limit; after a failure, when it has its tokens back.
async fn state_limit(response: &mut Response<Content>, call: &mut Call, failed: bool) {
    let tightest = match call.reservation.take_if(|_| failed) {
        Some(reservation) => reservation.refund().await,
        None => call.reservation.as_ref().and_then(Reservation::tightest).map(|(rule, now)| (rule.kind, now)),
    };
    if let Some((kind, standing)) = tightest {
        respond::limit(response.headers_mut(), call.spoken.errors(), (kind, &standing));
    }
}
