//! Signatures on reasoning, calls and text: opaque to us, meaningful to one maker of models alone.
//!
//! A wire format has a field for the signatures of its own maker. To carry one of another maker through it, the field
//! holds [`Signature::marked`]; the client sends it back, and [`Signature::read`] tells whose it is.

use std::borrow::Cow;

/// Whose signature it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Maker {
    /// Anthropic, also through Bedrock and Vertex: `signature` of thinking, `data` of redacted thinking.
    Anthropic,
    /// Google: `thoughtSignature`.
    Google,
    /// OpenAI: `encrypted_content` of reasoning items.
    OpenAi,
    /// Models of others on Bedrock.
    Bedrock,
    /// Whoever stands behind an OpenAI-compatible server (OpenRouter): its list `reasoning_details`, as JSON.
    Details,
}

/// A signature and its maker.
#[derive(Clone, Debug, PartialEq)]
pub struct Signature<'a> {
    /// Who can read it.
    pub maker: Maker,
    /// As the maker wrote it.
    pub value: Cow<'a, str>,
}

/// Before a signature in a field of another maker. No maker's signature begins like this: theirs are base64.
const MARK: &str = "nexus:";

impl Maker {
    const ALL: [Self; 5] = [Self::Anthropic, Self::Google, Self::OpenAi, Self::Bedrock, Self::Details];

    /// Its name in a marked signature.
    pub fn name(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::Google => "google",
            Self::OpenAi => "openai",
            Self::Bedrock => "bedrock",
            Self::Details => "details",
        }
    }
}

impl<'a> Signature<'a> {
    /// A signature of this maker.
    pub fn new(maker: Maker, value: impl Into<Cow<'a, str>>) -> Self {
        Self { maker, value: value.into() }
    }

    /// What stands in a field that belongs to `owner`: its own signature as it is, another's with its mark.
    pub fn marked(&self, owner: Maker) -> Cow<'_, str> {
        if self.maker == owner {
            Cow::Borrowed(&self.value)
        } else {
            Cow::Owned(format!("{MARK}{}:{}", self.maker.name(), self.value))
        }
    }

    /// Reads a field that belongs to `owner`.
    pub fn read(owner: Maker, text: Cow<'a, str>) -> Self {
        let marked = text.strip_prefix(MARK).and_then(|rest| {
            let (name, value) = rest.split_once(':')?;
            let maker = Maker::ALL.into_iter().find(|maker| maker.name() == name)?;
            Some(Self::new(maker, value.to_owned()))
        });
        marked.unwrap_or(Self { maker: owner, value: text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_comes_back_through_any_field() {
        for maker in Maker::ALL {
            for owner in Maker::ALL {
                let signature = Signature::new(maker, "EqQB+/=:x");
                let field = signature.marked(owner).into_owned();
                assert_eq!(Signature::read(owner, field.into()), signature, "{maker:?} {owner:?}");
            }
        }
    }

    #[test]
    fn a_field_without_a_mark_is_its_owners() {
        let read = Signature::read(Maker::Anthropic, "EqQB".into());
        assert_eq!(read, Signature::new(Maker::Anthropic, "EqQB"));
        let odd = Signature::read(Maker::Google, "nexus:nobody:x".into());
        assert_eq!(odd, Signature::new(Maker::Google, "nexus:nobody:x"));
    }
}
