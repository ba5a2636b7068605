//! A stream of server-sent events that keeps its wire format on the way from provider to client.
//!
//! Every event passes byte for byte but for the model's name. What is watched: usage, whether any output came, and how
//! the stream ends, so that an upstream that breaks off never looks like a clean end. What an event means is the
//! [`Dialect`]'s to say; nothing here knows a wire format.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::value::RawValue;
use smallvec::SmallVec;

pub use self::whole::Whole;
use super::{
    said, span_in,
    sse::{self, Fields, Splitter},
    translate::Frame,
};
use crate::chat::usage::Usage;

pub(super) mod whole;

/// What a provider's own words must not tell: its key and the like, the longest first.
pub type Needles = Arc<[Arc<str>]>;

/// A wire format, as far as its streams are watched on their way through.
pub trait Dialect {
    /// What is written where the answer finished but its terminator did not come; empty where the format has none.
    const TERMINATOR: &'static [u8];

    /// The data of an event that some providers send behind the terminator, and that passes.
    const EPILOGUE: Option<&'static [u8]> = None;

    /// Reads one event and notes in `seen` what it tells. An event may be read twice, the second time without the secrets
    /// in it, and must not be counted twice.
    fn read<'a>(&mut self, frame: Frame<'a>, seen: &mut Seen) -> Reading<'a>;

    /// An error event of ours.
    fn error(&self, status: u16, message: &str) -> Bytes;

    /// From now on what [`cut`](Self::cut) needs to know is kept.
    fn may_be_cut(&mut self);

    /// Keeps of an event that passes what [`cut`](Self::cut) needs to know, if it may be asked for that.
    fn note(&mut self, frame: Frame<'_>);

    /// Writes the end of an answer that gets no more tokens, up to the terminator: what is open is closed, the reason is that
    /// it is as long as it may be. `model` is a JSON string.
    fn cut(&mut self, model: &RawValue, usage: Usage, out: &mut Vec<u8>);

    /// Bytes of what is kept.
    fn kept(&self) -> usize {
        0
    }
}

/// What one event is.
#[derive(Debug, Default)]
pub struct Reading<'a> {
    /// The values in its data that name the model, as they are written. What is no string is let be.
    pub models: SmallVec<[&'a str; 1]>,
    /// Whether it is a piece of an answer for certain. What is not is an error in one shape or another, and may be about
    /// the key.
    pub answer: bool,
    /// Whether it was asked for by us, and is not for the client.
    pub hidden: bool,
    /// Whether it is the terminator. After an error it is not told: there is no clean end then, whatever the upstream says.
    pub terminator: bool,
}

/// What is known of a stream so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Some text, call or other output has been passed on: the call is no longer free.
    pub output: bool,
    /// A finish reason came for every choice that began.
    pub finished: bool,
    /// The last event came: nothing behind it would be read by a client, [`Dialect::EPILOGUE`] apart.
    pub done: bool,
    /// An error event came.
    pub error: bool,
    /// All usage reports, the later ones over the earlier.
    pub usage: Option<Usage>,
}

/// How a stream came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With its terminator, or with a finish reason.
    Complete,
    /// In the middle of an answer, or with an error event.
    Broken,
}

/// The machine of one stream.
#[derive(Debug)]
pub struct Stream<D> {
    splitter: Splitter,
    edit: Edit<D>,
    /// The event that passes next, where they are taken one by one.
    next: Option<Bytes>,
}

#[derive(Debug)]
struct Edit<D> {
    dialect: D,
    /// The public model name as a JSON string.
    model: Bytes,
    /// What its own errors must not tell.
    secrets: Option<Needles>,
    seen: Seen,
}

impl Seen {
    /// Takes in a usage report.
    pub fn report(&mut self, usage: Usage) {
        self.usage.get_or_insert_default().update(usage);
    }
}

impl<D: Dialect> Stream<D> {
    /// A stream whose model becomes this JSON string. `secrets` are taken out of error events and comments.
    pub fn of(dialect: D, model: Bytes, secrets: Option<Needles>) -> Self {
        let edit = Edit { dialect, model, secrets, seen: Seen::default() };
        Self { splitter: Splitter::default(), edit, next: None }
    }

    /// What is known so far.
    pub fn seen(&self) -> Seen {
        self.edit.seen
    }

    /// Bytes held while the end of an event is awaited, and of what is kept for an end of our own.
    pub fn held(&self) -> usize {
        self.splitter.held() + self.edit.dialect.kept()
    }

    /// Takes the next piece from the upstream; gives what goes to the client, perhaps nothing yet.
    ///
    /// # Errors
    /// [`sse::TooLarge`] when an event has no end.
    pub fn push(&mut self, piece: Bytes) -> Result<Bytes, sse::TooLarge> {
        let mut out = BytesMut::with_capacity(piece.len() + piece.len() / 8 + 64);
        let edit = &mut self.edit;
        self.splitter.push(piece, |event| edit.event(&event, &mut out))?;
        Ok(out.freeze())
    }

    /// See [`Dialect::may_be_cut`].
    pub fn may_be_cut(&mut self) {
        self.edit.dialect.may_be_cut();
    }

    /// Takes the next event off the front of `piece`, and all of that if none is whole. Says whether there is one.
    ///
    /// # Errors
    /// See [`push`](Self::push).
    pub fn take(&mut self, piece: &mut Bytes) -> Result<bool, sse::TooLarge> {
        self.next = self.splitter.next(piece)?;
        Ok(self.next.is_some())
    }

    /// The text in the event that was taken.
    pub fn said(&self, each: &mut dyn FnMut(&str)) {
        if let Some(data) = self.next.as_deref().and_then(sse::data) {
            said::each(&data, each);
        }
    }

    /// What the client gets of the event that was taken.
    pub fn pass(&mut self) -> Bytes {
        let Some(event) = self.next.take() else { return Bytes::new() };
        let mut out = BytesMut::with_capacity(event.len() + 64);
        self.edit.event(&event, &mut out);
        out.freeze()
    }

    /// The event that was taken does not pass, nor does anything behind it: the proper end of the answer as it is, for want
    /// of tokens.
    pub fn cut(&mut self, usage: Usage) -> Bytes {
        self.next = None;
        let Edit { dialect, model, seen, .. } = &mut self.edit;
        if seen.error || seen.done {
            return Bytes::new();
        }
        let mut out = Vec::new();
        if !seen.finished {
            dialect.cut(raw(model), usage, &mut out);
        }
        out.extend_from_slice(D::TERMINATOR);
        (seen.finished, seen.done) = (true, true);
        out.into()
    }

    /// The upstream ended its body properly.
    pub fn finish(&mut self) -> (Bytes, Ending) {
        let mut out = BytesMut::new();
        let rest = self.splitter.rest();
        if is_whole(&rest) {
            self.edit.event(&[&rest, b"\n\n".as_slice()].concat(), &mut out);
        }
        let (end, ending) = self.end("the provider ended the stream before the answer was complete", 502);
        out.put(end);
        (out.freeze(), ending)
    }

    /// The upstream broke off or fell silent: the last words to the client.
    pub fn fail(&mut self, message: &str, status: u16) -> (Bytes, Ending) {
        self.end(message, status)
    }

    fn end(&mut self, message: &str, status: u16) -> (Bytes, Ending) {
        match self.edit.seen {
            Seen { error: true, .. } => (Bytes::new(), Ending::Broken),
            Seen { done: true, .. } => (Bytes::new(), Ending::Complete),
            Seen { finished: true, .. } => (Bytes::from_static(D::TERMINATOR), Ending::Complete),
            _ => (self.edit.dialect.error(status, message), Ending::Broken),
        }
    }
}

impl<D: Dialect> Edit<D> {
    /// One whole event: passed on, edited, or taken out.
    fn event(&mut self, event: &[u8], out: &mut BytesMut) {
        if !self.seen.done {
            let failed = self.seen.error;
            self.pass(event, failed, out);
        } else if !self.seen.error
            && D::EPILOGUE.is_some_and(|epilogue| sse::fields(event).data.as_deref() == Some(epilogue))
        {
            out.put_slice(event);
        }
    }

    /// `failed`: an error came before.
    fn pass(&mut self, event: &[u8], failed: bool, out: &mut BytesMut) {
        let Fields { name, data } = sse::fields(event);
        let Some(data) = data else {
            // A comment, or a field of the protocol's own.
            let clean = scrubbed(self.secrets.as_ref(), event);
            return out.put_slice(clean.as_deref().map_or(event, str::as_bytes));
        };
        let mut reading = self.dialect.read(Frame { name, data: &data }, &mut self.seen);
        if !reading.answer
            && let Some(clean) = scrubbed(self.secrets.as_ref(), event)
        {
            return self.pass(clean.as_bytes(), failed, out);
        }
        self.dialect.note(Frame { name, data: &data });
        self.seen.done |= reading.terminator;
        if reading.hidden || reading.terminator && failed {
            return;
        }
        reading.models.retain(|model| model.starts_with('"'));
        if reading.models.is_empty() {
            return out.put_slice(event);
        }
        reading.models.sort_unstable_by_key(|model| model.as_ptr().addr());
        if span_in(event, reading.models[0]).is_some() {
            self.rename(event, &reading.models, |part| out.put_slice(part));
        } else {
            self.on_one_line(name, &data, &reading.models, out);
        }
    }

    /// Gives `whole` in pieces, the new name in place of each of `models`, which must be slices of it in their order.
    fn rename(&self, whole: &[u8], models: &[&str], mut put: impl FnMut(&[u8])) {
        let mut at = 0;
        for span in models.iter().filter_map(|model| span_in(whole, model)) {
            // A value is named once, whatever the dialect says.
            if span.start >= at {
                put(&whole[at..span.start]);
                put(&self.model);
                at = span.end;
            }
        }
        put(&whole[at..]);
    }

    /// The JSON was spread over several data lines: it goes out on one, line ends within it being white space.
    fn on_one_line(&self, name: Option<&str>, data: &[u8], models: &[&str], out: &mut BytesMut) {
        if let Some(name) = name {
            out.put_slice(b"event: ");
            out.put_slice(name.as_bytes());
            out.put_slice(b"\n");
        }
        out.put_slice(b"data: ");
        self.rename(data, models, |part| {
            out.extend(part.iter().map(|b| if *b == b'\n' { b' ' } else { *b }))
        });
        out.put_slice(b"\n\n");
    }
}

/// The bytes without the secrets, if they hold any.
pub(super) fn scrubbed(secrets: Option<&Needles>, bytes: &[u8]) -> Option<String> {
    let secrets = secrets?;
    let told = |secret: &str| memchr::memmem::find(bytes, secret.as_bytes()).is_some();
    secrets.iter().any(|secret| told(secret)).then(|| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        secrets.iter().fold(text, |text, secret| text.replace(&**secret, "…"))
    })
}

/// JSON that is known to be JSON.
pub(super) fn raw(json: &[u8]) -> &RawValue {
    serde_json::from_slice(json).unwrap_or(RawValue::NULL)
}

/// Of choices, each a bit, those that have begun and not finished; the first, if none has begun.
pub(super) fn open(begun: u128, finished: u128) -> impl Iterator<Item = u32> {
    let open = if begun == 0 { 1 } else { begun & !finished };
    (0..u128::BITS).filter(move |choice| open & 1 << choice != 0)
}

/// Whether bytes without a blank line behind them are an event all the same: `[DONE]`, or whole JSON.
fn is_whole(rest: &[u8]) -> bool {
    sse::fields(rest).data.is_some_and(|data| {
        data.trim_ascii() == b"[DONE]" || serde_json::from_slice::<serde::de::IgnoredAny>(&data).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A dialect in which `{"a":…,"b":…}` names the model twice and `end` is the terminator.
    struct Toy;

    impl Dialect for Toy {
        const TERMINATOR: &'static [u8] = b"event: end\ndata: {}\n\n";
        const EPILOGUE: Option<&'static [u8]> = Some(b"bye");

        fn read<'a>(&mut self, frame: Frame<'a>, seen: &mut Seen) -> Reading<'a> {
            #[derive(serde::Deserialize)]
            struct Data<'a> {
                #[serde(borrow)]
                a: Option<&'a RawValue>,
                #[serde(borrow)]
                b: Option<&'a RawValue>,
            }
            let data: Data<'_> = serde_json::from_slice(frame.data).unwrap();
            seen.error |= frame.name == Some("error");
            let models = [data.b, data.a].into_iter().flatten().map(|raw| raw.get()).collect();
            let terminator = frame.name == Some("end");
            Reading { models, answer: !seen.error, hidden: false, terminator }
        }

        fn error(&self, status: u16, _: &str) -> Bytes {
            status.to_string().into()
        }

        fn may_be_cut(&mut self) {}

        fn note(&mut self, _: Frame<'_>) {}

        fn cut(&mut self, model: &RawValue, usage: Usage, out: &mut Vec<u8>) {
            let last = format!("data: {{\"a\":{model},\"n\":{:?}}}\n\n", usage.output.unwrap());
            out.extend_from_slice(last.as_bytes());
        }
    }

    fn pass(stream: &mut Stream<Toy>, events: &str) -> String {
        let out = stream.push(Bytes::copy_from_slice(events.as_bytes())).unwrap();
        String::from_utf8(out.to_vec()).unwrap()
    }

    fn stream() -> Stream<Toy> {
        Stream::of(Toy, Bytes::from_static(b"\"new\""), Some(["key".into()].into()))
    }

    #[test]
    fn every_name_of_the_model_is_replaced_and_what_is_no_string_stays() {
        let out = pass(
            &mut stream(),
            "event: x\ndata: {\"a\":\"1\", \"b\":\"22\"}\n\ndata: {\"b\":3,\"a\":\"2\"}\n\n",
        );
        assert_eq!(
            out,
            "event: x\ndata: {\"a\":\"new\", \"b\":\"new\"}\n\ndata: {\"b\":3,\"a\":\"new\"}\n\n"
        );
    }

    #[test]
    fn an_event_on_several_lines_keeps_its_name() {
        let out =
            pass(&mut stream(), "event: x\r\ndata: {\"a\":\r\ndata: \"1\",\r\ndata: \"b\":\"2\"}\r\n\r\n");
        assert_eq!(out, "event: x\ndata: {\"a\": \"new\", \"b\":\"new\"}\n\n");
    }

    #[test]
    fn a_terminator_and_its_epilogue_are_told_unless_an_error_came_before() {
        let mut clean = stream();
        let end = "event: end\ndata: {}\n\n";
        assert_eq!(
            pass(&mut clean, &[end, "data: {}\n\ndata: bye\n\n: bye\n\n"].concat()),
            [end, "data: bye\n\n"].concat()
        );
        assert_eq!(clean.finish(), (Bytes::new(), Ending::Complete));
        let mut failed = stream();
        let error = "event: error\ndata: {\"key\":1}\n\n";
        let out = pass(&mut failed, &format!("{error}event: end\ndata: {{}}\n\ndata: bye\n\n"));
        assert_eq!(out, error.replace("key", "…"));
        assert_eq!(failed.finish(), (Bytes::new(), Ending::Broken));
    }

    #[test]
    fn of_events_one_by_one_the_last_may_be_left_out() {
        let mut stream = stream();
        let mut piece = Bytes::from_static(
            b": c\n\ndata: {\"a\":\"1\",\"delta\":\"one\"}\n\ndata: {\"delta\":\"two\"}\n\ndata: {",
        );
        let mut passed = Vec::new();
        while stream.take(&mut piece).unwrap() {
            let mut said = String::new();
            stream.said(&mut |text| said.push_str(text));
            if said == "two" {
                passed.extend(stream.cut(Usage { output: Some(1), ..Usage::default() }));
                break;
            }
            passed.extend(stream.pass());
        }
        let end = "data: {\"a\":\"new\",\"n\":1}\n\nevent: end\ndata: {}\n\n";
        let whole = [": c\n\ndata: {\"a\":\"new\",\"delta\":\"one\"}\n\n", end].concat();
        assert_eq!(String::from_utf8(passed).unwrap(), whole);
        assert_eq!(stream.finish(), (Bytes::new(), Ending::Complete));
    }

    #[test]
    fn a_comment_tells_no_secret() {
        assert_eq!(pass(&mut stream(), ": bad key\n\n: b\nid: key\n\n"), ": bad …\n\n: b\nid: …\n\n");
    }

    #[test]
    fn a_stream_without_an_end_is_told_to_be_broken() {
        let mut cut = stream();
        pass(&mut cut, "data: {}\n\n");
        assert_eq!(cut.finish(), (Bytes::from_static(b"502"), Ending::Broken));
    }
}
