//! A caller's query on its way upstream: all of it but the keys, which were for Nexus. Pure.
//!
//! And what else URLs are made of: segments, and a query behind a path.

use std::{borrow::Cow, fmt::Write as _};

use http::Uri;

/// Parameters that carry a caller's key or token (Google's clients send `?key=`; RFC 6750, section 2.3).
const KEYS: [&str; 3] = ["access_token", "api_key", "key"];

/// The query without its keys, else byte for byte; `None` when nothing is left.
pub fn without_keys(query: &str) -> Option<Cow<'_, str>> {
    without(query, &KEYS)
}

/// The query without the parameters of these names, else byte for byte; `None` when nothing is left.
pub fn without<'a>(query: &'a str, names: &[&str]) -> Option<Cow<'a, str>> {
    let is_named = |parameter: &&str| names.iter().any(|name| is(parameter, name));
    if !query.split('&').any(|parameter| is_named(&parameter)) {
        return Some(query.into());
    }
    let kept: Vec<_> = query.split('&').filter(|parameter| !is_named(parameter)).collect();
    (!kept.is_empty()).then(|| kept.join("&").into())
}

/// A URL with a query, if there is one; without it where both are too long together. `None` when it is no URL.
pub(super) fn url(path: &str, query: Option<&str>) -> Option<Uri> {
    // A query that came in a request line fits into another one.
    let whole = query.and_then(|query| Uri::try_from(format!("{path}?{query}")).ok());
    whole.or_else(|| Uri::try_from(path).ok())
}

/// Text as one segment of a path, or as a value in a query; `@` may stand in both (RFC 3986, section 3.3).
pub(super) fn escaped(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    encode(text, |byte| byte == b'@', &mut written);
    written
}

/// Appends the text, percent-encoded but for what is unreserved (RFC 3986, section 2.3) and what else is `kept`.
pub(super) fn encode(text: &str, kept: impl Fn(u8) -> bool, into: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || kept(byte) {
            into.push(char::from(byte));
        } else {
            // A `String` takes everything.
            let _ = write!(into, "%{byte:02X}");
        }
    }
}

/// Whether a `name=value` has this name, however it is written.
fn is(parameter: &str, name: &str) -> bool {
    let written = parameter.split_once('=').map_or(parameter, |(name, _)| name);
    spells(written.as_bytes(), name.as_bytes())
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
            ("api_key=secret&key=secret&access_token=secret", None),
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
    fn text_is_escaped_so_that_it_stays_one_segment() {
        for (text, written) in [
            ("gemini-2.5-pro", "gemini-2.5-pro"),
            ("claude@001", "claude@001"),
            ("a/b?c#d:e", "a%2Fb%3Fc%23d%3Ae"),
            ("50% é", "50%25%20%C3%A9"),
            ("", ""),
        ] {
            assert_eq!(escaped(text), written);
        }
    }

    #[test]
    fn a_query_that_does_not_fit_is_left_out() {
        let long = "a".repeat(1 << 16);
        assert_eq!(url("http://h/p", Some(&long)).map(|url| url.to_string()), Some("http://h/p".to_owned()));
        assert_eq!(
            url("http://h/p", Some("a=1")).map(|url| url.to_string()),
            Some("http://h/p?a=1".to_owned())
        );
        assert_eq!(url("no url", None), None);
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
