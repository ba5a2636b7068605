//! `[llm]` apart from its providers: where protocols are served, how tokens are counted.

use super::Check;
use crate::config::{
    Counting, Protocols,
    diagnostic::{Code, Diagnostic},
    file::{Entry, View},
};

/// The path of 0.3.0, an alias of the default path.
const ALIAS: &str = "/llm";

/// Where the OpenAI protocol is served.
pub(super) fn protocols(llm: View<'_>, check: &mut Check<'_>) -> Protocols {
    let view = llm.table("protocols");
    let openai = view.table("openai");
    let (old, new) = (llm.entry("path"), openai.entry("path"));
    if let (Some(old), Some(new)) = (old, new) {
        let problem = Diagnostic::new(
            Code::Conflict,
            old.key.clone(),
            "the path of the OpenAI protocol is written twice",
        )
        .label(new.key.clone(), "the other one")
        .help("keep `llm.protocols.openai.path`; `llm.path` is its old spelling");
        check.report.push(problem);
    }
    for (name, word) in [("anthropic", "Anthropic"), ("google", "Google")] {
        let table = view.table(name);
        if let Some(entry) = table.entry("enabled").filter(|_| table.get("enabled") == Some(true)) {
            let message = format!("this version does not serve the {word} protocol");
            check.at_value(entry, Code::ProtocolNotServed, message, "write `enabled = false`, or remove it");
        }
    }
    let path = llm.get("path").unwrap_or_else(|| openai.value::<String>("path"));
    let others = duplicates(view, &path, new.or(old), check);
    if !openai.value::<bool>("enabled") {
        no_protocol(openai, check);
        return Protocols { openai: None };
    }
    let default = old.is_none() && path == "/llm/openai";
    let alias = (default && !others.iter().any(|other| other == ALIAS)).then(|| ALIAS.to_owned());
    Protocols { openai: Some([path].into_iter().chain(alias).collect()) }
}

/// How input is estimated.
pub(super) fn counting(view: View<'_>) -> Counting {
    Counting {
        count_tools: view.value("count_tools"),
        image_tokens: view.value("image_tokens"),
        file_tokens: view.value("file_tokens"),
    }
}

/// Reports paths that are given to two enabled protocols; the paths of the others.
fn duplicates(view: View<'_>, openai: &str, written: Option<&Entry>, check: &mut Check<'_>) -> Vec<String> {
    let mut known: Vec<(&str, String, Option<&Entry>)> = Vec::new();
    if view.table("openai").value::<bool>("enabled") {
        known.push(("OpenAI", openai.to_owned(), written));
    }
    for (name, word) in [("anthropic", "Anthropic"), ("google", "Google")] {
        let table = view.table(name);
        let (path, entry) = (table.value::<String>("path"), table.entry("path"));
        if !table.value::<bool>("enabled") {
            continue;
        }
        if let Some((other, _, first)) = known.iter().find(|(_, other, _)| *other == path) {
            let message = format!("the {other} and {word} protocols cannot use the same path");
            if let Some(at) = entry.or(*first) {
                check.at_value(at, Code::DuplicatePath, message, "give each protocol a path of its own");
            }
        }
        known.push((word, path, entry));
    }
    known.into_iter().filter(|(word, ..)| *word != "OpenAI").map(|(_, path, _)| path).collect()
}

fn no_protocol(openai: View<'_>, check: &mut Check<'_>) {
    if let Some(entry) = openai.entry("enabled") {
        let message = "no protocol that this version serves is enabled";
        check.at_value(
            entry,
            Code::NoProtocol,
            message,
            "write `enabled = true`: the OpenAI protocol is the one that is served",
        );
    }
}
