//! A value of any type may stand at any place of a body, or nothing at all: that is read or refused, and what was read is
//! written as JSON for everybody else.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    chat::{fault::Fault, loss::Losses},
    protocol::{
        anthropic,
        dialect::{Client, Counting, Spoken},
        gemini::{self, egress::Api, ingress::stream::Framing},
        openai_chat, openai_embeddings, openai_responses,
        translate::{Asked, Frame, Target},
    },
};

pub(super) const UNIQUE: &str = "0123456789abcdef01234567";
pub(super) const ASKED: Asked<'_> = Asked { model: "p/m", unique: UNIQUE, now: 17, body: b"{}" };
pub(super) const TARGET: Target<'_> = Target {
    model: "up",
    max_tokens: 4096,
    stream_usage: true,
    max_completion_tokens: true,
    reasoning_details: true,
};
pub(super) const CLIENTS: [Client; 5] = [
    Client::Chat,
    Client::Responses,
    Client::Messages,
    Client::Gemini(Some(Framing::Sse)),
    Client::Gemini(Some(Framing::Array)),
];
pub(super) const SPOKEN: [Spoken; 4] = [Spoken::Chat, Spoken::Messages, Spoken::Gemini, Spoken::Converse];

/// A request with something at most places that the format has.
fn request(client: Client) -> Value {
    let schema =
        json!({ "type": "object", "properties": { "a": { "type": ["string", "null"], "enum": ["b"] } } });
    match client {
        Client::Chat => chat(&schema),
        Client::Responses => responses(&schema),
        Client::Messages => messages(&schema),
        Client::Gemini(_) => gemini(),
    }
}

fn chat(schema: &Value) -> Value {
    json!({
        "model": "m", "stream": true, "temperature": 0.5, "top_p": 1, "max_tokens": 9, "seed": 1, "n": 1,
        "stop": ["x"], "stream_options": { "include_usage": true }, "reasoning_effort": "low",
        "response_format": { "type": "json_schema", "json_schema": { "name": "n", "schema": schema } },
        "logit_bias": { "5": 1 }, "logprobs": true, "top_logprobs": 2, "parallel_tool_calls": false,
        "tools": [{ "type": "function", "function": { "name": "f", "description": "d", "parameters": schema, "strict": true } }],
        "tool_choice": { "type": "function", "function": { "name": "f" } },
        "messages": [
            { "role": "system", "content": "s" },
            { "role": "user", "content": [
                { "type": "text", "text": "t" },
                { "type": "image_url", "image_url": { "url": "data:image/png;base64,AAAA", "detail": "low" } },
                { "type": "file", "file": { "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA" } }] },
            { "role": "assistant", "content": "a", "refusal": "no", "tool_calls": [
                { "id": "c", "type": "function", "function": { "name": "f", "arguments": "{}" } }] },
            { "role": "tool", "tool_call_id": "c", "content": [{ "type": "text", "text": "r" }] }]
    })
}

fn responses(schema: &Value) -> Value {
    json!({
        "model": "m", "stream": true, "instructions": "i", "max_output_tokens": 9, "temperature": 1,
        "reasoning": { "effort": "low", "summary": "auto" }, "store": false, "include": ["reasoning.encrypted_content"],
        "text": { "format": { "type": "json_schema", "name": "n", "schema": schema }, "verbosity": "low" },
        "tools": [{ "type": "function", "name": "f", "description": "d", "parameters": schema, "strict": false },
            { "type": "custom", "name": "g", "format": { "type": "text" } }],
        "tool_choice": { "type": "function", "name": "f" }, "parallel_tool_calls": true, "metadata": { "a": "b" },
        "input": [
            { "type": "message", "role": "user", "content": [
                { "type": "input_text", "text": "t" },
                { "type": "input_image", "image_url": "https://x/y", "detail": "auto" }] },
            { "type": "reasoning", "id": "rs", "summary": [{ "type": "summary_text", "text": "t" }], "encrypted_content": "e" },
            { "type": "message", "role": "assistant", "id": "msg", "content": [{ "type": "output_text", "text": "t", "annotations": [] }] },
            { "type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "id": "fc" },
            { "type": "function_call_output", "call_id": "c", "output": "r" }]
    })
}

fn messages(schema: &Value) -> Value {
    json!({
        "model": "m", "max_tokens": 9000, "stream": true, "temperature": 1, "top_k": 4, "stop_sequences": ["x"],
        "system": [{ "type": "text", "text": "s", "cache_control": { "type": "ephemeral" } }],
        "thinking": { "type": "enabled", "budget_tokens": 1024 }, "metadata": { "user_id": "u" },
        "tools": [{ "name": "f", "description": "d", "input_schema": schema }],
        "tool_choice": { "type": "auto", "disable_parallel_tool_use": true },
        "messages": [
            { "role": "user", "content": [
                { "type": "text", "text": "t" },
                { "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": "AAAA" } },
                { "type": "document", "title": "t", "source": { "type": "text", "media_type": "text/plain", "data": "d" } }] },
            { "role": "assistant", "content": [
                { "type": "thinking", "thinking": "t", "signature": "s" },
                { "type": "redacted_thinking", "data": "d" },
                { "type": "tool_use", "id": "c", "name": "f", "input": { "a": 1 } }] },
            { "role": "user", "content": [
                { "type": "tool_result", "tool_use_id": "c", "is_error": true, "content": [{ "type": "text", "text": "r" }] }] }]
    })
}

fn gemini() -> Value {
    json!({
        "systemInstruction": { "parts": [{ "text": "s" }] },
        "generationConfig": { "temperature": 1, "topK": 4, "maxOutputTokens": 9, "stopSequences": ["x"], "candidateCount": 1,
            "responseMimeType": "application/json", "responseSchema": { "type": "OBJECT", "properties": { "a": { "type": "STRING" } } },
            "thinkingConfig": { "thinkingBudget": 1024, "includeThoughts": true } },
        "tools": [{ "functionDeclarations": [{ "name": "f", "description": "d", "parameters": { "type": "OBJECT" } }] }],
        "toolConfig": { "functionCallingConfig": { "mode": "ANY", "allowedFunctionNames": ["f"] } },
        "contents": [
            { "role": "user", "parts": [{ "text": "t" }, { "inlineData": { "mimeType": "image/png", "data": "AAAA" } },
                { "fileData": { "mimeType": "application/pdf", "fileUri": "https://x/y" } }] },
            { "role": "model", "parts": [{ "text": "th", "thought": true },
                { "functionCall": { "id": "c", "name": "f", "args": { "a": 1 } }, "thoughtSignature": "AAAA" }] },
            { "role": "user", "parts": [{ "functionResponse": { "id": "c", "name": "f", "response": { "output": "r" } } }] }]
    })
}

/// A whole answer with something at most places that the format has.
fn answer(spoken: Spoken) -> Value {
    match spoken {
        Spoken::Chat => json!({
            "id": "i", "object": "chat.completion", "created": 1, "model": "m", "service_tier": "default",
            "choices": [{ "index": 0, "finish_reason": "tool_calls", "logprobs": { "content": [] }, "message": {
                "role": "assistant", "content": "t", "refusal": null, "reasoning_content": "r", "tool_calls": [
                    { "id": "c", "type": "function", "function": { "name": "f", "arguments": "{}" } }] } }],
            "usage": { "prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "prompt_tokens_details": { "cached_tokens": 1 },
                "completion_tokens_details": { "reasoning_tokens": 1 } }
        }),
        Spoken::Messages => json!({
            "id": "i", "type": "message", "role": "assistant", "model": "m", "stop_reason": "tool_use", "stop_sequence": null,
            "content": [{ "type": "thinking", "thinking": "t", "signature": "s" }, { "type": "redacted_thinking", "data": "d" },
                { "type": "text", "text": "t", "citations": null }, { "type": "tool_use", "id": "c", "name": "f", "input": {} }],
            "usage": { "input_tokens": 1, "output_tokens": 2, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 4 }
        }),
        Spoken::Gemini => json!({
            "responseId": "i", "modelVersion": "m", "candidates": [{ "index": 0, "finishReason": "STOP", "content": { "role": "model",
                "parts": [{ "text": "t", "thought": true }, { "text": "a", "thoughtSignature": "s" },
                    { "functionCall": { "name": "f", "args": {} } }] } }],
            "usageMetadata": { "promptTokenCount": 1, "candidatesTokenCount": 2, "thoughtsTokenCount": 3, "cachedContentTokenCount": 1 }
        }),
        Spoken::Converse => json!({
            "output": { "message": { "role": "assistant", "content": [
                { "reasoningContent": { "reasoningText": { "text": "t", "signature": "s" } } }, { "text": "t" },
                { "toolUse": { "toolUseId": "c", "name": "f", "input": {} } }] } },
            "stopReason": "tool_use", "usage": { "inputTokens": 1, "outputTokens": 2, "totalTokens": 3, "cacheReadInputTokens": 1 },
            "metrics": { "latencyMs": 1 }, "additionalModelResponseFields": { "stop_sequence": "x" }
        }),
    }
}

/// What may stand anywhere.
fn wrongs() -> Vec<Option<Value>> {
    let long = "é".repeat(70);
    vec![
        None,
        Some(Value::Null),
        Some(json!(true)),
        Some(json!(-1)),
        Some(json!(1e300)),
        Some(json!(u64::MAX)),
        Some(json!("")),
        Some(json!(long)),
        Some(json!([])),
        Some(json!([null])),
        Some(json!({})),
        Some(json!({ "": null, "type": "x", "\"\\\u{1}": [[]] })),
    ]
}

/// All places of a value, as JSON Pointers.
fn places(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| places(item, &format!("{at}/{index}"), all));
        }
        Value::Object(members) => {
            members.iter().for_each(|(key, member)| places(member, &format!("{at}/{key}"), all));
        }
        _ => {}
    }
}

/// The value with another one at a place, or without it.
fn changed(value: &Value, place: &str, new: Option<&Value>) -> Value {
    let mut value = value.clone();
    match (new, place.rsplit_once('/')) {
        (Some(new), _) => {
            if let Some(old) = value.pointer_mut(place) {
                *old = new.clone();
            }
        }
        (None, Some((above, key))) => match value.pointer_mut(above) {
            Some(Value::Object(members)) => drop(members.remove(key)),
            Some(Value::Array(items)) => {
                drop(key.parse().ok().filter(|at| *at < items.len()).map(|at: usize| items.remove(at)))
            }
            _ => {}
        },
        (None, None) => value = Value::Null,
    }
    value
}

/// Every change of one place.
fn mutants(value: &Value) -> impl Iterator<Item = Value> {
    let mut all = Vec::new();
    places(value, "", &mut all);
    let value = value.clone();
    all.into_iter().flat_map(move |place| {
        let value = value.clone();
        wrongs().into_iter().map(move |wrong| changed(&value, &place, wrong.as_ref()))
    })
}

#[track_caller]
fn assert_json(written: &[u8], of: &[u8]) {
    let read = serde_json::from_slice::<Value>(written);
    assert!(read.is_ok(), "{}\nfrom {}", String::from_utf8_lossy(written), String::from_utf8_lossy(of));
}

/// A request of a client: refused with a reason, or told to every provider.
fn ask(client: Client, body: &[u8]) {
    let request = match client.read(body) {
        Ok(request) => request,
        Err(malformed) => return assert!(malformed.to_string().len() > 10, "{malformed}"),
    };
    for spoken in SPOKEN {
        let mut losses = Losses::default();
        match spoken.write(&request, &TARGET, &mut losses) {
            Ok(written) => assert_json(&written, body),
            Err(unsupported) => {
                assert!(!unsupported.why.is_empty());
                assert!(unsupported.message.is_none() || !client.place(&unsupported).is_empty());
            }
        }
        losses.iter().for_each(|loss| assert!(!client.parameter(loss, body).is_empty()));
    }
    for counting in [Counting::Messages, Counting::Gemini(Api::Gemini), Counting::Gemini(Api::Vertex)] {
        if let Ok(written) = counting.write(&request, &TARGET) {
            assert_json(&written, body);
        }
    }
}

/// The readers of requests that pass.
fn pass(body: &[u8]) {
    let _ = openai_chat::passing::request::Request::parse(body);
    let _ = openai_responses::passing::request::Request::parse(body);
    let _ = anthropic::passing::request::Request::parse(body);
    let _ = gemini::passing::request::Request::parse(body);
    let _ = gemini::passing::request::Request::parse_count(body);
    let _ = gemini::ingress::request::read_count(body);
    let _ = openai_embeddings::passing::request::Request::parse(body);
    let _ = gemini::egress::embeddings::write(body, &TARGET, Api::Gemini);
}

/// An answer of a provider: refused with a reason, or told to every client, whole and as an event of a stream.
fn tell(spoken: Spoken, body: &[u8]) {
    let request = Client::Chat.read(br#"{"model":"m","messages":[]}"#).unwrap_or_default();
    match spoken.read(body, UNIQUE) {
        Ok(answer) => CLIENTS
            .iter()
            .for_each(|client| assert_json(&client.write(&answer, request.expected(), &ASKED), body)),
        Err(unreadable) => assert!(!unreadable.to_string().is_empty()),
    }
    let mut decoder = spoken.decoder(UNIQUE);
    let _ = decoder.push(Frame { name: None, data: body }, &mut |_| ());
    decoder.finish(&mut |_| ());
    let Fault { message, .. } = spoken.fault(400, None, body);
    assert!(!message.is_empty() && message.chars().count() <= 2_001, "{message}");
    let _ = openai_chat::passing::response::parse(body);
    let _ = openai_responses::passing::response::parse(body);
    let _ = anthropic::passing::response::parse(body);
    let _ = anthropic::egress::response::read_count(body);
    let _ = gemini::passing::response::parse(body);
    let _ = gemini::egress::response::read_count(body);
    let _ = CLIENTS.map(|client| client.is_error(body));
}

#[test]
fn the_samples_that_are_changed_are_read_whole_themselves() {
    for client in CLIENTS {
        let body = request(client).to_string();
        client.read(body.as_bytes()).unwrap();
    }
    for spoken in SPOKEN {
        let body = answer(spoken).to_string();
        assert!(spoken.read(body.as_bytes(), UNIQUE).unwrap().choices[0].content.len() >= 3, "{spoken:?}");
    }
}

#[test]
fn any_value_at_any_place_of_a_request_is_refused_or_told_to_everybody() {
    for client in &CLIENTS[..4] {
        for mutant in mutants(&request(*client)) {
            ask(*client, mutant.to_string().as_bytes());
            pass(mutant.to_string().as_bytes());
        }
    }
}

#[test]
fn any_value_at_any_place_of_an_answer_is_refused_or_told_to_everybody() {
    for spoken in SPOKEN {
        for mutant in mutants(&answer(spoken)) {
            tell(spoken, mutant.to_string().as_bytes());
        }
    }
}

proptest! {
    #[test]
    fn several_changes_at_once_are_no_worse(
        sample in 0usize..8,
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0usize..12), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let whole = if sample < 4 { request(CLIENTS[sample]) } else { answer(SPOKEN[sample - 4]) };
        let changed = changes.iter().fold(whole, |value, (place, wrong)| {
            let mut all = Vec::new();
            places(&value, "", &mut all);
            changed(&value, place.get(all.as_slice()).as_str(), wrongs()[*wrong].as_ref())
        });
        let text = changed.to_string();
        let mut at = cut.index(text.len() + 1);
        while !text.is_char_boundary(at) { at -= 1 }
        for body in [text.as_bytes(), &text.as_bytes()[..at]] {
            CLIENTS.iter().for_each(|client| ask(*client, body));
            SPOKEN.iter().for_each(|spoken| tell(*spoken, body));
            pass(body);
        }
    }
}
