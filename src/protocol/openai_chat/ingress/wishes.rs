//! What a client wishes of the form of its answer alone, and the neutral request does not say.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::protocol::json::Key;

/// Read from the client's body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wishes {
    /// Usage in a chunk of its own at the end of a stream.
    pub(super) usage: bool,
    /// Calls as `function_call`: the client has defined `functions`, from before there were tools.
    pub(super) functions: bool,
}

struct WishesVisitor;

impl Wishes {
    /// Reads a body that was read before. Most bodies hold neither word, and are not read again.
    pub(super) fn of(body: &[u8]) -> Self {
        let holds = |word: &str| memchr::memmem::find(body, word.as_bytes()).is_some();
        if !holds("include_usage") && !holds("functions") {
            return Self::default();
        }
        serde_json::from_slice(body).unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for Wishes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(WishesVisitor)
    }
}

impl<'de> Visitor<'de> for WishesVisitor {
    type Value = Wishes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Wishes, A::Error> {
        let (mut wishes, mut tools) = (Wishes::default(), false);
        while let Some(Key(key)) = map.next_key()? {
            match key.as_ref() {
                "stream_options" => wishes.usage = includes_usage(map.next_value()?),
                "functions" => wishes.functions = map.next_value::<&RawValue>()?.get() != "null",
                "tools" => tools = map.next_value::<&RawValue>()?.get() != "null",
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        wishes.functions &= !tools;
        Ok(wishes)
    }
}

fn includes_usage(options: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Options<'a> {
        #[serde(borrow)]
        include_usage: Option<&'a RawValue>,
    }
    let options = serde_json::from_str::<Options<'_>>(options.get()).ok();
    options.and_then(|options| options.include_usage).is_some_and(|value| value.get() == "true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wishes_of_a_client_are_found_at_the_top_of_its_body_only() {
        let of = |body: &str| {
            let Wishes { usage, functions } = Wishes::of(body.as_bytes());
            (usage, functions)
        };
        assert_eq!(of(r#"{"stream_options":{"include_usage":true},"functions":[]}"#), (true, true));
        assert_eq!(of(r#"{"stream_options":{"include_usage":false},"functions":null}"#), (false, false));
        assert_eq!(of(r#"{"functions":[],"tools":[]}"#), (false, false));
        assert_eq!(of(r#"{"messages":[{"functions":[],"include_usage":true}]}"#), (false, false));
    }
}
