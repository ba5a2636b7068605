//! Media as both of OpenAI's formats write them: an address, which may hold the bytes itself; files; sound.

use std::borrow::Cow;

use super::{
    json::Malformed,
    value::{Notes, Object, Value, is_media_type},
};
use crate::chat::content::{Audio, Media};

/// An address; one that begins with `data:` holds the bytes itself.
pub(super) fn read<'a>(value: &Value<'a, '_>) -> Result<Media<'a>, Malformed> {
    of(value.text()?).ok_or_else(|| value.wrong("an address, or a `data:` URL with a media type and base64"))
}

/// The same out of a text; `None` for a `data:` URL that has no media type or no base64.
pub(super) fn of(url: Cow<'_, str>) -> Option<Media<'_>> {
    if !url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:")) {
        return Some(Media::Url(url));
    }
    let (mime, base64) = match url {
        Cow::Borrowed(url) => data(url).map(|(mime, base64)| (mime.into(), base64.into()))?,
        Cow::Owned(url) => {
            data(&url).map(|(mime, base64)| (mime.to_owned().into(), base64.to_owned().into()))?
        }
    };
    Some(Media::Data { mime, base64 })
}

/// The address; of bytes, one that holds them.
pub(super) fn url<'a>(media: &'a Media<'_>) -> Cow<'a, str> {
    match media {
        Media::Data { mime, base64 } => Cow::Owned(format!("data:{mime};base64,{base64}")),
        Media::Url(text) | Media::Id(text) => Cow::Borrowed(text),
    }
}

/// An image of an answer as text, for a format whose answers have no place for one.
pub(super) fn markdown(media: &Media<'_>) -> String {
    format!("![image]({})", url(media))
}

/// A part that is a sound.
pub(super) fn audio<'a>(part: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<Audio<'a>, Malformed> {
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

/// The media type of a file by its name; PDF is what OpenAI takes.
pub(super) fn mime_of(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("txt") => "text/plain",
        Some("md") => "text/markdown",
        Some("csv") => "text/csv",
        Some("json") => "application/json",
        _ => "application/pdf",
    }
}

/// The media type and the bytes of `data:image/png;charset=x;base64,AAAA`.
fn data(url: &str) -> Option<(&str, &str)> {
    let (head, base64) = url.get(5..)?.split_once(',')?;
    let mime = head.strip_suffix(";base64")?.split(';').next()?;
    is_media_type(mime).then_some((mime, base64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_url_tells_its_type_without_parameters_and_its_bytes() {
        assert_eq!(data("data:image/png;base64,AA=="), Some(("image/png", "AA==")));
        assert_eq!(data("DATA:text/plain;charset=x;base64,"), Some(("text/plain", "")));
        for other in [
            "data:text/plain,a",
            "data:;base64",
            "data:",
            "data:;base64,AA==",
            "data:image/png,a/b;base64,AA==",
        ] {
            assert_eq!(data(other), None, "{other}");
        }
    }
}
