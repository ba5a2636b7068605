//! The parts of a message, of a tool's output, and of reasoning.

use std::borrow::Cow;

use crate::{
    chat::content::{Audio, Content, Document, DocumentSource, Image, Media, Output, Text},
    protocol::{
        json::Malformed,
        value::{Notes, Object, Value, is_media_type},
    },
};

/// The content of a message: a string, or a list of parts.
pub(super) fn read<'a>(value: &Value<'a, '_>, notes: &mut Notes<'a>) -> Result<Vec<Content<'a>>, Malformed> {
    if value.is_text() {
        return Ok(vec![Content::text(value.text()?)]);
    }
    let mut all = Vec::new();
    value.items(|_, part| {
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
    value.items(|_, part| {
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
        "input_audio" => audio(&part, notes).map(Content::Audio),
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
        None => media(&part.need("image_url")?)?,
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
        match media(&data)? {
            // Bytes without the head of a URL.
            Media::Url(base64) => {
                Media::Data { mime: mime_of(name.as_deref().unwrap_or_default()).into(), base64 }
            }
            media => media,
        }
    } else if let Some(url) = part.get("file_url") {
        media(&url)?
    } else if let Some(id) = part.text("file_id")? {
        Media::Id(id)
    } else {
        return Err(value.wrong("an object with `file_data`, `file_url` or `file_id`"));
    };
    Ok(Document { source: DocumentSource::Media(media), name, cache: None })
}

fn audio<'a>(part: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<Audio<'a>, Malformed> {
    part.rest(&["type", "input_audio"], notes);
    let value = part.need("input_audio")?;
    let audio = value.object()?;
    audio.rest(&["data", "format"], notes);
    let mime = match audio.need("format")?.text()?.as_ref() {
        "mp3" => "audio/mpeg".into(),
        other => format!("audio/{other}").into(),
    };
    Ok(Audio { mime, base64: audio.need("data")?.text()? })
}

/// An address; one that begins with `data:` holds the bytes itself.
fn media<'a>(value: &Value<'a, '_>) -> Result<Media<'a>, Malformed> {
    let url = value.text()?;
    if !url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:")) {
        return Ok(Media::Url(url));
    }
    let read = match url {
        Cow::Borrowed(url) => data(url).map(|(mime, base64)| (mime.into(), base64.into())),
        Cow::Owned(url) => {
            data(&url).map(|(mime, base64)| (mime.to_owned().into(), base64.to_owned().into()))
        }
    };
    let (mime, base64) =
        read.ok_or_else(|| value.wrong("an address, or a `data:` URL with a media type and base64"))?;
    Ok(Media::Data { mime, base64 })
}

/// The media type and the bytes of `data:image/png;charset=x;base64,AAAA`.
fn data(url: &str) -> Option<(&str, &str)> {
    let (head, base64) = url.get(5..)?.split_once(',')?;
    let mime = head.strip_suffix(";base64")?.split(';').next()?;
    is_media_type(mime).then_some((mime, base64))
}

/// The media type of a file by its name; PDF is what OpenAI takes.
fn mime_of(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("txt") => "text/plain",
        Some("md") => "text/markdown",
        Some("csv") => "text/csv",
        Some("json") => "application/json",
        _ => "application/pdf",
    }
}
