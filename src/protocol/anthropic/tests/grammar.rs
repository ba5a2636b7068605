//! What a stream to a client of Anthropic's must be like: checked event by event, and put together as an SDK would.

use serde_json::{Value, json};

/// Checks a whole stream that ends well, and gives the message that a client has in the end.
#[track_caller]
pub(in crate::protocol::anthropic) fn message(stream: &[u8]) -> Value {
    let events = events(stream);
    let names: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(names.len(), events.len());
    assert_eq!(names.first(), Some(&"message_start"), "{names:?}");
    assert_eq!(names[names.len() - 2..], ["message_delta", "message_stop"], "{names:?}");
    let mut message = events[0]["message"].clone();
    assert_eq!((&message["content"], &message["stop_reason"]), (&json!([]), &Value::Null));
    assert!(message["id"].as_str().is_some_and(|id| id.len() == 28 && id.starts_with("msg_")), "{message}");
    assert!(message["usage"]["input_tokens"].is_u64() && message["usage"]["output_tokens"].is_u64());
    let mut blocks = Vec::new();
    let mut open = None;
    for (at, event) in events[1..events.len() - 2].iter().enumerate() {
        match event["type"].as_str().unwrap() {
            "content_block_start" => {
                assert!(open.is_none(), "{names:?}");
                assert_eq!(event["index"], blocks.len());
                open = Some(Block { value: event["content_block"].clone(), input: String::new(), pieces: 0 });
            }
            "ping" => assert!(at == 1 && blocks.is_empty(), "behind the first start: {names:?}"),
            "content_block_delta" => {
                assert_eq!(event["index"], blocks.len());
                open.as_mut().expect("a block is open").add(&event["delta"]);
            }
            "content_block_stop" => {
                assert_eq!(event["index"], blocks.len());
                blocks.push(open.take().expect("a block is open").end());
            }
            other => panic!("{other} does not belong there: {names:?}"),
        }
    }
    assert!(open.is_none(), "{names:?}");
    let end = &events[events.len() - 2];
    assert!(end["delta"]["stop_reason"].is_string(), "{end}");
    message["content"] = blocks.into();
    message["stop_reason"] = end["delta"]["stop_reason"].clone();
    message["stop_sequence"] = end["delta"]["stop_sequence"].clone();
    for (key, value) in end["usage"].as_object().unwrap() {
        message["usage"][key] = value.clone();
    }
    message
}

/// The data of all events, each of which must have its own name.
#[track_caller]
pub(in crate::protocol::anthropic) fn events(stream: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(stream).unwrap();
    assert!(text.is_empty() || text.ends_with("\n\n"), "{text}");
    text.split_terminator("\n\n")
        .map(|event| {
            let (name, data) = event.split_once('\n').expect("two lines");
            let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
            data
        })
        .collect()
}

/// A block as it grows.
struct Block {
    value: Value,
    input: String,
    pieces: usize,
}

impl Block {
    fn add(&mut self, delta: &Value) {
        self.pieces += 1;
        let (kind, piece, field) = match delta["type"].as_str().unwrap() {
            "text_delta" => ("text", &delta["text"], "text"),
            "thinking_delta" => ("thinking", &delta["thinking"], "thinking"),
            "signature_delta" => ("thinking", &delta["signature"], "signature"),
            "input_json_delta" => {
                assert_eq!(self.value["type"], "tool_use");
                let piece = delta["partial_json"].as_str().unwrap();
                assert_eq!(piece.is_empty(), self.pieces == 1, "the first piece, and only it, is empty");
                return self.input.push_str(piece);
            }
            other => panic!("{other}"),
        };
        assert_eq!(self.value["type"], kind);
        assert!(field == "signature" || self.value["signature"].as_str().is_none_or(str::is_empty));
        let grown = self.value[field].as_str().unwrap().to_owned() + piece.as_str().unwrap();
        self.value[field] = grown.into();
    }

    /// The whole block; input that is no JSON stays text.
    fn end(mut self) -> Value {
        if self.value["type"] == "tool_use" {
            assert!(self.pieces > 1, "a call has input");
            self.value["input"] = serde_json::from_str(&self.input).unwrap_or(Value::String(self.input));
        }
        self.value
    }
}
