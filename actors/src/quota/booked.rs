//! What a call asks for, and what it has booked in one account: enough to correct it or to give all of it back. Plain
//! values.

use smallvec::SmallVec;

use super::{
    rule::{Key, Kind, Mode, Rule, Rules},
    tick::Tick,
};

/// What a call asks for when it is admitted; it is one request whatever else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// Input tokens.
    pub input: u64,
    /// What these cost.
    pub cost: u64,
    /// Whether it may produce output: then some output, total and money must be left.
    pub output: bool,
}

/// What a call is charged in the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) input: u64,
    pub(super) output: u64,
    pub(super) cost: u64,
    pub(super) requests: u64,
}

/// Output, and what it costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) tokens: u64,
    pub(super) cost: u64,
}

/// A step of a stream: `spent` is charged, `returned` of former blocks is no longer leased, `taken` is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Step {
    pub(super) spent: Output,
    /// So much of what is spent has not gone to the client yet: it may go if anything was left before it.
    pub(super) piece: Output,
    pub(super) returned: Output,
    pub(super) taken: Output,
}

/// What one call has of one account: enough to give all of it back.
#[derive(Clone, Debug, Default)]
pub(super) struct Booked {
    pub(super) charges: SmallVec<[Charge; 1]>,
    /// What this step has returned of the blocks that the call had leased before.
    pub(super) returned: Output,
    /// What it has leased.
    pub(super) taken: Output,
    /// Whether the account counts it as open and in flight.
    pub(super) held: bool,
    /// Whether the shadow rules are charged as well.
    pub(super) shadow: bool,
}

/// An amount that was charged at one instant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Charge {
    pub(super) key: Key,
    pub(super) at: Tick,
    pub(super) amount: u64,
    /// So much of it had to wait.
    pub(super) owed: u64,
}

/// Charges of a call that are kept apart. More are joined from the oldest on.
const MOST_CHARGES: usize = 96;

impl Ask {
    /// What is charged at once.
    pub(super) fn takes(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Input | Kind::Total => self.input,
            Kind::Request | Kind::Concurrent => 1,
            Kind::Cost => self.cost,
            Kind::Output => 0,
        }
    }

    /// What must be left.
    pub(super) fn needs(&self, kind: Kind) -> u64 {
        let any = u64::from(self.output && kind.flows());
        self.takes(kind).max(any)
    }
}

impl Target {
    pub(super) fn of(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Input => self.input,
            Kind::Output => self.output,
            Kind::Total => self.input.saturating_add(self.output),
            Kind::Request => self.requests,
            Kind::Cost => self.cost,
            Kind::Concurrent => 0,
        }
    }
}

impl Output {
    pub(super) fn of(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Output | Kind::Total => self.tokens,
            Kind::Cost => self.cost,
            Kind::Input | Kind::Request | Kind::Concurrent => 0,
        }
    }
}

impl Booked {
    /// Takes over what a later step booked for the same call.
    pub(super) fn absorb(&mut self, step: Self) {
        for charge in step.charges {
            self.add(charge);
        }
        self.returned = Output::default();
        self.taken = step.taken;
    }

    pub(super) fn add(&mut self, charge: Charge) {
        let newest = self.charges.iter_mut().rev().find(|known| known.key == charge.key);
        match newest {
            Some(newest) if newest.at == charge.at => {
                newest.amount = newest.amount.saturating_add(charge.amount);
                newest.owed = newest.owed.saturating_add(charge.owed);
            }
            _ => self.charges.push(charge),
        }
        if self.charges.len() > MOST_CHARGES {
            self.join_oldest(charge.key);
        }
    }

    /// Joins the two oldest charges of a bucket: a correction goes back that far only if it is larger than all others.
    fn join_oldest(&mut self, key: Key) {
        let mut of_key = (0..self.charges.len()).filter(|index| self.charges[*index].key == key);
        if let (Some(first), Some(second)) = (of_key.next(), of_key.next()) {
            let oldest = self.charges.remove(first);
            let joined = &mut self.charges[second - 1];
            joined.amount = joined.amount.saturating_add(oldest.amount);
            joined.owed = joined.owed.saturating_add(oldest.owed);
        }
    }

    /// Whether nothing changes if this is settled as `target`: what an admission took is what it costs.
    pub(super) fn stands(&self, rules: &Rules, target: &Target) -> bool {
        let stands = |lane: &[Rule]| {
            let (key, mode) = (lane[0].key(), lane[0].mode);
            self.amount(key) == target.of(key.kind) || mode == Mode::Shadow && !self.shadow
        };
        !rules.outlast_admission() && rules.lanes().all(stands)
    }

    pub(super) fn amount(&self, key: Key) -> u64 {
        let own = self.charges.iter().filter(|charge| charge.key == key);
        own.fold(0, |sum, charge| sum.saturating_add(charge.amount))
    }
}
