//! What the script on the server is asked and what it answers. The rule itself is in `windows.lua`. Units on the wire:
//! microseconds, and amounts up to 2^53.

use std::{fmt::Write as _, time::Duration};

use redis::{Cmd, Value};
use smallvec::SmallVec;

use super::super::{
    account::AccountId,
    booked::{Ask, Booked, Charge, Output, Step, Target},
    clients::{Admitted, Refused},
    ledger::{Level, Standing},
    rule::{Kind, Mode, OnOutputLimit, Rules},
    tick::Tick,
};
use crate::principal::ClientId;

/// The script.
pub(super) const TEXT: &str = include_str!("windows.lua");

/// How long a call in flight or a leased block counts that is never given back, as its router is gone.
pub(super) const HOLD: Duration = Duration::from_secs(15 * 60);

/// The most that a number of the script holds.
const MOST: u64 = 1 << 53;

/// Whom a question is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    /// Before every key.
    pub(super) prefix: &'a str,
    pub(super) account: &'a AccountId,
    pub(super) rules: &'a Rules,
    pub(super) member: Option<&'a ClientId>,
    /// The present; `None` = the server's clock.
    pub(super) now: Option<Tick>,
    /// How long calls in flight and leased blocks count.
    pub(super) hold: Duration,
    /// The digest of the script.
    pub(super) digest: &'a str,
}

/// Numbers, as the script reads them.
#[derive(Debug, Default)]
struct Numbers(String);

/// The numbers of an answer, read in their order.
struct Answer(std::vec::IntoIter<Value>);

/// The answer is none that the script gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Strange;

/// An account's key: `PREFIX{client/alice}`. What is in braces decides where a cluster keeps it, so that of its members
/// is beside it. Ids are escaped, so that no two of them make one key.
pub(super) fn key(prefix: &str, account: &AccountId) -> String {
    let mut key = format!("{prefix}{{");
    match account {
        AccountId::Client(client) => escape(&mut key, "client/", client.as_str()),
        AccountId::Pool(scope, group) => escape(&mut key, &format!("group/{}/", scope.0), group.as_str()),
        AccountId::Total(scope) => escape(&mut key, "total/", &scope.0.to_string()),
    }
    key.push('}');
    key
}

fn escape(key: &mut String, before: &str, id: &str) {
    key.push_str(before);
    for byte in id.bytes() {
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'@' | b':');
        let _ = if plain { write!(key, "{}", char::from(byte)) } else { write!(key, "%{byte:02X}") };
    }
}

/// How the tightest limit stands after a settlement.
pub(super) fn settled(rules: &Rules, answer: Value) -> Result<Option<(usize, Standing)>, Strange> {
    let mut answer = Answer::read(answer)?;
    answer.number()?;
    answer.tightest(rules)
}

impl Subject<'_> {
    pub(super) fn admit(&self, ask: &Ask) -> Cmd {
        self.command("admit", self.rules().ask(ask))
    }

    pub(super) fn look(&self, ask: &Ask) -> Cmd {
        self.command("look", self.rules().ask(ask))
    }

    pub(super) fn draw(&self, step: &Step, shadow: bool) -> Cmd {
        let numbers = self.rules().flag(shadow).output(step.spent).output(step.piece);
        self.command("draw", numbers.output(step.returned).output(step.taken))
    }

    pub(super) fn settle(&self, booked: &Booked, target: &Target, wanted: bool) -> Cmd {
        let Target { input, output, cost, requests } = *target;
        let mut numbers = self.rules().flag(booked.shadow).flag(booked.held).flag(wanted);
        for number in [input, output, cost, requests] {
            numbers = numbers.add(number);
        }
        numbers = numbers.output(booked.returned).output(booked.taken).add(booked.charges.len() as u64);
        for charge in &booked.charges {
            let lane = self.rules.lanes().position(|lane| lane[0].key() == charge.key).map_or(0, |at| at + 1);
            let micros = charge.at.as_nanos() / 1_000;
            numbers = numbers.add(lane as u64).add(micros).add(charge.amount).add(charge.owed);
        }
        self.command("settle", numbers)
    }

    pub(super) fn levels(&self) -> Cmd {
        self.command("levels", self.rules())
    }

    fn rules(&self) -> Numbers {
        let mut numbers = Numbers::default().add(self.rules.lanes().count() as u64);
        for lane in self.rules.lanes() {
            let (first, key) = (&lane[0], lane[0].key());
            numbers = numbers.add(key.scope.0.into()).add(key.kind as u64).flag(key.mode == Mode::Shadow);
            numbers = numbers.add(first.limit.horizon.len() as u64);
            for interval in first.limit.horizon.iter() {
                numbers = numbers.span(*interval);
            }
            numbers = numbers.add(lane.len() as u64);
            for rule in lane {
                numbers = numbers.add(rule.limit.tokens).span(rule.limit.interval);
                numbers = match rule.per_member {
                    Some(share) => numbers.add(share),
                    None => numbers.none(),
                };
                numbers = numbers.flag(rule.on_output_limit == OnOutputLimit::Cut);
            }
        }
        numbers
    }

    fn command(&self, what: &str, Numbers(numbers): Numbers) -> Cmd {
        let key = key(self.prefix, self.account);
        let mut command = redis::cmd("EVALSHA");
        command.arg(self.digest).arg(if self.member.is_some() { 2 } else { 1 }).arg(&key);
        let mut who = String::new();
        if let Some(member) = self.member {
            escape(&mut who, "", member.as_str());
            command.arg(format!("{key}/{who}"));
        }
        let now = self.now.map_or(0, |now| now.as_nanos() / 1_000);
        command.arg(now).arg(what).arg(self.hold.as_micros() as u64).arg(numbers).arg(who);
        command
    }

    /// What an admission came to, and the kinds that refused.
    pub(super) fn admitted(
        &self,
        ask: &Ask,
        answer: Value,
    ) -> Result<(Result<Admitted, Refused>, u8), Strange> {
        let mut answer = Answer::read(answer)?;
        if answer.number()? == 0 {
            return answer.refused(self.rules);
        }
        let at = Tick::from_nanos(answer.number()?.saturating_mul(1_000));
        let shadow = answer.number()? == 1;
        let kinds = answer.number()? as u8;
        let mut charges = SmallVec::new();
        for lane in self.rules.lanes().filter(|lane| shadow || lane[0].mode == Mode::Enforce) {
            let (key, amount) = (lane[0].key(), ask.takes(lane[0].kind));
            if amount > 0 && key.kind != Kind::Concurrent {
                charges.push(Charge { key, at, amount, owed: 0 });
            }
        }
        let booked = Booked { charges, held: true, shadow, ..Booked::default() };
        Ok((Ok(Admitted { booked, tightest: answer.tightest(self.rules)? }), kinds))
    }

    /// Why the call would be refused.
    pub(super) fn looked(&self, answer: Value) -> Result<Option<Refused>, Strange> {
        let mut answer = Answer::read(answer)?;
        if answer.number()? == 1 {
            return Ok(None);
        }
        Ok(answer.refused(self.rules)?.0.err())
    }

    /// What a step charged, or which rule cuts.
    pub(super) fn drawn(
        &self,
        step: &Step,
        shadow: bool,
        answer: Value,
    ) -> Result<Result<Booked, usize>, Strange> {
        let mut answer = Answer::read(answer)?;
        if answer.number()? == 0 {
            return Ok(Err(answer.number()? as usize));
        }
        let at = Tick::from_nanos(answer.number()?.saturating_mul(1_000));
        let mut booked = Booked { returned: step.returned, taken: step.taken, shadow, ..Booked::default() };
        for lane in self.rules.lanes() {
            let (key, owed) = (lane[0].key(), answer.number()?);
            let amount = step.spent.of(key.kind);
            if amount > 0 && (shadow || key.mode == Mode::Enforce) {
                booked.add(Charge { key, at, amount, owed });
            }
        }
        Ok(Ok(booked))
    }

    /// How each rule stands.
    pub(super) fn stands(&self, answer: Value) -> Result<Vec<Level>, Strange> {
        let mut answer = Answer::read(answer)?;
        let mut level = || {
            let (used, remaining) = (answer.number()?, answer.number()?);
            Ok(Level { used, remaining, reset_after: answer.span()?, debt: answer.number()? })
        };
        (0..self.rules.iter().len()).map(|_| level()).collect()
    }
}

impl Numbers {
    fn add(mut self, number: u64) -> Self {
        let _ = write!(self.0, "{} ", number.min(MOST));
        self
    }

    fn none(mut self) -> Self {
        self.0.push_str("-1 ");
        self
    }

    fn flag(self, flag: bool) -> Self {
        self.add(flag.into())
    }

    fn span(self, span: Duration) -> Self {
        self.add(u64::try_from(span.as_micros()).unwrap_or(MOST))
    }

    fn output(self, output: Output) -> Self {
        self.add(output.tokens).add(output.cost)
    }

    fn ask(self, ask: &Ask) -> Self {
        self.add(ask.input).add(ask.cost).flag(ask.output)
    }
}

impl Answer {
    fn read(answer: Value) -> Result<Self, Strange> {
        match answer {
            Value::Array(numbers) => Ok(Self(numbers.into_iter())),
            _ => Err(Strange),
        }
    }

    /// The next number, if it is none below 0.
    fn any(&mut self) -> Result<Option<u64>, Strange> {
        match self.0.next() {
            Some(Value::Int(number)) => Ok(u64::try_from(number).ok()),
            _ => Err(Strange),
        }
    }

    fn number(&mut self) -> Result<u64, Strange> {
        self.any().map(Option::unwrap_or_default)
    }

    fn span(&mut self) -> Result<Duration, Strange> {
        self.number().map(Duration::from_micros)
    }

    fn refused(mut self, rules: &Rules) -> Result<(Result<Admitted, Refused>, u8), Strange> {
        let (which, wait, remaining) = (self.number()? as usize, self.any()?, self.number()?);
        let limit = rules.position(which).ok_or(Strange)?.limit.tokens;
        let standing = Standing { limit, remaining, reset_after: self.span()? };
        let kinds = self.number()? as u8;
        let refused = match wait {
            Some(micros) => Refused::Short { which, retry_after: Duration::from_micros(micros), standing },
            None => Refused::Oversize { which, standing },
        };
        Ok((Err(refused), kinds))
    }

    fn tightest(mut self, rules: &Rules) -> Result<Option<(usize, Standing)>, Strange> {
        let Some(which) = self.any()? else { return Ok(None) };
        let (which, remaining, reset_after) = (which as usize, self.number()?, self.span()?);
        let limit = rules.position(which).ok_or(Strange)?.limit.tokens;
        Ok(Some((which, Standing { limit, remaining, reset_after })))
    }
}
