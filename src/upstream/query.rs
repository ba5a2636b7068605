//! A caller's query on its way upstream: all of it but the keys, which were for Nexus. Pure.

use std::borrow::Cow;

/// Parameters that carry a caller's key (Google's clients send `?key=`) or token (RFC 6750, section 2.3).
const KEYS: [&str; 3] = ["access_token", "api_key", "key"];

/// The query without its keys, else byte for byte; `None` when nothing is left.
pub fn without_keys(query: &str) -> Option<Cow<'_, str>> {
    if !query.split('&').any(is_key) {
        return Some(query.into());
    }
    let kept: Vec<_> = query.split('&').filter(|parameter| !is_key(parameter)).collect();
    (!kept.is_empty()).then(|| kept.join("&").into())
}

/// Whether a `name=value` is a key, however its name is written.
fn is_key(parameter: &str) -> bool {
    let name = parameter.split_once('=').map_or(parameter, |(name, _)| name);
    KEYS.iter().any(|key| spells(name.as_bytes(), key.as_bytes()))
}

/// Whether a name, percent-decoded, is `word`.
fn spells(name: &[u8], word: &[u8]) -> bool {
    let mut rest = name;
    let decoded = std::iter::from_fn(|| {
        let (byte, after) = match *rest {
            [b'%', high, low, ref after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (digit(high) << 4 | digit(low), after)
            }
            [byte, ref after @ ..] => (byte, after),
            [] => return None,
        };
        rest = after;
        Some(byte)
    });
    decoded.eq(word.iter().copied())
}

/// The value of a hexadecimal digit.
fn digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        _ => (byte | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_taken_out_and_the_rest_stays_as_it_is() {
        for (query, kept) in [
            ("", Some("")),
            ("beta=true", Some("beta=true")),
            ("key=secret", None),
            ("key", None),
            ("key=", None),
            ("api_key=secret&key=secret", None),
            ("access_token=secret&b", Some("b")),
            ("access%5ftoken=secret", None),
            ("a=1&key=secret&b=2", Some("a=1&b=2")),
            ("key=secret&b=%32+x&&c", Some("b=%32+x&&c")),
            ("a=key&key=s&a=key=1", Some("a=key&a=key=1")),
            ("%6bey=secret&a", Some("a")),
            ("%6B%65%79=secret&a", Some("a")),
            ("api%5Fkey=secret&a", Some("a")),
            ("k%65y=a=b&x", Some("x")),
            ("%256bey=1&%6=1&%=&%zz&ke%79s=1", Some("%256bey=1&%6=1&%=&%zz&ke%79s=1")),
            ("mykey=1&key2=2&Key=3&apikey=4&key%00=5", Some("mykey=1&key2=2&Key=3&apikey=4&key%00=5")),
            ("&", Some("&")),
            ("&key=1", Some("")),
        ] {
            assert_eq!(without_keys(query).as_deref(), kept, "{query}");
        }
    }

    #[test]
    fn a_query_without_keys_is_not_copied() {
        assert!(matches!(without_keys("alt=sse&beta=true"), Some(Cow::Borrowed("alt=sse&beta=true"))));
    }

    proptest! {
        #[test]
        fn whatever_the_query_its_other_parameters_stay_in_order(
            parameters in proptest::collection::vec("(key|api_key|k%65y|%6Bey|a|key2|%|)(=[a-z%&=]{0,4})?", 0..8),
        ) {
            let query = parameters.join("&");
            let written = ["key", "api_key", "k%65y", "%6Bey"];
            let others = query.split('&').filter(|one| !written.contains(&one.split('=').next().unwrap_or(one)));
            let others: Vec<_> = others.collect();
            let expected = (!others.is_empty()).then(|| others.join("&"));
            let kept = without_keys(&query);
            prop_assert_eq!(kept.as_deref(), expected.as_deref());
        }
    }
}
