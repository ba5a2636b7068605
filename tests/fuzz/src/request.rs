//! What clients send: bodies are read, counted and edited, paths are routed, texts are counted.

use std::{collections::HashSet, str, sync::LazyLock};

use http::Method;
use nexus::{
    chat::{Part, Piece, Prompt},
    config::Counting,
    protocol::{
        self, Operation, Prefixes, Protocol,
        gemini::egress::{
            Api,
            embeddings::{self as google, Refused},
        },
        openai_chat::passing::request as chat,
        openai_embeddings::passing::request as embeddings,
    },
    tokens::{Counter, Estimate, Progress, Tally},
};
use serde_json::Value;

use crate::{NAME, ask::TARGET, edited, renamed, told};

const COUNTING: Counting = Counting { count_tools: true, image_tokens: 1000, file_tokens: 500 };

/// One for all inputs, so that what it remembers of one meets the next.
static COUNTER: LazyLock<Counter> = LazyLock::new(|| Counter::new(&COUNTING, [7; 32]));

/// A chat request is read as others read it, counted the same in every way, and edited where it should be and nowhere else.
pub fn chat(body: &[u8]) {
    let Ok(request) = chat::Request::parse(body) else { return };
    if let Ok(plain) = serde_json::from_slice::<Value>(body) {
        assert_eq!(plain["model"], request.model());
        assert_eq!(plain["stream"] == true, request.stream());
        assert_eq!(plain["messages"].as_array().map(Vec::len), Some(request.messages().len()));
    }
    count(body, &request);
    let with_name = edited(body, [request.rename(NAME)]);
    let old = renamed(body, &with_name).expect("nothing but the model is another");
    assert_eq!(serde_json::from_slice::<String>(old).ok().as_deref(), Some(request.model()));
    if request.ask_for_usage().is_some() {
        ask_for_usage(body, &request);
    }
}

/// An embeddings request likewise; and Google is asked the same, or it is refused with a reason.
pub fn embeddings(body: &[u8]) {
    for api in [Api::Gemini, Api::Vertex] {
        match google::write(body, &TARGET, api) {
            Ok(asked) => told::json(&asked.body),
            Err(Refused::Malformed(malformed)) => assert!(malformed.to_string().len() > 10, "{malformed}"),
            Err(Refused::Unsupported(unsupported)) => assert!(!unsupported.why.is_empty()),
        }
    }
    let Ok(request) = embeddings::Request::parse(body) else { return };
    if let Ok(plain) = serde_json::from_slice::<Value>(body) {
        assert_eq!(plain["model"], request.model());
    }
    count(body, &request);
    let with_name = edited(body, [request.rename(NAME)]);
    let old = renamed(body, &with_name).expect("nothing but the model is another");
    assert_eq!(serde_json::from_slice::<String>(old).ok().as_deref(), Some(request.model()));
}

/// A path leads to one operation, and a model's id comes out of it as it went in, however it is written.
pub fn route(path: &[u8]) {
    let Ok(path) = str::from_utf8(path) else { return };
    let prefixes =
        Prefixes { openai: Some(vec!["/llm/openai".to_owned(), "/llm".to_owned()]), ..Prefixes::default() };
    let at = |method: Method, path: &str| {
        let routed = protocol::route(&prefixes, &method, path, Protocol::OpenAi);
        routed.map(|(_, operation)| operation).map_err(|(_, no)| no)
    };
    let get = at(Method::GET, path);
    assert!(get.is_err() || at(Method::HEAD, path) == get);
    assert!(get.is_err() || at(Method::POST, path).is_err());
    let Ok(Operation::ShowModel(id)) = get else { return };
    assert!(path.contains('%') || path.ends_with(&format!("/v1/models/{id}")));
    let escaped: String = id.bytes().map(|byte| format!("%{byte:02x}")).collect();
    assert_eq!(at(Method::GET, &format!("/v1/models/{escaped}")), Ok(Operation::ShowModel(id)));
}

/// A text is as many tokens as the reference says.
pub fn tokens(text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    let reference = tiktoken_rs::cl100k_base_singleton().encode_ordinary(&text).len();
    assert_eq!(COUNTER.count(&text), reference as u64);
}

/// Counts a request with and without memory, whole and interrupted, below every ceiling.
pub fn count<P: Prompt>(body: &[u8], prompt: &P) {
    let all = prompt.fixed_tokens() + parts(prompt).map(|part| part_tokens::<P>(body, part)).sum::<u64>();
    for ceiling in [0, all / 2, all.saturating_sub(1), all] {
        let Estimate { tokens, exact } = COUNTER.estimate(body, prompt, Some(ceiling));
        assert_eq!(exact, all <= ceiling);
        assert!(if exact { tokens == all } else { ceiling < tokens && tokens <= all }, "{tokens} of {all}");
    }
    for _ in 0..2 {
        assert_eq!(COUNTER.estimate(body, prompt, None), Estimate { tokens: all, exact: true });
    }
    let (mut tally, mut budget) = (Tally::default(), 64);
    let Estimate { tokens, .. } = loop {
        match COUNTER.advance(body, prompt, tally, None, budget) {
            Progress::Done(estimate) => break estimate,
            Progress::More(rest) => tally = rest,
        }
        budget *= 2;
    };
    assert_eq!(tokens, all);
}

/// The tokens of a part, piece by piece, past the memory.
fn part_tokens<P: Prompt>(body: &[u8], part: Part) -> u64 {
    let mut tokens = 0;
    P::pieces(part.kind, text(body, part), &mut |piece| {
        tokens += match piece {
            Piece::Role(text) => 3 + COUNTER.count(&text),
            Piece::Text(text) | Piece::Tool(text) => COUNTER.count(&text),
            Piece::Tokens(tokens) => tokens,
            Piece::Image => COUNTING.image_tokens,
            Piece::Data => COUNTING.file_tokens,
        }
    });
    tokens
}

fn parts<P: Prompt>(prompt: &P) -> impl Iterator<Item = Part> {
    (0..).map_while(|index| prompt.part(index))
}

fn text(body: &[u8], part: Part) -> &str {
    str::from_utf8(&body[part.span.range()]).expect("a part is whole JSON")
}

/// The request that asks for its usage is the same but for that.
fn ask_for_usage(body: &[u8], request: &chat::Request) {
    let asking = edited(body, request.ask_for_usage());
    let asked = chat::Request::parse(&asking).expect("still a request");
    assert!(asked.include_usage() && asked.stream() && asked.ask_for_usage().is_none());
    assert_eq!(asked.model(), request.model());
    let texts = parts(request).map(|part| text(body, part));
    assert!(texts.eq(parts(&asked).map(|part| text(&asking, part))));
    if let (Ok(before), Ok(after)) = (serde_json::from_slice(body), serde_json::from_slice(&asking)) {
        assert_eq!(differing(&before, &after), HashSet::from(["stream_options".to_owned()]));
        let within = differing(&before["stream_options"], &after["stream_options"]);
        assert_eq!(within, HashSet::from(["include_usage".to_owned()]));
    }
    let both = edited(body, [request.ask_for_usage(), Some(request.rename(NAME))].into_iter().flatten());
    let both = chat::Request::parse(&both).expect("still a request");
    assert!(both.include_usage() && both.model() == NAME);
}

/// The members that two objects do not share. What is no object has none.
fn differing(a: &Value, b: &Value) -> HashSet<String> {
    let members = [a, b].into_iter().filter_map(Value::as_object).flat_map(|object| object.keys());
    members.filter(|name| a.get(name.as_str()) != b.get(name.as_str())).cloned().collect()
}
