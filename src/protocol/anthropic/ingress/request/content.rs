//! The blocks of a message. What only Anthropic's servers can read (their own tools' calls and results, compactions,
//! files of a container) is refused by name: without it the conversation would be another one.

use std::{borrow::Cow, collections::HashMap};

use super::cache;
use crate::{
    chat::{
        content::{
            Call, Content, Document, DocumentSource, Image, Input, Media, Output, Reasoning, Text, ToolResult,
        },
        signature::{Maker, Signature},
    },
    protocol::{
        json::{Malformed, compact},
        signature,
        value::{Notes, Object, Value},
    },
};

/// The tools that were called so far, by the id of the call.
#[derive(Default)]
pub(super) struct History<'a>(HashMap<Cow<'a, str>, Cow<'a, str>>);

/// The content of a message or of the system: a string, or a list of blocks.
pub(super) fn read<'a>(
    value: &Value<'a, '_>,
    notes: &mut Notes<'a>,
    history: &mut History<'a>,
) -> Result<Vec<Content<'a>>, Malformed> {
    if value.is_text() {
        return Ok(vec![Content::text(value.text()?)]);
    }
    let mut contents = Vec::new();
    value.items_unless_text(|_, block| {
        let content = self::block(&block, notes, history)?;
        signature::push(&mut contents, content);
        Ok(())
    })?;
    Ok(contents)
}

fn block<'a>(
    value: &Value<'a, '_>,
    notes: &mut Notes<'a>,
    history: &mut History<'a>,
) -> Result<Content<'a>, Malformed> {
    let block = value.object()?;
    let kind = block.need("type")?.text()?;
    match kind.as_ref() {
        "text" => text(&block, notes).map(Content::Text),
        "image" => image(&block, notes).map(Content::Image),
        "document" => document(&block, notes).map(Content::Document),
        "search_result" => search_result(&block, notes).map(Content::Text),
        "tool_use" => call(&block, notes, history).map(Content::Call),
        "tool_result" => result(&block, notes, history).map(Content::Result),
        "thinking" => thinking(&block).map(Content::Reasoning),
        "redacted_thinking" => redacted(&block).map(Content::Reasoning),
        other => {
            Err(value
                .refuse(format_args!("a block of type `{other}` can be sent to an Anthropic provider only")))
        }
    }
}

fn text<'a>(block: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<Text<'a>, Malformed> {
    block.unsaid("citations", true, notes);
    block.rest(&["type", "text", "cache_control", "citations"], notes);
    Ok(Text { text: block.need("text")?.text()?, cache: cache(block)?, signature: None })
}

fn image<'a>(block: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<Image<'a>, Malformed> {
    block.rest(&["type", "source", "cache_control"], notes);
    let value = block.need("source")?;
    let source = value.object()?;
    let kind = source.need("type")?;
    let media = media(&source, &kind.text()?)?;
    let media = media.ok_or_else(|| kind.wrong("`base64`, `url` or `file`"))?;
    Ok(Image { media, detail: None, cache: cache(block)? })
}

fn document<'a>(block: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<Document<'a>, Malformed> {
    block.unsaid("citations", false, notes);
    block.rest(&["type", "source", "title", "context", "citations", "cache_control"], notes);
    let value = block.need("source")?;
    let source = value.object()?;
    let kind = source.need("type")?;
    let mut source = match kind.text()?.as_ref() {
        "text" => DocumentSource::Text(source.need("data")?.text()?),
        "content" => DocumentSource::Text(texts(&source.need("content")?, notes)?),
        other => match media(&source, other)? {
            Some(media) => DocumentSource::Media(media),
            None => return Err(kind.wrong("`base64`, `url`, `file`, `text` or `content`")),
        },
    };
    match (&mut source, block.text("context")?) {
        (DocumentSource::Text(text), Some(context)) => *text = format!("{context}\n\n{text}").into(),
        (DocumentSource::Media(_), Some(_)) => block.unsaid("context", false, notes),
        (_, None) => {}
    }
    Ok(Document { source, name: block.text("title")?, cache: cache(block)? })
}

fn media<'a>(source: &Object<'a, '_>, kind: &str) -> Result<Option<Media<'a>>, Malformed> {
    Ok(Some(match kind {
        "base64" => Media::Data {
            mime: source.need("media_type")?.media_type()?,
            base64: source.need("data")?.text()?,
        },
        "url" => Media::Url(source.need("url")?.text()?),
        "file" => Media::Id(source.need("file_id")?.text()?),
        _ => return Ok(None),
    }))
}

/// Content that may hold text only: a string, or blocks, which become paragraphs.
fn texts<'a>(value: &Value<'a, '_>, notes: &mut Notes<'a>) -> Result<Cow<'a, str>, Malformed> {
    if value.is_text() {
        return value.text();
    }
    let mut all = String::new();
    value.items_unless_text(|index, value| {
        let block = value.object()?;
        if block.need("type")?.text()? != "text" {
            return Err(value.refuse("only text can be sent here to another provider than Anthropic"));
        }
        if index > 0 {
            all.push_str("\n\n");
        }
        all.push_str(&text(&block, notes)?.text);
        Ok(())
    })?;
    Ok(all.into())
}

/// A search result becomes text: its title, where it is from, and what it says.
fn search_result<'a>(block: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<Text<'a>, Malformed> {
    block.unsaid("citations", false, notes);
    block.rest(&["type", "title", "source", "content", "citations", "cache_control"], notes);
    let (title, source) = (block.need("title")?.text()?, block.need("source")?.text()?);
    let said = texts(&block.need("content")?, notes)?;
    Ok(Text { text: format!("{title}\n{source}\n\n{said}").into(), cache: cache(block)?, signature: None })
}

fn call<'a>(
    block: &Object<'a, '_>,
    notes: &mut Notes<'a>,
    history: &mut History<'a>,
) -> Result<Call<'a>, Malformed> {
    block.unsaid("cache_control", true, notes);
    // `caller` says that the model itself called, or which program of Anthropic's did: history either way.
    block.rest(&["type", "id", "name", "input", "cache_control", "caller"], notes);
    let (id, name) = (block.need("id")?.text()?, block.need("name")?.text()?);
    history.0.insert(id.clone(), name.clone());
    let input = block.get("input").map_or("{}", |input| input.raw());
    Ok(Call { id, name, input: Input::Json(compact(input)), signature: None })
}

fn result<'a>(
    block: &Object<'a, '_>,
    notes: &mut Notes<'a>,
    history: &History<'a>,
) -> Result<ToolResult<'a>, Malformed> {
    block.rest(&["type", "tool_use_id", "content", "is_error", "cache_control"], notes);
    let id = block.need("tool_use_id")?.text()?;
    let mut content = Vec::new();
    match block.get("content") {
        Some(said) if said.is_text() => content.push(Output::Text(said.text()?)),
        Some(said) => said.items_unless_text(|_, block| {
            content.push(output(&block, notes)?);
            Ok(())
        })?,
        None => {}
    }
    Ok(ToolResult {
        name: history.0.get(&id).cloned(),
        id,
        content,
        error: block.get("is_error").map_or(Ok(false), |error| error.flag())?,
        cache: cache(block)?,
    })
}

/// A block within a result.
fn output<'a>(value: &Value<'a, '_>, notes: &mut Notes<'a>) -> Result<Output<'a>, Malformed> {
    let block = value.object()?;
    let kind = block.need("type")?.text()?;
    match kind.as_ref() {
        "text" => {
            block.unsaid("cache_control", true, notes);
            Ok(Output::Text(text(&block, notes)?.text))
        }
        "image" => image(&block, notes).map(Output::Image),
        "document" => document(&block, notes).map(Output::Document),
        "search_result" => Ok(Output::Text(search_result(&block, notes)?.text)),
        // A search for tools found this one, whose definition is sent whether it was found or not.
        "tool_reference" => Ok(Output::Text(block.need("tool_name")?.text()?)),
        other => {
            Err(value
                .refuse(format_args!("a block of type `{other}` can be sent to an Anthropic provider only")))
        }
    }
}

/// An empty signature is none: thinking of a model that does not sign came with one.
fn thinking<'a>(block: &Object<'a, '_>) -> Result<Reasoning<'a>, Malformed> {
    let signature = block.text("signature")?.filter(|signature| !signature.is_empty());
    let signature = signature.map(|signature| Signature::read(Maker::Anthropic, signature));
    // OpenAI's holds the reasoning itself, beside a summary of it.
    let redacted = signature.as_ref().is_some_and(|signature| signature.maker == Maker::OpenAi);
    Ok(Reasoning { text: block.need("thinking")?.text()?, signature, redacted })
}

fn redacted<'a>(block: &Object<'a, '_>) -> Result<Reasoning<'a>, Malformed> {
    let data = Signature::read(Maker::Anthropic, block.need("data")?.text()?);
    Ok(Reasoning { text: "".into(), signature: Some(data), redacted: true })
}
