//! The free text of custom tools that comes in the arguments of functions, `{"input":"…"}`: held back until all of it is
//! there. Bounded. Sizes are bytes.

use std::borrow::Cow;

use crate::protocol::{call::free_text, translate::order::progress::Progress};

/// The calls of one stream that are such.
#[derive(Debug, Default)]
pub(super) struct Wrapped {
    calls: Vec<Call>,
    held: usize,
}

/// A call by its choice and index.
type Place = (u32, u32);

#[derive(Debug)]
struct Call {
    place: Place,
    /// As far as they came.
    arguments: String,
    progress: Progress,
    told: bool,
}

/// The most that is held back. Beyond it nothing more is: the arguments are told as they are.
const MOST: usize = 8 << 20;

impl Wrapped {
    /// A call of a tool that takes free text begins.
    pub(super) fn begin(&mut self, place: Place) {
        let (arguments, progress) = (String::new(), Progress::default());
        self.calls.push(Call { place, arguments, progress, told: false });
    }

    /// Takes a piece of a call's input, of whatever kind; gives what of it can be told.
    pub(super) fn push<'a>(&mut self, place: Place, piece: &'a str) -> Option<Cow<'a, str>> {
        let Some(at) = self.calls.iter().position(|call| call.place == place) else {
            return Some(Cow::Borrowed(piece));
        };
        let call = &mut self.calls[at];
        if call.told {
            return None;
        }
        call.arguments.push_str(piece);
        call.progress.push(piece);
        self.held += piece.len();
        if call.progress.is_complete() {
            call.told = true;
            self.held -= call.arguments.len();
            return Some(free_text(std::mem::take(&mut call.arguments).into()));
        }
        if self.held <= MOST {
            return None;
        }
        let call = self.calls.swap_remove(at);
        self.held -= call.arguments.len();
        Some(call.arguments.into())
    }

    /// A choice ends: gives what was still held back of its calls, by index.
    pub(super) fn finish(&mut self, choice: u32) -> Vec<(u32, String)> {
        let open = self.calls.iter_mut().filter(|call| call.place.0 == choice && !call.told);
        let told = open.map(|call| {
            call.told = true;
            self.held -= call.arguments.len();
            (call.place.1, free_text(std::mem::take(&mut call.arguments).into()).into_owned())
        });
        told.filter(|(_, text)| !text.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_text_is_told_once_whole_and_too_much_of_it_as_it_comes() {
        let mut wrapped = Wrapped::default();
        wrapped.begin((0, 1));
        assert_eq!(wrapped.push((0, 0), "{"), Some("{".into()));
        assert_eq!(wrapped.push((0, 1), "{\"input\":\"a"), None);
        assert_eq!(wrapped.push((0, 1), "b\"}"), Some("ab".into()));
        assert_eq!((wrapped.push((0, 1), " "), wrapped.held), (None, 0));
        wrapped.begin((1, 0));
        assert_eq!(wrapped.push((1, 0), "cut"), None);
        assert_eq!((wrapped.finish(0), wrapped.finish(1)), (vec![], vec![(0, "cut".to_owned())]));
        wrapped.begin((2, 0));
        let long = "a".repeat(MOST + 1);
        assert_eq!(wrapped.push((2, 0), &long), Some(long.as_str().into()));
        assert_eq!((wrapped.push((2, 0), "b"), wrapped.held), (Some("b".into()), 0));
    }
}
