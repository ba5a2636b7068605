//! The parts of a message that are more than text.

use std::borrow::Cow;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Serialize;

use crate::chat::{
    content::{Audio, Document, DocumentSource, Image, Media},
    loss::{Losses, Parameter},
};

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Part<'a> {
    Text { text: Cow<'a, str> },
    ImageUrl { image_url: ImageUrl<'a> },
    InputAudio { input_audio: InputAudio<'a> },
    File { file: File<'a> },
}

#[derive(Serialize)]
pub(super) struct ImageUrl<'a> {
    url: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

#[derive(Serialize)]
pub(super) struct InputAudio<'a> {
    data: &'a str,
    format: &'static str,
}

#[derive(Serialize)]
pub(super) struct File<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    filename: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_id: Option<&'a str>,
}

impl<'a> Part<'a> {
    /// Text.
    pub(super) fn text(text: Cow<'a, str>) -> Self {
        Self::Text { text }
    }

    /// Whether it is text without any.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Text { text } if text.is_empty())
    }
}

/// An image by its bytes or its address. The error says why it cannot be sent.
pub(super) fn image<'a>(image: &'a Image<'_>, losses: &mut Losses) -> Result<Part<'a>, Cow<'static, str>> {
    losses.lose_if(image.cache.is_some(), Parameter::CacheControl);
    let url = match &image.media {
        Media::Data { mime, base64 } => format!("data:{mime};base64,{base64}").into(),
        Media::Url(url) => Cow::Borrowed(url.as_ref()),
        Media::Id(_) => {
            return Err("an image by its file id cannot be sent to an OpenAI-compatible provider".into());
        }
    };
    Ok(Part::ImageUrl { image_url: ImageUrl { url, detail: image.detail.as_deref() } })
}

/// A document by its bytes, its text, or an id that is OpenAI's.
pub(super) fn document<'a>(
    document: &'a Document<'_>,
    losses: &mut Losses,
) -> Result<Part<'a>, Cow<'static, str>> {
    losses.lose_if(document.cache.is_some(), Parameter::CacheControl);
    let name = document.name.as_deref();
    let text = match &document.source {
        DocumentSource::Text(text) => Some(Cow::Borrowed(text.as_ref())),
        DocumentSource::Media(media) => decoded(media),
    };
    let media = match (text, &document.source) {
        (None, DocumentSource::Media(media)) => media,
        (text, _) => {
            let text = text.unwrap_or_default();
            return Ok(Part::text(match name {
                Some(name) => format!("{name}\n\n{text}").into(),
                None => text,
            }));
        }
    };
    let file = match media {
        Media::Data { mime, base64 } => File {
            // OpenAI demands a name with data.
            filename: Some(name.unwrap_or(if mime == "application/pdf" {
                "document.pdf"
            } else {
                "document"
            })),
            file_data: Some(format!("data:{mime};base64,{base64}")),
            file_id: None,
        },
        Media::Id(id) if id.starts_with("file-") => {
            File { filename: None, file_data: None, file_id: Some(id) }
        }
        Media::Id(_) => {
            return Err(
                "a file id of another provider cannot be sent to an OpenAI-compatible provider".into()
            );
        }
        Media::Url(_) => {
            return Err("a document by its address cannot be sent to an OpenAI-compatible provider".into());
        }
    };
    Ok(Part::File { file })
}

/// The text of a file that is some: chat completions take PDF files only.
fn decoded<'a>(media: &Media<'_>) -> Option<Cow<'a, str>> {
    let Media::Data { mime, base64 } = media else { return None };
    if !mime.starts_with("text/") && mime != "application/json" {
        return None;
    }
    let bytes = BASE64_STANDARD.decode(base64.as_ref()).ok()?;
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

/// Recorded speech in one of the two formats that OpenAI takes.
pub(super) fn audio<'a>(audio: &'a Audio<'_>) -> Result<Part<'a>, Cow<'static, str>> {
    let format = match audio.mime.as_ref() {
        "audio/wav" | "audio/x-wav" | "audio/wave" => "wav",
        "audio/mpeg" | "audio/mp3" => "mp3",
        mime => {
            return Err(
                format!("audio of type {mime} cannot be sent to an OpenAI-compatible provider").into()
            );
        }
    };
    Ok(Part::InputAudio { input_audio: InputAudio { data: &audio.base64, format } })
}
