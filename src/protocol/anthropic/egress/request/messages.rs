//! The conversation: the system's words apart, turns of one role together, results of tools first in theirs.

use std::borrow::Cow;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Serialize;

use crate::{
    chat::{
        content::{Content, Document, DocumentSource, Image, Media, Output, Reasoning, ToolResult},
        loss::{Losses, Parameter, Unsupported},
        request::{Message, Request, Role},
        signature::Maker,
    },
    protocol::{
        anthropic::wire::{Block, Blocks, Source},
        call,
        claude::prefill,
    },
};

/// A turn.
#[derive(Serialize)]
pub(super) struct Turn<'r> {
    role: &'static str,
    content: Blocks<'r>,
}

/// A part that cannot be sent.
struct Refused(&'static str);

/// The system and the turns.
pub(super) fn write<'r>(
    request: &'r Request<'_>,
    losses: &mut Losses,
) -> Result<(Option<Blocks<'r>>, Vec<Turn<'r>>), Unsupported> {
    let mut system = Vec::new();
    let mut turns: Vec<(&'static str, Vec<Block<'r>>)> = Vec::new();
    for message in &request.messages {
        let mut blocks = blocks(message, losses)?;
        let role = match message.role {
            Role::System => {
                system.append(&mut blocks);
                continue;
            }
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        match turns.last_mut() {
            _ if blocks.is_empty() => {}
            Some((last, before)) if *last == role => before.append(&mut blocks),
            _ => turns.push((role, blocks)),
        }
    }
    if let Some(("assistant", blocks)) = turns.last_mut()
        && let Some(Block::Text { text, .. }) = blocks.last_mut()
    {
        prefill::end_in_a_word(text);
    }
    let turns = turns.into_iter().map(|(role, mut blocks)| {
        // Stable: results first, each kind in its order.
        blocks.sort_by_key(|block| role == "user" && !matches!(block, Block::ToolResult { .. }));
        Turn { role, content: Blocks::new(blocks) }
    });
    Ok(((!system.is_empty()).then(|| Blocks::new(system)), turns.collect()))
}

/// Whether a budget for thinking is taken after these turns: not while results of calls are awaited that came without
/// thinking before them.
pub(super) fn last_turn_thinks(turns: &[Turn<'_>]) -> bool {
    let [.., assistant, _] = turns else { return true };
    let Turn { role: "assistant", content: Blocks::List(blocks) } = assistant else { return true };
    let calls = blocks.iter().any(|block| matches!(block, Block::ToolUse { .. }));
    !calls || matches!(blocks.first(), Some(Block::Thinking { .. } | Block::RedactedThinking { .. }))
}

fn blocks<'r>(message: &'r Message<'_>, losses: &mut Losses) -> Result<Vec<Block<'r>>, Unsupported> {
    let mut blocks = Vec::with_capacity(message.content.len());
    for (part, content) in message.content.iter().enumerate() {
        match block(content, message.role, losses) {
            Ok(block) => blocks.extend(block),
            Err(Refused(why)) => {
                return Err(Unsupported { message: Some(message.at), part, why: why.into() });
            }
        }
    }
    Ok(blocks)
}

/// One part; `None` for what is left out: blank text, which is refused, and thinking of other makers or unsigned.
fn block<'r>(
    content: &'r Content<'_>,
    role: Role,
    losses: &mut Losses,
) -> Result<Option<Block<'r>>, Refused> {
    Ok(Some(match content {
        Content::Text(text) if text.text.trim().is_empty() => {
            losses.lose_if(text.cache.is_some(), Parameter::CacheControl);
            return Ok(None);
        }
        Content::Text(text) => {
            Block::Text { text: Cow::Borrowed(&text.text), cache_control: text.cache.as_ref() }
        }
        Content::Refusal(text) if text.trim().is_empty() => return Ok(None),
        Content::Refusal(text) => Block::text(text.as_ref()),
        _ if role == Role::System => {
            return Err(Refused("the system prompt of an Anthropic provider is text"));
        }
        Content::Image(image) => self::image(image, losses)?,
        Content::Document(document) => self::document(document)?,
        Content::Audio(_) => return Err(Refused("audio cannot be sent to an Anthropic provider")),
        Content::Reasoning(reasoning) => {
            let thinking = thinking(reasoning);
            losses.lose_if(thinking.is_none(), Parameter::Thought);
            return Ok(thinking);
        }
        Content::Call(called) => {
            let (id, input) = (call::id(&called.id), call::arguments(&called.input));
            Block::ToolUse { id, name: &called.name, input }
        }
        Content::Result(result) => self::result(result, losses)?,
    }))
}

/// Only what a model of Anthropic's has signed is believed.
fn thinking<'r>(reasoning: &'r Reasoning<'_>) -> Option<Block<'r>> {
    let signature = reasoning.signature.as_ref().filter(|signature| signature.maker == Maker::Anthropic)?;
    let value = Cow::Borrowed(signature.value.as_ref());
    Some(if reasoning.redacted {
        Block::RedactedThinking { data: value }
    } else {
        Block::Thinking { thinking: &reasoning.text, signature: value }
    })
}

fn result<'r>(result: &'r ToolResult<'_>, losses: &mut Losses) -> Result<Block<'r>, Refused> {
    let mut content = Vec::with_capacity(result.content.len());
    for output in &result.content {
        content.push(match output {
            Output::Text(text) if text.trim().is_empty() => continue,
            Output::Text(text) => Block::text(text.as_ref()),
            Output::Json(json) => Block::text(json.text()),
            Output::Image(image) => self::image(image, losses)?,
            Output::Document(document) => self::document(document)?,
        });
    }
    Ok(Block::ToolResult {
        tool_use_id: call::id(&result.id),
        content: (!content.is_empty()).then(|| Blocks::new(content)),
        is_error: result.error,
        cache_control: result.cache.as_ref(),
    })
}

fn image<'r>(image: &'r Image<'_>, losses: &mut Losses) -> Result<Block<'r>, Refused> {
    losses.lose_if(image.detail.is_some(), Parameter::Detail);
    let source = media(&image.media)?;
    Ok(Block::Image { source, cache_control: image.cache.as_ref() })
}

fn media<'r>(media: &'r Media<'_>) -> Result<Source<'r>, Refused> {
    match media {
        Media::Data { mime, base64 } => Ok(Source::Base64 { media_type: mime, data: base64 }),
        Media::Url(url) => Ok(Source::Url { url }),
        Media::Id(_) => {
            Err(Refused("a file that another provider keeps cannot be sent to an Anthropic provider"))
        }
    }
}

/// A PDF as it is, anything textual as text; other kinds are not read by these models.
fn document<'r>(document: &'r Document<'_>) -> Result<Block<'r>, Refused> {
    let plain = |data| Source::Text { media_type: "text/plain", data };
    let source = match &document.source {
        DocumentSource::Text(text) => plain(Cow::Borrowed(text.as_ref())),
        DocumentSource::Media(Media::Data { mime, base64 }) if is_text(mime) => {
            let text = BASE64_STANDARD.decode(base64.as_ref()).ok().and_then(|b| String::from_utf8(b).ok());
            plain(text.ok_or(Refused("a text document must be UTF-8 in base64"))?.into())
        }
        DocumentSource::Media(Media::Data { mime, .. }) if mime != "application/pdf" => {
            return Err(Refused("an Anthropic provider takes PDF and text documents only"));
        }
        DocumentSource::Media(kept) => media(kept)?,
    };
    Ok(Block::Document { source, title: document.name.as_deref(), cache_control: document.cache.as_ref() })
}

fn is_text(mime: &str) -> bool {
    mime.starts_with("text/") || mime == "application/json"
}
