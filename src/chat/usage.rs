//! Tokens as a provider reports them, in OpenAI's arithmetic: the input includes what was cached, the output includes
//! reasoning. Every wire format reads its own spelling.

/// A usage report. A count that is absent, negative or no whole number is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Prompt tokens, cached ones included.
    pub input: Option<u64>,
    /// Completion tokens, reasoning included; absent for embeddings.
    pub output: Option<u64>,
    /// Of the input: read from a prompt cache.
    pub cached: Option<u64>,
    /// Of the input: written into a prompt cache.
    pub cache_write: Option<u64>,
    /// Of the output: reasoning.
    pub reasoning: Option<u64>,
}

impl Usage {
    /// Takes in a later report of the same answer: each count that it has replaces the earlier one, the others stay.
    pub fn update(&mut self, later: Self) {
        self.input = later.input.or(self.input);
        self.output = later.output.or(self.output);
        self.cached = later.cached.or(self.cached);
        self.cache_write = later.cache_write.or(self.cache_write);
        self.reasoning = later.reasoning.or(self.reasoning);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_report_replaces_what_it_says_and_nothing_else() {
        let mut usage = Usage { input: Some(9), output: Some(1), ..Usage::default() };
        usage.update(Usage { output: Some(7), cached: Some(0), ..Usage::default() });
        assert_eq!(usage, Usage { input: Some(9), output: Some(7), cached: Some(0), ..Usage::default() });
    }
}
