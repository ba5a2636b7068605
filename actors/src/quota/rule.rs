//! What is limited: kinds, rules, prices. Plain values that the configuration prepares once and every call shares.
//! Units: tokens, requests, calls in flight; money in 10⁻⁹ of its unit, whole numbers only.

use std::{sync::Arc, time::Duration};

/// Which buckets of an account a limit draws from: one per limit table's owner (a provider, or a model of its own).
/// A number stands for the same owner for as long as its buckets live, so across a reload, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope(pub u32);

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// Input tokens.
    Input,
    /// Output tokens.
    Output,
    /// Both together.
    Total,
    /// Calls.
    Request,
    /// Money, in 10⁻⁹ of its unit.
    Cost,
    /// Calls in flight. It has no window.
    Concurrent,
}

/// Whether a limit refuses, or only counts what it would have refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// Refuses.
    #[default]
    Enforce,
    /// Never refuses. A call that one of an account's shadow rules would have refused is charged to none of them, just
    /// as if they were enforced.
    Shadow,
}

/// What becomes of a stream when its output limit is used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnOutputLimit {
    /// It runs to its end; what it takes beyond the limit is debt.
    #[default]
    Finish,
    /// It gets no further block.
    Cut,
}

/// An amount in a sliding window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The owner of the bucket.
    pub scope: Scope,
    /// How much is admitted in any span of `interval`, in units of the rule's kind; 0 = nothing is ever admitted.
    pub tokens: u64,
    /// Length of the window, 1 s to 31 d. Without meaning for calls in flight.
    pub interval: Duration,
    /// The distinct intervals of all rules (groups and default) that share this bucket, ascending; holds `interval`.
    /// The bucket remembers for the longest.
    pub horizon: Arc<[Duration]>,
}

/// One limit of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// How much, in which window, of which owner.
    pub limit: Limit,
    /// Of what.
    pub kind: Kind,
    /// Whether it refuses.
    pub mode: Mode,
    /// What it does to streams; only for output, total and cost.
    pub on_output_limit: OnOutputLimit,
    /// In a pool: the most that one member may hold of the window while another has asked within the interval. Not for
    /// calls in flight.
    pub per_member: Option<u64>,
    /// How refusals name it: `per_user.input_token_limit`.
    pub id: Arc<str>,
}

/// All rules of an account that apply to a call, ordered so that those which share a bucket are neighbours. Clones are
/// the same rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    all: Arc<[Rule]>,
    /// What is asked of them in every call.
    has: Has,
}

/// What a call needs to know of all its rules together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Has {
    flowing: bool,
    cutting: bool,
    concurrent: bool,
    shadow: bool,
    shares: bool,
}

/// Which bucket of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Whose.
    pub scope: Scope,
    /// What is in it.
    pub kind: Kind,
    /// Shadow rules have buckets of their own, since they are charged for other calls.
    pub mode: Mode,
}

/// Money per million tokens, in 10⁻⁹ of its unit (2.50 is 2,500,000,000).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Price {
    /// For input.
    pub input: u64,
    /// For input that the provider had cached.
    pub cached_input: u64,
    /// For output.
    pub output: u64,
}

impl Kind {
    /// Every kind, in the order of its discriminants.
    pub const ALL: [Self; 6] =
        [Self::Input, Self::Output, Self::Total, Self::Request, Self::Cost, Self::Concurrent];

    /// As metrics and listings name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::Total => "total",
            Self::Request => "request",
            Self::Cost => "cost",
            Self::Concurrent => "concurrent",
        }
    }

    /// Whether a call charges it while its output flows.
    pub(super) const fn flows(self) -> bool {
        matches!(self, Self::Output | Self::Total | Self::Cost)
    }

    /// Whether it counts tokens, so that its debt is of tokens.
    pub(super) const fn is_tokens(self) -> bool {
        matches!(self, Self::Input | Self::Output | Self::Total)
    }
}

impl Limit {
    /// The longest interval of the rules that share the bucket.
    pub(super) fn longest(&self) -> Duration {
        self.horizon.last().map_or(self.interval, |longest| self.interval.max(*longest))
    }
}

impl Rule {
    /// A rule that refuses, lets streams finish and knows no members.
    pub fn new(kind: Kind, limit: Limit, id: impl Into<Arc<str>>) -> Self {
        let (mode, on_output_limit) = (Mode::default(), OnOutputLimit::default());
        Self { limit, kind, mode, on_output_limit, per_member: None, id: id.into() }
    }

    /// Whether it ends streams when it is used up.
    pub(super) fn cuts(&self) -> bool {
        self.mode == Mode::Enforce && self.on_output_limit == OnOutputLimit::Cut && self.kind.flows()
    }

    pub(super) fn key(&self) -> Key {
        Key { scope: self.limit.scope, kind: self.kind, mode: self.mode }
    }
}

impl Rules {
    /// These rules, which may come in any order. Rules that share a bucket get one horizon.
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Self {
        let mut all: Vec<_> = rules.into_iter().collect();
        all.sort_by_key(Rule::key);
        for lane in all.chunk_by_mut(|one, other| one.key() == other.key()) {
            let own = lane.iter().map(|rule| &rule.limit);
            let mut horizon: Vec<_> =
                own.flat_map(|limit| limit.horizon.iter().chain([&limit.interval])).copied().collect();
            horizon.sort_unstable();
            horizon.dedup();
            let horizon: Arc<[_]> = horizon.into();
            lane.iter_mut().for_each(|rule| rule.limit.horizon = Arc::clone(&horizon));
        }
        let any = |of: fn(&Rule) -> bool| all.iter().any(of);
        let has = Has {
            flowing: any(|rule| rule.kind.flows()),
            cutting: any(Rule::cuts),
            concurrent: any(|rule| rule.kind == Kind::Concurrent),
            shadow: any(|rule| rule.mode == Mode::Shadow),
            shares: any(|rule| rule.per_member.is_some()),
        };
        Self { all: all.into(), has }
    }

    /// The rules, in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Rule> {
        self.all.iter()
    }

    /// The rule at a position.
    pub fn position(&self, index: usize) -> Option<&Rule> {
        self.all.get(index)
    }

    /// The rules bucket by bucket.
    pub(super) fn lanes(&self) -> impl Iterator<Item = &[Rule]> {
        self.all.chunk_by(|one, other| one.key() == other.key())
    }

    /// The rules of one bucket; may be none.
    pub(super) fn lane(&self, key: Key) -> &[Rule] {
        self.lanes().find(|lane| lane[0].key() == key).unwrap_or_default()
    }

    /// Whether these are the very same rules, not only equal ones.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.all, &other.all)
    }

    /// Whether a call charges something after its admission, or holds something until its end.
    pub(super) fn outlast_admission(&self) -> bool {
        self.has.flowing || self.has.concurrent
    }

    /// Whether output that flows is charged.
    pub(super) fn flow(&self) -> bool {
        self.has.flowing
    }

    /// Whether a stream may be cut.
    pub(super) fn cut(&self) -> bool {
        self.has.cutting
    }

    /// Whether members of the account are told apart.
    pub(super) fn share(&self) -> bool {
        self.has.shares
    }

    /// Whether some only look on.
    pub(super) fn shadow(&self) -> bool {
        self.has.shadow
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self { all: Arc::new([]), has: Has::default() }
    }
}

impl FromIterator<Rule> for Rules {
    fn from_iter<I: IntoIterator<Item = Rule>>(rules: I) -> Self {
        Self::new(rules)
    }
}

impl Price {
    /// What these tokens cost, each class rounded up to a whole 10⁻⁹; at most `u64::MAX`. `cached` of the input tokens
    /// were cached.
    pub fn of(&self, input: u64, cached: u64, output: u64) -> u64 {
        let cached = cached.min(input);
        let parts = [(input - cached, self.input), (cached, self.cached_input), (output, self.output)];
        parts.into_iter().fold(0, |sum, (tokens, price)| sum.saturating_add(per_million(tokens, price)))
    }
}

fn per_million(tokens: u64, price: u64) -> u64 {
    // What fits, which is nearly everything, needs no division of 128 bits.
    if let Some(product) = tokens.checked_mul(price) {
        return product.div_ceil(1_000_000);
    }
    let cost = (u128::from(tokens) * u128::from(price)).div_ceil(1_000_000);
    u64::try_from(cost).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_counted_in_whole_billionths_and_never_wraps() {
        let price = Price { input: 2_500_000_000, cached_input: 1_250_000_000, output: 10_000_000_000 };
        assert_eq!(price.of(1_000_000, 0, 0), 2_500_000_000);
        assert_eq!(price.of(1_000, 400, 10), 600 * 2_500 + 400 * 1_250 + 10 * 10_000);
        assert_eq!(
            price.of(7, 100, 0),
            7 * 1_250,
            "more cached tokens than input are no more than the input"
        );
        assert_eq!(Price { input: 37_500_000, ..Price::default() }.of(1, 0, 0), 38, "rounded up");
        assert_eq!(Price { output: u64::MAX, ..Price::default() }.of(0, 0, u64::MAX), u64::MAX);
        assert_eq!(Price::default().of(u64::MAX, 0, u64::MAX), 0);
    }

    #[test]
    fn rules_that_share_a_bucket_are_neighbours_with_one_horizon() {
        let second = Duration::from_secs(1);
        let rule = |scope, kind, seconds| {
            let interval = seconds * second;
            let limit = Limit { scope: Scope(scope), tokens: 1, interval, horizon: [interval].into() };
            Rule::new(kind, limit, "")
        };
        let all = [rule(1, Kind::Output, 60), rule(0, Kind::Input, 9), rule(1, Kind::Output, 3_600)];
        let rules = Rules::new(all);
        assert_eq!(rules.lanes().map(<[_]>::len).collect::<Vec<_>>(), [1, 2]);
        let output = rules.lane(Key { scope: Scope(1), kind: Kind::Output, mode: Mode::Enforce });
        assert!(output.iter().all(|rule| *rule.limit.horizon == [60 * second, 3_600 * second]));
    }
}
