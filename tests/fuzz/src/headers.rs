//! What of a caller's head goes upstream.

use std::str;

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header::AUTHORIZATION};
use nexus::{
    config::{
        headers::{HeaderRule, Names, Pattern, is_never_forwarded, is_never_set},
        secret::Secret,
    },
    protocol::splice::Rope,
    upstream::{Client, Operation, REQUEST_ID, Wanted, headers::HeaderRules, key, openai::OpenAi, query},
};
use regex::bytes::RegexBuilder;

/// Longest list of rules, and of headers.
const MOST: usize = 100;

/// Nothing that is the caller's alone goes upstream, and the provider's own headers do as they are.
///
/// The input is text, a thing a line: `h NAME VALUE` is a header of the caller, `q QUERY` its query; `f NAME [RENAME]`,
/// `p PATTERN [RENAME]`, `d NAME RENAME`, `i NAME`, `r NAME` and `x PATTERN` are rules, of the model behind `m`.
pub fn headers(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let mut seen = Seen::default();
    for line in text.lines().take(2 * MOST) {
        seen.line(line);
    }
    if let Some(kept) = query::without_keys(&seen.query) {
        assert_eq!(query::without_keys(&kept).as_deref(), Some(&*kept), "all at once");
    }
    for configured in [None, Some(Secret::new("sk-configured".to_owned()))] {
        let forwarded = key::forwarded(&seen.caller, configured.as_ref()).ok().flatten();
        seen.check(configured.as_ref(), None);
        seen.check(configured.as_ref(), forwarded.as_ref());
    }
}

/// An input that has been read.
#[derive(Default)]
struct Seen {
    caller: HeaderMap,
    /// Where each value came from, but for `connection` and the key.
    sources: Vec<HeaderName>,
    query: String,
    /// Of the provider, and of the model.
    rules: [Vec<HeaderRule>; 2],
    model: bool,
}

impl Seen {
    fn line(&mut self, line: &str) {
        let mut words = line.splitn(3, ' ');
        let (kind, first, second) = (words.next(), words.next(), words.next());
        match (kind, first) {
            (Some("m"), _) => self.model = true,
            (Some("q"), Some(query)) => query.clone_into(&mut self.query),
            (Some("h"), Some(name)) => self.header(name, second.unwrap_or_default()),
            (Some(kind), Some(first)) => {
                let rules = &mut self.rules[usize::from(self.model)];
                rules.extend(rule(kind, first, second));
                rules.truncate(MOST);
            }
            _ => {}
        }
    }

    fn header(&mut self, text: &str, value: &str) {
        let Some(name) = name(text).filter(|_| self.sources.len() < MOST) else { return };
        let value = match name.as_str() {
            "connection" | "x-provider-api-key" => value.to_owned(),
            _ => format!("caller {}", self.sources.len()),
        };
        let Ok(value) = HeaderValue::try_from(value) else { return };
        self.caller.append(name.clone(), value);
        self.sources.push(name);
    }

    /// Whether the caller's `Connection` names a header.
    fn is_hop(&self, name: &HeaderName) -> bool {
        let values = self.caller.get_all("connection").iter();
        let names = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        names.map(<[u8]>::trim_ascii).any(|hop| hop.eq_ignore_ascii_case(name.as_str().as_bytes()))
    }

    fn check(&self, configured: Option<&Secret>, forwarded: Option<&Secret>) {
        let base = Uri::from_static("http://upstream/v1");
        let server = OpenAi::new(&base, configured, false).expect("an address");
        let (query, headers) = (Some(self.query.as_str()), &self.caller);
        let request_id = &HeaderValue::from_static("id");
        let client = Client { query, headers, request_id, key: forwarded, opened: None, same_protocol: true };
        let rules = HeaderRules::new(&self.rules[0], &self.rules[1], &[]);
        let wanted = Wanted { operation: Operation::Chat, model: "m", stream: false };
        let request = server.request(&wanted, &client, rules.as_ref(), Rope::new());
        for (name, value) in request.headers() {
            let text = value.to_str().expect("all that is sent here is text");
            if let Some(number) = text.strip_prefix("caller ") {
                let source = &self.sources[number.parse::<usize>().expect("a number")];
                assert!(!is_never_forwarded(source) && !self.is_hop(source), "{source} went up as {name}");
                assert!(!is_never_forwarded(name), "{source} went up as {name}");
            }
            let own = ["content-type", "accept-encoding"].contains(&name.as_str());
            assert!(own || !is_never_set(name), "{name} went up");
        }
        let sent = |name: &HeaderName| request.headers().get_all(name).iter().collect::<Vec<_>>();
        assert_eq!(sent(&REQUEST_ID), [request_id]);
        assert_eq!(sent(&HeaderName::from_static("content-type")), ["application/json"]);
        assert_eq!(sent(&HeaderName::from_static("accept-encoding")), ["identity"]);
        if let Some(key) = forwarded.or(configured) {
            assert_eq!(sent(&AUTHORIZATION), [format!("Bearer {}", key.expose()).as_str()]);
        }
        let kept = request.uri().query().unwrap_or_default();
        assert!(!kept.split('&').any(|one| one.split('=').next() == Some("key")), "{kept}");
    }
}

fn name(text: &str) -> Option<HeaderName> {
    HeaderName::from_bytes(text.as_bytes()).ok()
}

fn pattern(text: &str) -> Option<Names> {
    let pattern = RegexBuilder::new(text).unicode(false).case_insensitive(true).size_limit(1 << 16).build();
    Some(Names::Matching(Pattern(pattern.ok()?)))
}

fn rule(kind: &str, first: &str, second: Option<&str>) -> Option<HeaderRule> {
    let value = HeaderValue::from_static("rule");
    let (one, rename) = (|| name(first), second.and_then(name));
    Some(match kind {
        "f" => HeaderRule::Forward { from: Names::One(one()?), default: Some(value), rename },
        "p" => HeaderRule::Forward { from: pattern(first)?, default: None, rename },
        "d" => HeaderRule::RenameDuplicate { name: one()?, rename: rename?, default: Some(value) },
        "i" => HeaderRule::Insert { name: one()?, value },
        "r" => HeaderRule::Remove(Names::One(one()?)),
        "x" => HeaderRule::Remove(pattern(first)?),
        _ => return None,
    })
}
