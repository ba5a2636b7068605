//! What Google's models differ in, told by their names. A model that is not known is taken for a current one.
//! <https://ai.google.dev/gemini-api/docs/thinking>

/// A kind of model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Model {
    generation: Generation,
    pro: bool,
    lite: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Generation {
    /// Gemini 1 and 2.0, Gemma: they do not think.
    Before,
    /// Gemini 2.5: a budget in tokens.
    Budget,
    /// Gemini 3 and later: levels.
    Level,
}

impl Model {
    /// By its name, with or without a path before it.
    pub(super) fn named(name: &str) -> Self {
        let name = name.rsplit('/').next().unwrap_or_default();
        let begins = |starts: &[&str]| starts.iter().any(|start| name.starts_with(start));
        let generation = if begins(&["gemini-1", "gemini-2.0", "gemma"]) {
            Generation::Before
        } else if begins(&["gemini-3", "gemini-4"]) {
            Generation::Level
        } else {
            Generation::Budget
        };
        Self { generation, pro: name.contains("pro"), lite: name.contains("lite") }
    }

    /// Whether it thinks.
    pub(super) fn thinks(self) -> bool {
        self.generation != Generation::Before
    }

    /// Whether it is told how much by a level.
    pub(super) fn takes_level(self) -> bool {
        self.generation == Generation::Level
    }

    /// Whether it knows the levels `minimal` and `medium`.
    pub(super) fn takes_every_level(self) -> bool {
        !self.pro
    }

    /// Whether thinking can be switched off.
    pub(super) fn can_be_silent(self) -> bool {
        self.generation == Generation::Budget && !self.pro
    }

    /// The smallest and the largest budget, in tokens.
    pub(super) fn budgets(self) -> (u64, u64) {
        match self {
            Self { pro: true, .. } => (128, 32_768),
            Self { lite: true, .. } => (512, 24_576),
            _ => (1, 24_576),
        }
    }

    /// Whether media may stand within the result of a tool; else they stand behind it.
    pub(super) fn takes_media_in_results(self) -> bool {
        self.generation == Generation::Level
    }
}
