//! A body with a few bytes replaced, without copying the rest.
//!
//! Must not know what it edits. Offsets are bytes of the original body.

use std::ops::Range;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::chat::Span;

/// One replacement.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Edit {
    at: Range<usize>,
    with: Bytes,
}

/// The slices of an edited body in order: shared with the original, but for the replacements. None is empty.
pub type Rope = SmallVec<[Bytes; 5]>;

/// Below this, one small copy is cheaper than several slices on their way to the socket.
const COPIED_BELOW: usize = 4096;

impl Edit {
    /// Puts these bytes in place of a range.
    pub fn bytes(at: Range<usize>, with: Bytes) -> Self {
        Self { at, with }
    }

    /// Puts the JSON string of `text` in place of a JSON value.
    pub fn string(at: Span, text: &str) -> Self {
        Self { at: at.range(), with: serde_json::Value::from(text).to_string().into() }
    }

    /// Puts `text` as it is in place of the span, or at it when that is empty.
    pub fn text(at: Span, text: &'static str) -> Self {
        Self { at: at.range(), with: Bytes::from_static(text.as_bytes()) }
    }

    #[cfg(test)]
    pub(crate) fn apply(self, body: &str) -> String {
        let rope = splice(&Bytes::copy_from_slice(body.as_bytes()), [self]);
        String::from_utf8(rope.concat()).unwrap()
    }
}

/// `body` with the edits made. They may come in any order and must not overlap; of two that do, the later in the body is
/// left out, as is one beyond the end.
pub fn splice(body: &Bytes, edits: impl IntoIterator<Item = Edit>) -> Rope {
    let mut edits: SmallVec<[Edit; 2]> = edits.into_iter().collect();
    edits.sort_by_key(|edit| (edit.at.start, edit.at.end));
    let mut rope = Rope::new();
    let mut at = 0;
    for edit in edits {
        if edit.at.start < at || edit.at.end > body.len() || edit.at.end < edit.at.start {
            debug_assert!(false, "edits overlap or lie outside");
            continue;
        }
        rope.extend([body.slice(at..edit.at.start), edit.with]);
        at = edit.at.end;
    }
    rope.push(body.slice(at..));
    rope.retain(|slice| !slice.is_empty());
    if rope.len() > 1 && length(&rope) < COPIED_BELOW {
        rope = SmallVec::from_iter([Bytes::from(rope.concat())]);
    }
    rope
}

/// How many bytes a rope has: the content length.
pub fn length(rope: &[Bytes]) -> usize {
    rope.iter().map(Bytes::len).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: u32, end: u32) -> Span {
        Span { start, end }
    }

    #[test]
    fn a_string_is_escaped_as_json() {
        let edited = Edit::string(span(5, 8), "a\"\\\n/ü\u{1}").apply(r#"{"m":"x"}"#);
        assert_eq!(edited, r#"{"m":"a\"\\\n/ü\u0001"}"#);
    }

    #[test]
    fn edits_apply_in_any_order_at_both_ends_and_side_by_side() {
        let body = Bytes::from_static(b"0123456789");
        let edits = [(10, 10, "E"), (5, 7, "mid"), (0, 0, "S"), (0, 1, ""), (7, 7, "!")];
        let edits = edits.map(|(start, end, text)| Edit::text(span(start, end), text));
        assert_eq!(splice(&body, edits).concat(), b"S1234mid!789E");
        assert_eq!(splice(&body, []).concat(), b"0123456789");
    }

    #[test]
    fn a_large_body_is_shared_and_a_small_one_is_one_buffer() {
        let body = Bytes::from(vec![b'x'; COPIED_BELOW + 100]);
        let rope = splice(&body, [Edit::text(span(10, 20), "new")]);
        assert_eq!((rope.len(), length(&rope)), (3, COPIED_BELOW + 93));
        assert_eq!(rope[0].as_ptr(), body.as_ptr());
        assert_eq!(rope[2].as_ptr(), body[20..].as_ptr());
        assert_eq!(splice(&body.slice(..100), [Edit::text(span(10, 20), "new")]).len(), 1);
    }
}
