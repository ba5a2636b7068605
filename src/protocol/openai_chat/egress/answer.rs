//! What a message of an answer and a delta of a stream have in common, in all the spellings that providers have for it.
//!
//! Members are read one by one and leniently: what has an unexpected shape is taken for absent.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    chat::{
        content::Media,
        response::Stop,
        signature::{Maker, Signature},
    },
    protocol::{
        json::{each, text},
        media,
    },
};

type Raw<'a> = Option<&'a RawValue>;

/// A message, or a piece of one.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Said<'a> {
    #[serde(borrow)]
    content: Raw<'a>,
    #[serde(borrow)]
    refusal: Raw<'a>,
    /// Ollama, Groq, OpenRouter.
    #[serde(borrow)]
    reasoning: Raw<'a>,
    /// DeepSeek and those who follow it.
    #[serde(borrow)]
    reasoning_content: Raw<'a>,
    /// OpenRouter, as are the images.
    #[serde(borrow)]
    pub(super) reasoning_details: Raw<'a>,
    #[serde(borrow)]
    images: Raw<'a>,
    #[serde(borrow)]
    tool_calls: Raw<'a>,
    #[serde(borrow)]
    function_call: Raw<'a>,
    #[serde(borrow)]
    extra_content: Raw<'a>,
}

/// A piece of a message that is no call; none is empty.
#[derive(Debug, PartialEq)]
pub(super) enum Piece<'a> {
    Image(Media<'a>),
    Text(Cow<'a, str>),
    Reasoning(Cow<'a, str>),
    Refusal(Cow<'a, str>),
}

/// A call, or a piece of one.
#[derive(Debug, Default)]
pub(super) struct Called<'a> {
    pub(super) index: Option<u32>,
    /// Not empty.
    pub(super) id: Option<Cow<'a, str>>,
    /// Not empty.
    pub(super) name: Option<Cow<'a, str>>,
    pub(super) input: Option<Cow<'a, str>>,
    /// Whether it is of a custom tool.
    pub(super) custom: bool,
    pub(super) signature: Option<Signature<'a>>,
}

/// An entry of a list of content, or of Mistral's and OpenRouter's reasoning.
#[derive(Default, Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    text: Raw<'a>,
    #[serde(borrow)]
    thinking: Raw<'a>,
    #[serde(borrow)]
    summary: Raw<'a>,
    #[serde(borrow)]
    image_url: Raw<'a>,
}

#[derive(Default, Deserialize)]
struct Address<'a> {
    #[serde(borrow)]
    url: Raw<'a>,
}

#[derive(Default, Deserialize)]
struct ToolCall<'a> {
    #[serde(borrow)]
    index: Raw<'a>,
    #[serde(borrow)]
    id: Raw<'a>,
    #[serde(borrow)]
    function: Raw<'a>,
    #[serde(borrow)]
    custom: Raw<'a>,
    #[serde(borrow)]
    extra_content: Raw<'a>,
}

#[derive(Default, Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Raw<'a>,
    #[serde(borrow)]
    arguments: Raw<'a>,
    #[serde(borrow)]
    input: Raw<'a>,
}

impl<'a> Said<'a> {
    /// A message or delta; whatever is no object says nothing.
    pub(super) fn read(raw: &'a RawValue) -> Self {
        object(raw)
    }

    /// Reasoning, text, refusal and images, in this order. Reasoning is told in one spelling, if several say it.
    pub(super) fn pieces(&self, out: &mut dyn FnMut(Piece<'a>)) {
        let reasoning = [string(self.reasoning_content), string(self.reasoning)].into_iter().flatten();
        match reasoning.into_iter().find(|text| !text.is_empty()) {
            Some(text) => out(Piece::Reasoning(text)),
            None => entries(self.reasoning_details, &mut |entry| {
                let said = [string(entry.text), string(entry.summary)].into_iter().flatten().next();
                put(Piece::Reasoning, said, out);
            }),
        }
        match string(self.content) {
            Some(text) => put(Piece::Text, Some(text), out),
            None => entries(self.content, &mut |entry| {
                put(Piece::Reasoning, string(entry.thinking), out);
                entries(entry.thinking, &mut |entry| put(Piece::Reasoning, string(entry.text), out));
                put(Piece::Text, string(entry.text), out);
            }),
        }
        put(Piece::Refusal, string(self.refusal), out);
        entries(self.images, &mut |entry| {
            let url = entry.image_url.and_then(|image| filled(object::<Address<'_>>(image).url));
            url.and_then(media::of).into_iter().for_each(|media| out(Piece::Image(media)));
        });
    }

    /// The calls. One in the form from before there were tools comes last.
    pub(super) fn calls(&self, out: &mut dyn FnMut(Called<'a>)) {
        if let Some(calls) = self.tool_calls {
            // What is no list has no calls.
            let _ = each(calls.get(), |call| out(tool_call(serde_json::from_str(call).unwrap_or_default())));
        }
        if let Some(call) = self.function_call.filter(|call| call.get().starts_with('{')) {
            let call: Function<'_> = object(call);
            out(Called { name: filled(call.name), input: input(call.arguments), ..Called::default() });
        }
    }

    /// Google's signature on the text.
    pub(super) fn signature(&self) -> Option<Signature<'a>> {
        google_signature(self.extra_content?)
    }
}

fn tool_call<'a>(call: ToolCall<'a>) -> Called<'a> {
    let function: Function<'_> = call.custom.or(call.function).map(object).unwrap_or_default();
    Called {
        index: call.index.and_then(|index| serde_json::from_str(index.get()).ok()),
        id: filled(call.id),
        name: filled(function.name),
        input: input(function.arguments.or(function.input)),
        custom: call.custom.is_some(),
        signature: call.extra_content.and_then(google_signature),
    }
}

/// A string, or the JSON of an object that some write in its place.
fn input(raw: Raw<'_>) -> Option<Cow<'_, str>> {
    let raw = raw?.get();
    text(raw).or_else(|| raw.starts_with('{').then_some(Cow::Borrowed(raw)))
}

fn google_signature<'a>(extra: &'a RawValue) -> Option<Signature<'a>> {
    #[derive(Default, Deserialize)]
    struct Extra<'a> {
        #[serde(borrow)]
        google: Raw<'a>,
    }
    #[derive(Default, Deserialize)]
    struct Google<'a> {
        #[serde(borrow)]
        thought_signature: Raw<'a>,
    }
    let google: Google<'_> = object(object::<Extra<'_>>(extra).google?);
    Some(Signature::read(Maker::Google, filled(google.thought_signature)?))
}

/// Why an answer ends; `None` where it goes on. Some write an empty string where it does.
pub(super) fn stop(reason: Raw<'_>) -> Option<Stop> {
    Some(match filled(reason)?.as_ref() {
        "length" | "max_tokens" | "model_length" => Stop::Length,
        "tool_calls" | "function_call" => Stop::Calls,
        "content_filter" => Stop::Filter,
        _ => Stop::End,
    })
}

/// A string, if it is one.
pub(super) fn string(raw: Raw<'_>) -> Option<Cow<'_, str>> {
    text(raw?.get())
}

/// A string that is not empty.
pub(super) fn filled(raw: Raw<'_>) -> Option<Cow<'_, str>> {
    string(raw).filter(|text| !text.is_empty())
}

fn object<'a, T: Deserialize<'a> + Default>(raw: &'a RawValue) -> T {
    serde_json::from_str(raw.get()).unwrap_or_default()
}

fn put<'a>(
    piece: impl Fn(Cow<'a, str>) -> Piece<'a>,
    text: Option<Cow<'a, str>>,
    out: &mut dyn FnMut(Piece<'a>),
) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        out(piece(text));
    }
}

fn entries<'a>(raw: Raw<'a>, out: &mut dyn FnMut(Entry<'a>)) {
    if let Some(raw) = raw {
        // What is no list has no entries.
        let _ = each(raw.get(), |entry| out(serde_json::from_str(entry).unwrap_or_default()));
    }
}
