//! Google's signatures in the history of a client whose format signs thinking alone. There each stands in a block without
//! thinking: right before the call that it is of, or right behind the text, where no call follows.

use crate::chat::{
    content::{Content, Reasoning, Text},
    signature::Maker,
};

/// Adds to a turn of the model's; a signature goes back to what it is of.
pub(in crate::protocol) fn push<'a>(contents: &mut Vec<Content<'a>>, mut content: Content<'a>) {
    if let Content::Call(call) = &mut content {
        call.signature = match contents.last_mut() {
            Some(Content::Reasoning(reasoning)) if is_of_google(reasoning) => {
                let signature = reasoning.signature.take();
                contents.pop();
                signature
            }
            Some(Content::Text(text)) => text.signature.take(),
            _ => None,
        };
    }
    if let Content::Reasoning(reasoning) = &mut content
        && is_of_google(reasoning)
        && let Some(Content::Text(Text { signature: signature @ None, .. })) = contents.last_mut()
    {
        // Kept until a call takes it: the text has it for good if none follows.
        *signature = reasoning.signature.take();
        return;
    }
    contents.push(content);
}

fn is_of_google(reasoning: &Reasoning<'_>) -> bool {
    let signature = reasoning.signature.as_ref();
    reasoning.text.is_empty() && signature.is_some_and(|signature| signature.maker == Maker::Google)
}
