//! Which of a caller's headers go upstream: those that pass by default, then what the rules of the provider and of the
//! model make of them, in order, then the provider's own over all. Pure.
//!
//! Whatever the rules say, nothing is taken from a caller that `config::headers` rules out, nor anything that the
//! caller's `Connection` header names: that was for the hop to us.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{ACCEPT, USER_AGENT},
};
use smallvec::SmallVec;

use super::{Client, named_in_connection};
use crate::config::headers::{HeaderRule, Names, Pattern, is_never_forwarded, is_never_set, sounds_secret};

/// The version of Anthropic's API that is spoken.
pub(super) const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// Headers of a provider's own that rules may change or remove, as they may those of a caller.
const CHANGEABLE: [HeaderName; 3] = [ACCEPT, USER_AGENT, ANTHROPIC_VERSION];

/// Headers of a client that go to every provider (W3C Trace Context).
static TRACE: [HeaderName; 2] =
    [HeaderName::from_static("traceparent"), HeaderName::from_static("tracestate")];

/// The most names that a caller's `Connection` header may hold. Clients write one or two; with more than these, none of
/// its headers goes up, and nobody looks for them one by one.
const MOST_NAMES: usize = 32;

/// The rules of one model: those of its provider, then its own.
#[derive(Debug)]
pub struct HeaderRules {
    rules: Box<[HeaderRule]>,
    /// Headers that are meant for us, which no pattern takes along.
    ours: Box<[HeaderName]>,
}

/// Completes a provider's own headers with what goes up of the client's; `protocol` are those that only mean something in
/// the provider's own protocol. Own ones stay as they are, apart from `accept`, `user-agent` and the version of the API,
/// which a rule may change, and those of `protocol` that the client sent itself.
pub fn complete(
    own: &mut HeaderMap,
    client: &Client<'_>,
    protocol: &'static [HeaderName],
    rules: Option<&HeaderRules>,
) {
    let caller = Caller::new(client.headers, if client.same_protocol { protocol } else { &[] });
    for (name, _) in caller.passed_on() {
        own.remove(name);
    }
    let Some(rules) = rules else {
        for (name, value) in caller.passed_on() {
            own.append(name.clone(), value.clone());
        }
        return;
    };
    let mut chosen = Chosen::default();
    for name in CHANGEABLE {
        if let Some(value) = own.remove(&name) {
            chosen.0.push((name, value));
        }
    }
    chosen.0.extend(caller.passed_on().map(|(name, value)| (name.clone(), value.clone())));
    rules.apply(&caller, &mut chosen);
    chosen.remove(|name| own.contains_key(name));
    for (name, value) in chosen.0 {
        // There is room for 32,768; who has more rules than that goes without the rest.
        let _ = own.try_append(name, value);
    }
}

/// What a caller sent, as far as it may go upstream at all.
struct Caller<'a> {
    headers: &'a HeaderMap,
    /// The headers of its protocol, if that is the provider's too.
    protocol: &'static [HeaderName],
    /// Names in its `Connection` header; `None` = too many.
    hop: Option<SmallVec<[&'a str; 2]>>,
}

/// Headers on their way upstream, in order.
#[derive(Default)]
struct Chosen(SmallVec<[(HeaderName, HeaderValue); 8]>);

// === impl HeaderRules ===

impl HeaderRules {
    /// The rules in their order; `None` where there are none. One that would set what no rule may is left out: a
    /// configuration that holds such a rule has been refused before. `ours` are headers that no pattern takes along.
    pub fn new(provider: &[HeaderRule], model: &[HeaderRule], ours: &[HeaderName]) -> Option<Self> {
        let rules: Box<[_]> = provider.iter().chain(model).filter(|rule| is_allowed(rule)).cloned().collect();
        (!rules.is_empty()).then(|| Self { rules, ours: ours.into() })
    }

    /// The caller's headers whose names match. Who writes a pattern has not thought of every name it covers, so it covers
    /// none that says who calls.
    fn matching<'a>(
        &self,
        caller: &Caller<'a>,
        Pattern(pattern): &Pattern,
    ) -> SmallVec<[(&'a HeaderName, &'a HeaderValue); 8]> {
        let names = caller.headers.keys().filter(|name| pattern.is_match(name.as_str().as_bytes()));
        let names = names.filter(|name| !self.ours.contains(name) && !sounds_secret(name));
        names.filter_map(|name| Some((name, caller.first(name)?))).collect()
    }

    fn apply(&self, caller: &Caller<'_>, chosen: &mut Chosen) {
        for rule in &self.rules {
            match rule {
                HeaderRule::Forward { from: Names::One(name), default, rename } => {
                    if let Some(value) = caller.first(name).or(default.as_ref()) {
                        chosen.remove(|chosen| chosen == name);
                        chosen.set(rename.as_ref().unwrap_or(name), value);
                    }
                }
                HeaderRule::Forward { from: Names::Matching(pattern), rename, .. } => {
                    let matching = self.matching(caller, pattern);
                    chosen.add_matching(&matching, rename.as_ref());
                }
                HeaderRule::Insert { name, value } => chosen.set(name, value),
                HeaderRule::Remove(names) => chosen.remove(|name| names.hold(name)),
                HeaderRule::RenameDuplicate { name, rename, default } => {
                    if let Some(value) = caller.first(name).or(default.as_ref()) {
                        chosen.set(name, value);
                        chosen.set(rename, value);
                    }
                }
            }
        }
    }
}

/// Whether all that a rule names may be set in its way.
fn is_allowed(rule: &HeaderRule) -> bool {
    let may_carry = |name: &HeaderName| !is_never_forwarded(name);
    match rule {
        HeaderRule::Forward { from, rename, .. } => {
            let from = if let Names::One(name) = from { Some(name) } else { None };
            from.into_iter().chain(rename).all(may_carry)
        }
        HeaderRule::Insert { name, .. } => !is_never_set(name),
        HeaderRule::Remove(_) => true,
        HeaderRule::RenameDuplicate { name, rename, .. } => may_carry(name) && may_carry(rename),
    }
}

impl Names {
    fn hold(&self, name: &HeaderName) -> bool {
        match self {
            Self::One(one) => one == name,
            Self::Matching(Pattern(pattern)) => pattern.is_match(name.as_str().as_bytes()),
        }
    }
}

// === impl Caller ===

impl<'a> Caller<'a> {
    fn new(headers: &'a HeaderMap, protocol: &'static [HeaderName]) -> Self {
        let hop: SmallVec<_> = named_in_connection(headers).take(MOST_NAMES + 1).collect();
        Self { headers, protocol, hop: Some(hop).filter(|names| names.len() <= MOST_NAMES) }
    }

    /// Whether a header of that name was for the hop to us.
    fn was_for_us(&self, name: &HeaderName) -> bool {
        let named = |names: &[&str]| names.iter().any(|named| named.eq_ignore_ascii_case(name.as_str()));
        self.hop.as_deref().is_none_or(named)
    }

    /// What goes up without any rule.
    fn passed_on(&self) -> impl Iterator<Item = (&'static HeaderName, &'a HeaderValue)> {
        let names = self.protocol.iter().chain(&TRACE).filter(|name| !self.was_for_us(name));
        names.flat_map(|name| self.headers.get_all(name).iter().map(move |value| (name, value)))
    }

    /// The first value of a header, if it may go upstream.
    fn first(&self, name: &HeaderName) -> Option<&'a HeaderValue> {
        let may = !is_never_forwarded(name) && !self.was_for_us(name);
        may.then(|| self.headers.get(name)).flatten()
    }
}

// === impl Chosen ===

impl Chosen {
    /// The header with this value and no other.
    fn set(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.remove(|chosen| chosen == name);
        self.0.push((name.clone(), value.clone()));
    }

    fn remove(&mut self, which: impl Fn(&HeaderName) -> bool) {
        self.0.retain(|(name, _)| !which(name));
    }

    /// All of these; under the one name where it is given.
    fn add_matching(&mut self, matching: &[(&HeaderName, &HeaderValue)], rename: Option<&HeaderName>) {
        if matching.is_empty() {
            return;
        }
        self.remove(|name| Some(name) == rename || matching.iter().any(|(matching, _)| *matching == name));
        let added = matching.iter();
        self.0.extend(added.map(|(name, value)| (rename.unwrap_or(name).clone(), (*value).clone())));
    }
}

#[cfg(test)]
mod tests;
