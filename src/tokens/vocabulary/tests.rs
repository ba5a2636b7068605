//! Long pieces: windows must not show.

use super::*;

fn oracle(text: &str) -> u64 {
    tiktoken_rs::cl100k_base_singleton().encode_ordinary(text).len() as u64
}

#[test]
fn long_pieces_count_as_the_reference_counts_them_whatever_their_length() {
    let vocabulary = Vocabulary::get();
    for unit in [
        "a",
        "ab",
        "'",
        "!",
        " ",
        "\n",
        "-",
        "=",
        "日",
        "日本語テスト中文",
        "\u{301}",
        "😀",
        "aB",
        "xyzzy",
        "the",
        "é",
    ] {
        for length in (1..12).chain([255, 256, 257, 258, 300, 511, 513, 1023, 2000, 5001]) {
            let text = unit.repeat(length);
            assert_eq!(vocabulary.count(&text, u64::MAX), oracle(&text), "{length} × {unit:?}");
        }
    }
}

#[test]
fn long_random_pieces_count_as_the_reference_counts_them() {
    let vocabulary = Vocabulary::get();
    let mut state = 1_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let alphabets: Vec<Vec<char>> = [
        "ab",
        "aeiou",
        "abcdefghijklmnopqrstuvwxyz",
        "ABCdefGHI",
        "'\"`.-_",
        "=-*#",
        "日本語中文字漢",
        "àéîõüß",
        "приветмир",
        "\u{301}\u{302}a",
        "ءبتثجح",
        "กขฃคฅ",
        "😀🎉👍\u{200d}",
        " \t\u{a0}",
    ]
    .iter()
    .map(|alphabet| alphabet.chars().collect())
    .collect();
    for round in 0..400 {
        let alphabet = &alphabets[round % alphabets.len()];
        let text: String = (0..300 + random() % 1500).map(|_| alphabet[random() % alphabet.len()]).collect();
        assert_eq!(vocabulary.count(&text, u64::MAX), oracle(&text), "{text:?}");
    }
}

/// The longest text of ASCII letters in which each two neighbours make a token of a lower rank than the two before: every
/// merge waits for the one to its right.
fn longest_chain(vocabulary: &Vocabulary) -> String {
    let letters: Vec<u8> = (b'a'..=b'z').chain(b'A'..=b'Z').collect();
    let pairs = letters.iter().flat_map(|&a| letters.iter().map(move |&b| [a, b]));
    let mut pairs: Vec<_> = pairs.filter(|&pair| vocabulary.ranks.of_pair(pair) != NO_TOKEN).collect();
    pairs.sort_by_key(|&pair| vocabulary.ranks.of_pair(pair));
    let mut longest_from = vec![Vec::new(); 256];
    for [a, b] in pairs {
        let mut chain = longest_from[usize::from(b)].clone();
        chain.push(a);
        if chain.len() > longest_from[usize::from(a)].len() {
            longest_from[usize::from(a)] = chain;
        }
    }
    let longest = longest_from.into_iter().max_by_key(Vec::len).unwrap();
    String::from_utf8(longest.into_iter().rev().collect()).unwrap()
}

#[test]
fn windows_that_are_too_short_are_noticed_and_those_in_use_are_long_enough() {
    let vocabulary = Vocabulary::get();
    let chain = longest_chain(vocabulary);
    assert!((50..WINDOW / 4).contains(&chain.len()), "{chain}");
    let text = chain.repeat(40);
    let in_windows = |window| vocabulary.windows(text.as_bytes(), 0..text.len(), window, u64::MAX);
    assert_eq!(in_windows(WINDOW), Some(oracle(&text)));
    let short: Vec<_> = (8..64).map(in_windows).collect();
    assert!(short.contains(&None), "some are too short");
    assert!(short.into_iter().flatten().all(|tokens| tokens == oracle(&text)), "and the rest are right");
    assert_eq!(vocabulary.count(&text, u64::MAX), oracle(&text));
}
