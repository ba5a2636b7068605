//! The conversation: the system's words apart, turns of one role together, results of tools first in theirs.

use std::{borrow::Cow, collections::HashMap};

use super::model::Model;
use crate::{
    chat::{
        content::{
            Call, Content as Said, Document, DocumentSource, Image, Media, Output, Reasoning, Text,
            ToolResult,
        },
        json::Json,
        loss::{Losses, Parameter, Unsupported},
        request::{Message, Request, Role},
        signature::{Maker, Signature},
    },
    protocol::{
        call::{made, quoted},
        gemini::wire::{Content, Part, Payload},
    },
};

/// In place of a signature that the first call of a turn must have and does not, being another model's: the validator skips
/// it (wire facts: `skip_thought_signature_validator`).
const UNSIGNED: &str = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=";

/// The tools by the calls' ids.
type Names<'r> = HashMap<&'r str, &'r str>;

/// A part that cannot be sent.
struct Refused(Cow<'static, str>);

/// What the parts of a turn are written with.
struct Writer<'r, 'l> {
    model: Model,
    names: Names<'r>,
    losses: &'l mut Losses,
}

/// The system and the turns.
pub(super) fn write<'r>(
    request: &'r Request<'_>,
    model: Model,
    losses: &mut Losses,
) -> Result<(Option<Content<'r>>, Vec<Content<'r>>), Unsupported> {
    let mut writer = Writer { model, names: names(&request.messages), losses };
    let mut system = Vec::new();
    let mut turns: Vec<Content<'r>> = Vec::new();
    for message in &request.messages {
        let role = match message.role {
            Role::System => {
                writer.parts(message, &mut system)?;
                continue;
            }
            Role::User => Some("user"),
            Role::Assistant => Some("model"),
        };
        if turns.last().is_none_or(|last| last.role != role) {
            turns.push(Content { parts: Vec::new(), role });
        }
        if let Some(turn) = turns.last_mut() {
            writer.parts(message, &mut turn.parts)?;
            if turn.parts.is_empty() && message.role == Role::User {
                // The model must not speak first.
                turn.parts.push(Part::text(""));
            }
        }
    }
    turns.iter_mut().for_each(finish);
    // A turn without parts is refused, and so is a request without turns.
    turns.retain(|turn| !turn.parts.is_empty());
    if turns.is_empty() {
        turns.push(Content { parts: std::mem::take(&mut system), role: Some("user") });
    }
    Ok(((!system.is_empty()).then_some(Content { parts: system, role: None }), turns))
}

fn names<'r>(messages: &'r [Message<'_>]) -> Names<'r> {
    let contents = messages.iter().flat_map(|message| &message.content);
    let calls = contents.filter_map(|content| match content {
        Said::Call(Call { id, name, .. }) => Some((id.as_ref(), name.as_ref())),
        _ => None,
    });
    calls.collect()
}

/// Puts a turn's parts in order, and signs its first call.
fn finish(turn: &mut Content<'_>) {
    if turn.parts.len() > 1 {
        let says_nothing = |part: &Part<'_>| matches!(&part.data, Payload::Text(text) if text.is_empty());
        turn.parts.retain(|part| part.thought_signature.is_some() || !says_nothing(part));
    }
    // Stable: results first, each kind in its order. Media of a result stay behind it, in front of what the user says.
    turn.parts.sort_by_key(|part| {
        turn.role == Some("user") && !matches!(part.data, Payload::FunctionResponse { .. })
    });
    let first = turn.parts.iter_mut().find(|part| matches!(part.data, Payload::FunctionCall { .. }));
    if let Some(call) = first {
        call.thought_signature.get_or_insert(Cow::Borrowed(UNSIGNED));
    }
}

impl<'r> Writer<'r, '_> {
    fn parts(&mut self, message: &'r Message<'_>, into: &mut Vec<Part<'r>>) -> Result<(), Unsupported> {
        for (part, content) in message.content.iter().enumerate() {
            self.part(content, message.role, into).map_err(|Refused(why)| Unsupported {
                message: Some(message.at),
                part,
                why,
            })?;
        }
        Ok(())
    }

    /// One part of a message. Left out are empty text, and thinking of other makers or unsigned.
    fn part(&mut self, content: &'r Said<'_>, role: Role, into: &mut Vec<Part<'r>>) -> Result<(), Refused> {
        match content {
            Said::Text(text) => into.extend(self.text(text)),
            Said::Refusal(text) if text.is_empty() => {}
            Said::Refusal(text) => into.push(Part::text(text.as_ref())),
            _ if role == Role::System => {
                return Err(Refused("the system prompt of a Google provider is text".into()));
            }
            Said::Image(image) => into.push(self.image(image)?),
            Said::Document(document) => self.document(document, into)?,
            Said::Audio(audio) => {
                into.push(Payload::InlineData { mime_type: &audio.mime, data: &audio.base64 }.into());
            }
            Said::Reasoning(reasoning) => {
                let thought = thought(reasoning);
                self.losses.lose_if(thought.is_none(), Parameter::Thought);
                into.extend(thought);
            }
            Said::Call(call) => into.push(Part::call(call).signed(own(call.signature.as_ref()))),
            Said::Result(result) => self.result(result, into)?,
        }
        Ok(())
    }

    fn text(&mut self, text: &'r Text<'_>) -> Option<Part<'r>> {
        self.losses.lose_if(text.cache.is_some(), Parameter::CacheControl);
        let signature = own(text.signature.as_ref());
        (!text.text.is_empty() || signature.is_some())
            .then(|| Part::text(text.text.as_ref()).signed(signature))
    }

    fn image(&mut self, image: &'r Image<'_>) -> Result<Part<'r>, Refused> {
        self.losses.lose_if(image.detail.is_some(), Parameter::Detail);
        self.losses.lose_if(image.cache.is_some(), Parameter::CacheControl);
        media(&image.media, "image/jpeg")
    }

    /// A document; one that is text is a text part, under its name. Data has no place for a name but on Vertex AI
    /// (`displayName`), and the Gemini API refuses what it does not know.
    fn document(&mut self, document: &'r Document<'_>, into: &mut Vec<Part<'r>>) -> Result<(), Refused> {
        self.losses.lose_if(document.cache.is_some(), Parameter::CacheControl);
        match (&document.source, &document.name) {
            (DocumentSource::Media(kept), name) => {
                self.losses.lose_if(name.is_some(), Parameter::DocumentName);
                into.push(media(kept, "application/pdf")?);
            }
            (DocumentSource::Text(text), None) => into.push(Part::text(text.as_ref())),
            (DocumentSource::Text(text), Some(name)) => into.push(Part::text(format!("{name}\n\n{text}"))),
        }
        Ok(())
    }

    fn result(&mut self, result: &'r ToolResult<'_>, into: &mut Vec<Part<'r>>) -> Result<(), Refused> {
        self.losses.lose_if(result.cache.is_some(), Parameter::CacheControl);
        let within = self.model.takes_media_in_results();
        let (mut parts, mut behind) = (Vec::new(), Vec::new());
        for output in &result.content {
            let mut made = Vec::new();
            match output {
                Output::Image(image) => made.push(self.image(image)?),
                Output::Document(document) => self.document(document, &mut made)?,
                Output::Text(_) | Output::Json(_) => {}
            }
            // Data only, without a name.
            let fits = within && matches!(made.as_slice(), [Part { data: Payload::InlineData { .. }, .. }]);
            if fits { parts.append(&mut made) } else { behind.append(&mut made) }
        }
        let name = result.name.as_deref().or_else(|| self.names.get(result.id.as_ref()).copied());
        let name = name.unwrap_or(&result.id);
        into.push(
            Payload::FunctionResponse { id: &result.id, name, response: response(result), parts }.into(),
        );
        into.extend(behind);
        Ok(())
    }
}

/// What a tool said, which is an object here: one that it gave as such passes as it is, anything else goes under `result`,
/// or under `error` when the tool failed.
fn response<'r>(result: &'r ToolResult<'_>) -> Json<'r> {
    let said = result.content.iter().filter_map(|output| match output {
        Output::Text(text) => Some((text.as_ref(), false)),
        Output::Json(json) => Some((json.text(), true)),
        Output::Image(_) | Output::Document(_) => None,
    });
    let said: Vec<(&str, bool)> = said.collect();
    let key = if result.error { "error" } else { "result" };
    let value = match said.as_slice() {
        [] => quoted(""),
        [(text, is_json)] => {
            let object =
                text.trim_start().starts_with('{').then(|| serde_json::from_str(text).ok()).flatten();
            match object {
                Some(object) if !result.error => return Json::borrowed(object),
                _ if *is_json => (*text).to_owned(),
                _ => quoted(text),
            }
        }
        several => quoted(&several.iter().map(|(text, _)| *text).collect::<Vec<_>>().join("\n")),
    };
    made(format!(r#"{{"{key}":{value}}}"#))
}

/// Only what a model of Google's has signed is believed; a signature without text is one of a text.
fn thought<'r>(reasoning: &'r Reasoning<'_>) -> Option<Part<'r>> {
    let signature = own(reasoning.signature.as_ref())?;
    let part = Part::thought(reasoning.text.as_ref(), Some(signature));
    Some(Part { thought: !reasoning.text.is_empty(), ..part })
}

/// A signature of Google's own.
fn own<'r>(signature: Option<&'r Signature<'_>>) -> Option<Cow<'r, str>> {
    let signature = signature.filter(|signature| signature.maker == Maker::Google)?;
    Some(Cow::Borrowed(&signature.value))
}

/// Data, or what stands at an address, whose media type is told by its name or else guessed.
fn media<'r>(media: &'r Media<'_>, guess: &'static str) -> Result<Part<'r>, Refused> {
    match media {
        Media::Data { mime, base64 } => Ok(Payload::InlineData { mime_type: mime, data: base64 }.into()),
        Media::Url(url) if url.starts_with("https://") || url.starts_with("gs://") => {
            let mime_type = Cow::Borrowed(mime_of(url).unwrap_or(guess));
            Ok(Payload::FileData { mime_type, file_uri: url }.into())
        }
        Media::Url(_) => Err(Refused("a Google provider fetches from https addresses only".into())),
        Media::Id(_) => {
            Err(Refused("a file that another provider keeps cannot be sent to a Google provider".into()))
        }
    }
}

/// The media type of an address by the end of its path.
fn mime_of(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next()?;
    Some(match path.rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "heic" => "image/heic",
        "heif" => "image/heif",
        "pdf" => "application/pdf",
        "txt" => "text/plain",
        "md" => "text/markdown",
        "csv" => "text/csv",
        "html" | "htm" => "text/html",
        _ => return None,
    })
}
