//! OpenAI's embeddings by way of Google's: the request there, the answer back.
//!
//! The Gemini API has `batchEmbedContents`: the model stands in the URL and, in Google's own spelling, in every element.
//! Vertex AI has `predict`, <https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api>.
//! Google does not always count tokens; where it does not, the caller gives its own count.

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
    /// The body.
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

/// Which of Google's two is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// The Gemini API: `batchEmbedContents`.
    Gemini,
    /// Vertex AI: `predict`.
    Vertex,
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

#[derive(Serialize)]
struct Instances<'r> {
    instances: Vec<Instance<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Parameters>,
}

#[derive(Serialize)]
struct Instance<'r> {
    content: std::borrow::Cow<'r, str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Parameters {
    output_dimensionality: u64,
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
struct Predictions<'a> {
    #[serde(borrow)]
    predictions: Vec<Prediction<'a>>,
}

#[derive(Deserialize)]
struct Prediction<'a> {
    #[serde(borrow)]
    embeddings: Embedding<'a>,
}

#[derive(Deserialize)]
struct Embedding<'a> {
    #[serde(borrow)]
    values: Vec<&'a RawValue>,
    #[serde(borrow)]
    statistics: Option<Statistics<'a>>,
}

#[derive(Deserialize)]
struct Statistics<'a> {
    #[serde(borrow)]
    token_count: Option<&'a RawValue>,
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
pub fn write(body: &[u8], target: &Target<'_>, api: Api) -> Result<Translated, Refused> {
    let raw = json::read(body, |_| PhantomData::<&RawValue>).map_err(Refused::Malformed)?;
    let asked: Asked<'_> = serde_json::from_str(raw.get()).map_err(malformed)?;
    let encoding = match asked.encoding_format.as_deref() {
        None | Some("float") => Encoding::Float,
        Some("base64") => Encoding::Base64,
        Some(_) => return Err(wrong("`encoding_format` must be `float` or `base64`")),
    };
    let texts = texts(asked.input.get())?.into_iter();
    // Strings and numbers always serialise.
    let body = match api {
        Api::Gemini => {
            let model = format!("models/{}", target.model.strip_prefix("models/").unwrap_or(target.model));
            let requests = texts.map(|text| One {
                model: &model,
                content: Content { parts: vec![Part::text(text)], role: None },
                output_dimensionality: asked.dimensions,
            });
            serde_json::to_vec(&Batch { requests: requests.collect() })
        }
        Api::Vertex => {
            let parameters =
                asked.dimensions.map(|output_dimensionality| Parameters { output_dimensionality });
            let instances = texts.map(|content| Instance { content }).collect();
            serde_json::to_vec(&Instances { instances, parameters })
        }
    };
    let body = body.unwrap_or_default();
    Ok(Translated { body, encoding, dropped: asked.user.map(|_| "user").into_iter().collect() })
}

/// Translates the answer, and says how many tokens went in, where Google does; where it does not, the client reads
/// `counted`. `model` is what the client calls it.
///
/// # Errors
/// [`Unreadable`]: what is no answer of this API.
pub fn read(
    body: &[u8],
    (api, encoding): (Api, Encoding),
    model: &str,
    counted: u64,
) -> Result<(Vec<u8>, Option<u64>), Unreadable> {
    let (embeddings, said) = match api {
        Api::Gemini => {
            let answer: Answer<'_> = serde_json::from_slice(body).map_err(no_list)?;
            (answer.embeddings, answer.usage_metadata.and_then(|raw| usage::read(raw).input))
        }
        Api::Vertex => {
            let answer: Predictions<'_> = serde_json::from_slice(body).map_err(no_list)?;
            let list: Vec<_> = answer.predictions.into_iter().map(|of| of.embeddings).collect();
            let said = list.iter().map(tokens).try_fold(0u64, |sum, tokens| sum.checked_add(tokens?));
            (list, said)
        }
    };
    let mut data = Vec::with_capacity(embeddings.len());
    for (index, Embedding { values, .. }) in embeddings.into_iter().enumerate() {
        let embedding = match encoding {
            Encoding::Float => Vector::Float(values),
            Encoding::Base64 => Vector::Base64(base64(&values)?),
        };
        data.push(Item { object: "embedding", index, embedding });
    }
    let tokens = said.unwrap_or(counted);
    let usage = Usage { prompt_tokens: tokens, total_tokens: tokens };
    Ok((serde_json::to_vec(&List { object: "list", data, model, usage }).unwrap_or_default(), said))
}

/// What Vertex AI counted for one text; it writes whole numbers with and without a fraction.
fn tokens(embedding: &Embedding<'_>) -> Option<u64> {
    let count = embedding.statistics.as_ref()?.token_count?.get();
    count.strip_suffix(".0").unwrap_or(count).parse().ok()
}

fn no_list(error: serde_json::Error) -> Unreadable {
    Unreadable::not("list of embeddings", &error)
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

    const TARGET: Target<'_> = Target {
        model: "gemini-embedding-001",
        max_tokens: 1,
        stream_usage: true,
        max_completion_tokens: true,
    };

    fn written(body: &str) -> Result<(Value, Encoding), Refused> {
        let translated = write(body.as_bytes(), &TARGET, Api::Gemini)?;
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
        assert_eq!(
            write(br#"{"input":"a","user":"u"}"#, &TARGET, Api::Gemini).expect("fine").dropped,
            ["user"]
        );
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
        let list = |encoding| {
            let (list, said) = read(body, (Api::Gemini, encoding), "g/e", 7).expect("fine");
            assert_eq!(said, None);
            String::from_utf8(list).expect("text")
        };
        insta::assert_snapshot!(list(Encoding::Float), @r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.10,-2]},{"object":"embedding","index":1,"embedding":[]}],"model":"g/e","usage":{"prompt_tokens":7,"total_tokens":7}}"#);
        let value: Value = serde_json::from_str(&list(Encoding::Base64)).expect("JSON");
        let bytes =
            BASE64_STANDARD.decode(value["data"][0]["embedding"].as_str().expect("text")).expect("base64");
        assert_eq!(bytes, [0.1f32.to_le_bytes(), (-2f32).to_le_bytes()].concat());
        let counted = br#"{"embeddings":[],"usageMetadata":{"promptTokenCount":3,"totalTokenCount":3}}"#;
        let float = |body, api| read(body, (api, Encoding::Float), "g/e", 7);
        let (list, said) = float(counted, Api::Gemini).expect("fine");
        assert!(String::from_utf8(list).expect("text").contains(r#""prompt_tokens":3"#) && said == Some(3));
        for api in [Api::Gemini, Api::Vertex] {
            assert!(float(br#"{"error":{}}"#, api).is_err());
        }
    }

    #[test]
    fn vertex_ai_has_them_in_words_of_its_own() {
        let written = write(br#"{"input":["a","b"],"dimensions":8}"#, &TARGET, Api::Vertex).expect("fine");
        let body = String::from_utf8(written.body).expect("text");
        insta::assert_snapshot!(body, @r#"{"instances":[{"content":"a"},{"content":"b"}],"parameters":{"outputDimensionality":8}}"#);
        let answer = br#"{"predictions":[{"embeddings":{"statistics":{"token_count":2.0,"truncated":false},"values":[0.5]}},
            {"embeddings":{"statistics":{"token_count":3},"values":[1]}}]}"#;
        let (list, said) = read(answer, (Api::Vertex, Encoding::Float), "g/e", 7).expect("fine");
        insta::assert_snapshot!(String::from_utf8(list).expect("text"), @r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]},{"object":"embedding","index":1,"embedding":[1]}],"model":"g/e","usage":{"prompt_tokens":5,"total_tokens":5}}"#);
        assert_eq!(said, Some(5));
        let uncounted = br#"{"predictions":[{"embeddings":{"values":[]}}]}"#;
        assert_eq!(read(uncounted, (Api::Vertex, Encoding::Float), "g/e", 7).expect("fine").1, None);
    }
}
