//! Parts of content as Google writes them, in requests and in answers alike. Only for writing.

use std::borrow::Cow;

use base64::{
    Engine,
    prelude::{BASE64_STANDARD as STANDARD, BASE64_STANDARD_NO_PAD as UNPADDED},
};
use serde::Serialize;

use crate::{
    chat::{
        content::{Call, Reasoning},
        json::Json,
        signature::{Maker, Signature},
    },
    protocol::call::arguments,
};

/// A turn.
#[derive(Serialize)]
pub(super) struct Content<'r> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) parts: Vec<Part<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<&'static str>,
}

/// A part: one kind of data, and what is said about it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part<'r> {
    #[serde(flatten)]
    pub(super) data: Payload<'r>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) thought: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thought_signature: Option<Cow<'r, str>>,
}

/// What a part holds.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Payload<'r> {
    Text(Cow<'r, str>),
    #[serde(rename_all = "camelCase")]
    InlineData {
        mime_type: &'r str,
        data: &'r str,
    },
    #[serde(rename_all = "camelCase")]
    FileData {
        mime_type: Cow<'r, str>,
        file_uri: &'r str,
    },
    FunctionCall {
        id: &'r str,
        name: &'r str,
        args: Json<'r>,
    },
    FunctionResponse {
        id: &'r str,
        name: &'r str,
        response: Json<'r>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        parts: Vec<Part<'r>>,
    },
}

/// Before an encrypted piece of reasoning of another maker, so that it comes back as one: Google has none of these. No
/// maker's signature begins like this.
const REDACTED: &str = "redacted:";

impl<'r> From<Payload<'r>> for Part<'r> {
    fn from(data: Payload<'r>) -> Self {
        Self { data, thought: false, thought_signature: None }
    }
}

impl<'r> Part<'r> {
    /// Plain text.
    pub(super) fn text(text: impl Into<Cow<'r, str>>) -> Self {
        Payload::Text(text.into()).into()
    }

    /// A call.
    pub(super) fn call(call: &'r Call<'_>) -> Self {
        Payload::FunctionCall { id: &call.id, name: &call.name, args: arguments(&call.input) }.into()
    }

    /// Thinking.
    pub(super) fn thought(text: impl Into<Cow<'r, str>>, thought_signature: Option<Cow<'r, str>>) -> Self {
        Self { data: Payload::Text(text.into()), thought: true, thought_signature }
    }

    /// The same with a signature.
    pub(super) fn signed(self, thought_signature: Option<Cow<'r, str>>) -> Self {
        Self { thought_signature, ..self }
    }
}

/// How a marked signature begins in Base64: six bytes of the mark are eight characters.
const MARKED: &str = "bmV4dXM6";

/// The signature of reasoning, as it stands in a field of Google's. That holds bytes, and Google's clients refuse what is
/// no Base64: another maker's signature is written so, mark and all.
pub(super) fn mark(signature: &Signature<'_>, redacted: bool) -> String {
    if signature.maker == Maker::Google {
        return signature.value.clone().into_owned();
    }
    let hidden = if redacted { REDACTED } else { "" };
    let value = format!("{hidden}{}", signature.value);
    STANDARD.encode(Signature::new(signature.maker, value).marked(Maker::Google).as_bytes())
}

/// A signature out of a field of Google's. Clients may write the bytes anew, in the other alphabet and without padding.
pub(super) fn read_mark(field: Cow<'_, str>) -> Signature<'_> {
    if field.starts_with(MARKED) {
        let standard = field.trim_end_matches('=').replace('-', "+").replace('_', "/");
        let decoded = UNPADDED.decode(standard).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        if let Some(read) = decoded.map(|text| Signature::read(Maker::Google, text.into()))
            && read.maker != Maker::Google
        {
            return read;
        }
    }
    Signature::new(Maker::Google, field)
}

/// Reasoning out of its text and that field.
pub(super) fn unmark<'a>(text: Cow<'a, str>, field: Option<Cow<'a, str>>) -> Reasoning<'a> {
    let mut signature = field.map(read_mark);
    let mut redacted = false;
    if let Some(Signature { maker, value }) = &mut signature
        && *maker != Maker::Google
        && let Some(inner) = value.strip_prefix(REDACTED).map(str::to_owned)
    {
        (*value, redacted) = (inner.into(), true);
    }
    Reasoning { text, signature, redacted }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasoning_of_any_maker_comes_back_as_what_it_was() {
        for maker in [Maker::Anthropic, Maker::OpenAi, Maker::Bedrock, Maker::Details, Maker::Google] {
            for redacted in [false, maker != Maker::Google] {
                let signature = Signature::new(maker, "EqQB+/=");
                let field = mark(&signature, redacted);
                let again = field.replace('+', "-").replace('/', "_");
                assert!(maker == Maker::Google || STANDARD.decode(&field).is_ok(), "{field}");
                let read = unmark("".into(), Some(field.into()));
                let expected = Reasoning { text: "".into(), signature: Some(signature), redacted };
                assert_eq!(read, expected);
                if maker != Maker::Google {
                    assert_eq!(unmark("".into(), Some(again.trim_end_matches('=').into())), expected);
                }
            }
        }
        let odd = read_mark("bmV4dXM6%".into());
        assert_eq!(odd, Signature::new(Maker::Google, "bmV4dXM6%"));
    }
}
