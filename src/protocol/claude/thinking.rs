//! How much the model is to think, and how long its answer may be: a budget must be smaller than `max_tokens`. Tokens.

use serde::Serialize;

use super::model::Model;
use crate::chat::{
    loss::Losses,
    request::{Amount, Effort, Request},
};

/// `thinking` of a request.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(in crate::protocol) enum Thinking {
    Adaptive {
        #[serde(skip_serializing_if = "Option::is_none")]
        display: Option<&'static str>,
    },
    Enabled {
        budget_tokens: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        display: Option<&'static str>,
    },
    Disabled,
}

/// What is sent.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::protocol) struct Plan {
    pub(in crate::protocol) max_tokens: u64,
    pub(in crate::protocol) thinking: Option<Thinking>,
    /// Under `output_config`.
    pub(in crate::protocol) effort: Option<&'static str>,
}

/// The smallest budget that is taken.
const LEAST: u64 = 1024;

impl Plan {
    /// `default_max` is the length of an answer where the client gave none. `thinks_in_turn`: the model's last turn begins
    /// with thinking, or has no calls whose results follow.
    pub(in crate::protocol) fn new(
        request: &Request<'_>,
        model: Model,
        default_max: u64,
        thinks_in_turn: bool,
        losses: &mut Losses,
    ) -> Self {
        let given = request.sampling.max_tokens;
        let silent = Self { max_tokens: given.unwrap_or(default_max), thinking: None, effort: None };
        let Some((reasoning, amount)) =
            request.reasoning.as_ref().and_then(|reasoning| Some((reasoning, reasoning.amount?)))
        else {
            return silent;
        };
        if !model.thinks() {
            losses.lose_if(amount != Amount::Off, reasoning.parameter());
            return silent;
        }
        let budget = match amount {
            // The newest models refuse the word; they do not think unless told to.
            Amount::Off if model.takes_budget() => {
                return Self { thinking: Some(Thinking::Disabled), ..silent };
            }
            Amount::Off => return silent,
            Amount::Dynamic if model.adapts() => return silent.adaptive(reasoning.shown, None, given),
            Amount::Effort(effort) if !model.takes_budget() => {
                return silent.adaptive(reasoning.shown, Some(effort), given);
            }
            Amount::Budget(budget) if !model.takes_budget() => {
                return silent.adaptive(reasoning.shown, Some(Effort::of_budget(budget)), given);
            }
            Amount::Dynamic => Effort::Medium.budget(),
            Amount::Effort(effort) => effort.budget(),
            Amount::Budget(budget) => budget.max(LEAST),
        };
        let max_tokens = given.unwrap_or_else(|| budget.saturating_add(default_max));
        let budget_tokens = given.map_or(budget, |given| amount.within(budget, given).max(LEAST));
        if budget_tokens >= max_tokens || !thinks_in_turn {
            losses.lose(reasoning.parameter());
            return silent;
        }
        // What is thought is shown by itself.
        let display = (reasoning.shown == Some(false)).then_some("omitted");
        Self { max_tokens, thinking: Some(Thinking::Enabled { budget_tokens, display }), effort: None }
    }

    /// Whether the model thinks.
    pub(in crate::protocol) fn is_on(&self) -> bool {
        matches!(self.thinking, Some(Thinking::Adaptive { .. } | Thinking::Enabled { .. }))
    }

    /// What is thought counts towards the length of the answer: where none was given there is room for both.
    fn adaptive(self, shown: Option<bool>, effort: Option<Effort>, given: Option<u64>) -> Self {
        let display = shown.map(|shown| if shown { "summarized" } else { "omitted" });
        let room = effort.unwrap_or(Effort::Medium).budget();
        let max_tokens = given.unwrap_or_else(|| self.max_tokens.saturating_add(room));
        Self { max_tokens, thinking: Some(Thinking::Adaptive { display }), effort: effort.map(word) }
    }
}

/// Anthropic's word for an effort.
fn word(effort: Effort) -> &'static str {
    match effort {
        Effort::Minimal | Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
        Effort::Highest => "max",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::request::{Sampling, Thinking as Asked};

    fn plan(model: &str, amount: Amount, max_tokens: Option<u64>) -> (Plan, bool) {
        let reasoning = Some(Asked { amount: Some(amount), ..Asked::default() });
        let sampling = Sampling { max_tokens, ..Sampling::default() };
        let (request, mut losses) =
            (Request { reasoning, sampling, ..Request::default() }, Losses::default());
        let plan = Plan::new(&request, Model::named(model), 4096, true, &mut losses);
        (plan, losses.iter().count() > 0)
    }

    #[track_caller]
    fn budget(amount: Amount, max_tokens: Option<u64>) -> (u64, u64) {
        match plan("claude-sonnet-4-5", amount, max_tokens) {
            (Plan { max_tokens, thinking: Some(Thinking::Enabled { budget_tokens, .. }), .. }, false) => {
                (budget_tokens, max_tokens)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_budget_is_below_the_length_of_the_answer() {
        assert_eq!(budget(Amount::Effort(Effort::High), None), (24_576, 28_672));
        assert_eq!(budget(Amount::Effort(Effort::High), Some(10_000)), (7_500, 10_000));
        assert_eq!(budget(Amount::Effort(Effort::High), Some(1100)), (1024, 1100));
        assert_eq!(budget(Amount::Budget(9_999), Some(10_000)), (9_999, 10_000));
        assert_eq!(budget(Amount::Budget(10_000), Some(10_000)), (7_500, 10_000));
        assert_eq!(budget(Amount::Budget(512), None), (1024, 5120));
        assert_eq!(budget(Amount::Dynamic, None), (8_192, 12_288));
    }

    #[test]
    fn an_answer_too_short_to_think_in_is_not_thought_about_and_that_is_said() {
        assert!(plan("claude-sonnet-4-5", Amount::Budget(u64::MAX), None).1);
        let (short, lost) = plan("claude-sonnet-4-5", Amount::Effort(Effort::Low), Some(1024));
        assert_eq!((short, lost), (Plan { max_tokens: 1024, thinking: None, effort: None }, true));
    }

    #[test]
    fn newer_models_are_told_an_effort() {
        let (new, _) = plan("claude-opus-4-7", Amount::Budget(9000), Some(500));
        assert_eq!(new.thinking, Some(Thinking::Adaptive { display: None }));
        assert_eq!((new.effort, new.max_tokens), (Some("medium"), 500));
        assert_eq!(plan("claude-opus-4-7", Amount::Off, None).0.thinking, None);
        assert_eq!(plan("claude-opus-4-5", Amount::Off, None).0.thinking, Some(Thinking::Disabled));
        let (adaptive, _) = plan("claude-opus-4-6", Amount::Dynamic, None);
        assert_eq!((adaptive.thinking, adaptive.effort), (Some(Thinking::Adaptive { display: None }), None));
        assert_eq!(adaptive.max_tokens, 4096 + 8192, "room for what is thought");
        assert_eq!(plan("claude-opus-4-7", Amount::Effort(Effort::Low), None).0.max_tokens, 4096 + 2048);
    }

    #[test]
    fn older_models_do_not_think_and_that_is_said() {
        for (amount, said) in
            [(Amount::Off, false), (Amount::Effort(Effort::High), true), (Amount::Dynamic, true)]
        {
            let (old, lost) = plan("claude-3-5-sonnet-20241022", amount, None);
            assert_eq!((old.thinking, old.max_tokens, lost), (None, 4096, said), "{amount:?}");
        }
    }
}
