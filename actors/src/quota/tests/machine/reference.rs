//! What each bucket should hold, by charges that are all remembered. Naive, and apart from the code it is compared with.

use super::*;

/// The model of one bucket: amounts, each with its second, in the window and waiting.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) window: Vec<(u64, u64)>,
    pub(super) debt: Vec<(u64, u64)>,
    pub(super) leased: u64,
    /// Windows and limits under which debt enters.
    pub(super) limits: Vec<(u64, u64)>,
    /// The most that any version of the limits allowed in a window: anything, where one had no such window.
    pub(super) most: HashMap<u64, u64>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Charged {
    pub(super) key: Key,
    pub(super) at: u64,
    pub(super) amount: u64,
    pub(super) owed: u64,
}

/// What a call has of one account.
pub(super) struct Part {
    pub(super) account: usize,
    pub(super) rules: Rules,
    pub(super) shadow: bool,
    pub(super) charged: Vec<Charged>,
}

impl Model {
    pub(super) fn used(&self, at: u64, interval: u64) -> u64 {
        self.window.iter().filter(|(then, _)| then + interval > at).map(|(_, amount)| amount).sum()
    }

    pub(super) fn owes(&self) -> u64 {
        self.debt.iter().map(|(_, amount)| amount).sum()
    }

    pub(super) fn room(&self, at: u64, limits: &[(u64, u64)]) -> u64 {
        let room = |(interval, most): &(u64, u64)| most.saturating_sub(self.used(at, *interval));
        limits.iter().map(room).min().unwrap_or(0)
    }

    /// What waits enters as far as there is room.
    pub(super) fn enter(&mut self, at: u64) {
        let mut room = self.room(at, &self.limits);
        while room > 0 && !self.debt.is_empty() {
            let amount = room.min(self.debt[0].1);
            self.window.push((at, amount));
            (self.debt[0].1, room) = (self.debt[0].1 - amount, room - amount);
            self.debt.retain(|(_, amount)| *amount > 0);
        }
    }

    pub(super) fn charge(&mut self, at: u64, limits: &[(u64, u64)], amount: u64) -> u64 {
        let mut owed = amount;
        if self.debt.is_empty() {
            owed -= self.room(at, limits).min(amount);
            self.limits = limits.to_vec();
        }
        self.window.extend((amount > owed).then_some((at, amount - owed)));
        self.debt.extend((owed > 0).then_some((at, owed)));
        owed
    }

    pub(super) fn give_back(&mut self, now: u64, charged: &Charged, amount: u64) {
        let take = |list: &mut Vec<(u64, u64)>, mut amount: u64, of: &dyn Fn(u64) -> bool| {
            for entry in list.iter_mut().filter(|(then, _)| of(*then)) {
                let taken = amount.min(entry.1);
                (entry.1, amount) = (entry.1 - taken, amount - taken);
            }
            list.retain(|(_, amount)| *amount > 0);
            amount
        };
        let (at, owed) = (charged.at, charged.owed.min(amount));
        let entered = take(&mut self.debt, owed, &|then| then == at);
        // What may have left the window is not given back again.
        let still = at + windows(charged.key.kind)[0] > now;
        let unfound = if still { take(&mut self.window, entered, &|then| then > at) } else { 0 };
        take(&mut self.window, amount - owed + unfound, &|then| then == at);
        self.enter(now);
    }
}

pub(super) fn limits_of(lane: &[Rule]) -> Vec<(u64, u64)> {
    lane.iter().map(|rule| (rule.limit.interval.as_secs(), rule.limit.tokens)).collect()
}

/// What `output` adds to a bucket of this kind.
pub(super) fn flowing(kind: Kind, output: u64) -> u64 {
    match kind {
        Kind::Output | Kind::Total => output,
        Kind::Cost => output * PRICE,
        _ => 0,
    }
}

impl Part {
    /// The buckets that are charged.
    pub(super) fn lanes(&self) -> impl Iterator<Item = &[Rule]> {
        self.rules.lanes().filter(|lane| self.shadow || lane[0].mode == Mode::Enforce)
    }

    pub(super) fn charge(
        rules: &Rules,
        account: usize,
        key: Key,
        models: &mut Models,
        at: u64,
        amount: u64,
    ) -> Charged {
        let model = models.entry((account, key)).or_default();
        Charged { key, at, amount, owed: model.charge(at, &limits_of(rules.lane(key)), amount) }
    }

    /// Charges of one instant are one charge.
    pub(super) fn note(&mut self, charge: Charged) {
        let same = |known: &&mut Charged| (known.key, known.at) == (charge.key, charge.at);
        match self.charged.iter_mut().find(same) {
            Some(known) => {
                (known.amount, known.owed) = (known.amount + charge.amount, known.owed + charge.owed)
            }
            None => self.charged.push(charge),
        }
    }

    /// Corrects what was charged to what each kind comes to.
    pub(super) fn settle(self, models: &mut Models, now: u64, leased: u64, target: &dyn Fn(Kind) -> u64) {
        for lane in self.lanes().filter(|lane| lane[0].kind != Kind::Concurrent) {
            let (key, kind) = (lane[0].key(), lane[0].kind);
            let own = || self.charged.iter().filter(|charged| charged.key == key);
            let (is, wanted) = (own().map(|charged| charged.amount).sum::<u64>(), target(kind));
            if wanted > is {
                Self::charge(&self.rules, self.account, key, models, now, wanted - is);
            }
            let model = models.entry((self.account, key)).or_default();
            let mut back = is.saturating_sub(wanted);
            for charged in own().rev() {
                let amount = back.min(charged.amount);
                if amount > 0 {
                    model.give_back(now, charged, amount);
                }
                back -= amount;
            }
            model.leased -= flowing(kind, leased);
        }
    }
}

pub(super) fn windows(kind: Kind) -> &'static [u64] {
    if kind == Kind::Request { &[LOST] } else { &[SHORT, LONG] }
}

pub(super) fn rules(limits: &Limits) -> Rules {
    let mut rules = Vec::new();
    for (kind, limits) in Kind::ALL.into_iter().zip(limits) {
        let Some((short, long, shadow, cut)) = *limits else { continue };
        let scale = |tokens: u64| match kind {
            Kind::Request => 1 + tokens / 20,
            Kind::Concurrent => 1 + tokens % 4,
            Kind::Cost => tokens * PRICE,
            _ => tokens,
        };
        let all: Arc<[_]> = windows(kind).iter().map(|window| Duration::from_secs(*window)).collect();
        for (interval, tokens) in all.iter().zip([Some(short), long].into_iter().flatten()) {
            let limit =
                Limit { scope: Scope(0), tokens: scale(tokens), interval: *interval, horizon: all.clone() };
            let mode = if shadow { Mode::Shadow } else { Mode::Enforce };
            let on_output_limit = if cut { OnOutputLimit::Cut } else { OnOutputLimit::Finish };
            rules.push(Rule { mode, on_output_limit, ..Rule::new(kind, limit, kind.name()) });
            if kind == Kind::Concurrent {
                break;
            }
        }
    }
    Rules::new(rules)
}

pub(super) fn taken(kind: Kind, input: u64) -> u64 {
    match kind {
        Kind::Input | Kind::Total => input,
        Kind::Cost => input * PRICE,
        Kind::Request => 1,
        Kind::Output | Kind::Concurrent => 0,
    }
}
