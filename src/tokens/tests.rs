//! The numbers of the estimate, the exactness of the counter, and that remembering changes neither.

use std::{sync::Arc, thread};

use proptest::prelude::*;

use super::*;
use crate::protocol::{openai_chat, openai_embeddings};

const COUNTING: Counting = Counting { count_tools: true, image_tokens: 85, file_tokens: 2000 };

fn counter() -> Counter {
    Counter::new(&COUNTING, [1; 32])
}

fn chat(counting: &Counting, body: &str) -> u64 {
    let request = openai_chat::passing::request::Request::parse(body.as_bytes()).unwrap();
    let estimate = Counter::new(counting, [1; 32]).estimate(body.as_bytes(), &request, None);
    assert!(estimate.exact);
    estimate.tokens
}

/// The count of a conversation given as the inside of its `messages`, further fields behind a `]` included.
fn messages(messages: &str) -> u64 {
    chat(&COUNTING, &format!(r#"{{"model":"m","messages":[{messages}}}"#))
}

fn plain(messages: &str) -> u64 {
    let counting = Counting { count_tools: false, ..COUNTING };
    chat(&counting, &format!(r#"{{"model":"m","messages":[{messages}}}"#))
}

fn oracle(text: &str) -> u64 {
    tiktoken_rs::cl100k_base_singleton().encode_ordinary(text).len() as u64
}

const HELLO: &str = r#"{"role":"user","content":"Hello"}"#;

#[test]
fn plain_conversations_have_the_numbers_of_the_original() {
    for text in ["Hello", "Hi", "Test", "x"] {
        assert_eq!(messages(&format!(r#"{{"role":"user","content":"{text}"}}]"#)), 8, "{text}");
    }
    assert_eq!(messages(r#"{"role":"user","content":""}]"#), 7);
    assert_eq!(messages(r#"{"role":"user","content":null}]"#), 7);
    assert_eq!(messages(r#"{"role":"user"}]"#), 7);
    assert_eq!(messages("]"), 3);
    assert_eq!(messages(&format!(r#"{HELLO},{{"role":"assistant","content":"Hello"}}]"#)), 13);
    let system = r#"{"role":"system","content":"Hello"}"#;
    assert_eq!(messages(&format!("{system},{HELLO}]")), 13);
    assert_eq!(messages(&format!("{system},{system},{HELLO}]")), 18, "each system message counts by itself");
    let hundred = vec!["hello"; 100].join(" ");
    assert_eq!(messages(&format!(r#"{{"role":"user","content":"{hundred}"}}]"#)), 107);
    assert_eq!(messages(r#"{"role":"user","content":"<|endoftext|>"}]"#), 14, "special tokens are text");
    assert_eq!(messages(r#"{"role":"user","content":"日本語テスト 😀"}]"#), 14);
    assert_eq!(
        messages(r#"{"role":"user","content":"\u65e5\u672c\u8a9e\u30c6\u30b9\u30c8 \ud83d\ude00"}]"#),
        14,
        "escaped or not is the same text"
    );
}

#[test]
fn text_parts_are_summed_and_media_have_their_price() {
    let parts = |parts: &str| messages(&format!(r#"{{"role":"user","content":[{parts}]}}]"#));
    assert_eq!(parts(""), 7);
    assert_eq!(parts(r#"{"type":"text","text":"Hello"}"#), 8);
    assert_eq!(parts(r#"{"type":"text","text":"Hello"},{"type":"text","text":"Hello"}"#), 9);
    assert_eq!(parts(r#"{"type":"refusal","refusal":"Hello"}"#), 8);
    assert_eq!(parts(r#"{"type":"image_url","image_url":{"url":"https://x/y.png"}}"#), 7 + 85);
    assert_eq!(parts(r#"{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}"#), 7 + 2000);
    assert_eq!(parts(r#"{"type":"file","file":{"file_data":"data:application/pdf;base64,AA"}}"#), 7 + 2000);
    assert_eq!(parts(r#"{"type":"video_url","video_url":{"url":"data:video/mp4;base64,AA"}}"#), 7 + 2000);
    assert_eq!(parts(r#"{"type":"thinking","thinking":[{"type":"text","text":"Hello"}]}"#), 8);
}

#[test]
fn tools_calls_and_schemas_count_as_compact_json_unless_switched_off() {
    let call = r#"{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}"#;
    let conversation = format!(
        r#"{HELLO},{{"role":"assistant","content":null,"tool_calls":[ {call} ]}},{{"role":"tool","tool_call_id":"c","content":"Hello world result"}}]"#
    );
    assert_eq!(plain(&conversation), 19);
    assert_eq!(messages(&conversation), 19 + oracle(call));

    let (tool, spaced) = (
        r#"{"type":"function","function":{"name":"f"}}"#,
        r#"{ "type" : "function", "function":{"name":"f"}}"#,
    );
    for field in ["tools", "functions"] {
        let request = format!(r#"{HELLO}],"{field}":[{tool},{spaced}]"#);
        assert_eq!((messages(&request), plain(&request)), (8 + 2 * oracle(tool), 8), "{field}");
    }
    let schema = r#"{"name":"s","schema":{"type":"object"}}"#;
    let request = format!(r#"{HELLO}],"response_format":{{"type":"json_schema","json_schema":{schema}}}"#);
    assert_eq!((messages(&request), plain(&request)), (8 + oracle(schema), 8));
    assert_eq!(messages(&format!(r#"{HELLO}],"response_format":{{"type":"json_object"}},"tools":null"#)), 8);
}

#[test]
fn whatever_else_a_model_would_read_is_not_free() {
    assert_eq!(messages(r#"{"role":"user","content":"Hello","name":"Bob"}]"#), 9);
    for field in ["refusal", "reasoning", "reasoning_content"] {
        assert_eq!(
            messages(&format!(r#"{{"role":"user","content":"Hello","{field}":"Hello"}}]"#)),
            9,
            "{field}"
        );
    }
    assert_eq!(messages(r#"{"role":"user","content":12345}]"#), 7 + oracle("12345"));
    let part = r#"{"type":"new","words":"a b c"}"#;
    assert_eq!(messages(&format!(r#"{{"role":"user","content":[{part}]}}]"#)), 7 + oracle(part));
    let inner = r#"{"type":"thinking","thinking":[{"type":"text","text":"a"}]}"#;
    let nested = format!(r#"{{"role":"user","content":[{{"type":"thinking","thinking":[{inner}]}}]}}]"#);
    assert_eq!(messages(&nested), 7 + oracle(inner), "thinking within thinking is read once");
    let twice = r#"{"role":"user","content":"Hello","content":""}"#;
    assert_eq!(messages(&format!("{twice}]")), 6 + oracle(twice), "a field twice counts as the whole JSON");
}

#[test]
fn embeddings_cost_their_text_or_the_number_of_their_ids() {
    let count = |input: &str| {
        let body = format!(r#"{{"model":"m","input":{input}}}"#);
        let request = openai_embeddings::passing::request::Request::parse(body.as_bytes()).unwrap();
        counter().estimate(body.as_bytes(), &request, None).tokens
    };
    assert_eq!(count(r#""Hello""#), 1);
    assert_eq!(count(r#"["Hello","Hello world"]"#), 3);
    assert_eq!(count("[1,2,3]"), 3);
    assert_eq!(count("[[1,2,3],[4]]"), 4);
}

#[test]
fn a_repeated_conversation_has_the_same_count_and_another_reading_has_its_own() {
    let counter = counter();
    let text = "It's a long message, long enough to be remembered. ".repeat(4);
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"}},{HELLO}]}}"#);
    let request = openai_chat::passing::request::Request::parse(body.as_bytes()).unwrap();
    let expected = Estimate { tokens: 3 + 4 + oracle(&text) + 5, exact: true };
    for _ in 0..3 {
        assert_eq!(counter.estimate(body.as_bytes(), &request, None), expected);
    }
}

#[test]
fn a_count_is_the_same_wherever_it_is_interrupted() {
    let message = |n: usize| format!(r#"{{"role":"user","content":"{n} {}"}}"#, "word ".repeat(40));
    let many = (0..5).map(message).collect::<Vec<_>>().join(",");
    let body = format!(r#"{{"model":"m","messages":[{many},{HELLO}],"tools":[{{"a":1}}]}}"#);
    let request = openai_chat::passing::request::Request::parse(body.as_bytes()).unwrap();
    let whole = counter().estimate(body.as_bytes(), &request, None);
    for budget in (0..2000).step_by(50) {
        let counter = counter();
        let (mut tally, mut rounds) = (Tally::default(), 0);
        let estimate = loop {
            // The second try of a part that was too large gets all it wants, as on the blocking pool.
            match counter.advance(
                body.as_bytes(),
                &request,
                tally,
                None,
                if rounds % 2 == 0 { budget } else { 5000 },
            ) {
                Progress::Done(estimate) => break estimate,
                Progress::More(rest) => tally = rest,
            }
            rounds += 1;
        };
        assert_eq!(estimate, whole, "budget {budget}");
        assert_eq!(rounds > 0, budget <= 1400, "budget {budget}, {rounds} rounds");
    }
}

#[test]
fn counting_may_stop_above_the_ceiling() {
    let body = format!(r#"{{"model":"m","messages":[{}]}}"#, vec![HELLO; 100].join(","));
    let request = openai_chat::passing::request::Request::parse(body.as_bytes()).unwrap();
    let up_to = |ceiling| counter().estimate(body.as_bytes(), &request, Some(ceiling));
    assert_eq!(up_to(503), Estimate { tokens: 503, exact: true });
    let stopped = up_to(100);
    assert!(!stopped.exact && stopped.tokens > 100 && stopped.tokens < 110, "{stopped:?}");
    assert!(!up_to(502).exact);
}

#[test]
fn the_ceiling_is_exact_within_a_long_piece_too_and_a_stopped_count_is_not_remembered() {
    let counter = counter();
    let body =
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{}"}}]}}"#, "ab".repeat(20_000));
    let request = openai_chat::passing::request::Request::parse(body.as_bytes()).unwrap();
    let tokens = 7 + oracle(&"ab".repeat(20_000));
    for ceiling in [7, 100, tokens - 1] {
        let stopped = counter.estimate(body.as_bytes(), &request, Some(ceiling));
        assert!(!stopped.exact && stopped.tokens > ceiling && stopped.tokens <= tokens, "{stopped:?}");
    }
    for ceiling in [None, Some(tokens), Some(tokens + 1)] {
        assert_eq!(counter.estimate(body.as_bytes(), &request, ceiling), Estimate { tokens, exact: true });
    }
}

#[test]
fn threads_that_share_a_counter_get_the_right_counts() {
    let counter = Arc::new(counter());
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let counter = Arc::clone(&counter);
            thread::spawn(move || {
                for n in 1..200 {
                    let body = format!(
                        r#"{{"model":"m","messages":[{{"role":"user","content":"{}"}}]}}"#,
                        "hello ".repeat(n)
                    );
                    let request = openai_chat::passing::request::Request::parse(body.as_bytes()).unwrap();
                    // The trailing blank is one token.
                    assert_eq!(counter.estimate(body.as_bytes(), &request, None).tokens, 7 + n as u64 + 1);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// What texts are made of, chosen for the seams of the pattern.
const UNITS: &[&str] = &[
    "a",
    "Z",
    "the",
    " the",
    "Hello",
    "supercalifragilistic",
    "é",
    "e\u{301}",
    "ß",
    "ſ",
    "'",
    "'s",
    "'S",
    "'ſ",
    "'ll",
    "'LL",
    "'lL",
    "'ve",
    "'re",
    "'d",
    "'m",
    "'T",
    "’s",
    "'l",
    "'v",
    "0",
    "7",
    "42",
    "12345",
    "٣",
    "Ⅷ",
    "½",
    "𝟘",
    " ",
    "  ",
    "     ",
    "\t",
    "\n",
    "\r",
    "\r\n",
    "\n\n",
    " \n",
    "\n ",
    "\u{a0}",
    "\u{85}",
    "\u{2028}",
    "\u{3000}",
    "\u{200b}",
    "\u{feff}",
    ".",
    ",",
    "!?",
    "...",
    "://",
    "{",
    "}",
    "();",
    "=>",
    "_",
    "-",
    "--",
    "\"",
    "\\",
    "/",
    "#",
    "$",
    "€",
    "<|endoftext|>",
    "日本語",
    "漢",
    "テスト",
    "한국어",
    "Привет",
    "мир",
    "Ελληνικά",
    "עברית",
    "مرحبا",
    "नमस्ते",
    "ไทย",
    "தமிழ்",
    "አማርኛ",
    "ქართული",
    "😀",
    "👨‍👩‍👧",
    "🇩🇪",
    "\u{1F3FB}",
    "\u{301}",
    "\u{fe0f}",
    "\0",
    "\u{7f}",
    "\u{10ffff}",
    "fn main()",
    "if x",
    "let y",
    "return",
    "0x1F",
    "1e9",
    "a1b2",
    "CamelCase",
    "snake_case",
];

/// SplitMix64: the same strings in every run.
fn random(state: &mut u64) -> usize {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (z ^ (z >> 27)) as usize >> 8
}

#[test]
fn ten_thousand_texts_of_many_scripts_count_as_the_reference_counts_them() {
    let counter = counter();
    let mut state = 2;
    for _ in 0..10_000 {
        let length = 1 + random(&mut state) % 24;
        let few = 1 + random(&mut state) % UNITS.len();
        let offset = random(&mut state);
        let text: String =
            (0..length).map(|_| UNITS[(offset + random(&mut state) % few) % UNITS.len()]).collect();
        assert_eq!(counter.count(&text), oracle(&text), "{text:?}");
    }
}

#[test]
fn every_pair_of_units_counts_as_the_reference_counts_it() {
    let counter = counter();
    for a in UNITS {
        for b in UNITS {
            let text = format!("{a}{b}");
            assert_eq!(counter.count(&text), oracle(&text), "{text:?}");
        }
    }
}

#[test]
fn every_character_counts_as_the_reference_counts_it() {
    let counter = counter();
    let all: Vec<char> =
        ('\0'..=char::MAX).filter(|&c| (c as u32) < 0x3_2000 || (c as u32).is_multiple_of(97)).collect();
    for chunk in all.chunks(16) {
        // Each between letters, digits and blanks, where its class shows.
        let text: String = chunk.iter().flat_map(|&c| ['a', c, '1', c, ' ', c, c]).collect();
        assert_eq!(counter.count(&text), oracle(&text), "{text:?}");
    }
}

proptest! {
    #[test]
    fn any_text_counts_as_the_reference_counts_it(text in "\\PC*|[ \\r\\n\\ta'sS1.]{0,40}") {
        prop_assert_eq!(counter_once().count(&text), oracle(&text));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(request) = openai_chat::passing::request::Request::parse(&body) {
            let _ = counter_once().estimate(&body, &request, None);
        }
    }

    #[test]
    fn any_message_is_counted_without_a_panic(raw in "[{}\\[\\]\",:a\\\\u0 \n]{0,60}") {
        use crate::chat::Kind;
        for kind in [Kind::Input, Kind::Message, Kind::Schema, Kind::Tools] {
            openai_chat::passing::request::Request::pieces(kind, &raw, &mut |_| {});
            openai_embeddings::passing::request::Request::pieces(kind, &raw, &mut |_| {});
        }
    }
}

fn counter_once() -> &'static Counter {
    static COUNTER: std::sync::LazyLock<Counter> = std::sync::LazyLock::new(counter);
    &COUNTER
}
