//! The whole of it against a model that remembers every charge: accounts of every sort under limits of every kind, over
//! real actors and a real file, through reloads, other numbers of shards and other processes. Time stands still but for
//! whole steps, wider than any slot, so that the model is exact; what a file adds in age is less than a step.

mod reference;

use std::path::PathBuf;

use proptest::{option::weighted, prelude::*, sample::Index};
use tokio::time::Instant;

use self::reference::{Charged, Model, Part, flowing, limits_of, rules, taken, windows};
use super::*;
use crate::{
    principal::Group,
    quota::{durable::Durable, rule::Key},
};

/// Seconds; twice the width of a slot of the longest window.
const STEP: u64 = 20;
const SHORT: u64 = 120;
const LONG: u64 = 600;
/// Of requests: too short for the file.
const LOST: u64 = 60;
/// What a token costs.
const PRICE: u64 = 3;
const SOON: Duration = Duration::from_secs(10);
const ACCOUNTS: usize = 4;

#[derive(Clone, Debug)]
enum Action {
    Wait(u64),
    /// Which accounts, as bits; input; whether there is output.
    Reserve(usize, u64, bool),
    Send(Index),
    /// A piece of output, and the block that is wanted next.
    Draw(Index, u64, u64),
    /// With what is reported of input, output and money.
    Settle(Index, [Option<u64>; 3]),
    HangUp(Index),
    /// With the request or without.
    Refund(Index, bool),
    Reload(usize, Limits),
    Reshard(usize),
    Restart(usize),
}

/// The limits of an account: of each kind for one or two windows, perhaps only looked on, perhaps cutting.
type Limits = [Option<(u64, Option<u64>, bool, bool)>; 6];

struct Call {
    reservation: Reservation,
    parts: Vec<Part>,
    input: u64,
    output: u64,
    charged: u64,
    leased: u64,
    sent: bool,
}

type Models = HashMap<(usize, Key), Model>;

struct World {
    /// The actors of now behind those that have handed over.
    ways: Vec<Quota>,
    supervisor: Supervisor,
    folder: tempfile::TempDir,
    restored: bool,
    rules: [Rules; ACCOUNTS],
    models: Models,
    calls: Vec<Call>,
    now: u64,
}

/// Whether a call fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    Fits,
    Short,
    Busy,
    Never,
}

fn id(account: usize) -> AccountId {
    match account {
        0 | 1 => AccountId::Client(ClientId::new(&account.to_string())),
        2 => AccountId::Pool(Scope(0), Group::new("staff")),
        _ => AccountId::Total(Scope(0)),
    }
}

async fn process(shards: usize) -> (Supervisor, Quota) {
    let mut supervisor = Supervisor::start("process").await;
    let (count, tracked) = (NonZeroUsize::new(shards).unwrap(), Tracked::new(2).stored());
    let quota = Quota::start(&mut supervisor, "quota", count, 4_096, tracked).await;
    (supervisor, quota)
}

impl World {
    async fn new(limits: &[Limits; ACCOUNTS]) -> Self {
        let (supervisor, quota) = process(2).await;
        let folder = tempfile::tempdir().unwrap();
        let rules = std::array::from_fn(|account| rules(&limits[account]));
        let (models, calls) = Default::default();
        Self { ways: vec![quota], supervisor, folder, restored: false, rules, models, calls, now: 0 }
    }

    fn quota(&self) -> &Quota {
        self.ways.last().unwrap()
    }

    async fn act(&mut self, action: &Action) -> Result<(), TestCaseError> {
        match action {
            Action::Wait(steps) => self.wait(*steps).await,
            Action::Reserve(accounts, input, output) => self.reserve(*accounts, *input, *output).await?,
            Action::Reload(account, limits) => self.rules[*account] = rules(limits),
            Action::Reshard(shards) => self.reshard(*shards).await,
            Action::Restart(shards) => self.restart(*shards).await?,
            _ if self.calls.is_empty() => {}
            Action::Send(which) => {
                let call = which.index(self.calls.len());
                self.calls[call].reservation.sent();
                self.calls[call].sent = true;
            }
            Action::Draw(which, piece, block) => {
                self.draw(which.index(self.calls.len()), *piece, *block).await?;
            }
            Action::Settle(which, reported) => self.settle(which, reported),
            Action::HangUp(which) => {
                let Call { reservation, parts, input, output, leased, sent, .. } = self.end(which);
                drop(reservation);
                let settled = |kind| taken(kind, input) + flowing(kind, output);
                self.end_parts(parts, leased, &|kind| if sent { settled(kind) } else { 0 });
            }
            Action::Refund(which, request) => {
                let Call { reservation, parts, leased, .. } = self.end(which);
                match request {
                    true => reservation.refund_but_request().await,
                    false => reservation.refund().await,
                };
                self.end_parts(parts, leased, &|kind| u64::from(*request && kind == Kind::Request));
            }
        }
        self.agree().await
    }

    async fn wait(&mut self, steps: u64) {
        advance(Duration::from_secs(steps * STEP)).await;
        for _ in 0..steps {
            self.now += STEP;
            self.models.values_mut().for_each(|model| model.enter(self.now));
        }
    }

    async fn reshard(&mut self, shards: usize) {
        // What a file is to forget is told by the shard that found it empty.
        let file = if self.restored { Some(self.write().await) } else { None };
        let (old, count) = (self.quota().clone(), NonZeroUsize::new(shards).unwrap());
        self.ways.push(old.reshard(&mut self.supervisor, "quota", count, 4_096).await);
        if let Some(file) = file {
            file.drain(SOON).await;
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("nexus.redb")
    }

    /// Writes the file, which is held until what is returned is drained.
    async fn write(&self) -> Supervisor {
        let mut supervisor = Supervisor::start("file").await;
        let keeping = Durable::open(self.path()).await.unwrap().keep(&mut supervisor).await;
        keeping.follow("quota", self.quota());
        keeping.flush(SOON).await.unwrap();
        supervisor
    }

    /// A new process reads what the old one has written. Calls under way are no more, neither are short windows.
    async fn restart(&mut self, shards: usize) -> Result<(), TestCaseError> {
        if self.restored {
            // What came out of the file and has not changed since is not written again, and the wall clock, by which it
            // ages there, has not seen the time that we let pass. What has moved is written.
            self.reshard(shards).await;
        }
        self.restored = true;
        let file = self.write().await;
        let (supervisor, quota) = process(shards).await;
        self.ways = vec![quota];
        file.drain(SOON).await;
        std::mem::replace(&mut self.supervisor, supervisor).drain(SOON).await;
        let before = Instant::now();
        Durable::open(self.path()).await.unwrap().restore("quota", self.quota()).await.unwrap();
        // Its callers go with it.
        self.calls.clear();
        self.models.retain(|(_, key), _| key.kind != Kind::Request);
        self.models.values_mut().for_each(|model| model.leased = 0);
        self.agree().await?;
        prop_assert_eq!(before, Instant::now(), "the model's time does not pass meanwhile");
        // What is charged from now on shares no slot with what was read.
        self.wait(1).await;
        Ok(())
    }

    fn in_flight(&self, account: usize, key: Key) -> u64 {
        let holds = |part: &Part| part.account == account && part.lanes().any(|lane| lane[0].key() == key);
        self.calls.iter().flat_map(|call| &call.parts).filter(|part| holds(part)).count() as u64
    }

    /// How a call fits at a time under the rules of one mode.
    fn fit(&self, models: &Models, at: u64, account: usize, mode: Mode, (input, output): (u64, bool)) -> Fit {
        let one = |lane: &[Rule]| {
            let (key, kind) = (lane[0].key(), lane[0].kind);
            if kind == Kind::Concurrent {
                let busy = self.in_flight(account, key) >= lane[0].limit.tokens;
                return if busy { Fit::Busy } else { Fit::Fits };
            }
            let flows = flowing(kind, 1) > 0;
            let need = taken(kind, input).max(u64::from(output && flows));
            if need == 0 && flows {
                return Fit::Fits;
            }
            let (empty, limits) = (Model::default(), limits_of(lane));
            let model = models.get(&(account, key)).unwrap_or(&empty);
            let over = |(interval, most): &(u64, u64)| model.used(at, *interval) + need > *most;
            match () {
                () if limits.iter().any(|(_, most)| need > *most) => Fit::Never,
                () if need > 0 && !model.debt.is_empty() || limits.iter().any(over) => Fit::Short,
                () => Fit::Fits,
            }
        };
        let lanes = self.rules[account].lanes().filter(|lane| lane[0].mode == mode);
        lanes.map(one).max().unwrap_or(Fit::Fits)
    }

    async fn reserve(&mut self, accounts: usize, input: u64, output: bool) -> Result<(), TestCaseError> {
        let accounts: Vec<_> = (0..ACCOUNTS).filter(|account| accounts & 1 << account != 0).collect();
        let own: Vec<_> = accounts.iter().map(|account| (id(*account), &self.rules[*account])).collect();
        let tokens = PRICE * 1_000_000;
        let price = Price { input: tokens, cached_input: tokens, output: tokens };
        let demand = Demand { accounts: &own, member: None, input, output, price };
        let answer = self.quota().reserve(&demand).await;
        let fit =
            |account: &usize| self.fit(&self.models, self.now, *account, Mode::Enforce, (input, output));
        let fits: Vec<_> = accounts.iter().map(fit).collect();
        let worst = fits.iter().copied().max().unwrap_or(Fit::Fits);
        match answer {
            Ok(reservation) => {
                prop_assert_eq!(worst, Fit::Fits, "the model would have refused");
                self.admitted(reservation, &accounts, input, output);
            }
            Err(Refusal::Oversize { .. }) => prop_assert_eq!(worst, Fit::Never),
            Err(Refusal::Short { retry_after, .. }) => {
                prop_assert!(matches!(worst, Fit::Short | Fit::Busy), "the model says {worst:?}");
                if !fits.contains(&Fit::Busy) {
                    self.promised(retry_after, &accounts, (input, output))?;
                }
            }
            Err(other) => prop_assert!(false, "{other:?}"),
        }
        Ok(())
    }

    fn admitted(&mut self, reservation: Reservation, accounts: &[usize], input: u64, output: bool) {
        let part = |account: &usize| {
            let fit = self.fit(&self.models, self.now, *account, Mode::Shadow, (input, output));
            let rules = self.rules[*account].clone();
            Part { account: *account, rules, shadow: fit == Fit::Fits, charged: Vec::new() }
        };
        let mut parts: Vec<_> = accounts.iter().map(part).collect();
        for part in &mut parts {
            let keys: Vec<_> = part.lanes().map(|lane| lane[0].key()).collect();
            for key in keys.into_iter().filter(|key| taken(key.kind, input) > 0) {
                let (at, amount) = (self.now, taken(key.kind, input));
                self.models.entry((part.account, key)).or_default().window.push((at, amount));
                part.note(Charged { key, at, amount, owed: 0 });
            }
        }
        self.calls.push(Call { reservation, parts, input, output: 0, charged: 0, leased: 0, sent: false });
    }

    /// The promise is true, and not later than it must be.
    fn promised(&self, after: Duration, accounts: &[usize], ask: (u64, bool)) -> Result<(), TestCaseError> {
        let until = self.now + after.as_millis().div_ceil(u128::from(STEP) * 1_000) as u64 * STEP;
        let mut models = self.models.clone();
        for at in (self.now..=until.min(self.now + 5_000)).step_by(STEP as usize) {
            models.values_mut().for_each(|model| model.enter(at));
            let fit = |account: &usize| self.fit(&models, at, *account, Mode::Enforce, ask) == Fit::Fits;
            prop_assert_eq!(accounts.iter().all(fit), at == until, "at {} of {}", at, until);
        }
        Ok(())
    }

    async fn draw(&mut self, which: usize, piece: u64, block: u64) -> Result<(), TestCaseError> {
        let (now, call) = (self.now, &mut self.calls[which]);
        if call.reservation.produce(piece) == 0 {
            call.output += piece;
            return Ok(());
        }
        let drawn = call.reservation.draw(block).await;
        let (before, leased) = (call.output - call.charged, call.leased);
        let mut over = false;
        for part in &call.parts {
            for rule in part.rules.iter().filter(|rule| rule.cuts()) {
                let (empty, kind) = (Model::default(), rule.kind);
                let model = self.models.get(&(part.account, rule.key())).unwrap_or(&empty);
                let used = model.used(now, rule.limit.interval.as_secs()) + model.owes();
                // Blocks of others do not count against a call's first.
                let others = if leased > 0 { model.leased - flowing(kind, leased) } else { 0 };
                let held = others + flowing(kind, before);
                over |= used + held >= rule.limit.tokens;
            }
        }
        prop_assert_eq!(matches!(drawn, Drawn::Over(_)), over, "used up for one and not for the other");
        if over {
            return Ok(());
        }
        let spent = before + piece;
        for part in &mut call.parts {
            let keys: Vec<_> = part.lanes().map(|lane| lane[0].key()).collect();
            for key in keys.into_iter().filter(|key| flowing(key.kind, 1) > 0) {
                let (kind, account) = (key.kind, part.account);
                if spent > 0 {
                    let amount = flowing(kind, spent);
                    let charged = Part::charge(&part.rules, account, key, &mut self.models, now, amount);
                    part.note(charged);
                }
                let model = self.models.entry((account, key)).or_default();
                model.leased = model.leased + flowing(kind, block) - flowing(kind, leased);
                for rule in part.rules.lane(key).iter().filter(|rule| rule.cuts()) {
                    let all = model.used(now, rule.limit.interval.as_secs()) + model.owes();
                    let most = rule.limit.tokens + flowing(kind, piece);
                    prop_assert!(all < most, "more than a block over a limit that cuts");
                }
            }
        }
        (call.output, call.leased) = (call.output + piece, block);
        call.charged = call.output;
        Ok(())
    }

    fn end(&mut self, which: &Index) -> Call {
        self.calls.remove(which.index(self.calls.len()))
    }

    fn end_parts(&mut self, parts: Vec<Part>, leased: u64, target: &dyn Fn(Kind) -> u64) {
        parts.into_iter().for_each(|part| part.settle(&mut self.models, self.now, leased, target));
    }

    fn settle(&mut self, which: &Index, &[input, output, cost]: &[Option<u64>; 3]) {
        let call = self.end(which);
        call.reservation.settle_as(&Actual { input, output, cost });
        let (input, output) = (input.unwrap_or(call.input), output.unwrap_or(call.output));
        self.end_parts(call.parts, call.leased, &|kind| match cost {
            Some(cost) if kind == Kind::Cost => cost,
            _ => taken(kind, input) + flowing(kind, output),
        });
    }

    /// The rules of now hold for what waits; then both say the same, whichever way one asks.
    async fn agree(&mut self) -> Result<(), TestCaseError> {
        for (account, rules) in self.rules.iter().enumerate() {
            for lane in rules.lanes() {
                let model = self.models.entry((account, lane[0].key())).or_default();
                if !model.debt.is_empty() {
                    model.limits = limits_of(lane);
                    model.enter(self.now);
                }
                for interval in windows(lane[0].kind) {
                    let limit = limits_of(lane).into_iter().find(|(of, _)| of == interval);
                    let most = model.most.entry(*interval).or_default();
                    *most = limit.map_or(u64::MAX, |(_, tokens)| tokens.max(*most));
                }
            }
        }
        for (account, way) in
            (0..ACCOUNTS).flat_map(|account| self.ways.iter().map(move |way| (account, way)))
        {
            let rules = &self.rules[account];
            let levels = way.usage(&id(account), rules).await.unwrap();
            for (rule, level) in rules.iter().zip(levels) {
                self.agrees(account, rule, level)?;
            }
        }
        Ok(())
    }

    fn agrees(&self, account: usize, rule: &Rule, level: Level) -> Result<(), TestCaseError> {
        let (tokens, model) = (rule.limit.tokens, &self.models[&(account, rule.key())]);
        let interval = rule.limit.interval.as_secs();
        let (used, debt) = match rule.kind {
            Kind::Concurrent => (self.in_flight(account, rule.key()), 0),
            _ => (model.used(self.now, interval), model.owes()),
        };
        let remaining = if debt > 0 { 0 } else { tokens.saturating_sub(used) };
        let says = (level.used, level.debt, level.remaining);
        prop_assert_eq!(says, (used, debt, remaining), "{} of {:?}", rule.id, id(account));
        prop_assert!(used <= model.most[&interval], "more in a window than any version of its limit allowed");
        Ok(())
    }
}

fn limits() -> impl Strategy<Value = Limits> {
    let limit = || (1_u64..=150, weighted(0.4, 1_u64..=400), prop::bool::weighted(0.2), any::<bool>());
    std::array::from_fn::<_, 6, _>(|_| weighted(0.6, limit()))
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let call = any::<Index>;
    let reported = || weighted(0.5, 0_u64..=150);
    let action = prop_oneof![
        6 => (1_u64..=8).prop_map(Action::Wait),
        12 => (1_usize..16, 0_u64..=40, prop::bool::weighted(0.8))
            .prop_map(|(accounts, input, output)| Action::Reserve(accounts, input, output)),
        3 => call().prop_map(Action::Send),
        12 => (call(), 1_u64..=60, 1_u64..=60).prop_map(|(call, piece, block)| Action::Draw(call, piece, block)),
        4 => (call(), [reported(), reported(), weighted(0.2, 0_u64..=300)])
            .prop_map(|(call, reported)| Action::Settle(call, reported)),
        3 => call().prop_map(Action::HangUp),
        2 => (call(), any::<bool>()).prop_map(|(call, request)| Action::Refund(call, request)),
        3 => (0..ACCOUNTS, limits()).prop_map(|(account, limits)| Action::Reload(account, limits)),
        1 => (1_usize..=5).prop_map(Action::Reshard),
        1 => (1_usize..=5).prop_map(Action::Restart),
    ];
    prop::collection::vec(action, 1..80)
}

/// Few in the normal run, as many as one likes by `PROPTEST_CASES`.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(64)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_accounts_agree_with_a_model_through_reloads_reshardings_and_restarts(
        limits in [limits(), limits(), limits(), limits()],
        actions in actions(),
    ) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().start_paused(true).build().unwrap().block_on(async {
            let mut world = World::new(&limits).await;
            for action in &actions {
                world.act(action).await?;
            }
            Ok::<_, TestCaseError>(())
        })?;
    }
}
