//! What the limits have decided and settled: counters that anyone may read while the actors write them. Nothing here
//! decides. Units: decisions, tokens.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use super::{account::AccountId, rule::Kind};

/// The counters of one set of quota actors. Clones are the same counters.
#[derive(Clone, Debug, Default)]
pub struct Counts(Arc<Striped>);

/// One actor's own part of them, so that actors do not wait for each other's cache lines.
#[derive(Clone, Debug)]
pub(super) struct Own {
    all: Counts,
    stripe: usize,
}

/// Whose limit decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Per {
    /// A client's.
    User,
    /// A group's pool's.
    Group,
    /// That of all callers.
    Total,
}

/// What it decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The call fits.
    Admitted,
    /// It does not.
    Refused,
    /// It would not, but the limit only looks on.
    ShadowRefused,
}

/// Where the tokens of a settled call were known from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// From the provider's report.
    pub reported: u64,
    /// From our own count.
    pub counted: u64,
    /// Given back, as the call brought nothing.
    pub refunded: u64,
}

/// The counters at one time. Since the start of the process, but for the debt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Totals {
    /// How often a limit of each kind decided so: every combination, in a fixed order.
    pub decisions: Vec<(Per, Kind, Decision, u64)>,
    /// Tokens of settled calls.
    pub settled: Settled,
    /// Tokens that wait now.
    pub debt_tokens: i64,
}

#[derive(Debug, Default)]
struct Striped {
    turn: AtomicUsize,
    stripes: [Stripe; STRIPES],
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe {
    decisions: [[[AtomicU64; Decision::ALL.len()]; Kind::ALL.len()]; Per::ALL.len()],
    settled: [AtomicU64; 3],
    debt: AtomicI64,
}

/// More actors than these share some.
const STRIPES: usize = 8;

impl Per {
    /// Every one, in the order of its discriminants.
    pub const ALL: [Self; 3] = [Self::User, Self::Group, Self::Total];

    /// As metrics name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "per_user",
            Self::Group => "per_group",
            Self::Total => "total",
        }
    }
}

impl From<&AccountId> for Per {
    fn from(account: &AccountId) -> Self {
        match account {
            AccountId::Client(_) => Self::User,
            AccountId::Pool(..) => Self::Group,
            AccountId::Total(_) => Self::Total,
        }
    }
}

impl Decision {
    /// Every one, in the order of its discriminants.
    pub const ALL: [Self; 3] = [Self::Admitted, Self::Refused, Self::ShadowRefused];

    /// As metrics name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Refused => "refused",
            Self::ShadowRefused => "shadow_refused",
        }
    }
}

impl Counts {
    /// The counters now.
    pub fn totals(&self) -> Totals {
        let sum = |of: &dyn Fn(&Stripe) -> u64| self.0.stripes.iter().map(of).fold(0, u64::saturating_add);
        let mut decisions = Vec::new();
        for (per, kind) in Per::ALL.into_iter().flat_map(|per| Kind::ALL.map(|kind| (per, kind))) {
            for decision in Decision::ALL {
                let of = |stripe: &Stripe| stripe.of(per, kind, decision).load(Relaxed);
                decisions.push((per, kind, decision, sum(&of)));
            }
        }
        let [reported, counted, refunded] = [0, 1, 2].map(|source| {
            let of = move |stripe: &Stripe| stripe.settled[source].load(Relaxed);
            sum(&of)
        });
        let debt_tokens =
            self.0.stripes.iter().map(|stripe| stripe.debt.load(Relaxed)).fold(0, i64::saturating_add);
        Totals { decisions, settled: Settled { reported, counted, refunded }, debt_tokens }
    }

    /// A part for one more actor.
    pub(super) fn own(&self) -> Own {
        let turn = self.0.turn.fetch_add(1, Relaxed);
        Own { all: self.clone(), stripe: turn % STRIPES }
    }
}

impl Totals {
    /// How often limits of a kind decided so.
    pub fn of(&self, per: Per, kind: Kind, decision: Decision) -> u64 {
        let all = self.decisions.iter();
        all.filter(|(p, k, d, _)| (*p, *k, *d) == (per, kind, decision)).map(|(.., count)| count).sum()
    }
}

impl Stripe {
    fn of(&self, per: Per, kind: Kind, decision: Decision) -> &AtomicU64 {
        &self.decisions[per as usize][kind as usize][decision as usize]
    }
}

impl Own {
    pub(super) fn decided(&self, per: Per, kind: Kind, decision: Decision) {
        self.stripe().of(per, kind, decision).fetch_add(1, Relaxed);
    }

    pub(super) fn settled(&self, tokens: &Settled) {
        let all = [tokens.reported, tokens.counted, tokens.refunded];
        for (counter, tokens) in self.stripe().settled.iter().zip(all).filter(|(_, tokens)| *tokens > 0) {
            let _ = counter.fetch_update(Relaxed, Relaxed, |sum| Some(sum.saturating_add(tokens)));
        }
    }

    /// Debt of tokens has changed.
    pub(super) fn owed(&self, difference: i64) {
        if difference != 0 {
            let add = |debt: i64| Some(debt.saturating_add(difference));
            let _ = self.stripe().debt.fetch_update(Relaxed, Relaxed, add);
        }
    }

    fn stripe(&self) -> &Stripe {
        &self.all.0.stripes[self.stripe]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_stop_at_the_most_there_is_instead_of_wrapping() {
        let counts = Counts::default();
        for own in [counts.own(), counts.own()] {
            for _ in 0..2 {
                own.settled(&Settled { reported: 1 << 63, counted: u64::MAX, refunded: 1 });
                own.owed(i64::MAX);
            }
        }
        let totals = counts.totals();
        assert_eq!(totals.settled, Settled { reported: u64::MAX, counted: u64::MAX, refunded: 4 });
        assert_eq!(totals.debt_tokens, i64::MAX);
    }
}
