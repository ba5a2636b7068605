//! The built-in provider: says back what the last user message said. Deterministic, needs no network and no key; for
//! demos and for tests of clients. It speaks OpenAI's wire format, as an upstream of that kind would.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

/// The seconds since 1970 that every answer bears: the same request gives the same bytes.
const CREATED: u64 = 1_719_475_200;
/// Numbers in an embedding when the request does not say.
const DIMENSIONS: usize = 16;
/// The most numbers in an embedding.
const MOST_DIMENSIONS: usize = 4096;
/// The most numbers in an answer: further inputs are left out, since a small request must not make a huge answer.
const MOST_NUMBERS: usize = 1 << 18;

/// What a chat answer is made of.
#[derive(Debug)]
pub struct Chat<'a> {
    /// The model's name as the request has it upstream.
    pub model: &'a str,
    /// What is said back.
    pub text: &'a str,
    /// Input tokens, as estimated.
    pub prompt_tokens: u64,
    /// Tokens of the text.
    pub completion_tokens: u64,
}

#[derive(Deserialize)]
struct Message {
    role: Option<String>,
    content: Option<Value>,
}

#[derive(Deserialize)]
struct Embedded {
    input: Value,
    dimensions: Option<usize>,
    encoding_format: Option<String>,
}

/// The text of the last message whose role is `user`, of messages given as JSON in order; empty when there is none.
pub fn last_user_text<'a>(messages: impl DoubleEndedIterator<Item = &'a [u8]>) -> String {
    let parsed = messages.rev().filter_map(|raw| serde_json::from_slice::<Message>(raw).ok());
    let content = parsed.filter(|message| message.role.as_deref() == Some("user")).find_map(|m| m.content);
    match content {
        Some(Value::String(text)) => text,
        Some(Value::Array(parts)) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}

impl Chat<'_> {
    /// The whole answer.
    pub fn whole(&self) -> Bytes {
        let message = json!({"role": "assistant", "content": self.text});
        json!({
            "id": "chatcmpl-echo",
            "object": "chat.completion",
            "created": CREATED,
            "model": self.model,
            "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": "stop"}],
            "usage": self.usage(),
        })
        .to_string()
        .into()
    }

    /// The answer as a stream: one event a piece, word by word.
    pub fn events(&self) -> Vec<Bytes> {
        let mut events = vec![self.chunk(&json!({"role": "assistant", "content": ""}), &Value::Null)];
        events.extend(words(self.text).map(|word| self.chunk(&json!({"content": word}), &Value::Null)));
        events.push(self.chunk(&json!({}), &json!("stop")));
        events.push(self.event(json!([]), &self.usage()));
        events.push(Bytes::from_static(b"data: [DONE]\n\n"));
        events
    }

    fn chunk(&self, delta: &Value, finish_reason: &Value) -> Bytes {
        self.event(json!([{"index": 0, "delta": delta, "finish_reason": finish_reason}]), &Value::Null)
    }

    fn event(&self, choices: Value, usage: &Value) -> Bytes {
        let chunk = json!({
            "id": "chatcmpl-echo",
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": self.model,
            "choices": choices,
            "usage": usage,
        });
        format!("data: {chunk}\n\n").into()
    }

    fn usage(&self) -> Value {
        json!({
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens.saturating_add(self.completion_tokens),
        })
    }
}

/// The words of a text, each with the white space before it; together they are the text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let word = rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len());
        let end = rest[word..].find(char::is_whitespace).map_or(rest.len(), |at| word + at);
        let (piece, after) = rest.split_at(end);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

/// The answer to an embeddings request: numbers that depend on the input only.
pub fn embeddings(body: &[u8], model: &str, prompt_tokens: u64) -> Bytes {
    // The request has been read before; what is odd about it gets one embedding of nothing.
    let request = serde_json::from_slice::<Embedded>(body);
    let request = request.unwrap_or(Embedded { input: Value::Null, dimensions: None, encoding_format: None });
    let dimensions = request.dimensions.unwrap_or(DIMENSIONS).clamp(1, MOST_DIMENSIONS);
    let as_base64 = request.encoding_format.as_deref() == Some("base64");
    let data: Vec<_> = inputs(request.input)
        .iter()
        .take(MOST_NUMBERS / dimensions)
        .enumerate()
        .map(|(index, input)| {
            let numbers = numbers(input, dimensions);
            let embedding = if as_base64 { json!(base64(&numbers)) } else { json!(numbers) };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let usage = json!({"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens});
    json!({"object": "list", "data": data, "model": model, "usage": usage}).to_string().into()
}

/// A list of texts or token lists is several inputs; a text or one list of tokens is one.
fn inputs(input: Value) -> Vec<Value> {
    match input {
        Value::Array(list) if list.first().is_some_and(|first| !first.is_number()) => list,
        one => vec![one],
    }
}

/// Numbers from -1 to 1, drawn from a hash of the input by SplitMix64 (Steele, Lea and Flood, 2014).
fn numbers(input: &Value, dimensions: usize) -> Vec<f32> {
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let mut state = input.to_string().bytes().fold(0xcbf2_9ce4_8422_2325, fnv);
    let draw = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        f32::from((mixed >> 48) as i16) / 32_768.0
    };
    std::iter::repeat_with(draw).take(dimensions).collect()
}

/// Little-endian 32-bit floats as base64, as the SDKs ask for it.
fn base64(numbers: &[f32]) -> String {
    use base64::Engine as _;
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_text_again() {
        for text in ["", " ", "a", "hello  world\nfoo ", "  lead", "日本 語"] {
            assert_eq!(words(text).collect::<String>(), text);
        }
        assert_eq!(words("one two three").collect::<Vec<_>>(), ["one", " two", " three"]);
    }

    #[test]
    fn the_last_user_message_is_said_back() {
        let messages: [&[u8]; 4] = [
            br#"{"role":"user","content":"first"}"#,
            br#"{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url"},{"type":"text","text":"b"}]}"#,
            br#"{"role":"assistant","content":"no"}"#,
            br#"{"role":"tool","content":"no"}"#,
        ];
        assert_eq!(last_user_text(messages.into_iter()), "ab");
        assert_eq!(last_user_text([].into_iter()), "");
    }

    #[test]
    fn an_embedding_depends_on_the_input_only() {
        let one = embeddings(br#"{"input":["x","y"],"dimensions":3}"#, "m", 2);
        let again = embeddings(br#"{"dimensions":3,"input":["x","y"]}"#, "m", 2);
        assert_eq!(one, again);
        let value: Value = serde_json::from_slice(&one).expect("json");
        assert_eq!(value["data"].as_array().map(Vec::len), Some(2));
        assert_ne!(value["data"][0]["embedding"], value["data"][1]["embedding"]);
    }

    #[test]
    fn base64_holds_the_same_numbers() {
        assert_eq!(base64(&[1.0, -0.5]), "AACAPwAAAL8=");
    }
}
