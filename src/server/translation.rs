//! What changes of a call whose provider speaks another wire format than its client: the request written anew, and what it
//! takes to write the answer back. The formats themselves are the folders' matter.

use std::{
    borrow::Cow,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::{
    chat::{
        fault::Fault,
        loss::{Losses, Unsupported},
        request::{Expected, Unsaid},
        usage::Usage,
    },
    error::Caller,
    protocol::{
        bedrock,
        dialect::{Client, Counting, Spoken},
        gemini::egress::{
            Api,
            embeddings::{self, Refused, Vectors},
        },
        json::Malformed,
        translate::{self, Asked, Decoder, Encoder, Unreadable},
    },
    route::Target,
    upstream::Operation,
};

/// What of the request the provider was not told, by the client's own names.
pub(super) const DROPPED: HeaderName = HeaderName::from_static("x-nexus-dropped");
/// `strict`: better no answer than one to another request.
const FIDELITY: HeaderName = HeaderName::from_static("x-nexus-fidelity");

/// A call between two formats.
pub(super) struct Translation {
    client: Client,
    provider: Spoken,
    expected: Expected,
    wish: Wish,
    /// What ids of the answer are made of.
    unique: String,
    now: u64,
    /// The request as the provider reads it.
    pub(super) body: Bytes,
    /// What was dropped; `None` when nothing was.
    pub(super) dropped: Option<HeaderValue>,
}

/// What the client asks for.
#[derive(Clone, Copy)]
enum Wish {
    /// The words of a model.
    Answer,
    /// Vectors: those are neither's own, but their errors are.
    Embeddings(Vectors),
    /// How many tokens its request has.
    Count(Counting),
}

impl Translation {
    /// Writes the request anew. `between` are the formats of client and provider.
    ///
    /// # Errors
    /// What is no request of the client's format, holds what the provider cannot be sent, or would lose something that a
    /// strict client wants kept.
    pub(super) fn new(
        between: (Client, Spoken),
        body: &[u8],
        target: &Target,
        is_strict: bool,
        unique: String,
    ) -> Result<Self, Caller> {
        let (client, provider) = between;
        let request = client.read(body).map_err(|error: Malformed| Caller::Malformed(error.to_string()))?;
        let mut losses = Losses::default();
        let written = provider.write(&request, &wanted(target), &mut losses);
        let written = written.map_err(|unsupported| unsendable(client, &unsupported))?;
        let lost = losses.iter().map(|lost| (client.parameter(lost, body), lost.is_hint()));
        let dropped: Vec<_> = unsaid(&request.unsaid).chain(lost).collect();
        let (wish, expected, dropped) =
            (Wish::Answer, request.expected(), told(&dropped, target, is_strict)?);
        Ok(Self { client, provider, expected, wish, unique, now: now(), body: written.into(), dropped })
    }

    /// Writes a request anew whose tokens the provider is to count. What changes no count is not missed.
    ///
    /// # Errors
    /// See [`Translation::new`].
    pub(super) fn of_count(
        (client, provider): (Client, Spoken),
        counting: Counting,
        body: &[u8],
        target: &Target,
        is_strict: bool,
        unique: String,
    ) -> Result<Self, Caller> {
        let request = client.read_count(body).map_err(|error| Caller::Malformed(error.to_string()))?;
        let written = counting.write(&request, &wanted(target));
        let written = written.map_err(|unsupported| unsendable(client, &unsupported))?;
        let dropped: Vec<_> = unsaid(&request.unsaid).collect();
        let (wish, expected) = (Wish::Count(counting), request.expected());
        let dropped = told(&dropped, target, is_strict)?;
        Ok(Self { client, provider, expected, wish, unique, now: now(), body: written.into(), dropped })
    }

    /// Writes a request for embeddings anew.
    ///
    /// # Errors
    /// See [`Translation::new`].
    pub(super) fn of_embeddings(
        api: Api,
        body: &[u8],
        target: &Target,
        is_strict: bool,
        unique: String,
    ) -> Result<Self, Caller> {
        let written = embeddings::write(body, &wanted(target), api).map_err(|refused| match refused {
            Refused::Malformed(malformed) => Caller::Malformed(malformed.to_string()),
            Refused::Unsupported(Unsupported { part, why, .. }) => {
                Caller::Malformed(format!("input[{part}]: {why}"))
            }
        })?;
        let dropped: Vec<_> = unsaid(&written.unsaid).collect();
        Ok(Self {
            client: Client::Chat,
            provider: Spoken::Gemini,
            expected: Expected::default(),
            wish: Wish::Embeddings(written.vectors),
            unique,
            now: now(),
            body: written.body.into(),
            dropped: told(&dropped, target, is_strict)?,
        })
    }

    /// The machines of the answer's stream, provider's side first. `body` is the client's.
    pub(super) fn machines(
        &self,
        body: &[u8],
        model: &str,
    ) -> (Box<dyn Decoder + Send>, Box<dyn Encoder + Send>) {
        let encoder = self.client.encoder(self.expected.clone(), &self.asked(body, model));
        (self.provider.decoder(&self.unique), encoder)
    }

    /// A whole answer in the client's format, and what it cost. `estimate` tokens went in, where nobody knows better.
    ///
    /// # Errors
    /// When it is none of the provider's format.
    pub(super) fn answer(
        &self,
        answer: &[u8],
        body: &[u8],
        model: &str,
        estimate: u64,
    ) -> Result<(Bytes, Option<Usage>), Unreadable> {
        let (written, usage) = match self.wish {
            Wish::Answer => {
                let answer = self.provider.read(answer, &self.unique)?;
                let written = self.client.write(&answer, self.expected.clone(), &self.asked(body, model));
                (written, answer.usage)
            }
            Wish::Embeddings(vectors) => {
                let (written, said) = embeddings::read(answer, vectors, model, estimate)?;
                (written, said.map(|tokens| Usage { input: Some(tokens), ..Usage::default() }))
            }
            Wish::Count(counting) => (self.client.count(counting.read(answer)?), None),
        };
        Ok((written.into(), usage))
    }

    /// What the provider is asked for.
    pub(super) fn operation(&self) -> Operation {
        match (self.wish, self.provider) {
            (Wish::Embeddings(Vectors { api: Api::Gemini, .. }), _) => Operation::BatchEmbed,
            (Wish::Embeddings(Vectors { api: Api::Vertex, .. }), _) => Operation::Predict,
            (Wish::Count(Counting::Messages), _) => Operation::CountMessages,
            (Wish::Count(Counting::Gemini(_)), _) => Operation::CountTokens,
            (Wish::Answer, Spoken::Chat) => Operation::Chat,
            (Wish::Answer, Spoken::Messages) => Operation::Messages,
            (Wish::Answer, Spoken::Gemini) => Operation::Generate,
            (Wish::Answer, Spoken::Converse) => Operation::Converse,
        }
    }

    /// What an error of the provider means.
    pub(super) fn fault(&self, status: u16, headers: &HeaderMap, body: &[u8]) -> Fault<'static> {
        let kind = headers.get(bedrock::error::TYPE).and_then(|kind| kind.to_str().ok());
        self.provider.fault(status, kind, body)
    }

    /// The error in a body that came with a good status, if it is one.
    pub(super) fn error_in(&self, headers: &HeaderMap, body: &[u8]) -> Option<Fault<'static>> {
        #[derive(serde::Deserialize)]
        struct Said {
            error: Option<serde::de::IgnoredAny>,
            message: Option<serde::de::IgnoredAny>,
            detail: Option<serde::de::IgnoredAny>,
        }
        let Said { error, message, detail } = serde_json::from_slice(body).ok()?;
        error.or(message).or(detail)?;
        // The status says nothing: what their words do not tell is the provider's fault.
        Some(self.fault(StatusCode::BAD_GATEWAY.as_u16(), headers, body))
    }

    /// After how many seconds an error of the provider wants the call again, where its body says it.
    pub(super) fn retry_after(&self, body: &[u8]) -> Option<u64> {
        self.provider.retry_after(body)
    }

    fn asked<'a>(&'a self, body: &'a [u8], model: &'a str) -> Asked<'a> {
        Asked { model, unique: &self.unique, now: self.now, body }
    }
}

/// Whether the client wants no answer rather than one to another request.
pub(super) fn is_strict(headers: &HeaderMap) -> bool {
    headers.get(&FIDELITY).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"strict"))
}

fn wanted(target: &Target) -> translate::Target<'_> {
    translate::Target {
        model: &target.upstream_name,
        max_tokens: target.max_tokens,
        stream_usage: target.stream_usage,
        max_completion_tokens: target.max_completion_tokens,
        reasoning_details: target.reasoning_details,
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Content that the provider cannot be sent.
fn unsendable(client: Client, unsupported: &Unsupported) -> Caller {
    Caller::Malformed(format!("{}: {}", client.place(unsupported), unsupported.why))
}

/// What a reader had no place for: its name, and whether it is a hint.
fn unsaid<'r>(unsaid: &'r [Unsaid<'_>]) -> impl Iterator<Item = (Cow<'r, str>, bool)> {
    unsaid.iter().map(|unsaid| (Cow::Borrowed(unsaid.name.as_ref()), unsaid.hint))
}

/// What the client is told of what was dropped.
///
/// # Errors
/// Where it is strict, and the call would not be the one that was asked for.
fn told(
    dropped: &[(Cow<'_, str>, bool)],
    target: &Target,
    is_strict: bool,
) -> Result<Option<HeaderValue>, Caller> {
    if is_strict {
        strict(dropped, &target.provider)?;
    }
    Ok(names(dropped))
}

/// Refuses what would change the answer.
fn strict(dropped: &[(Cow<'_, str>, bool)], provider: &str) -> Result<(), Caller> {
    let lost: Vec<_> = dropped.iter().filter(|(_, hint)| !hint).map(|(name, _)| name.as_ref()).collect();
    if lost.is_empty() {
        return Ok(());
    }
    Err(Caller::Malformed(format!(
        "provider '{provider}' cannot be told: {}; remove it, or `x-nexus-fidelity: strict`",
        lost.join(", ")
    )))
}

/// The names in one header, each once. Readers see to it that they are not too many.
fn names(dropped: &[(Cow<'_, str>, bool)]) -> Option<HeaderValue> {
    let mut text = String::new();
    for (at, (name, _)) in dropped.iter().enumerate() {
        if dropped[..at].iter().any(|(before, _)| before == name) {
            continue;
        }
        if !text.is_empty() {
            text.push(',');
        }
        text.extend(name.chars().map(|c| if c.is_ascii_graphic() && c != ',' { c } else { '_' }));
    }
    HeaderValue::try_from(text).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_names_stand_in_one_header_each_once() {
        let dropped = [("seed".into(), false), ("odd, name\n".into(), true), ("seed".into(), false)];
        assert_eq!(names(&dropped).unwrap(), "seed,odd__name_");
        assert_eq!(names(&[]), None);
    }

    #[test]
    fn only_what_changes_the_answer_is_refused() {
        assert!(strict(&[("user".into(), true)], "p").is_ok());
        let Err(Caller::Malformed(why)) = strict(&[("seed".into(), false)], "p") else { panic!("refused") };
        assert!(why.contains("seed"), "{why}");
    }
}
