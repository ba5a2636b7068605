//! The end of a Responses stream that gets no more tokens: what is open is closed in the order in which a provider would,
//! then `response.incomplete` with the whole answer, which is why all that passed is kept. Sizes are bytes.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json, value::RawValue};

use crate::{chat::usage::Usage, protocol::openai_responses::usage::Report};

/// The answer so far.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// As the last event about all of it has it.
    response: Map<String, Value>,
    /// The number of the next event.
    next: u64,
    /// Its items by their place.
    items: BTreeMap<u64, Item>,
    kept: usize,
}

#[derive(Debug, Default)]
struct Item {
    fields: Map<String, Value>,
    /// Texts and parts that are open, in the order in which they are to be closed.
    open: Vec<Open>,
    is_done: bool,
}

/// A text, or the part that holds one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Open {
    kind: &'static Kind,
    /// Its place in its list.
    at: u64,
}

/// What events there are of something within an item: `stem.added` and `stem.done` of a part, `stem.delta` and `stem.done` of
/// a text.
#[derive(Debug, PartialEq, Eq)]
struct Kind {
    stem: &'static str,
    /// The item's list of parts that it is of, and how events call the place in it.
    list: Option<(&'static str, &'static str)>,
    /// The field that holds the text; of a part, none.
    text: Option<&'static str>,
}

const CONTENT: Option<(&str, &str)> = Some(("content", "content_index"));
const SUMMARY: Option<(&str, &str)> = Some(("summary", "summary_index"));

const KINDS: [Kind; 10] = [
    Kind { stem: "response.content_part", list: CONTENT, text: None },
    Kind { stem: "response.reasoning_summary_part", list: SUMMARY, text: None },
    Kind { stem: "response.output_text", list: CONTENT, text: Some("text") },
    Kind { stem: "response.refusal", list: CONTENT, text: Some("refusal") },
    Kind { stem: "response.reasoning_text", list: CONTENT, text: Some("text") },
    Kind { stem: "response.reasoning_summary_text", list: SUMMARY, text: Some("text") },
    Kind { stem: "response.function_call_arguments", list: None, text: Some("arguments") },
    Kind { stem: "response.mcp_call_arguments", list: None, text: Some("arguments") },
    Kind { stem: "response.custom_tool_call_input", list: None, text: Some("input") },
    Kind { stem: "response.code_interpreter_call_code", list: None, text: Some("code") },
];

/// The most that is kept of an answer, in bytes of its text and of the JSON around it: several times the longest that any
/// model gives. What comes behind is left out of the last event.
const MOST: usize = 4 << 20;
/// Parts of one item beyond these are not kept.
const MOST_PARTS: u64 = 1024;
/// What a part takes, with nothing in it.
const A_PART: usize = 64;
/// How events call the place of a part.
const PARTS: [&str; 2] = ["content_index", "summary_index"];

impl Answer {
    /// Keeps what an event adds.
    pub(super) fn note(&mut self, kind: &str, data: &[u8]) {
        let size = data.len();
        let Ok(Value::Object(mut data)) = serde_json::from_slice(data) else { return };
        if let Some(number) = data.get("sequence_number").and_then(Value::as_u64) {
            self.next = number.saturating_add(1);
        }
        let index = data.get("output_index").and_then(Value::as_u64);
        // More of a text costs its bytes; what begins an item or a part costs the event, and the parts that it makes.
        let part = PARTS.iter().find_map(|name| data.get(*name)?.as_u64()).filter(|part| *part < MOST_PARTS);
        let known = index.and_then(|index| self.items.get(&index)?.parts(part)).unwrap_or(false);
        let size = match data.get("delta").and_then(Value::as_str) {
            Some(text) if known => text.len(),
            _ => size + part.map_or(0, |part| (part as usize + 1) * A_PART),
        };
        self.kept = self.kept.saturating_add(size);
        if self.kept > MOST {
            return;
        }
        if let Some(Value::Object(response)) = data.remove("response") {
            self.response = response;
        } else if let Some(index) = index {
            self.items.entry(index).or_default().note(kind, data);
        }
    }

    pub(super) fn kept(&self) -> usize {
        self.kept.min(MOST)
    }

    /// Writes the last events.
    pub(super) fn end(mut self, model: &RawValue, usage: Usage, out: &mut Vec<u8>) {
        for (index, mut item) in std::mem::take(&mut self.items) {
            if !item.is_done {
                for open in std::mem::take(&mut item.open) {
                    let fields = item.done(open, index);
                    self.line(&format!("{}.done", open.kind.stem), fields, out);
                }
                item.fields.insert("status".to_owned(), "incomplete".into());
                let fields = json!({"output_index": index, "item": &item.fields});
                self.line("response.output_item.done", fields, out);
            }
            self.items.insert(index, item);
        }
        let items = std::mem::take(&mut self.items).into_values();
        let output = items.map(|item| Value::Object(item.fields)).collect::<Vec<_>>();
        let mut response = std::mem::take(&mut self.response);
        for (name, value) in [
            ("status", "incomplete".into()),
            ("incomplete_details", json!({"reason": "max_output_tokens"})),
            ("model", serde_json::from_str(model.get()).unwrap_or_default()),
            ("output", output.into()),
            ("usage", serde_json::to_value(Report::of(usage)).unwrap_or_default()),
        ] {
            response.insert(name.to_owned(), value);
        }
        self.line("response.incomplete", json!({"response": response}), out);
    }

    /// Writes one event.
    fn line(&mut self, kind: &str, fields: Value, out: &mut Vec<u8>) {
        let mut line = json!({"type": kind, "sequence_number": self.next});
        self.next = self.next.saturating_add(1);
        if let (Value::Object(line), Value::Object(fields)) = (&mut line, fields) {
            line.extend(fields);
        }
        out.extend_from_slice(format!("event: {kind}\ndata: {line}\n\n").as_bytes());
    }
}

impl Item {
    fn note(&mut self, kind: &str, mut data: Map<String, Value>) {
        if let Some(Value::Object(fields)) = data.remove("item") {
            (self.fields, self.is_done) = (fields, kind.ends_with(".done"));
            return;
        }
        let Some((stem, step)) = kind.rsplit_once('.') else { return };
        let Some(kind) = KINDS.iter().find(|known| known.stem == stem) else { return };
        let at = kind.list.and_then(|(_, index)| data.get(index)?.as_u64()).unwrap_or(0);
        let open = Open { kind, at };
        self.open.retain(|other| *other != open);
        match step {
            // Its part is closed behind it.
            "delta" => self.open.insert(0, open),
            "added" => self.open.push(open),
            _ => {}
        }
        let Some(place) = self.place(open) else { return };
        match (kind.text, step) {
            (None, _) => *place = data.remove("part").unwrap_or_default(),
            (Some(_), "delta") => append(place, data.get("delta")),
            (Some(text), _) => {
                if let Some(whole) = data.remove(text) {
                    *place = whole;
                }
            }
        }
    }

    /// Whether it has the part of this place; `None` for the item itself, which is there.
    fn parts(&self, part: Option<u64>) -> Option<bool> {
        let Some(part) = part else { return Some(true) };
        let lists = ["content", "summary"].iter().filter_map(|list| self.fields.get(*list)?.as_array());
        Some(lists.map(Vec::len).max().is_some_and(|length| length as u64 > part))
    }

    /// Where the text or part stands in the item.
    fn place(&mut self, Open { kind, at }: Open) -> Option<&mut Value> {
        let Some((list, _)) = kind.list else {
            return Some(self.fields.entry(kind.text?).or_insert(Value::Null));
        };
        let list = self.fields.entry(list).or_insert_with(|| Value::Array(Vec::new()));
        let at = usize::try_from(at).ok().filter(|_| at < MOST_PARTS)?;
        let parts = list.as_array_mut()?;
        if parts.len() <= at {
            parts.resize_with(at + 1, || json!({}));
        }
        let Some(text) = kind.text else { return Some(&mut parts[at]) };
        Some(parts[at].as_object_mut()?.entry(text).or_insert(Value::Null))
    }

    /// What the event says by which a text or part is closed.
    fn done(&mut self, open: Open, output_index: u64) -> Value {
        let mut fields = json!({"item_id": self.fields.get("id"), "output_index": output_index});
        if let Some((_, index)) = open.kind.list {
            fields[index] = open.at.into();
        }
        fields[open.kind.text.unwrap_or("part")] = self.place(open).cloned().unwrap_or_default();
        if open.kind.stem == "response.output_text" {
            fields["logprobs"] = json!([]);
        }
        fields
    }
}

fn append(text: &mut Value, more: Option<&Value>) {
    let Some(more) = more.and_then(Value::as_str) else { return };
    match text {
        Value::String(text) => text.push_str(more),
        other => *other = more.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_events_make_of_nothing_is_counted_and_numbers_go_on_behind_the_most() {
        let mut answer = Answer::default();
        for index in 0..200 {
            let event =
                json!({"output_index": index, "content_index": 1023, "delta": "", "sequence_number": index});
            answer.note("response.output_text.delta", event.to_string().as_bytes());
        }
        assert_eq!(answer.kept(), MOST);
        assert!(answer.items.len() <= MOST / (1024 * A_PART), "{}", answer.items.len());
        assert_eq!(answer.next, 200);
        let mut plain = Answer::default();
        for number in 0..1000 {
            let event =
                json!({"output_index": 0, "content_index": 0, "delta": "ab", "sequence_number": number});
            plain.note("response.output_text.delta", event.to_string().as_bytes());
        }
        assert!(plain.kept() < 3_000, "a text costs its bytes: {}", plain.kept());
    }
}
