//! The parts of a message, of a tool's output, and of reasoning.

use std::borrow::Cow;

use crate::{
    chat::content::{Content, Document, DocumentSource, Image, Media, Output, Text},
    protocol::{
        json::Malformed,
        media,
        value::{Notes, Object, Value},
    },
};

/// The content of a message: a string, or a list of parts.
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

/// What a tool said: a string, or a list of parts.
pub(super) fn outputs<'a>(
    value: &Value<'a, '_>,
    notes: &mut Notes<'a>,
) -> Result<Vec<Output<'a>>, Malformed> {
    if value.is_text() {
        return Ok(vec![Output::Text(value.text()?)]);
    }
    let mut all = Vec::new();
    value.items_unless_text(|_, part| {
        all.push(match self::part(&part, notes)? {
            Content::Text(text) => Output::Text(text.text),
            Content::Image(image) => Output::Image(image),
            Content::Document(document) => Output::Document(document),
            other => return Err(part.refuse(format_args!("{} is no part of a tool's output", other.kind()))),
        });
        Ok(())
    })?;
    Ok(all)
}

/// The parts of a summary or of open reasoning as one text, and how many they are.
pub(super) fn thoughts<'a>(value: Option<Value<'a, '_>>) -> Result<(Cow<'a, str>, usize), Malformed> {
    let (mut text, mut parts) = (Cow::Borrowed(""), 0);
    if let Some(list) = value {
        list.items(|_, part| {
            if !text.is_empty() {
                text += "\n\n";
            }
            text += part.object()?.need("text")?.text()?;
            parts += 1;
            Ok(())
        })?;
    }
    Ok((text, parts))
}

fn part<'a>(value: &Value<'a, '_>, notes: &mut Notes<'a>) -> Result<Content<'a>, Malformed> {
    let part = value.object()?;
    let kind = part.need("type")?.text()?;
    // A marker of OpenAI's prompt cache means nothing to the caches of others.
    part.unsaid("prompt_cache_breakpoint", true, notes);
    match kind.as_ref() {
        "input_text" | "output_text" | "text" => text(&part, notes).map(Content::Text),
        "refusal" => {
            part.rest(&["type", "refusal"], notes);
            part.need("refusal")?.text().map(Content::Refusal)
        }
        "input_image" => image(&part, notes).map(Content::Image),
        "input_file" => file(value, &part, notes).map(Content::Document),
        "input_audio" => media::audio(&part, notes).map(Content::Audio),
        other => Err(value.refuse(format_args!(
            "a part of type `{other}` can be sent to a provider that speaks Responses only"
        ))),
    }
}

fn text<'a>(part: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<Text<'a>, Malformed> {
    // What was said about an earlier answer is not what was said.
    for key in ["annotations", "logprobs"] {
        if part.get(key).is_some_and(|list| list.raw() != "[]") {
            part.unsaid(key, true, notes);
        }
    }
    part.rest(&["type", "text", "annotations", "logprobs", "prompt_cache_breakpoint"], notes);
    part.need("text")?.text().map(Text::new)
}

fn image<'a>(part: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<Image<'a>, Malformed> {
    part.rest(&["type", "image_url", "file_id", "detail", "prompt_cache_breakpoint"], notes);
    let media = match part.text("file_id")? {
        Some(id) => Media::Id(id),
        None => media::read(&part.need("image_url")?)?,
    };
    Ok(Image { media, detail: part.text("detail")?, cache: None })
}

fn file<'a>(
    value: &Value<'a, '_>,
    part: &Object<'a, '_>,
    notes: &mut Notes<'a>,
) -> Result<Document<'a>, Malformed> {
    part.unsaid("detail", true, notes);
    part.rest(
        &["type", "file_data", "file_id", "file_url", "filename", "detail", "prompt_cache_breakpoint"],
        notes,
    );
    let name = part.text("filename")?;
    let media = if let Some(data) = part.get("file_data") {
        match media::read(&data)? {
            // Bytes without the head of a URL.
            Media::Url(base64) => {
                Media::Data { mime: media::mime_of(name.as_deref().unwrap_or_default()).into(), base64 }
            }
            media => media,
        }
    } else if let Some(url) = part.get("file_url") {
        media::read(&url)?
    } else if let Some(id) = part.text("file_id")? {
        Media::Id(id)
    } else {
        return Err(value.wrong("an object with `file_data`, `file_url` or `file_id`"));
    };
    Ok(Document { source: DocumentSource::Media(media), name, cache: None })
}
