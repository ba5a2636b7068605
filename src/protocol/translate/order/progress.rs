//! How far the JSON of a call's input has come, read in pieces: whether the value has ended.

/// The state between two pieces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::protocol) struct Progress {
    /// Objects and arrays that are open.
    depth: u32,
    /// Within a string.
    in_string: bool,
    /// Behind a backslash in a string.
    escaped: bool,
    /// The outermost object or array has ended. Another kind of value tells its end by nothing.
    ended: bool,
}

impl Progress {
    /// Takes the next piece.
    pub(in crate::protocol) fn push(&mut self, text: &str) {
        for byte in text.bytes() {
            match (self.in_string, byte) {
                (true, _) if self.escaped => self.escaped = false,
                (true, b'\\') => self.escaped = true,
                (true, b'"') => self.in_string = false,
                (true, _) => {}
                (false, b'"') => self.in_string = true,
                (false, b'{' | b'[') => self.depth = self.depth.saturating_add(1),
                (false, b'}' | b']') => {
                    self.depth = self.depth.saturating_sub(1);
                    self.ended |= self.depth == 0;
                }
                (false, _) => {}
            }
        }
    }

    /// Whether the value has ended.
    pub(in crate::protocol) fn is_complete(self) -> bool {
        self.ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_ends_with_its_brace_and_not_with_one_in_a_string() {
        for (json, complete) in [
            ("", false),
            ("{}", true),
            (r#"{"a":"}"#, false),
            (r#"{"a":"\"}"#, false),
            (r#"{"a":"\\"}"#, true),
            (r#"[{"a":[1]},2]"#, true),
            (r#"[{"a":[1]},"#, false),
            ("12", false),
        ] {
            let (mut whole, mut cut) = (Progress::default(), Progress::default());
            whole.push(json);
            json.char_indices().for_each(|(at, c)| cut.push(&json[at..at + c.len_utf8()]));
            assert_eq!((whole.is_complete(), whole), (complete, cut), "{json}");
        }
    }
}
