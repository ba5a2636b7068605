//! What a caller holds while its call is under way: what it took of each account, which is given back unless the call
//! was sent, and what its stream has produced.

use smallvec::SmallVec;
use tokio::{sync::oneshot, time::timeout};

use super::{
    ANSWER_WITHIN,
    account::AccountId,
    booked::{Ask, Booked, Output, Step, Target},
    counts::Settled,
    ledger::Standing,
    rule::{Kind, Price, Rule, Rules},
    shard::{Draw, Ending, Message, Settle},
};
use crate::{
    address::{Address, Unreachable},
    principal::ClientId,
};

/// What one call took of its accounts.
///
/// Ends in one of these ways, exactly once: [`settle`](Self::settle), [`settle_as`](Self::settle_as),
/// [`refund`](Self::refund), [`release`](Self::release), [`refund_but_request`](Self::refund_but_request), or `Drop`,
/// which settles by what was counted if [`sent`](Self::sent) was called and gives everything back if not. So a caller
/// that goes away at any time, even between an actor's answer and its own reading of it, loses only what it used, and
/// is in flight no longer.
#[derive(Debug)]
#[must_use = "dropped, it gives everything back"]
pub struct Reservation {
    /// Empty once it has ended.
    parts: SmallVec<[Part; 1]>,
    ask: Ask,
    /// Input tokens that are charged where nobody reports any.
    input: u64,
    price: Price,
    /// Output tokens so far.
    produced: u64,
    /// So many of them are charged.
    charged: u64,
    /// So many came last.
    piece: u64,
    leased: Output,
    /// So many tokens more may go before it is tried again to draw, since an actor did not answer.
    unasked: u64,
    /// What is known of the provider's report so far.
    reported: Actual,
    sent: bool,
}

/// What the provider says, or whoever counted the answer. What is absent stays as it was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Actual {
    /// Input tokens that are to be charged. Absent: those counted stand.
    pub input: Option<u64>,
    /// Output tokens. Absent: what was counted as it flowed stands.
    pub output: Option<u64>,
    /// Money, in 10⁻⁹ of its unit. Absent: the tokens above at the price of the demand.
    pub cost: Option<u64>,
}

/// What became of a block that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Drawn {
    /// The stream goes on. Also when an actor could not be asked: what was produced is charged later then.
    Granted,
    /// The rule is used up and cuts. The last piece is not counted: it does not go to the client any more.
    Over(Rule),
}

/// What a call has of one account. Dropped, it is given back.
#[derive(Debug)]
pub(super) struct Part {
    home: Address<Message>,
    /// `None` once it is settled or given back.
    booking: Option<Box<Booking>>,
    /// The rule with the smallest share left after the admission, by position, and how it stood.
    tightest: Option<(usize, Standing)>,
}

/// What was booked, where, under which version of the rules.
#[derive(Debug)]
pub(super) struct Booking {
    pub(super) account: AccountId,
    pub(super) rules: Rules,
    pub(super) member: Option<ClientId>,
    pub(super) booked: Booked,
    /// Whether it is on the server that several routers share.
    pub(super) stored: bool,
}

impl Reservation {
    pub(super) fn new(parts: SmallVec<[Part; 1]>, ask: Ask, price: Price) -> Self {
        let (input, leased, reported) = (ask.input, Output::default(), Actual::default());
        let (produced, charged, piece, unasked) = (0, 0, 0, 0);
        Self { parts, ask, input, price, produced, charged, piece, leased, unasked, reported, sent: false }
    }

    /// How the limit with the smallest share left stood right after the admission; `None` if none has a window.
    pub fn standing(&self) -> Option<Standing> {
        self.tightest().map(|(_, standing)| standing)
    }

    /// The enforced rule with the smallest share left after the admission, and how it stood.
    pub fn tightest(&self) -> Option<(&Rule, Standing)> {
        let all = self.parts.iter().filter_map(Part::tightest);
        all.reduce(|least, other| if other.1.is_tighter(&least.1) { other } else { least })
    }

    /// The input tokens taken.
    pub fn amount(&self) -> u64 {
        self.ask.input
    }

    /// Output tokens that were counted so far.
    pub fn produced(&self) -> u64 {
        self.produced
    }

    /// So many input tokens were counted, though others were asked for: these are charged if nobody reports any.
    pub fn counted(&mut self, input: u64) {
        self.input = input;
    }

    /// From now on the call's tokens count as used if the reservation is dropped: it is on its way.
    pub fn sent(&mut self) {
        self.sent = true;
    }

    /// Counts a piece of output that is about to go to the client, and tells how many tokens of all are covered by no
    /// block yet. Not 0: [`draw`](Self::draw) before the piece goes.
    pub fn produce(&mut self, tokens: u64) -> u64 {
        let tokens = tokens.min(u64::MAX - self.produced);
        (self.produced, self.piece) = (self.produced + tokens, tokens);
        if !self.flows() {
            return 0;
        }
        (self.produced - self.charged).saturating_sub(self.leased.tokens.saturating_add(self.unasked))
    }

    /// What the provider has reported so far, and what of it is to be charged if nothing more comes.
    pub fn reported(&mut self, actual: Actual) {
        self.reported = actual;
    }

    /// Charges what was produced and leases `block` more tokens, in every account or in none: one message each. Dropping
    /// the future at any time leaves the reservation as it was.
    pub async fn draw(&mut self, block: u64) -> Drawn {
        let cost = |tokens| self.price.of(0, 0, tokens);
        let between = |from, to| Output { tokens: to - from, cost: cost(to) - cost(from) };
        let spent = between(self.charged, self.produced);
        let piece = between(self.produced - self.piece, self.produced);
        let taken = between(0, block);
        let step = Step { spent, piece, returned: self.leased, taken };
        let mut drawn = SmallVec::<[(usize, Part); 1]>::new();
        for (index, part) in self.parts.iter().enumerate().filter(|(_, part)| part.flows()) {
            match part.draw(step).await {
                Some(Ok(Ok(step))) => drawn.push((index, step)),
                Some(Ok(Err(over))) => {
                    self.produced -= std::mem::take(&mut self.piece);
                    return Drawn::Over(over);
                }
                Some(Err(_)) => {
                    self.unasked = (self.produced - self.charged).saturating_add(block);
                    return Drawn::Granted;
                }
                None => {}
            }
        }
        for (index, step) in drawn {
            self.parts[index].absorb(step);
        }
        (self.charged, self.leased, self.piece, self.unasked) = (self.produced, taken, 0, 0);
        Drawn::Granted
    }

    /// Output that is charged nowhere yet: it is within the block that was drawn last.
    pub fn uncharged(&self) -> u64 {
        if self.flows() { self.produced - self.charged } else { 0 }
    }

    /// Charges what was produced and keeps the rest of the block: for a stream that draws none for a while. Where a limit is
    /// used up by others meanwhile, it is charged with the next block, or at the end.
    pub async fn charge(&mut self) {
        self.piece = 0;
        let rest = self.leased.tokens.saturating_sub(self.uncharged()).max(1);
        let _ = self.draw(rest).await;
    }

    /// Makes the charge final, with what was counted.
    pub fn settle(self) {
        self.settle_as(&Actual::default());
    }

    /// Makes the charge final: corrected to what is known better by now, both ways, output and money included.
    pub fn settle_as(mut self, actual: &Actual) {
        let (target, settled) = self.target(actual);
        self.end(Ending::Settled, &target, settled);
    }

    /// Gives everything back, sent or not. One-way: for a stream whose head is out already.
    pub fn release(mut self) {
        self.give_back(&Target::default());
    }

    /// Gives everything back, and tells how the tightest limit stands then. The refund itself is sent at the first poll
    /// and cannot fail; if an actor does not answer, the standing is computed from the last one known.
    pub async fn refund(self) -> Option<(Kind, Standing)> {
        self.refund_to(Target::default()).await
    }

    /// As [`refund`](Self::refund), but the call counts as a request: what the provider refused for the caller's fault.
    pub async fn refund_but_request(self) -> Option<(Kind, Standing)> {
        self.refund_to(Target { requests: 1, ..Target::default() }).await
    }

    async fn refund_to(mut self, target: Target) -> Option<(Kind, Standing)> {
        let mut answers = SmallVec::<[_; 1]>::new();
        let mut settled = self.refunded();
        for mut part in self.parts.drain(..) {
            let (guess, rules) = (part.guess(), part.rules());
            // One way, since a call whose deadline passes is skipped.
            let answer = part.end(Ending::Refunded, &target, std::mem::take(&mut settled), true);
            answers.push((guess, rules, answer));
        }
        let mut tightest: Option<(Kind, Standing)> = None;
        for (guess, rules, answer) in answers {
            let answer = match answer {
                Some(answer) => timeout(ANSWER_WITHIN, answer).await.ok().and_then(Result::ok),
                None => None,
            };
            let Some((which, standing)) = answer.unwrap_or(guess) else { continue };
            let Some(kind) = rules.and_then(|rules| Some(rules.position(which)?.kind)) else { continue };
            if tightest.is_none_or(|(_, least)| standing.is_tighter(&least)) {
                tightest = Some((kind, standing));
            }
        }
        tightest
    }

    /// Whether output that flows is charged to any account: if not, nobody need count it.
    pub fn flows(&self) -> bool {
        self.parts.iter().any(Part::flows)
    }

    /// Whether [`draw`](Self::draw) may ever say [`Over`](Drawn::Over).
    pub fn may_be_cut(&self) -> bool {
        self.parts.iter().any(|part| part.booking.as_ref().is_some_and(|booking| booking.rules.cut()))
    }

    fn target(&self, actual: &Actual) -> (Target, Settled) {
        let input = actual.input.unwrap_or(self.input);
        let output = actual.output.unwrap_or(self.produced);
        let cost = actual.cost.unwrap_or_else(|| self.price.of(input, 0, output));
        let mut settled = Settled::default();
        for (reported, tokens) in [(actual.input.is_some(), input), (actual.output.is_some(), output)] {
            let source = if reported { &mut settled.reported } else { &mut settled.counted };
            *source = source.saturating_add(tokens);
        }
        (Target { input, output, cost, requests: 1 }, settled)
    }

    fn refunded(&self) -> Settled {
        Settled { refunded: self.ask.input.saturating_add(self.produced), ..Settled::default() }
    }

    fn give_back(&mut self, target: &Target) {
        self.end(Ending::Refunded, target, self.refunded());
    }

    fn end(&mut self, ending: Ending, target: &Target, mut settled: Settled) {
        for mut part in self.parts.drain(..) {
            part.end(ending, target, std::mem::take(&mut settled), false);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.parts.is_empty() {
        } else if self.sent {
            let (target, settled) = self.target(&self.reported);
            self.end(Ending::Settled, &target, settled);
        } else {
            self.give_back(&Target::default());
        }
    }
}

impl Part {
    pub(super) fn new(home: Address<Message>, booking: Booking, tightest: Option<(usize, Standing)>) -> Self {
        Self { home, booking: Some(Box::new(booking)), tightest }
    }

    /// Takes the booking out: nothing is sent any more.
    pub(super) fn unbook(mut self) -> Option<Box<Booking>> {
        self.booking.take()
    }

    /// Gives everything back. An actor does so ahead of whatever the caller asks next; a server is waited for.
    pub(super) async fn give_back(mut self) {
        let stored = self.booking.as_ref().is_some_and(|booking| booking.stored);
        let answer = self.end(Ending::Refunded, &Target::default(), Settled::default(), stored);
        if let Some(answer) = answer {
            let _ = timeout(ANSWER_WITHIN, answer).await;
        }
    }

    fn tightest(&self) -> Option<(&Rule, Standing)> {
        let (which, standing) = self.tightest?;
        Some((self.booking.as_ref()?.rules.position(which)?, standing))
    }

    /// The version of the rules it was admitted with.
    fn rules(&self) -> Option<Rules> {
        self.booking.as_ref().map(|booking| booking.rules.clone())
    }

    fn flows(&self) -> bool {
        self.booking.as_ref().is_some_and(|booking| booking.rules.flow())
    }

    /// Asks for the next block. `None` if it has ended.
    async fn draw(&self, step: Step) -> Option<Result<Result<Self, Rule>, Unreachable>> {
        let Booking { account, rules, member, booked, stored } = self.booking.as_deref()?;
        let draw = |reply| {
            Message::Draw(Draw {
                account: account.clone(),
                rules: rules.clone(),
                member: member.clone(),
                step,
                shadow: booked.shadow,
                stored: *stored,
                home: self.home.clone(),
                reply,
            })
        };
        let answer = match self.home.call(ANSWER_WITHIN, draw).await {
            Ok(answer) => answer,
            Err(gone) => return Some(Err(gone)),
        };
        let over = |which| rules.position(which).cloned();
        Some(Ok(match answer {
            Ok(part) => Ok(part),
            Err(which) => Err(over(which)?),
        }))
    }

    fn absorb(&mut self, step: Self) {
        if let (Some(booking), Some(step)) = (&mut self.booking, step.unbook()) {
            booking.booked.absorb(step.booked);
        }
    }

    /// How the tightest limit will stand when what was taken of it is back, as far as is known here.
    fn guess(&self) -> Option<(usize, Standing)> {
        let ((which, known), booking) = (self.tightest?, self.booking.as_ref()?);
        let back = booking.booked.amount(booking.rules.position(which)?.key());
        Some((which, Standing { remaining: known.limit.min(known.remaining.saturating_add(back)), ..known }))
    }

    /// Ends it, and gives the way to the answer if it is wanted.
    fn end(
        &mut self,
        ending: Ending,
        target: &Target,
        settled: Settled,
        wanted: bool,
    ) -> Option<oneshot::Receiver<Option<(usize, Standing)>>> {
        let booking = self.booking.take()?;
        let (answer, answered) = wanted.then(oneshot::channel).unzip();
        self.home.cast(Message::Settle(Settle { booking, target: *target, ending, settled, answer }));
        answered
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Of an admission or a block that nobody waited for.
        let admitted = self.booking.as_ref().is_some_and(|booking| booking.booked.held);
        let ending = if admitted { Ending::Refunded } else { Ending::Undone };
        self.end(ending, &Target::default(), Settled::default(), false);
    }
}
