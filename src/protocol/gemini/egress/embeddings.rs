//! OpenAI's embeddings by way of Google's `batchEmbedContents`: the request there, the answer back.
//!
//! The model stands in the URL and, in Google's own spelling, in every element. Google counts tokens in newer answers only;
//! for the others the caller gives its own count.

use std::marker::PhantomData;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    chat::loss::Unsupported,
    protocol::{
        gemini::{
            usage,
            wire::{Content, Part},
        },
        json::{self, Malformed},
        translate::{Target, Unreadable},
    },
};

/// A request that was translated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translated {
    /// The body of `batchEmbedContents`.
    pub body: Vec<u8>,
    /// How the client wants its vectors.
    pub encoding: Encoding,
    /// What of the request was dropped, by the client's names; all of them are hints.
    pub dropped: Vec<&'static str>,
}

/// How a vector is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// A list of numbers.
    Float,
    /// Numbers of 32 bits, little-endian, in base64: what OpenAI's SDKs ask for.
    Base64,
}

/// Why a request cannot be translated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is wrong in itself.
    Malformed(Malformed),
    /// It holds input that Google does not take.
    Unsupported(Unsupported),
}

#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(borrow)]
    input: &'a RawValue,
    dimensions: Option<u64>,
    encoding_format: Option<String>,
    #[serde(borrow)]
    user: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Batch<'r> {
    requests: Vec<One<'r>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct One<'r> {
    model: &'r str,
    content: Content<'r>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimensionality: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    #[serde(borrow)]
    embeddings: Vec<Embedding<'a>>,
    #[serde(borrow)]
    usage_metadata: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Embedding<'a> {
    #[serde(borrow)]
    values: Vec<&'a RawValue>,
}

#[derive(Serialize)]
struct List<'r> {
    object: &'static str,
    data: Vec<Item<'r>>,
    model: &'r str,
    usage: Usage,
}

#[derive(Serialize)]
struct Item<'r> {
    object: &'static str,
    index: usize,
    embedding: Vector<'r>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Vector<'r> {
    Float(Vec<&'r RawValue>),
    Base64(String),
}

#[derive(Serialize)]
struct Usage {
    prompt_tokens: u64,
    total_tokens: u64,
}

/// Translates a request of OpenAI's: a text, or a list of texts.
///
/// # Errors
/// [`Refused`]: what is no request for embeddings, or one by token ids, which are another model's.
pub fn write(body: &[u8], target: &Target<'_>) -> Result<Translated, Refused> {
    let raw = json::read(body, |_| PhantomData::<&RawValue>).map_err(Refused::Malformed)?;
    let asked: Asked<'_> = serde_json::from_str(raw.get()).map_err(malformed)?;
    let encoding = match asked.encoding_format.as_deref() {
        None | Some("float") => Encoding::Float,
        Some("base64") => Encoding::Base64,
        Some(_) => return Err(wrong("`encoding_format` must be `float` or `base64`")),
    };
    let model = format!("models/{}", target.model);
    let texts = texts(asked.input.get())?;
    let requests = texts.into_iter().map(|text| One {
        model: &model,
        content: Content { parts: vec![Part::text(text)], role: None },
        output_dimensionality: asked.dimensions,
    });
    // Strings and numbers always serialise.
    let body = serde_json::to_vec(&Batch { requests: requests.collect() }).unwrap_or_default();
    Ok(Translated { body, encoding, dropped: asked.user.map(|_| "user").into_iter().collect() })
}

/// Translates the answer. `model` is what the client calls it; `counted` tokens went in where Google does not say.
///
/// # Errors
/// [`Unreadable`]: what is no answer of `batchEmbedContents`.
pub fn read(body: &[u8], encoding: Encoding, model: &str, counted: u64) -> Result<Vec<u8>, Unreadable> {
    let answer: Answer<'_> = serde_json::from_slice(body)
        .map_err(|error| Unreadable(format!("it is no list of embeddings: {error}")))?;
    let tokens = answer.usage_metadata.and_then(|raw| usage::read(raw).input).unwrap_or(counted);
    let mut data = Vec::with_capacity(answer.embeddings.len());
    for (index, Embedding { values }) in answer.embeddings.into_iter().enumerate() {
        let embedding = match encoding {
            Encoding::Float => Vector::Float(values),
            Encoding::Base64 => Vector::Base64(base64(&values)?),
        };
        data.push(Item { object: "embedding", index, embedding });
    }
    let usage = Usage { prompt_tokens: tokens, total_tokens: tokens };
    Ok(serde_json::to_vec(&List { object: "list", data, model, usage }).unwrap_or_default())
}

fn texts(input: &str) -> Result<Vec<std::borrow::Cow<'_, str>>, Refused> {
    if let Some(text) = json::text(input) {
        return Ok(vec![text]);
    }
    let (mut texts, mut refused) = (Vec::new(), None);
    let list = json::each(input, |element| match json::text(element) {
        Some(text) => texts.push(text),
        None => _ = refused.get_or_insert((texts.len(), element)),
    });
    match refused {
        _ if list.is_none() => Err(wrong("`input` must be a text or a list of texts")),
        Some((part, element)) if element.starts_with('[') || element.parse::<i64>().is_ok() => {
            let why = "token ids cannot be sent to a Google provider: its models have other tokens".into();
            Err(Refused::Unsupported(Unsupported { message: None, part, why }))
        }
        Some(_) => Err(wrong("`input` must be a text or a list of texts")),
        None => Ok(texts),
    }
}

fn base64(values: &[&RawValue]) -> Result<String, Unreadable> {
    let mut bytes = Vec::with_capacity(values.len() * 4);
    for value in values {
        let number: f32 = serde_json::from_str(value.get())
            .map_err(|_| Unreadable("an embedding holds no number".to_owned()))?;
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    Ok(BASE64_STANDARD.encode(bytes))
}

fn malformed(error: serde_json::Error) -> Refused {
    Refused::Malformed(error.into())
}

fn wrong(why: &str) -> Refused {
    malformed(serde::de::Error::custom(why))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const TARGET: Target<'_> = Target { model: "gemini-embedding-001", max_tokens: 1, stream_usage: true };

    fn written(body: &str) -> Result<(Value, Encoding), Refused> {
        let translated = write(body.as_bytes(), &TARGET)?;
        Ok((serde_json::from_slice(&translated.body).expect("JSON"), translated.encoding))
    }

    #[test]
    fn texts_become_contents() {
        let (body, encoding) =
            written(r#"{"model":"g/e","input":["a\n","b"],"dimensions":8,"encoding_format":"base64"}"#)
                .expect("fine");
        assert_eq!(encoding, Encoding::Base64);
        insta::assert_snapshot!(body, @r#"{"requests":[{"model":"models/gemini-embedding-001","content":{"parts":[{"text":"a\n"}]},"outputDimensionality":8},{"model":"models/gemini-embedding-001","content":{"parts":[{"text":"b"}]},"outputDimensionality":8}]}"#);
        let (one, encoding) = written(r#"{"model":"g/e","input":"a"}"#).expect("fine");
        assert_eq!((one["requests"].as_array().map(Vec::len), encoding), (Some(1), Encoding::Float));
        assert_eq!(write(br#"{"input":"a","user":"u"}"#, &TARGET).expect("fine").dropped, ["user"]);
    }

    #[test]
    fn token_ids_are_refused_by_name_and_nonsense_as_such() {
        for ids in ["[1,2]", "[[1,2]]", r#"["a",[1]]"#] {
            let refused = written(&format!(r#"{{"input":{ids}}}"#));
            assert!(matches!(refused, Err(Refused::Unsupported(_))), "{ids}");
        }
        for body in [
            "[]",
            "{}",
            r#"{"input":3}"#,
            r#"{"input":[null]}"#,
            r#"{"input":"a","encoding_format":"x"}"#,
            "{",
        ] {
            assert!(matches!(written(body), Err(Refused::Malformed(_))), "{body}");
        }
    }

    #[test]
    fn the_answer_is_a_list_in_the_encoding_that_was_asked_for() {
        let body = br#"{"embeddings":[{"values":[0.10,-2]},{"values":[]}]}"#;
        let list = |encoding| String::from_utf8(read(body, encoding, "g/e", 7).expect("fine")).expect("text");
        insta::assert_snapshot!(list(Encoding::Float), @r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.10,-2]},{"object":"embedding","index":1,"embedding":[]}],"model":"g/e","usage":{"prompt_tokens":7,"total_tokens":7}}"#);
        let value: Value = serde_json::from_str(&list(Encoding::Base64)).expect("JSON");
        let bytes =
            BASE64_STANDARD.decode(value["data"][0]["embedding"].as_str().expect("text")).expect("base64");
        assert_eq!(bytes, [0.1f32.to_le_bytes(), (-2f32).to_le_bytes()].concat());
        let counted = br#"{"embeddings":[],"usageMetadata":{"promptTokenCount":3,"totalTokenCount":3}}"#;
        let list = read(counted, Encoding::Float, "g/e", 7).expect("fine");
        assert!(String::from_utf8(list).expect("text").contains(r#""prompt_tokens":3"#));
        assert!(read(br#"{"error":{}}"#, Encoding::Float, "g/e", 7).is_err());
    }
}
