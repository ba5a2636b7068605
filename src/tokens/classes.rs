//! The character classes of the pre-tokeniser: `\p{L}`, `\p{N}`, `\s` and the rest.
//!
//! They are read from `regex-syntax`, the tables of the regex engine that the reference tokeniser runs on, and not from
//! `char::is_alphabetic`, which answers another question (it also holds for many marks). Must not know about tokens.

use regex_syntax::hir::{Class as Set, HirKind};

/// What the pre-tokeniser's pattern tells characters apart by. The four are disjoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Class {
    /// `\p{L}`.
    Letter,
    /// `\p{N}`.
    Number,
    /// `[^\s\p{L}\p{N}]`.
    Other,
    /// `\s`.
    Space,
}

/// The class of every character: two lookups, about 40 KB.
pub(super) struct Classes {
    /// Which leaf describes a block of 256 characters.
    leaf_of_block: Vec<u8>,
    /// 256 classes each; equal ones are stored once. The first is that of the block with ASCII.
    leaves: Vec<[Class; BLOCK]>,
}

const BLOCK: usize = 256;

impl Classes {
    /// Reads the tables; takes about a millisecond.
    pub(super) fn new() -> Self {
        let mut flat = vec![Class::Other; char::MAX as usize + 1];
        for (pattern, class) in [(r"\p{L}", Class::Letter), (r"\p{N}", Class::Number), (r"\s", Class::Space)]
        {
            for (first, last) in ranges(pattern) {
                flat[first as usize..=last as usize].fill(class);
            }
        }
        let mut classes = Self { leaf_of_block: Vec::new(), leaves: Vec::new() };
        for block in flat.as_chunks::<BLOCK>().0 {
            classes.push(block);
        }
        classes
    }

    /// The class of an ASCII character.
    #[inline]
    pub(super) fn ascii(&self, byte: u8) -> Class {
        self.leaves[0][usize::from(byte)]
    }

    /// The class of any character.
    #[inline]
    pub(super) fn of(&self, c: char) -> Class {
        let leaf = self.leaf_of_block[c as usize / BLOCK];
        self.leaves[usize::from(leaf)][c as usize % BLOCK]
    }

    fn push(&mut self, block: &[Class; BLOCK]) {
        let leaf = self.leaves.iter().position(|leaf| leaf == block).unwrap_or_else(|| {
            self.leaves.push(*block);
            self.leaves.len() - 1
        });
        debug_assert!(leaf <= usize::from(u8::MAX), "Unicode has fewer different blocks");
        self.leaf_of_block.push(leaf as u8);
    }
}

/// The characters that a one-class pattern matches, as inclusive ranges.
fn ranges(pattern: &str) -> Vec<(char, char)> {
    match regex_syntax::parse(pattern).map(regex_syntax::hir::Hir::into_kind) {
        Ok(HirKind::Class(Set::Unicode(set))) => {
            set.iter().map(|range| (range.start(), range.end())).collect()
        }
        // The patterns are the three constants above, and a test looks every character up.
        _ => unreachable!("{pattern} is one Unicode class"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_has_the_class_that_std_and_the_categories_give_it() {
        let classes = Classes::new();
        let mut seen = [0_usize; 4];
        for c in '\0'..=char::MAX {
            let class = classes.of(c);
            seen[class as usize] += 1;
            if c.is_ascii() {
                assert_eq!(class, classes.ascii(c as u8));
            }
            assert_eq!(class == Class::Space, c.is_whitespace(), "{c:?}");
            if class == Class::Letter {
                assert!(c.is_alphabetic(), "{c:?}");
            }
        }
        assert!(seen[Class::Letter as usize] > 130_000 && seen[Class::Number as usize] > 1_800);
        // Marks and other alphabetics are no letters here.
        assert_eq!(classes.of('\u{345}'), Class::Other);
        assert_eq!(classes.of('\u{24B6}'), Class::Other);
        assert_eq!(classes.of('Ⅷ'), Class::Number);
    }
}
