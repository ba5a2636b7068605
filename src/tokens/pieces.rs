//! The pre-tokeniser of `cl100k_base`: cuts a text into the pieces that are encoded one by one.
//!
//! It is the pattern
//! `'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s`
//! written out by hand: the first character's class decides which alternatives are left. Each character is looked at
//! three times at most, so the time is linear. Offsets are bytes. Must not know about tokens.

use std::ops::Range;

use super::classes::{Class, Classes};

/// The pieces of a text in order, as byte ranges without gaps.
pub(super) struct Pieces<'a> {
    classes: &'a Classes,
    text: &'a str,
    at: usize,
}

impl<'a> Pieces<'a> {
    /// The pieces of `text`.
    pub(super) fn new(classes: &'a Classes, text: &'a str) -> Self {
        Self { classes, text, at: 0 }
    }

    /// The class of the character that begins at `at` and its length; `None` at the end.
    #[inline]
    fn class_at(&self, at: usize) -> Option<(Class, usize)> {
        let byte = *self.text.as_bytes().get(at)?;
        if byte.is_ascii() {
            return Some((self.classes.ascii(byte), 1));
        }
        let c = self.text[at..].chars().next()?;
        Some((self.classes.of(c), c.len_utf8()))
    }

    fn byte_at(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// Where the run of `class` that covers `at` ends; `at` itself when there is none.
    #[inline]
    fn run(&self, mut at: usize, class: Class) -> usize {
        while let Some((found, length)) = self.class_at(at)
            && found == class
        {
            at += length;
        }
        at
    }

    /// `\p{N}{1,3}`
    fn digits(&self, mut at: usize) -> usize {
        for _ in 0..3 {
            match self.class_at(at) {
                Some((Class::Number, length)) => at += length,
                _ => break,
            }
        }
        at
    }

    /// `[^\s\p{L}\p{N}]++[\r\n]*+`
    fn symbols(&self, at: usize) -> usize {
        let mut at = self.run(at, Class::Other);
        while let Some(b'\r' | b'\n') = self.byte_at(at) {
            at += 1;
        }
        at
    }

    /// From a character that is neither letter, number nor space, of `length` bytes: a contraction, a word behind it, or symbols.
    fn symbol(&self, start: usize, length: usize) -> usize {
        if self.byte_at(start) == Some(b'\'')
            && let Some(end) = self.contraction(start + 1)
        {
            return end;
        }
        match self.class_at(start + length) {
            Some((Class::Letter, _)) => self.run(start + length, Class::Letter),
            _ => self.symbols(start),
        }
    }

    /// `(?i:[sdmt]|ll|ve|re)` behind an apostrophe. Folding makes `ſ` (U+017F) an `s`; the other letters have no such twin.
    fn contraction(&self, at: usize) -> Option<usize> {
        let second = self.byte_at(at + 1).unwrap_or(0);
        match (self.byte_at(at)?.to_ascii_lowercase(), second.to_ascii_lowercase()) {
            (b's' | b'd' | b'm' | b't', _) => Some(at + 1),
            (b'l', b'l') | (b'v' | b'r', b'e') => Some(at + 2),
            (0xC5, 0xBF) => Some(at + 2),
            _ => None,
        }
    }

    /// From a space of `length` bytes: the prefix of a word or of symbols when it stands alone, else a run of spaces.
    fn space(&self, start: usize, length: usize) -> usize {
        let first = self.byte_at(start);
        match self.class_at(start + length) {
            Some((Class::Letter, _)) if !matches!(first, Some(b'\r' | b'\n')) => {
                self.run(start + length, Class::Letter)
            }
            Some((Class::Other, _)) if first == Some(b' ') => self.symbols(start + length),
            Some((Class::Space, _)) => self.spaces(start),
            _ => start + length,
        }
    }

    /// Two spaces or more: all of them at the end of the text, else up to the last line break, else all but the last,
    /// which is left for the word that follows.
    fn spaces(&self, start: usize) -> usize {
        let (mut at, mut last, mut line_break) = (start, start, None);
        while let Some((Class::Space, length)) = self.class_at(at) {
            last = at;
            at += length;
            if let Some(b'\r' | b'\n') = self.byte_at(last) {
                line_break = Some(at);
            }
        }
        if at == self.text.len() { at } else { line_break.unwrap_or(last) }
    }
}

impl Iterator for Pieces<'_> {
    type Item = Range<usize>;

    #[inline]
    fn next(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        let (class, length) = self.class_at(start)?;
        self.at = match class {
            Class::Letter => self.run(start + length, Class::Letter),
            Class::Number => self.digits(start),
            Class::Other => self.symbol(start, length),
            Class::Space => self.space(start, length),
        };
        Some(start..self.at)
    }
}
