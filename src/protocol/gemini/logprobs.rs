//! Log probabilities: Google's `logprobsResult` and OpenAI's shape, which is the neutral one, in both directions.
//!
//! Google has the chosen tokens in one list and the likeliest ones in a parallel one; OpenAI has them together.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Number, value::RawValue};

use crate::chat::json::Json;

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Google<'a> {
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    top_candidates: Vec<Likeliest<'a>>,
    #[serde(borrow, default)]
    chosen_candidates: Vec<Candidate<'a>>,
}

#[derive(Default, Deserialize, Serialize)]
struct Likeliest<'a> {
    #[serde(borrow, default)]
    candidates: Vec<Candidate<'a>>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    #[serde(borrow, default)]
    token: Cow<'a, str>,
    log_probability: Number,
}

#[derive(Deserialize, Serialize)]
struct OpenAi<'a> {
    #[serde(borrow)]
    content: Vec<Token<'a>>,
}

#[derive(Deserialize, Serialize)]
struct Token<'a> {
    #[serde(borrow)]
    token: Cow<'a, str>,
    logprob: Number,
    #[serde(skip_deserializing)]
    bytes: Vec<u8>,
    #[serde(borrow, default)]
    top_logprobs: Vec<Top<'a>>,
}

#[derive(Deserialize, Serialize)]
struct Top<'a> {
    #[serde(borrow)]
    token: Cow<'a, str>,
    logprob: Number,
    #[serde(skip_deserializing)]
    bytes: Vec<u8>,
}

/// Google's `logprobsResult` in OpenAI's shape; `None` when it is something else.
pub(super) fn read(raw: &RawValue) -> Option<Json<'static>> {
    let google: Google<'_> = serde_json::from_str(raw.get()).ok()?;
    let mut likeliest = google.top_candidates.into_iter();
    let content = google.chosen_candidates.into_iter().map(|chosen| {
        let top = likeliest.next().unwrap_or_default().candidates.into_iter();
        Token {
            bytes: chosen.token.as_bytes().to_vec(),
            token: chosen.token,
            logprob: chosen.log_probability,
            top_logprobs: top
                .map(|candidate| Top {
                    bytes: candidate.token.as_bytes().to_vec(),
                    token: candidate.token,
                    logprob: candidate.log_probability,
                })
                .collect(),
        }
    });
    Json::parse(serde_json::to_string(&OpenAi { content: content.collect() }).ok()?)
}

/// OpenAI's shape as Google's `logprobsResult`; `None` when it is something else.
pub(super) fn write(json: &Json<'_>) -> Option<Json<'static>> {
    let openai: OpenAi<'_> = serde_json::from_str(json.text()).ok()?;
    let candidate = |token, log_probability| Candidate { token, log_probability };
    let (mut top_candidates, mut chosen_candidates) = (Vec::new(), Vec::new());
    for token in openai.content {
        let top = token.top_logprobs.into_iter().map(|top| candidate(top.token, top.logprob));
        top_candidates.push(Likeliest { candidates: top.collect() });
        chosen_candidates.push(candidate(token.token, token.logprob));
    }
    if top_candidates.iter().all(|top| top.candidates.is_empty()) {
        top_candidates.clear();
    }
    Json::parse(serde_json::to_string(&Google { top_candidates, chosen_candidates }).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_probabilities_go_there_and_back() {
        let google = r#"{"topCandidates":[{"candidates":[{"token":"é\n","logProbability":-0.5},{"token":"b","logProbability":-2}]}],"chosenCandidates":[{"token":"é\n","logProbability":-0.5}]}"#;
        let openai = read(serde_json::from_str(google).expect("JSON")).expect("read");
        insta::assert_snapshot!(openai.text(), @r#"{"content":[{"token":"é\n","logprob":-0.5,"bytes":[195,169,10],"top_logprobs":[{"token":"é\n","logprob":-0.5,"bytes":[195,169,10]},{"token":"b","logprob":-2,"bytes":[98]}]}]}"#);
        assert_eq!(write(&openai).expect("written").text(), google);
        let odd = Json::parse(r#"{"content":null}"#.to_owned()).expect("JSON");
        assert_eq!(write(&odd), None);
    }
}
