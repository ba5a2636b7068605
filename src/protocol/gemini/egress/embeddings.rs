//! OpenAI's embeddings by way of Google's: the request there, the answer back.
//!
//! The Gemini API has `batchEmbedContents`: the model stands in the URL and, in Google's own spelling, in every element.
//! Vertex AI has `predict`, <https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api>.
//! Google does not always count tokens; where it does not, the caller gives its own count.

use std::borrow::Cow;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Api;
use crate::{
    chat::{loss::Unsupported, request::Unsaid},
    protocol::{
        gemini::{
            usage,
            wire::{Content, Part},
        },
        json::{self, Malformed},
        translate::{Target, Unreadable},
        value::{Notes, Object, Value},
    },
};

/// A request that was translated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translated<'a> {
    /// The body.
    pub body: Vec<u8>,
    /// The answer that is to come.
    pub vectors: Vectors,
    /// What of the request was dropped.
    pub unsaid: Vec<Unsaid<'a>>,
}

/// The answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vectors {
    /// Whose it is.
    pub api: Api,
    /// How many vectors are in it: one for each text.
    pub count: usize,
    /// How the client wants them.
    pub encoding: Encoding,
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

/// The keys that are read; every other one is noted.
const KNOWN: [&str; 5] = ["dimensions", "encoding_format", "input", "model", "user"];

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
    content: Cow<'r, str>,
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

impl From<Malformed> for Refused {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// Translates a request of OpenAI's: a text, or a list of texts.
///
/// # Errors
/// [`Refused`]: what is no request for embeddings, or one by token ids, which are another model's.
pub fn write<'a>(body: &'a [u8], target: &Target<'_>, api: Api) -> Result<Translated<'a>, Refused> {
    let request = Object::body(body)?;
    request.once(&KNOWN)?;
    let encoding = request.get("encoding_format").map_or(Ok(Encoding::Float), |format| encoding(&format))?;
    let dimensions = request.get("dimensions").map(|dimensions| dimensions.count()).transpose()?;
    let texts = texts(&request.need("input")?)?;
    let mut notes = Notes::default();
    request.unsaid("user", true, &mut notes);
    request.rest(&KNOWN, &mut notes);
    let vectors = Vectors { api, count: texts.len(), encoding };
    Ok(Translated { body: written(texts, dimensions, target, api), vectors, unsaid: notes.into_unsaid() })
}

fn written(texts: Vec<Cow<'_, str>>, dimensions: Option<u64>, target: &Target<'_>, api: Api) -> Vec<u8> {
    let texts = texts.into_iter();
    let body = match api {
        Api::Gemini => {
            let model = Api::model(target.model);
            let requests = texts.map(|text| One {
                model: &model,
                content: Content { parts: vec![Part::text(text)], role: None },
                output_dimensionality: dimensions,
            });
            serde_json::to_vec(&Batch { requests: requests.collect() })
        }
        Api::Vertex => {
            let parameters = dimensions.map(|output_dimensionality| Parameters { output_dimensionality });
            let instances = texts.map(|content| Instance { content }).collect();
            serde_json::to_vec(&Instances { instances, parameters })
        }
    };
    // Strings and numbers always serialise.
    body.unwrap_or_default()
}

fn encoding(format: &Value<'_, '_>) -> Result<Encoding, Malformed> {
    match format.text()?.as_ref() {
        "float" => Ok(Encoding::Float),
        "base64" => Ok(Encoding::Base64),
        _ => Err(format.wrong("`float` or `base64`")),
    }
}

/// Translates the answer, and says how many tokens went in, where Google does; where it does not, the client reads
/// `counted`. `model` is what the client calls it.
///
/// # Errors
/// [`Unreadable`]: what is no answer of this API, or has not as many vectors as there are texts.
pub fn read(
    body: &[u8],
    Vectors { api, count, encoding }: Vectors,
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
    if embeddings.len() != count {
        let came = embeddings.len();
        return Err(Unreadable(format!("it has {came} embeddings for {count} texts")));
    }
    let mut data = Vec::with_capacity(count);
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

fn texts<'a>(input: &Value<'a, '_>) -> Result<Vec<Cow<'a, str>>, Refused> {
    if input.is_text() {
        return Ok(vec![input.text()?]);
    }
    let (mut texts, mut refused) = (Vec::new(), None);
    let wrong = || input.wrong("a text or a list of texts");
    let list = json::each(input.raw(), |element| match json::text(element) {
        Some(text) => texts.push(text),
        None => _ = refused.get_or_insert((texts.len(), element)),
    });
    match refused {
        _ if list.is_none() => Err(wrong().into()),
        Some((part, element)) if element.starts_with('[') || element.parse::<i64>().is_ok() => {
            let why = "token ids cannot be sent to a Google provider: its models have other tokens".into();
            Err(Refused::Unsupported(Unsupported { message: None, part, why }))
        }
        Some(_) => Err(wrong().into()),
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

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const TARGET: Target<'_> = Target {
        model: "gemini-embedding-001",
        max_tokens: 1,
        stream_usage: true,
        max_completion_tokens: true,
        reasoning_details: true,
    };

    fn written(body: &str) -> Result<(Value, Encoding), Refused> {
        let translated = write(body.as_bytes(), &TARGET, Api::Gemini)?;
        Ok((serde_json::from_slice(&translated.body).expect("JSON"), translated.vectors.encoding))
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
        let body = br#"{"input":"a","user":"u","task":"x","model":"g/e","input_type":null}"#;
        let unsaid = write(body, &TARGET, Api::Gemini).expect("fine").unsaid;
        let unsaid: Vec<_> = unsaid.iter().map(|unsaid| (unsaid.name.as_ref(), unsaid.hint)).collect();
        assert_eq!(unsaid, [("user", true), ("task", false)]);
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
            let vectors = Vectors { api: Api::Gemini, count: 2, encoding };
            let (list, said) = read(body, vectors, "g/e", 7).expect("fine");
            assert_eq!(said, None);
            String::from_utf8(list).expect("text")
        };
        insta::assert_snapshot!(list(Encoding::Float), @r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.10,-2]},{"object":"embedding","index":1,"embedding":[]}],"model":"g/e","usage":{"prompt_tokens":7,"total_tokens":7}}"#);
        let value: Value = serde_json::from_str(&list(Encoding::Base64)).expect("JSON");
        let bytes =
            BASE64_STANDARD.decode(value["data"][0]["embedding"].as_str().expect("text")).expect("base64");
        assert_eq!(bytes, [0.1f32.to_le_bytes(), (-2f32).to_le_bytes()].concat());
        let counted = br#"{"embeddings":[],"usageMetadata":{"promptTokenCount":3,"totalTokenCount":3}}"#;
        let float =
            |body, api, count| read(body, Vectors { api, count, encoding: Encoding::Float }, "g/e", 7);
        let (list, said) = float(counted, Api::Gemini, 0).expect("fine");
        assert!(String::from_utf8(list).expect("text").contains(r#""prompt_tokens":3"#) && said == Some(3));
        for api in [Api::Gemini, Api::Vertex] {
            assert!(float(br#"{"error":{}}"#, api, 0).is_err());
        }
        for count in [1, 3] {
            let why = float(body, Api::Gemini, count).expect_err("another number").0;
            assert_eq!(why, format!("it has 2 embeddings for {count} texts"));
        }
    }

    #[test]
    fn vertex_ai_has_them_in_words_of_its_own() {
        let written = write(br#"{"input":["a","b"],"dimensions":8}"#, &TARGET, Api::Vertex).expect("fine");
        let body = String::from_utf8(written.body).expect("text");
        insta::assert_snapshot!(body, @r#"{"instances":[{"content":"a"},{"content":"b"}],"parameters":{"outputDimensionality":8}}"#);
        let answer = br#"{"predictions":[{"embeddings":{"statistics":{"token_count":2.0,"truncated":false},"values":[0.5]}},
            {"embeddings":{"statistics":{"token_count":3},"values":[1]}}]}"#;
        let vectors = |count| Vectors { api: Api::Vertex, count, encoding: Encoding::Float };
        let (list, said) = read(answer, vectors(2), "g/e", 7).expect("fine");
        insta::assert_snapshot!(String::from_utf8(list).expect("text"), @r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]},{"object":"embedding","index":1,"embedding":[1]}],"model":"g/e","usage":{"prompt_tokens":5,"total_tokens":5}}"#);
        assert_eq!(said, Some(5));
        let uncounted = br#"{"predictions":[{"embeddings":{"values":[]}}]}"#;
        assert_eq!(read(uncounted, vectors(1), "g/e", 7).expect("fine").1, None);
    }
}
