//! `[llm]` apart from its providers: where protocols are served, how tokens are counted.

use actors::quota::OnOutputLimit;

use super::{Check, limits::on_output_limit};
use crate::config::{
    Charging, Count, Counting, Protocols,
    diagnostic::{Code, Diagnostic},
    file::{Billionths, Entry, View},
};

/// The path of 0.3.0, an alias of the default path.
const ALIAS: &str = "/llm";

/// A protocol as it is written.
struct Written<'a> {
    /// Its table, and how it is called.
    name: &'static str,
    word: &'static str,
    enabled: bool,
    path: String,
    /// Where the path is written, if it is.
    at: Option<&'a Entry>,
}

/// Where each protocol is served.
pub(super) fn protocols(llm: View<'_>, check: &mut Check<'_>) -> Protocols {
    let tables = llm.table("protocols");
    let old = llm.entry("path");
    if let (Some(old), Some(new)) = (old, tables.table("openai").entry("path")) {
        let message = "the path of the OpenAI protocol is written twice";
        let problem = Diagnostic::new(Code::Conflict, old.key.clone(), message)
            .label(new.key.clone(), "the other one")
            .help("keep `llm.protocols.openai.path`; `llm.path` is its old spelling");
        check.report.push(problem);
    }
    let [mut openai, anthropic, google] =
        [("openai", "OpenAI"), ("anthropic", "Anthropic"), ("google", "Google")].map(|(name, word)| {
            let table = tables.table(name);
            let (enabled, path) = (table.value("enabled"), table.value("path"));
            Written { name, word, enabled, path, at: table.entry("path") }
        });
    openai.at = openai.at.or(old);
    openai.path = llm.get("path").unwrap_or(openai.path);
    let all = [&openai, &anthropic, &google];
    duplicates(&all, check);
    no_protocol(&all, tables, check);
    // Under a path of its own choosing nobody expects it.
    let is_default = old.is_none() && openai.path == "/llm/openai";
    let alias = is_default && !all.iter().any(|other| other.enabled && other.path == ALIAS);
    let alias = alias.then(|| ALIAS.to_owned());
    Protocols {
        openai: openai.enabled.then(|| [openai.path].into_iter().chain(alias).collect()),
        anthropic: anthropic.enabled.then(|| vec![anthropic.path]),
        google: google.enabled.then(|| vec![google.path]),
    }
}

/// How input is estimated.
pub(super) fn counting(view: View<'_>) -> Counting {
    Counting {
        count_tools: view.value("count_tools"),
        image_tokens: view.value("image_tokens"),
        file_tokens: view.value("file_tokens"),
    }
}

/// How calls are charged.
pub(super) fn charging(view: View<'_>, check: &mut Check<'_>) -> Charging {
    let reported = view.value::<String>("count") == "reported";
    let Billionths(cached_input_weight) = view.value("cached_input_weight");
    if let Some(entry) = view.entry("cached_input_weight")
        && !reported
        && cached_input_weight != 1_000_000_000
    {
        let message = "`cached_input_weight` changes nothing: input is charged as estimated";
        check.at_key(entry, Code::NoEffect, message, "write `count = \"reported\"` beside it, or remove it");
    }
    Charging {
        count: if reported { Count::Reported } else { Count::Estimate },
        cached_input_weight,
        output_lease: view.value("output_lease"),
        on_output_limit: on_output_limit(view).unwrap_or(OnOutputLimit::Finish),
    }
}

/// Reports paths that are given to two enabled protocols.
fn duplicates(all: &[&Written<'_>], check: &mut Check<'_>) {
    let enabled: Vec<_> = all.iter().filter(|protocol| protocol.enabled).collect();
    for (index, second) in enabled.iter().enumerate() {
        let Some(first) = enabled[..index].iter().find(|first| first.path == second.path) else { continue };
        let message = format!("the {} and {} protocols cannot use the same path", first.word, second.word);
        if let Some(at) = second.at.or(first.at) {
            check.at_value(at, Code::DuplicatePath, message, "give each protocol a path of its own");
        }
    }
}

/// Reports that every protocol is switched off, at the first.
fn no_protocol(all: &[&Written<'_>], tables: View<'_>, check: &mut Check<'_>) {
    if all.iter().any(|protocol| protocol.enabled) {
        return;
    }
    let written = all.iter().find_map(|protocol| tables.table(protocol.name).entry("enabled"));
    if let Some(entry) = written {
        let help = "write `enabled = true` for at least one: they are on unless they are switched off";
        check.at_value(entry, Code::NoProtocol, "no protocol is enabled", help);
    }
}
