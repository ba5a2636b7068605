//! The golden matrix: every case from every dialect to every kind of provider, as snapshots that were read.
//!
//! A case is one file, `tests/golden/matrix/NAME.json`; a new one is found by itself, and its snapshot, `NAME.snap`,
//! stands beside it. What a case does not say is as in `default.json`, and what comes out of it as there is not told
//! again, so a case holds only what it is about:
//!
//! ```json
//! {
//!   "about": "A sentence.",
//!   "request": { "chat": {…}, "responses": {…}, "messages": {…}, "gemini": {…} },
//!   "answer": { "chat": {…}, "responses": {…}, "messages": {…}, "gemini": {…}, "converse": {…} },
//!   "stream": { "chat": [{…}, "[DONE]"], "messages": [{…}, ": a comment\n\n"], "converse": [{"messageStart": {…}}] },
//!   "status": 429,
//!   "headers": { "retry-after": "7" }
//! }
//! ```
//!
//! - `request`: the same meaning as each dialect writes it, without `model` and `stream`, which are put in front.
//! - `answer`: what the provider says, byte for byte. Its model is called `answering-model`, so that it can be found.
//! - `stream`: events, framed as the format frames them (`event:` is the `type`); of Bedrock the event's name around its
//!   data, an exception's when it ends in `Exception`. Text goes out as it is, but `[DONE]` is an event and `[break]`
//!   breaks the connection.
//! - `status` and `headers`: of the answer, or one by format (`{"chat": 401, "gemini": 400}`). Formats without an
//!   `answer` of their own are left out where a status is said.
//!
//! Streamed calls of the chat dialect ask for their usage.

mod case;
mod layout;
mod wire;

use std::{
    collections::BTreeMap,
    fmt::Write,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use http::HeaderMap;
use serde_json::Value;
use tokio::sync::mpsc;

use self::{
    case::{Case, Cases},
    wire::{Ingress, KINDS, Kind},
};
use crate::support::{
    client::Request,
    nexus::Nexus,
    upstream::{Call, Upstream},
};

/// The name of a call, sent as its request id, by which the provider knows the case and we find what it received.
const ID: &str = "x-request-id";

/// What the answers call their model.
const ANSWERED_BY: &str = "answering-model";

/// What was seen of one call.
#[derive(Clone)]
struct Seen {
    /// What the provider received, or why it received nothing.
    request: String,
    /// What the client received.
    answer: String,
}

/// Calls of one case: how they are named, and what was seen.
type Cells = Vec<(String, Seen)>;

/// A case's calls, whole and streamed.
#[derive(Default)]
struct Outcome {
    whole: Cells,
    streamed: Cells,
}

#[tokio::test]
async fn every_case_reads_as_it_did_from_every_dialect_to_every_kind() {
    let cases = Arc::new(case::all());
    assert!(cases.len() >= 40, "the matrix has {} cases", cases.len());
    let (script, (calls, mut called)) = (cases.clone(), mpsc::unbounded_channel());
    let upstream = Upstream::start(move |call| {
        calls.send(call.clone()).expect("the test goes on");
        wire::reply(&script, call)
    });
    let upstream = upstream.await;
    let nexus = Arc::new(Nexus::start(&wire::configuration(upstream.address())).await);
    let mut running = tokio::task::JoinSet::new();
    for name in cases.keys() {
        let (name, cases, nexus) = (name.clone(), cases.clone(), nexus.clone());
        running.spawn(async move { run(&name, &cases, &nexus).await });
    }
    let received: Vec<_> = running.join_all().await.into_iter().flatten().collect();
    let calls = std::iter::from_fn(|| called.try_recv().ok());
    let calls = calls.map(|call| (call.header(ID).expect("a name").to_owned(), call)).collect();
    compare(&cases, &outcomes(&cases, received, &calls));
}

#[test]
fn every_snapshot_has_its_case() {
    let cases = case::all();
    for path in case::files("snap") {
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(cases.contains_key(name), "{} is of no case", path.display());
    }
}

/// Compares all snapshots before it fails.
fn compare(cases: &Cases, outcomes: &BTreeMap<String, Outcome>) {
    let usual = &outcomes[case::DEFAULT];
    let differs = |(name, outcome): &(&String, &Outcome)| {
        let told = told(&cases[*name], outcome, (*name != case::DEFAULT).then_some(usual));
        let settings = || {
            insta::with_settings!({ snapshot_path => "../golden/matrix", prepend_module_to_snapshot => false, omit_expression => true }, {
                insta::assert_snapshot!(name.as_str(), told);
            });
        };
        catch_unwind(AssertUnwindSafe(settings)).is_err()
    };
    let differing: Vec<_> = outcomes.iter().filter(differs).map(|(name, _)| name).collect();
    assert!(differing.is_empty(), "these cases read otherwise than before: {differing:?}");
}

/// Sends a case from each dialect to each kind, whole and streamed.
async fn run(name: &str, cases: &Cases, nexus: &Nexus) -> Vec<(Sent, Received)> {
    let mut received = Vec::new();
    for ingress in Ingress::ALL {
        for kind in KINDS.iter().filter(|kind| cases[name].answers(kind.wire(ingress))) {
            for stream in [false, true] {
                let sent = Sent { name: name.to_owned(), ingress, kind, stream };
                let answer = sent.send(cases, nexus).await;
                received.push((sent, answer));
            }
        }
    }
    received
}

/// What was seen, by case.
fn outcomes(
    cases: &Cases,
    received: Vec<(Sent, Received)>,
    calls: &BTreeMap<String, Call>,
) -> BTreeMap<String, Outcome> {
    let mut outcomes = BTreeMap::<_, Outcome>::new();
    for (sent, received) in received {
        let seen = sent.seen(cases, received, calls.get(&sent.id()));
        let cell = (format!("{} → {}", sent.ingress.name(), sent.kind.name), seen);
        let outcome = outcomes.entry(sent.name).or_default();
        if sent.stream { &mut outcome.streamed } else { &mut outcome.whole }.push(cell);
    }
    outcomes
}

/// One call of the matrix.
struct Sent {
    name: String,
    ingress: Ingress,
    kind: &'static Kind,
    stream: bool,
}

/// Its answer.
struct Received {
    status: u16,
    headers: HeaderMap,
    body: String,
    /// Whether the body ended as it should.
    clean: bool,
}

impl Sent {
    fn id(&self) -> String {
        format!("{}/{}/{}/{}", self.name, self.ingress.name(), self.kind.name, self.stream)
    }

    fn body(&self, cases: &Cases) -> String {
        let request = cases.request(&self.name, self.ingress);
        self.ingress.body(request, &format!("{}/m", self.kind.name), self.stream)
    }

    async fn send(&self, cases: &Cases, nexus: &Nexus) -> Received {
        let target = self.ingress.target(self.kind.name, self.stream);
        let request = Request::post(&target, self.body(cases)).header(ID, self.id());
        let mut answer = request.open(nexus).await;
        let (body, clean) = answer.drain().await;
        let body = String::from_utf8(body.to_vec()).expect("text");
        Received { status: answer.status, headers: answer.headers, body, clean }
    }

    fn seen(&self, cases: &Cases, received: Received, call: Option<&Call>) -> Seen {
        let Received { status, headers, body, clean } = received;
        let passes = self.ingress.wire() == self.kind.wire(self.ingress);
        let head = wire::head(status, &headers);
        let mut answer = match () {
            () if passes && call.is_some() && body == self.passed(cases) => format!("{head}passes\n"),
            () if self.stream && status == 200 => format!("{head}{}", layout::stream(self.ingress, &body)),
            () => format!("{head}{}\n", layout::json(&body)),
        };
        if !clean {
            answer.push_str("(the connection breaks)\n");
        }
        let answer = answer.replace(&format!("\"{}/m\"", self.kind.name), "\"AS ASKED\"");
        let (request, answer) = match call {
            Some(call) => (self.request(call, &self.body(cases), passes) + &wire::dropped(&headers), answer),
            None => (answer, String::new()), // refused
        };
        Seen { request: layout::plain(&request), answer: layout::plain(&answer) }
    }

    /// What the provider received: its address and the body, if that is not the client's own.
    fn request(&self, call: &Call, sent: &str, passes: bool) -> String {
        let body = std::str::from_utf8(&call.body).expect("text");
        let ours = format!("\"model\":\"{}/m\"", self.kind.name);
        let expected = sent.replace(&ours, &format!("\"model\":\"{}\"", self.kind.model));
        let named = format!("\"model\":\"{}\"", self.kind.model);
        let body = match body {
            _ if passes && body == expected => "passes".to_owned(),
            _ => layout::json(&body.replace(&named, "\"model\":\"ITS MODEL\"")),
        };
        format!("POST {}\n{body}\n", call.uri)
    }

    /// What the client receives where nothing is translated.
    fn passed(&self, cases: &Cases) -> String {
        let said = cases.said(&self.name, self.ingress.wire(), self.stream);
        said.replace(ANSWERED_BY, &format!("{}/m", self.kind.name))
    }
}

/// A case as its snapshot tells it. `usual` is what comes out of the default case, which is not told again.
fn told(case: &Case, outcome: &Outcome, usual: Option<&Outcome>) -> String {
    let mut text = format!("{}\n", case.about);
    let Outcome { whole, streamed } = outcome;
    let requests = |cells: &Cells| section(cells, usual.map(|usual| &usual.whole), |seen| &seen.request);
    let _ = write!(text, "{}", titled("The request", &requests(whole)));
    if usual.is_none() {
        text += &titled("The request of a stream", &requests(streamed));
    } else {
        asks_alike(case, outcome);
    }
    let answers = |cells: &[_]| section(cells, usual.map(|usual| &usual.whole), |seen| &seen.answer);
    if !case.is_about_answers() {
        // What a request changes of an answer is changed whoever provides it, and shows in a whole one.
        let first = |(name, _): &&(String, Seen)| name.ends_with(KINDS[0].name);
        let mut first: Vec<_> = whole.iter().filter(first).cloned().collect();
        first.retain(|(_, seen)| !seen.answer.is_empty());
        for (name, Seen { answer, .. }) in &mut first {
            *answer = usual.map_or_else(String::new, |usual| layout::news(answer, &answer_of(usual, name)));
        }
        return text + &titled("The answer", &answers(&first));
    }
    let streams = section(streamed, usual.map(|usual| &usual.streamed), |seen| &seen.answer);
    text + &titled("The answer", &answers(whole)) + &titled("The stream", &streams)
}

fn answer_of(outcome: &Outcome, name: &str) -> String {
    outcome
        .whole
        .iter()
        .find(|(other, _)| other == name)
        .map_or_else(String::new, |(_, seen)| seen.answer.clone())
}

fn titled(title: &str, section: &str) -> String {
    if section.is_empty() { String::new() } else { format!("\n# {title}\n{section}") }
}

/// The cells of which something is to be told; one that reads as another before it says which.
fn section(cells: &[(String, Seen)], usual: Option<&Cells>, of: impl Fn(&Seen) -> &String) -> String {
    let mut text = String::new();
    for (at, (name, seen)) in cells.iter().enumerate() {
        let shown = of(seen);
        let usual = usual.and_then(|cells| cells.iter().find(|(other, _)| other == name));
        if shown.is_empty() || usual.is_some_and(|(_, usual)| of(usual) == shown) {
            continue;
        }
        let (first, rest) = shown.split_once('\n').unwrap_or((shown, ""));
        let address = first.starts_with("POST ");
        let (address, body) = if address { (format!("  {first}"), rest) } else { (String::new(), &**shown) };
        let twin = cells[..at].iter().find(|(_, seen)| body_of(of(seen)) == body);
        let _ = match twin {
            _ if body.lines().count() == 1 && body.len() < 40 => write!(text, "\n## {name}{address}: {body}"),
            Some((twin, _)) => writeln!(text, "\n## {name}{address}: as {twin}"),
            None => write!(text, "\n## {name}{address}\n{body}"),
        };
    }
    text
}

/// What is shown of a call without its address.
fn body_of(shown: &str) -> &str {
    shown.strip_prefix("POST ").and_then(|shown| shown.split_once('\n')).map_or(shown, |(_, body)| body)
}

/// A streamed call asks for what the whole one asks for.
fn asks_alike(case: &Case, Outcome { whole, streamed }: &Outcome) {
    for ((name, whole), (_, streamed)) in whole.iter().zip(streamed) {
        let (whole, streamed) = (asked(&whole.request), asked(&streamed.request));
        assert_eq!(whole, streamed, "{name} of {:?}", case.about);
    }
}

/// A request without the words for streaming it.
fn asked(request: &str) -> (Value, String) {
    let body = body_of(request);
    let mut lines: Vec<_> = body.lines().collect();
    let dropped = lines.pop_if(|line| line.starts_with("dropped")).unwrap_or_default().to_owned();
    let mut value: Value = serde_json::from_str(&lines.join("\n")).unwrap_or_default();
    if let Some(members) = value.as_object_mut() {
        members.retain(|name, _| name != "stream" && name != "stream_options");
    }
    (value, dropped)
}
