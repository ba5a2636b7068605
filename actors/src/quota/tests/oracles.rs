//! What goes wrong elsewhere, a test for each line of a list that was drawn from the faults of other routers. Lines that
//! are about reading answers (what counts as a token, whose usage is believed) are tested where answers are read.

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

fn rule(kind: Kind, tokens: u64, interval: Duration) -> Rule {
    Rule::new(kind, limit(tokens, interval), kind.name())
}

fn cut(kind: Kind, tokens: u64) -> Rule {
    Rule { on_output_limit: OnOutputLimit::Cut, ..rule(kind, tokens, MINUTE) }
}

fn rules(all: impl IntoIterator<Item = Rule>) -> Rules {
    Rules::new(all)
}

fn output(tokens: u64) -> Actual {
    Actual { output: Some(tokens), ..Actual::default() }
}

impl Running {
    /// A call of alice that may produce output.
    async fn call(&self, rules: &Rules, input: u64) -> Result<Reservation, Refusal> {
        let accounts = [(AccountId::Client(alice()), rules)];
        let price = Price { input: 1_000_000, cached_input: 500_000, output: 2_000_000 };
        self.quota.reserve(&Demand { output: true, price, ..Demand::of_input(&accounts, input) }).await
    }

    async fn used(&self, rules: &Rules) -> Vec<u64> {
        let levels = self.quota.usage(&AccountId::Client(alice()), rules).await.unwrap();
        levels.iter().map(|level| level.used + level.debt).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oracle_1_concurrent_streams_never_exceed_the_limit_by_more_than_a_block_each() {
    const BLOCK: u64 = 32;
    let running = Arc::new(running(2, 10).await);
    let rules = rules([Rule { limit: limit(5_000, DAY), ..cut(Kind::Output, 0) }]);
    let mut streams = JoinSet::new();
    for _ in 0..64 {
        let (running, rules) = (Arc::clone(&running), rules.clone());
        streams.spawn(async move {
            let mut produced = 0;
            while let Ok(mut stream) = running.call(&rules, 1).await {
                stream.sent();
                for _ in 0..40 {
                    if stream.produce(7) > 0 && stream.draw(BLOCK).await != Drawn::Granted {
                        break;
                    }
                }
                produced += stream.produced();
                drop(stream);
            }
            produced
        });
    }
    let produced: u64 = streams.join_all().await.into_iter().sum();
    assert!((5_000..=5_000 + 64 * BLOCK).contains(&produced), "{produced} of 5,000");
    assert_eq!(running.used(&rules).await, [produced], "every token is charged, once");
}

#[tokio::test(start_paused = true)]
async fn oracle_2_a_day_of_fewer_tokens_than_seconds_is_exact() {
    let running = running(1, 10).await;
    let rules = rules([rule(Kind::Output, 1_000, DAY)]);
    running.call(&rules, 1).await.unwrap().settle_as(&output(1_000));
    assert_eq!(running.used(&rules).await, [1_000]);
    advance(DAY - Duration::from_nanos(1)).await;
    assert!(running.call(&rules, 1).await.is_err());
    advance(Duration::from_nanos(1)).await;
    assert!(running.call(&rules, 1).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn oracle_3_output_is_charged_and_money_goes_by_the_report() {
    let running = running(1, 10).await;
    let kinds = [Kind::Input, Kind::Output, Kind::Total, Kind::Request, Kind::Cost];
    let rules = rules(kinds.map(|kind| rule(kind, 1_000_000, DAY)));
    let reported = Actual { input: Some(120), output: Some(50), cost: Some(120 - 40 + 20 + 100) };
    running.call(&rules, 100).await.unwrap().settle_as(&reported);
    assert_eq!(running.used(&rules).await, [120, 50, 170, 1, 200]);
}

#[tokio::test(start_paused = true)]
async fn oracle_5_what_is_not_reported_stays_as_it_was_counted_and_a_smaller_report_gives_back() {
    let running = running(1, 10).await;
    let rules = rules([Kind::Input, Kind::Output].map(|kind| rule(kind, 1_000, MINUTE)));
    for (actual, used) in [(Actual::default(), [10, 30]), (output(20), [20, 50]), (output(0), [30, 50])] {
        let mut stream = running.call(&rules, 10).await.unwrap();
        assert_eq!(stream.produce(30), 30);
        assert_eq!(stream.draw(256).await, Drawn::Granted);
        stream.settle_as(&actual);
        assert_eq!(running.used(&rules).await, used);
    }
}

#[tokio::test(start_paused = true)]
async fn oracle_6_whoever_leaves_pays_for_what_was_delivered_and_is_in_flight_no_longer() {
    let running = running(1, 10).await;
    let kinds = [Kind::Input, Kind::Output, Kind::Request, Kind::Concurrent];
    let rules = rules(kinds.map(|kind| rule(kind, 1_000, MINUTE)));
    let before_it_was_sent = running.call(&rules, 10).await.unwrap();
    drop(before_it_was_sent);
    assert_eq!(running.used(&rules).await, [0, 0, 0, 0]);
    let mut before_the_first_byte = running.call(&rules, 10).await.unwrap();
    before_the_first_byte.sent();
    drop(before_the_first_byte);
    assert_eq!(running.used(&rules).await, [10, 0, 1, 0]);
    let mut midway = running.call(&rules, 10).await.unwrap();
    midway.sent();
    midway.produce(300);
    assert_eq!(midway.draw(256).await, Drawn::Granted);
    midway.produce(7);
    {
        let mut waiting = pin!(midway.draw(256));
        begin(waiting.as_mut());
    }
    assert_eq!(running.used(&rules).await, [20, 300, 2, 1], "a block that nobody waited for is undone");
    drop(midway);
    assert_eq!(running.used(&rules).await, [20, 307, 2, 0]);
    let mut after_the_last_frame = running.call(&rules, 10).await.unwrap();
    after_the_last_frame.sent();
    after_the_last_frame.settle_as(&output(3));
    assert_eq!(running.used(&rules).await, [30, 310, 3, 0]);
}

#[tokio::test(start_paused = true)]
async fn oracle_7_a_failure_of_the_provider_costs_nothing_and_one_of_the_caller_a_request() {
    let running = running(1, 10).await;
    let rules = rules([Kind::Input, Kind::Request, Kind::Concurrent].map(|kind| rule(kind, 100, MINUTE)));
    let mut failed = running.call(&rules, 10).await.unwrap();
    failed.sent();
    assert!(failed.refund().await.is_some_and(|(_, standing)| standing.remaining == 100));
    assert_eq!(running.used(&rules).await, [0, 0, 0]);
    let mut at_fault = running.call(&rules, 10).await.unwrap();
    at_fault.sent();
    at_fault.refund_but_request().await;
    assert_eq!(running.used(&rules).await, [0, 1, 0]);
    let mut broken = running.call(&rules, 10).await.unwrap();
    broken.sent();
    broken.release();
    assert_eq!(running.used(&rules).await, [0, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn oracle_8_the_model_that_answers_is_charged() {
    let running = running(1, 10).await;
    let of = |scope| {
        let limit = Limit { scope: Scope(scope), ..limit(100, MINUTE) };
        rules([Rule::new(Kind::Input, limit, "input")])
    };
    let (asked, answered) = (of(1), of(2));
    running.call(&asked, 10).await.unwrap().release();
    running.call(&answered, 10).await.unwrap().settle();
    assert_eq!((running.used(&asked).await, running.used(&answered).await), (vec![0], vec![10]));
}

#[tokio::test(start_paused = true)]
async fn oracle_9_and_10_nothing_is_reserved_for_output_so_the_smallest_limit_admits() {
    let running = running(1, 10).await;
    let rules = rules([cut(Kind::Output, 1)]);
    let (first, second) = (running.call(&rules, 10).await.unwrap(), running.call(&rules, 10).await);
    assert!(second.is_ok(), "nothing is used yet");
    first.settle_as(&output(1));
    let refusal = running.call(&rules, 10).await.unwrap_err();
    assert_eq!(refusal.retry_after_seconds(), Some(60));
    advance(MINUTE).await;
    assert!(running.call(&rules, 10).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn unspent_blocks_stop_no_call_but_count_for_further_blocks() {
    let running = running(1, 10).await;
    let rules = rules([cut(Kind::Output, 100)]);
    let mut one = running.call(&rules, 1).await.unwrap();
    one.produce(1);
    assert_eq!(one.draw(98).await, Drawn::Granted);
    let mut other = running.call(&rules, 1).await.unwrap();
    other.produce(1);
    assert_eq!(other.draw(4).await, Drawn::Granted, "whoever was admitted has a first block");
    other.produce(20);
    let Drawn::Over(rule) = other.draw(4).await else { panic!("all that is left is drawn") };
    assert_eq!(rule.kind, Kind::Output);
    one.settle();
    assert_eq!((other.produced(), other.produce(1)), (1, 0), "what was cut off is not counted");
    other.produce(20);
    assert_eq!(other.draw(4).await, Drawn::Granted, "the unspent rest is back");
    other.settle();
    assert_eq!(running.used(&rules).await, [23]);
}

#[tokio::test(start_paused = true)]
async fn what_a_stream_has_said_can_be_charged_within_its_block() {
    let running = running(1, 10).await;
    let rules = rules([cut(Kind::Output, 100)]);
    let mut call = running.call(&rules, 1).await.unwrap();
    assert_eq!(call.produce(1), 1);
    assert_eq!(call.draw(10).await, Drawn::Granted);
    assert_eq!((call.produce(4), call.uncharged()), (0, 4));
    call.charge().await;
    assert_eq!((running.used(&rules).await, call.uncharged()), (vec![5], 0));
    assert_eq!((call.produce(6), call.produce(1)), (0, 1), "six of the block are left");
    call.settle();
    assert_eq!(running.used(&rules).await, [12]);
}

#[tokio::test(start_paused = true)]
async fn oracle_11_and_19_what_can_never_fit_is_not_retryable() {
    let running = running(1, 10).await;
    let too_small = rules([rule(Kind::Total, 10, MINUTE), rule(Kind::Output, 1, MINUTE)]);
    running.call(&too_small, 1).await.unwrap().settle_as(&output(1));
    let refusal = running.call(&too_small, 11).await.unwrap_err();
    assert!(matches!(&refusal, Refusal::Oversize { rule, .. } if &*rule.id == "total"), "{refusal:?}");
    assert_eq!(refusal.retry_after_seconds(), None);
    for kind in Kind::ALL {
        let refusal = running.call(&rules([rule(kind, 0, MINUTE)]), 1).await.unwrap_err();
        assert!(matches!(&refusal, Refusal::Oversize { .. }), "a {} limit of 0: {refusal:?}", kind.name());
    }
}

#[tokio::test(start_paused = true)]
async fn oracle_13_a_changed_limit_holds_at_once_for_what_is_in_the_window() {
    let running = running(1, 10).await;
    let of = |tokens| rules([rule(Kind::Input, tokens, MINUTE), rule(Kind::Output, tokens, MINUTE)]);
    let (before, after) = (of(100), of(30));
    running.call(&before, 40).await.unwrap().settle();
    let under_way = running.call(&before, 20).await.unwrap();
    assert!(running.call(&after, 1).await.is_err(), "60 are used of what are 30 now");
    under_way.refund().await;
    assert_eq!(running.used(&after).await, [40, 0], "it came from there");
    advance(MINUTE).await;
    assert!(running.call(&after, 30).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn oracle_15_and_16_models_of_one_limit_and_groups_of_one_client_share_a_window() {
    let running = running(1, 10).await;
    let (one_model, other_model) =
        (rules([rule(Kind::Input, 100, MINUTE)]), rules([rule(Kind::Input, 100, MINUTE)]));
    running.call(&one_model, 60).await.unwrap().settle();
    assert!(running.call(&other_model, 60).await.is_err());
    let of_another_group = rules([rule(Kind::Input, 110, MINUTE)]);
    assert!(running.call(&of_another_group, 60).await.is_err());
    assert!(running.call(&of_another_group, 50).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn oracle_20_counters_beyond_32_and_64_bits_do_not_wrap() {
    let running = running(1, 10).await;
    let rules = rules([rule(Kind::Total, 1 << 40, MINUTE), rule(Kind::Cost, (1 << 63) - 1, MINUTE)]);
    running.call(&rules, 1 << 33).await.unwrap().settle_as(&output(1 << 34));
    assert_eq!(running.used(&rules).await, [3 << 33, (1 << 33) + (2 << 34)]);
    running.call(&rules, 1).await.unwrap().settle_as(&output(u64::MAX));
    assert!(running.call(&rules, 1).await.is_err());
    advance(MINUTE).await;
    assert!(running.call(&rules, 1).await.is_err(), "debt of 2^64 lasts");
}

#[tokio::test(start_paused = true)]
async fn all_limits_of_a_call_are_taken_together_or_not_at_all_and_the_longest_wait_is_told() {
    let running = running(1, 10).await;
    let both = rules([
        rule(Kind::Input, 10, MINUTE),
        rule(Kind::Input, 15, 10 * MINUTE),
        rule(Kind::Request, 2, 2 * MINUTE),
        rule(Kind::Concurrent, 2, Duration::ZERO),
    ]);
    running.call(&both, 10).await.unwrap().settle();
    advance(MINUTE).await;
    let in_flight = running.call(&both, 5).await.unwrap();
    let refusal = running.call(&both, 1).await.unwrap_err();
    let Refusal::Short { retry_after, rule: refusing, .. } = &refusal else { panic!("{refusal:?}") };
    assert_eq!((*retry_after, refusing.kind), (9 * MINUTE, Kind::Input), "10 of 15 leave then");
    assert_eq!(running.used(&both).await, [5, 15, 2, 1], "the refused call took nothing");
    drop(in_flight);
    let more = rules([rule(Kind::Concurrent, 1, Duration::ZERO)]);
    let _one = running.call(&more, 0).await.unwrap();
    assert_eq!(running.call(&more, 0).await.unwrap_err().retry_after_seconds(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn oracle_5_an_extra_charge_is_of_the_present_and_a_refund_of_its_own_time() {
    let running = running(1, 10).await;
    let rules = rules([rule(Kind::Input, 100, MINUTE)]);
    let (more, less) = (running.call(&rules, 30).await.unwrap(), running.call(&rules, 30).await.unwrap());
    advance(MINUTE / 2).await;
    more.settle_as(&Actual { input: Some(40), ..Actual::default() });
    less.settle_as(&Actual { input: Some(10), ..Actual::default() });
    assert_eq!(running.used(&rules).await, [50]);
    advance(MINUTE / 2).await;
    assert_eq!(running.used(&rules).await, [10], "only the 10 that were charged at half a minute");
}

#[test]
fn oracle_14_a_clock_that_steps_back_frees_nothing_and_one_that_jumps_forth_breaks_nothing() {
    let mut clients = clients::Clients::new(Tracked::new(1), &Counts::default());
    let both = rules([rule(Kind::Input, 10, MINUTE), rule(Kind::Request, 3, 10 * MINUTE)]);
    let (id, ask) = (AccountId::Client(alice()), Ask { input: 10, ..Ask::default() });
    let at = |seconds| tick::Tick::default().after(Duration::from_secs(seconds));
    let mut admit = |seconds| clients.admit(at(seconds), &id, &both, &ask, None).is_ok();
    assert_eq!([admit(1_000), admit(500), admit(1_059)], [true, false, false]);
    assert_eq!([admit(1_060), admit(10), admit(1_119), admit(1_120)], [true, false, false, true]);
    assert_eq!([admit(1_599), admit(1_600), admit(1 << 33), admit(1 << 33)], [false, true, true, false]);
}

#[tokio::test(start_paused = true)]
async fn oracle_18_at_the_cap_new_clients_are_refused_and_no_live_one_is_forgotten() {
    let running = running(4, 100).await;
    let rules = rules([rule(Kind::Output, 10, MINUTE)]);
    let mut under_way = Vec::new();
    for number in 0..300 {
        let accounts = [(AccountId::Client(ClientId::new(&number.to_string())), &rules)];
        let call = running.quota.reserve(&Demand { output: true, ..Demand::of_input(&accounts, 1) }).await;
        assert_eq!(call.as_ref().err(), (number >= 100).then_some(&Refusal::Crowded));
        under_way.extend(call.ok());
    }
    sleep(MINUTE).await;
    assert_eq!(
        running.tracked.count(),
        100,
        "who has a call under way is remembered, though nothing is charged yet"
    );
    under_way.drain(..).for_each(|call| call.settle_as(&output(15)));
    sleep(Duration::from_secs(30)).await;
    assert_eq!((running.tracked.count(), running.quota.counts().totals().debt_tokens), (100, 500));
    sleep(3 * MINUTE).await;
    assert_eq!((running.tracked.count(), running.quota.counts().totals().debt_tokens), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_piece_may_go_while_anything_is_left_before_it_and_is_the_last() {
    let running = running(1, 10).await;
    let rules = rules([cut(Kind::Output, 3), cut(Kind::Cost, 1_000)]);
    let mut stream = running.call(&rules, 0).await.unwrap();
    stream.produce(5);
    assert_eq!(stream.draw(1).await, Drawn::Granted, "3 were left");
    assert_eq!(stream.produce(1), 0);
    assert_eq!(stream.produce(1), 1);
    assert!(matches!(stream.draw(1).await, Drawn::Over(rule) if rule.kind == Kind::Output));
    stream.settle();
    assert_eq!(running.used(&rules).await, [6, 12]);
}
