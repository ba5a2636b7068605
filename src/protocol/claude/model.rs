//! What a model of Anthropic's takes, by the version in its name: `claude-opus-4-7`, `claude-3-5-haiku-20241022`,
//! `claude-sonnet-4.5@eu`. Of a name without one nothing is known; it is sent what the caller said.
//!
//! Sources: the guides on extended and adaptive thinking, and the notes on migrating to Claude 4.1, 4.6 and 4.7.

/// A model by its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::protocol) struct Model {
    /// Major and minor.
    version: Option<(u8, u8)>,
}

impl Model {
    /// The model of this name.
    pub(in crate::protocol) fn named(name: &str) -> Self {
        let Some(at) = name.find("claude") else { return Self { version: None } };
        let parts = || name[at..].split(['-', '.', '@', ':']);
        // Bedrock ends its names with a revision, `-v1:0`, which only of the oldest is the version: `claude-v2:1`.
        let is_revision = |part: &&str| part.strip_prefix('v').is_some_and(|rest| rest.parse::<u8>().is_ok());
        let oldest = parts().find(|part| !matches!(*part, "claude" | "instant")).filter(is_revision);
        let parts = parts().take_while(|part| oldest.is_some() || !is_revision(part));
        // A date is no number here: it does not fit.
        let mut numbers = parts.map(|part| part.trim_start_matches('v').parse::<u8>().ok());
        let major = numbers.by_ref().find_map(|number| number);
        Self { version: major.map(|major| (major, numbers.next().flatten().unwrap_or(0))) }
    }

    /// Whether it can think.
    pub(in crate::protocol) fn thinks(self) -> bool {
        self.since(3, 7).unwrap_or(true)
    }

    /// Whether it can be told to think as it likes.
    pub(in crate::protocol) fn adapts(self) -> bool {
        self.since(4, 6).unwrap_or(true)
    }

    /// Whether it takes a budget for its thinking.
    pub(in crate::protocol) fn takes_budget(self) -> bool {
        !self.since(4, 7).unwrap_or(false)
    }

    /// Whether it takes `temperature`, `top_p` and `top_k` at all.
    pub(in crate::protocol) fn is_sampled(self) -> bool {
        !self.since(4, 7).unwrap_or(false)
    }

    /// Whether it takes both.
    pub(in crate::protocol) fn takes_temperature_with_top_p(self) -> bool {
        !self.since(4, 1).unwrap_or(false)
    }

    /// Whether its tools may be strict.
    pub(in crate::protocol) fn is_strict(self) -> bool {
        self.since(4, 1).unwrap_or(true)
    }

    /// Whether it keeps prompts in a cache.
    pub(in crate::protocol) fn caches(self) -> bool {
        self.since(3, 5).unwrap_or(true)
    }

    /// Whether it keeps them for an hour if asked to, not for five minutes only.
    pub(in crate::protocol) fn caches_for_an_hour(self) -> bool {
        self.since(4, 5).unwrap_or(true)
    }

    fn since(self, major: u8, minor: u8) -> Option<bool> {
        self.version.map(|version| version >= (major, minor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_found_in_every_kind_of_name() {
        for (name, version) in [
            ("claude-opus-4-7", Some((4, 7))),
            ("claude-opus-4-20250514", Some((4, 0))),
            ("claude-sonnet-4-5-20250929", Some((4, 5))),
            ("claude-3-5-haiku-20241022", Some((3, 5))),
            ("anthropic/claude-sonnet-4.5@eu", Some((4, 5))),
            ("claude-opus-5", Some((5, 0))),
            ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", Some((3, 7))),
            ("eu.anthropic.claude-sonnet-4-20250514-v1:0", Some((4, 0))),
            ("anthropic.claude-v2", Some((2, 0))),
            ("anthropic.claude-v2:1", Some((2, 1))),
            ("anthropic.claude-instant-v1", Some((1, 0))),
            ("anthropic.claude-3-haiku-20240307-v1:0", Some((3, 0))),
            // A name that is not known yet: its revision is no version.
            ("us.anthropic.claude-next-v1:0", None),
            ("claude", None),
            ("m-4-7", None),
        ] {
            assert_eq!(Model::named(name), Model { version }, "{name}");
        }
    }

    #[test]
    fn newer_models_take_less() {
        let (old, new, unknown) =
            (Model::named("claude-sonnet-4"), Model::named("claude-opus-4-8"), Model::named("x"));
        assert!(old.takes_budget() && !old.adapts() && old.is_sampled() && !old.is_strict());
        assert!(!new.takes_budget() && new.adapts() && !new.is_sampled() && new.is_strict());
        assert!(unknown.takes_budget() && unknown.adapts() && unknown.is_sampled() && unknown.is_strict());
        assert!(old.thinks() && unknown.thinks() && Model::named("us.anthropic.claude-3-7-sonnet").thinks());
        for name in
            ["claude-3-5-sonnet-20241022", "claude-3-opus", "claude-instant-1.2", "anthropic.claude-v2:1"]
        {
            assert!(!Model::named(name).thinks(), "{name}");
        }
        assert!(old.caches() && !old.caches_for_an_hour() && unknown.caches_for_an_hour());
    }
}
