//! The parts of a turn. What only Google's servers can read (code that they ran, calls of their own tools, files that they
//! keep, video) is refused by name: without it the conversation would be another one.

use std::{
    borrow::Cow,
    collections::{HashMap, VecDeque},
};

use crate::{
    chat::{
        content::{
            Audio, Call, Content, Document, DocumentSource, Image, Input, Media, Output, Reasoning, Text,
            ToolResult,
        },
        request::Role,
        signature::{Maker, Signature},
    },
    protocol::{
        gemini::{
            ingress::spelling::{items_or_one, object},
            wire::{read_mark, unmark},
        },
        json::{Malformed, compact},
        value::{Notes, Object, Value},
    },
};

/// Calls whose results have not come, by the name of the tool: most clients send neither ids nor results out of order.
#[derive(Default)]
pub(super) struct History<'a> {
    waiting: HashMap<Cow<'a, str>, VecDeque<Cow<'a, str>>>,
    /// Results came since the last call: what is left of the calls before them will not be answered.
    answered: bool,
}

/// Where a part stands, for the ids that are made.
#[derive(Clone, Copy)]
struct Place {
    turn: usize,
    part: usize,
}

/// What is known of inline data by its media type.
enum Bytes {
    Image,
    Audio,
    Document,
    Other,
}

/// The kinds of data that a part may hold.
const KINDS: [&str; 9] = [
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
];

/// The parts of a turn.
pub(super) fn read<'a>(
    turn: &Object<'a, '_>,
    role: Role,
    at: usize,
    notes: &mut Notes<'a>,
    history: &mut History<'a>,
) -> Result<Vec<Content<'a>>, Malformed> {
    let mut contents = Vec::new();
    let Some(parts) = turn.get("parts") else { return Ok(contents) };
    history.answered |= role == Role::User;
    items_or_one(&parts, |part, value| {
        push(&mut contents, self::part(&value, Place { turn: at, part }, notes, history)?);
        Ok(())
    })?;
    Ok(contents)
}

/// The system's words: a text, or a turn of texts.
pub(super) fn system<'a>(
    value: &Value<'a, '_>,
    notes: &mut Notes<'a>,
) -> Result<Vec<Content<'a>>, Malformed> {
    if value.is_text() {
        return Ok(vec![Content::text(value.text()?)]);
    }
    let turn = object(value)?;
    turn.rest(&["role", "parts"], notes);
    let contents = read(&turn, Role::System, 0, notes, &mut History::default())?;
    if contents.iter().all(|content| matches!(content, Content::Text(_))) {
        Ok(contents)
    } else {
        Err(value.refuse("it is text, to Google as to everyone else"))
    }
}

/// Adds the next piece of the model's turn: clients send the pieces of a stream back as turns of their own, and others
/// want the calls of a turn in one.
pub(super) fn join<'a>(contents: &mut Vec<Content<'a>>, more: Vec<Content<'a>>) {
    more.into_iter().for_each(|content| push(contents, content));
}

/// Adds a part. Thinking comes in several, of which the last may have the signature of all.
fn push<'a>(contents: &mut Vec<Content<'a>>, content: Content<'a>) {
    match (contents.last_mut(), content) {
        (Some(Content::Reasoning(before @ Reasoning { signature: None, .. })), Content::Reasoning(more))
            if !more.redacted || is_openais(&more) =>
        {
            if before.text.is_empty() {
                before.text = more.text;
            } else {
                before.text.to_mut().push_str(&more.text);
            }
            (before.signature, before.redacted) = (more.signature, more.redacted);
        }
        (_, content) => contents.push(content),
    }
}

/// OpenAI's encrypted reasoning belongs to the summary before it.
fn is_openais(reasoning: &Reasoning<'_>) -> bool {
    reasoning.signature.as_ref().is_some_and(|signature| signature.maker == Maker::OpenAi)
}

fn part<'a>(
    value: &Value<'a, '_>,
    place: Place,
    notes: &mut Notes<'a>,
    history: &mut History<'a>,
) -> Result<Content<'a>, Malformed> {
    let part = object(value)?;
    let signature = part.text("thoughtSignature")?.filter(|signature| !signature.is_empty());
    let thought = part.get("thought").map_or(Ok(false), |thought| thought.flag())?;
    let mut kinds = KINDS.into_iter().filter(|kind| part.get(kind).is_some());
    let kind = kinds.next();
    if kinds.next().is_some() {
        return Err(value.refuse("a part holds one kind of data"));
    }
    part.rest(&[kind.unwrap_or("text"), "thought", "thoughtSignature"], notes);
    Ok(match kind {
        None if signature.is_none() && !thought => {
            return Err(value.refuse("the part holds no data that is known"));
        }
        None | Some("text") => {
            let text = part.text("text")?.unwrap_or_default();
            if thought {
                return Ok(Content::Reasoning(unmark(text, signature)));
            }
            let signature = signature.map(read_mark);
            Content::Text(Text { text, cache: None, signature })
        }
        Some("inlineData") => inline(&part.need("inlineData")?, notes)?,
        Some("fileData") => file(&part.need("fileData")?, notes)?,
        Some("functionCall") => {
            let signature = signature.map(read_mark);
            Content::Call(call(&object(&part.need("functionCall")?)?, signature, place, notes, history)?)
        }
        Some("functionResponse") => {
            Content::Result(result(&object(&part.need("functionResponse")?)?, place, notes, history)?)
        }
        Some(other) => {
            return Err(value.refuse(format_args!("`{other}` can be sent to a Google provider only")));
        }
    })
}

fn inline<'a>(value: &Value<'a, '_>, notes: &mut Notes<'a>) -> Result<Content<'a>, Malformed> {
    let blob = object(value)?;
    blob.rest(&["mimeType", "data", "displayName"], notes);
    let mime = blob.need("mimeType")?.media_type()?;
    let base64 = standard(blob.need("data")?.text()?);
    Ok(match Bytes::of(&mime) {
        Bytes::Image => {
            Content::Image(Image { media: Media::Data { mime, base64 }, detail: None, cache: None })
        }
        Bytes::Audio => Content::Audio(Audio { mime, base64 }),
        Bytes::Document => Content::Document(Document {
            source: DocumentSource::Media(Media::Data { mime, base64 }),
            name: blob.text("displayName")?,
            cache: None,
        }),
        Bytes::Other => {
            return Err(value.refuse(format_args!("`{mime}` can be sent to a Google provider only")));
        }
    })
}

fn file<'a>(value: &Value<'a, '_>, notes: &mut Notes<'a>) -> Result<Content<'a>, Malformed> {
    let file = object(value)?;
    file.rest(&["mimeType", "fileUri", "displayName"], notes);
    let uri = file.need("fileUri")?.text()?;
    let mime = file.text("mimeType")?;
    let kept = uri.starts_with("gs://") || uri.contains("://generativelanguage.googleapis.com/");
    let is_video = uri.contains("://www.youtube.com/") || uri.contains("://youtu.be/");
    let is_image = |uri: &str| ["png", "jpg", "jpeg", "gif", "webp"].contains(&extension(uri).as_str());
    let bytes = match mime.as_deref() {
        Some(mime) => Bytes::of(mime),
        None if is_image(&uri) => Bytes::Image,
        None => Bytes::Document,
    };
    let media = if kept { Media::Id(uri) } else { Media::Url(uri) };
    match bytes {
        Bytes::Image => Ok(Content::Image(Image { media, detail: None, cache: None })),
        Bytes::Document if !is_video => Ok(Content::Document(Document {
            source: DocumentSource::Media(media),
            name: file.text("displayName")?,
            cache: None,
        })),
        _ => Err(value.refuse("audio and video at an address can be sent to a Google provider only")),
    }
}

impl Bytes {
    fn of(mime: &str) -> Self {
        let (kind, _) = mime.split_once('/').unwrap_or_default();
        match kind.to_ascii_lowercase().as_str() {
            "image" => Self::Image,
            "audio" => Self::Audio,
            "application" | "text" => Self::Document,
            _ => Self::Other,
        }
    }
}

/// What stands behind the last dot of an address, in small letters.
fn extension(uri: &str) -> String {
    let path = uri.split(['?', '#']).next().unwrap_or_default();
    path.rsplit_once('.').map_or_else(String::new, |(_, extension)| extension.to_ascii_lowercase())
}

/// Base64 in the standard alphabet, padded: Google takes the one for URLs as well.
fn standard(base64: Cow<'_, str>) -> Cow<'_, str> {
    let padding = (4 - base64.len() % 4) % 4;
    if padding == 0 && !base64.contains(['-', '_']) {
        return base64;
    }
    let mut standard = base64.replace('-', "+").replace('_', "/");
    standard.extend(std::iter::repeat_n('=', padding));
    standard.into()
}

fn call<'a>(
    call: &Object<'a, '_>,
    signature: Option<Signature<'a>>,
    place: Place,
    notes: &mut Notes<'a>,
    history: &mut History<'a>,
) -> Result<Call<'a>, Malformed> {
    call.rest(&["id", "name", "args"], notes);
    let name = call.need("name")?.text()?;
    let id = call.text("id")?.filter(|id| !id.is_empty()).unwrap_or_else(|| place.id());
    history.called(name.clone(), id.clone());
    let input = call.get("args").map(|args| args.object_json().map(|_| args.raw())).transpose()?;
    Ok(Call { id, name, input: Input::Json(compact(input.unwrap_or("{}"))), signature })
}

fn result<'a>(
    result: &Object<'a, '_>,
    place: Place,
    notes: &mut Notes<'a>,
    history: &mut History<'a>,
) -> Result<ToolResult<'a>, Malformed> {
    result.rest(&["id", "name", "response", "parts"], notes);
    let name = result.need("name")?.text()?;
    let id = history.answer(&name, result.text("id")?.filter(|id| !id.is_empty()));
    let id = id.unwrap_or_else(|| place.id());
    let (mut content, mut error) = (Vec::new(), false);
    if let Some(response) = result.get("response") {
        error = said(&response, &mut content)?;
    }
    if let Some(parts) = result.get("parts") {
        items_or_one(&parts, |_, value| {
            content.push(output(&value, notes)?);
            Ok(())
        })?;
    }
    Ok(ToolResult { id, name: Some(name), content, error, cache: None })
}

/// What a tool said, and whether it failed. Google wants an object: a text comes under one of a few names.
fn said<'a>(value: &Value<'a, '_>, content: &mut Vec<Output<'a>>) -> Result<bool, Malformed> {
    let response = object(value)?;
    let error = response.only("error");
    let text = ["output", "result", "returnValue"].into_iter().find_map(|key| response.only(key));
    match (error, text) {
        (Some(error), _) if error.is_text() => content.push(Output::Text(error.text()?)),
        (Some(error), _) => content.push(Output::Json(error.json()?)),
        (None, Some(text)) if text.is_text() => content.push(Output::Text(text.text()?)),
        _ if response.is_empty() => {}
        _ => content.push(Output::Json(value.json()?)),
    }
    Ok(error.is_some())
}

/// A medium within a result.
fn output<'a>(value: &Value<'a, '_>, notes: &mut Notes<'a>) -> Result<Output<'a>, Malformed> {
    let part = object(value)?;
    let content = match (part.get("inlineData"), part.get("fileData")) {
        (Some(blob), None) => inline(&blob, notes)?,
        (None, Some(file)) => self::file(&file, notes)?,
        _ => return Err(value.refuse("a part of a result is `inlineData` or `fileData`")),
    };
    match content {
        Content::Image(image) => Ok(Output::Image(image)),
        Content::Document(document) => Ok(Output::Document(document)),
        _ => Err(value.refuse("audio in a result can be sent to a Google provider only")),
    }
}

impl Place {
    /// An id that is the same whenever the conversation is sent again.
    fn id<'a>(self) -> Cow<'a, str> {
        format!("call_{}_{}", self.turn, self.part).into()
    }
}

impl<'a> History<'a> {
    fn called(&mut self, name: Cow<'a, str>, id: Cow<'a, str>) {
        if std::mem::take(&mut self.answered) {
            self.waiting.clear();
        }
        self.waiting.entry(name).or_default().push_back(id);
    }

    /// The id of the call that a result is of: its own, or that of the first call of the name without a result.
    fn answer(&mut self, name: &Cow<'a, str>, id: Option<Cow<'a, str>>) -> Option<Cow<'a, str>> {
        let waiting = self.waiting.get_mut(name);
        match (id, waiting) {
            (Some(id), Some(waiting)) => {
                if waiting.front() == Some(&id) {
                    waiting.pop_front();
                }
                Some(id)
            }
            (id, None) => id,
            (None, Some(waiting)) => waiting.pop_front(),
        }
    }
}
