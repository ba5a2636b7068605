//! Cutting JSON that is known to be valid into the members of an object or the elements of an array, without reading what
//! is in them: several times faster than reading, since long strings are only searched for their end.
//!
//! Of what is not valid some pieces may be wrong; there is no panic and an end all the same.

use std::borrow::Cow;

use super::{string_end, text};

/// The pieces of an object or array, one at a time.
pub(in crate::protocol) struct Pieces<'a> {
    json: &'a str,
    at: usize,
}

/// The elements of an array; `None` for any other value.
pub(in crate::protocol) fn elements(json: &str) -> Option<impl Iterator<Item = &str>> {
    let mut pieces = Pieces::within(json, b'[')?;
    Some(std::iter::from_fn(move || pieces.value()))
}

/// The members of an object, their keys decoded; `None` for any other value.
pub(in crate::protocol) fn members(json: &str) -> Option<impl Iterator<Item = (Cow<'_, str>, &str)>> {
    let mut pieces = Pieces::within(json, b'{')?;
    Some(std::iter::from_fn(move || {
        let key = text(pieces.value()?)?;
        Some((key, pieces.value()?))
    }))
}

impl<'a> Pieces<'a> {
    fn within(json: &'a str, open: u8) -> Option<Self> {
        (json.as_bytes().first() == Some(&open)).then_some(Self { json, at: 1 })
    }

    /// The next value, or the next key; `None` at the end.
    fn value(&mut self) -> Option<&'a str> {
        let bytes = self.json.as_bytes();
        while matches!(bytes.get(self.at)?, b' ' | b'\t' | b'\r' | b'\n' | b',' | b':') {
            self.at += 1;
        }
        let start = self.at;
        self.at = match bytes[start] {
            b'}' | b']' => return None,
            b'"' => string_end(bytes, start + 1),
            b'{' | b'[' => nested_end(bytes, start),
            _ => scalar_end(bytes, start),
        };
        self.json.get(start..self.at)
    }
}

/// Behind the object or array that begins at `at`.
fn nested_end(json: &[u8], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(&byte) = json.get(at) {
        at += 1;
        match byte {
            b'"' => at = string_end(json, at),
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 1 => return at,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
    }
    json.len()
}

/// Behind the number, `true`, `false` or `null` that begins at `at`.
fn scalar_end(json: &[u8], at: usize) -> usize {
    let ends = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b',' | b':' | b']' | b'}');
    // At least one byte, so that there is an end.
    json[at + 1..].iter().position(ends).map_or(json.len(), |length| at + 1 + length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn pieces_are_as_they_are_written() {
        let json = r#"{ "a" : [1,-2.5e3 ,"x\"]"] , "\u0062":{"c":{}},"":null}"#;
        let pieces: Vec<_> = members(json).unwrap().collect();
        let expected = [("a", r#"[1,-2.5e3 ,"x\"]"]"#), ("b", r#"{"c":{}}"#), ("", "null")];
        assert_eq!(pieces, expected.map(|(key, value)| (key.into(), value)));
        assert_eq!(elements(expected[0].1).unwrap().collect::<Vec<_>>(), ["1", "-2.5e3", r#""x\"]""#]);
        assert_eq!(members("{}").unwrap().count() + elements("[ ]").unwrap().count(), 0);
        assert!(members("[]").is_none() && elements("{}").is_none() && elements("\"[\"").is_none());
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic_or_go_on_for_ever(json in r#"[\[{]([\[\]{}",:\\ a1é-]|\\u12){0,40}"#) {
            let most = json.len();
            prop_assert!(elements(&json).map_or(0, Iterator::count) <= most);
            prop_assert!(members(&json).map_or(0, Iterator::count) <= most);
        }

        #[test]
        fn what_is_cut_reads_as_what_was_whole(
            list in prop::collection::vec(("\\PC{0,9}", prop::option::of(-5..5)), 0..6),
            pretty: bool,
        ) {
            let values: Vec<Value> = list.iter().map(|(k, v)| serde_json::json!({ k.as_str(): [v, k] })).collect();
            let write = if pretty { serde_json::to_string_pretty } else { serde_json::to_string };
            let json = write(&values).unwrap();
            let cut: Vec<&str> = elements(&json).unwrap().collect();
            prop_assert_eq!(cut.len(), values.len());
            for ((piece, value), (key, _)) in cut.iter().zip(&values).zip(&list) {
                prop_assert_eq!(&serde_json::from_str::<Value>(piece).unwrap(), value);
                let (name, inner) = members(piece).unwrap().next().unwrap();
                prop_assert_eq!(name.as_ref(), key);
                prop_assert_eq!(&serde_json::from_str::<Value>(inner).unwrap(), &value[key]);
            }
        }
    }
}
