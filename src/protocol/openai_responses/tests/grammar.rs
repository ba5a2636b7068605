//! The grammar of a stream of Responses, as the wire facts count it.

use serde_json::{Value, json};

/// Checks every event, and gives the answer in the last one; `None` when the stream ends with an error.
#[track_caller]
pub(in super::super) fn answer(stream: &[u8]) -> Option<Value> {
    let events = events(stream);
    let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], json!(number), "{event}");
    }
    if kinds.last() == Some(&"error") {
        assert_eq!(kinds.iter().filter(|kind| **kind == "error").count(), 1);
        return None;
    }
    assert_eq!(&kinds[..2], ["response.created", "response.in_progress"]);
    assert_eq!(events[0]["response"]["usage"], Value::Null);
    let (last, items) = events[2..].split_last().unwrap();
    let answer = &last["response"];
    let status = answer["status"].as_str().unwrap();
    assert_eq!(last["type"], json!(format!("response.{status}")));
    assert_eq!(answer["incomplete_details"].is_null(), status == "completed");
    assert_eq!(&answer["output"], &json!(output(items)));
    for key in ["id", "created_at", "model", "tools", "object"] {
        assert_eq!(answer[key], events[0]["response"][key], "{key}");
    }
    Some(answer.clone())
}

/// The data of each event; its line `event:` is its type.
#[track_caller]
pub(in super::super) fn events(stream: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(stream).unwrap();
    let blocks: Vec<_> = text.split_terminator("\n\n").collect();
    assert!(text.is_empty() || text.ends_with("\n\n"));
    let event = |block: &&str| {
        let (name, data) = block.strip_prefix("event: ").unwrap().split_once("\ndata: ").unwrap();
        assert!(!data.contains('\n'), "{data}");
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!(data["type"], json!(name));
        data
    };
    blocks.iter().map(event).collect()
}

/// The items, one behind another, each begun, continued and ended by its own events.
#[track_caller]
fn output(events: &[Value]) -> Vec<Value> {
    let (mut done, mut at) = (Vec::new(), 0);
    while at < events.len() {
        let index = done.len();
        assert!(events[at..].iter().take_while(|event| event["output_index"] == json!(index)).count() >= 2);
        let end =
            events[at..].iter().position(|event| event["type"] == "response.output_item.done").unwrap() + at;
        done.push(item(&events[at..=end]));
        at = end + 1;
    }
    done
}

/// One item: what its deltas add up to is what its last events say.
#[track_caller]
fn item(events: &[Value]) -> Value {
    let (first, last) = (&events[0]["item"], &events[events.len() - 1]["item"]);
    assert_eq!(events[0]["type"], "response.output_item.added");
    assert_eq!(first["id"], last["id"]);
    let inside = &events[1..events.len() - 1];
    let mut said = String::new();
    for event in inside {
        assert_eq!(
            (&event["item_id"], &event["output_index"]),
            (&first["id"], &events[0]["output_index"]),
            "{event}"
        );
        said.push_str(event["delta"].as_str().unwrap_or_default());
    }
    let kinds: Vec<_> = inside.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let (delta, ends, whole) = match last["type"].as_str().unwrap() {
        "message" if last["content"][0]["type"] == "refusal" => (
            "response.refusal.delta",
            &["response.refusal.done", "response.content_part.done"][..],
            &last["content"][0]["refusal"],
        ),
        "message" => (
            "response.output_text.delta",
            &["response.output_text.done", "response.content_part.done"][..],
            &last["content"][0]["text"],
        ),
        "function_call" => (
            "response.function_call_arguments.delta",
            &["response.function_call_arguments.done"][..],
            &last["arguments"],
        ),
        "custom_tool_call" => (
            "response.custom_tool_call_input.delta",
            &["response.custom_tool_call_input.done"][..],
            &last["input"],
        ),
        "image_generation_call" => ("", &[][..], &Value::Null),
        _ if last["summary"] == json!([]) => ("", &[][..], &Value::Null),
        _ => (
            "response.reasoning_summary_text.delta",
            &["response.reasoning_summary_text.done", "response.reasoning_summary_part.done"][..],
            &last["summary"][0]["text"],
        ),
    };
    assert_eq!(said, whole.as_str().unwrap_or_default(), "{last}");
    assert!(kinds.ends_with(ends), "{kinds:?}");
    let begun = usize::from(ends.len() == 2);
    assert!(kinds[begun..kinds.len() - ends.len()].iter().all(|kind| *kind == delta), "{kinds:?}");
    last.clone()
}
