//! The script against the ledger of this process: random calls with a time of their own through both, which must give the
//! same answers. A `redis-server` of the test's own.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use proptest::{prelude::*, sample::Index};
use redis::{Connection, ConnectionLike as _, Value};

use super::script::{self, Subject, key};
use crate::{
    Group,
    principal::ClientId,
    quota::{
        AccountId, Ask, Counts, Kind, Level, Limit, Mode, OnOutputLimit, Rule, Rules, Scope, Standing,
        Tracked,
        booked::{Booked, Output, Step as Block, Target},
        clients::{Clients, Refused},
        tick::Tick,
    },
};

mod shards;

/// A server that ends with the test.
pub(super) struct Server {
    child: Child,
    pub(super) port: u16,
}

impl Server {
    pub(super) fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("redis-server");
        command.args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        let child = command.stdout(Stdio::null()).spawn().expect("redis-server is installed");
        let server = Self { child, port };
        let began = Instant::now();
        while server.try_connect().is_err() {
            assert!(began.elapsed() < Duration::from_secs(20), "redis-server does not start");
            std::thread::yield_now();
        }
        server
    }

    pub(super) fn connect(&self) -> Connection {
        self.try_connect().unwrap()
    }

    fn try_connect(&self) -> redis::RedisResult<Connection> {
        let mut connection =
            redis::Client::open(format!("redis://127.0.0.1:{}/", self.port))?.get_connection()?;
        redis::cmd("PING").exec(&mut connection)?;
        Ok(connection)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Microseconds.
    Wait(u64),
    /// Who asks, for how much input.
    Admit(bool, u64),
    Look(bool, u64),
    /// A stream has used up so many per cent of its block, and wants another.
    Draw(Index, u64, u64),
    /// Settled with so many per cent of the input and output that were counted.
    Settle(Index, u64, u64),
    /// Everything back, with or without its request.
    Refund(Index, bool),
    /// Limits become so many per cent of what they were at first.
    Limits(u64),
}

/// How a world is limited.
#[derive(Clone, Debug)]
struct Setup {
    tokens: [u64; 6],
    /// A second window, shorter or longer by so much.
    second: Option<(u64, u64)>,
    interval: u64,
    cut: bool,
    shadow: bool,
    share: Option<u64>,
}

struct Call {
    one: Booked,
    other: Booked,
    rules: Rules,
    member: Option<ClientId>,
    input: u64,
    output: u64,
    lease: u64,
}

struct World<'a> {
    connection: &'a mut Connection,
    digest: String,
    clients: Clients,
    account: AccountId,
    setup: Setup,
    rules: Rules,
    calls: Vec<Call>,
    now: u64,
}

const PRICE: u64 = 3;

fn rules(setup: &Setup, percent: u64) -> Rules {
    let amount = |tokens: u64| (tokens * percent / 100).max(1);
    let rule = |kind: Kind, tokens: u64, micros: u64, mode| {
        let interval = Duration::from_micros(micros);
        let limit =
            Limit { scope: Scope(7), tokens: amount(tokens), interval, horizon: Arc::new([interval]) };
        let share = setup.share.filter(|_| kind != Kind::Concurrent && mode == Mode::Enforce);
        Rule {
            mode,
            on_output_limit: if setup.cut { OnOutputLimit::Cut } else { OnOutputLimit::Finish },
            per_member: share.map(|percent| (amount(tokens) * percent / 100).max(1)),
            ..Rule::new(kind, limit, kind.name())
        }
    };
    let mut all: Vec<_> = Kind::ALL
        .into_iter()
        .zip(setup.tokens)
        .map(|(kind, tokens)| rule(kind, tokens, setup.interval, Mode::Enforce))
        .collect();
    if let Some((factor, tokens)) = setup.second {
        all.push(rule(Kind::Input, setup.tokens[0] * tokens, setup.interval * factor, Mode::Enforce));
        all.push(rule(Kind::Output, setup.tokens[1] * tokens, setup.interval * factor, Mode::Enforce));
    }
    if setup.shadow {
        all.push(rule(Kind::Input, setup.tokens[0] / 2, setup.interval, Mode::Shadow));
        all.push(rule(Kind::Output, setup.tokens[1] / 2, setup.interval, Mode::Shadow));
    }
    all.into_iter().collect()
}

fn micros(micros: u64) -> Tick {
    Tick::from_nanos(micros * 1_000)
}

/// The same, but for what is less than a microsecond.
fn alike(one: Duration, other: Duration) -> bool {
    one.abs_diff(other) <= Duration::from_micros(1)
}

fn standings(one: Standing, other: Standing) -> bool {
    (one.limit, one.remaining) == (other.limit, other.remaining) && alike(one.reset_after, other.reset_after)
}

fn refusals(one: &Refused, other: &Refused) -> bool {
    match (one, other) {
        (
            Refused::Short { which, retry_after, standing },
            Refused::Short { which: same, retry_after: after, standing: stands },
        ) => which == same && alike(*retry_after, *after) && standings(*standing, *stands),
        (Refused::Oversize { which, standing }, Refused::Oversize { which: same, standing: stands }) => {
            which == same && standings(*standing, *stands)
        }
        _ => false,
    }
}

impl World<'_> {
    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Wait(micros) => self.now += micros,
            Step::Admit(other, input) => self.admit(*other, *input)?,
            Step::Look(other, input) => self.look(*other, *input)?,
            Step::Limits(percent) => self.rules = rules(&self.setup, *percent),
            _ if self.calls.is_empty() => {}
            Step::Draw(which, percent, block) => {
                let which = which.index(self.calls.len());
                self.draw(which, *percent, *block)?;
            }
            Step::Settle(which, input, output) => {
                let call = self.calls.remove(which.index(self.calls.len()));
                let target = target(call.input * input / 100, (call.output + call.lease) * output / 100, 1);
                self.settle(call, target)?;
            }
            Step::Refund(which, request) => {
                let call = self.calls.remove(which.index(self.calls.len()));
                self.settle(call, target(0, 0, (*request).into()))?;
            }
        }
        self.agree()
    }

    fn member(&self, other: bool) -> Option<ClientId> {
        self.setup.share.map(|_| ClientId::new(if other { "bob" } else { "alice" }))
    }

    fn run(&mut self, command: &redis::Cmd) -> Value {
        self.connection.req_command(command).unwrap()
    }

    fn admit(&mut self, other: bool, input: u64) -> Result<(), TestCaseError> {
        let (rules, account, member, now) =
            (self.rules.clone(), self.account.clone(), self.member(other), micros(self.now));
        let ask = Ask { input, cost: input * PRICE, output: true };
        let expected = self.clients.admit(now, &account, &rules, &ask, member.as_ref());
        let digest = self.digest.clone();
        let subject = subject(&account, &rules, member.as_ref(), now, &digest);
        let answer = self.run(&subject.admit(&ask));
        let (found, _) = subject.admitted(&ask, answer).unwrap();
        match (expected, found) {
            (Ok(one), Ok(found)) => {
                prop_assert_eq!(format!("{:?}", one.booked), format!("{:?}", found.booked));
                let same = match (one.tightest, found.tightest) {
                    (Some(one), Some(other)) => one.0 == other.0 && standings(one.1, other.1),
                    (one, other) => one.is_none() && other.is_none(),
                };
                prop_assert!(same, "{:?} {:?}", one.tightest, found.tightest);
                let (one, other) = (one.booked, found.booked);
                self.calls.push(Call { one, other, rules, member, input, output: 0, lease: 0 });
            }
            (Err(one), Err(other)) => prop_assert!(refusals(&one, &other), "{:?} {:?}", one, other),
            (one, other) => prop_assert!(false, "{:?} {:?}", one, other),
        }
        Ok(())
    }

    fn look(&mut self, other: bool, input: u64) -> Result<(), TestCaseError> {
        let (rules, account, member, now) =
            (self.rules.clone(), self.account.clone(), self.member(other), micros(self.now));
        let ask = Ask { input, cost: input * PRICE, output: false };
        let expected = self.clients.look(now, &account, &rules, &ask, member.as_ref());
        let digest = self.digest.clone();
        let subject = subject(&account, &rules, member.as_ref(), now, &digest);
        let answer = self.run(&subject.look(&ask));
        match (expected, subject.looked(answer).unwrap()) {
            (None, None) => {}
            (Some(one), Some(other)) => prop_assert!(refusals(&one, &other), "{:?} {:?}", one, other),
            (one, other) => prop_assert!(false, "{:?} {:?}", one, other),
        }
        Ok(())
    }

    fn draw(&mut self, which: usize, percent: u64, block: u64) -> Result<(), TestCaseError> {
        let (account, now, digest) = (self.account.clone(), micros(self.now), self.digest.clone());
        let call = &mut self.calls[which];
        let spent = call.lease * percent / 100;
        let output = |tokens: u64| Output { tokens, cost: tokens * PRICE };
        let step = Block {
            spent: output(spent),
            piece: output(spent / 3),
            returned: output(call.lease),
            taken: output(block),
        };
        let shadow = call.one.shadow;
        let expected = self.clients.draw(now, &account, &call.rules, (&step, shadow), call.member.as_ref());
        let (rules, member) = (call.rules.clone(), call.member.clone());
        let subject = subject(&account, &rules, member.as_ref(), now, &digest);
        let answer = self.connection.req_command(&subject.draw(&step, shadow)).unwrap();
        let found = subject.drawn(&step, shadow, answer).unwrap();
        prop_assert_eq!(format!("{:?}", expected), format!("{:?}", found));
        if let (Ok(one), Ok(other)) = (expected, found) {
            call.one.absorb(one);
            call.other.absorb(other);
            (call.output, call.lease) = (call.output + spent, block);
        }
        Ok(())
    }

    fn settle(&mut self, call: Call, target: Target) -> Result<(), TestCaseError> {
        let (account, now, digest) = (self.account.clone(), micros(self.now), self.digest.clone());
        let subject = subject(&account, &call.rules, call.member.as_ref(), now, &digest);
        let answer = self.run(&subject.settle(&call.other, &target, true));
        self.clients.settle(now, &account, &call.rules, (call.one, &target), call.member.as_ref());
        let expected = self.clients.tightest(now, &account, &call.rules);
        match (expected, script::settled(&call.rules, answer).unwrap()) {
            (Some(one), Some(other)) => {
                prop_assert!(one.0 == other.0 && standings(one.1, other.1), "{:?} {:?}", one, other);
            }
            (one, other) => prop_assert!(one.is_none() && other.is_none()),
        }
        Ok(())
    }

    /// Both say the same of every rule, and no key is for ever.
    fn agree(&mut self) -> Result<(), TestCaseError> {
        let (account, rules, now) = (self.account.clone(), self.rules.clone(), micros(self.now));
        let expected = self.clients.levels(now, &account, &rules);
        let digest = self.digest.clone();
        let subject = subject(&account, &rules, None, now, &digest);
        let answer = self.run(&subject.levels());
        let found = subject.stands(answer).unwrap();
        for (one, other) in expected.iter().zip(&found) {
            let amounts = |level: &Level| (level.used, level.remaining, level.debt);
            prop_assert_eq!(amounts(one), amounts(other));
            prop_assert!(alike(one.reset_after, other.reset_after), "{:?} {:?}", one, other);
        }
        prop_assert_eq!(expected.len(), found.len());
        let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(self.connection).unwrap();
        for key in keys {
            let ttl: i64 = redis::cmd("PTTL").arg(&key).query(self.connection).unwrap();
            prop_assert!(ttl > 0, "{} has no time to live", key);
        }
        Ok(())
    }
}

fn target(input: u64, output: u64, requests: u64) -> Target {
    Target { input, output, cost: (input + output) * PRICE, requests }
}

fn subject<'a>(
    account: &'a AccountId,
    rules: &'a Rules,
    member: Option<&'a ClientId>,
    now: Tick,
    digest: &'a str,
) -> Subject<'a> {
    // Time does not end what the ledger holds.
    let hold = Duration::from_secs(31 * 86_400);
    Subject { prefix: "t:", account, rules, member, now: Some(now), hold, digest }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let any_call = any::<Index>;
    let step = prop_oneof![
        3 => (1_u64..=90_000_000).prop_map(Step::Wait),
        4 => (1_u64..=1_500_000).prop_map(Step::Wait),
        8 => (any::<bool>(), 0_u64..=40).prop_map(|(other, input)| Step::Admit(other, input)),
        2 => (any::<bool>(), 0_u64..=40).prop_map(|(other, input)| Step::Look(other, input)),
        8 => (any_call(), 0_u64..=100, 1_u64..=60).prop_map(|(call, used, block)| Step::Draw(call, used, block)),
        4 => (any_call(), 0_u64..=200, 0_u64..=150).prop_map(|(call, input, output)| Step::Settle(call, input, output)),
        1 => (any_call(), any::<bool>()).prop_map(|(call, request)| Step::Refund(call, request)),
        1 => (20_u64..=200).prop_map(Step::Limits),
    ];
    prop::collection::vec(step, 1..150)
}

fn setups() -> impl Strategy<Value = Setup> {
    let tokens = [1_u64..=100, 1_u64..=100, 1_u64..=150, 1_u64..=8, 1_u64..=400, 1_u64..=5];
    let second = prop::option::of((2_u64..=60, 1_u64..=5));
    let interval =
        prop::sample::select(vec![1_000_000_u64, 7_000_000, 60_000_000, 59_999_999, 3_600_000_000]);
    let rest = (any::<bool>(), any::<bool>(), prop::option::of(10_u64..=100));
    (tokens, second, interval, rest).prop_map(|(tokens, second, interval, (cut, shadow, share))| Setup {
        tokens,
        second,
        interval,
        cut,
        shadow,
        share,
    })
}

#[test]
fn the_script_and_the_ledger_give_the_same_answers() {
    let server = Server::start();
    let config = ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(setup in setups(), steps in steps())| {
        let mut connection = server.connect();
        redis::cmd("FLUSHALL").exec(&mut connection).unwrap();
        let digest = redis::cmd("SCRIPT").arg("LOAD").arg(script::TEXT).query(&mut connection).unwrap();
        let account = match setup.share {
            Some(_) => AccountId::Pool(Scope(7), Group::new("staff")),
            None => AccountId::Client(ClientId::new("alice")),
        };
        let clients = Clients::new(Tracked::new(1), &Counts::default());
        let rules = rules(&setup, 100);
        let mut world =
            World { connection: &mut connection, digest, clients, account, setup, rules, calls: Vec::new(), now: 9_000_000_000 };
        for step in &steps {
            world.step(step)?;
        }
    });
}

#[test]
fn a_call_in_flight_that_is_never_given_back_ends_by_itself() {
    let server = Server::start();
    let mut connection = server.connect();
    let digest: String = redis::cmd("SCRIPT").arg("LOAD").arg(script::TEXT).query(&mut connection).unwrap();
    let limit = Limit { scope: Scope(7), tokens: 1, interval: script::HOLD, horizon: [script::HOLD].into() };
    let (account, rules) =
        (AccountId::Client(ClientId::new("alice")), Rules::new([Rule::new(Kind::Concurrent, limit, "")]));
    let mut admitted = |seconds: u64| {
        let now = micros(1_000_000 * (1_000 + seconds));
        let subject = Subject { hold: script::HOLD, ..subject(&account, &rules, None, now, &digest) };
        let answer = connection.req_command(&subject.admit(&Ask::default())).unwrap();
        subject.admitted(&Ask::default(), answer).unwrap().0.is_ok()
    };
    assert_eq!([0, 1, 899, 900, 901].map(&mut admitted), [true, false, false, true, false]);
}

#[test]
fn no_two_accounts_have_one_key_and_those_of_an_account_lie_together() {
    let ids = ["a", "a/b", "a}b", "{a", "", "%61", "ä", "7/a", "A", "a:b"];
    let clients = ids.map(|id| AccountId::Client(ClientId::new(id)));
    let pools = ids.map(|id| AccountId::Pool(Scope(7), Group::new(id)));
    let all: Vec<_> = clients.iter().chain(&pools).chain(&[AccountId::Total(Scope(7))]).collect();
    let mut keys: Vec<_> = all.iter().map(|id| key("nexus:", id)).collect();
    assert_eq!(keys[0], "nexus:{client/a}");
    assert!(keys.iter().all(|key| key.matches(['{', '}']).count() == 2), "one hash tag each: {keys:?}");
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), all.len());
}
