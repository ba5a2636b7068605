//! Reads a provider's whole answer.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    answer::{Called, Piece, Said, filled, stop, string},
    details::Details,
};
use crate::{
    chat::{
        content::{Call, Content, Image, Input, Reasoning, Text},
        json::Json,
        response::{Choice, Response, Stop},
        signature::Signature,
    },
    protocol::{
        openai_chat::{error, usage},
        translate::Unreadable,
    },
};

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    created: Option<&'a RawValue>,
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    choices: Option<Vec<BodyChoice<'a>>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    service_tier: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct BodyChoice<'a> {
    #[serde(borrow)]
    index: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    logprobs: Option<&'a RawValue>,
}

/// Reads a whole body. Calls without an id get one made of `unique`.
///
/// # Errors
/// When it is no answer, or an error that came as one.
pub fn read<'a>(body: &'a [u8], unique: &str) -> Result<Response<'a>, Unreadable> {
    let text = std::str::from_utf8(body).map_err(|_| Unreadable("it is not text".to_owned()))?;
    let body: Body<'_> =
        serde_json::from_str(text).map_err(|_| Unreadable("it is no chat completion".to_owned()))?;
    if body.error.is_some() {
        return Err(Unreadable(error::in_stream(text).message.into_owned()));
    }
    let choices = body.choices.ok_or_else(|| Unreadable("it has no choices".to_owned()))?;
    // The first is the one with the lowest number; without one, its place is its number.
    let mut numbered: Vec<(usize, BodyChoice<'a>)> = choices.into_iter().enumerate().map(number).collect();
    numbered.sort_by_key(|(index, _)| *index);
    let numbered = numbered.into_iter();
    let mut choices: Vec<_> = numbered.map(|(index, choice)| read_choice(choice, index, unique)).collect();
    if choices.is_empty() {
        // A prompt that was blocked.
        choices.push(Choice { stop: Stop::Filter, ..Choice::default() });
    }
    Ok(Response {
        id: string(body.id).unwrap_or_default(),
        created: body.created.and_then(|seconds| serde_json::from_str(seconds.get()).ok()),
        model: filled(body.model),
        choices,
        usage: body.usage.map(usage::read),
        service_tier: filled(body.service_tier),
    })
}

fn number((place, choice): (usize, BodyChoice<'_>)) -> (usize, BodyChoice<'_>) {
    let index = choice.index.and_then(|index| index.get().parse().ok());
    (index.unwrap_or(place), choice)
}

fn read_choice<'a>(choice: BodyChoice<'a>, index: usize, unique: &str) -> Choice<'a> {
    let said = choice.message.map(Said::read).unwrap_or_default();
    let mut content = Vec::new();
    said.pieces(&mut |piece| {
        content.push(match piece {
            Piece::Text(text) => Content::text(text),
            Piece::Reasoning(text) => Content::Reasoning(Reasoning { text, ..Reasoning::default() }),
            Piece::Refusal(text) => Content::Refusal(text),
            Piece::Image(media) => Content::Image(Image { media, detail: None, cache: None }),
        });
    });
    let mut details = Details::default();
    said.reasoning_details.into_iter().for_each(|list| details.add(list));
    if let Some(signature) = details.take() {
        sign(signature, &mut content);
    }
    if let Some(Content::Text(Text { signature, .. })) =
        content.iter_mut().rfind(|part| matches!(part, Content::Text(_)))
    {
        *signature = said.signature();
    }
    let refused = content.iter().any(|part| matches!(part, Content::Refusal(_)));
    let mut made = 0_usize;
    said.calls(&mut |called| {
        let id = || Cow::Owned(format!("call_{unique}_{index}_{made}"));
        content.extend(call(called, id).map(Content::Call));
        made += 1;
    });
    let stop = match stop(choice.finish_reason).unwrap_or_default() {
        Stop::End if refused => Stop::Filter,
        stop => stop,
    };
    Choice { content, stop, stop_sequence: None, logprobs: choice.logprobs.map(Json::borrowed) }
}

/// What the provider wants back goes with its reasoning, though that may not be shown.
fn sign<'a>(signature: Signature<'a>, content: &mut Vec<Content<'a>>) {
    let shown = content.iter_mut().rfind(|part| matches!(part, Content::Reasoning(_)));
    if let Some(Content::Reasoning(reasoning)) = shown {
        reasoning.signature = Some(signature);
    } else {
        content
            .insert(0, Content::Reasoning(Reasoning { signature: Some(signature), ..Reasoning::default() }));
    }
}

/// A whole call; one without a name is none.
fn call<'a>(called: Called<'a>, id: impl FnOnce() -> Cow<'a, str>) -> Option<Call<'a>> {
    let input = called.input.unwrap_or_default();
    Some(Call {
        id: called.id.unwrap_or_else(id),
        name: called.name?,
        input: if called.custom {
            Input::Text(input)
        } else if input.trim().is_empty() {
            Input::Json(Cow::Borrowed("{}"))
        } else {
            Input::Json(input)
        },
        signature: called.signature,
    })
}

#[cfg(test)]
mod tests;
