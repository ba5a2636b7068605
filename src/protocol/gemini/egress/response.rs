//! Reads a whole answer of a provider that speaks Google's generateContent.

use std::borrow::Cow;

use serde::Deserialize;

use super::{
    part::{Answer, Candidate, Data, Part, made_id},
    said, stop, text,
};
use crate::{
    chat::{
        content::{Call, Content, Image, Input, Media, Reasoning, Text},
        response::{Choice, Response, Stop},
    },
    protocol::{
        gemini::{error, logprobs, usage},
        translate::Unreadable,
    },
};

/// Reads a whole body. `unique` is what ids are made of where a call has none.
///
/// # Errors
/// What is no answer of Google's: no JSON, an error under a good status, neither an answer nor the reason why there is none.
pub fn read<'a>(body: &'a [u8], unique: &str) -> Result<Response<'a>, Unreadable> {
    let answer: Answer<'a> =
        serde_json::from_slice(body).map_err(|error| Unreadable::not("answer of Google's", &error))?;
    if answer.error.is_some() {
        return Err(Unreadable(error::read(502, body).message.into_owned()));
    }
    let mut choices: Vec<(u32, Choice<'a>)> =
        answer.candidates().map(|(index, candidate)| (index, choice(index, &candidate, unique))).collect();
    choices.sort_by_key(|(index, _)| *index);
    let mut choices: Vec<Choice<'a>> = choices.into_iter().map(|(_, choice)| choice).collect();
    if choices.is_empty() {
        if !answer.is_blocked() {
            return Err(Unreadable("the answer has no `candidates`".to_owned()));
        }
        choices.push(Choice { stop: Stop::Filter, ..Choice::default() });
    }
    Ok(Response {
        id: text(answer.response_id).unwrap_or_default(),
        created: None,
        model: text(answer.model_version),
        choices,
        usage: answer.usage_metadata.map(usage::read),
        service_tier: None,
    })
}

/// Reads the answer of `countTokens`: the input in tokens.
///
/// # Errors
/// When it has no count.
pub fn read_count(body: &[u8]) -> Result<u64, Unreadable> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Count {
        total_tokens: u64,
    }
    let count = serde_json::from_slice::<Count>(body);
    count.map(|count| count.total_tokens).map_err(|error| Unreadable::not("count of tokens", &error))
}

fn choice<'a>(index: u32, candidate: &Candidate<'a>, unique: &str) -> Choice<'a> {
    let (mut content, mut calls) = (Vec::new(), 0);
    candidate.parts(|part| push(part, index, &mut calls, unique, &mut content));
    let stop = said(candidate.finish_reason).as_deref().map(stop).unwrap_or_default();
    let logprobs = candidate.logprobs_result.and_then(logprobs::read);
    let choice = Choice { content, stop, stop_sequence: None, logprobs };
    Choice { stop: choice.stop(), ..choice }
}

/// Adds a part. Pieces of one kind that follow one another are one, up to the one with a signature, as in a stream.
fn push<'a>(part: Part<'a>, index: u32, calls: &mut u32, unique: &str, contents: &mut Vec<Content<'a>>) {
    let Part { data, signature } = part;
    match (data, contents.last_mut()) {
        (Data::Text(more), Some(Content::Text(Text { text, signature: before @ None, .. }))) => {
            join(text, more);
            *before = signature;
        }
        (Data::Text(text), _) if text.is_empty() && signature.is_none() => {}
        (Data::Text(text), _) => contents.push(Content::Text(Text { text, cache: None, signature })),
        (Data::Thought(more), Some(Content::Reasoning(Reasoning { text, signature: before @ None, .. }))) => {
            join(text, more);
            *before = signature;
        }
        (Data::Thought(text), _) if text.is_empty() && signature.is_none() => {}
        (Data::Thought(text), _) => {
            contents.push(Content::Reasoning(Reasoning { text, signature, redacted: false }));
        }
        (Data::Call { id, name, args }, _) => {
            let id = id.unwrap_or_else(|| made_id(unique, index, *calls).into());
            *calls = calls.saturating_add(1);
            contents.push(Content::Call(Call { id, name, input: Input::Json(args), signature }));
        }
        (Data::Image { mime, base64 }, _) => {
            let media = Media::Data { mime, base64 };
            contents.push(Content::Image(Image { media, detail: None, cache: None }));
        }
    }
}

fn join<'a>(text: &mut Cow<'a, str>, more: Cow<'a, str>) {
    if text.is_empty() {
        *text = more;
    } else if !more.is_empty() {
        text.to_mut().push_str(&more);
    }
}

#[cfg(test)]
mod tests;
