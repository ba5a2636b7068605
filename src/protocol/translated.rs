//! A stream that changes its wire format on the way from provider to client: framing off, events read, events written.
//!
//! Watched like a stream that passes ([`super::passing`]): whether any output came, how it ends, what it cost. Nothing here
//! knows a wire format.

use std::borrow::Cow;

use bytes::Bytes;

use super::{
    event_stream::{self, Message},
    passing::{Ending, Needles, Seen, open, scrubbed},
    said,
    sse::{self, Splitter},
    translate::{Decoder, Encoder, Frame, Unreadable},
};
use crate::chat::{
    response::{Event, Stop},
    usage::Usage,
};

/// The machine of one stream.
pub struct Translated {
    cutter: Cutter,
    decoder: Box<dyn Decoder + Send>,
    writer: Writer,
    /// The event that is read next, where they are taken one by one.
    next: Option<Bytes>,
}

/// How a provider's stream is cut into events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events.
    Sse,
    /// AWS's binary event stream.
    EventStream,
}

/// Cuts a stream into events.
enum Cutter {
    Sse(Splitter),
    EventStream(event_stream::Splitter),
}

/// The side of the client.
struct Writer {
    encoder: Box<dyn Encoder + Send>,
    /// What the provider's own errors must not tell.
    secrets: Option<Needles>,
    /// Choices that have begun and that have finished; an answer has at most 128.
    begun: u128,
    finished: u128,
    seen: Seen,
    out: Vec<u8>,
}

impl Translated {
    /// A stream from one format into another, by a machine for each. `secrets` are taken out of the provider's errors.
    pub fn new(
        framing: Framing,
        (decoder, encoder): (Box<dyn Decoder + Send>, Box<dyn Encoder + Send>),
        secrets: Option<Needles>,
    ) -> Self {
        let cutter = match framing {
            Framing::Sse => Cutter::Sse(Splitter::default()),
            Framing::EventStream => Cutter::EventStream(event_stream::Splitter::default()),
        };
        let (seen, out) = (Seen::default(), Vec::new());
        let writer = Writer { encoder, secrets, begun: 0, finished: 0, seen, out };
        Self { cutter, decoder, writer, next: None }
    }

    /// What is known so far.
    pub fn seen(&self) -> Seen {
        self.writer.seen
    }

    /// Bytes held while the end of an event is awaited, and by the machines of both formats.
    pub fn held(&self) -> usize {
        let cut = match &self.cutter {
            Cutter::Sse(splitter) => splitter.held(),
            Cutter::EventStream(splitter) => splitter.held(),
        };
        cut + self.decoder.held() + self.writer.encoder.held()
    }

    /// Takes the next piece from the upstream; gives what goes to the client, perhaps nothing yet.
    ///
    /// # Errors
    /// [`sse::TooLarge`] when an event has no end.
    pub fn push(&mut self, piece: Bytes) -> Result<Bytes, sse::TooLarge> {
        let Self { cutter, decoder, writer, .. } = self;
        match cutter {
            // Behind the end, and behind an error, nothing is read.
            _ if writer.seen.done => {}
            Cutter::Sse(splitter) => splitter.push(piece, |event| read(decoder.as_mut(), &event, writer))?,
            Cutter::EventStream(splitter) => {
                let cut = splitter.push(&piece, |message| {
                    understand(decoder.as_mut(), message.frame(), writer);
                });
                if let Err(unreadable) = cut {
                    writer.unreadable(&unreadable);
                }
            }
        }
        Ok(writer.take())
    }

    /// All that an end needs to know the client's machine knows already.
    pub fn may_be_cut(&mut self) {}

    /// Takes the next event off the front of `piece`, and all of that if none is whole. Says whether there is anything to be
    /// passed on: an event, or that there will be none.
    ///
    /// # Errors
    /// See [`push`](Self::push).
    pub fn take(&mut self, piece: &mut Bytes) -> Result<bool, sse::TooLarge> {
        let taken = match &mut self.cutter {
            _ if self.writer.seen.done => {
                piece.clear();
                Ok(None)
            }
            Cutter::Sse(splitter) => Ok(splitter.next(piece)?),
            Cutter::EventStream(splitter) => splitter.next(piece),
        };
        self.next = taken.unwrap_or_else(|unreadable| {
            self.writer.unreadable(&unreadable);
            None
        });
        Ok(self.next.is_some() || !self.writer.out.is_empty())
    }

    /// The text in the event that was taken, as the provider says it.
    pub fn said(&self, each: &mut dyn FnMut(&str)) {
        let Some(event) = &self.next else { return };
        match &self.cutter {
            Cutter::Sse(_) => sse::data(event).iter().for_each(|data| said::each(data, each)),
            Cutter::EventStream(_) => {
                Message::read(event).iter().for_each(|message| said::each(message.data, each))
            }
        }
    }

    /// What the client gets of the event that was taken.
    pub fn pass(&mut self) -> Bytes {
        let Self { cutter, decoder, writer, next } = self;
        if let Some(event) = next.take() {
            match cutter {
                Cutter::Sse(_) => read(decoder.as_mut(), &event, writer),
                Cutter::EventStream(_) => match Message::read(&event) {
                    Ok(message) => understand(decoder.as_mut(), message.frame(), writer),
                    Err(unreadable) => writer.unreadable(&unreadable),
                },
            }
        }
        writer.take()
    }

    /// The event that was taken is not read, nor is anything behind it: the proper end of the answer as it is, for want of
    /// tokens.
    pub fn cut(&mut self, usage: Usage) -> Bytes {
        self.next = None;
        self.writer.cut(usage);
        self.writer.take()
    }

    /// The upstream ended its body properly.
    pub fn finish(&mut self) -> (Bytes, Ending) {
        let Self { cutter, decoder, writer, .. } = self;
        if let Cutter::Sse(splitter) = cutter {
            let rest = splitter.rest();
            if !rest.is_empty() {
                read(decoder.as_mut(), &rest, writer);
            }
        }
        if writer.complete(decoder.as_mut()) {
            return (writer.take(), Ending::Complete);
        }
        writer.fail(502, "the provider ended the stream before the answer was complete");
        (writer.take(), Ending::Broken)
    }

    /// The upstream broke off or fell silent: the last words to the client.
    pub fn fail(&mut self, message: &str, status: u16) -> (Bytes, Ending) {
        let Self { decoder, writer, .. } = self;
        // Every choice has its finish reason: the answer is whole, whatever became of its connection.
        if writer.seen.finished && writer.complete(decoder.as_mut()) {
            return (writer.take(), Ending::Complete);
        }
        writer.fail(status, message);
        (writer.take(), Ending::Broken)
    }
}

/// One server-sent event of the provider's.
fn read(decoder: &mut dyn Decoder, event: &[u8], writer: &mut Writer) {
    let sse::Fields { name, data: Some(data) } = sse::fields(event) else { return };
    understand(decoder, Frame { name, data: &data }, writer);
}

/// One event of the provider's, out of its framing.
fn understand(decoder: &mut dyn Decoder, frame: Frame<'_>, writer: &mut Writer) {
    if writer.seen.done {
        return;
    }
    if let Err(unreadable) = decoder.push(frame, &mut |event| writer.event(event)) {
        writer.unreadable(&unreadable);
    } else if decoder.is_over() {
        writer.complete(decoder);
    }
}

impl Writer {
    fn event(&mut self, event: Event<'_>) {
        if self.seen.error {
            return;
        }
        match &event {
            Event::Error(fault) => return self.fail(fault.kind.status(), &fault.message),
            Event::Delta { choice, .. } => {
                self.begun |= bit(*choice);
                self.seen.output = true;
            }
            Event::Finish { choice, .. } => {
                self.begun |= bit(*choice);
                self.finished |= bit(*choice);
            }
            Event::Usage(usage) => self.seen.report(*usage),
            Event::Start { .. } => {}
        }
        self.seen.finished = self.begun != 0 && self.begun & !self.finished == 0;
        self.encoder.push(event, &mut self.out);
    }

    /// Tells the end of the answer, once; says whether it has one that is good.
    fn complete(&mut self, decoder: &mut dyn Decoder) -> bool {
        if self.seen.done {
            return !self.seen.error;
        }
        if !decoder.finish(&mut |event| self.event(event)) || self.seen.error {
            return false;
        }
        self.encoder.finish(&mut self.out);
        self.seen.done = true;
        true
    }

    /// Every choice that has begun and not finished ends where it is; one of none, if none has begun.
    fn cut(&mut self, usage: Usage) {
        if self.seen.done {
            return;
        }
        for choice in open(self.begun, self.finished) {
            self.event(Event::Finish { choice, stop: Stop::Length, stop_sequence: None });
        }
        self.event(Event::Usage(usage));
        self.encoder.finish(&mut self.out);
        self.seen.done = true;
    }

    fn unreadable(&mut self, unreadable: &Unreadable) {
        self.fail(502, &format!("the provider's stream cannot be read: {unreadable}"));
    }

    /// The first failure is told, and nothing after it: the rest of the stream is of no use.
    fn fail(&mut self, status: u16, message: &str) {
        if self.seen.done {
            return;
        }
        (self.seen.error, self.seen.done) = (true, true);
        let clean = scrubbed(self.secrets.as_ref(), message.as_bytes());
        let whole = without_a_half(self.secrets.as_ref(), clean.as_deref().unwrap_or(message));
        self.encoder.fail(status, &whole, &mut self.out);
    }

    fn take(&mut self) -> Bytes {
        std::mem::take(&mut self.out).into()
    }
}

/// An error's text without the half of a secret at its end, where it was shortened when it was read.
fn without_a_half<'m>(secrets: Option<&Needles>, message: &'m str) -> Cow<'m, str> {
    let Some(kept) = message.strip_suffix('…') else { return message.into() };
    let half = |secret: &str| {
        (1..secret.len()).rev().find(|&end| kept.as_bytes().ends_with(&secret.as_bytes()[..end]))
    };
    let longest = secrets.and_then(|secrets| secrets.iter().filter_map(|secret| half(secret)).max());
    // Secrets are ASCII, so what is left ends where a character does.
    longest.map_or_else(|| message.into(), |half| format!("{}…", &kept[..kept.len() - half]).into())
}

fn bit(choice: u32) -> u128 {
    1u128.checked_shl(choice).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        chat::request::Expected,
        protocol::{
            dialect::{Client, Spoken},
            translate::Asked,
        },
    };

    fn stream() -> Translated {
        let asked = Asked { model: "p/m", unique: "0123456789abcdef01234567", now: 1, body: b"{}" };
        let encoder = Client::Messages.encoder(Expected::default(), &asked);
        let secrets = Some(["sk-secret-key".into()].into());
        Translated::new(Framing::Sse, (Spoken::Chat.decoder(asked.unique), encoder), secrets)
    }

    fn text(bytes: &Bytes) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    const HALF: &[u8] =
        b"data: {\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n";
    const END: &[u8] = b"data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";

    #[test]
    fn a_whole_stream_ends_whole() {
        let mut stream = stream();
        let begun = text(&stream.push(Bytes::from_static(HALF)).unwrap());
        assert!(begun.contains("message_start") && begun.contains("Hi"), "{begun}");
        stream.push(Bytes::from_static(END)).unwrap();
        let (last, ending) = stream.finish();
        assert_eq!(ending, Ending::Complete);
        assert!(text(&last).contains("message_stop"), "{}", text(&last));
        assert!(stream.seen().output && stream.seen().finished && !stream.seen().error);
    }

    #[test]
    fn a_stream_that_breaks_behind_its_finish_reason_is_whole() {
        let mut stream = stream();
        stream.push(Bytes::from_static(HALF)).unwrap();
        stream.push(Bytes::from_static(END)).unwrap();
        let (last, ending) = stream.fail("the connection broke", 502);
        assert_eq!(ending, Ending::Complete);
        assert!(text(&last).contains("message_stop") && !text(&last).contains("error"), "{}", text(&last));
    }

    #[test]
    fn the_end_is_told_when_the_terminator_comes_and_not_when_the_body_ends() {
        let mut stream = stream();
        stream.push(Bytes::from_static(HALF)).unwrap();
        stream.push(Bytes::from_static(END)).unwrap();
        let told = text(&stream.push(Bytes::from_static(b"data: [DONE]\n\n")).unwrap());
        assert!(told.contains("message_stop") && stream.seen().done, "{told}");
        assert_eq!(stream.push(Bytes::from_static(HALF)).unwrap(), Bytes::new());
        assert_eq!(stream.fail("the connection broke", 502), (Bytes::new(), Ending::Complete));
        assert_eq!(stream.finish(), (Bytes::new(), Ending::Complete));
    }

    #[test]
    fn a_stream_that_stops_short_ends_with_an_error() {
        let mut stream = stream();
        stream.push(Bytes::from_static(HALF)).unwrap();
        let (last, ending) = stream.finish();
        assert_eq!(ending, Ending::Broken);
        assert!(text(&last).contains("event: error") && !text(&last).contains("message_stop"));
    }

    #[test]
    fn an_error_is_told_once_in_the_clients_words_and_without_the_key() {
        let mut stream = stream();
        let error = b"data: {\"error\":{\"message\":\"no key sk-secret-key\",\"code\":401}}\n\n";
        let told = text(&stream.push(Bytes::from_static(error)).unwrap());
        assert!(told.contains("event: error") && told.contains("no key …"), "{told}");
        assert_eq!(stream.push(Bytes::from_static(HALF)).unwrap(), Bytes::new());
        assert_eq!(stream.finish(), (Bytes::new(), Ending::Broken));
        assert!(stream.seen().error && !stream.seen().output);
    }

    #[test]
    fn an_error_that_is_too_long_is_not_cut_within_the_key() {
        let long = "x".repeat(1990);
        let error = format!("data: {{\"error\":{{\"message\":\"{long} sk-secret-key\"}}}}\n\n");
        let told = text(&stream().push(error.into()).unwrap());
        assert!(told.contains("xxx …") && !told.contains("sk-"), "{told}");
    }

    #[test]
    fn a_good_answer_is_told_as_it_is_whatever_words_it_has() {
        let said =
            b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"set it to sk-secret-key\"}}]}\n\n";
        let told = text(&stream().push(Bytes::from_static(said)).unwrap());
        assert!(told.contains("set it to sk-secret-key"), "{told}");
    }

    #[test]
    fn what_waits_behind_an_open_call_counts_as_held() {
        let mut stream = stream();
        let call = |index: u32, input: &str| {
            let function = format!("{{\"name\":\"f\",\"arguments\":\"{input}\"}}");
            let calls = format!("[{{\"index\":{index},\"id\":\"c{index}\",\"function\":{function}}}]");
            format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"tool_calls\":{calls}}}}}]}}\n\n")
        };
        stream.push(call(0, "{").into()).unwrap();
        assert_eq!(stream.held(), 0);
        stream.push(call(1, &"x".repeat(5000)).into()).unwrap();
        assert!(stream.held() >= 5000, "{}", stream.held());
    }

    #[test]
    fn a_key_that_was_escaped_is_not_told_either() {
        let error = b"data: {\"error\":{\"message\":\"no \\u0073k-secret-key\"}}\n\n";
        let told = text(&stream().push(Bytes::from_static(error)).unwrap());
        assert!(told.contains("no …"), "{told}");
    }
}
