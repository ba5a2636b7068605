//! Writes a whole answer as a client of Responses expects it.

use std::borrow::Cow;

use super::{
    item::{self, Answer, Called, End, Item, Logprobs, Part},
    names::Names,
    repeated::Repeated,
};
use crate::{
    chat::{
        content::{Call, Content, Input, Media, Reasoning},
        response::{Choice, Response},
        signature::{Maker, Signature},
    },
    protocol::{call::free_text, media, translate::Asked},
};

/// The items of an answer as they are put together.
struct Output<'r> {
    unique: &'r str,
    names: &'r Names,
    items: Vec<Item<'r>>,
}

/// The answer to a request. An answer of several choices, which nobody can ask for in this dialect, gives its first.
pub fn write(response: &Response<'_>, asked: &Asked<'_>) -> Vec<u8> {
    let nothing = Choice::default();
    let choice = response.choices.first().unwrap_or(&nothing);
    let repeated = Repeated::of(asked.body);
    let names = repeated.names();
    let refused = choice.content.iter().any(|content| matches!(content, Content::Refusal(_)));
    let end = End::of(choice.stop(), refused);
    let mut output = Output { unique: asked.unique, names: &names, items: Vec::new() };
    choice.content.iter().for_each(|content| output.add(content));
    output.end(choice, end);
    let id = format!("resp_{}", asked.unique);
    let answer = Answer {
        created_at: response.created.unwrap_or(asked.now),
        service_tier: response.service_tier.as_deref(),
        ..Answer::new(&id, asked.model, end, output.items, &repeated)
    };
    // Strings, numbers and JSON that was read before always serialise.
    serde_json::to_vec(&answer.with_usage(response.usage)).unwrap_or_default()
}

impl<'r> Output<'r> {
    fn add(&mut self, content: &'r Content<'_>) {
        match content {
            Content::Text(text) => {
                self.say(text.text.as_ref());
                text.signature.iter().for_each(|signature| self.signature(signature));
            }
            Content::Refusal(refusal) => {
                let part = Part::Refusal { refusal: Cow::Borrowed(refusal) };
                self.message(part);
            }
            Content::Reasoning(reasoning) => self.reasoning(reasoning),
            Content::Call(call) => {
                call.signature.iter().for_each(|signature| self.signature(signature));
                self.call(call);
            }
            Content::Image(image) => self.image(&image.media),
            // No model answers with these in a format that is read here.
            Content::Document(_) | Content::Audio(_) | Content::Result(_) => {}
        }
    }

    fn id(&self, prefix: &str) -> String {
        item::id(prefix, self.unique, u32::try_from(self.items.len()).unwrap_or(u32::MAX))
    }

    fn message(&mut self, part: Part<'r>) {
        let id = self.id("msg");
        self.items.push(Item::Message { id, status: "completed", role: "assistant", content: vec![part] });
    }

    /// Text; pieces that follow one another are one message, as in a stream.
    fn say(&mut self, more: impl Into<Cow<'r, str>>) {
        let more = more.into();
        if more.is_empty() {
            return;
        }
        if let Some(Item::Message { content, .. }) = self.items.last_mut()
            && let Some(Part::OutputText { text, .. }) = content.last_mut()
        {
            return text.to_mut().push_str(&more);
        }
        self.message(Part::text(more));
    }

    /// An image: its bytes, or words that tell where it is.
    fn image(&mut self, media: &'r Media<'_>) {
        match media {
            Media::Data { base64, .. } => {
                let (id, status) = (self.id("ig"), "completed");
                self.items.push(Item::ImageGenerationCall { id, status, result: Some(base64) });
            }
            Media::Url(_) | Media::Id(_) => self.say(media::markdown(media)),
        }
    }

    /// A summary tells that there is thinking even where it is empty: what is redacted has none.
    fn reasoning(&mut self, reasoning: &'r Reasoning<'_>) {
        let encrypted_content = reasoning.signature.as_ref().map(|signature| signature.marked(Maker::OpenAi));
        let summary = if reasoning.redacted && reasoning.text.is_empty() {
            Vec::new()
        } else {
            vec![Part::SummaryText { text: Cow::Borrowed(&reasoning.text) }]
        };
        if encrypted_content.is_some() || !reasoning.text.is_empty() {
            self.items.push(Item::Reasoning { id: self.id("rs"), summary, encrypted_content });
        }
    }

    /// A signature that is not of reasoning (Google signs calls and texts), in an item without any.
    fn signature(&mut self, signature: &'r Signature<'_>) {
        let encrypted_content = Some(signature.marked(Maker::OpenAi));
        self.items.push(Item::Reasoning { id: self.id("rs"), summary: Vec::new(), encrypted_content });
    }

    fn call(&mut self, call: &'r Call<'_>) {
        let known = self.names.of(&call.name);
        let called = Called {
            call_id: Cow::Borrowed(&call.id),
            name: Cow::Borrowed(known.map_or(&call.name, |known| &known.name)),
            namespace: known.and_then(|known| known.namespace.as_deref()).map(Cow::Borrowed),
        };
        let status = "completed";
        self.items.push(match &call.input {
            Input::Text(input) => {
                Item::CustomToolCall { id: self.id("ctc"), status, input: Cow::Borrowed(input), called }
            }
            Input::Json(json) if known.is_some_and(|known| known.custom) => Item::CustomToolCall {
                id: self.id("ctc"),
                status,
                input: free_text(Cow::Borrowed(json)),
                called,
            },
            Input::Json(json) => {
                Item::FunctionCall { id: self.id("fc"), status, arguments: Cow::Borrowed(json), called }
            }
        });
    }

    /// What is known once all items are there: log probabilities, and that the last one is cut off.
    fn end(&mut self, choice: &'r Choice<'_>, end: End) {
        let mut parts = self.items.iter_mut().filter_map(|item| match item {
            Item::Message { content, .. } => content.first_mut(),
            _ => None,
        });
        if let (Some(Part::OutputText { logprobs, .. }), Some(json)) = (parts.next(), &choice.logprobs) {
            *logprobs = Logprobs::read(json.text());
        }
        if let Some(
            Item::Message { status, .. }
            | Item::FunctionCall { status, .. }
            | Item::CustomToolCall { status, .. },
        ) = self.items.last_mut()
        {
            *status = end.of_item();
        }
    }
}

#[cfg(test)]
mod tests;
