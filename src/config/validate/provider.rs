//! `[llm.providers.*]`: providers, their models, who may use them and what limits hold.

use actors::quota::{OnOutputLimit, Price};

use super::{
    Check,
    access::Lists,
    headers,
    identification::Callers,
    is_of_this_machine,
    limits::{Unpriced, Written, preconditions, report_unpriced},
    remote,
};
use crate::config::{
    Model, Provider, SMALLEST,
    budget::{Owners, Scopes},
    diagnostic::{Code, Diagnostic},
    file::{Billionths, Entry, View},
    headers::HeaderRule,
    limits::{Family, key},
    secret::SHORTEST,
    shape::nearest,
};

/// A model as it was written.
struct Draft<'a> {
    name: &'a str,
    view: View<'a>,
    lists: Lists,
    limits: Written<'a>,
    headers: Vec<HeaderRule>,
}

/// What models are resolved with.
struct Scoped {
    scopes: Scopes,
    on_output_limit: OnOutputLimit,
}

/// All providers, sorted by name; empty when LLM calls are switched off.
pub(super) fn providers(
    root: View<'_>,
    callers: &Callers,
    on_output_limit: OnOutputLimit,
    check: &mut Check<'_>,
) -> Vec<Provider> {
    let llm = root.table("llm");
    let on = llm.value::<bool>("enabled");
    let all = llm.table("providers");
    preconditions(first_limit(all), callers, check);
    let mut scoped = Scoped { scopes: Scopes::default(), on_output_limit };
    let providers: Vec<_> = all
        .named()
        .filter(|(.., view)| view.exists())
        .filter_map(|(name, entry, view)| provider(name, entry, view, callers, &mut scoped, check))
        .collect();
    if !on || all.named().next().is_none() {
        let at = llm.entry("enabled").filter(|_| !on).map_or(0..0, |entry| entry.node.span.clone());
        let message = "nothing to serve: Nexus needs at least one LLM provider";
        check.report.push(Diagnostic::new(Code::NoProvider, at, message).help(SMALLEST));
    }
    if on { providers } else { Vec::new() }
}

fn provider(
    name: &str,
    entry: &Entry,
    view: View<'_>,
    callers: &Callers,
    scoped: &mut Scoped,
    check: &mut Check<'_>,
) -> Option<Provider> {
    if name.is_empty() || name.contains('/') {
        let message = "the name of a provider must not be empty or hold `/`";
        check.at_key(
            entry,
            Code::InvalidName,
            message,
            "clients ask for `provider/model`, split at the first `/`",
        );
    }
    let path = format!("llm.providers.{}", key(name));
    let rates = view.table("rate_limits");
    let place =
        |family: Family| (rates.table(family.name()), format!("{path}.rate_limits.{}", family.name()));
    let limits = Written::read(place, callers, check);
    let lists = Lists::read(view, callers, check);
    let drafts = drafts(view, &path, &lists, callers, check);
    if view.table("models").named().next().is_none() {
        let help = format!("write `[{path}.models.\"gpt-4o\"]` for each model that may be asked for");
        check.at_key(entry, Code::NoModel, format!("provider `{name}` lists no model"), help);
    }
    old_spelling(name, view, check);
    warn(&limits, &drafts, callers, check);
    short_keys(view, check);
    let models = scoped.models(name, drafts, &limits);
    Some(Provider {
        name: name.into(),
        models,
        limits: limits.limits,
        kind: remote::kind(view, check)?,
        max_in_flight: view.value("max_in_flight"),
        connect_timeout: view.value("connect_timeout"),
        first_byte_timeout: view.value("first_byte_timeout"),
        idle_timeout: view.value("idle_timeout"),
        forward_token: view.value("forward_token"),
        headers: headers::rules(view, check),
        header_secrets: headers::secrets(view),
    })
}

/// Keys that are not looked for in what the provider says, as they are too short to be told from words. A server on this
/// machine commonly has a dummy.
fn short_keys(view: View<'_>, check: &mut Check<'_>) {
    if view.get("base_url").as_ref().is_some_and(is_of_this_machine) {
        return;
    }
    for name in ["api_key", "access_key_id", "secret_access_key", "session_token"] {
        let Some(entry) = view.entry(name) else { continue };
        if (1..SHORTEST).contains(&entry.node.text().map_or(0, str::len)) {
            let message = format!(
                "`{name}` has less than {} characters: so short a key is not taken out of the provider's texts",
                SHORTEST
            );
            let help = format!("write the whole key, or remove `{name}` where the provider needs none");
            check.at_value(entry, Code::ShortKey, message, help);
        }
    }
}

fn drafts<'a>(
    provider: View<'a>,
    path: &str,
    lists: &Lists,
    callers: &Callers,
    check: &mut Check<'_>,
) -> Vec<Draft<'a>> {
    let (old, kind) = (provider.table("rate_limits"), provider.get::<String>("type"));
    let models = provider.table("models").named().filter(|(.., view)| view.exists());
    let draft = |(name, entry, view): (&'a str, &'a Entry, View<'a>)| {
        let old = old.named().find(|(other, ..)| *other == name).map(|(.., table)| table);
        let place = |family: Family| {
            let (family, name) = (family.name(), key(name));
            let new = view.table("rate_limits").table(family);
            match old.map(|old| old.table(family)).filter(|old| old.exists() && !new.exists()) {
                Some(old) => (old, format!("{path}.rate_limits.{name}.{family}")),
                None => (new, format!("{path}.models.{name}.rate_limits.{family}")),
            }
        };
        names(name, entry, view, check);
        let limits = Written::read(place, callers, check);
        if let (Some(entry), Some(kind @ "echo")) = (view.entry("headers"), kind.as_deref()) {
            let help = format!("remove it: a provider of type `{kind}` is sent no headers");
            check.at_key(entry, Code::NoEffect, "`headers` changes nothing", help);
        }
        let lists = Lists::read(view, callers, check).and(lists);
        Draft { name, view, lists, limits, headers: headers::rules(view, check) }
    };
    models.map(draft).collect()
}

/// The names of a model, public and upstream.
fn names(name: &str, entry: &Entry, view: View<'_>, check: &mut Check<'_>) {
    if name.is_empty() {
        let help = "write the name clients ask for";
        check.at_key(entry, Code::InvalidName, "the name of a model must not be empty", help);
    }
    if let Some(entry) =
        view.entry("rename").filter(|_| view.get::<String>("rename").is_some_and(|to| to.is_empty()))
    {
        let help = "write the upstream's name of the model, or remove `rename`";
        check.at_value(entry, Code::EmptyValue, "`rename` is empty", help);
    }
}

/// `rate_limits."MODEL"` must name a listed model, and not say what `models.MODEL` says already.
fn old_spelling(provider: &str, view: View<'_>, check: &mut Check<'_>) {
    let models = view.table("models");
    for (name, entry, old) in view.table("rate_limits").named() {
        if models.entry(name).is_none() {
            let message = format!("provider `{provider}` has no model `{name}`");
            let known = models.named().map(|(name, ..)| name).chain(Family::ALL.map(Family::name));
            let help = nearest(name, known).map_or_else(
                || format!("list it: `[llm.providers.{}.models.{}]`", key(provider), key(name)),
                |near| format!("did you mean `{near}`?"),
            );
            check.at_key(entry, Code::UnknownModel, message, help);
            continue;
        }
        let new = models.table(name);
        let both = |family: Family| {
            old.entry(family.name()).is_some() && new.table("rate_limits").table(family.name()).exists()
        };
        if let Some(twice) = new.entry("rate_limits").filter(|_| Family::ALL.into_iter().any(both)) {
            let message = format!("the limits of model `{name}` are written in both spellings");
            let problem = Diagnostic::new(Code::LimitTwice, entry.key.clone(), message)
                .label(twice.key.clone(), "the other one")
                .help(format!("keep the one under `models.{}`", key(name)));
            check.report.push(problem);
        }
    }
}

/// Limits that do not hold for whom one may think.
fn warn<'a>(provider: &Written<'a>, drafts: &[Draft<'a>], callers: &Callers, check: &mut Check<'_>) {
    let lists: Vec<_> = drafts.iter().map(|draft| draft.lists.clone()).collect();
    if !lists.is_empty() {
        provider.reach(&lists, callers, check);
        provider.gaps(&provider.limits, &lists, callers, check);
        provider.hides(None, &lists, callers, check);
    }
    let mut unpriced = Unpriced::new();
    for draft in drafts {
        let lists = std::slice::from_ref(&draft.lists);
        draft.limits.reach(lists, callers, check);
        draft.limits.gaps(&provider.limits, lists, callers, check);
        draft.limits.hides(Some(&provider.limits), lists, callers, check);
        if draft.view.entry("price").is_none() {
            draft.limits.unpriced(draft.name, provider, callers, &mut unpriced);
        }
    }
    report_unpriced(unpriced, check);
}

impl Scoped {
    /// The models of a provider, each with what holds for its callers.
    fn models(&mut self, provider: &str, drafts: Vec<Draft<'_>>, limits: &Written<'_>) -> Vec<Model> {
        let shared = (&limits.limits, self.scopes.of(provider, None));
        let model = |draft: Draft<'_>| {
            let own = (&draft.limits.limits, self.scopes.of(provider, Some(draft.name)));
            let on_output_limit = self.on_output_limit;
            let budgets = Owners { model: own, provider: shared, on_output_limit }.resolve();
            Model {
                name: draft.name.into(),
                upstream_name: draft
                    .view
                    .get::<String>("rename")
                    .map_or_else(|| draft.name.into(), Into::into),
                budgets,
                price: price(draft.view.table("price")),
                allow: draft.lists.allow,
                deny: draft.lists.deny,
                limits: draft.limits.limits,
                headers: draft.headers,
                max_tokens: draft.view.value("max_tokens"),
                header_secrets: headers::secrets(draft.view),
            }
        };
        drafts.into_iter().map(model).collect()
    }
}

/// What the tokens of a model cost; what is missing is reported already.
fn price(view: View<'_>) -> Option<Price> {
    let price = |name| view.get::<Billionths>(name).map(|Billionths(price)| price);
    let input = price("input")?;
    Some(Price { input, cached_input: price("cached_input").unwrap_or(input), output: price("output")? })
}

/// The first `rate_limits` in the file that has limits of clients or groups.
fn first_limit(providers: View<'_>) -> Option<&Entry> {
    let own = |view: View<'_>| ["per_user", "per_group"].iter().any(|name| view.entry(name).is_some());
    let written = move |view: &View<'_>| {
        let rates = view.table("rate_limits");
        own(rates) || rates.named().any(|(.., model)| own(model))
    };
    let models = providers.named().flat_map(|(.., provider)| provider.table("models").named());
    let all = providers.named().chain(models).map(|(.., view)| view);
    all.filter(written).filter_map(|view| view.entry("rate_limits")).min_by_key(|entry| entry.key.start)
}
