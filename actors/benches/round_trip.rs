//! What a message costs: a call there and back, many callers over some shards, and a one-way message.
//! Run with `cargo bench -p nexus-actors`.
#![allow(clippy::expect_used, reason = "a bench that cannot start or is refused has nothing to measure")]

use std::{num::NonZeroUsize, time::Duration};

use actors::{Address, Reply, Shards, State, Supervisor, observe::Own};
use divan::{Bencher, counter::ItemsCount};
use tokio::{runtime::Runtime, task::JoinSet};

const WITHIN: Duration = Duration::from_secs(5);
const CALLERS: usize = 64;
const CALLS_EACH: usize = 100;

fn main() {
    divan::main();
}

struct Count(u64);

enum Ask {
    Add(u64, Reply<u64>),
    Note(u64),
}

impl State for Count {
    type Message = Ask;
    const TICK: Option<Duration> = None;

    fn handle(&mut self, ask: Ask) {
        match ask {
            Ask::Add(amount, reply) => {
                self.0 += amount;
                let _ = reply.send(self.0);
            }
            Ask::Note(amount) => self.0 += amount,
        }
    }
}

#[divan::bench]
fn one_call_after_the_other(bencher: Bencher<'_, '_>) {
    let (runtime, shards) = start(1);
    let address = shards.next();
    bencher.bench(|| runtime.block_on(call(address)));
}

#[divan::bench]
fn one_call_after_the_other_within_a_task(bencher: Bencher<'_, '_>) {
    let (runtime, shards) = start(1);
    bencher.counter(ItemsCount::new(CALLS_EACH)).bench(|| runtime.block_on(callers(&shards, 1)));
}

#[divan::bench]
fn callers_64_over_8_shards(bencher: Bencher<'_, '_>) {
    let (runtime, shards) = start(8);
    bencher
        .counter(ItemsCount::new(CALLERS * CALLS_EACH))
        .bench(|| runtime.block_on(callers(&shards, CALLERS)));
}

#[divan::bench]
fn casts_until_handled(bencher: Bencher<'_, '_>) {
    let (runtime, shards) = start(1);
    let address = shards.next();
    bencher.counter(ItemsCount::new(1000usize)).bench(|| {
        (0..1000).for_each(|_| address.cast(Ask::Note(1)));
        runtime.block_on(call(address))
    });
}

async fn call(address: &Address<Ask>) -> u64 {
    address.call(WITHIN, |reply| Ask::Add(1, reply)).await.expect("a free actor")
}

async fn callers(shards: &Shards<Ask>, count: usize) {
    let mut callers = JoinSet::new();
    for caller in 0..count {
        let address = shards.of(&caller.to_le_bytes()).clone();
        callers.spawn(async move {
            for _ in 0..CALLS_EACH {
                divan::black_box(call(&address).await);
            }
        });
    }
    callers.join_all().await;
}

fn start(shards: usize) -> (Runtime, Shards<Ask>) {
    let runtime = Runtime::new().expect("a runtime");
    let count = NonZeroUsize::new(shards).expect("at least one");
    let shards = runtime.block_on(async {
        let mut supervisor = Supervisor::start("bench").await;
        supervisor.spawn_shards("count", count, 4096, |_: Own| Count(0)).await
    });
    (runtime, shards)
}
