//! Images and documents as Converse takes them: in the request, by a short list of formats; documents with a name of their
//! own.

use std::{borrow::Cow, collections::HashMap};

use base64::{Engine, prelude::BASE64_STANDARD};

use super::wire::{Document, Image, Source};
use crate::chat::content::{self, DocumentSource, Media};

/// A part that cannot be sent, and why.
pub(super) struct Refused(pub(super) Cow<'static, str>);

/// The names of a request's documents, with how often each was given. Converse refuses a request in which two have the same.
#[derive(Default)]
pub(super) struct Names(HashMap<String, u32>);

/// Why other documents are refused.
const FORMATS: &str =
    "a Bedrock provider takes PDF, CSV, Word, Excel, HTML, Markdown and text documents only";
/// The longest name of a document, in characters.
const LONGEST_NAME: usize = 200;
/// What stays free for the number that tells it from another.
const NUMBER: usize = 13;

impl Refused {
    pub(super) fn new(why: &'static str) -> Self {
        Self(Cow::Borrowed(why))
    }
}

/// An image.
pub(super) fn image<'r>(image: &'r content::Image<'_>) -> Result<Image<'r>, Refused> {
    let (mime, bytes) = data(&image.media)?;
    let format = match essence(mime).as_str() {
        "image/png" => "png",
        "image/jpeg" | "image/jpg" => "jpeg",
        "image/gif" => "gif",
        "image/webp" => "webp",
        _ => return Err(Refused::new("a Bedrock provider takes PNG, JPEG, GIF and WebP images only")),
    };
    Ok(Image { format, source: Source { bytes: bytes.into() } })
}

/// A document; one of text is a text file.
pub(super) fn document<'r>(
    document: &'r content::Document<'_>,
    names: &mut Names,
) -> Result<Document<'r>, Refused> {
    let (format, bytes) = match &document.source {
        DocumentSource::Text(text) => ("txt", Cow::Owned(BASE64_STANDARD.encode(text.as_bytes()))),
        DocumentSource::Media(media) => {
            let (mime, bytes) = data(media)?;
            let format = format(&essence(mime)).ok_or(Refused(Cow::Borrowed(FORMATS)))?;
            (format, Cow::Borrowed(bytes))
        }
    };
    Ok(Document { format, name: names.name(document.name.as_deref()), source: Source { bytes } })
}

/// What is in the request.
fn data<'r>(media: &'r Media<'_>) -> Result<(&'r str, &'r str), Refused> {
    match media {
        Media::Data { mime, base64 } => Ok((mime, base64)),
        Media::Url(_) => {
            Err(Refused::new("a Bedrock provider fetches nothing: send the bytes in the request, not a URL"))
        }
        Media::Id(_) => {
            Err(Refused::new("a file that another provider keeps cannot be sent to a Bedrock provider"))
        }
    }
}

/// A media type without its parameters.
fn essence(mime: &str) -> String {
    mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn format(mime: &str) -> Option<&'static str> {
    Some(match mime {
        "application/pdf" => "pdf",
        "text/csv" | "application/csv" => "csv",
        "application/msword" => "doc",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => "docx",
        "application/vnd.ms-excel" => "xls",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => "xlsx",
        "text/html" => "html",
        "text/markdown" | "text/x-markdown" => "md",
        "application/json" | "application/xml" | "application/yaml" => "txt",
        _ if mime.starts_with("text/") => "txt",
        _ => return None,
    })
}

impl Names {
    /// A name that is taken, and that no document before has: of letters, digits, single spaces, hyphens, parentheses and
    /// square brackets.
    fn name(&mut self, given: Option<&str>) -> String {
        let mut name = String::new();
        for c in given.unwrap_or_default().trim().chars().take(LONGEST_NAME - NUMBER) {
            match c {
                _ if c.is_ascii_alphanumeric() || "-()[]".contains(c) => name.push(c),
                _ if !c.is_whitespace() => name.push('-'),
                _ if !name.ends_with(' ') => name.push(' '),
                _ => {}
            }
        }
        name.truncate(name.trim_end().len());
        if name.is_empty() {
            name.push_str("Document");
        }
        loop {
            let given = self.0.entry(name.clone()).or_default();
            *given += 1;
            if *given == 1 {
                return name;
            }
            // Counted up at the first name, so that many of one name take no more steps than there are documents.
            let numbered = format!("{name} ({given})");
            if !self.0.contains_key(&numbered) {
                name = numbered;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_of_what_is_taken_and_is_given_once() {
        let mut names = Names::default();
        let given = ["report.pdf", "report.pdf", " Q3\t\n 2024_[final] (1) ", "", "", "Überblick"];
        let named: Vec<String> = given.iter().map(|name| names.name(Some(name))).collect();
        let expected =
            ["report-pdf", "report-pdf (2)", "Q3 2024-[final] (1)", "Document", "Document (2)", "-berblick"];
        assert_eq!(named, expected);
        assert_eq!(names.name(Some("Document (3)")), "Document (3)");
        assert_eq!(names.name(None), "Document (4)");
        let long = "a".repeat(500);
        assert!(
            names.name(Some(&long)).len() <= LONGEST_NAME && names.name(Some(&long)).len() <= LONGEST_NAME
        );
    }

    #[test]
    fn formats_go_by_the_media_type() {
        for (mime, expected) in [
            ("application/pdf", Some("pdf")),
            ("Text/Markdown; charset=utf-8", Some("md")),
            ("text/x-rust", Some("txt")),
            ("application/json", Some("txt")),
            ("application/zip", None),
            ("", None),
        ] {
            assert_eq!(format(&essence(mime)), expected, "{mime}");
        }
    }
}
