//! One account under limits of every kind against a model that remembers lists of charges and looks at every second:
//! random admissions, blocks, settlements, hang-ups, refunds, changed limits and moves to another shard. Time is in whole
//! seconds, so that no two charges share a slot and the model is exact.

use proptest::{prelude::*, sample::Index};

use super::*;
use crate::quota::{
    booked::{Booked, Output, Step as Block, Target},
    clients::{Clients, Refused},
    tick::Tick,
};

const WINDOW: u64 = 60;
const KINDS: [Kind; 5] = [Kind::Input, Kind::Output, Kind::Total, Kind::Request, Kind::Cost];
/// What one token costs.
const PRICE: u64 = 3;

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Admit(u64),
    /// A stream has used up `0`..=`100` % of its block, or more, and wants another.
    Draw(Index, u64, u64),
    /// It ends: settled with so many per cent of what was counted, hung up, refunded with and without its request.
    Settle(Index, u64),
    HangUp(Index, u64),
    Refund(Index, bool),
    /// Limits become so many per cent of what they were at first.
    Limits(u64),
    /// The account moves to another shard.
    Move,
}

/// The model of one bucket.
#[derive(Clone, Debug, Default)]
struct Model {
    window: Vec<(u64, u64)>,
    debt: Vec<(u64, u64)>,
    leased: u64,
    /// The limit under which debt enters, and up to when it has.
    limit: u64,
    seen: u64,
}

#[derive(Clone, Debug, Default)]
struct Charged {
    kind: usize,
    at: u64,
    amount: u64,
    owed: u64,
}

/// A call under way, in both worlds.
struct Call {
    booked: Booked,
    rules: Rules,
    limits: [u64; 5],
    charged: Vec<Charged>,
    input: u64,
    output: u64,
    lease: u64,
}

struct World {
    clients: Clients,
    models: [Model; 5],
    calls: Vec<Call>,
    now: u64,
    limits: [u64; 5],
    first: [u64; 5],
    highest: [u64; 5],
    rules: Rules,
    cut: bool,
}

impl Model {
    fn used(&self, at: u64) -> u64 {
        self.window.iter().filter(|(then, _)| then + WINDOW > at).map(|(_, amount)| amount).sum()
    }

    fn owes(&self) -> u64 {
        self.debt.iter().map(|(_, amount)| amount).sum()
    }

    fn enter(&mut self, at: u64) {
        let mut room = self.limit.saturating_sub(self.used(at));
        while room > 0 && !self.debt.is_empty() {
            let amount = room.min(self.debt[0].1);
            self.debt[0].1 -= amount;
            room -= amount;
            self.window.push((at, amount));
            if self.debt[0].1 == 0 {
                self.debt.remove(0);
            }
        }
    }

    /// Second by second.
    fn advance(&mut self, now: u64) {
        while self.seen < now {
            self.seen += 1;
            self.enter(self.seen);
        }
    }

    fn fits(&self, at: u64, limit: u64, need: u64) -> bool {
        (need == 0 || self.debt.is_empty()) && self.used(at) + need <= limit
    }

    fn charge(&mut self, at: u64, limit: u64, amount: u64) -> u64 {
        let room = if self.debt.is_empty() { limit.saturating_sub(self.used(at)).min(amount) } else { 0 };
        if self.debt.is_empty() {
            self.limit = limit;
        }
        let owed = amount - room;
        self.window.extend((room > 0).then_some((at, room)));
        self.debt.extend((owed > 0).then_some((at, owed)));
        owed
    }

    fn give_back(&mut self, now: u64, at: u64, amount: u64, owed: u64) {
        let take = |list: &mut Vec<(u64, u64)>, mut amount: u64, of: &dyn Fn(u64) -> bool| {
            for entry in list.iter_mut().filter(|(then, _)| of(*then)) {
                let taken = amount.min(entry.1);
                entry.1 -= taken;
                amount -= taken;
            }
            list.retain(|(_, amount)| *amount > 0);
            amount
        };
        let owed = owed.min(amount);
        let entered = take(&mut self.debt, owed, &|then| then == at);
        let unfound = if at + WINDOW > now { take(&mut self.window, entered, &|then| then > at) } else { 0 };
        take(&mut self.window, amount - owed + unfound, &|then| then == at);
        self.enter(now);
    }
}

fn second(seconds: u64) -> Tick {
    Tick::default().after(Duration::from_secs(seconds))
}

fn rules(limits: &[u64; 5], cut: bool) -> Rules {
    let on_output_limit = if cut { OnOutputLimit::Cut } else { OnOutputLimit::Finish };
    let rule = |(kind, amount): (Kind, &u64)| Rule {
        on_output_limit,
        ..Rule::new(kind, limit(*amount, Duration::from_secs(WINDOW)), kind.name())
    };
    let flights = Rule::new(Kind::Concurrent, limit(3, Duration::ZERO), "concurrent");
    KINDS.into_iter().zip(limits).map(rule).chain([flights]).collect()
}

fn id() -> AccountId {
    AccountId::Client(alice())
}

fn amount(kind: Kind, input: u64, output: u64) -> u64 {
    match kind {
        Kind::Input => input,
        Kind::Output => output,
        Kind::Total => input + output,
        Kind::Request => 1,
        Kind::Cost => (input + output) * PRICE,
        Kind::Concurrent => 0,
    }
}

/// Charges of one instant are one charge.
fn charge_once(charged: &mut Vec<Charged>, charge: Charged) {
    let same = |known: &&mut Charged| (known.kind, known.at) == (charge.kind, charge.at);
    match charged.iter_mut().find(same) {
        Some(known) => (known.amount, known.owed) = (known.amount + charge.amount, known.owed + charge.owed),
        None => charged.push(charge),
    }
}

impl World {
    fn new(first: [u64; 5], cut: bool) -> Self {
        let mut models: [Model; 5] = std::array::from_fn(|_| Model::default());
        models.iter_mut().for_each(|model| model.seen = 1_000);
        let rules = rules(&first, cut);
        let clients = Clients::new(Tracked::new(1), &Counts::default());
        let (limits, highest) = (first, first);
        Self { clients, models, calls: Vec::new(), now: 1_000, limits, first, highest, rules, cut }
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Wait(seconds) => self.now += seconds,
            Step::Admit(input) => self.admit(*input)?,
            Step::Limits(percent) => {
                self.limits = self.first.map(|limit| (limit * percent / 100).max(1));
                self.highest = std::array::from_fn(|kind| self.highest[kind].max(self.limits[kind]));
                self.rules = rules(&self.limits, self.cut);
            }
            Step::Move => {
                let moved = self.clients.export(second(self.now), usize::MAX);
                self.clients = Clients::new(Tracked::new(1), &Counts::default());
                self.clients.import(second(self.now), moved);
            }
            _ if self.calls.is_empty() => {}
            Step::Draw(which, percent, block) => {
                let which = which.index(self.calls.len());
                self.draw(which, *percent, *block)?;
            }
            Step::Settle(which, percent) => {
                let (call, output) = self.end(which, 100);
                self.settle(call, output * percent / 100, 1, true);
            }
            Step::HangUp(which, percent) => {
                let (call, output) = self.end(which, *percent);
                self.settle(call, output, 1, true);
            }
            Step::Refund(which, request) => {
                let (call, _) = self.end(which, 0);
                self.settle(call, 0, u64::from(*request), false);
            }
        }
        self.agree()
    }

    fn advance(&mut self) {
        self.models.iter_mut().for_each(|model| model.advance(self.now));
    }

    /// The current rules hold for what waits.
    fn adopt(&mut self) {
        for (model, limit) in self.models.iter_mut().zip(self.limits) {
            if !model.debt.is_empty() {
                model.limit = limit;
                model.enter(self.now);
            }
        }
    }

    fn needs(kind: Kind, input: u64) -> u64 {
        match kind {
            Kind::Output => 1,
            Kind::Total => input.max(1),
            Kind::Cost => (input * PRICE).max(1),
            _ => amount(kind, input, 0),
        }
    }

    fn fits(models: &[Model; 5], at: u64, limits: &[u64; 5], input: u64) -> bool {
        (0..5).all(|kind| models[kind].fits(at, limits[kind], Self::needs(KINDS[kind], input)))
    }

    fn admit(&mut self, input: u64) -> Result<(), TestCaseError> {
        self.advance();
        self.adopt();
        let ask = Ask { input, cost: input * PRICE, output: true };
        let answer = self.clients.admit(second(self.now), &id(), &self.rules, &ask, None);
        let never = (0..5).any(|kind| Self::needs(KINDS[kind], input) > self.limits[kind]);
        let fits = Self::fits(&self.models, self.now, &self.limits, input);
        let busy = self.calls.len() >= 3;
        match answer {
            Ok(admitted) => {
                prop_assert!(fits && !busy && !never, "the model would have refused");
                let mut charged = Vec::new();
                for (index, kind) in KINDS.into_iter().enumerate() {
                    let amount = amount(kind, input, 0);
                    if amount > 0 {
                        self.models[index].window.push((self.now, amount));
                        charged.push(Charged { kind: index, at: self.now, amount, owed: 0 });
                    }
                }
                let (booked, rules, limits) = (admitted.booked, self.rules.clone(), self.limits);
                self.calls.push(Call { booked, rules, limits, charged, input, output: 0, lease: 0 });
            }
            Err(Refused::Oversize { .. }) => prop_assert!(never),
            Err(Refused::Short { retry_after, .. }) => {
                prop_assert!(!never && (!fits || busy), "the model would have admitted");
                prop_assert_eq!(retry_after.subsec_nanos(), 0);
                if !fits && retry_after.as_secs() < 5_000 {
                    self.promised(retry_after.as_secs(), input)?;
                }
            }
            Err(Refused::Crowded) => prop_assert!(false, "there is one client only"),
        }
        Ok(())
    }

    /// The promise is true, and not later than it must be; but for calls in flight, which are promised a second.
    fn promised(&self, after: u64, input: u64) -> Result<(), TestCaseError> {
        let mut models = self.models.clone();
        for at in self.now..=self.now + after {
            models.iter_mut().for_each(|model| model.advance(at));
            let fits = Self::fits(&models, at, &self.limits, input);
            prop_assert_eq!(fits, at == self.now + after || fits && at + 1 >= self.now + after && after == 1);
        }
        Ok(())
    }

    fn draw(&mut self, which: usize, percent: u64, block: u64) -> Result<(), TestCaseError> {
        self.advance();
        let (now, cut) = (self.now, self.cut);
        let call = &mut self.calls[which];
        let spent = call.lease * percent / 100;
        let output = |tokens: u64| Output { tokens, cost: tokens * PRICE };
        let step = Block {
            spent: output(spent),
            piece: Output::default(),
            returned: output(call.lease),
            taken: output(block),
        };
        let drawn = self.clients.draw(second(now), &id(), &call.rules, (&step, true), None);
        let over = cut
            && [1, 2, 4].into_iter().any(|index| {
                let of = |output: u64| if KINDS[index] == Kind::Cost { output * PRICE } else { output };
                let model = &self.models[index];
                let others = if call.lease > 0 { model.leased - of(call.lease) } else { 0 };
                let held = model.used(now) + model.owes() + others + of(spent);
                held >= call.limits[index]
            });
        prop_assert_eq!(drawn.is_err(), over);
        let Ok(booked) = drawn else { return Ok(()) };
        call.booked.absorb(booked);
        for index in [1, 2, 4] {
            let of = |output: u64| if KINDS[index] == Kind::Cost { output * PRICE } else { output };
            let (model, amount) = (&mut self.models[index], of(spent));
            if amount > 0 {
                let owed = model.charge(now, call.limits[index], amount);
                charge_once(&mut call.charged, Charged { kind: index, at: now, amount, owed });
            }
            model.leased = model.leased + of(block) - of(call.lease);
        }
        (call.output, call.lease) = (call.output + spent, block);
        Ok(())
    }

    /// Takes a call out, which has used so many per cent of its last block.
    fn end(&mut self, which: &Index, percent: u64) -> (Call, u64) {
        let call = self.calls.remove(which.index(self.calls.len()));
        let output = call.output + call.lease * percent / 100;
        (call, output)
    }

    fn settle(&mut self, call: Call, output: u64, requests: u64, charge_input: bool) {
        self.advance();
        let (input, now) = (if charge_input { call.input } else { 0 }, self.now);
        let target = Target { input, output, cost: (input + output) * PRICE, requests };
        self.clients.settle(second(now), &id(), &call.rules, (call.booked, &target), None);
        for (index, kind) in KINDS.into_iter().enumerate() {
            let model = &mut self.models[index];
            let own = || call.charged.iter().filter(|charged| charged.kind == index);
            let is: u64 = own().map(|charged| charged.amount).sum();
            let wanted = if kind == Kind::Request { requests } else { amount(kind, input, output) };
            if wanted > is {
                model.charge(now, call.limits[index], wanted - is);
            }
            let mut back = is.saturating_sub(wanted);
            for charged in own().rev() {
                let part = back.min(charged.amount);
                if part > 0 {
                    model.give_back(now, charged.at, part, charged.owed);
                }
                back -= part;
            }
            let of = if kind == Kind::Cost { PRICE } else { u64::from(matches!(index, 1 | 2)) };
            model.leased -= call.lease * of;
        }
    }

    /// Both worlds say the same.
    fn agree(&mut self) -> Result<(), TestCaseError> {
        self.advance();
        self.adopt();
        let levels = self.clients.levels(second(self.now), &id(), &self.rules);
        for (rule, level) in self.rules.iter().zip(levels) {
            let Some(index) = KINDS.iter().position(|kind| *kind == rule.kind) else {
                prop_assert_eq!(level.used, self.calls.len() as u64, "calls in flight");
                continue;
            };
            let model = &self.models[index];
            let (used, debt) = (model.used(self.now), model.owes());
            prop_assert_eq!((level.used, level.debt), (used, debt), "{:?}", rule.kind);
            let remaining = if debt > 0 { 0 } else { self.limits[index].saturating_sub(used) };
            prop_assert_eq!(level.remaining, remaining);
            prop_assert!(used <= self.highest[index], "more than any limit in a window");
        }
        Ok(())
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let any_call = any::<Index>;
    let step = prop_oneof![
        6 => (1_u64..=90).prop_map(Step::Wait),
        6 => (0_u64..=40).prop_map(Step::Admit),
        8 => (any_call(), 0_u64..=100, 1_u64..=60).prop_map(|(call, used, block)| Step::Draw(call, used, block)),
        3 => (any_call(), 0_u64..=150).prop_map(|(call, percent)| Step::Settle(call, percent)),
        2 => (any_call(), 0_u64..=100).prop_map(|(call, percent)| Step::HangUp(call, percent)),
        1 => (any_call(), any::<bool>()).prop_map(|(call, request)| Step::Refund(call, request)),
        1 => (20_u64..=200).prop_map(Step::Limits),
        1 => Just(Step::Move),
    ];
    prop::collection::vec(step, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_account_agrees_with_a_model_that_remembers_every_charge(
        limits in [1_u64..=100, 1_u64..=100, 1_u64..=150, 1_u64..=8, 1_u64..=400],
        cut in any::<bool>(),
        steps in steps(),
    ) {
        let mut world = World::new(limits, cut);
        for step in &steps {
            world.step(step)?;
        }
        // Everything ends, and after a while nothing is left.
        while !world.calls.is_empty() {
            world.step(&Step::Refund(any_first(), false))?;
        }
        for _ in 0..2_000 {
            world.clients.sweep(second(world.now), 1);
            world.now += 600;
        }
        prop_assert_eq!(world.clients.len(), 0, "debt is paid at last, and leases and flights do not leak");
    }
}

/// The first of any calls.
fn any_first() -> Index {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    any::<Index>().new_tree(&mut TestRunner::deterministic()).unwrap().current()
}
