//! The messages of a request. A turn of the user that holds results of tools becomes a message of role `tool` for each,
//! then one of the user with the rest; pictures and files out of results stand there, since `tool` holds text only.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::content::{self, Part};
use crate::{
    chat::{
        content::{Content, Output, ToolResult},
        loss::{Losses, Parameter, Unsupported},
        request::{Message as Turn, Role},
    },
    protocol::{
        json::compact,
        openai_chat::{egress::details, wire::ToolCall},
    },
};

/// The longest id of a call that OpenAI takes, in bytes.
const LONGEST_ID: usize = 40;

#[derive(Serialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub(super) enum Message<'a> {
    System {
        content: Parts<'a>,
    },
    User {
        content: Parts<'a>,
    },
    Assistant {
        content: Option<Parts<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        refusal: Option<Cow<'a, str>>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        reasoning_details: Vec<&'a RawValue>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<ToolCall<'a>>,
    },
    Tool {
        tool_call_id: Cow<'a, str>,
        content: String,
    },
}

/// One text stands alone, as everybody understands it.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Parts<'a> {
    One(Cow<'a, str>),
    Many(Vec<Part<'a>>),
}

impl<'a> Parts<'a> {
    /// Several texts stay apart: joined, the words on both sides of a seam would be one.
    fn of(mut parts: Vec<Part<'a>>) -> Self {
        match parts.as_mut_slice() {
            [] => Self::One(Cow::Borrowed("")),
            [Part::Text { text }] => Self::One(std::mem::take(text)),
            _ => Self::Many(parts),
        }
    }
}

/// All turns; `details`: whether there is a place for those of reasoning.
pub(super) fn messages<'a>(
    turns: &'a [Turn<'_>],
    details: bool,
    losses: &mut Losses,
) -> Result<Vec<Message<'a>>, Unsupported> {
    let mut out = Vec::with_capacity(turns.len());
    for turn in turns {
        let refuse = |part, why| Unsupported { message: Some(turn.at), part, why };
        match turn.role {
            Role::System => {
                out.push(Message::System { content: parts(&turn.content, Vec::new(), losses, refuse)? });
            }
            Role::User => user(turn, &mut out, losses, refuse)?,
            Role::Assistant => out.push(assistant(&turn.content, details, losses, refuse)?),
        }
    }
    Ok(out)
}

fn user<'a>(
    turn: &'a Turn<'_>,
    out: &mut Vec<Message<'a>>,
    losses: &mut Losses,
    refuse: impl Fn(usize, Cow<'static, str>) -> Unsupported,
) -> Result<(), Unsupported> {
    let mut attached = Vec::new();
    for (at, content) in turn.content.iter().enumerate() {
        if let Content::Result(result) = content {
            losses.lose_if(result.cache.is_some(), Parameter::CacheControl);
            out.push(Message::Tool {
                tool_call_id: id(&result.id),
                content: tool(result, &mut attached, losses).map_err(|why| refuse(at, why))?,
            });
        }
    }
    let rest = turn.content.iter().any(|content| !matches!(content, Content::Result(_)));
    // A turn without anything is a message all the same.
    if rest || !attached.is_empty() || turn.content.is_empty() {
        out.push(Message::User { content: parts(&turn.content, attached, losses, refuse)? });
    }
    Ok(())
}

/// What the tool said as text; what is no text goes to `attached`, behind the id of its call.
fn tool<'a>(
    result: &'a ToolResult<'_>,
    attached: &mut Vec<Part<'a>>,
    losses: &mut Losses,
) -> Result<String, Cow<'static, str>> {
    let mut said: Vec<Cow<'_, str>> = Vec::new();
    for output in &result.content {
        let part = match output {
            Output::Text(text) => {
                said.push(Cow::Borrowed(text));
                continue;
            }
            Output::Json(json) => {
                said.push(compact(json.text()));
                continue;
            }
            Output::Image(image) => content::image(image, losses)?,
            Output::Document(document) => content::document(document, losses)?,
        };
        attached.push(Part::text(format!("Output of the tool call {}:", id(&result.id)).into()));
        attached.push(part);
        said.push(Cow::Borrowed("The output is attached to the next message of the user."));
    }
    let said = said.join("\n");
    Ok(if result.error { format!("Error: {said}") } else { said })
}

/// All content but results, behind what is `attached`.
fn parts<'a>(
    contents: &'a [Content<'_>],
    mut attached: Vec<Part<'a>>,
    losses: &mut Losses,
    refuse: impl Fn(usize, Cow<'static, str>) -> Unsupported,
) -> Result<Parts<'a>, Unsupported> {
    for (at, content) in contents.iter().enumerate() {
        match content {
            Content::Result(_) | Content::Reasoning(_) => {}
            Content::Text(text) => {
                losses.lose_if(text.cache.is_some(), Parameter::CacheControl);
                attached.push(Part::text(Cow::Borrowed(&text.text)));
            }
            Content::Refusal(text) => attached.push(Part::text(Cow::Borrowed(text))),
            Content::Image(image) => {
                attached.push(content::image(image, losses).map_err(|why| refuse(at, why))?);
            }
            Content::Document(document) => {
                attached.push(content::document(document, losses).map_err(|why| refuse(at, why))?);
            }
            Content::Audio(audio) => attached.push(content::audio(audio).map_err(|why| refuse(at, why))?),
            Content::Call(_) => return Err(refuse(at, "a tool call is the assistant's to make".into())),
        }
    }
    Ok(Parts::of(attached))
}

fn assistant<'a>(
    contents: &'a [Content<'_>],
    details: bool,
    losses: &mut Losses,
    refuse: impl Fn(usize, Cow<'static, str>) -> Unsupported,
) -> Result<Message<'a>, Unsupported> {
    let (mut said, mut declined, mut tool_calls) = (Vec::new(), None, Vec::new());
    let mut reasoning_details = Vec::new();
    for (at, content) in contents.iter().enumerate() {
        match content {
            Content::Text(text) => {
                losses.lose_if(text.cache.is_some(), Parameter::CacheControl);
                said.push(Part::text(Cow::Borrowed(&text.text)));
            }
            Content::Refusal(text) => append(&mut declined, text),
            Content::Call(call) => tool_calls.push(ToolCall::of(call, id(&call.id), false)),
            Content::Reasoning(reasoning) => {
                let before = reasoning_details.len();
                if let Some(signature) = reasoning.signature.as_ref().filter(|_| details) {
                    details::read(signature, &mut reasoning_details);
                }
                losses.lose_if(reasoning_details.len() == before, Parameter::Thought);
            }
            other => {
                let why = format!("{} in an assistant's turn cannot be sent to this provider", other.kind());
                return Err(refuse(at, why.into()));
            }
        }
    }
    if said.len() > 1 {
        said.retain(|part| !part.is_empty());
    }
    let something = !said.is_empty() || (declined.is_none() && tool_calls.is_empty());
    let content = something.then(|| Parts::of(said));
    Ok(Message::Assistant { content, refusal: declined, reasoning_details, tool_calls })
}

fn append<'a>(to: &mut Option<Cow<'a, str>>, text: &'a str) {
    match to {
        Some(before) => before.to_mut().push_str(text),
        None => *to = Some(Cow::Borrowed(text)),
    }
}

/// An id that OpenAI takes: one that is too long is cut, and a hash of the whole keeps it apart from others. The same for
/// the call and its result.
fn id(id: &str) -> Cow<'_, str> {
    if id.len() <= LONGEST_ID {
        return Cow::Borrowed(id);
    }
    // FNV-1a, 64 bits: <https://datatracker.ietf.org/doc/html/draft-eastlake-fnv>.
    let hash = id
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let kept: String = id.chars().filter(char::is_ascii_graphic).take(LONGEST_ID - 17).collect();
    Cow::Owned(format!("{kept}_{hash:016x}"))
}
