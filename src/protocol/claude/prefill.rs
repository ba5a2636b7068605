//! The beginning of an answer that the caller wrote for the model to go on with: it may not end in blanks ("final assistant
//! content cannot end with trailing whitespace").

use std::borrow::Cow;

/// The text without the blanks at its end, uncopied.
pub(in crate::protocol) fn end_in_a_word(text: &mut Cow<'_, str>) {
    let end = text.trim_end().len();
    match text {
        Cow::Borrowed(text) => *text = &text[..end],
        Cow::Owned(text) => text.truncate(end),
    }
}
