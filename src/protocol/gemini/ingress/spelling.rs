//! How Google reads JSON, which is more than others do: names in two spellings, words in any case, one where a list is meant,
//! whole numbers as strings. <https://protobuf.dev/programming-guides/json/>

use std::borrow::Cow;

use crate::protocol::{
    json::{self, Malformed},
    value::{Object, Value},
};

/// A whole body, its members under Google's own names.
///
/// # Errors
/// What is no JSON object in UTF-8, or nested too deep.
pub(super) fn body(body: &[u8]) -> Result<Object<'_, 'static>, Malformed> {
    Ok(Object::body(body)?.spelled(own))
}

/// An object, its members under Google's own names.
pub(super) fn object<'a, 'p>(value: &Value<'a, 'p>) -> Result<Object<'a, 'p>, Malformed> {
    Ok(value.object()?.spelled(own))
}

/// Gives each element of an array to `each`, or an object as if it were in one alone.
pub(super) fn items_or_one<'a>(
    value: &Value<'a, '_>,
    mut each: impl FnMut(usize, Value<'a, '_>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    if value.raw().starts_with('{') { each(0, *value) } else { value.items(each) }
}

/// A word out of a list of Google's, in capitals.
pub(super) fn word(value: &Value<'_, '_>) -> Result<String, Malformed> {
    value.text().map(|text| text.to_ascii_uppercase())
}

/// A whole number, not negative.
pub(super) fn count(value: &Value<'_, '_>) -> Result<u64, Malformed> {
    let digits = value.raw().trim_matches('"');
    let (whole, rest) = digits.split_once('.').unwrap_or((digits, ""));
    let count = whole.parse().ok().filter(|_| rest.bytes().all(|byte| byte == b'0'));
    count.ok_or_else(|| value.wrong("a whole number, not negative"))
}

/// A dotted name of Google's as the client writes it, if it stands in `raw`, of which lists are no part of the name. As deep
/// as the name has parts, and the body lists within lists, which is bounded when it is read.
pub(super) fn written(raw: &str, dotted: &str) -> Option<String> {
    if let Some(mut items) = json::cut::elements(raw) {
        return items.find_map(|item| written(item, dotted));
    }
    let (own, rest) = dotted.split_once('.').map_or((dotted, None), |(own, rest)| (own, Some(rest)));
    let mut members = json::cut::members(raw)?.filter(|(_, value)| *value != "null");
    let (name, value) = members.find(|(name, _)| camel(Cow::Borrowed(name)) == own)?;
    match rest {
        Some(rest) => written(value, rest).map(|rest| format!("{name}.{rest}")),
        None => Some(name.into_owned()),
    }
}

/// Google's own name of a member, where the client's may be another one.
fn own(name: &str) -> Option<String> {
    name.contains('_').then(|| camel(name.into()).into_owned())
}

/// A name as Google writes it itself: `inline_data` is `inlineData`.
pub(super) fn camel(name: Cow<'_, str>) -> Cow<'_, str> {
    if !name.contains('_') {
        return name;
    }
    let mut camel = String::with_capacity(name.len());
    let mut words = name.split('_');
    camel.extend(words.next());
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel.into()
}
