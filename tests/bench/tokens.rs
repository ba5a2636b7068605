//! Reading and counting requests: fresh, repeated, and the worst that a client can send.

use divan::{Bencher, black_box, counter::BytesCount};
use nexus::{config::Counting, protocol::openai_chat::passing::request::Request, tokens::Counter};

fn main() {
    divan::main();
}

const PROSE: &str = "The router accepts a request, decides who sent it, counts what it costs and hands it to a provider. \
    People ask why the estimate differs from the invoice: \"18,402,311 requests\", 3.7% of them retries.\n\nIt isn't a \
    mystery, and we've written it down. fn main() { let total: u64 = rows.iter().map(|r| r.tokens).sum(); } \
    Überraschend ist höchstens, dass überhaupt gezählt wird; naïve façades cost more than they seem. ";

/// Texts of one repeated unit: long runs are where byte-pair encoders and patterns go quadratic.
const RUNS: &[&str] =
    &["a", " ", "\n", "7", "'", "!", "日", "日本語テスト中文", "ab", "\u{301}", "😀", "Zx9 "];

fn counter() -> Counter {
    let counting = Counting { count_tools: true, image_tokens: 85, file_tokens: 2000 };
    Counter::new(&counting, [7; 32])
}

/// `number` makes every message of every conversation different.
fn conversation(messages: usize, bytes: usize, number: usize) -> Vec<u8> {
    let text: String = PROSE.chars().cycle().take(bytes).collect();
    let messages: Vec<_> = (0..messages)
        .map(|n| {
            let role = if n % 2 == 0 { "user" } else { "assistant" };
            serde_json::json!({ "role": role, "content": format!("{number}-{n} {text}") })
        })
        .collect();
    serde_json::to_vec(&serde_json::json!({ "model": "openai/gpt-4o", "messages": messages }))
        .unwrap_or_default()
}

#[divan::bench(args = [1, 20, 200])]
fn text_kb(bencher: Bencher<'_, '_>, kb: usize) {
    let counter = counter();
    let text: String = PROSE.chars().cycle().take(kb * 1000).collect();
    bencher.counter(BytesCount::of_str(&text)).bench(|| counter.count(black_box(&text)));
}

#[divan::bench(args = [1, 20])]
fn parse_messages_of_1_kb(bencher: Bencher<'_, '_>, messages: usize) {
    let body = conversation(messages, 1000, 0);
    bencher.counter(BytesCount::of_slice(&body)).bench(|| Request::parse(black_box(&body)));
}

#[divan::bench(args = [1, 20])]
fn never_seen_messages_of_1_kb(bencher: Bencher<'_, '_>, messages: usize) {
    let counter = counter();
    let mut number = 0;
    bencher
        .with_inputs(|| {
            number += 1;
            conversation(messages, 1000, number)
        })
        .bench_local_refs(|body| {
            let request = Request::parse(body).ok()?;
            Some(counter.estimate(body, &request, None))
        });
}

#[divan::bench(args = [1, 20, 200])]
fn repeated_messages_of_1_kb(bencher: Bencher<'_, '_>, messages: usize) {
    let counter = counter();
    let body = conversation(messages, 1000, 0);
    bencher.counter(BytesCount::of_slice(&body)).bench(|| {
        let request = Request::parse(black_box(&body)).ok()?;
        Some(counter.estimate(&body, &request, None))
    });
}

#[divan::bench(args = RUNS, sample_count = 5, sample_size = 1)]
fn two_mb_of(bencher: Bencher<'_, '_>, unit: &str) {
    let counter = counter();
    let text = unit.repeat(2_000_000 / unit.len());
    bencher.counter(BytesCount::of_str(&text)).bench(|| counter.count(black_box(&text)));
}
