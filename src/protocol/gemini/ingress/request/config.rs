//! `generationConfig`: how the answer is sampled, its form, and how much the model may think.

use super::schema;
use crate::{
    chat::{
        json::Json,
        request::{Amount, Effort, Format, Sampling, Thinking},
    },
    protocol::{
        gemini::ingress::spelling::{self, word},
        json::Malformed,
        value::{Notes, Object},
    },
};

/// The keys that are read; every other one is noted.
const KNOWN: [&str; 16] = [
    "candidateCount",
    "frequencyPenalty",
    "logprobs",
    "maxOutputTokens",
    "presencePenalty",
    "responseJsonSchema",
    "responseLogprobs",
    "responseMimeType",
    "responseModalities",
    "responseSchema",
    "seed",
    "stopSequences",
    "temperature",
    "thinkingConfig",
    "topK",
    "topP",
];

/// What it says.
#[derive(Default)]
pub(super) struct Config<'a> {
    pub(super) sampling: Sampling<'a>,
    pub(super) format: Option<Format<'a>>,
    pub(super) reasoning: Option<Thinking<'a>>,
}

/// Reads it, if it is there.
pub(super) fn read<'a>(body: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<Config<'a>, Malformed> {
    let Some(config) = body.get("generationConfig") else { return Ok(Config::default()) };
    let config = spelling::object(&config)?;
    config.once(&KNOWN)?;
    config.rest(&KNOWN, notes);
    modalities(&config, notes)?;
    Ok(Config {
        sampling: sampling(&config)?,
        format: format(&config, notes)?,
        reasoning: thinking(&config, notes)?,
    })
}

fn sampling<'a>(config: &Object<'a, '_>) -> Result<Sampling<'a>, Malformed> {
    let number = |key| config.get(key).map(|value| value.number()).transpose();
    let count = |key| config.get(key).map(|value| spelling::count(&value)).transpose();
    let mut stop = Vec::new();
    if let Some(sequences) = config.get("stopSequences") {
        sequences.items(|_, sequence| {
            stop.push(sequence.text()?);
            Ok(())
        })?;
    }
    Ok(Sampling {
        max_tokens: count("maxOutputTokens")?,
        temperature: number("temperature")?,
        top_p: number("topP")?,
        top_k: number("topK")?,
        stop,
        seed: number("seed")?,
        frequency_penalty: number("frequencyPenalty")?,
        presence_penalty: number("presencePenalty")?,
        logit_bias: None,
        choices: count("candidateCount")?,
        logprobs: config.get("responseLogprobs").map(|value| value.flag()).transpose()?,
        top_logprobs: count("logprobs")?,
        verbosity: None,
    })
}

/// Text is what everyone answers with; other modalities nobody else has.
fn modalities<'a>(config: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<(), Malformed> {
    let mut only_text = true;
    if let Some(modalities) = config.get("responseModalities") {
        modalities.items(|_, modality| {
            only_text &= word(&modality)? == "TEXT";
            Ok(())
        })?;
    }
    if !only_text {
        config.unsaid("responseModalities", false, notes);
    }
    Ok(())
}

fn format<'a>(config: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<Option<Format<'a>>, Malformed> {
    let schema = schema(config)?;
    match config.text("responseMimeType")?.as_deref() {
        Some("application/json") if schema.is_none() => Ok(Some(Format::JsonObject)),
        None | Some("application/json") => {
            Ok(schema.map(|schema| Format::Schema { name: None, description: None, schema, strict: None }))
        }
        // A schema means nothing to plain text.
        Some("text/plain") => Ok(None),
        Some(_) => {
            config.unsaid("responseMimeType", false, notes);
            config.unsaid("responseSchema", false, notes);
            config.unsaid("responseJsonSchema", false, notes);
            Ok(None)
        }
    }
}

fn schema<'a>(config: &Object<'a, '_>) -> Result<Option<Json<'a>>, Malformed> {
    if let Some(schema) = config.get("responseJsonSchema") {
        return schema.json().map(Some);
    }
    let schema = config.get("responseSchema").map(|schema| schema.object_json()).transpose()?;
    Ok(schema.map(schema::plain))
}

/// By budget or by level; `includeThoughts` says whether it is shown, which it is not by itself.
fn thinking<'a>(config: &Object<'a, '_>, notes: &mut Notes<'a>) -> Result<Option<Thinking<'a>>, Malformed> {
    let Some(thinking) = config.get("thinkingConfig") else { return Ok(None) };
    let thinking = spelling::object(&thinking)?;
    thinking.rest(&["includeThoughts", "thinkingBudget", "thinkingLevel"], notes);
    let mut amount = None;
    if let Some(level) = thinking.get("thinkingLevel") {
        let level = level.text()?;
        amount = Effort::of_name(&level).map(Amount::Effort);
        if amount.is_none() && !level.eq_ignore_ascii_case("THINKING_LEVEL_UNSPECIFIED") {
            thinking.unsaid("thinkingLevel", false, notes);
        }
    }
    if let Some(budget) = thinking.get("thinkingBudget") {
        amount = Some(match budget.raw() {
            "0" => Amount::Off,
            "-1" => Amount::Dynamic,
            _ => Amount::Budget(spelling::count(&budget)?),
        });
    }
    let shown = thinking.get("includeThoughts").map(|shown| shown.flag()).transpose()?;
    Ok(Some(Thinking { amount, shown, summary: None }))
}
