//! What a stream to a client of Google's must be like: checked chunk by chunk, and put together as an SDK would.

use serde_json::{Value, json};

use crate::protocol::gemini::ingress::stream::Framing;

/// Checks a whole stream that ends well, and gives the answer that a client has in the end.
#[track_caller]
pub(in crate::protocol::gemini) fn answer(stream: &[u8], framing: Framing) -> Value {
    let chunks = chunks(stream, framing);
    let (last, before) = chunks.split_last().expect("a chunk");
    for chunk in &chunks {
        assert_eq!(chunk["modelVersion"], last["modelVersion"]);
        assert_eq!(chunk["responseId"], last["responseId"]);
        assert!(chunk["responseId"].as_str().is_some_and(|id| !id.is_empty()));
        let candidates = chunk["candidates"].as_array().unwrap();
        assert!(!candidates.is_empty(), "{chunk}");
        for candidate in candidates {
            assert_eq!(candidate["content"]["role"], "model");
            assert!(candidate["index"].is_u64());
            assert!(
                candidate["content"]["parts"].as_array().is_some_and(|parts| !parts.is_empty()),
                "{chunk}"
            );
            assert_eq!(candidate.get("finishReason").is_some(), std::ptr::eq(chunk, last), "{chunk}");
        }
    }
    assert!(
        before
            .iter()
            .skip_while(|chunk| chunk.get("usageMetadata").is_none())
            .all(|c| c["usageMetadata"].is_object())
    );
    joined(&chunks)
}

/// What chunks say together, whoever wrote them: text and thoughts run on up to a signature.
#[track_caller]
pub(in crate::protocol::gemini) fn joined(chunks: &[Value]) -> Value {
    let mut answer = chunks.last().expect("a chunk").clone();
    let numbered = |candidate: &Value| candidate["index"].as_u64().unwrap_or(0);
    let mut candidates: Vec<Value> = Vec::new();
    for candidate in chunks.iter().flat_map(|chunk| chunk["candidates"].as_array().into_iter().flatten()) {
        let known = candidates.iter_mut().find(|known| known["index"] == numbered(candidate));
        let known = match known {
            Some(known) => known,
            None => {
                candidates.push(
                    json!({ "content": { "parts": [], "role": "model" }, "index": numbered(candidate) }),
                );
                candidates.last_mut().unwrap()
            }
        };
        let parts = known["content"]["parts"].as_array_mut().unwrap();
        candidate["content"]["parts"].as_array().into_iter().flatten().for_each(|part| join(parts, part));
        if let Some(reason) = candidate.get("finishReason") {
            known["finishReason"] = reason.clone();
        }
    }
    candidates.sort_by_key(numbered);
    answer["candidates"] = candidates.into();
    answer
}

fn join(parts: &mut Vec<Value>, part: &Value) {
    let is_thought = |part: &Value| part["thought"] == true;
    let nothing = part["text"] == "" && part.get("thoughtSignature").is_none();
    match parts.last_mut() {
        _ if nothing => {}
        Some(last)
            if last["text"].is_string()
                && part["text"].is_string()
                && is_thought(last) == is_thought(part)
                && last.get("thoughtSignature").is_none() =>
        {
            last["text"] =
                (last["text"].as_str().unwrap().to_owned() + part["text"].as_str().unwrap()).into();
            if let Some(signature) = part.get("thoughtSignature") {
                last["thoughtSignature"] = signature.clone();
            }
        }
        _ => parts.push(part.clone()),
    }
}

/// The chunks of a stream in its framing.
#[track_caller]
pub(in crate::protocol::gemini) fn chunks(stream: &[u8], framing: Framing) -> Vec<Value> {
    let text = std::str::from_utf8(stream).unwrap();
    match framing {
        Framing::Array => serde_json::from_str(text).unwrap(),
        Framing::Sse => {
            assert!(text.is_empty() || text.ends_with("\r\n\r\n"), "{text}");
            text.split_terminator("\r\n\r\n")
                .map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap())
                .collect()
        }
    }
}
