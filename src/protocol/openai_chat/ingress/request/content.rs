//! The content of a message: a string, or a list of parts. A part that no other format knows is refused by name.

use std::borrow::Cow;

use crate::{
    chat::content::{Content, Document, DocumentSource, Image, Media, Output, Reasoning, Text},
    protocol::{
        json::Malformed,
        media,
        value::{Notes, Object, Value},
    },
};

/// The parts.
pub(super) fn read<'a>(value: &Value<'a, '_>, notes: &mut Notes<'a>) -> Result<Vec<Content<'a>>, Malformed> {
    if value.is_text() {
        return Ok(vec![Content::text(value.text()?)]);
    }
    let mut all = Vec::new();
    value.items_unless_text(|_, part| {
        all.push(self::part(&part, notes)?);
        Ok(())
    })?;
    Ok(all)
}

/// The parts of a tool's result.
pub(super) fn outputs<'a>(
    value: &Value<'a, '_>,
    notes: &mut Notes<'a>,
) -> Result<Vec<Output<'a>>, Malformed> {
    if value.is_text() {
        return Ok(vec![Output::Text(value.text()?)]);
    }
    let mut all = Vec::new();
    value.items_unless_text(|_, value| {
        all.push(match part(&value, notes)? {
            Content::Text(text) => Output::Text(text.text),
            Content::Image(image) => Output::Image(image),
            Content::Document(document) => Output::Document(document),
            other => return Err(value.refuse(format_args!("{} is no part of a tool's result", other.kind()))),
        });
        Ok(())
    })?;
    Ok(all)
}

fn part<'a>(value: &Value<'a, '_>, notes: &mut Notes<'a>) -> Result<Content<'a>, Malformed> {
    let part = value.object()?;
    match part.need("type")?.text()?.as_ref() {
        "text" => text(&part, notes).map(Content::Text),
        "image_url" => image(&part, notes).map(Content::Image),
        "input_audio" => media::audio(&part, notes).map(Content::Audio),
        "file" => file(&part, notes).map(Content::Document),
        "document_url" => document(&part, notes).map(Content::Document),
        "refusal" => part.need("refusal")?.text().map(Content::Refusal),
        "thinking" => thinking(&part),
        other => Err(value.refuse(format_args!("a part of type `{other}` cannot be sent to this provider"))),
    }
}

fn text<'a>(part: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<Text<'a>, Malformed> {
    part.rest(&["type", "text", "cache_control"], notes);
    Ok(Text { text: part.need("text")?.text()?, cache: part.json("cache_control")?, signature: None })
}

/// An image by its address; one of an answer has an index too.
pub(super) fn image<'a>(part: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<Image<'a>, Malformed> {
    part.rest(&["type", "image_url", "index", "cache_control"], notes);
    let value = part.need("image_url")?;
    let cache = part.json("cache_control")?;
    if value.is_text() {
        return Ok(Image { media: media::read(&value)?, detail: None, cache });
    }
    let image = value.object()?;
    image.rest(&["url", "detail"], notes);
    Ok(Image { media: media::read(&image.need("url")?)?, detail: image.text("detail")?, cache })
}

fn file<'a>(part: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<Document<'a>, Malformed> {
    part.rest(&["type", "file", "cache_control"], notes);
    let value = part.need("file")?;
    let file = value.object()?;
    file.rest(&["file_id", "file_data", "filename"], notes);
    let name = file.text("filename")?;
    let media = match (file.get("file_data"), file.text("file_id")?) {
        (Some(value), _) => match media::read(&value)? {
            // Bytes without the head of a URL.
            Media::Url(base64) if !base64.contains("://") => {
                Media::Data { mime: media::mime_of(name.as_deref().unwrap_or_default()).into(), base64 }
            }
            media => media,
        },
        (None, Some(id)) => Media::Id(id),
        (None, None) => return Err(value.wrong("an object with `file_data` or `file_id`")),
    };
    Ok(Document { source: DocumentSource::Media(media), name, cache: part.json("cache_control")? })
}

/// Mistral's document by its address.
fn document<'a>(part: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<Document<'a>, Malformed> {
    part.rest(&["type", "document_url", "document_name", "cache_control"], notes);
    let source = DocumentSource::Media(media::read(&part.need("document_url")?)?);
    Ok(Document { source, name: part.text("document_name")?, cache: part.json("cache_control")? })
}

/// Mistral's reasoning: text, or a list of parts of text.
fn thinking<'a>(part: &Object<'a, '_>) -> Result<Content<'a>, Malformed> {
    let value = part.need("thinking")?;
    let mut text = Cow::Borrowed("");
    if value.is_text() {
        text = value.text()?;
    } else {
        value.items_unless_text(|_, piece| {
            text += piece.object()?.need("text")?.text()?;
            Ok(())
        })?;
    }
    Ok(Content::Reasoning(Reasoning { text, signature: None, redacted: false }))
}
