//! What changes of a call whose provider speaks another wire format than its client: the request written anew, and what it
//! takes to write the answer back. The formats themselves are the folders' matter.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::{
    chat::{
        fault::Fault,
        loss::{Losses, Unsupported},
        request::Expected,
        usage::Usage,
    },
    error::Caller,
    protocol::{
        bedrock,
        dialect::{Client, Spoken},
        gemini::egress::embeddings::{self, Api, Encoding, Refused},
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
/// As many bytes of names as a header should hold.
const LONGEST: usize = 4096;

/// A call between two formats.
pub(super) struct Translation {
    client: Client,
    provider: Spoken,
    expected: Expected,
    /// Embeddings: those are neither's own, but their errors are.
    embeddings: Option<(Api, Encoding)>,
    /// What ids of the answer are made of.
    unique: String,
    now: u64,
    /// The request as the provider reads it.
    pub(super) body: Bytes,
    /// What was dropped; `None` when nothing was.
    pub(super) dropped: Option<HeaderValue>,
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
        let body = written.map_err(|unsupported| {
            Caller::Malformed(format!("{}: {}", client.place(&unsupported), unsupported.why))
        })?;
        let lost = losses.iter().map(|lost| (client.parameter(lost).to_owned(), lost.is_hint()));
        let unsaid = request.unsaid.iter().map(|unsaid| (unsaid.name.clone().into_owned(), unsaid.hint));
        let dropped: Vec<_> = unsaid.chain(lost).collect();
        if is_strict {
            strict(&dropped, &target.provider)?;
        }
        let (now, expected, dropped) = (now(), request.expected(), names(&dropped));
        Ok(Self { client, provider, expected, embeddings: None, unique, now, body: body.into(), dropped })
    }

    /// Writes a request for embeddings anew. What is dropped of one are hints.
    ///
    /// # Errors
    /// What is no such request, or holds what the provider cannot be sent.
    pub(super) fn of_embeddings(
        api: Api,
        body: &[u8],
        target: &Target,
        unique: String,
    ) -> Result<Self, Caller> {
        let written = embeddings::write(body, &wanted(target), api).map_err(|refused| match refused {
            Refused::Malformed(malformed) => Caller::Malformed(malformed.to_string()),
            Refused::Unsupported(Unsupported { part, why, .. }) => {
                Caller::Malformed(format!("input[{part}]: {why}"))
            }
        })?;
        let dropped: Vec<_> = written.dropped.iter().map(|name| ((*name).to_owned(), true)).collect();
        Ok(Self {
            client: Client::Chat,
            provider: Spoken::Gemini,
            expected: Expected::default(),
            embeddings: Some((api, written.encoding)),
            unique,
            now: now(),
            body: written.body.into(),
            dropped: names(&dropped),
        })
    }

    /// The machines of the answer's stream, provider's side first. `body` is the client's.
    pub(super) fn machines(
        &self,
        body: &[u8],
        model: &str,
    ) -> (Box<dyn Decoder + Send>, Box<dyn Encoder + Send>) {
        let encoder = self.client.encoder(self.expected, &self.asked(body, model));
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
        if let Some(embeddings) = self.embeddings {
            let (written, said) = embeddings::read(answer, embeddings, model, estimate)?;
            return Ok((
                written.into(),
                said.map(|tokens| Usage { input: Some(tokens), ..Usage::default() }),
            ));
        }
        let answer = self.provider.read(answer, &self.unique)?;
        let written = self.client.write(&answer, self.expected, &self.asked(body, model));
        Ok((written.into(), answer.usage))
    }

    /// What the provider is asked for.
    pub(super) fn operation(&self) -> Operation {
        if let Some((api, _)) = self.embeddings {
            return match api {
                Api::Gemini => Operation::BatchEmbed,
                Api::Vertex => Operation::Predict,
            };
        }
        match self.provider {
            Spoken::Chat => Operation::Chat,
            Spoken::Messages => Operation::Messages,
            Spoken::Gemini => Operation::Generate,
            Spoken::Converse => Operation::Converse,
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
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Refuses a call that would not be the one that was asked for.
fn strict(dropped: &[(String, bool)], provider: &str) -> Result<(), Caller> {
    let lost: Vec<_> = dropped.iter().filter(|(_, hint)| !hint).map(|(name, _)| name.as_str()).collect();
    if lost.is_empty() {
        return Ok(());
    }
    Err(Caller::Malformed(format!(
        "provider '{provider}' cannot be told: {}; remove it, or `x-nexus-fidelity: strict`",
        lost.join(", ")
    )))
}

/// The names in one header, each once.
fn names(dropped: &[(String, bool)]) -> Option<HeaderValue> {
    let mut text = String::new();
    for (at, (name, _)) in dropped.iter().enumerate() {
        let again = dropped[..at].iter().any(|(before, _)| before == name);
        if again || text.len() + name.len() > LONGEST {
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
        let dropped =
            [("seed".to_owned(), false), ("odd, name\n".to_owned(), true), ("seed".to_owned(), false)];
        assert_eq!(names(&dropped).unwrap(), "seed,odd__name_");
        assert_eq!(names(&[]), None);
    }

    #[test]
    fn only_what_changes_the_answer_is_refused() {
        assert!(strict(&[("user".to_owned(), true)], "p").is_ok());
        let Err(Caller::Malformed(why)) = strict(&[("seed".to_owned(), false)], "p") else {
            panic!("refused")
        };
        assert!(why.contains("seed"), "{why}");
    }
}
