//! The conversation: the system's words apart, turns of one role together, results of tools first in theirs.

use std::borrow::Cow;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

use super::{
    document::{self, Names, Refused},
    family::Family,
    tools,
    wire::{self, Block, CachePoint},
};
use crate::{
    chat::{
        content::{Content, Image, Output, Reasoning, ToolResult},
        json::Json,
        loss::{Losses, Parameter, Unsupported},
        request::{Message, Request, Role},
        signature::Maker,
    },
    protocol::{call, claude::prefill},
};

/// A turn.
#[derive(Serialize)]
pub(super) struct Turn<'r> {
    role: &'static str,
    content: Vec<Block<'r>>,
}

/// A block, and the client's marker behind it.
struct Part<'r> {
    block: Block<'r>,
    cache: Option<&'r Json<'r>>,
}

/// What goes through all messages.
struct Writer<'l> {
    family: Family,
    names: Names,
    losses: &'l mut Losses,
}

/// The system and the turns.
pub(super) fn write<'r>(
    request: &'r Request<'_>,
    family: Family,
    losses: &mut Losses,
) -> Result<(Vec<Block<'r>>, Vec<Turn<'r>>), Unsupported> {
    let mut writer = Writer { family, names: Names::default(), losses };
    let mut system = Vec::new();
    let mut turns: Vec<(&'static str, Vec<Part<'r>>)> = Vec::new();
    for message in &request.messages {
        let role = match message.role {
            Role::System => {
                writer.parts(message, &mut system)?;
                continue;
            }
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        // A turn of which nothing is left must not part two others of one role: the roles have to alternate.
        let mut parts = Vec::new();
        writer.parts(message, &mut parts)?;
        match turns.last_mut() {
            _ if parts.is_empty() => {}
            Some((last, into)) if *last == role => into.append(&mut parts),
            _ => turns.push((role, parts)),
        }
    }
    if let (Family::Claude(_), Some(("assistant", parts))) = (family, turns.last_mut())
        && let Some(Part { block: Block::Text(text), .. }) = parts.last_mut()
    {
        prefill::end_in_a_word(text);
    }
    let turns = turns.into_iter().map(|(role, mut parts)| {
        // Stable: results first, each kind in its order.
        parts.sort_by_key(|part| role == "user" && !matches!(part.block, Block::ToolResult { .. }));
        Turn { role, content: writer.blocks(parts) }
    });
    let turns = turns.collect();
    Ok((writer.blocks(system), turns))
}

/// Whether a budget for thinking is taken after these turns: not while results of calls are awaited that came without
/// thinking before them.
pub(super) fn last_turn_thinks(turns: &[Turn<'_>]) -> bool {
    let [.., assistant, _] = turns else { return true };
    let calls = assistant.content.iter().any(|block| matches!(block, Block::ToolUse { .. }));
    !calls || matches!(assistant.content.first(), Some(Block::ReasoningContent(_)))
}

impl<'r> Turn<'r> {
    /// The tools that are called in it, by name.
    pub(super) fn calls(&self) -> impl Iterator<Item = &'r str> {
        self.content.iter().filter_map(|block| match block {
            Block::ToolUse { name, .. } => Some(*name),
            _ => None,
        })
    }
}

impl Writer<'_> {
    fn parts<'r>(&mut self, message: &'r Message<'_>, into: &mut Vec<Part<'r>>) -> Result<(), Unsupported> {
        for (part, content) in message.content.iter().enumerate() {
            match self.part(content, message.role) {
                Ok(part) => into.extend(part),
                Err(Refused(why)) => return Err(Unsupported { message: Some(message.at), part, why }),
            }
        }
        Ok(())
    }

    /// One part; `None` for what is left out: blank text, which is refused, and thinking of other makers or unsigned.
    fn part<'r>(&mut self, content: &'r Content<'_>, role: Role) -> Result<Option<Part<'r>>, Refused> {
        let (block, cache) = match content {
            Content::Text(text) if text.text.trim().is_empty() => {
                self.losses.lose_if(text.cache.is_some(), Parameter::CacheControl);
                return Ok(None);
            }
            Content::Text(text) => (Block::Text(Cow::Borrowed(&text.text)), text.cache.as_ref()),
            Content::Refusal(text) if text.trim().is_empty() => return Ok(None),
            Content::Refusal(text) => (Block::Text(Cow::Borrowed(text)), None),
            _ if role == Role::System => {
                return Err(Refused::new("the system prompt of a Bedrock provider is text"));
            }
            Content::Image(image) => (Block::Image(self.image(image)?), image.cache.as_ref()),
            Content::Document(document) => {
                (Block::Document(document::document(document, &mut self.names)?), document.cache.as_ref())
            }
            Content::Audio(_) => return Err(Refused::new("audio cannot be sent to a Bedrock provider")),
            Content::Reasoning(reasoning) => {
                let reasoning = self.reasoning(reasoning).map(Block::ReasoningContent);
                self.losses.lose_if(reasoning.is_none(), Parameter::Thought);
                return Ok(reasoning.map(|block| Part { block, cache: None }));
            }
            Content::Call(called) => {
                let name = tools::taken(&called.name).map_err(Refused)?;
                let (tool_use_id, input) = (call::id(&called.id), call::arguments(&called.input));
                (Block::ToolUse { tool_use_id, name, input }, None)
            }
            Content::Result(result) => (self.result(result)?, result.cache.as_ref()),
        };
        Ok(Some(Part { block, cache }))
    }

    /// Only what models of this maker have signed is believed.
    fn reasoning<'r>(&self, reasoning: &'r Reasoning<'_>) -> Option<wire::Reasoning<'r>> {
        let signature = reasoning.signature.as_ref()?;
        let value = match signature.maker {
            Maker::Anthropic if !matches!(self.family, Family::Claude(_)) => return None,
            Maker::Anthropic | Maker::Bedrock => signature.value.as_ref(),
            Maker::Google | Maker::OpenAi | Maker::Details => return None,
        };
        Some(match (reasoning.redacted, signature.maker) {
            (false, _) => wire::Reasoning::ReasoningText { text: &reasoning.text, signature: value },
            // Anthropic's text is the bytes that are in base64 here.
            (true, Maker::Anthropic) => {
                wire::Reasoning::RedactedContent(BASE64_STANDARD.encode(value).into())
            }
            (true, _) => wire::Reasoning::RedactedContent(value.into()),
        })
    }

    fn result<'r>(&mut self, result: &'r ToolResult<'_>) -> Result<Block<'r>, Refused> {
        let mut content = Vec::with_capacity(result.content.len());
        for output in &result.content {
            content.push(match output {
                Output::Text(text) if text.trim().is_empty() => continue,
                Output::Text(text) => wire::Output::Text(Cow::Borrowed(text)),
                // Nothing but an object is taken as JSON.
                Output::Json(json) if json.text().starts_with('{') => wire::Output::Json(json),
                Output::Json(json) => wire::Output::Text(json.text().into()),
                Output::Image(image) => wire::Output::Image(self.image(image)?),
                Output::Document(document) => {
                    wire::Output::Document(document::document(document, &mut self.names)?)
                }
            });
        }
        let marked = self.family.marks_errors();
        if result.error && !marked {
            say_error(&mut content);
        }
        let status = (result.error && marked).then_some("error");
        Ok(Block::ToolResult { tool_use_id: call::id(&result.id), content, status })
    }

    fn image<'r>(&mut self, image: &'r Image<'_>) -> Result<wire::Image<'r>, Refused> {
        self.losses.lose_if(image.detail.is_some(), Parameter::Detail);
        document::image(image)
    }

    /// Blocks with cache points where the client's markers are. A point directly behind documents is refused: it stands
    /// before them.
    fn blocks<'r>(&mut self, parts: Vec<Part<'r>>) -> Vec<Block<'r>> {
        let mut blocks = Vec::with_capacity(parts.len());
        // Behind the last block that is no document.
        let mut before_documents = 0;
        for Part { block, cache } in parts {
            let is_document = matches!(block, Block::Document(_));
            blocks.push(block);
            if !is_document {
                before_documents = blocks.len();
            }
            let Some(point) = cache.and_then(|marker| point(marker, self.family, self.losses)) else {
                continue;
            };
            match before_documents.checked_sub(1).and_then(|at| blocks.get(at)) {
                None => self.losses.lose(Parameter::CacheControl),
                Some(Block::CachePoint(_)) => {}
                Some(_) => {
                    blocks.insert(before_documents, Block::CachePoint(point));
                    before_documents += 1;
                }
            }
        }
        blocks
    }
}

/// The point that a marker stands for; `None` when the model has no cache.
pub(super) fn point(marker: &Json<'_>, family: Family, losses: &mut Losses) -> Option<CachePoint> {
    #[derive(Default, Deserialize)]
    struct Marker<'a> {
        #[serde(borrow)]
        ttl: Option<Cow<'a, str>>,
    }
    let marker: Marker<'_> = serde_json::from_str(marker.text()).unwrap_or_default();
    let hour = marker.ttl.as_deref() == Some("1h");
    let for_an_hour = hour && family.caches_for_an_hour();
    losses.lose_if(!family.caches() || for_an_hour != hour, Parameter::CacheControl);
    family.caches().then(|| CachePoint::new(for_an_hour))
}

/// Says in words that a tool has failed.
fn say_error(content: &mut Vec<wire::Output<'_>>) {
    match content.first_mut() {
        Some(wire::Output::Text(text)) => *text = Cow::Owned(format!("Error: {text}")),
        _ => content.insert(0, wire::Output::Text("Error:".into())),
    }
}
