//! What the models of Bedrock take apart from what all of them do, by the maker in the name: `us.anthropic.claude-…`,
//! `amazon.nova-…`.
//!
//! Sources: "Supported models and model features" of Converse, the guides on prompt caching and on structured outputs, and
//! the notes at `ToolChoice` and `ToolResultBlock.status` in the API reference.

use crate::protocol::claude::model::Model;

/// A family of models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Anthropic's. Also an ARN that names no model, as that of an application's inference profile: nothing is known of it
    /// then, and it is sent what the caller said.
    Claude(Model),
    /// Amazon's Nova.
    Nova,
    /// Mistral's.
    Mistral,
    /// Open models whose answers can be bound to a schema.
    Structured,
    /// Any other.
    Plain,
}

/// Makers of open models whose answers can be bound to a schema.
const STRUCTURED: [&str; 8] =
    ["openai.", "qwen.", "deepseek.", "moonshot", "minimax.", "nvidia.", "google.", "zai."];
/// Parts of other names.
const PLAIN: [&str; 6] = ["meta.", "llama", "titan", "cohere.", "ai21.", "writer."];

impl Family {
    /// The family of the model of this name.
    pub(super) fn of(name: &str) -> Self {
        let is = |part: &&str| name.contains(*part);
        match name {
            _ if name.contains("claude") => Self::Claude(Model::named(name)),
            _ if name.contains("nova-") => Self::Nova,
            _ if name.contains("mistral") => Self::Mistral,
            _ if STRUCTURED.iter().any(is) => Self::Structured,
            _ if name.starts_with("arn:") && !PLAIN.iter().any(is) => Self::Claude(Model::named(name)),
            _ => Self::Plain,
        }
    }

    /// Whether it takes points of a prompt cache among messages.
    pub(super) fn caches(self) -> bool {
        match self {
            Self::Claude(model) => model.caches(),
            other => other == Self::Nova,
        }
    }

    /// Whether it takes one behind tools.
    pub(super) fn caches_tools(self) -> bool {
        matches!(self, Self::Claude(model) if model.caches())
    }

    /// Whether a cache may be kept for an hour.
    pub(super) fn caches_for_an_hour(self) -> bool {
        matches!(self, Self::Claude(model) if model.caches_for_an_hour())
    }

    /// Whether an answer, and the input of a tool, can be bound to a schema.
    pub(super) fn is_structured(self) -> bool {
        match self {
            Self::Claude(model) => model.is_strict(),
            other => matches!(other, Self::Mistral | Self::Structured),
        }
    }

    /// Whether it can be made to call some tool.
    pub(super) fn must_call(self) -> bool {
        matches!(self, Self::Claude(_) | Self::Nova | Self::Mistral)
    }

    /// Whether it can be made to call one certain tool.
    pub(super) fn must_call_this(self) -> bool {
        matches!(self, Self::Claude(_) | Self::Nova)
    }

    /// Whether a tool's result can be marked as an error.
    pub(super) fn marks_errors(self) -> bool {
        matches!(self, Self::Claude(_) | Self::Nova)
    }

    /// Whether both may be set.
    pub(super) fn takes_temperature_with_top_p(self) -> bool {
        !matches!(self, Self::Claude(model) if !model.takes_temperature_with_top_p())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_maker_is_found_in_every_kind_of_name() {
        let claude = |name| matches!(Family::of(name), Family::Claude(_));
        assert!(claude("us.anthropic.claude-sonnet-4-5-20250929-v1:0") && claude("anthropic.claude-v2:1"));
        assert!(claude("arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-sonnet-4-6"));
        assert!(claude("arn:aws:bedrock:us-east-1:1:application-inference-profile/abc"));
        for (name, family) in [
            ("us.amazon.nova-2-lite-v1:0", Family::Nova),
            ("mistral.mistral-large-2407-v1:0", Family::Mistral),
            ("openai.gpt-oss-120b-1:0", Family::Structured),
            ("moonshot.kimi-k2-thinking", Family::Structured),
            ("amazon.titan-text-lite-v1", Family::Plain),
            ("arn:aws:bedrock:us-east-1:1:inference-profile/us.meta.llama4-scout", Family::Plain),
            ("something", Family::Plain),
        ] {
            assert_eq!(Family::of(name), family, "{name}");
        }
    }

    #[test]
    fn what_is_not_known_is_let_through() {
        let unknown = Family::of("arn:aws:bedrock:eu-west-1:1:application-inference-profile/x");
        assert!(unknown.caches_tools() && unknown.caches_for_an_hour() && unknown.is_structured());
        assert!(unknown.must_call_this() && unknown.takes_temperature_with_top_p());
        let old = Family::of("anthropic.claude-3-haiku-20240307-v1:0");
        assert!(!old.caches() && !old.is_structured() && old.marks_errors());
    }
}
