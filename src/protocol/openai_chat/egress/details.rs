//! `reasoning_details` of OpenRouter and those who follow it: pieces of reasoning, signed or encrypted, that the provider
//! wants back as it gave them. Kept as one list, which is the signature of the reasoning it came with. Bounded.
//! <https://openrouter.ai/docs/use-cases/reasoning-tokens>

use serde_json::{Map, Value, value::RawValue};

use crate::{
    chat::signature::{Maker, Signature},
    protocol::json::each,
};

/// The details of reasoning that goes on.
#[derive(Debug, Default)]
pub(super) struct Details {
    entries: Vec<Map<String, Value>>,
    /// About what they take, in bytes; more than [`MOST`] is given up, since the half of a list is none.
    held: usize,
}

/// The most that is kept.
const MOST: usize = 8 << 20;

impl Details {
    /// Takes in a list. A stream tells a text in pieces, which are entries of one type and index: they become one, as the
    /// provider's own client puts them together.
    pub(super) fn add(&mut self, list: &RawValue) {
        // What is no list has no entries.
        let _ = each(list.get(), |entry| {
            self.held = self.held.saturating_add(entry.len());
            if self.held > MOST {
                self.entries = Vec::new();
            } else if let Ok(entry) = serde_json::from_str(entry) {
                self.entry(entry);
            }
        });
    }

    fn entry(&mut self, entry: Map<String, Value>) {
        let goes_on = |last: &&mut Map<String, Value>| {
            let kind = entry.get("type").and_then(Value::as_str);
            matches!(kind, Some("reasoning.text" | "reasoning.summary"))
                && ["type", "index"].iter().all(|key| last.get(*key) == entry.get(*key))
                // What is signed is complete.
                && last.get("signature").is_none_or(Value::is_null)
        };
        let Some(last) = self.entries.last_mut().filter(goes_on) else { return self.entries.push(entry) };
        for (key, value) in entry {
            match (last.get_mut(&key), value) {
                (Some(Value::String(text)), Value::String(more)) if key == "text" || key == "summary" => {
                    text.push_str(&more);
                }
                (Some(_), Value::Null) => {}
                (_, value) => drop(last.insert(key, value)),
            }
        }
    }

    /// What was taken in, once the reasoning is over; `None` when that is nothing.
    pub(super) fn take(&mut self) -> Option<Signature<'static>> {
        let Self { entries, held } = std::mem::take(self);
        if entries.is_empty() || held > MOST {
            return None;
        }
        // JSON always serialises.
        Some(Signature::new(Maker::Details, serde_json::to_string(&entries).unwrap_or_default()))
    }
}

/// The entries of a list that comes back. A client may have written anything.
pub(super) fn read<'a>(signature: &'a Signature<'_>, out: &mut Vec<&'a RawValue>) {
    if signature.maker == Maker::Details && serde_json::from_str::<&RawValue>(&signature.value).is_ok() {
        let _ = each(&signature.value, |entry| out.extend(serde_json::from_str::<&RawValue>(entry)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_a_text_become_one_entry_and_come_back() {
        let mut details = Details::default();
        for list in [
            r#"[{"type":"reasoning.text","text":"a","index":0,"format":"x","signature":null},5]"#,
            r#"[{"type":"reasoning.text","text":"b","index":0,"format":null}]"#,
            r#"[{"type":"reasoning.text","signature":"S","index":0}]"#,
            r#"[{"type":"reasoning.text","text":"c","index":0}]"#,
            r#"[{"type":"reasoning.encrypted","data":"D","index":1},{"type":"reasoning.encrypted","data":"E","index":1}]"#,
            "null",
        ] {
            details.add(serde_json::from_str(list).unwrap());
        }
        let signature = details.take().unwrap();
        let read: Vec<Value> = serde_json::from_str(&signature.value).unwrap();
        let expected = serde_json::json!([
            {"type": "reasoning.text", "text": "ab", "index": 0, "format": "x", "signature": "S"},
            {"type": "reasoning.text", "text": "c", "index": 0},
            {"type": "reasoning.encrypted", "data": "D", "index": 1},
            {"type": "reasoning.encrypted", "data": "E", "index": 1},
        ]);
        assert_eq!((Value::from(read), details.take()), (expected, None));
        let mut back = Vec::new();
        super::read(&signature, &mut back);
        assert_eq!(back.len(), 4);
        for odd in ["", "{}", "[1", "null"].map(|odd| Signature::new(Maker::Details, odd)) {
            super::read(&odd, &mut Vec::new());
        }
        let other = Signature::new(Maker::OpenAi, "[1]");
        super::read(&other, &mut back);
        assert_eq!(back.len(), 4);
    }

    #[test]
    fn details_without_an_end_are_given_up() {
        let mut details = Details::default();
        let list = format!(r#"[{{"type":"reasoning.encrypted","data":"{}"}}]"#, "a".repeat(MOST / 2));
        (0..3).for_each(|_| details.add(serde_json::from_str(&list).unwrap()));
        assert_eq!(details.take(), None);
    }
}
